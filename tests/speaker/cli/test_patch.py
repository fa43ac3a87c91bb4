"""``wren patch`` and ``wren label``."""

from __future__ import annotations

import pytest

from tests.support.resources import document, node, peer
from tests.support.stores import Store


@pytest.fixture
def stocked(store: Store) -> Store:
    store.holds(
        node("n1", "10.0.0.1/24", rack="1"),
        peer("tor", peerIP="10.0.0.9", asNumber=65000, ttlSecurity=1),
        document("IPPool", "p", {"cidr": "10.244.0.0/16"}),
    )
    return store


def test_a_patch_changes_what_it_names(stocked: Store) -> None:
    done = stocked.wren(
        "patch", "node", "n1", "-p", '{"spec":{"bgp":{"routeReflectorClusterID":"224.0.0.1"}}}'
    )
    assert (done.exit_code, done.stdout) == (0, "Successfully patched 1 'Node' resource\n")
    found = stocked.loaded().nodes["n1"]
    assert found.spec.bgp is not None
    assert found.spec.bgp.route_reflector_cluster_id == "224.0.0.1"
    assert found.metadata.labels == {"rack": "1"}
    assert str(found.spec.bgp.ipv4_address) == "10.0.0.1/24"


def test_a_patch_may_be_yaml_from_standard_input(stocked: Store) -> None:
    done = stocked.wren(
        "patch",
        "bp",
        "tor",
        "--patch",
        "-",
        stdin="spec:\n  ttlSecurity: null\n  asNumber: '0.5'\n",
    )
    assert done.exit_code == 0
    assert stocked.get("bgppeer", "tor")["spec"] == {"peerIP": "10.0.0.9", "asNumber": 5}


@pytest.mark.parametrize(
    ("kind", "name", "text", "words"),
    [
        ("bgppeer", "tor", "{spec: {asNumber: -1}}", "spec.asNumber: -1 is no AS number"),
        ("bgppeer", "tor", "{spec: {peerIp: 1.2.3.4}}", "did you mean peerIP?"),
        ("bgppeer", "tor", "{spec: {filters: [f]}}", "BGPFilter(s) not found: f"),
        ("bgppeer", "tor", "{metadata: {name: x}}", "cannot change kind and name"),
        ("bgppeer", "tor", "text", "a patch is a mapping"),
        ("bgppeer", "tor", "{spec: [}", "patch:1:9: not readable as YAML"),
        ("bgppeer", "tor", "", "a patch is one mapping, this is nothing"),
        ("ippool", "p", "{spec: {cidr: 10.1.0.0/16}}", "IPPool CIDR cannot be modified"),
        ("node", "n9", "{}", "resource does not exist: Node(n9)"),
        ("nodes!", "n9", "{}", "resource type 'nodes!' is not supported"),
    ],
)
def test_a_patch_that_cannot_be_made_changes_nothing(
    stocked: Store, kind: str, name: str, text: str, words: str
) -> None:
    before = stocked.get("bgppeer")
    done = stocked.wren("patch", kind, name, "-p", text)
    assert (done.exit_code, done.stdout) == (1, "")
    assert words in done.stderr
    assert stocked.get("bgppeer") == before


def test_a_label_is_set_updated_and_removed(stocked: Store) -> None:
    steps = [
        ("calico-route-reflector=", "Successfully set label calico-route-reflector on nodes n1\n"),
        ("rack=1", "Successfully updated label rack on nodes n1\n"),
        ("rack=2 --overwrite", "Successfully updated label rack on nodes n1\n"),
        ("rack --remove", "Successfully removed label rack from nodes n1\n"),
    ]
    for words, said in steps:
        done = stocked.wren("label", "nodes", "n1", *words.split())
        assert (done.exit_code, done.stdout) == (0, said)
    assert stocked.loaded().nodes["n1"].metadata.labels == {"calico-route-reflector": ""}
    assert stocked.wren("label", "nodes", "n1", "calico-route-reflector", "--remove").exit_code == 0
    assert "labels" not in stocked.get("node", "n1")["metadata"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "rack=2",
            (
                "failed to update label of node n1, key rack is already present. "
                "please use '--overwrite' to set a new value.\n"
            ),
        ),
        ("role --remove", "cannot remove label of node n1, key role does not exist\n"),
        ("a/b/c=d", "invalid label a/b/c=d\n"),
        ("a=b=c", "invalid label a=b=c\n"),
    ],
)
def test_a_label_that_cannot_be_set_is_told(stocked: Store, words: str, said: str) -> None:
    done = stocked.wren("label", "node", "n1", *words.split())
    assert (done.exit_code, done.stderr) == (1, said)
    assert stocked.loaded().nodes["n1"].metadata.labels == {"rack": "1"}


@pytest.mark.parametrize("words", ["rack", "rack=1 --remove", "rack --remove --overwrite", ""])
def test_wrong_usage(stocked: Store, words: str) -> None:
    assert stocked.wren("label", "node", "n1", *words.split()).exit_code == 2
