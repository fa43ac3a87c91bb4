"""Path attributes as they come in: the table of what each must look like, and the verdict where one
does not.

The contract of a row in `RULES`: the flags that the standard gives the attribute, a check of its
value (which returns what is wrong, in words, or nothing), and the verdict of RFC 7606 §7 or the
attribute's own RFC when the check fails. The words are those of the RFC:

* *attribute discard*: the attribute is dropped, the rest of the UPDATE stands;
* *treat as withdraw*: the UPDATE's routes are withdrawn, the session stays;
* *session reset*: nothing in the message can be trusted, `UpdateMessageError` is raised.

`scan` walks the octets once and gives back a `Scanned`: attributes in normal form
(`policy.attributes`), MP_REACH_NLRI and MP_UNREACH_NLRI cut out, and the list of faults. It runs
once per attribute set, not per prefix: sets are interned by their raw octets before
(`speaker.rib.attribute_table`).

Standards: RFC 4271 §4.3, §5, §6.3; RFC 7606; RFC 4760; RFC 6793.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fsm.errors import UpdateMessageError
from fsm.notifications import UpdateSubcode
from policy.attributes import (
    EXTENDED_LENGTH,
    FLAGS,
    MAX_SEGMENT,
    OPTIONAL,
    PARTIAL,
    TRANSITIVE,
    Attribute,
    SegmentType,
    tlv,
)


class Verdict(Enum):
    """What a malformed attribute does to its UPDATE (RFC 7606 §2); the later is the stronger."""

    DISCARD = "attribute discard"
    WITHDRAW = "treat as withdraw"
    RESET = "session reset"


class Fault(NamedTuple):
    """One thing that is wrong with an UPDATE, for the log and the peer's page."""

    attribute: int
    verdict: Verdict
    what: str

    def __str__(self) -> str:
        try:
            name = Attribute(self.attribute).name
        except ValueError:
            name = f"attribute {self.attribute}"
        return f"{name}: {self.what} ({self.verdict.value})"


@dataclass(frozen=True, slots=True)
class ScanContext:
    """What decides how octets are read.

    Attributes:
        internal: the peer is in our AS.
        four_octet_as: AS numbers take four octets on this session (RFC 6793).
    """

    internal: bool = False
    four_octet_as: bool = True


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


Check = Callable[[bytes, ScanContext], str | None]


class Rule(NamedTuple):
    """One row of the table."""

    check: Check
    verdict: Verdict


def _length(*allowed: int) -> Check:
    def check(value: bytes, _: ScanContext) -> str | None:
        if len(value) in allowed:
            return None
        return f"length {len(value)} instead of {' or '.join(map(str, allowed))}"

    return check


def _multiple_of(unit: int) -> Check:
    def check(value: bytes, _: ScanContext) -> str | None:
        if value and not len(value) % unit:
            return None
        return f"length {len(value)} is not a multiple of {unit} above zero"

    return check


def _origin(value: bytes, _: ScanContext) -> str | None:
    if len(value) != 1:
        return f"length {len(value)} instead of 1"
    return None if value[0] <= 2 else f"value {value[0]} is not defined"


def _as_path(value: bytes, context: ScanContext) -> str | None:
    return as_path_fault(value, 4 if context.four_octet_as else 2, confederation=context.internal)


def as_path_fault(value: bytes, size: int, *, confederation: bool) -> str | None:
    """Say what is wrong with an AS_PATH whose numbers take ``size`` octets (RFC 7606 §7.2)."""
    at, end = 0, len(value)
    while at < end:
        if end - at < 2:
            return "a segment header is cut off"
        kind, count = value[at], value[at + 1]
        if kind not in (1, 2, 3, 4):
            return f"segment type {kind} is not defined"
        if kind > 2 and not confederation:
            return "a confederation segment from an external peer"  # RFC 5065 §5.1
        if not count:
            return "a segment without AS numbers"
        after = at + 2 + size * count
        if after > end:
            return "a segment is cut off"
        if any(not any(value[i : i + size]) for i in range(at + 2, after, size)):
            return "AS 0"  # RFC 7607 §2
        at = after
    return None


def _aggregator(value: bytes, context: ScanContext) -> str | None:
    size = 4 if context.four_octet_as else 2
    if len(value) != size + 4:
        return f"length {len(value)} instead of {size + 4}"
    return None if any(value[:size]) else "AS 0"  # RFC 7607 §2


def _next_hop(value: bytes, _: ScanContext) -> str | None:
    return None if len(value) == 4 else f"length {len(value)} instead of 4"


def _as4_path(value: bytes, _: ScanContext) -> str | None:
    # RFC 6793 §6: confederation segments do not belong there; `merge_as4_path` drops them.
    return as_path_fault(value, 4, confederation=True)


def _nothing_to_check(value: bytes, _: ScanContext) -> str | None:
    return None


