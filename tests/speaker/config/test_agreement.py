"""Halves of peerings that will not fit, and what is said about them; and whole clusters that do."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from speaker.config.conditions import Gravity
from speaker.config.plan import Plan
from tests.support.resources import node, peer, plan, settings

OFF = settings(nodeToNodeMeshEnabled=False)
TWO = [node("a", "10.0.0.1/24"), node("b", "10.0.0.2/24")]


def said(found: Plan) -> list[tuple[str, str]]:
    return [(item.resource, item.reason) for item in found.conditions]


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"k": "aHU="}}


def with_password(name: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": "k"}}


def test_a_peer_ip_that_is_a_node_of_another_as() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=65000)
    found = plan("a", *TWO, OFF, item)
    assert said(found) == [("BGPPeer/p", "PeerASDiffers")]
    assert "node b, whose AS is 64512 and not 65000" in found.conditions[0].message
    assert found.conditions[0].severity is Gravity.WARNING


def test_a_peer_ip_that_is_nobodys_is_right() -> None:
    item = peer("p", node="a", peerIP="10.0.0.3", asNumber=65000)
    assert said(plan("a", *TWO, OFF, item)) == []


def test_a_peer_ip_of_a_node_of_another_as_that_says_so_itself() -> None:
    there = peer("q", node="b", peerIP="10.0.0.1", asNumber=64512, localASNumber=65000)
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=65000)
    assert said(plan("a", *TWO, OFF, item, there)) == []


def test_a_peer_ip_with_a_port_where_the_node_does_not_listen() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2:1790", asNumber=64512)
    assert said(plan("a", *TWO, OFF, item)) == [("BGPPeer/p", "PeerPortDiffers")]
    assert said(plan("a", *TWO, OFF, item, settings("node.b", listenPort=1790))) == []


def test_a_local_as_that_the_other_end_cannot_know() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=64512, localASNumber=65000)
    assert said(plan("a", *TWO, OFF, item)) == [("BGPPeer/p", "LocalASUnknown")]
    assert said(plan("b", *TWO, OFF, item)) == []
    item["spec"]["reversePeering"] = "Manual"
    assert said(plan("a", *TWO, OFF, item)) == []


def test_a_local_as_that_the_other_end_was_told() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=64512, localASNumber=65000)
    there = peer("q", node="b", peerIP="10.0.0.1", asNumber=65000)
    for me in ("a", "b"):
        found = plan(me, *TWO, OFF, item, there)
        assert said(found) == []
    assert found.peers["Node_10_0_0_1"].peer_asn == 65000


def test_two_peers_that_join_the_same_nodes_with_different_passwords() -> None:
    items = [
        peer("p", node="a", peerSelector="all()", password=with_password("s")),
        peer("q", node="b", peerSelector="all()", password=with_password("t")),
    ]
    secrets = [secret("s"), secret("t")]
    assert said(plan("a", *TWO, OFF, *items, *secrets)) == [("BGPPeer/p", "PeersDisagree")]
    assert said(plan("b", *TWO, OFF, *items, *secrets)) == [("BGPPeer/q", "PeersDisagree")]


def test_two_peers_that_join_the_same_nodes_and_do_not_both_sign_by_tcp_ao() -> None:
    items = [
        peer("p", node="a", peerSelector="all()", extensions={"wren.bgp/tcpAO": "1 s/k"}),
        peer("q", node="b", peerSelector="all()"),
    ]
    assert said(plan("a", *TWO, OFF, *items, secret("s"))) == [("BGPPeer/p", "PeersDisagree")]
    items[1]["spec"]["extensions"] = {"wren.bgp/tcpAO": "1 s/k"}
    assert said(plan("a", *TWO, OFF, *items, secret("s"))) == []


def test_two_peers_that_join_the_same_nodes_alike() -> None:
    items = [
        peer("p", node="a", peerSelector="all()", password=with_password("s")),
        peer("q", node="b", peerSelector="all()", password=with_password("s")),
    ]
    assert said(plan("a", *TWO, OFF, *items, secret("s"))) == []


def test_two_peers_that_let_both_ends_wait() -> None:
    keys = {"wren.bgp/passive": "on"}
    items = [
        peer("p", node="a", peerIP="10.0.0.2", asNumber=64512, extensions=keys),
        peer("q", node="b", peerIP="10.0.0.1", asNumber=64512, extensions=keys),
    ]
    for me, name in (("a", "p"), ("b", "q")):
        found = plan(me, *TWO, OFF, *items)
        assert said(found) == [(f"BGPPeer/{name}", "PeersDisagree")]
        assert "wait for each other" in found.conditions[0].message


def test_both_ends_prefer_the_global_peer() -> None:
    items = [
        peer("a-first-by-name", node="a", peerIP="10.0.0.2", asNumber=64512),
        peer("everybodys", peerIP="10.0.0.2", asNumber=64512),
    ]
    assert [item.resource for item in plan("a", *TWO, OFF, *items).peers.values()] == ["everybodys"]
    assert [item.resource for item in plan("b", *TWO, OFF, *items).peers.values()] == ["everybodys"]


def test_nodes_without_as_in_the_mesh_of_a_node_with_another() -> None:
    many = [node(f"n{number}", f"10.0.1.{number}") for number in range(1, 6)]
    found = plan("a", node("a", "10.0.0.1", asn=65001), *many)
    assert said(found) == [("Node/a", "MeshASDiffers")]
    assert "n1, n2, n3 and 2 more" in found.conditions[0].message
    assert said(plan("n1", node("a", "10.0.0.1", asn=65001), *many)) == []


def test_an_address_of_two_nodes_is_told_without_mesh_too() -> None:
    found = plan("a", *TWO, OFF, node("c", "10.0.0.2"))
    assert said(found) == [("Node/c", "SameAddress")]


# Fifty nodes.

FIFTY = [
    node(f"n{number:02}", f"10.0.{number // 10}.{number}/16", f"fd00::{number:x}", rack=str(rack))
    for number, rack in ((number, number % 5) for number in range(1, 51))
]


def plans(*documents: dict[str, Any]) -> dict[str, Plan]:
    names = [item["metadata"]["name"] for item in documents if item["kind"] == "Node"]
    return {name: plan(name, *documents) for name in names}


def sessions(found: dict[str, Plan]) -> dict[tuple[str, str], bool]:
    """Give the sessions between nodes: from, to, and whether the former waits."""
    owner = {address: name for name, item in found.items() for address in item.own_addresses}
    return {
        (f"{name} {peer.afi.name}", f"{owner[peer.address]} {peer.afi.name}"): peer.passive
        for name, item in found.items()
        for peer in item.peers.values()
    }


@pytest.fixture(scope="module")
def mesh() -> dict[str, Plan]:
    return plans(*FIFTY)


def test_a_mesh_of_fifty_joins_everybody_once_in_each_family(mesh: dict[str, Plan]) -> None:
    assert {len(item.peers) for item in mesh.values()} == {98}
    assert len(sessions(mesh)) == 50 * 98


def test_of_two_ends_of_a_mesh_exactly_one_waits(mesh: dict[str, Plan]) -> None:
    found = sessions(mesh)
    for one, other in combinations([f"n{number:02} IPV4" for number in range(1, 51)], 2):
        assert found[one, other] is not found[other, one]


def test_racks_of_ten_peer_within_and_with_their_switch() -> None:
    items = [
        peer(
            f"rack-{rack}",
            nodeSelector=f"rack == '{rack}'",
            peerIP=f"10.9.0.{rack + 1}",
            asNumber=65000 + rack,
        )
        for rack in range(5)
    ]
    within = [
        peer(f"within-{rack}", nodeSelector=f"rack == '{rack}'", peerSelector=f"rack == '{rack}'")
        for rack in range(5)
    ]
    found = plans(*FIFTY, OFF, *items, *within)
    assert {len(item.peers) for item in found.values()} == {1 + 2 * 9}
    assert {item.conditions for item in found.values()} == {()}


def test_two_reflectors_serve_fifty_nodes() -> None:
    reflectors = [
        node("r1", "10.1.0.1", "fd01::1", cluster_id="1.1.1.1", rr=""),
        node("r2", "10.1.0.2", "fd01::2", cluster_id="1.1.1.1", rr=""),
    ]
    items = [
        peer("to-reflectors", nodeSelector="!has(rr)", peerSelector="has(rr)"),
        peer("between-reflectors", nodeSelector="has(rr)", peerSelector="has(rr)"),
    ]
    found = plans(*FIFTY, *reflectors, OFF, *items)
    assert {len(found[f"n{number:02}"].peers) for number in range(1, 51)} == {4}
    for name in ("r1", "r2"):
        assert len(found[name].peers) == 2 * 51
        assert sum(item.rr_client for item in found[name].peers.values()) == 2 * 50
    assert {item.conditions for item in found.values()} == {()}
