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

from policy.ranking import DEFAULT_OPTIONS, DecisionOptions, rank

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


PREFERENCE: dict[SourceKind, int] = {
    SourceKind.BGP: int(Preference.BGP),
    SourceKind.STATIC: int(Preference.STATIC),
    SourceKind.DIRECT: int(Preference.DIRECT),
    SourceKind.KERNEL: int(Preference.KERNEL),
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
        tells_several: the peer may tell several paths to one prefix (RFC 7911).
        options: how its paths are ranked.
        weight: how much of the traffic its next hops take where several share it, 1–256.

    Attributes:
        is_bgp: its routes came over a BGP session.
        is_internal: from a peer in our AS.
        rears: the last octets of its paths' ranks, by the cost of their next hops.
    """

    __slots__ = (
        "address",
        "asn",
        "is_bgp",
        "is_client",
        "is_internal",
        "kind",
        "name",
        "options",
        "peer_type",
        "preference",
        "rears",
        "router_id",
        "tells_several",
        "weight",
    )

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
        tells_several: bool = False,
        options: DecisionOptions = DEFAULT_OPTIONS,
        weight: int = 1,
    ) -> None:
        self.name = name
        self.kind = kind
        self.peer_type = peer_type
        self.address = address
        self.router_id = router_id
        self.asn = asn
        self.is_client = is_client
        self.tells_several = tells_several
        # Asked for every path, and a member of an enumeration costs more to look up than all else.
        self.is_bgp = kind is SourceKind.BGP
        self.is_internal = peer_type is PeerType.INTERNAL
        self.preference = PREFERENCE[kind]
        self.options = options
        self.weight = weight
        self.rears: dict[int, bytes] = {}

    def renumber(self, router_id: int) -> None:
        """Take another BGP Identifier for the paths that are ranked from now on."""
        self.router_id = router_id
        self.rears = {}

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
        blackhole: packets that no more specific route takes are dropped.
    """

    __slots__ = ("attributes", "blackhole", "metric", "next_hop", "preference", "rank", "source")

    rank: bytes

    def __init__(
        self,
        attributes: PathAttributes,
        source: Source,
        next_hop: NextHop,
        *,
        preference: int | None = None,
        metric: int | None = None,
        blackhole: bool = False,
    ) -> None:
        self.attributes = attributes
        self.source = source
        self.next_hop = next_hop
        self.preference = source.preference if preference is None else preference
        self.metric = metric
        self.blackhole = blackhole

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Make the rank when it is asked for first: most paths never have a rival."""
            if name != "rank":
                raise AttributeError(name)
            self.rank = rank(self, self.source.options)
            return self.rank

    def __repr__(self) -> str:
        return f"Path({self.source.name}, {self.attributes!r})"


def stays_out(best: Path) -> bool:
    """Tell whether there is nothing to install: the kernel's own, or a network only announced."""
    kind = best.source.kind
    if kind in (SourceKind.KERNEL, SourceKind.DIRECT):
        return True
    return kind is SourceKind.STATIC and not best.blackhole and not best.next_hop.hops


RELAYED_NEXT_HOP = NextHop(b"")
"""Of every relayed path: where it leads is for those who use it."""


class RelayedPath(Path):
    """A path of a family that is relayed.

    Attributes:
        rest: what its NLRI have beside their keys, a label for example (`speaker.wire.relay`).
    """

    __slots__ = ("rest",)

    def __init__(self, attributes: PathAttributes, source: Source, rest: bytes) -> None:
        super().__init__(attributes, source, RELAYED_NEXT_HOP)
        self.rest = rest
