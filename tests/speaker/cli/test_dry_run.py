"""``--dry-run`` of the commands that edit: what they would do, and nothing is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import wren
from tests.support.control import serving
from tests.support.resources import node, peer, settings
from tests.support.stores import Store

NODES = [node("r1", "10.0.0.1/24", asn=64512), node("r2", "10.0.0.2/24", asn=64512)]
TOR = peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65001)
MOVED = peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65002)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no daemon of this machine, and be r1."""
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("NODENAME", "r1")


@pytest.fixture
def cluster(store: Store) -> Store:
    """Give a datastore with two nodes and a peer of one."""
    store.holds(*NODES, TOR, settings(asNumber=64512))
    return store


def contents(store: Store) -> dict[str, tuple[int, bytes]]:
    return {f.name: (f.stat().st_ino, f.read_bytes()) for f in store.path.iterdir()}


RESET = [
    "BGPPeer/tor: spec.asNumber 65001 → 65002",
    "node r1: sessions: 1 reset, 0 added, 0 removed, 1 kept",
    "  resets the session of Node_10_0_0_254: peer AS 65001 → 65002",
]
GOES = [
    "BGPPeer/tor: deleted",
    "node r1: sessions: 0 reset, 0 added, 1 removed, 1 kept",
    "  removes Node_10_0_0_254",
]
PASSIVE = [
    "Node/r1: metadata.labels.rack unset → a",
    "node r1: sessions: 0 reset, 0 added, 0 removed, 2 kept",
    "  nothing changes",
]
NO_MESH = [
    "BGPConfiguration/default: spec.nodeToNodeMeshEnabled unset → false",
    "node r1: sessions: 0 reset, 0 added, 1 removed, 1 kept",
    "  removes Mesh_10_0_0_2",
]


@pytest.mark.parametrize(
    ("words", "lines", "said"),
    [
        (
            ["apply", "-f", "-"],
            RESET,
            "Successfully applied 1 'BGPPeer' resource(s) (dry run)",
        ),
        (
            ["replace", "-f", "-"],
            RESET,
            "Successfully replaced 1 'BGPPeer' resource(s) (dry run)",
        ),
        (
            ["patch", "bgppeer", "tor", "-p", '{"spec": {"asNumber": 65002}}'],
            RESET,
            "Successfully patched 1 'BGPPeer' resource (dry run)",
        ),
        (
            ["delete", "bgppeer", "tor"],
            GOES,
            "Successfully deleted 1 'BGPPeer' resource(s) (dry run)",
        ),
        (
            ["label", "node", "r1", "rack=a"],
            PASSIVE,
            "Successfully set label rack on node r1 (dry run)",
        ),
        (["config", "set", "nodeToNodeMesh", "off"], NO_MESH, ""),
    ],
)
def test_it_is_told_what_an_edit_would_do_and_nothing_is_written(
    cluster: Store, words: list[str], lines: list[str], said: str
) -> None:
    before = contents(cluster)
    done = cluster.wren(*words, "--dry-run", stdin=json.dumps(MOVED))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [*lines, *([said] if said else [])]
    assert contents(cluster) == before
    data = json.loads(
        cluster.wren(*words, "--dry-run", "-o", "json", stdin=json.dumps(MOVED)).stdout
    )
    assert data["dryRun"] is True
    assert data["errors"] == []
    assert data["plan"]["nodes"][0]["node"] == "r1"
    assert contents(cluster) == before
    # The same without it is done.
    assert cluster.wren(*words, stdin=json.dumps(MOVED)).exit_code == 0
    assert contents(cluster) != before


def test_it_fails_where_the_command_would_fail(cluster: Store) -> None:
    before = contents(cluster)
    for verb, *documents in (
        ("create", TOR),
        ("replace", peer("x", peerIP="10.0.0.9", asNumber=1)),
    ):
        for_real, dry = (
            cluster.give(verb, *documents, options=options) for options in ("", "--dry-run")
        )
        assert (for_real.exit_code, dry.exit_code) == (1, 1)
        assert dry.stderr == for_real.stderr
    done = cluster.wren("delete", "bgppeer", "nobody", "--dry-run")
    assert done.exit_code == 1
    assert (
        done.stderr
        == "Failed to delete 'BGPPeer' resource: resource does not exist: BGPPeer(nobody)\n"
    )
    invalid = {**TOR, "spec": {"peerIP": "10.0.0.300", "asNumber": -1}}
    done = cluster.give("apply", invalid, options="--dry-run")
    assert done.exit_code == 1
    assert done.stderr.count("stdin:") == 2
    assert contents(cluster) == before


def test_a_part_may_be_refused_and_the_rest_is_looked_at(cluster: Store) -> None:
    done = cluster.give(
        "create", TOR, peer("spine", peerIP="10.0.0.8", asNumber=65009), options="--dry-run"
    )
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "BGPPeer/spine: created",
        "node r1: sessions: 0 reset, 1 added, 0 removed, 2 kept",
        "  adds Global_10_0_0_8: connects to 10.0.0.8 in AS 65009",
        "Partial success: created the first 1 out of 2 'BGPPeer' resources: (dry run)",
    ]


def test_all_nodes_are_looked_at_on_demand_or_where_none_is_known(
    cluster: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["delete", "node", "r2", "--dry-run"]
    assert cluster.wren(*words).stdout.splitlines()[:2] == [
        "Node/r2: deleted",
        "node r1: sessions: 0 reset, 0 added, 1 removed, 1 kept",
    ]
    everywhere = cluster.wren(*words, "--all-nodes").stdout
    assert "node r2: there is no Node r2; what it runs goes on\n" in everywhere
    monkeypatch.delenv("NODENAME")
    assert cluster.wren(*words).stdout == everywhere
    done = cluster.wren("delete", "node", "r2", "--all-nodes")
    assert (done.exit_code, cluster.loaded().nodes["r2"].name) == (2, "r2")


def test_what_would_be_wrong_is_told(cluster: Store) -> None:
    conflicting = peer("zz", node="r1", peerIP="10.0.0.254", asNumber=65001)
    done = cluster.give("apply", conflicting, options="--dry-run")
    assert done.exit_code == 0
    assert "BGPPeer/zz" in done.stderr
    assert wren("plan", cluster.path, cluster.path).stderr == ""


@pytest.mark.parametrize("strict", [True, False])
def test_sessions_without_password_are_held_down_as_the_daemon_does_it(
    cluster: Store, tmp_path: Path, strict: bool
) -> None:
    key = {"secretKeyRef": {"name": "s", "key": "k"}}
    cluster.holds(peer("guarded", node="r1", peerIP="10.0.0.7", asNumber=65007, password=key))
    answer = {"path": str(cluster.path.resolve()), "node": "r1", "strictSecrets": strict}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"k": "hush"},
    }
    with serving(tmp_path / "run", {"datastore": lambda _: answer}):
        done = cluster.give("apply", secret, options="--dry-run")
    word = "adds Node_10_0_0_7:" if strict else "resets the session of Node_10_0_0_7: password"
    assert any(line.strip().startswith(word) for line in done.stdout.splitlines())
    assert "the daemon says nothing about routes: no such command" in done.stderr
