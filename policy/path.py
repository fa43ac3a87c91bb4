"""A path: attributes as heard from one source, with its rank.

Three small kinds of object, all shared and compared by identity. A `Source` is where routes come
from: a peer's session, the kernel, a static route, this node itself. A `NextHop` is an address
whose reachability and cost the kernel tells us; every path through that address points to the one
object, so a link that goes down is one change. A `Path` joins attributes, source and next hop, and
carries the `rank` of RFC 4271 §9.1.2, computed once: an octet string, smaller is better, so that
comparing two routes is one ``memcmp`` (`policy.decision` builds it).

What belongs to a single prefix (nothing) is not here; flags belong on a `Path`, generations on
tables.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy.attributes import PathAttributes


class PeerType(StrEnum):
    """How a peer relates to our AS (RFC 4271 §1)."""

    EXTERNAL = "eBGP"
    INTERNAL = "iBGP"


class SourceKind(StrEnum):
    """Where a path comes from."""

    BGP = "BGP"
    STATIC = "static"
    DIRECT = "direct"
    KERNEL = "kernel"


class Preference(IntEnum):
    """Between sources of different kinds the higher preference wins, before any attribute is looked
    at.
    """

    DIRECT = 240
    STATIC = 200
    BGP = 100
    KERNEL = 10


PREFERENCE = {
    SourceKind.BGP: Preference.BGP,
    SourceKind.STATIC: Preference.STATIC,
    SourceKind.DIRECT: Preference.DIRECT,
    SourceKind.KERNEL: Preference.KERNEL,
}


class Source:
    """Where paths come from. One object per session, and one per local kind.

    Args:
        name: the peer's name, or the kind's.
        kind: BGP or a local kind.
        peer_type: for BGP, external or internal.
        address: the peer's address, 4 or 16 octets; empty for local kinds.
        router_id: the peer's BGP Identifier, or ours.
        asn: the peer's AS, or ours.
        is_client: the peer is our route-reflector client (RFC 4456).
    """

    __slots__ = ("address", "asn", "is_client", "kind", "name", "peer_type", "router_id")

    def __init__(
        self,
        name: str,
        kind: SourceKind,
        *,
        peer_type: PeerType | None = None,
        address: bytes = b"",
        router_id: int = 0,
        asn: int = 0,
        is_client: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.peer_type = peer_type
        self.address = address
        self.router_id = router_id
        self.asn = asn
        self.is_client = is_client

    @property
    def is_bgp(self) -> bool:
        """Tell whether routes of this source came over a BGP session."""
        return self.kind is SourceKind.BGP

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.kind.value})"


class Hop:
    """One way out: a gateway (empty when on-link) and an interface."""

    __slots__ = ("gateway", "interface", "interface_name", "weight")

    def __init__(
        self, interface: int, gateway: bytes = b"", interface_name: str = "", weight: int = 1
    ) -> None:
        self.interface = interface
        self.gateway = gateway
        self.interface_name = interface_name
        self.weight = weight

    def _key(self) -> tuple[int, bytes, int]:
        return (self.interface, self.gateway, self.weight)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hop) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Hop(interface={self.interface}, gateway={self.gateway.hex()!r})"


class NextHop:
    """An address that paths point to, and what the kernel says of it.

    Attributes:
        address: 4 or 16 octets; empty for routes without one (a blackhole, a connected subnet).
        reachable: whether a route to it exists (RFC 4271 §9.1.2.1).
        cost: the metric of the route that resolves it (RFC 4271 §9.1.2.2 e).
        hops: the immediate next hops that lead there.
    """

    __slots__ = ("address", "cost", "hops", "reachable")

    def __init__(
        self,
        address: bytes,
        *,
        reachable: bool = True,
        cost: int = 0,
        hops: tuple[Hop, ...] = (),
    ) -> None:
        self.address = address
        self.reachable = reachable
        self.cost = cost
        self.hops = hops

    @property
    def interface(self) -> str:
        """Name of the outgoing interface, or empty."""
        return self.hops[0].interface_name if self.hops else ""

    def __repr__(self) -> str:
        return f"NextHop({self.address.hex()!r}, reachable={self.reachable}, cost={self.cost})"


class Path:
    """Attributes as heard from one source.

    Attributes:
        preference: between kinds of source, higher wins (BGP 100, static 200 …).
        metric: the kernel's metric, for routes learned from the kernel; else None.
        rank: RFC 4271 §9.1.2 without MED, smaller is better.
        blackhole: a static route that drops what no more specific route takes.
    """

    __slots__ = ("attributes", "blackhole", "metric", "next_hop", "preference", "rank", "source")

    def __init__(
        self,
        attributes: PathAttributes,
        source: Source,
        next_hop: NextHop,
        *,
        preference: int | None = None,
        metric: int | None = None,
        blackhole: bool = False,
        rank: bytes = b"",
    ) -> None:
        self.attributes = attributes
        self.source = source
        self.next_hop = next_hop
        self.preference = int(PREFERENCE[source.kind]) if preference is None else preference
        self.metric = metric
        self.blackhole = blackhole
        self.rank = rank

    def __repr__(self) -> str:
        return f"Path({self.source.name}, {self.attributes!r})"
