"""A range from which peers are accepted that nobody names one by one, settled for one node.

A `PeerRange` is to such peers what a `PeerPlan` is to a single one: everything is known but the
address and, perhaps, the AS. When somebody has connected and said his AS, `PeerRange.plan_of` makes
his plan. From then on that stands among the plans of all peers, so an edit of the BGPPeer does to
his session whatever it does to those of others: `with_dynamic` says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Self

from speaker.config.as_ranges import (
    AsRanges,
    has_as,
    parse_as_ranges,
    representatives,
    settled,
    show_as_ranges,
)
from speaker.config.listen_ranges import Network, parse_listen_range
from speaker.config.peerplan import PeerPlan

MAX_PEERS = 100
"""Peers of a range at once, if nobody says otherwise."""

IN_NAMES = str.maketrans(".:%-", "____")
"""What no name of a session has."""


@dataclass(frozen=True, slots=True)
class PeerRange:
    """Everything about peers of one BGPPeer but who they are.

    Attributes:
        name: ``Dynamic_rack1``, with which the names of its peers begin.
        resource: the BGPPeer.
        networks: from where they may come; none overlaps with another.
        asns: that they may have.
        limit: how many there may be at once.
        templates: their plans, one for each family of addresses, within our AS and without, as far
            as there may be such.
        interface: on whose link they are; empty for any.
    """

    name: str
    resource: str
    networks: tuple[Network, ...]
    asns: AsRanges
    limit: int
    templates: tuple[PeerPlan, ...]
    interface: str = ""

    @classmethod
    def like(cls, peer: PeerPlan, networks: str, asns: str, limit: int = MAX_PEERS) -> Self:
        """Make a range of peers that differ in nothing but their addresses and AS numbers.

        Args:
            peer: what they have; the range has its name and resource.
            networks: as ``wren.bgp/listenRange`` has them.
            asns: as ``wren.bgp/asRange`` has them.
            limit: how many there may be at once.

        Raises:
            ScalarError: one of the texts makes no sense.
        """
        places = parse_listen_range(networks)
        numbers = settled(parse_as_ranges(asns), peer.local_asn)
        firsts = {place.version: place for place in reversed(places)}
        templates = tuple(
            replace(
                peer,
                address=str(place.network_address),
                range=str(place),
                peer_asn=asn,
                passive=True,
                role=None if asn == peer.local_asn else peer.role,
            )
            for place in firsts.values()
            for asn in representatives(numbers, peer.local_asn)
        )
        return cls(peer.name, peer.resource, places, numbers, limit, templates)

    def network_of(self, address: str) -> Network | None:
        """Give the range that has an address, which may have a zone; None if none does."""
        plain, _, zone = address.partition("%")
        if self.interface and zone != self.interface:
            return None
        packed = ip_address(plain)
        return next((network for network in self.networks if packed in network), None)

    def template_of(self, address: str) -> PeerPlan:
        """Give what holds for every peer of an address's family, whatever its AS."""
        is_ipv6 = ":" in address
        return next(plan for plan in self.templates if (":" in plan.address) is is_ipv6)

    def plan_of(self, address: str, asn: int) -> PeerPlan | None:
        """Make the plan of a peer; None if it is not in the range, or has no AS that it may have.

        Args:
            address: canonical text, a link-local one with its zone.
            asn: that it says it has.
        """
        network = self.network_of(address)
        if network is None or not has_as(self.asns, asn):
            return None
        is_ipv6 = ":" in address
        for plan in self.templates:
            if (":" in plan.address) is is_ipv6 and plan.is_internal is (plan.local_asn == asn):
                return replace(
                    plan,
                    name=f"{self.name}_{address.translate(IN_NAMES)}",
                    address=address,
                    peer_asn=asn,
                    range=str(network),
                )
        return None

    def examples(self) -> dict[str, PeerPlan]:
        """Give a plan of each kind that there may be, by name, for whoever judges without peers."""
        found: dict[str, PeerPlan] = {}
        for plan in self.templates:
            made = self.plan_of(plan.address, plan.peer_asn)
            if made is not None and made.name in found:
                made = replace(made, name=f"{made.name}_AS{made.peer_asn}")
            if made is not None:
                found[made.name] = made
        return found

    def __str__(self) -> str:
        networks = ", ".join(map(str, self.networks))
        return f"{networks} in AS {show_as_ranges(self.asns)}, {self.limit} at the most"


def find_range(ranges: Iterable[PeerRange], address: str) -> PeerRange | None:
    """Give the range with the longest prefix that has an address; None if none does."""
    found: PeerRange | None = None
    longest = -1
    for each in ranges:
        network = each.network_of(address)
        if network is not None and network.prefixlen > longest:
            found, longest = each, network.prefixlen
    return found


def dynamic_plans(
    ranges: Iterable[PeerRange], before: Iterable[PeerPlan], taken: Iterable[PeerPlan]
) -> dict[str, PeerPlan]:
    """Give the plans that peers of ranges have under other ranges, by name.

    Args:
        ranges: that are in force from now on.
        before: all plans so far; those of peers that somebody names are left alone.
        taken: plans of peers that somebody names from now on, who come first.
    """
    ranges, named = tuple(ranges), {plan.address for plan in taken}
    found: dict[str, PeerPlan] = {}
    for former in before:
        if not former.range or former.address in named:
            continue
        place = find_range(ranges, former.address)
        plan = None if place is None else place.plan_of(former.address, former.peer_asn)
        if plan is not None:
            found[plan.name] = plan
    return found
