"""Next hops: which addresses BGP's routes may point to, and where they lead.

A `NextHopTable` is told the underlay (links, addresses, foreign routes) and keeps one `NextHop`
object for each address that some path names. Resolution is a longest-prefix match over the foreign
routes; the kernel prefers a metric within a prefix, and so do we. A route whose gateway stands
without an interface is resolved again through its gateway, to a bounded depth. When the underlay
changes, only next hops that were resolved by way of what changed are looked at, the objects are
brought up to date in place, and those that differ are returned: a link that falls is one change
however many routes stand behind it.

An address of our own is never a valid next hop (RFC 4271 §5.1.3), nor is one behind a blackhole or
behind a link that is down: the kernel would still send packets that way, so a shorter prefix must
not be consulted instead.

Standards: RFC 4271 §5.1.3, §9.1.2.1 (resolvability), §9.1.2.2 e (cost); RFC 4007 (a link-local
address needs its link); RFC 8950 (an IPv6 next hop for IPv4 routes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fsm.family import Afi
from policy.path import Hop, NextHop
from policy.prefix import WIDTH, Nlri, afi_of_address, pack
from speaker.rib.underlay import Address, KernelRoute, Link, RouteKind

MAX_DEPTH = 8
"""So many gateways are followed; a longer chain, and any loop, ends unreachable."""

MAX_HOPS = 64
"""More ways out than this are not given to one next hop."""

RouteChange: TypeAlias = tuple[Nlri, Sequence[KernelRoute]]
"""A prefix and the foreign routes to it now; none when it has gone."""


def is_link_local(address: bytes) -> bool:
    """Tell whether an address has a meaning on its own link only (RFC 4291 §2.5.6)."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


class _Prefixes:
    """The foreign routes of one address family, for longest-prefix matches."""

    def __init__(self, afi: Afi) -> None:
        self._afi = afi
        self.routes: dict[Nlri, tuple[KernelRoute, ...]] = {}
        self._count = [0] * (WIDTH[afi] + 1)
        self._lengths: list[int] = []

    def set(self, nlri: Nlri, routes: Sequence[KernelRoute]) -> bool:
        """Replace what leads to a prefix; tell whether that is a change."""
        new = tuple(sorted(routes, key=lambda route: route.metric))
        old = self.routes.get(nlri, ())
        if new == old:
            return False
        if new:
            self.routes[nlri] = new
        else:
            del self.routes[nlri]
        self._count[nlri[0]] += bool(new) - bool(old)
        if bool(new) != bool(old):
            self._lengths = [n for n in range(WIDTH[self._afi], -1, -1) if self._count[n]]
        return True

    def match(self, address: bytes) -> tuple[KernelRoute, ...]:
        """Find the routes of the longest prefix that covers an address."""
        for length in self._lengths:
            routes = self.routes.get(pack(self._afi, address, length))
            if routes is not None:
                return routes
        return ()


@dataclass(slots=True)
class _Trail:
    """What one resolution looked at: a change of any of it may change the outcome."""

    addresses: set[bytes] = field(default_factory=set)
    interfaces: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Outcome:
    reachable: bool
    cost: int = 0
    hops: tuple[Hop, ...] = ()


_UNREACHABLE = _Outcome(reachable=False)


class _Changed:
    """The parts of the underlay that one update touched."""

    def __init__(self) -> None:
        self.interfaces: set[int] = set()
        self.addresses: set[bytes] = set()
        self._prefixes: dict[Afi, dict[int, set[Nlri]]] = {Afi.IPV4: {}, Afi.IPV6: {}}

    def add_prefix(self, afi: Afi, nlri: Nlri) -> None:
        """Note a prefix whose routes are others now."""
        self._prefixes[afi].setdefault(nlri[0], set()).add(nlri)

    def touches(self, trail: _Trail) -> bool:
        """Tell whether a resolution that left this trail has to be done again."""
        if not self.interfaces.isdisjoint(trail.interfaces):
            return True
        if not self.addresses.isdisjoint(trail.addresses):
            return True
        return any(self._covers(address) for address in trail.addresses)

    def _covers(self, address: bytes) -> bool:
        afi = afi_of_address(address)
        return any(
            pack(afi, address, length) in prefixes
            for length, prefixes in self._prefixes[afi].items()
        )


