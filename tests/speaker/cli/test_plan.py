"""``wren plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import wren, write_documents
from tests.support.control import serving
from tests.support.resources import node, peer

NODES = [node("r1", "10.0.0.1/24", asn=64512), node("r2", "10.0.0.2/24", asn=64512)]


def tor(asn: int) -> dict[str, object]:
    return peer("tor", node="r1", peerIP="10.0.0.254", asNumber=asn)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_documents(tmp_path / "old", [*NODES, tor(65001)])


@pytest.fixture
def new(tmp_path: Path) -> Path:
    third = node("r3", "10.0.0.3/24", asn=64512)
    return write_documents(tmp_path / "new", [NODES[0], third, tor(65002)])


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no daemon of this machine."""
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path / "run"))


def planned(*words: str | Path) -> Any:
    done = wren("plan", *words, "-o", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_text_counts_and_says_each_change_in_a_sentence(old: Path, new: Path) -> None:
    done = wren("plan", "--node", "r1", old, new)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "BGPPeer/tor: spec.asNumber 65001 → 65002",
        "Node/r2: deleted",
        "Node/r3: created",
        "node r1: sessions: 1 reset, 1 added, 1 removed, 0 kept",
        "  removes Mesh_10_0_0_2",
        "  resets the session of Node_10_0_0_254: peer AS 65001 → 65002",
        "  adds Mesh_10_0_0_3: waits for 10.0.0.3 in AS 64512",
    ]


def test_json_names_resets_and_who_comes_goes_and_stays(old: Path, new: Path) -> None:
    plan = planned("--node", "r1", old, new)
    [of_node] = plan["nodes"]
    assert len(of_node.pop("changes")) == 3
    assert of_node == {
        "node": "r1",
        "error": "",
        "resets": [
            {
                "peer": "Node_10_0_0_254",
                "fields": ["peer_asn"],
                "reason": "peer AS 65001 → 65002",
            }
        ],
        "added": ["Mesh_10_0_0_3"],
        "removed": ["Mesh_10_0_0_2"],
        "renamed": [],
        "kept": [],
        "conditions": [],
        "routes": None,
    }
    assert plan["resources"][0] == {
        "kind": "BGPPeer",
        "name": "tor",
        "fate": "changed",
        "fields": ["spec.asNumber 65001 → 65002"],
    }
    assert (plan["unchanged"], plan["refused"]) == ([], [])


def test_a_session_that_only_changes_its_name_is_kept(tmp_path: Path) -> None:
    old = write_documents(tmp_path / "old", NODES)
    explicit = peer("two", node="r1", peerIP="10.0.0.2", asNumber=64512)
    new = write_documents(tmp_path / "new", [*NODES, explicit])
    [plan] = planned("--node", "r1", old, new)["nodes"]
    assert plan["renamed"] == [{"from": "Mesh_10_0_0_2", "to": "Node_10_0_0_2"}]
    assert plan["kept"] == ["Node_10_0_0_2"]
    assert (plan["added"], plan["removed"], plan["resets"]) == ([], [], [])


def test_the_same_resources_change_nothing(old: Path) -> None:
    done = wren("plan", "--node", "r1", old, old)
    assert done.stdout == (
        "node r1: sessions: 0 reset, 0 added, 0 removed, 2 kept\n  nothing changes\n"
    )
    done = wren("plan", old, old)
    assert done.stdout == "2 nodes: nothing changes\n"


@pytest.mark.parametrize("words", [(), ("--all-nodes",), ("--all-nodes", "--node", "r1")])
def test_all_nodes_are_shown_that_change(tmp_path: Path, words: tuple[str, ...]) -> None:
    nodes = [*NODES, node("r3", "10.0.0.3/24", asn=64512)]
    old = write_documents(tmp_path / "old", [*nodes, tor(65001)])
    new = write_documents(tmp_path / "new", [*nodes, tor(65002)])
    done = wren("plan", *words, old, new)
    assert done.stdout.splitlines() == [
        "BGPPeer/tor: spec.asNumber 65001 → 65002",
        "node r1: sessions: 1 reset, 0 added, 0 removed, 2 kept",
        "  resets the session of Node_10_0_0_254: peer AS 65001 → 65002",
        "2 other nodes: nothing changes",
    ]
    assert planned(*words, old, new)["unchanged"] == ["r2", "r3"]