RULES: dict[int, Rule] = {
    Attribute.ORIGIN: Rule(_origin, Verdict.WITHDRAW),  # RFC 7606 §7.1
    Attribute.AS_PATH: Rule(_as_path, Verdict.WITHDRAW),  # §7.2
    Attribute.NEXT_HOP: Rule(_next_hop, Verdict.WITHDRAW),  # §7.3
    Attribute.MULTI_EXIT_DISC: Rule(_length(4), Verdict.WITHDRAW),  # §7.4
    Attribute.LOCAL_PREF: Rule(_length(4), Verdict.WITHDRAW),  # §7.5
    Attribute.ATOMIC_AGGREGATE: Rule(_length(0), Verdict.DISCARD),  # §7.6
    Attribute.AGGREGATOR: Rule(_aggregator, Verdict.DISCARD),  # §7.7
    Attribute.COMMUNITIES: Rule(_multiple_of(4), Verdict.WITHDRAW),  # §7.8
    Attribute.ORIGINATOR_ID: Rule(_length(4), Verdict.WITHDRAW),  # §7.9
    Attribute.CLUSTER_LIST: Rule(_multiple_of(4), Verdict.WITHDRAW),  # §7.10
    Attribute.MP_REACH_NLRI: Rule(
        _nothing_to_check, Verdict.RESET
    ),  # §7.11, see `speaker.wire.update`
    Attribute.MP_UNREACH_NLRI: Rule(_nothing_to_check, Verdict.RESET),  # §7.12
    Attribute.EXTENDED_COMMUNITIES: Rule(_multiple_of(8), Verdict.WITHDRAW),  # §7.14
    Attribute.AS4_PATH: Rule(_as4_path, Verdict.DISCARD),  # RFC 6793 §6
    Attribute.AS4_AGGREGATOR: Rule(_length(8), Verdict.DISCARD),  # RFC 6793 §6
    Attribute.LARGE_COMMUNITIES: Rule(_multiple_of(12), Verdict.WITHDRAW),  # RFC 8092 §6
    Attribute.ONLY_TO_CUSTOMER: Rule(_length(4), Verdict.WITHDRAW),  # RFC 9234 §5
}

_ONLY_INTERNAL = frozenset({Attribute.LOCAL_PREF, Attribute.ORIGINATOR_ID, Attribute.CLUSTER_LIST})
"""RFC 7606 §7.5, §7.9, §7.10: from an external peer these are discarded, whatever they hold."""

_CLASS = OPTIONAL | TRANSITIVE
_MP = (Attribute.MP_REACH_NLRI, Attribute.MP_UNREACH_NLRI)