class NextHopTable:
    """Resolve next hops and tell which of them changed.

    Args:
        trusting: without a kernel to ask, take every next hop as reachable at cost 0.
    """

    def __init__(self, *, trusting: bool = False) -> None:
        self._trusting = trusting
        self._links: dict[int, Link] = {}
        self._addresses: dict[bytes, list[Address]] = {}
        self._prefixes = {afi: _Prefixes(afi) for afi in (Afi.IPV4, Afi.IPV6)}
        self._next_hops: dict[tuple[bytes, int], NextHop] = {}
        self._trails: dict[tuple[bytes, int], _Trail] = {}

    def __len__(self) -> int:
        return len(self._next_hops)

    def intern(self, address: bytes, scope: int = 0) -> NextHop:
        """Give the one `NextHop` of an address, resolved as things stand.

        Args:
            address: 4 or 16 octets; empty for a route that has no next hop.
            scope: the interface that a link-local address belongs to (RFC 4007 §6).
        """
        key = (address, scope)
        next_hop = self._next_hops.get(key)
        if next_hop is None:
            next_hop = self._next_hops[key] = NextHop(address)
            self._refresh(key, next_hop)
        return next_hop

    def retain(self, used: Iterable[NextHop]) -> int:
        """Forget every next hop that is not among ``used``; return how many went."""
        kept = {id(next_hop) for next_hop in used}
        gone = [key for key, next_hop in self._next_hops.items() if id(next_hop) not in kept]
        for key in gone:
            del self._next_hops[key]
            self._trails.pop(key, None)
        return len(gone)

    def update(
        self,
        *,
        links: Iterable[Link] = (),
        links_gone: Iterable[int] = (),
        addresses: Iterable[Address] = (),
        addresses_gone: Iterable[Address] = (),
        routes: Mapping[Afi, Iterable[RouteChange]] | None = None,
    ) -> list[NextHop]:
        """Take in what changed below, and return the next hops that are different now.

        Args:
            links: interfaces that are new or have changed.
            links_gone: indexes of interfaces that no longer exist.
            addresses: addresses we have now.
            addresses_gone: addresses we no longer have.
            routes: by family, prefixes with all foreign routes to them (none: the prefix has gone).
        """
        changed = _Changed()
        self._take_links(links, links_gone, changed)
        self._take_addresses(addresses, addresses_gone, changed)
        for afi, changes in (routes or {}).items():
            prefixes = self._prefixes[afi]
            for nlri, now in changes:
                if prefixes.set(nlri, now):
                    changed.add_prefix(afi, nlri)
        return [
            next_hop
            for key, next_hop in self._next_hops.items()
            if changed.touches(self._trails[key]) and self._refresh(key, next_hop)
        ]

    def _take_links(self, links: Iterable[Link], gone: Iterable[int], changed: _Changed) -> None:
        for link in links:
            if self._links.get(link.index) != link:
                self._links[link.index] = link
                changed.interfaces.add(link.index)
        for index in gone:
            if self._links.pop(index, None) is not None:
                changed.interfaces.add(index)

    def _take_addresses(
        self, addresses: Iterable[Address], gone: Iterable[Address], changed: _Changed
    ) -> None:
        for address in gone:
            owners = self._addresses.get(address.address, [])
            if address in owners:
                owners.remove(address)
                if not owners:
                    del self._addresses[address.address]
                    changed.addresses.add(address.address)
        for address in addresses:
            owners = self._addresses.setdefault(address.address, [])
            if not owners:
                changed.addresses.add(address.address)
            if address not in owners:
                owners.append(address)

    def _refresh(self, key: tuple[bytes, int], next_hop: NextHop) -> bool:
        """Resolve again; tell whether the outcome is another."""
        trail = self._trails[key] = _Trail()
        if self._trusting:
            return False
        outcome = self._resolve(*key, trail, 0)
        now = (outcome.reachable, outcome.cost, outcome.hops)
        then = (next_hop.reachable, next_hop.cost, next_hop.hops)
        if now == then and _names(outcome.hops) == _names(next_hop.hops):
            return False
        next_hop.reachable, next_hop.cost, next_hop.hops = now
        return True

    def _resolve(self, address: bytes, scope: int, trail: _Trail, depth: int) -> _Outcome:
        trail.addresses.add(address)
        if depth > MAX_DEPTH or not any(address) or address in self._addresses:
            return _UNREACHABLE
        if is_link_local(address):
            hop = self._way_out(scope, address, 1, trail)
            return _UNREACHABLE if hop is None else _Outcome(reachable=True, hops=(hop,))
        routes = self._prefixes[afi_of_address(address)].match(address)
        for route in routes:
            if route.kind is not RouteKind.UNICAST:
                return _UNREACHABLE
            hops = self._hops_of(route, address, trail, depth)
            if hops:
                return _Outcome(reachable=True, cost=route.metric, hops=hops)
        return _UNREACHABLE

    def _hops_of(
        self, route: KernelRoute, address: bytes, trail: _Trail, depth: int
    ) -> tuple[Hop, ...]:
        """Follow each hop of the resolving route to where packets leave."""
        found: dict[Hop, None] = {}
        for hop in route.hops:
            if hop.interface:
                way = self._way_out(hop.interface, hop.gateway or address, hop.weight, trail)
                if way is not None:
                    found[way] = None
            elif hop.gateway:
                found.update(dict.fromkeys(self._resolve(hop.gateway, 0, trail, depth + 1).hops))
        return tuple(found)[:MAX_HOPS]

    def _way_out(self, interface: int, gateway: bytes, weight: int, trail: _Trail) -> Hop | None:
        trail.interfaces.add(interface)
        link = self._links.get(interface)
        if link is None or not link.is_usable:
            return None
        return Hop(interface, gateway, link.name, weight)

    def is_own(self, address: bytes) -> bool:
        """Tell whether an address is one of this node's."""
        return address in self._addresses

    def interface_of(self, address: bytes) -> Link | None:
        """Find the interface an address lives on: its own if it is ours, else the way to it."""
        owners = self._addresses.get(address)
        if owners:
            return self._links.get(owners[0].interface)
        outcome = self._resolve(address, 0, _Trail(), 0)
        return self._links.get(outcome.hops[0].interface) if outcome.hops else None

    def on_link(self, address: bytes) -> Hop | None:
        """Find the interface on which an address is directly connected, or None if none is."""
        if address in self._addresses:
            return None
        for route in self._prefixes[afi_of_address(address)].match(address):
            for hop in route.hops:
                way = None if hop.gateway else self._way_out(hop.interface, b"", 1, _Trail())
                if way is not None:
                    return way
        return None


def _names(hops: tuple[Hop, ...]) -> list[str]:
    return [hop.interface_name for hop in hops]
