"""Who peers with whom, on small clusters."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, NAMES
from speaker.config.plan import PeerKind, Plan, resolve
from tests.support.resources import node, peer, plan, resources, settings

OFF = settings(nodeToNodeMeshEnabled=False)
THREE = [node("a", "10.0.0.1/24"), node("b", "10.0.0.2/24"), node("c", "10.0.0.3/24")]


def names(found: Plan) -> list[str]:
    return list(found.peers)


def reasons(found: Plan) -> list[str]:
    return [condition.reason for condition in found.conditions]


# Families.


def test_a_session_exists_only_in_families_that_both_ends_have() -> None:
    both, four, six = (
        node("a", "10.0.0.1", "fd00::1"),
        node("b", "10.0.0.2"),
        node("c", None, "fd00::3"),
    )
    assert names(plan("a", both, four, six)) == ["Mesh_10_0_0_2", "Mesh_fd00__3"]
    assert names(plan("b", both, four, six)) == ["Mesh_10_0_0_1"]
    assert names(plan("c", both, four, six)) == ["Mesh_fd00__1"]


def test_a_session_carries_the_family_of_its_address() -> None:
    found = plan("a", node("a", "10.0.0.1", "fd00::1"), node("b", "10.0.0.2", "fd00::2"))
    assert found.peers["Mesh_10_0_0_2"].families == (IPV4_UNICAST,)
    assert found.peers["Mesh_fd00__2"].families == (IPV6_UNICAST,)


def test_the_families_key_takes_families_that_are_relayed() -> None:
    keys = {"wren.bgp/families": "evpn, VPNv4, ipv4", "wren.bgp/maxPrefixes": "ipv4-vpn 5, ipv6 7"}
    item = peer("p", peerIP="10.9.9.9", asNumber=1, extensions=keys)
    [made] = plan("a", node("a", "10.0.0.1"), item).peers.values()
    assert made.families == (IPV4_UNICAST, NAMES["ipv4-vpn"], NAMES["l2vpn-evpn"])
    assert [family for family, _ in made.max_prefixes] == [NAMES["ipv4-vpn"]]


def test_the_families_key_overrides_the_families() -> None:
    item = peer("p", peerIP="10.9.9.9", asNumber=1, extensions={"wren.bgp/families": "ipv6,ipv4"})
    found = plan("a", node("a", "10.0.0.1"), item)
    assert found.peers["Global_10_9_9_9"].families == (IPV4_UNICAST, IPV6_UNICAST)


def link_local(name: str, interface: str, **more: Any) -> dict[str, Any]:
    keys = {"wren.bgp/interface": interface}
    return peer(name, peerIP="fe80::2", asNumber=65002, extensions=keys, **more)


def test_a_link_local_address_is_another_peer_on_each_link() -> None:
    """RFC 4007 §11. The node needs no IPv6 address for them, and none is what they come from."""
    found = plan("r1", node("r1", "10.0.0.1/24"), link_local("p", "eth0"), link_local("q", "eth1"))
    assert found.conditions == ()
    assert {name: made.address for name, made in found.peers.items()} == {
        "Global_fe80__2_eth0": "fe80::2%eth0",
        "Global_fe80__2_eth1": "fe80::2%eth1",
    }
    assert {made.source_address for made in found.peers.values()} == {None}
    assert {made.families for made in found.peers.values()} == {(IPV6_UNICAST,)}


def test_a_link_local_address_is_one_peer_on_one_link() -> None:
    found = plan("r1", node("r1", "10.0.0.1/24"), link_local("p", "eth0"), link_local("q", "eth0"))
    assert len(found.peers) == 1
    assert [condition.reason for condition in found.conditions] == ["DuplicatePeer"]


def test_an_explicit_peer_of_a_family_the_node_lacks_is_left_out() -> None:
    found = plan("a", node("a", "10.0.0.1"), peer("p", peerIP="fd00::9", asNumber=1))
    assert names(found) == []
    assert reasons(found) == ["NoAddress"]


# Mesh.


def test_the_mesh_joins_every_node_with_every_other() -> None:
    found = plan("b", *THREE)
    assert names(found) == ["Mesh_10_0_0_1", "Mesh_10_0_0_3"]
    first = found.peers["Mesh_10_0_0_1"]
    assert (first.kind, first.port, first.source_address) == (PeerKind.MESH, 179, "10.0.0.2")
    assert (first.local_asn, first.peer_asn) == (64512, 64512)


def test_the_mesh_can_be_switched_off() -> None:
    assert names(plan("a", *THREE, OFF)) == []


def test_a_reflector_has_no_mesh_and_is_in_nobodys() -> None:
    nodes = [*THREE[:2], node("c", "10.0.0.3", cluster_id="224.0.0.1")]
    assert names(plan("a", *nodes)) == ["Mesh_10_0_0_2"]
    assert names(plan("c", *nodes)) == []


def test_a_mesh_peer_without_own_as_has_that_of_whoever_looks() -> None:
    nodes = [node("a", "10.0.0.1", asn=65001), node("b", "10.0.0.2")]
    assert plan("a", *nodes).peers["Mesh_10_0_0_2"].peer_asn == 65001
    assert plan("b", *nodes).peers["Mesh_10_0_0_1"].peer_asn == 65001


def test_mesh_ports_are_the_peers_and_not_in_the_name() -> None:
    found = plan("a", *THREE, settings(listenPort=1790), settings("node.b", listenPort=1791))
    assert {name: item.port for name, item in found.peers.items()} == {
        "Mesh_10_0_0_2": 1791,
        "Mesh_10_0_0_3": 1790,
    }
    assert found.listen_port == 1790


def test_two_nodes_with_one_address_are_one_mesh_peer_and_an_error() -> None:
    found = plan("a", *THREE, node("d", "10.0.0.3"))
    assert names(found) == ["Mesh_10_0_0_2", "Mesh_10_0_0_3"]
    assert [(item.resource, item.reason) for item in found.conditions] == [
        ("Node/d", "SameAddress")
    ]


def test_an_explicit_peer_takes_the_place_of_a_mesh_peer() -> None:
    found = plan("a", *THREE, peer("p", node="a", peerIP="10.0.0.2", asNumber=64512))
    assert names(found) == ["Mesh_10_0_0_3", "Node_10_0_0_2"]
    assert reasons(found) == ["MeshOverridden"]


# Explicit peers.


def test_a_global_peer_is_everybodys() -> None:
    item = peer("tor", peerIP="10.0.0.254", asNumber=65000)
    for me in ("a", "b", "c"):
        found = plan(me, *THREE, OFF, item)
        assert names(found) == ["Global_10_0_0_254"]
        assert found.peers["Global_10_0_0_254"].resource == "tor"


def test_a_node_peer_is_that_nodes_alone() -> None:
    item = peer("tor", node="a", peerIP="10.0.0.254", asNumber=65000)
    assert names(plan("a", *THREE, OFF, item)) == ["Node_10_0_0_254"]
    assert names(plan("b", *THREE, OFF, item)) == []


def test_a_node_selector_chooses_nodes_by_label() -> None:
    nodes = [node("a", "10.0.0.1", rack="1"), node("b", "10.0.0.2", rack="2")]
    item = peer("tor", nodeSelector="rack == '1'", peerIP="10.0.0.254", asNumber=65000)
    assert names(plan("a", *nodes, OFF, item)) == ["Node_10_0_0_254"]
    assert names(plan("b", *nodes, OFF, item)) == []


def test_an_empty_node_selector_is_none() -> None:
    item = peer("tor", nodeSelector="", peerIP="10.0.0.254", asNumber=65000)
    assert names(plan("a", *THREE, OFF, item)) == ["Global_10_0_0_254"]


def test_a_peer_selector_gives_one_peering_for_each_family_of_each_node() -> None:
    nodes = [
        node("a", "10.0.0.1", "fd00::1"),
        node("b", "10.0.0.2", "fd00::2", asn=65002, rr=""),
        node("c", "10.0.0.3", rr=""),
    ]
    item = peer("p", node="a", peerSelector="has(rr)", reversePeering="Manual")
    found = plan("a", *nodes, OFF, item)
    assert {name: one.peer_asn for name, one in found.peers.items()} == {
        "Node_10_0_0_2": 65002,
        "Node_10_0_0_3": 64512,
        "Node_fd00__2": 65002,
    }
    assert names(plan("b", *nodes, OFF, item)) == []


def test_names_carry_a_port_that_is_in_effect() -> None:
    items = [
        peer("p", node="a", peerIP="10.9.0.1:179", asNumber=1),
        peer("q", peerIP="[fd00::9]:1790", asNumber=1),
    ]
    found = plan("a", node("a", "10.0.0.1", "fd00::1"), *items)
    assert {name: one.port for name, one in found.peers.items()} == {
        "Global_fd00__9_port_1790": 1790,
        "Node_10_9_0_1_port_179": 179,
    }


def test_the_other_end_gets_its_half_by_itself() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=64512)
    found = plan("b", *THREE, OFF, item)
    assert names(found) == ["Node_10_0_0_1"]
    assert found.peers["Node_10_0_0_1"].peer_asn == 64512
    assert names(plan("c", *THREE, OFF, item)) == []


def test_reverse_peering_can_be_refused() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=64512, reversePeering="Manual")
    assert names(plan("b", *THREE, OFF, item)) == []


def test_a_global_peer_that_is_a_node_gets_a_half_towards_every_other() -> None:
    item = peer("p", peerIP="10.0.0.2", asNumber=64512)
    assert names(plan("a", *THREE, OFF, item)) == ["Global_10_0_0_2"]
    assert names(plan("b", *THREE, OFF, item)) == ["Node_10_0_0_1", "Node_10_0_0_3"]


def test_reverse_peering_needs_the_as_of_the_node() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=65000)
    assert names(plan("b", *THREE, OFF, item)) == []


def test_reverse_peering_needs_the_port_of_the_node() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2:1790", asNumber=64512)
    assert names(plan("b", *THREE, OFF, item)) == []
    assert names(plan("b", *THREE, OFF, item, settings("node.b", listenPort=1790))) == [
        "Node_10_0_0_1"
    ]


def test_the_reverse_half_has_the_options_of_the_peer() -> None:
    item = peer(
        "p",
        node="a",
        peerIP="10.0.0.2",
        asNumber=64512,
        nextHopMode="Self",
        keepaliveTime="10s",
        sourceAddress="None",
        numAllowedLocalASNumbers=2,
        extensions={"wren.bgp/holdTime": "30"},
    )
    found = plan("b", *THREE, OFF, item).peers["Node_10_0_0_1"]
    assert found.next_hop_mode == "Self"
    assert (found.keepalive_time, found.hold_time, found.source_address) == (10, 30, None)
    assert found.allow_local_as == 0


def test_of_two_peers_of_one_scope_the_first_by_name_wins() -> None:
    items = [
        peer("second", peerIP="10.9.0.1", asNumber=2),
        peer("first", peerIP="10.9.0.1", asNumber=1),
    ]
    found = plan("a", *THREE, OFF, *items)
    assert found.peers["Global_10_9_0_1"].peer_asn == 1
    assert [(item.resource, item.reason) for item in found.conditions] == [
        ("BGPPeer/second", "DuplicatePeer")
    ]


def test_a_global_peer_wins_over_a_node_specific_one() -> None:
    items = [
        peer("x", peerIP="10.9.0.1", asNumber=1),
        peer("y", node="a", peerIP="10.9.0.1", asNumber=2),
    ]
    assert plan("a", *THREE, OFF, *items).peers["Global_10_9_0_1"].peer_asn == 1


def test_one_address_with_and_without_port_is_one_peer_and_an_error() -> None:
    items = [
        peer("x", peerIP="10.9.0.1", asNumber=1),
        peer("y", node="a", peerIP="10.9.0.1:179", asNumber=1),
    ]
    found = plan("a", *THREE, OFF, *items)
    assert names(found) == ["Global_10_9_0_1"]
    assert reasons(found) == ["SameAddress"]


def test_a_peer_at_our_own_address_is_left_out() -> None:
    found = plan("a", *THREE, OFF, peer("p", node="a", peerIP="10.0.0.1", asNumber=64512))
    assert names(found) == []
    assert reasons(found) == ["OwnAddress"]


def test_addresses_are_compared_canonically() -> None:
    nodes = [node("a", None, "fd00::1"), node("b", None, "fd00::2")]
    item = peer("p", node="a", peerIP="FD00:0::2", asNumber=64512)
    assert names(plan("a", *nodes, OFF, item)) == ["Node_fd00__2"]
    assert names(plan("b", *nodes, OFF, item)) == ["Node_fd00__1"]


def test_a_peer_that_names_nobody_is_skipped_alone() -> None:
    items = [peer("empty", node="a"), peer("p", peerIP="10.9.0.1", asNumber=1)]
    found = plan("a", *THREE, OFF, *items)
    assert names(found) == ["Global_10_9_0_1"]
    assert reasons(found) == ["NoTarget"]


def test_a_peer_without_as_is_skipped_alone() -> None:
    items = [peer("x", peerIP="10.9.0.2"), peer("p", peerIP="10.9.0.1", asNumber=1)]
    found = plan("a", *THREE, OFF, *items)
    assert names(found) == ["Global_10_9_0_1"]
    assert reasons(found) == ["NoAS"]


def test_a_peer_for_no_node_and_one_with_no_node_are_told() -> None:
    items = [
        peer("gone", node="x", peerIP="10.9.0.1", asNumber=1),
        peer("none", nodeSelector="has(x)", peerIP="10.9.0.1", asNumber=1),
        peer("nobody", node="a", peerSelector="has(x) && !has(y)"),
    ]
    found = plan("a", *THREE, OFF, *items)
    assert names(found) == []
    assert [(item.resource, item.reason) for item in found.conditions] == [
        ("BGPPeer/gone", "NoSuchNode"),
        ("BGPPeer/nobody", "NothingSelected"),
        ("BGPPeer/none", "NothingSelected"),
    ]
    assert found.conditions[1].message == "peerSelector (has(x) && !has(y)) matches no node"


# Port.


def test_a_peer_ip_of_a_node_takes_that_nodes_port() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=64512)
    found = plan("a", *THREE, OFF, item, settings("node.b", listenPort=1790))
    assert found.peers["Node_10_0_0_2_port_1790"].port == 1790


def test_a_peer_ip_of_a_node_with_another_as_does_not() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=65000)
    found = plan("a", *THREE, OFF, item, settings("node.b", listenPort=1790))
    assert found.peers["Node_10_0_0_2"].port == 179


def test_selected_and_reverse_peers_have_the_remote_nodes_port() -> None:
    item = peer("p", node="a", peerSelector="has(rr)")
    nodes = [node("a", "10.0.0.1"), node("b", "10.0.0.2", rr="")]
    ports = [settings("node.b", listenPort=1790), settings("node.a", listenPort=1791)]
    assert list(plan("a", *nodes, OFF, item, *ports).peers) == ["Node_10_0_0_2_port_1790"]
    assert list(plan("b", *nodes, OFF, item, *ports).peers) == ["Node_10_0_0_1_port_1791"]
    everybody = settings(nodeToNodeMeshEnabled=False, listenPort=1792)
    assert list(plan("a", *nodes, item, everybody).peers) == ["Node_10_0_0_2_port_1792"]


def test_the_port_of_a_peer_ip_stands_before_that_of_its_node() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2:1799", asNumber=64512)
    found = plan("a", *THREE, OFF, item, settings("node.b", listenPort=1790))
    assert list(found.peers) == ["Node_10_0_0_2_port_1799"]


# Passive side.


def test_the_passive_side_is_found_by_comparing_text() -> None:
    nodes = [node("a", "10.0.0.9"), node("b", "10.0.0.10")]
    assert not plan("a", *nodes).peers["Mesh_10_0_0_10"].passive
    assert plan("b", *nodes).peers["Mesh_10_0_0_9"].passive


def test_the_passive_side_of_ipv6_is_found_by_comparing_canonical_text() -> None:
    nodes = [node("a", None, "FD00:0::9/64"), node("b", None, "fd00::10/64")]
    assert not plan("a", *nodes, router_id_env="1.1.1.1").peers["Mesh_fd00__10"].passive
    assert plan("b", *nodes, router_id_env="1.1.1.1").peers["Mesh_fd00__9"].passive


def test_a_global_peer_that_is_a_node_follows_the_same_rule() -> None:
    item = peer("p", peerIP="10.0.0.2", asNumber=64512)
    assert plan("a", *THREE, OFF, item).peers["Global_10_0_0_2"].passive
    assert not plan("c", *THREE, OFF, item).peers["Global_10_0_0_2"].passive


def test_a_global_peer_outside_the_cluster_is_not_passive() -> None:
    item = peer("p", peerIP="10.9.0.1", asNumber=1)
    assert not plan("a", *THREE, OFF, item).peers["Global_10_9_0_1"].passive


def test_node_specific_and_reverse_peers_are_never_passive() -> None:
    item = peer("p", node="a", peerIP="10.0.0.2", asNumber=64512)
    assert not plan("a", *THREE, OFF, item).peers["Node_10_0_0_2"].passive
    assert not plan("b", *THREE, OFF, item).peers["Node_10_0_0_1"].passive


def test_the_passive_key_decides_for_its_own_end_alone() -> None:
    item = peer(
        "p",
        node="a",
        peerIP="10.0.0.2",
        asNumber=64512,
        extensions={"wren.bgp/passive": "on"},
    )
    assert plan("a", *THREE, OFF, item).peers["Node_10_0_0_2"].passive
    assert not plan("b", *THREE, OFF, item).peers["Node_10_0_0_1"].passive


# Route reflectors.

REFLECTORS = [
    node("a", "10.0.0.1"),
    node("b", "10.0.0.2"),
    node("r1", "10.0.0.11", cluster_id="224.0.0.1", rr=""),
    node("r2", "10.0.0.12", cluster_id="224.0.0.1", rr=""),
    node("r3", "10.0.0.13", cluster_id="224.0.0.2", rr=""),
]
TO_REFLECTORS = [
    peer("peer-to-rrs", nodeSelector="!has(rr)", peerSelector="has(rr)"),
    peer("rrs-to-rrs", nodeSelector="has(rr)", peerSelector="has(rr)"),
    OFF,
]


def test_an_ordinary_node_has_the_reflectors_and_no_options() -> None:
    found = plan("a", *REFLECTORS, *TO_REFLECTORS)
    assert names(found) == ["Node_10_0_0_11", "Node_10_0_0_12", "Node_10_0_0_13"]
    assert not any(item.rr_client for item in found.peers.values())
    assert found.conditions == ()


def test_a_reflector_has_clients_and_its_like() -> None:
    found = plan("r1", *REFLECTORS, *TO_REFLECTORS)
    clients = {name: (item.rr_client, item.cluster_id) for name, item in found.peers.items()}
    own = 224 << 24 | 1
    assert clients == {
        "Node_10_0_0_1": (True, own),
        "Node_10_0_0_2": (True, own),
        "Node_10_0_0_12": (False, None),
        "Node_10_0_0_13": (True, own),
    }


def test_a_peer_ip_that_is_a_reflector_of_our_cluster_is_still_a_client() -> None:
    item = peer("p", node="r1", peerIP="10.0.0.12", asNumber=64512)
    assert plan("r1", *REFLECTORS, OFF, item).peers["Node_10_0_0_12"].rr_client


def test_an_external_peer_is_no_client() -> None:
    item = peer("p", node="r1", peerIP="10.9.0.1", asNumber=65000)
    assert not plan("r1", *REFLECTORS, OFF, item).peers["Node_10_9_0_1"].rr_client


def test_the_client_key_makes_a_client_without_cluster_id() -> None:
    item = peer(
        "p",
        node="a",
        peerIP="10.9.0.1",
        asNumber=64512,
        extensions={"wren.bgp/routeReflectorClient": "on"},
    )
    found = plan("a", *THREE, OFF, item).peers["Node_10_9_0_1"]
    assert found.rr_client
    assert found.cluster_id == 10 << 24 | 1


# Both ends.


@st.composite
def clusters(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Small clusters whose BGPPeers mean nodes, in all ways that Calico has."""
    count = draw(st.integers(2, 5))
    own_as = draw(st.booleans())
    documents: list[dict[str, Any]] = []
    members = []
    for number in range(count):
        # One octet with one digit and one with two: text and numbers compare otherwise.
        last = number * 7 + 3
        asn = draw(st.sampled_from([64512, 65001])) if own_as else None
        four = f"10.0.0.{last}/24"
        six = f"fd00::{last:x}" if draw(st.booleans()) else None
        cluster_id = draw(st.sampled_from([None, None, "1.1.1.1", "2.2.2.2"]))
        labels = {"rr": "yes"} if cluster_id else {}
        labels["rack"] = draw(st.sampled_from(["1", "2"]))
        members.append((f"n{number}", four.split("/")[0], asn or 64512))
        documents.append(node(f"n{number}", four, six, asn=asn, cluster_id=cluster_id, **labels))
    documents.append(settings(nodeToNodeMeshEnabled=draw(st.booleans())))
    for number in range(draw(st.integers(0, 4))):
        scope: dict[str, Any] = draw(
            st.sampled_from(
                [{}, {"node": "n0"}, {"nodeSelector": "has(rr)"}, {"nodeSelector": "rack == '1'"}]
            )
        )
        name, address, asn = draw(st.sampled_from(members))
        target: dict[str, Any] = draw(
            st.sampled_from(
                [
                    {"peerSelector": "has(rr)"},
                    {"peerSelector": "rack == '2'"},
                    {"peerIP": address, "asNumber": asn},
                ]
            )
        )
        documents.append(peer(f"p{number}-{name}", **scope, **target))
    documents.extend(
        settings(f"node.n{number}", listenPort=1790 + number)
        for number in range(count)
        if draw(st.booleans())
    )
    return documents


@given(clusters())
def test_both_ends_of_every_session_agree(documents: list[dict[str, Any]]) -> None:
    everything = resources(*documents)
    plans = {name: resolve(everything, name) for name in everything.nodes}
    by_address = {address: found for found in plans.values() for address in found.own_addresses}
    for me in plans.values():
        for mine in me.peers.values():
            other = by_address[mine.address]
            assert mine.source_address is not None
            (theirs,) = [
                item for item in other.peers.values() if item.address == mine.source_address
            ]
            assert not (mine.passive and theirs.passive)
            assert (mine.local_asn, mine.peer_asn) == (theirs.peer_asn, theirs.local_asn)
            assert mine.families == theirs.families
            assert mine.port == other.listen_port


def test_a_node_that_shares_its_address_with_a_reflector_stays_in_the_mesh() -> None:
    reflector = node("b", "10.0.0.2/24", cluster_id="1.1.1.1")
    found = plan("a", THREE[0], reflector, node("c", "10.0.0.2/24"))
    assert names(found) == ["Mesh_10_0_0_2"]
    assert not found.standing