class _Scanner:
    """One walk over the attributes of one UPDATE."""

    __slots__ = ("context", "faults", "parts", "reach", "unreach")

    def __init__(self, context: ScanContext) -> None:
        self.context = context
        self.parts: dict[int, tuple[int, bytes]] = {}
        self.faults: list[Fault] = []
        self.reach: bytes | None = None
        self.unreach: bytes | None = None

    def walk(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            flags = data[at]
            header = 4 if flags & EXTENDED_LENGTH else 3
            if end - at < header:
                self.fault(
                    data[at + 1] if end - at > 1 else 0, Verdict.WITHDRAW, "its header is cut off"
                )
                return
            code = data[at + 1]
            length = data[at + 2] << 8 | data[at + 3] if header == 4 else data[at + 2]
            after = at + header + length
            if after > end:
                # RFC 7606 §4: the total length is right, so the NLRI are found and withdrawn. An
                # MP_REACH_NLRI that is cut off hides its NLRI: then nothing can be saved.
                if code in _MP:
                    raise attribute_error(
                        UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR, data[at:end], "it is cut off"
                    )
                self.fault(code, Verdict.WITHDRAW, "it runs over the end of the attributes")
                return
            self.attribute(flags, code, data[at + header : after], data[at:after])
            at = after

    def attribute(self, flags: int, code: int, value: bytes, whole: bytes) -> None:
        if code in _MP:
            self.multiprotocol(code, value, whole)
            return
        if code in self.parts:
            # RFC 7606 §3 g: all but the first are discarded.
            self.fault(code, Verdict.DISCARD, "it stands twice")
            return
        rule = RULES.get(code)
        if rule is None:
            self.unknown(flags, code, value, whole)
            return
        if code in _ONLY_INTERNAL and not self.context.internal:
            self.fault(code, Verdict.DISCARD, "an external peer cannot send it")
            return
        if (flags ^ FLAGS[code]) & _CLASS:
            # RFC 7606 §3 c: whatever its definition says of malformed values.
            self.fault(code, Verdict.WITHDRAW, f"flags {flags:#04x} contradict its definition")
        elif what := rule.check(value, self.context):
            self.fault(code, rule.verdict, what)
        else:
            self.parts[code] = (FLAGS[code] | flags & PARTIAL, value)

    def unknown(self, flags: int, code: int, value: bytes, whole: bytes) -> None:
        if not flags & OPTIONAL:
            # RFC 4271 §6.3, kept by RFC 7606 §3: what claims to be well-known must be known.
            raise attribute_error(
                UpdateSubcode.UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE,
                whole,
                f"attribute {code} claims to be well-known",
            )
        self.parts[code] = (flags & ~EXTENDED_LENGTH, value)

    def multiprotocol(self, code: int, value: bytes, whole: bytes) -> None:
        held = self.reach if code == Attribute.MP_REACH_NLRI else self.unreach
        if held is not None:
            # RFC 7606 §3 g
            raise attribute_error(
                UpdateSubcode.MALFORMED_ATTRIBUTE_LIST, b"", f"attribute {code} stands twice"
            )
        if code == Attribute.MP_REACH_NLRI:
            self.reach = value
        else:
            self.unreach = value

    def fault(self, code: int, verdict: Verdict, what: str) -> None:
        self.faults.append(Fault(code, verdict, what))

    def two_octets_to_four(self) -> None:
        """RFC 6793 §4.2.3: widen the numbers, and merge what AS4_PATH and AS4_AGGREGATOR kept."""
        as4_path = self.parts.pop(Attribute.AS4_PATH, None)
        as4_aggregator = self.parts.pop(Attribute.AS4_AGGREGATOR, None)
        if self.context.four_octet_as:
            return
        aggregator = self.parts.get(Attribute.AGGREGATOR)
        merge = True
        if aggregator is not None:
            flags, value = aggregator
            wide = b"\0\0" + value
            if as4_aggregator is not None:
                if value[:2] == AS_TRANS:
                    wide = as4_aggregator[1]
                else:
                    merge = False
            self.parts[Attribute.AGGREGATOR] = (flags, wide)
        if Attribute.AS_PATH in self.parts:
            flags, value = self.parts[Attribute.AS_PATH]
            path = widen(value)
            if as4_path is not None and merge:
                path = merge_as4_path(path, as4_path[1])
            self.parts[Attribute.AS_PATH] = (flags, path)


AS_TRANS = (23456).to_bytes(2, "big")


def widen(value: bytes) -> bytes:
    """Turn an AS_PATH of two-octet numbers into one of four-octet numbers."""
    out, at = [], 0
    while at < len(value):
        count = value[at + 1]
        out.append(value[at : at + 2])
        out += [b"\0\0" + value[i : i + 2] for i in range(at + 2, at + 2 + 2 * count, 2)]
        at += 2 + 2 * count
    return b"".join(out)


def _units(value: bytes) -> list[bytes]:
    """Cut a four-octet AS_PATH into segments of one countable AS each (a set counts as one)."""
    units, at = [], 0
    while at < len(value):
        kind, count = value[at], value[at + 1]
        after = at + 2 + 4 * count
        if kind == SegmentType.AS_SEQUENCE:
            units += [b"\x02\x01" + value[i : i + 4] for i in range(at + 2, after, 4)]
        else:
            units.append(value[at:after])
        at = after
    return units


def _counts(unit: bytes) -> bool:
    """RFC 5065 §5.3: confederation segments add nothing to the length of a path."""
    return unit[0] in (SegmentType.AS_SEQUENCE, SegmentType.AS_SET)


def merge_as4_path(path: bytes, as4_path: bytes) -> bytes:
    """Put the leading numbers of AS_PATH in front of AS4_PATH (RFC 6793 §4.2.3)."""
    old = _units(path)
    new = [unit for unit in _units(as4_path) if _counts(unit)]
    lead = sum(map(_counts, old)) - len(new)
    if lead < 0:
        return path
    return _joined(_leading(old, lead) + new)


def _leading(units: list[bytes], count: int) -> list[bytes]:
    """Take ``count`` countable units from the front, and confederations up to the next one."""
    for index, unit in enumerate(units):
        if _counts(unit):
            if not count:
                return units[:index]
            count -= 1
    return units


def _joined(units: list[bytes]) -> bytes:
    """Put units together, neighbouring sequences into one segment while it has room."""
    joined = bytearray()
    last = -1
    for unit in units:
        if unit[0] == 2 and last >= 0 and joined[last] == 2 and joined[last + 1] < MAX_SEGMENT:
            joined[last + 1] += 1
            joined += unit[2:]
        else:
            last = len(joined)
            joined += unit
    return bytes(joined)


def attribute_error(subcode: UpdateSubcode, data: bytes, what: str) -> UpdateMessageError:
    """Make the error that resets a session (RFC 4271 §6.3)."""
    return UpdateMessageError(subcode, data, what)


# hot: per attribute set
def scan(data: bytes, context: ScanContext) -> Scanned:
    """Take the attributes of an UPDATE apart.

    Raises:
        UpdateMessageError: nothing in this UPDATE can be trusted (RFC 7606 §3, §5.3).
    """
    scanner = _Scanner(context)
    scanner.walk(data)
    scanner.two_octets_to_four()
    parts, faults = scanner.parts, scanner.faults
    next_hop = parts.get(Attribute.NEXT_HOP)
    return Scanned(
        b"".join([tlv(flags, code, value) for code, (flags, value) in sorted(parts.items())]),
        next_hop[1] if next_hop else b"",
        scanner.reach,
        scanner.unreach,
        tuple(faults),
        any(fault.verdict is not Verdict.DISCARD for fault in faults),
        frozenset(parts),
    )


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
            return Fault(code, Verdict.WITHDRAW, "it is missing")
    return None
