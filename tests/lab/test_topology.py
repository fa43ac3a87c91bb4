from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from lab.errors import TopologyError
from lab.topology import End, Family, Kind, Link, Node, Peer, Peering, Topology

R1 = Node("r1", Kind.BIRD, asn=65001)
R2 = Node("r2", Kind.FRR, asn=65002)
HOST = Node("h", Kind.HOST)


def end(node: str, *addresses: str) -> End:
    return End(node, tuple(ip_interface(address) for address in addresses))


CABLE = Link((end("r1", "10.0.0.1/24", "fd00::1/64"), end("r2", "10.0.0.2/24", "fd00::2/64")))


def test_a_peering_gives_each_end_a_session_in_each_common_family() -> None:
    topology = Topology("t", (R1, R2), (CABLE,), (Peering(("r1", "r2"), hold_time=9),))

    assert topology.peers("r2") == (
        Peer(ip_address("10.0.0.1"), 65001, ip_address("10.0.0.2"), hold_time=9, node="r1"),
        Peer(ip_address("fd00::1"), 65001, ip_address("fd00::2"), hold_time=9, node="r1"),
    )
    assert [peer.families for peer in topology.peers("r2")] == [(Family.IPV4,), (Family.IPV6,)]


def test_each_end_of_a_peering_sees_its_own_side_of_the_options() -> None:
    peering = Peering(
        ("r1", "r2"), (Family.IPV4,), passive="r1", client="r2", next_hop_self=("r1",)
    )
    topology = Topology("t", (R1, R2), (CABLE,), (peering,))

    (seen_by_r1,), (seen_by_r2,) = topology.peers("r1"), topology.peers("r2")

    assert (seen_by_r1.passive, seen_by_r1.client, seen_by_r1.next_hop_self) == (True, True, True)
    assert (seen_by_r2.passive, seen_by_r2.client, seen_by_r2.next_hop_self) == (
        False,
        False,
        False,
    )


def test_interfaces_are_numbered_in_the_order_of_a_nodes_links() -> None:
    segment = Link((end("h", "10.9.0.2/24"), end("r1", "10.9.0.1/24")), "lan")
    topology = Topology("t", (R1, R2, HOST), (CABLE, segment))

    named = {node: [port.name for port in topology.interfaces(node)] for node in ("r1", "r2", "h")}

    assert named == {"r1": ["eth0", "eth1"], "r2": ["eth0"], "h": ["eth0"]}
    assert topology.interfaces("r1")[1].addresses == (ip_interface("10.9.0.1/24"),)


@pytest.mark.parametrize(
    ("node", "links", "expected"),
    [
        (Node("r1", Kind.BIRD, 1, router_id=ip_address("9.9.9.9")), (), "9.9.9.9"),  # type: ignore[arg-type]  # ip_address cannot tell mypy its family
        (Node("r1", Kind.BIRD, 1, addresses=(ip_interface("10.5.5.5/32"),)), (CABLE,), "10.5.5.5"),
        (Node("r1", Kind.BIRD, 1), (CABLE,), "10.0.0.1"),
        (Node("r1", Kind.BIRD, 1), (), "10.255.0.1"),
    ],
    ids=["given", "from lo", "from a link", "by position"],
)
def test_router_id_is_given_or_an_address_or_the_position(
    node: Node, links: tuple[Link, ...], expected: str
) -> None:
    assert str(Topology("t", (node, R2), links).router_id("r1")) == expected


def broken(**parts: object) -> str:
    whole: dict[str, object] = {"name": "t", "nodes": (R1, R2, HOST), "links": (CABLE,)}
    with pytest.raises(TopologyError) as caught:
        Topology(**{**whole, **parts})  # type: ignore[arg-type]  # what is wrong differs by test
    return str(caught.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"name": "../x"}, "name: '../x' is not a name"),
        ({"nodes": (), "links": ()}, "nodes: a lab needs at least one node"),
        ({"nodes": (R1, R1, R2)}, "the name 'r1' is taken twice"),
        ({"nodes": (R1, R2, Node("h", Kind.BIRD, asn=0))}, "nodes.h.asn: AS 0 is not within"),
        ({"nodes": (R1, R2, Node("x", Kind.GOBGP))}, "nodes.x: a gobgp node needs an asn"),
        (
            {"nodes": (R1, R2, Node("x", Kind.FRR, 1, nodename="y"))},
            "nodes.x.kind: datastore and nodename belong to kind wren only",
        ),
        (
            {"nodes": (R1, R2, Node("x", Kind.HOST, args=("-R",)))},
            "nodes.x.args: a host has no daemon that args could be for",
        ),
        (
            {"nodes": (R1, R2, Node("x", Kind.WREN, 1, extra="router bgp"))},
            "nodes.x.extra: extra belongs to the foreign daemons only",
        ),
        (
            {
                "nodes": (
                    *(R1, R2),
                    Node(
                        "x",
                        Kind.WREN,
                        datastore=Path("/etc/wren"),
                        networks=(ip_network("10.0.0.0/8"),),
                    ),
                )
            },
            "nodes.x: networks and peers stand in the datastore",
        ),
        (
            {"nodes": (R1, R2, Node("x", Kind.HOST, networks=(ip_network("10.0.0.0/8"),)))},
            "nodes.x: a host speaks no BGP",
        ),
        ({"links": (Link((end("r1"),)),)}, "links[0]: a link has two ends"),
        ({"links": (Link((end("r1"), end("r9"))),)}, "links[0].r9: there is no node 'r9'"),
        ({"links": (Link((end("r1"), end("r1"))),)}, "links[0].r1: r1 has two ends of one link"),
        (
            {"links": (CABLE, Link((end("r1"), end("h", "10.0.0.1/24"))))},
            "links[1].h: 10.0.0.1 belongs to r1 already",
        ),
        ({"peerings": (Peering(("r1", "r1")),)}, "bgp[0]: a node cannot peer with itself"),
        ({"peerings": (Peering(("r1", "h")),)}, "bgp[0]: h is a host and speaks no BGP"),
        ({"peerings": (Peering(("r1", "r3")),)}, "bgp[0]: there is no node 'r3'"),
        (
            {"peerings": (Peering(("r1", "r2"), client="h"),)},
            "bgp[0]: 'h' is not an end of this peering",
        ),
        (
            {"peerings": (Peering(("r1", "r2"), extra=(("h", "passive;"),)),)},
            "bgp[0]: 'h' is not an end of this peering",
        ),
        (
            {
                "nodes": (R1, R2, Node("x", Kind.WREN, 1, datastore=Path("/etc/wren"))),
                "peerings": (Peering(("r1", "x"), extra=(("x", "wren.bgp/role: peer"),)),),
            },
            "bgp[0]: what x has besides stands in its datastore",
        ),
        (
            {"links": (), "peerings": (Peering(("r1", "r2")),)},
            "bgp[0]: r1 and r2 share no link with ipv4 or ipv6 addresses in one network",
        ),
        (
            {
                "nodes": (R1, R2, Node("x", Kind.WREN, datastore=Path("/etc/wren"))),
                "peerings": (Peering(("r1", "x")),),
            },
            "bgp[0]: x needs an asn, so that its peer can be configured",
        ),
    ],
)
def test_a_topology_that_contradicts_itself_cannot_be_made(
    parts: dict[str, object], message: str
) -> None:
    assert message in broken(**parts)


def test_asking_for_a_node_that_is_not_there_tells_those_that_are() -> None:
    with pytest.raises(TopologyError, match="lab t has no node 'r7'; it has r1, r2"):
        Topology("t", (R1, R2)).node("r7")
