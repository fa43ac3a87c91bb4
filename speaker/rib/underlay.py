"""The underlay: links, addresses and foreign routes of this node, as values.

What the kernel says of the ground that BGP's routes stand on. The kernel thread makes these values
and tells them upstairs; `speaker.rib.next_hops` reads them to find out which next hops can be
reached. They stand on this floor, below both, because the tables may not know the kernel.

A *foreign* route is one that is not ours: connected subnets, static routes, routes of other
daemons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from policy.path import Hop
from policy.prefix import Nlri


class RouteKind(IntEnum):
    """What becomes of a packet that takes the route; the numbers are the kernel's RTN types."""

    UNICAST = 1
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9


@dataclass(frozen=True, slots=True)
class Link:
    """An interface.

    Attributes:
        index: the kernel's number of it.
        name: its name.
        is_up: somebody set it up.
        has_carrier: it can carry packets now (the kernel's lower-up, RFC 2863's operational state).
        kind: the sort of virtual device (``veth``, ``bridge``, ``vxlan`` …), empty for hardware.
    """

    index: int
    name: str
    is_up: bool = True
    has_carrier: bool = True
    kind: str = ""

    @property
    def is_usable(self) -> bool:
        """Tell whether packets can leave here."""
        return self.is_up and self.has_carrier


@dataclass(frozen=True, slots=True)
class Address:
    """An address of this node: 4 or 16 octets, the length of its subnet, and the interface."""

    address: bytes
    length: int
    interface: int


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A foreign route.

    Attributes:
        nlri: the destination, packed.
        kind: what becomes of packets.
        hops: where they go; empty unless the kind is unicast. A hop without gateway is on-link.
        metric: the kernel's priority, lower wins.
        protocol: who made it (2 the kernel itself, 3 boot, 4 static, 12 BIRD …).
        table: the routing table it is in.
        scope: the kernel's scope (0 universe, 253 link, 254 host).
        tos: type of service it is limited to; 0 for nearly every route.
    """

    nlri: Nlri
    kind: RouteKind = RouteKind.UNICAST
    hops: tuple[Hop, ...] = ()
    metric: int = 0
    protocol: int = 0
    table: int = 254
    scope: int = 0
    tos: int = 0
