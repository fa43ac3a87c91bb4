"""One set of path attributes, interned, and the facts that decisions read from it.

A `PathAttributes` keeps the attribute octets of an UPDATE in one normal form: AS numbers in four
octets, MP_REACH_NLRI and MP_UNREACH_NLRI cut out (their next hop stands beside the octets),
duplicates and discarded attributes gone. Only what every decision needs is kept as numbers;
everything else (communities, cluster list, unknown attributes) is read from the octets when
somebody asks, which is once per set and never per prefix. Hundreds of prefixes share one set, and
sets are compared by identity: whoever interns them (`speaker.rib.attribute_table`) sees to it that
equal is same.

`AttributeEditor` is the other direction: it takes the octets apart, replaces what policy or RFC
demand, and puts the attributes together again in ascending order of type (RFC 4271 §5).

Standards: RFC 4271 §4.3, §5; RFC 1997, 4360, 4456, 5701, 6793, 7311, 8092, 9234.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias


class Attribute(IntEnum):
    """Type codes of path attributes (IANA "BGP Path Attributes")."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MULTI_EXIT_DISC = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITIES = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH_NLRI = 14
    MP_UNREACH_NLRI = 15
    EXTENDED_COMMUNITIES = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    IPV6_EXTENDED_COMMUNITIES = 25
    AIGP = 26
    LARGE_COMMUNITIES = 32
    ONLY_TO_CUSTOMER = 35


