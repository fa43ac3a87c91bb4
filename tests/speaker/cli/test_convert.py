"""``wren convert``: documents of Calico 2.x as v3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from tests.support.commands import wren
from tests.support.resources import peer


def old(kind: str, metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


def old_peer(spec: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    return old("bgpPeer", metadata, {"asNumber": 64512} if spec is None else spec)


def convert(*documents: dict[str, Any], options: str = "") -> Result:
    text = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
    return wren("convert", "-f", "-", *options.split(), stdin=text)


def converted(*documents: dict[str, Any]) -> list[Any]:
    done = convert(*documents)
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize(
    ("metadata", "name", "node"),
    [
        ({"scope": "global", "peerIP": "192.20.30.40"}, "192-20-30-40", None),
        (
            {"scope": "global", "peerIP": "aa:bb::"},
            "00aa-00bb-0000-0000-0000-0000-0000-0000",
            None,
        ),
        ({"scope": "node", "node": "node1", "peerIP": "10.0.0.1"}, "node1.10-0-0-1", "node1"),
        (
            {"scope": "node", "node": "Rack_1/Host.-1-", "peerIP": "10.0.0.1"},
            "rack-1.host.1.10-0-0-1",
            "rack-1.host.1",
        ),
    ],
)
def test_a_peer_gets_the_name_of_calicos_upgrade(
    metadata: dict[str, str], name: str, node: str | None
) -> None:
    (found,) = converted(old("bgpPeer", metadata, {"asNumber": 64512}))
    spec = {"peerIP": metadata["peerIP"], "asNumber": 64512}
    assert found == {
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPPeer",
        "metadata": {"name": name},
        "spec": spec | ({"node": node} if node else {}),
    }


def test_as_numbers_become_plain_numbers() -> None:
    (found,) = converted(old_peer({"asNumber": "1.10"}, scope="global", peerIP="10.0.0.1"))
    assert found["spec"]["asNumber"] == 65546


def test_nodes_and_pools_too() -> None:
    bgp = {"ipv4Address": "172.31.3.11/32", "asNumber": 65011}
    pool = {"ipip": {"enabled": True, "mode": "cross-subnet"}, "nat-outgoing": True}
    node, converted_pool = converted(
        old("node", {"name": "kube-node1"}, {"bgp": bgp}),
        old("ipPool", {"cidr": "10.1.0.0/16"}, pool),
    )
    assert (node["kind"], node["spec"]) == ("Node", {"bgp": bgp})
    assert converted_pool["metadata"] == {"name": "10-1-0-0-16"}
    assert converted_pool["spec"] == {
        "cidr": "10.1.0.0/16",
        "ipipMode": "CrossSubnet",
        "natOutgoing": True,
    }


@pytest.mark.parametrize(
    ("metadata", "field", "words"),
    [
        ({"scope": "global"}, "metadata.peerIP", "peerIP is required"),
        (
            {"scope": "global", "node": "n", "peerIP": "10.0.0.1"},
            "metadata.node",
            "scope global has no node",
        ),
        ({"scope": "node", "peerIP": "10.0.0.1"}, "metadata", "scope node needs a node"),
        ({"peerIP": "10.0.0.1"}, "metadata", "scope is global or node"),
        (
            {"scope": "global", "peerIP": "10.0.0.1:179"},
            "metadata",
            "a peerIP of Calico 2.x has no port",
        ),
    ],
)
def test_what_has_no_v3_form_is_told(metadata: dict[str, str], field: str, words: str) -> None:
    good, bad = old_peer(scope="global", peerIP="10.0.0.9"), old("bgppeer", metadata, {})
    for options in ("", "--ignore-validation"):
        done = convert(good, bad, options=options)
        assert (done.exit_code, done.stdout) == (1, "")
        assert words in done.stderr
        assert f": {field}" in done.stderr


def test_two_documents_that_would_be_one_are_told() -> None:
    one = {"scope": "node", "node": "Node-1", "peerIP": "10.0.0.1"}
    done = convert(old("bgppeer", one, {}), old("bgppeer", {**one, "node": "node_1"}, {}))
    assert done.exit_code == 1
    assert "BGPPeer node-1.10-0-0-1 is already defined in stdin:2" in done.stderr


def test_what_v3_would_not_take_is_printed_on_demand() -> None:
    bad = old_peer({"asNumber": "AS1"}, scope="global", peerIP="10.0.0.1")
    assert convert(bad).exit_code == 1
    done = convert(bad, options="--ignore-validation")
    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["spec"]["asNumber"] == "AS1"


def test_kinds_that_are_not_read_here_are_told() -> None:
    done = convert(old("policy", {"name": "p"}, {}))
    assert done.exit_code == 1
    assert "kind 'policy' is not read here" in done.stderr


def test_json_is_a_document_or_a_list() -> None:
    one = old_peer(scope="global", peerIP="10.0.0.1")
    two = old_peer(scope="global", peerIP="10.0.0.2")
    assert json.loads(convert(one, options="-o json").stdout)["kind"] == "BGPPeer"
    both = json.loads(convert(one, two, options="-o json").stdout)
    assert both["kind"] == "List"
    assert [item["metadata"]["name"] for item in both["items"]] == ["10-0-0-1", "10-0-0-2"]


def test_what_is_v3_already_stays(tmp_path: Path) -> None:
    given = peer("tor", peerIP="10.0.0.1", asNumber=1)
    (tmp_path / "a.json").write_text(json.dumps([given, old_peer(scope="global", peerIP="::1")]))
    done = wren("convert", "-f", tmp_path)
    first, second = yaml.safe_load_all(done.stdout)
    assert first == given
    assert second["metadata"]["name"] == "0000-0000-0000-0000-0000-0000-0000-0001"
    # And what is printed can be converted again, to the same.
    assert wren("convert", "-f", "-", stdin=done.stdout).stdout == done.stdout
