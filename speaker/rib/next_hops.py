"""Next hops: which addresses BGP's routes may point to, and where they lead.

A `NextHopTable` is told the underlay (links, addresses, foreign routes) and keeps one `NextHop`
object for each address that some path names. Resolution is a longest-prefix match over the foreign
routes; the kernel prefers a metric within a prefix, and so do we. A route whose gateway stands
without an interface is resolved again through its gateway, to a bounded depth. When the underlay
changes, only next hops that were resolved by way of what changed are looked at, the objects are
brought up to date in place, and those that differ are returned: a link that falls is one change
however many routes stand behind it.

A BGP next hop of IPv6 may come with a link-local address beside the global one (RFC 2545 §3). A
global one that is a neighbour's is taken, as BIRD does on a session with a neighbour (FRR takes the
other). Where it is not on a link of ours, or is none, the link-local one is taken, on the link of
the session: that a default route would lead to the global one somehow says nothing, as whoever
tells a link-local address is on the link. Without such a link the global one is resolved over
gateways, as any other next hop.

Where a peer's gateway mode is *direct* and the peer is on a link of ours, nothing is looked up: a
next hop that is on a link of ours is its own gateway, and any other one gives way to the peer, as
with BIRD's ``gateway direct``. As soon as the peer is on no link any more its next hops are
resolved as all others.

Static routes of our own, to peers behind a gateway, count beside the foreign ones: what such a peer
tells has the peer as next hop.

An address of our own is never a valid next hop (RFC 4271 §5.1.3), nor is one behind a blackhole or
behind a link that is down: the kernel would still send packets that way, so a shorter prefix must
not be consulted instead.

Standards: RFC 4271 §5.1.3, §9.1.2.1 (resolvability), §9.1.2.2 e (cost); RFC 4007 (a link-local
address needs its link, and may be ours on one and a neighbour's on another); RFC 8950 (an IPv6 next
hop for IPv4 routes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from fsm.family import Afi
from policy.path import Hop, NextHop
from policy.prefix import Nlri, afi_of_address, pack
from speaker.rib.longest_match import LongestMatch
from speaker.rib.resolving import Resolving, Step
from speaker.rib.underlay import Address, KernelRoute, Link, RouteKind

MAX_DEPTH = 8
"""So many gateways are followed; a longer chain, and any loop, ends unreachable."""

MAX_HOPS = 64
"""More ways out than this are not given to one next hop."""


class _Key(NamedTuple):
    """What a next hop was told as.

    Attributes:
        address: 4 or 16 octets.
        scope: the interface of its session.
        link_local: the address beside it.
        peer: who told it, where his gateway mode is direct.
    """

    address: bytes
    scope: int
    link_local: bytes
    peer: bytes


CONNECTED = 2
"""The protocol number of routes that the kernel makes itself, along with an address."""

RouteChange: TypeAlias = tuple[Nlri, Sequence[KernelRoute]]
"""A prefix and the foreign routes to it now; none when it has gone."""


def is_link_local(address: bytes) -> bool:
    """Tell whether an address has a meaning on its own link only (RFC 4291 §2.5.6)."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


