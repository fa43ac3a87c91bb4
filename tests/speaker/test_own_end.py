"""What a peer is told where we are the next hop, by session and family."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family
from fsm.negotiation import Negotiated
from policy.path import Hop
from policy.prefix import parse_prefix
from speaker.config.plan import PeerKind, PeerPlan
from speaker.net.transport import Endpoints, ReadBuffer, Transport
from speaker.own_end import OwnEnd
from speaker.rib.next_hops import NextHopTable
from speaker.rib.underlay import Address, KernelRoute, Link

BOTH = (IPV4_UNICAST, IPV6_UNICAST)
NODE = {Afi.IPV4: "10.0.0.1", Afi.IPV6: "2001:db8:9::1"}


def packed(text: str) -> bytes:
    return ip_address(text).packed if text else b""


class Node:
    """A node with the link ``eth0`` of 2001:db8::/64, on which it is fe80::1."""

    def __init__(self, own: Mapping[Afi, str]) -> None:
        self.own_addresses = {afi: packed(text) for afi, text in own.items()}
        self.next_hops = NextHopTable()
        connected = KernelRoute(parse_prefix("2001:db8::/64")[1], hops=(Hop(7),), protocol=2)
        self.next_hops.update(
            links=[Link(7, "eth0")],
            addresses=[Address(packed("2001:db8::1"), 64, 7), Address(packed("fe80::1"), 64, 7)],
            routes={Afi.IPV6: [(connected.nlri, [connected])]},
        )


def own_end(
    local: str,
    remote: str,
    *,
    agreed: bool = False,
    own: Mapping[Afi, str] = NODE,
    scope: int = 0,
) -> OwnEnd:
    negotiated = Negotiated(
        local_asn=65001,
        peer_asn=65002,
        peer_router_id=1,
        families=frozenset(BOTH),
        hold_time=90,
        keepalive_time=30,
        extended_next_hop=frozenset({(IPV4_UNICAST, Afi.IPV6)} if agreed else ()),
    )
    transport = Transport(ReadBuffer())
    transport.endpoints = Endpoints(local, 179, remote, 50000)
    transport.interface = scope
    return OwnEnd(packed(remote), negotiated, transport, Node(own))


@pytest.mark.parametrize(
    ("local", "agreed", "family", "expected"),
    [
        ("10.5.0.1", False, IPV4_UNICAST, "10.5.0.1"),
        ("10.5.0.1", False, IPV6_UNICAST, "2001:db8:9::1"),
        ("2001:db8::1", False, IPV6_UNICAST, "2001:db8::1"),
        ("2001:db8::1", False, IPV4_UNICAST, "10.0.0.1"),
        ("2001:db8::1", True, IPV4_UNICAST, "2001:db8::1"),
        ("fe80::1", True, IPV4_UNICAST, "fe80::1"),
    ],
)
def test_the_session_s_address_is_told_where_the_peer_can_read_it(
    local: str, agreed: bool, family: Family, expected: str
) -> None:
    """RFC 8950 §4."""
    remote = "10.5.0.2" if "." in local else "2001:db8::2"
    assert own_end(local, remote, agreed=agreed).next_hop(family) == packed(expected)


@pytest.mark.parametrize(
    ("local", "remote", "told", "expected"),
    [
        ("2001:db8::1", "2001:db8::2", "2001:db8::1", "fe80::1"),
        ("2001:db8::1", "2001:db8:7::2", "2001:db8::1", ""),
        ("2001:db8::1", "2001:db8::2", "2001:db8:9::1", ""),
        ("10.5.0.1", "10.5.0.2", "10.5.0.1", ""),
    ],
    ids=["on the link", "beyond a router", "another address of ours", "IPv4"],
)
def test_the_link_local_address_is_for_peers_on_the_link(
    local: str, remote: str, told: str, expected: str
) -> None:
    """RFC 2545 §3."""
    assert own_end(local, remote).beside(packed(told)) == packed(expected)


def test_between_link_local_addresses_there_is_one_next_hop_and_the_session_says_the_link() -> None:
    end = own_end("fe80::1", "fe80::2", scope=7)
    assert (end.interface, end.beside(packed("fe80::1"))) == (7, b"")
    assert packed("fe80::1") in end.every_address


def test_what_cannot_be_told_for_want_of_a_next_hop_is_a_condition() -> None:
    plan = PeerPlan("p", "2001:db8::2", 65001, 65002, BOTH, PeerKind.NODE, "tor")
    without = own_end("2001:db8::1", "2001:db8::2", own={})
    [condition] = without.conditions(plan, BOTH)
    assert (condition.resource, condition.reason) == ("BGPPeer/tor", "NoNextHop")
    assert "wren.bgp/extendedNextHop" in condition.message
    agreed = own_end("2001:db8::1", "2001:db8::2", own={}, agreed=True)
    assert list(agreed.conditions(plan, BOTH)) == []