def test_a_node_may_come_and_go(old: Path, new: Path) -> None:
    said = wren("plan", "--all-nodes", old, new).stdout.splitlines()
    assert said[3:] == [
        "node r1: sessions: 1 reset, 1 added, 1 removed, 0 kept",
        "  removes Mesh_10_0_0_2",
        "  resets the session of Node_10_0_0_254: peer AS 65001 → 65002",
        "  adds Mesh_10_0_0_3: waits for 10.0.0.3 in AS 64512",
        "node r2: there is no Node r2; what it runs goes on",
        "node r3: sessions: 0 reset, 1 added, 0 removed, 0 kept",
        "  adds Mesh_10_0_0_1: connects to 10.0.0.1 in AS 64512",
    ]
    done = wren("plan", "--node", "r9", old, new)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "wren: there is no Node r9; the resources define r1, r3\n"


def test_the_datastore_need_not_be_named(old: Path, new: Path, tmp_path: Path) -> None:
    whole = wren("plan", "--node", "r1", old, new).stdout
    assert wren("plan", "--node", "r1", "--datastore", old, new).stdout == whole
    assert wren("plan", "--node", "r1", new, env={"WREN_DATASTORE": str(old)}).stdout == whole
    answer = {"path": str(old.resolve()), "node": "r1", "strictSecrets": False}
    with serving(tmp_path / "run", {"datastore": lambda _: answer}):
        assert wren("plan", new).stdout == whole
    assert wren("plan", "--node", "r1", new).exit_code == 2
    assert wren("plan", old, new, new).exit_code == 2


def test_what_would_be_refused_stays_in_force(old: Path, tmp_path: Path) -> None:
    new = write_documents(tmp_path / "new", [*NODES, {**tor(65001), "spec": {"asNumber": -1}}])
    done = wren("plan", "--node", "r1", old, new)
    assert done.stdout == (
        "node r1: sessions: 0 reset, 0 added, 0 removed, 2 kept\n  nothing changes\n"
    )
    assert done.stderr.startswith(f"refused: {new}/resources.yaml:")
    (new / "resources.yaml").write_text("kind: [")
    assert wren("plan", "--node", "r1", old, new).stdout == done.stdout
    assert len(planned("--node", "r1", old, new)["refused"]) == 1


def test_what_would_be_wrong_is_told_and_what_was_wrong_is_not(old: Path, tmp_path: Path) -> None:
    lost = peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65001, filters=["gone"])
    new = write_documents(tmp_path / "new", [*NODES, lost])
    done = wren("plan", "--node", "r1", old, new)
    assert done.stdout.splitlines()[0] == "BGPPeer/tor: spec.filters"
    assert "there is no BGPFilter or RoutePolicy gone" in done.stderr
    assert wren("plan", "--node", "r1", new, new).stderr == ""


def test_values_of_secrets_are_not_shown(tmp_path: Path) -> None:
    def secret(value: str) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s"},
            "stringData": {"tor": value},
        }

    old = write_documents(tmp_path / "old", [*NODES, secret("hush")])
    new = write_documents(tmp_path / "new", [*NODES, secret("quiet")])
    done = wren("plan", "--node", "r1", old, new)
    assert done.stdout.splitlines()[0] == "Secret/s: stringData.tor"


def test_with_strict_secrets_a_session_waits_for_its_password(tmp_path: Path) -> None:
    guarded = peer(
        "tor",
        node="r1",
        peerIP="10.0.0.254",
        asNumber=65001,
        password={"secretKeyRef": {"name": "s", "key": "k"}},
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"k": "aGk="},
    }
    old = write_documents(tmp_path / "old", [*NODES, guarded])
    new = write_documents(tmp_path / "new", [*NODES, guarded, secret])
    done = wren("plan", "--node", "r1", "--strict-secrets", old, new)
    assert "  adds Node_10_0_0_254: connects to 10.0.0.254 in AS 65001" in done.stdout.splitlines()
    done = wren("plan", "--node", "r1", old, new)
    assert "0 added" in done.stdout
    done = wren("resolve", "--node", "r1", "--strict-secrets", old)
    assert "Node_10_0_0_254" not in done.stdout.split("BGPPeer/tor")[0]
    assert "the session is held down" in done.stdout