@dataclass(slots=True)
class _Trail:
    """What one resolution looked at: a change of any of it may change the outcome.

    Attributes:
        steps: what was found, where somebody wants to know.
    """

    addresses: set[bytes] = field(default_factory=set)
    interfaces: set[int] = field(default_factory=set)
    steps: list[Step] | None = None

    def say(
        self,
        found: Resolving,
        address: bytes,
        route: KernelRoute | None = None,
        gateway: bytes = b"",
        interface: str = "",
    ) -> None:
        """Write a step down, if somebody wants to know."""
        if self.steps is not None:
            self.steps.append(Step(found, address, route, gateway, interface))


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
        self._prefixes = {afi: LongestMatch(afi) for afi in (Afi.IPV4, Afi.IPV6)}
        self._next_hops: dict[_Key, NextHop] = {}
        self._trails: dict[_Key, _Trail] = {}

    @property
    def is_trusting(self) -> bool:
        """Whether there is no kernel to ask, and every next hop counts as reachable."""
        return self._trusting

    def __len__(self) -> int:
        return len(self._next_hops)

    def intern(
        self, address: bytes, scope: int = 0, link_local: bytes = b"", peer: bytes = b""
    ) -> NextHop:
        """Give the one `NextHop` of an address, resolved as things stand.

        Args:
            address: 4 or 16 octets; empty for a route that has no next hop.
            scope: the interface that a link-local address belongs to (RFC 4007 §6).
            link_local: the one beside a global address (RFC 2545 §3), or empty.
            peer: the address of who told it, if it stands in for next hops that are on no link.
        """
        key = _Key(address, scope, link_local, peer)
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
        return self._refresh_touched(changed)

    def set_static_routes(self, static_routes: Mapping[Afi, Mapping[Nlri, bytes]]) -> list[NextHop]:
        """Take in our own static routes, all of them; return the next hops that changed.

        Args:
            static_routes: by family, the gateway of each prefix.
        """
        changed = _Changed()
        for afi, prefixes in self._prefixes.items():
            wanted = static_routes.get(afi, {})
            for nlri in [nlri for nlri in prefixes.static_routes if nlri not in wanted]:
                prefixes.set_static(nlri, None)
                changed.add_prefix(afi, nlri)
            for nlri, gateway in wanted.items():
                route = KernelRoute(nlri, hops=(Hop(0, gateway),))
                if prefixes.static_routes.get(nlri) != route:
                    prefixes.set_static(nlri, route)
                    changed.add_prefix(afi, nlri)
        return self._refresh_touched(changed)

    def _refresh_touched(self, changed: _Changed) -> list[NextHop]:
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

    def explain(self, next_hop: NextHop) -> list[Step]:
        """Say how a next hop is resolved, step by step; nothing for one that is not in the table.

        It takes a look through all next hops, of which there are few.
        """
        key = next((key for key, known in self._next_hops.items() if known is next_hop), None)
        if key is None:
            return []
        if self._trusting:
            return [Step(Resolving.TRUSTED, key.address)]
        steps: list[Step] = []
        self._outcome(key, _Trail(steps=steps))
        return steps

    def _outcome(self, key: _Key, trail: _Trail) -> _Outcome:
        return self._directly(key, trail) or self._recursively(key, trail)

    def _refresh(self, key: _Key, next_hop: NextHop) -> bool:
        """Resolve again; tell whether the outcome is another."""
        trail = self._trails[key] = _Trail()
        if self._trusting:
            return False
        outcome = self._outcome(key, trail)
        now = (outcome.reachable, outcome.cost, outcome.hops)
        then = (next_hop.reachable, next_hop.cost, next_hop.hops)
        if now == then and _names(outcome.hops) == _names(next_hop.hops):
            return False
        next_hop.reachable, next_hop.cost, next_hop.hops = now
        return True

    def _recursively(self, key: _Key, trail: _Trail) -> _Outcome:
        outcome = self._resolve(key.address, key.scope, trail, 0)
        return self._beside(outcome, key, trail) if key.link_local else outcome

    def _beside(self, outcome: _Outcome, key: _Key, trail: _Trail) -> _Outcome:
        """Take the link-local address beside a global one that is no neighbour's."""
        if outcome.reachable and all(hop.gateway == key.address for hop in outcome.hops):
            return outcome
        trail.say(Resolving.BESIDE, key.link_local)
        beside = self._resolve(key.link_local, key.scope, trail, 0)
        return beside if beside.reachable else outcome

    def _directly(self, key: _Key, trail: _Trail) -> _Outcome | None:
        """Take the next hop or its teller as gateway; None unless the teller is a neighbour."""
        peer = self._neighbour(key.peer, key.scope, trail) if key.peer else None
        if peer is None:
            return None
        if self.is_own(key.address, key.scope):
            trail.say(Resolving.OWN, key.address)
            return _UNREACHABLE
        told = (key.address, key.link_local)
        ways = (self._neighbour(address, key.scope, trail) for address in told if any(address))
        way = next(filter(None, ways), peer)
        found = Resolving.PEER if way is peer else Resolving.ON_LINK
        trail.say(found, key.address, None, way.gateway, way.interface_name)
        return _Outcome(reachable=True, hops=(way,))

    def _neighbour(self, address: bytes, scope: int, trail: _Trail) -> Hop | None:
        """Give the way to an address that is on a link of ours; None if it is not."""
        trail.addresses.add(address)
        if address in self._addresses and not is_link_local(address):
            return None
        if is_link_local(address):
            return self._way_out(scope, address, 1, trail)
        for route in self._prefixes[afi_of_address(address)].match(address):
            for hop in route.hops:
                way = None
                if hop.interface and not hop.gateway:
                    way = self._way_out(hop.interface, address, 1, trail)
                if way is not None:
                    return way
        return None

    def _resolve(self, address: bytes, scope: int, trail: _Trail, depth: int) -> _Outcome:
        trail.addresses.add(address)
        dead = self._never(address, scope, depth)
        if dead is not None:
            trail.say(dead, address)
            return _UNREACHABLE
        if is_link_local(address):
            return self._resolve_on_link(address, scope, trail)
        routes = self._prefixes[afi_of_address(address)].match(address)
        for route in routes:
            if route.kind is not RouteKind.UNICAST:
                trail.say(Resolving.DEAD_END, address, route)
                return _UNREACHABLE
            hops = self._hops_of(route, address, trail, depth)
            if hops:
                return _Outcome(reachable=True, cost=_cost(route), hops=hops)
        if not routes:
            trail.say(Resolving.NO_ROUTE, address)
        return _UNREACHABLE

    def _never(self, address: bytes, scope: int, depth: int) -> Resolving | None:
        """Say why an address can lead nowhere, whatever the routes."""
        if depth > MAX_DEPTH:
            return Resolving.TOO_DEEP
        if not any(address):
            return Resolving.NONE
        return Resolving.OWN if self.is_own(address, scope) else None

    def _resolve_on_link(self, address: bytes, scope: int, trail: _Trail) -> _Outcome:
        hop = self._way_out(scope, address, 1, trail)
        if hop is None:
            link = self._links.get(scope)
            found = Resolving.NO_LINK if link is None else Resolving.LINK_DOWN
            trail.say(found, address, interface="" if link is None else link.name)
            return _UNREACHABLE
        trail.say(Resolving.ON_LINK, address, interface=hop.interface_name)
        return _Outcome(reachable=True, hops=(hop,))

    def _hops_of(
        self, route: KernelRoute, address: bytes, trail: _Trail, depth: int
    ) -> tuple[Hop, ...]:
        """Follow each hop of the resolving route to where packets leave."""
        found: dict[Hop, None] = {}
        for hop in route.hops:
            if hop.interface:
                way = self._way_out(hop.interface, hop.gateway or address, hop.weight, trail)
                if way is None:
                    link = self._links.get(hop.interface)
                    name = "" if link is None else link.name
                    trail.say(Resolving.LINK_DOWN, address, route, interface=name)
                    continue
                how = Resolving.BY_GATEWAY if hop.gateway else Resolving.ON_LINK
                trail.say(how, address, route, hop.gateway, way.interface_name)
                found[way] = None
            elif hop.gateway:
                trail.say(Resolving.RECURSIVE, address, route, hop.gateway)
                found.update(dict.fromkeys(self._resolve(hop.gateway, 0, trail, depth + 1).hops))
        return tuple(found)[:MAX_HOPS]

    def _way_out(self, interface: int, gateway: bytes, weight: int, trail: _Trail) -> Hop | None:
        trail.interfaces.add(interface)
        link = self._links.get(interface)
        if link is None or not link.is_usable:
            return None
        return Hop(interface, gateway, link.name, weight)

    def is_own(self, address: bytes, scope: int = 0) -> bool:
        """Tell whether an address is one of this node's; a link-local one: on that interface."""
        owners = self._addresses.get(address)
        if owners is None or not scope or not is_link_local(address):
            return owners is not None
        return any(owner.interface == scope for owner in owners)

    def link_local_on(self, interface: int) -> bytes:
        """Give our link-local address on an interface; empty where there is none."""
        found = (
            address
            for address, owners in self._addresses.items()
            if is_link_local(address) and any(owner.interface == interface for owner in owners)
        )
        return min(found, default=b"")

    def interface_of(self, address: bytes) -> Link | None:
        """Find the interface an address lives on: its own if it is ours, else the way to it."""
        owners = self._addresses.get(address)
        if owners:
            return self._links.get(owners[0].interface)
        outcome = self._resolve(address, 0, _Trail(), 0)
        return self._links.get(outcome.hops[0].interface) if outcome.hops else None

    def on_link(self, address: bytes) -> Hop | None:
        """Find the way to an address that is directly connected, or None if it is not."""
        return self._neighbour(address, 0, _Trail())


def _cost(route: KernelRoute) -> int:
    """Give the distance of what a route resolves (RFC 4271 §9.1.2.2 e).

    A neighbour is at no distance. The metric of a connected subnet says nothing of it: the kernel
    gives 0 in IPv4 and 256 in IPv6, and two links, or a link-local and a global address, would
    never be equally near.
    """
    connected = route.protocol == CONNECTED and not any(hop.gateway for hop in route.hops)
    return 0 if connected else route.metric


def _names(hops: tuple[Hop, ...]) -> list[str]:
    return [hop.interface_name for hop in hops]
