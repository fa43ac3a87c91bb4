"""Values that pass between the kernel thread and the rest of the router.

`Forwarding` is what goes in: how a prefix is to be installed. The events come out, in batches, in
the order things happened. `Snapshot` is what was found at the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import Nlri
from speaker.rib.underlay import Address, KernelRoute, Link, RouteKind

__all__ = [
    "Address",
    "AddressesChanged",
    "Forwarding",
    "Forwardings",
    "KernelEvent",
    "KernelFacts",
    "KernelFailed",
    "KernelRoute",
    "Link",
    "LinksChanged",
    "RouteConflict",
    "RouteKind",
    "RoutesChanged",
    "RoutesRefused",
    "RoutesRepaired",
    "Snapshot",
    "Swept",
    "normal",
]

IPV6_DEFAULT_METRIC = 1024
"""What the kernel makes of metric 0 in IPv6."""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What a prefix is to be installed as.

    Attributes:
        kind: unicast with hops; blackhole or unreachable without.
        hops: one or several ways out; a gateway of the other family is allowed for IPv4.
        metric: the kernel's priority, lower wins; part of the kernel's key for a route.
        onlink: take the gateways as neighbours although no connected subnet covers them.
        way: a number by which the caller knows this set of next hops, from 1 on; where the last
            forwarding of a number leads, there lead all routes of that number. 0: the hops
            themselves say what belongs together.
        nexthop: number of the kernel's object that a route names instead of hops. Only the kernel
            room sets it.
    """

    kind: RouteKind = RouteKind.UNICAST
    hops: tuple[Hop, ...] = ()
    metric: int = 0
    onlink: bool = False
    way: int = 0
    nexthop: int = 0


def normal(afi: Afi, forwarding: Forwarding) -> Forwarding:
    """Write a forwarding as the kernel would tell it back, so that equal ones compare equal.

    Hops are in one order without repetition, a single hop has weight 1, and metric 0 of IPv6 is
    1024.
    """
    hops = tuple(sorted(set(forwarding.hops), key=_order))
    if forwarding.kind is not RouteKind.UNICAST:
        hops = ()
    elif len(hops) == 1 and hops[0].weight != 1:
        hops = (Hop(hops[0].interface, hops[0].gateway, hops[0].interface_name),)
    metric = forwarding.metric
    if afi is Afi.IPV6 and metric == 0:
        metric = IPV6_DEFAULT_METRIC
    if hops == forwarding.hops and metric == forwarding.metric:
        return forwarding
    return replace(forwarding, hops=hops, metric=metric)


class Forwardings:
    """Keep one object for each forwarding, so that comparing two of them is nearly always ``is``.

    Equality stays the meaning: forgetting the table costs time, never correctness.
    """

    _KEPT = 65536

    def __init__(self) -> None:
        self._kept: dict[Forwarding, Forwarding] = {}

    def intern(self, afi: Afi, forwarding: Forwarding) -> Forwarding:
        """Give the one object that stands for this forwarding, in its normal form."""
        kept = self._kept.get(forwarding)
        # The normal form differs between families only for metric 0, which IPv6 never keeps.
        if kept is not None and (afi is Afi.IPV4 or kept.metric):
            return kept
        if len(self._kept) >= self._KEPT:
            self._kept.clear()
        form = normal(afi, forwarding)
        return self._kept.setdefault(form, form)


def _order(hop: Hop) -> tuple[bytes, int, int]:
    return (hop.gateway, hop.interface, hop.weight)


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What the kernel can do, and how it is set.

    Attributes:
        nexthop_objects: routes name objects instead of hops of their own.
        nexthop_compat: to others it shows them as plain routes (net.ipv4.nexthop_compat_mode);
            None where there are no objects.
        resilient_groups: these objects can keep flows where they are (`policy.resilience`).
    """

    nexthop_objects: bool = False
    nexthop_compat: bool | None = None
    resilient_groups: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The node as it was found at the start.

    Attributes:
        links: all interfaces.
        addresses: all our addresses.
        routes: foreign routes of the learned tables, best metric first.
        adopted: how many routes of ours were found, per family.
        facts: what the kernel can do.
    """

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: Mapping[Afi, Mapping[Nlri, tuple[KernelRoute, ...]]] = field(default_factory=dict)
    adopted: Mapping[Afi, int] = field(default_factory=dict)
    facts: KernelFacts = KernelFacts()


@dataclass(frozen=True, slots=True)
class LinksChanged:
    """Interfaces that are new or different, and the indexes of those that have gone."""

    links: tuple[Link, ...] = ()
    gone: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressesChanged:
    """Addresses that this node has got, and those it has lost."""

    addresses: tuple[Address, ...] = ()
    gone: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """Foreign routes changed: for each prefix all that are there now, best first; none: gone."""

    afi: Afi
    changes: tuple[tuple[Nlri, tuple[KernelRoute, ...]], ...]


@dataclass(frozen=True, slots=True)
class RoutesRefused:
    """The kernel refused routes of ours; they are tried again with growing pauses."""

    afi: Afi
    nlris: tuple[Nlri, ...]
    errno: int
    text: str


@dataclass(frozen=True, slots=True)
class RouteConflict:
    """A foreign route holds the place (prefix and metric) of ours, which waits for it to go."""

    afi: Afi
    nlri: Nlri
    foreign: KernelRoute


@dataclass(frozen=True, slots=True)
class RoutesRepaired:
    """Somebody else removed or changed routes of ours; they are being put back."""

    afi: Afi
    nlris: tuple[Nlri, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """Adopted routes that nobody wanted are being removed."""

    afi: Afi
    count: int


@dataclass(frozen=True, slots=True)
class KernelFailed:
    """The kernel thread ended by a fault; nothing is installed from now on."""

    text: str


KernelEvent: TypeAlias = (
    LinksChanged
    | AddressesChanged
    | RoutesChanged
    | RoutesRefused
    | RouteConflict
    | RoutesRepaired
    | Swept
    | KernelFailed
)
