"""Our end of an Established session: the addresses that we can be reached by.

They decide what a peer is told where we are the next hop, and what no next hop of its own may be.
Routes of a family are told with the address that the session itself comes from, if the peer can
read it there: always an IPv6 one of IPv6 routes, and of IPv4 routes where both ends agreed on IPv6
next hops (RFC 8950 §4). Else the node's address of the family has to do; where it has none, the
routes that we would be the next hop of cannot be told, which is a condition.

To a peer on a link of ours the link-local address goes beside a global one (RFC 2545 §3).

Standards: RFC 2545 §3; RFC 4271 §5.1.3; RFC 8950 §4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Protocol

from fsm.family import RELAYED, Afi, Family
from fsm.negotiation import Negotiated
from policy.prefix import WIDTH
from speaker.config.conditions import Condition, Gravity
from speaker.config.plan import PeerPlan
from speaker.net.transport import Transport
from speaker.rib.next_hops import NextHopTable, is_link_local


class Addresses(Protocol):
    """What the router knows of its own addresses."""

    @property
    def next_hops(self) -> NextHopTable:
        """What is on which link."""

    @property
    def own_addresses(self) -> Mapping[Afi, bytes]:
        """This node's BGP address of each family."""


class OwnEnd:
    """Our end of one session.

    Args:
        peer: the other end's address, packed.
        negotiated: what both ends agreed.
        transport: the connection.
        addresses: of the router.
    """

    def __init__(
        self, peer: bytes, negotiated: Negotiated, transport: Transport, addresses: Addresses
    ) -> None:
        self._peer = peer
        self._negotiated = negotiated
        self._transport = transport
        self._addresses = addresses

    @property
    def address(self) -> bytes:
        """Our address of the connection; empty where it is not known."""
        endpoints = self._transport.endpoints
        return b"" if endpoints is None else ip_address(endpoints.local).packed

    @property
    def every_address(self) -> frozenset[bytes]:
        """What no next hop of this peer may be, also where no kernel tells our addresses."""
        return frozenset((*self._addresses.own_addresses.values(), self.address))

    @property
    def interface(self) -> int:
        """The interface of the link that we share with the peer; 0 where there is none."""
        if self._transport.interface:
            return self._transport.interface
        hop = self._addresses.next_hops.on_link(self._peer)
        return 0 if hop is None else hop.interface

    def takes_ipv6(self, family: Family) -> bool:
        """Tell whether IPv4 routes of a family may have IPv6 next hops (RFC 8950 §4)."""
        return (family, Afi.IPV6) in self._negotiated.extended_next_hop

    def next_hop(self, family: Family) -> bytes:
        """Give our address as a next hop; empty where there is none that the peer could read."""
        if family in RELAYED:
            # It is never told: next hops stay.
            return b""
        address = self.address
        readable = len(address) == WIDTH[family.afi] >> 3
        if readable or (len(address) == 16 and self.takes_ipv6(family)):
            return address
        return self._addresses.own_addresses.get(family.afi, b"")

    def beside(self, next_hop: bytes) -> bytes:
        """Give our link-local address beside a global one, on a link with the peer."""
        if len(next_hop) != 16 or next_hop != self.address or is_link_local(next_hop):
            return b""
        return self._addresses.next_hops.link_local_on(self.interface)

    def conditions(self, plan: PeerPlan, families: Iterable[Family]) -> Iterator[Condition]:
        """Say which routes cannot be told for want of a next hop."""
        for family in families:
            if family in RELAYED or self.next_hop(family):
                continue
            advice = ""
            if family.afi is Afi.IPV4:
                advice = "; wren.bgp/extendedNextHop, on at both ends, lets IPv6 ones be told"
            yield Condition(
                f"BGPPeer/{plan.resource}" if plan.resource else plan.name,
                Gravity.WARNING,
                "NoNextHop",
                f"{plan.name} is not told {family} routes of ours: this node has no address of"
                f" that family for their next hop{advice}",
            )
