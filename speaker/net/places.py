"""What a plan asks of who connects, by places: single addresses, and ranges.

The kernel takes the password of the longest prefix, and knows no prefix without one. So a range
that is signed and has parts in it that are not (a single peer, or a range of its own) is signed
around them, in pieces. Of keys of TCP-AO all count, whatever their prefix, so such a range is
signed around everything else.

Standards: RFC 2385 §2; RFC 5925 §3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self, TypeAlias

from speaker.config.peerplan import PeerPlan
from speaker.config.plan import Plan
from speaker.net.admission import Terms

Network: TypeAlias = IPv4Network | IPv6Network


def place_of(network: Network) -> str:
    """Write a range as a place: a single address has no length."""
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address if whole else network)


def network_of(place: str) -> Network:
    """Read a place: an address, whose zone does not count, or a range."""
    return ip_network(place.partition("%")[0])


def pieces(network: Network, unsigned: Iterable[Network]) -> list[Network]:
    """Divide a signed range so that what is unsigned in it is left out.

    Args:
        network: the range.
        unsigned: addresses and ranges without a key; those that are not inside do not matter.
    """
    holes = [hole for hole in unsigned if hole != network and _is_in(hole, network)]
    return list(_around(network, holes))


def _around(network: Network, holes: list[Network]) -> Iterator[Network]:
    """Give what is left of a range without holes that are all in it."""
    if not holes:
        yield network
    elif network not in holes:
        for half in network.subnets():
            yield from _around(half, [hole for hole in holes if _is_in(hole, half)])


def _parts(network: Network, terms: Terms, others: Mapping[Network, Terms]) -> list[Network]:
    """Give where the password or the keys of a range have to be.

    Args:
        network: the range.
        terms: of it.
        others: ranges and single addresses, with theirs.
    """
    if not terms.keys:
        return pieces(network, [place for place, each in others.items() if not each.password])
    nobody = ip_network("::" if network.version == 6 else "0.0.0.0")
    # For the system a prefix that begins with it is all addresses, or a mistake.
    begins = network.network_address == nobody.network_address
    inside = [place for place in others if place != network and _is_in(place, network)]
    whole = not network.prefixlen and not inside
    return pieces(network, inside if not begins or whole else [*inside, nobody])


def _is_in(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # as it says


@dataclass(frozen=True, slots=True)
class Demands:
    """What is asked at a node's listening sockets.

    Attributes:
        terms: of each place.
        places: where the key of each signed range has to be, by the range as text.
    """

    terms: Mapping[str, Terms]
    places: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Gather those of a plan: of named peers, who come first, and of ranges."""
        named = _of_peers(peer for peer in plan.peers.values() if not peer.range)
        ranges = {
            network: Terms.of(each.template_of(str(network.network_address)))
            for each in plan.ranges.values()
            for network in each.networks
        }
        alone = {network_of(address): terms for address, terms in named.items()}
        others = ranges | alone
        terms: dict[str, Terms] = {}
        places: dict[str, tuple[str, ...]] = {}
        for network, each in ranges.items():
            if network in alone:
                continue
            parts = [network]
            if each.password is not None or each.keys:
                parts = _parts(network, each, others)
                places[str(network)] = tuple(map(place_of, parts))
            terms |= dict.fromkeys(map(place_of, parts), each)
        return cls({**terms, **named}, places)

    @property
    def passwords(self) -> int:
        """How many keys a listening socket for all addresses has."""
        return sum(each.password is not None for each in self.terms.values())

    def asks_for_keys(self, places: Iterable[str]) -> bool:
        """Tell whether it is TCP-AO that any of these places asks for."""
        return any(self.terms[place].keys for place in places)

    @property
    def keys(self) -> int:
        """How many keys of TCP-AO it has."""
        return sum(len(each.keys) for each in self.terms.values())


def _of_peers(plans: Iterable[PeerPlan]) -> dict[str, Terms]:
    """Give the terms of each address: where it has several peers, what any of them asks for."""
    found: dict[str, Terms] = {}
    for plan in plans:
        other = found.get(plan.address, Terms())
        password, keys = other.password or plan.password, other.keys or plan.tcp_ao
        found[plan.address] = Terms(password, other.hops or plan.ttl_security, keys)
    return found