class Origin(IntEnum):
    """RFC 4271 §5.1.1; lower is preferred."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2


class SegmentType(IntEnum):
    """Kinds of AS_PATH segment (RFC 4271 §4.3, RFC 5065 §3)."""

    AS_SET = 1
    AS_SEQUENCE = 2
    AS_CONFED_SEQUENCE = 3
    AS_CONFED_SET = 4


class WellKnown(IntEnum):
    """Well-known communities (RFC 1997, 3765, 7999, 8326, 9494)."""

    GRACEFUL_SHUTDOWN = 0xFFFF0000
    LLGR_STALE = 0xFFFF0006
    NO_LLGR = 0xFFFF0007
    BLACKHOLE = 0xFFFF029A
    NO_EXPORT = 0xFFFFFF01
    NO_ADVERTISE = 0xFFFFFF02
    NO_EXPORT_SUBCONFED = 0xFFFFFF03
    NOPEER = 0xFFFFFF04


OPTIONAL, TRANSITIVE, PARTIAL, EXTENDED_LENGTH = 0x80, 0x40, 0x20, 0x10
"""Attribute flags (RFC 4271 §4.3)."""

FLAGS: dict[int, int] = {
    Attribute.ORIGIN: TRANSITIVE,
    Attribute.AS_PATH: TRANSITIVE,
    Attribute.NEXT_HOP: TRANSITIVE,
    Attribute.MULTI_EXIT_DISC: OPTIONAL,
    Attribute.LOCAL_PREF: TRANSITIVE,
    Attribute.ATOMIC_AGGREGATE: TRANSITIVE,
    Attribute.AGGREGATOR: OPTIONAL | TRANSITIVE,
    Attribute.COMMUNITIES: OPTIONAL | TRANSITIVE,
    Attribute.ORIGINATOR_ID: OPTIONAL,
    Attribute.CLUSTER_LIST: OPTIONAL,
    Attribute.MP_REACH_NLRI: OPTIONAL,
    Attribute.MP_UNREACH_NLRI: OPTIONAL,
    Attribute.EXTENDED_COMMUNITIES: OPTIONAL | TRANSITIVE,
    Attribute.AS4_PATH: OPTIONAL | TRANSITIVE,
    Attribute.AS4_AGGREGATOR: OPTIONAL | TRANSITIVE,
    Attribute.IPV6_EXTENDED_COMMUNITIES: OPTIONAL | TRANSITIVE,
    Attribute.AIGP: OPTIONAL,
    Attribute.LARGE_COMMUNITIES: OPTIONAL | TRANSITIVE,
    Attribute.ONLY_TO_CUSTOMER: OPTIONAL | TRANSITIVE,
}
"""The flags with which each attribute is sent (RFC 4271 §5 and the attribute's own RFC)."""

RELAYED_ATTRIBUTES: frozenset[int] = frozenset({22, 23, 29, 36, 40})
"""Attributes that belong to relayed families and pass with their routes as they came: PMSI_TUNNEL
(RFC 6514 §5), Tunnel Encapsulation (RFC 9012 §2), BGP-LS (RFC 9552 §5.3, which is not transitive
and has to be passed on all the same), Domain Path (D-PATH), and Prefix-SID (RFC 8669 §3).
"""

LargeCommunity: TypeAlias = tuple[int, int, int]
Community: TypeAlias = int | LargeCommunity
"""A standard community, or a large one."""

_U32 = Struct("!I")
_LARGE = Struct("!III")
MAX_SEGMENT = 255


def tlvs(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Walk well-formed attribute octets: (flags, type code, value)."""
    at, end = 0, len(raw)
    while at < end:
        flags, code = raw[at], raw[at + 1]
        if flags & EXTENDED_LENGTH:
            start = at + 4
            at = start + (raw[at + 2] << 8 | raw[at + 3])
        else:
            start = at + 3
            at = start + raw[at + 2]
        yield flags, code, raw[start:at]


def tlv(flags: int, code: int, value: bytes) -> bytes:
    """Encode one attribute, with the extended length only where it is needed."""
    if len(value) > 255:
        return bytes((flags | EXTENDED_LENGTH, code)) + len(value).to_bytes(2, "big") + value
    return bytes((flags & ~EXTENDED_LENGTH, code, len(value))) + value


def segments(value: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Walk a well-formed AS_PATH of four-octet numbers: (segment type, AS numbers)."""
    at = 0
    while at < len(value):
        count = value[at + 1]
        yield (
            value[at],
            tuple(
                int.from_bytes(value[i : i + 4], "big")
                for i in range(at + 2, at + 2 + 4 * count, 4)
            ),
        )
        at += 2 + 4 * count


def prepend(value: bytes, numbers: Iterable[int]) -> bytes:
    """Put AS numbers in front of an AS_PATH so that it begins with them in this order.

    RFC 4271 §5.1.2: they join a leading AS_SEQUENCE while it has room, else a new one is made.
    """
    for number in reversed(tuple(numbers)):
        if value and value[0] == SegmentType.AS_SEQUENCE and value[1] < MAX_SEGMENT:
            value = bytes((2, value[1] + 1)) + _U32.pack(number) + value[2:]
        else:
            value = b"\x02\x01" + _U32.pack(number) + value
    return value


_INCOMPLETE = int(Origin.INCOMPLETE)
_ORIGIN_HEAD = bytes((TRANSITIVE, Attribute.ORIGIN, 1))
_AS_PATH_HEAD = bytes((TRANSITIVE, Attribute.AS_PATH))
_FACTS = frozenset(("as_path_length", "local_pref", "med", "neighbor_as", "origin"))


class PathAttributes:
    """The attributes of one path, in normal form. Immutable by convention, compared by identity.

    Args:
        raw: attribute octets, four-octet AS numbers, without MP_REACH_NLRI and MP_UNREACH_NLRI.
        next_hop: 4 or 16 octets, from NEXT_HOP or MP_REACH_NLRI; empty for routes made here.
        link_local: the second next hop of RFC 2545 §3, or empty.
    """

    __slots__ = (
        "as_path_length",
        "link_local",
        "local_pref",
        "med",
        "neighbor_as",
        "next_hop",
        "origin",
        "raw",
    )

    as_path_length: int
    local_pref: int | None
    med: int | None
    neighbor_as: int
    origin: int

    def __init__(self, raw: bytes, next_hop: bytes = b"", link_local: bytes = b"") -> None:
        self.raw = raw
        self.next_hop = next_hop
        self.link_local = link_local

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Read the facts when one is asked for first: most sets never meet a rival."""
            if name not in _FACTS:
                raise AttributeError(name)
            self._read()
            return getattr(self, name)

    # hot: per attribute set
    def _read(self) -> None:
        self.origin = _INCOMPLETE
        self.as_path_length = 0
        self.neighbor_as = 0
        self.local_pref = None
        self.med = None
        raw = self.raw
        at, end = 0, len(raw)
        if raw[:3] == _ORIGIN_HEAD and raw[4:6] == _AS_PATH_HEAD:
            # Nearly every set begins so.
            self.origin = raw[3]
            at = 7 + raw[6]
            self._read_as_path(raw, 7, at)
        while at < end:
            code = raw[at + 1]
            if code > 5 and not _unordered(raw, at):
                # Types ascend in nearly every UPDATE; what follows is read on demand.
                return
            if raw[at] & EXTENDED_LENGTH:
                start = at + 4
                at = start + (raw[at + 2] << 8 | raw[at + 3])
            else:
                start = at + 3
                at = start + raw[at + 2]
            if code == 2:
                self._read_as_path(raw, start, at)
            elif code == 1:
                self.origin = raw[start]
            elif code == 5:
                self.local_pref = int.from_bytes(raw[start:at], "big")
            elif code == 4:
                self.med = int.from_bytes(raw[start:at], "big")

    def _read_as_path(self, raw: bytes, at: int, end: int) -> None:
        """Count the path (an AS_SET is one, RFC 4271 §9.1.2.2 a; confederations none, RFC 5065
        §5.3).
        """
        if at < end and raw[at] == 2 and at + 2 + 4 * raw[at + 1] == end:
            self.as_path_length = raw[at + 1]
            if self.as_path_length:
                self.neighbor_as = int.from_bytes(raw[at + 2 : at + 6], "big")
            return
        length, first = 0, True
        while at < end:
            kind, count = raw[at], raw[at + 1]
            if kind == SegmentType.AS_SEQUENCE:
                length += count
                if first and count:
                    self.neighbor_as = int.from_bytes(raw[at + 2 : at + 6], "big")
            elif kind == SegmentType.AS_SET:
                length += 1
            first = first and kind in (3, 4)
            at += 2 + 4 * count
        self.as_path_length = length

    def value(self, code: int) -> bytes | None:
        """Give the octets of one attribute, or None where the set has none."""
        for _, found, value in tlvs(self.raw):
            if found == code:
                return value
        return None

    @property
    def as_path(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Segments of the AS_PATH: (type, AS numbers)."""
        return tuple(segments(self.value(Attribute.AS_PATH) or b""))

    @property
    def as_sequence(self) -> tuple[int, ...]:
        """All AS numbers of the path in their order, sets flattened."""
        return tuple(number for _, numbers in self.as_path for number in numbers)

    def count_as(self, asn: int) -> int:
        """Tell how often an AS stands in the path (RFC 4271 §9.1.2, loop detection)."""
        # Nearly always the number's octets stand nowhere, and nothing need be taken apart.
        return self.as_sequence.count(asn) if _U32.pack(asn) in self.raw else 0

    @property
    def communities(self) -> frozenset[int]:
        """RFC 1997 communities as 32-bit numbers."""
        value = self.value(Attribute.COMMUNITIES) or b""
        return frozenset(number for (number,) in _U32.iter_unpack(value))

    @property
    def large_communities(self) -> frozenset[LargeCommunity]:
        """RFC 8092 communities."""
        value = self.value(Attribute.LARGE_COMMUNITIES) or b""
        return frozenset(_LARGE.iter_unpack(value))

    @property
    def originator_id(self) -> int | None:
        """RFC 4456 §8."""
        value = self.value(Attribute.ORIGINATOR_ID)
        return None if value is None else int.from_bytes(value, "big")

    @property
    def cluster_list(self) -> tuple[int, ...]:
        """RFC 4456 §8."""
        return tuple(n for (n,) in _U32.iter_unpack(self.value(Attribute.CLUSTER_LIST) or b""))

    def __repr__(self) -> str:
        return f"PathAttributes({self.raw.hex()!r}, next_hop={self.next_hop.hex()!r})"


def _unordered(raw: bytes, at: int) -> bool:
    """Tell whether a type below 6 still follows an attribute of a higher type."""
    end = len(raw)
    while at < end:
        if raw[at + 1] < 6:
            return True
        if raw[at] & EXTENDED_LENGTH:
            at += 4 + (raw[at + 2] << 8 | raw[at + 3])
        else:
            at += 3 + raw[at + 2]
    return False


class AttributeEditor:
    """Take attributes apart, change some, put them together in ascending order."""

    __slots__ = ("_parts",)

    def __init__(self, raw: bytes) -> None:
        self._parts: dict[int, tuple[int, bytes]] = {
            code: (flags, value) for flags, code, value in tlvs(raw)
        }

    def get(self, code: int) -> bytes | None:
        """Give the value of an attribute."""
        part = self._parts.get(code)
        return None if part is None else part[1]

    def set(self, code: int, value: bytes) -> None:
        """Set an attribute, with the flags the standard gives it.

        RFC 4271 §5: the Partial bit of an attribute that was there is never reset.
        """
        partial = self._parts[code][0] & PARTIAL if code in self._parts else 0
        self._parts[code] = (FLAGS[code] | partial, value)

    def drop(self, *codes: int) -> None:
        """Remove attributes, where present."""
        for code in codes:
            self._parts.pop(code, None)

    def prepend(self, numbers: Iterable[int]) -> None:
        """Prepend to the AS_PATH."""
        self.set(Attribute.AS_PATH, prepend(self.get(Attribute.AS_PATH) or b"", numbers))

    def add_communities(self, communities: Iterable[int | LargeCommunity]) -> None:
        """Add standard or large communities, each once, in ascending order."""
        wanted = tuple(communities)
        plain = [c for c in wanted if isinstance(c, int)]
        large = [c for c in wanted if not isinstance(c, int)]
        if plain:
            old = _U32.iter_unpack(self.get(Attribute.COMMUNITIES) or b"")
            numbers = sorted({n for (n,) in old}.union(plain))
            self.set(Attribute.COMMUNITIES, b"".join(map(_U32.pack, numbers)))
        if large:
            known = _LARGE.iter_unpack(self.get(Attribute.LARGE_COMMUNITIES) or b"")
            triples = sorted(set(known).union(large))
            self.set(Attribute.LARGE_COMMUNITIES, b"".join(_LARGE.pack(*t) for t in triples))

    def remove_communities(self, is_meant: Callable[[Community], bool]) -> None:
        """Remove standard and large communities that are meant; the others stay in their order."""
        self._remove(Attribute.COMMUNITIES, _U32, lambda parts: is_meant(parts[0]))
        self._remove(Attribute.LARGE_COMMUNITIES, _LARGE, is_meant)

    def _remove(self, code: int, each: Struct, is_meant: Callable[[Any], bool]) -> None:
        value = self.get(code)
        if value is None:
            return
        kept = [parts for parts in each.iter_unpack(value) if not is_meant(parts)]
        if not kept:
            self.drop(code)
        elif len(kept) * each.size < len(value):
            self.set(code, b"".join(each.pack(*parts) for parts in kept))

    def drop_unknown_non_transitive(self, known: frozenset[int] = frozenset()) -> None:
        """RFC 4271 §5: unrecognised non-transitive optional attributes are not passed along.

        Args:
            known: types that are recognised besides those of `FLAGS`.
        """
        for code, (flags, _) in list(self._parts.items()):
            if code not in FLAGS and code not in known and not flags & TRANSITIVE:
                del self._parts[code]

    def mark_unknown_partial(self, known: frozenset[int] = frozenset()) -> None:
        """RFC 4271 §5: unrecognised transitive ones are passed along with the Partial bit."""
        for code, (flags, value) in self._parts.items():
            if code not in FLAGS and code not in known and flags & TRANSITIVE:
                self._parts[code] = (flags | PARTIAL, value)

    def encode(self) -> bytes:
        """Put the attributes together."""
        return b"".join(
            tlv(flags, code, value) for code, (flags, value) in sorted(self._parts.items())
        )


def local_attributes(next_hop: bytes = b"", med: int | None = None) -> PathAttributes:
    """Make the attributes of a route that starts here: ORIGIN IGP and an empty AS_PATH."""
    raw = tlv(TRANSITIVE, Attribute.ORIGIN, bytes((Origin.IGP,))) + tlv(
        TRANSITIVE, Attribute.AS_PATH, b""
    )
    if len(next_hop) == 4:
        raw += tlv(TRANSITIVE, Attribute.NEXT_HOP, next_hop)
    if med is not None:
        raw += tlv(OPTIONAL, Attribute.MULTI_EXIT_DISC, _U32.pack(med))
    return PathAttributes(raw, next_hop)
