"""Builders of UPDATEs and of the tables they pass through, and strategies that draw them.

Paths and their attributes are made by `tests.support.routes`; here they become octets and tables.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family
from policy.attributes import Attribute, LargeCommunity
from policy.path import NextHop, Path, PeerType, Source, SourceKind
from policy.prefix import Nlri, PathIdNlri, pack
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import AdjRibInPaths
from speaker.rib.attribute_table import AttributeTable, Intake
from speaker.rib.inbound import Inbound
from speaker.rib.loc_rib import Delta, LocRib
from speaker.wire.attributes import ScanContext
from tests.support.routes import attribute, peer, u32

OUR_AS = 65000
OUR_ADDRESS = bytes((192, 0, 2, 254))


def body(withdrawn: bytes = b"", attributes: bytes = b"", nlri: bytes = b"") -> bytes:
    """Make the body of an UPDATE (RFC 4271 §4.3)."""
    return (
        len(withdrawn).to_bytes(2, "big")
        + withdrawn
        + len(attributes).to_bytes(2, "big")
        + attributes
        + nlri
    )


def reach(nlri: bytes, next_hop: bytes, family: Family = IPV6_UNICAST) -> bytes:
    """Make an MP_REACH_NLRI (RFC 4760 §3)."""
    return attribute(
        Attribute.MP_REACH_NLRI,
        family.afi.to_bytes(2, "big")
        + bytes((family.safi, len(next_hop)))
        + next_hop
        + b"\0"
        + nlri,
    )


def unreach(nlri: bytes, family: Family = IPV6_UNICAST) -> bytes:
    """Make an MP_UNREACH_NLRI (RFC 4760 §4)."""
    return attribute(
        Attribute.MP_UNREACH_NLRI, family.afi.to_bytes(2, "big") + bytes((family.safi,)) + nlri
    )


@dataclass(frozen=True)
class Facts:
    """What an attribute set says; `encode` puts it on the wire."""

    origin: int = 0
    path: tuple[tuple[int, tuple[int, ...]], ...] = ((2, (65001,)),)
    next_hop: bytes = bytes((192, 0, 2, 1))
    med: int | None = None
    local_pref: int | None = None
    communities: tuple[int, ...] = ()
    originator_id: int | None = None
    clusters: tuple[int, ...] = ()
    large: tuple[LargeCommunity, ...] = ()
    order: tuple[int, ...] = field(default=(), compare=False)

    def encode(self, *, as_octets: int = 4) -> bytes:
        """Write the attributes, in ascending order or in ``order``."""
        parts = self._parts(as_octets)
        if not self.order:
            return b"".join(parts)
        return b"".join(part for _, part in sorted(zip(self.order, parts, strict=False)))

    def _parts(self, as_octets: int) -> list[bytes]:
        path = b"".join(
            bytes((kind, len(numbers))) + b"".join(n.to_bytes(as_octets, "big") for n in numbers)
            for kind, numbers in self.path
        )
        parts = [
            attribute(Attribute.ORIGIN, bytes((self.origin,))),
            attribute(Attribute.AS_PATH, path),
        ]
        optional = (
            (Attribute.NEXT_HOP, self.next_hop),
            (Attribute.MULTI_EXIT_DISC, _number(self.med)),
            (Attribute.LOCAL_PREF, _number(self.local_pref)),
            (Attribute.COMMUNITIES, u32(*self.communities)),
            (Attribute.ORIGINATOR_ID, _number(self.originator_id)),
            (Attribute.CLUSTER_LIST, u32(*self.clusters)),
            (Attribute.LARGE_COMMUNITIES, b"".join(u32(*three) for three in self.large)),
        )
        return parts + [attribute(code, value) for code, value in optional if value]


def _number(value: int | None) -> bytes:
    return b"" if value is None else u32(value)


numbers = st.integers(0, 0xFFFFFFFF)
four_octet_as_numbers = st.integers(1, 0xFFFFFFFF)
two_octet_as_numbers = st.integers(1, 0xFFFF)


def as_paths(
    as_numbers: st.SearchStrategy[int], kinds: Sequence[int] = (1, 2)
) -> st.SearchStrategy[tuple[tuple[int, tuple[int, ...]], ...]]:
    """Draw AS_PATHs of a few segments."""
    some = st.lists(as_numbers, min_size=1, max_size=5).map(tuple)
    return st.lists(st.tuples(st.sampled_from(kinds), some), max_size=3).map(tuple)


@st.composite
def facts(draw: st.DrawFn, as_numbers: st.SearchStrategy[int] = four_octet_as_numbers) -> Facts:
    """Draw well-formed attribute sets, in any order, as an internal peer may send them."""
    return Facts(
        origin=draw(st.integers(0, 2)),
        path=draw(as_paths(as_numbers)),
        next_hop=bytes((10, draw(st.integers(0, 255)), 0, 1)),
        med=draw(st.none() | numbers),
        local_pref=draw(st.none() | numbers),
        communities=tuple(draw(st.lists(numbers, max_size=70, unique=True))),
        originator_id=draw(st.none() | numbers),
        clusters=tuple(draw(st.lists(numbers, max_size=4))),
        large=tuple(draw(st.lists(st.tuples(numbers, numbers, numbers), max_size=4, unique=True))),
        order=tuple(draw(st.permutations(range(9)))),
    )


def few_prefixes(count: int, afi: Afi = Afi.IPV4) -> list[Nlri]:
    """Make so many different /24s, or /64s."""
    if afi is Afi.IPV4:
        return [pack(afi, bytes((10, n >> 8, n & 255, 0)), 24) for n in range(count)]
    return [
        pack(afi, b"\x20\x01\x0d\xb8\0\0" + n.to_bytes(2, "big") + bytes(8), 64)
        for n in range(count)
    ]


class PlainNextHops:
    """Next hops that are always reachable, and the node's own addresses.

    Args:
        own: addresses of the node.
    """

    def __init__(self, own: Iterable[bytes] = (OUR_ADDRESS,)) -> None:
        self.own = set(own)
        self.known: dict[tuple[bytes, int, bytes], NextHop] = {}

    def intern(
        self, address: bytes, scope: int = 0, link_local: bytes = b"", peer: bytes = b""
    ) -> NextHop:
        """Give the one object of an address, and of the link-local one beside it."""
        return self.known.setdefault((address, scope, link_local), NextHop(address))

    def is_own(self, address: bytes, scope: int = 0) -> bool:
        """Tell whether an address is the node's own."""
        return address in self.own


