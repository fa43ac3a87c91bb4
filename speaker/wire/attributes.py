"""Path attributes as they come in: what each must look like, and one walk that looks.

`CHECKS` has a function for each attribute we know, which names the `Error` of a value and describes
it in words, or finds nothing. What an error costs stands in `speaker.wire.verdicts`, and only
there: the walk asks that table, keeps the faults that can be lived with and raises the others.

`scan` walks the octets once and gives back a `Scanned`: attributes in normal form
(`policy.attributes`), MP_REACH_NLRI and MP_UNREACH_NLRI cut out, and the list of faults. It runs
once per attribute set, not per prefix: sets are interned by their raw octets before
(`speaker.rib.attribute_table`).

Standards: RFC 4271 §4.3, §5, §6.3; RFC 7606; RFC 4760; RFC 6793; RFC 7311 §3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from fsm.family import Family
from policy.aigp import INFINITE, metric
from policy.attributes import (
    EXTENDED_LENGTH,
    FLAGS,
    OPTIONAL,
    PARTIAL,
    TRANSITIVE,
    Attribute,
    tlv,
)
from speaker.wire.two_octets import to_four_octets
from speaker.wire.verdicts import Error, Fault, Flaw, Part, fault, reset

MAX_ATTRIBUTES = 0xF000
"""Octets that one set may have; what is above leaves no room for what we add on the way out."""


@dataclass(frozen=True, slots=True)
class ScanContext:
    """What decides how octets are read.

    Attributes:
        internal: the peer is in our AS.
        four_octet_as: AS numbers take four octets on this session (RFC 6793).
        aigp: AIGP is read on this session; None: from internal peers (RFC 7311 §3.3).
        accepts_as_sets: AS_SET and AS_CONFED_SET may stand in a path (RFC 9774 §3 says no).
        extended_next_hop: families whose next hop may be an IPv6 address (RFC 8950).
    """

    internal: bool = False
    four_octet_as: bool = True
    aigp: bool | None = None
    accepts_as_sets: bool = True
    extended_next_hop: frozenset[Family] = frozenset()

    @property
    def reads_aigp(self) -> bool:
        """Whether AIGP means anything here."""
        return self.internal if self.aigp is None else self.aigp


class Scanned(NamedTuple):
    """The attributes of one UPDATE, taken apart.

    Attributes:
        raw: the attributes in normal form, without MP_REACH_NLRI and MP_UNREACH_NLRI.
        next_hop: value of NEXT_HOP, or empty.
        reach: value of MP_REACH_NLRI, or None.
        unreach: value of MP_UNREACH_NLRI, or None.
        faults: all that was wrong and could be lived with.
        withdraw: the routes of this UPDATE are to be withdrawn.
        codes: types that the normal form holds.
    """

    raw: bytes
    next_hop: bytes
    reach: bytes | None
    unreach: bytes | None
    faults: tuple[Fault, ...]
    withdraw: bool
    codes: frozenset[int]


Check: TypeAlias = Callable[[bytes, ScanContext], Flaw | None]


def _length(wanted: int) -> Check:
    def check(value: bytes, _: ScanContext) -> Flaw | None:
        return length_flaw(value, wanted)

    return check


def length_flaw(value: bytes, wanted: int) -> Flaw | None:
    """Say what is wrong with the length of a value that has a fixed one."""
    length = len(value)
    if length == wanted:
        return None
    error = Error.LONG if length > wanted else Error.SHORT if length else Error.EMPTY
    return Flaw(error, f"length {length} instead of {wanted}")


def _items(unit: int) -> Check:
    def check(value: bytes, _: ScanContext) -> Flaw | None:
        length = len(value)
        if length and not length % unit:
            return None
        error = Error.MULTIPLE if length > unit else Error.SHORT if length else Error.EMPTY
        return Flaw(error, f"length {length} is not a multiple of {unit} above zero")

    return check


def _origin(value: bytes, _: ScanContext) -> Flaw | None:
    if len(value) != 1:
        return length_flaw(value, 1)
    return None if value[0] <= 2 else Flaw(Error.VALUE, f"value {value[0]} is not defined")


def _as_path(value: bytes, context: ScanContext) -> Flaw | None:
    return as_path_flaw(
        value,
        4 if context.four_octet_as else 2,
        confederation=context.internal,
        sets=context.accepts_as_sets,
    )


def as_path_flaw(value: bytes, size: int, *, confederation: bool, sets: bool) -> Flaw | None:
    """Say what is wrong with an AS_PATH whose numbers take ``size`` octets (RFC 7606 §7.2).

    Args:
        value: of the attribute.
        size: of a number, 2 or 4.
        confederation: whether segments of a confederation may stand in it (RFC 5065 §5).
        sets: whether sets may (RFC 9774 §3).
    """
    at, end = 0, len(value)
    while at < end:
        if end - at < 2:
            return Flaw(Error.SEGMENT_CUT, "a segment header is cut off")
        kind, count = value[at], value[at + 1]
        after = at + 2 + size * count
        flaw = _segment_flaw(kind, count, confederation, sets)
        if flaw is not None:
            return flaw
        if after > end:
            return Flaw(Error.SEGMENT_OVERRUN, "a segment is cut off")
        if any(not any(value[i : i + size]) for i in range(at + 2, after, size)):
            return Flaw(Error.AS_ZERO, "AS 0")  # RFC 7607 §2
        at = after
    return None


def _segment_flaw(kind: int, count: int, confederation: bool, sets: bool) -> Flaw | None:
    if kind not in (1, 2, 3, 4):
        return Flaw(Error.SEGMENT_TYPE, f"segment type {kind} is not defined")
    if kind > 2 and not confederation:
        return Flaw(Error.CONFEDERATION, "a confederation segment from an external peer")
    if not count:
        return Flaw(Error.SEGMENT_EMPTY, "a segment without AS numbers")
    if kind in (1, 4) and not sets:
        return Flaw(Error.AS_SET, "a set of AS numbers")
    return None


def _aggregator(value: bytes, context: ScanContext) -> Flaw | None:
    return _aggregator_flaw(value, 4 if context.four_octet_as else 2)


def _as4_aggregator(value: bytes, _: ScanContext) -> Flaw | None:
    return _aggregator_flaw(value, 4)


def _aggregator_flaw(value: bytes, size: int) -> Flaw | None:
    if len(value) != size + 4:
        return length_flaw(value, size + 4)
    return None if any(value[:size]) else Flaw(Error.AS_ZERO, "AS 0")  # RFC 7607 §2


def _as4_path(value: bytes, context: ScanContext) -> Flaw | None:
    if not value:
        return Flaw(Error.EMPTY, "length 0")
    # RFC 6793 §6: confederation segments do not belong there; `to_four_octets` drops them.
    return as_path_flaw(value, 4, confederation=True, sets=context.accepts_as_sets)


def _aigp(value: bytes, _: ScanContext) -> Flaw | None:
    """RFC 7311 §3.2: a list of TLVs, of which the first of type 1 has a metric of eight octets.

    TLVs of other types, alone too, and further ones of type 1 are no reason for complaint.
    """
    if not value:
        return Flaw(Error.EMPTY, "length 0")
    at = 0
    while at < len(value):
        length = int.from_bytes(value[at + 1 : at + 3], "big")
        if len(value) - at < 3 or not 3 <= length <= len(value) - at:
            return Flaw(Error.TLV_CUT, "a TLV is cut off")
        if value[at] == 1 and length != 11:
            return Flaw(Error.TLV_LENGTH, f"a metric TLV of {length} octets instead of 11")
        at += length
    return Flaw(Error.LARGEST, "a metric that cannot grow") if metric(value) == INFINITE else None


CHECKS: dict[int, Check] = {
    Attribute.ORIGIN: _origin,
    Attribute.AS_PATH: _as_path,
    Attribute.NEXT_HOP: _length(4),
    Attribute.MULTI_EXIT_DISC: _length(4),
    Attribute.LOCAL_PREF: _length(4),
    Attribute.ATOMIC_AGGREGATE: _length(0),
    Attribute.AGGREGATOR: _aggregator,
    Attribute.COMMUNITIES: _items(4),
    Attribute.ORIGINATOR_ID: _length(4),
    Attribute.CLUSTER_LIST: _items(4),
    Attribute.EXTENDED_COMMUNITIES: _items(8),
    Attribute.AS4_PATH: _as4_path,
    Attribute.AS4_AGGREGATOR: _as4_aggregator,
    Attribute.IPV6_EXTENDED_COMMUNITIES: _items(20),
    Attribute.AIGP: _aigp,
    Attribute.LARGE_COMMUNITIES: _items(12),
    Attribute.ONLY_TO_CUSTOMER: _length(4),
}
"""How the value of each attribute is looked at; MP_REACH_NLRI and MP_UNREACH_NLRI are taken apart
in `speaker.wire.update`.
"""

_ONLY_INTERNAL = frozenset({Attribute.LOCAL_PREF, Attribute.ORIGINATOR_ID, Attribute.CLUSTER_LIST})
"""RFC 7606 §7.5, §7.9, §7.10: from an external peer these are discarded, whatever they hold."""

_FOR_TWO_OCTETS = frozenset({Attribute.AS4_PATH, Attribute.AS4_AGGREGATOR})
"""RFC 6793 §6: a peer with four-octet numbers has no use for these."""

_FOREIGN: dict[int, str] = {
    Attribute.AS4_PATH: "a peer with four-octet AS numbers has no use for it",
    Attribute.AS4_AGGREGATOR: "a peer with four-octet AS numbers has no use for it",
    Attribute.AIGP: "it is not read on this session",
}

_CLASS = OPTIONAL | TRANSITIVE
_MP = (Attribute.MP_REACH_NLRI, Attribute.MP_UNREACH_NLRI)


def flags_error(flags: int, code: int) -> Error | None:
    """Compare the flags of an attribute that we know with its definition (RFC 7606 §3 c)."""
    wrong = (flags ^ FLAGS[code]) & _CLASS
    if not wrong:
        return None
    return Error.OPTIONAL_BIT if wrong & OPTIONAL else Error.TRANSITIVE_BIT


class _Scanner:
    """One walk over the attributes of one UPDATE."""

    __slots__ = ("context", "faults", "parts", "reach", "seen", "twice", "unreach")

    def __init__(self, context: ScanContext) -> None:
        self.context = context
        self.parts: dict[int, tuple[int, bytes]] = {}
        self.seen: set[int] = set()
        self.twice: set[int] = set()
        self.faults: list[Fault] = []
        self.reach: bytes | None = None
        self.unreach: bytes | None = None

    def walk(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            flags = data[at]
            header = 4 if flags & EXTENDED_LENGTH else 3
            if end - at < header:
                self.fault(Part.ATTRIBUTE_LIST, Error.HEADER_CUT)
                return
            code = data[at + 1]
            length = data[at + 2] << 8 | data[at + 3] if header == 4 else data[at + 2]
            after = at + header + length
            if after > end:
                self.overrun(code, data[at:end])
                return
            self.attribute(flags, code, data[at + header : after], data[at:after])
            at = after

    def overrun(self, code: int, rest: bytes) -> None:
        """RFC 7606 §4: the total length is right, so the NLRI are found and withdrawn. An
        MP_REACH_NLRI that is cut off hides its NLRI: then nothing can be saved (§3 j).
        """
        part = code if code in FLAGS else Part.UNKNOWN
        if code in _MP:
            raise reset(part, Error.OVERRUN, rest, "it is cut off")
        self.fault(part, Error.OVERRUN, "it runs over the end of the attributes", code)

    def attribute(self, flags: int, code: int, value: bytes, whole: bytes) -> None:
        if code in _MP:
            self.multiprotocol(code, value)
            return
        if code in self.seen:
            # RFC 7606 §3 g: all but the first are discarded. One word is said, however many.
            if code not in self.twice:
                self.twice.add(code)
                part = code if code in FLAGS else Part.UNKNOWN
                self.fault(part, Error.TWICE, "it stands twice", code)
            return
        self.seen.add(code)
        check = CHECKS.get(code)
        if check is None:
            self.unknown(flags, code, value, whole)
        elif not self.belongs(code):
            self.fault(code, Error.FOREIGN, _FOREIGN.get(code, "an external peer cannot send it"))
        elif (error := flags_error(flags, code)) is not None:
            # Whatever its definition says of malformed values.
            self.fault(code, error, f"flags {flags:#04x} contradict its definition")
        elif (flaw := check(value, self.context)) is not None:
            self.fault(code, flaw.error, flaw.words)
        else:
            self.parts[code] = (normal_flags(flags, code), value)

    def belongs(self, code: int) -> bool:
        """Tell whether this peer may send an attribute at all."""
        if code in _ONLY_INTERNAL:
            return self.context.internal
        if code in _FOR_TWO_OCTETS:
            return not self.context.four_octet_as
        return code != Attribute.AIGP or self.context.reads_aigp

    def unknown(self, flags: int, code: int, value: bytes, whole: bytes) -> None:
        if not flags & OPTIONAL:
            # RFC 4271 §6.3, kept by RFC 7606 §3: what claims to be well-known must be known.
            words = f"attribute {code} claims to be well-known"
            raise reset(Part.UNKNOWN, Error.WELL_KNOWN, whole, words, code=code)
        self.parts[code] = (flags & (OPTIONAL | TRANSITIVE | PARTIAL), value)

    def multiprotocol(self, code: int, value: bytes) -> None:
        held = self.reach if code == Attribute.MP_REACH_NLRI else self.unreach
        if held is not None:
            raise reset(code, Error.TWICE)
        if code == Attribute.MP_REACH_NLRI:
            self.reach = value
        else:
            self.unreach = value

    def fault(self, part: int, error: Error, words: str = "", code: int | None = None) -> None:
        self.faults.append(fault(part, error, words, code=code))


def normal_flags(flags: int, code: int) -> int:
    """Give the flags with which an attribute that we know is kept.

    RFC 4271 §4.3: the lower four bits are ignored, and Partial means something where an attribute
    is optional and transitive only.
    """
    return FLAGS[code] | (flags & PARTIAL if FLAGS[code] == _CLASS else 0)


# hot: per attribute set
def scan(data: bytes, context: ScanContext) -> Scanned:
    """Take the attributes of an UPDATE apart.

    Raises:
        UpdateMessageError: nothing in this UPDATE can be trusted (RFC 7606 §3, §5.3).
    """
    scanner = _Scanner(context)
    scanner.walk(data)
    parts, faults = scanner.parts, scanner.faults
    if not context.four_octet_as:
        to_four_octets(parts)
    too_long = _too_long(parts)
    if too_long is not None:
        faults.append(too_long)
        parts.clear()
    next_hop = parts.get(Attribute.NEXT_HOP)
    return Scanned(
        b"".join([tlv(flags, code, value) for code, (flags, value) in sorted(parts.items())]),
        next_hop[1] if next_hop else b"",
        scanner.reach,
        scanner.unreach,
        tuple(faults),
        any(each.is_grave for each in faults),
        frozenset(parts),
    )


def _too_long(parts: dict[int, tuple[int, bytes]]) -> Fault | None:
    """Refuse what extended messages can bring and no message of ours could hold."""
    length = sum(4 + len(value) for _, value in parts.values())
    if length <= MAX_ATTRIBUTES:
        return None
    words = f"{length} octets, above {MAX_ATTRIBUTES}"
    return fault(Part.ATTRIBUTE_LIST, Error.LONG, words)


def missing(codes: frozenset[int], *, internal: bool, classic: bool) -> Fault | None:
    """Find a well-known mandatory attribute that is not there (RFC 7606 §3 d, RFC 4271 §5.1.5).

    Args:
        codes: what is there.
        internal: the peer is in our AS, and so must send LOCAL_PREF.
        classic: prefixes stand in the NLRI field, so NEXT_HOP must be there.
    """
    wanted = [Attribute.ORIGIN, Attribute.AS_PATH]
    if classic:
        wanted.append(Attribute.NEXT_HOP)
    if internal:
        wanted.append(Attribute.LOCAL_PREF)
    for code in wanted:
        if code not in codes:
            return fault(code, Error.MISSING, "it is missing")
    return None