class Session:
    """Everything one peer's UPDATEs pass through, and the Loc-RIBs behind.

    Args:
        source: the peer.
        families: negotiated.
        ribs: Loc-RIBs to feed; new ones where a family is missing.
        several: families in which the peer tells path identifiers.
        extended_next_hop: families whose next hop may be an IPv6 address.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        families: Iterable[Family] = (IPV4_UNICAST, IPV6_UNICAST),
        ribs: dict[Family, LocRib] | None = None,
        four_octet_as: bool = True,
        allow_local_as: int = 0,
        cluster_id: int = 0,
        several: Container[Family] = (),
        extended_next_hop: frozenset[Family] = frozenset(),
    ) -> None:
        self.source = source or peer()
        if several:
            self.source.tells_several = True
        self.loc_ribs = ribs or {family: LocRib(family) for family in families}
        self.next_hops = PlainNextHops()
        self.tables: dict[Family, AdjRibIn] = {
            family: (AdjRibInPaths if family in several else AdjRibIn)(self.source, family, rib)
            for family, rib in self.loc_ribs.items()
        }
        intake = Intake(
            self.source,
            ScanContext(
                self.source.peer_type is PeerType.INTERNAL,
                four_octet_as,
                extended_next_hop=extended_next_hop,
            ),
            OUR_AS,
            allow_local_as=allow_local_as,
            router_id=0x0A0000FE,
            cluster_id=cluster_id,
            interface=7,
        )
        self.table = AttributeTable(intake, self.next_hops, self._note)
        self.inbound = Inbound(self.table, self.tables)

    def _note(self, path: Path) -> None:
        for rib in self.loc_ribs.values():
            rib.note(path)

    def held(self, family: Family = IPV4_UNICAST) -> dict[Nlri, Path]:
        """Give what the peer's table of a family holds."""
        return self.tables[family].paths


def with_id(number: int, nlris: Iterable[Nlri]) -> list[PathIdNlri]:
    """Put a path identifier before prefixes (RFC 7911 §3)."""
    return [number.to_bytes(4, "big") + nlri for nlri in nlris]


def peers(count: int, *, internal: int = 0, several: Container[int] = ()) -> list[Source]:
    """Make so many different peers.

    Args:
        count: of them.
        internal: so many, the first, are internal.
        several: those with these numbers may tell several paths to a prefix.
    """
    return [
        Source(
            f"peer-{n}",
            SourceKind.BGP,
            peer_type=PeerType.INTERNAL if n < internal else PeerType.EXTERNAL,
            address=bytes((192, 0, 2, n + 1)),
            router_id=0x0A000001 + n,
            asn=OUR_AS if n < internal else 65001 + n,
            tells_several=n in several,
        )
        for n in range(count)
    ]


def replay(
    delta: Delta, best: dict[Nlri, Path], shared: dict[Nlri, tuple[Path, ...]] | None = None
) -> None:
    """Do to plain tables what a Delta says: withdrawals first, as every consumer does."""
    for nlri in delta.changed.get(None, ()):
        best.pop(nlri, None)
    for path, nlris in delta.changed.items():
        if path is not None:
            best.update(dict.fromkeys(nlris, path))
    if shared is None:
        return
    for nlri, paths in delta.shared.items():
        if paths:
            shared[nlri] = paths
        else:
            shared.pop(nlri, None)
