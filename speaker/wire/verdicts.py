"""What each error of an UPDATE costs: the conformance table of RFC 7606 and its successors, as
data.

`ROWS` has one `Row` for every part of an UPDATE and every `Error` that it can have: the verdict,
the standard that says so, and for a session reset the NOTIFICATION. `TABLE` finds a row by part and
error. Whoever detects an error (`speaker.wire.attributes`, `speaker.wire.update`,
`speaker.rib.attribute_table`) names it and asks here what follows, with `fault` for what can be
lived with and `reset` for what cannot; no verdict stands anywhere else. An error without a row
cannot be reported: it is a `KeyError` in the first test that meets it.

Where RFC 7606 leaves the choice between *AFI/SAFI disable* and *session reset*, it is the reset: a
family that is dead on a session that lives looks healthy to everybody, and nothing would bring it
back. Such rows say so (`Row.or_disable`).

Standards: RFC 4271 §6.1, §6.3, §9.1.2; RFC 4456 §8; RFC 4760 §7; RFC 5065 §5; RFC 6793 §6; RFC 7311
§3.2, §3.3; RFC 7606 §3, §4, §5, §7; RFC 7607 §2; RFC 8092 §6; RFC 8654 §4; RFC 9234 §5; RFC 9774
§3.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

from fsm.errors import UpdateMessageError
from fsm.notifications import Code, HeaderSubcode, UpdateSubcode
from policy.attributes import Attribute


class Verdict(Enum):
    """What an error does to its UPDATE (RFC 7606 §2); the later is the stronger."""

    IGNORE = "prefix ignored"
    DISCARD = "attribute discard"
    EXCLUDE = "route excluded"
    WITHDRAW = "treat as withdraw"
    RESET = "session reset"


class Part(IntEnum):
    """Parts of a message that are no attribute; negative, so that types of attributes stay free."""

    HEADER = -1
    FIELDS = -2
    WITHDRAWN_ROUTES = -3
    NLRI = -4
    ATTRIBUTE_LIST = -5
    UNKNOWN = -6

    @property
    def words(self) -> str:
        """Name the part for people."""
        return _PART_WORDS[self]


_PART_WORDS = {
    Part.HEADER: "message header",
    Part.FIELDS: "fields of the UPDATE",
    Part.WITHDRAWN_ROUTES: "Withdrawn Routes",
    Part.NLRI: "NLRI",
    Part.ATTRIBUTE_LIST: "path attributes",
    Part.UNKNOWN: "unknown attribute",
}


class Error(StrEnum):
    """What can be wrong with a part."""

    OPTIONAL_BIT = "Optional bit against its definition"
    TRANSITIVE_BIT = "Transitive bit against its definition"
    TWICE = "stands a second time"
    OVERRUN = "runs over the end of the attributes"
    HEADER_CUT = "an attribute's header is cut off"
    MISSING = "missing"
    FOREIGN = "from a peer that may not send it"
    EMPTY = "no octets"
    SHORT = "too short"
    LONG = "too long"
    MULTIPLE = "no whole number of items"
    VALUE = "undefined value"
    SEGMENT_TYPE = "undefined segment type"
    SEGMENT_CUT = "a segment's header is cut off"
    SEGMENT_EMPTY = "a segment without AS numbers"
    SEGMENT_OVERRUN = "a segment is cut off"
    AS_ZERO = "AS 0"
    CONFEDERATION = "a confederation segment from an external peer"
    AS_SET = "a set, where sets are refused"
    FIRST_AS = "does not begin with the peer's AS, where that is enforced"
    LOOP = "our own number stands in it"
    LEAK = "a route leak"
    TLV_CUT = "a TLV is cut off"
    TLV_LENGTH = "its metric has a wrong length"
    LARGEST = "its metric is the largest there is"
    NEXT_HOP_CUT = "the next hop is cut off"
    NEXT_HOP_LENGTH = "a next hop of a wrong length"
    PREFIX_LENGTH = "a prefix length above the family's"
    PREFIX_CUT = "a prefix is cut off"
    UNROUTABLE = "a prefix of multicast, loopback, link-local addresses or network 0"
    NLRI_MALFORMED = "the inside of an NLRI of another family is malformed"
    NLRI_TYPE = "an NLRI of a type that is not defined"
    UNSPECIFIED = "the unspecified address"
    THIS_NETWORK = "an address of network 0"
    LOOPBACK = "a loopback address"
    MULTICAST = "a multicast or reserved address"
    OWN = "our own address"
    WELL_KNOWN = "claims to be well-known"
    WITHDRAWN_LENGTH = "Withdrawn Routes Length exceeds the message"
    ATTRIBUTES_LENGTH = "Total Path Attribute Length exceeds the message"
    HIDDEN_NLRI = "an attribute to withdraw for, and no reachable NLRI"
    MARKER = "the marker is not all ones"
    TYPE = "unknown message type"
    LENGTH = "length below or above what the type allows"
    EXTENDED = "above 4096 octets without extended messages"


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        part: an attribute's type, or another `Part`.
        error: what is wrong with it.
        verdict: what follows.
        standard: who says so.
        notification: error code and subcode of a session reset, else None.
        or_disable: the standard allows AFI/SAFI disable just as well.
    """

    part: int
    error: Error
    verdict: Verdict
    standard: str
    notification: tuple[int, int] | None = None
    or_disable: bool = False

    @property
    def subject(self) -> str:
        """Name the part."""
        return part_name(self.part)


class Flaw(NamedTuple):
    """An error that a check found, and the particulars in words."""

    error: Error
    words: str


class Fault(NamedTuple):
    """One thing that is wrong with an UPDATE, for the log and the peer's page."""

    attribute: int
    verdict: Verdict
    what: str

    def __str__(self) -> str:
        return f"{part_name(self.attribute)}: {self.what} ({self.verdict.value})"

    @property
    def is_grave(self) -> bool:
        """Whether the UPDATE's routes cannot be used."""
        return self.verdict not in (Verdict.IGNORE, Verdict.DISCARD)


def part_name(part: int) -> str:
    """Name an attribute by its type, or another part of a message."""
    try:
        return Part(part).words if part < 0 else Attribute(part).name
    except ValueError:
        return f"attribute {part}"


def fault(part: int, error: Error, words: str = "", *, code: int | None = None) -> Fault:
    """Make a fault with the verdict that the table has for it.

    Args:
        part: what is wrong.
        error: what is wrong with it.
        words: particulars; by default the error's own words.
        code: the type of an unknown attribute, or of one whose end is not known.
    """
    return Fault(
        part if code is None else code, TABLE[part, error].verdict, words or str(error.value)
    )


def reset(
    part: int, error: Error, data: bytes = b"", words: str = "", *, code: int | None = None
) -> UpdateMessageError:
    """Make the error that resets the session, as the table has it."""
    row = TABLE[part, error]
    assert row.notification is not None
    name = part_name(part if code is None else code)
    return UpdateMessageError(row.notification[1], data, f"{name}: {words or row.error.value}")


_I, _D, _E = Verdict.IGNORE, Verdict.DISCARD, Verdict.EXCLUDE
_W, _R = Verdict.WITHDRAW, Verdict.RESET


def _rows(part: int, verdict: Verdict, standard: str, *errors: Error) -> Iterator[Row]:
    for error in errors:
        yield Row(part, error, verdict, standard)


def _resets(
    part: int,
    subcode: UpdateSubcode,
    standard: str,
    *errors: Error,
    or_disable: bool = False,
) -> Iterator[Row]:
    told = (int(Code.UPDATE_MESSAGE_ERROR), int(subcode))
    for error in errors:
        yield Row(part, error, Verdict.RESET, standard, told, or_disable)


def _header(subcode: HeaderSubcode, standard: str, *errors: Error) -> Iterator[Row]:
    told = (int(Code.MESSAGE_HEADER_ERROR), int(subcode))
    for error in errors:
        yield Row(Part.HEADER, error, Verdict.RESET, standard, told)


_SEGMENTS = (Error.SEGMENT_TYPE, Error.SEGMENT_CUT, Error.SEGMENT_EMPTY, Error.SEGMENT_OVERRUN)
_FIXED = (Error.EMPTY, Error.SHORT, Error.LONG)
_LIST = (Error.EMPTY, Error.SHORT, Error.MULTIPLE)
_PREFIXES = (Error.PREFIX_LENGTH, Error.PREFIX_CUT)
_MULTIPROTOCOL = (Attribute.MP_REACH_NLRI, Attribute.MP_UNREACH_NLRI)
_A, _S = Attribute, UpdateSubcode


def _every_attribute() -> Iterator[Row]:
    """The errors that any attribute can have (RFC 7606 §3, §4)."""
    for attribute in Attribute:
        flags = (Error.OPTIONAL_BIT, Error.TRANSITIVE_BIT)
        if attribute is Attribute.AIGP:
            yield from _rows(attribute, _W, "RFC 7606 §3 c", Error.OPTIONAL_BIT)
            yield from _rows(attribute, _D, "RFC 7311 §3.2", Error.TRANSITIVE_BIT)
        elif attribute not in _MULTIPROTOCOL:
            yield from _rows(attribute, _W, "RFC 7606 §3 c", *flags)
        if attribute in _MULTIPROTOCOL:
            # Wrong flags make them incorrect like a prefix that is cut off: their NLRI count as
            # not parsed, and cannot be withdrawn.
            yield from _resets(
                attribute,
                _S.OPTIONAL_ATTRIBUTE_ERROR,
                "RFC 7606 §3 j, §5.3",
                *flags,
                or_disable=True,
            )
            yield from _resets(attribute, _S.MALFORMED_ATTRIBUTE_LIST, "RFC 7606 §3 g", Error.TWICE)
            yield from _resets(
                attribute, _S.OPTIONAL_ATTRIBUTE_ERROR, "RFC 7606 §3 j", Error.OVERRUN
            )
        else:
            yield from _rows(attribute, _D, "RFC 7606 §3 g", Error.TWICE)
            yield from _rows(attribute, _W, "RFC 7606 §4", Error.OVERRUN)


ROWS: tuple[Row, ...] = (
    # The message as a whole.
    *_header(HeaderSubcode.CONNECTION_NOT_SYNCHRONIZED, "RFC 4271 §6.1", Error.MARKER),
    *_header(HeaderSubcode.BAD_MESSAGE_TYPE, "RFC 4271 §6.1", Error.TYPE),
    *_header(HeaderSubcode.BAD_MESSAGE_LENGTH, "RFC 4271 §6.1", Error.LENGTH),
    *_header(HeaderSubcode.BAD_MESSAGE_LENGTH, "RFC 8654 §4", Error.EXTENDED),
    *_resets(
        Part.FIELDS,
        _S.MALFORMED_ATTRIBUTE_LIST,
        "RFC 4271 §6.3",
        Error.WITHDRAWN_LENGTH,
        Error.ATTRIBUTES_LENGTH,
    ),
    *_resets(Part.FIELDS, _S.MALFORMED_ATTRIBUTE_LIST, "RFC 7606 §5.2", Error.HIDDEN_NLRI),
    *_resets(Part.WITHDRAWN_ROUTES, _S.INVALID_NETWORK_FIELD, "RFC 7606 §3 i, §5.3", *_PREFIXES),
    *_resets(Part.NLRI, _S.INVALID_NETWORK_FIELD, "RFC 7606 §3 j, §5.3", *_PREFIXES),
    *_rows(Part.NLRI, _I, "RFC 4271 §6.3", Error.UNROUTABLE),
    # The list of attributes.
    *_rows(Part.ATTRIBUTE_LIST, _W, "RFC 7606 §4", Error.HEADER_CUT),
    # No standard bounds it: what we could not send on with a path of our own in front is refused.
    *_rows(Part.ATTRIBUTE_LIST, _W, "RFC 8654 §4", Error.LONG),
    *_every_attribute(),
    *_resets(
        Part.UNKNOWN,
        _S.UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE,
        "RFC 4271 §6.3",
        Error.WELL_KNOWN,
    ),
    *_rows(Part.UNKNOWN, _D, "RFC 7606 §3 g", Error.TWICE),
    *_rows(Part.UNKNOWN, _W, "RFC 7606 §4", Error.OVERRUN),
    # Each attribute's own.
    *_rows(_A.ORIGIN, _W, "RFC 7606 §7.1", Error.EMPTY, Error.LONG, Error.VALUE),
    *_rows(_A.ORIGIN, _W, "RFC 7606 §3 d", Error.MISSING),
    *_rows(_A.AS_PATH, _W, "RFC 7606 §7.2", *_SEGMENTS),
    *_rows(_A.AS_PATH, _W, "RFC 7607 §2", Error.AS_ZERO),
    *_rows(_A.AS_PATH, _W, "RFC 5065 §5, RFC 7606 §7.2", Error.CONFEDERATION),
    *_rows(_A.AS_PATH, _W, "RFC 9774 §3", Error.AS_SET),
    *_rows(_A.AS_PATH, _W, "RFC 4271 §6.3, RFC 7606 §3 e", Error.FIRST_AS),
    *_rows(_A.AS_PATH, _W, "RFC 7606 §3 d", Error.MISSING),
    *_rows(_A.AS_PATH, _E, "RFC 4271 §9.1.2", Error.LOOP),
    *_rows(_A.NEXT_HOP, _W, "RFC 7606 §7.3", *_FIXED),
    *_rows(_A.NEXT_HOP, _W, "RFC 7606 §3 d", Error.MISSING),
    *_rows(
        _A.NEXT_HOP,
        _E,
        "RFC 4271 §6.3",
        Error.UNSPECIFIED,
        Error.THIS_NETWORK,
        Error.LOOPBACK,
        Error.MULTICAST,
        Error.OWN,
    ),
    *_rows(_A.MULTI_EXIT_DISC, _W, "RFC 7606 §7.4", *_FIXED),
    *_rows(_A.LOCAL_PREF, _W, "RFC 7606 §7.5", *_FIXED),
    *_rows(_A.LOCAL_PREF, _D, "RFC 7606 §7.5", Error.FOREIGN),
    *_rows(_A.LOCAL_PREF, _W, "RFC 4271 §5.1.5, RFC 7606 §3 d", Error.MISSING),
    *_rows(_A.ATOMIC_AGGREGATE, _D, "RFC 7606 §7.6", Error.LONG),
    *_rows(_A.AGGREGATOR, _D, "RFC 7606 §7.7", *_FIXED),
    *_rows(_A.AGGREGATOR, _D, "RFC 7607 §2", Error.AS_ZERO),
    *_rows(_A.COMMUNITIES, _W, "RFC 7606 §7.8", *_LIST),
    *_rows(_A.ORIGINATOR_ID, _W, "RFC 7606 §7.9", *_FIXED),
    *_rows(_A.ORIGINATOR_ID, _D, "RFC 7606 §7.9", Error.FOREIGN),
    *_rows(_A.ORIGINATOR_ID, _E, "RFC 4456 §8", Error.LOOP),
    *_rows(_A.CLUSTER_LIST, _W, "RFC 7606 §7.10", *_LIST),
    *_rows(_A.CLUSTER_LIST, _D, "RFC 7606 §7.10", Error.FOREIGN),
    *_rows(_A.CLUSTER_LIST, _E, "RFC 4456 §8", Error.LOOP),
    *_resets(
        _A.MP_REACH_NLRI,
        _S.OPTIONAL_ATTRIBUTE_ERROR,
        "RFC 7606 §7.11",
        Error.EMPTY,
        Error.SHORT,
        Error.NEXT_HOP_CUT,
        Error.NEXT_HOP_LENGTH,
        or_disable=True,
    ),
    *_resets(
        _A.MP_REACH_NLRI,
        _S.OPTIONAL_ATTRIBUTE_ERROR,
        "RFC 7606 §5.3, RFC 4760 §7",
        *_PREFIXES,
        or_disable=True,
    ),
    *_rows(_A.MP_REACH_NLRI, _W, "RFC 7606 §2, RFC 8955 §10", Error.NLRI_MALFORMED),
    *_rows(_A.MP_REACH_NLRI, _I, "RFC 7606 §5.4", Error.NLRI_TYPE),
    *_rows(_A.MP_REACH_NLRI, _I, "RFC 4271 §6.3", Error.UNROUTABLE),
    *_rows(
        _A.MP_REACH_NLRI,
        _E,
        "RFC 4271 §6.3",
        Error.UNSPECIFIED,
        Error.LOOPBACK,
        Error.MULTICAST,
        Error.OWN,
    ),
    *_resets(
        _A.MP_UNREACH_NLRI,
        _S.OPTIONAL_ATTRIBUTE_ERROR,
        "RFC 7606 §7.12, RFC 4760 §7",
        Error.EMPTY,
        Error.SHORT,
        *_PREFIXES,
        or_disable=True,
    ),
    # What was treated as withdrawn when it came can be withdrawn.
    *_rows(_A.MP_UNREACH_NLRI, _I, "RFC 7606 §2, §5.4", Error.NLRI_MALFORMED, Error.NLRI_TYPE),
    *_rows(_A.EXTENDED_COMMUNITIES, _W, "RFC 7606 §7.14", *_LIST),
    *_rows(_A.AS4_PATH, _D, "RFC 6793 §6", Error.EMPTY, *_SEGMENTS, Error.FOREIGN),
    *_rows(_A.AS4_PATH, _D, "RFC 7607 §2", Error.AS_ZERO),
    *_rows(_A.AS4_PATH, _W, "RFC 9774 §3", Error.AS_SET),
    *_rows(_A.AS4_AGGREGATOR, _D, "RFC 6793 §6", *_FIXED, Error.FOREIGN),
    *_rows(_A.AS4_AGGREGATOR, _D, "RFC 7607 §2", Error.AS_ZERO),
    *_rows(_A.IPV6_EXTENDED_COMMUNITIES, _W, "RFC 7606 §7.15", *_LIST),
    *_rows(
        _A.AIGP,
        _D,
        "RFC 7311 §3.2",
        Error.EMPTY,
        Error.TLV_CUT,
        Error.TLV_LENGTH,
        Error.LARGEST,
    ),
    *_rows(_A.AIGP, _D, "RFC 7311 §3.3", Error.FOREIGN),
    *_rows(_A.LARGE_COMMUNITIES, _W, "RFC 8092 §6", *_LIST),
    *_rows(_A.ONLY_TO_CUSTOMER, _W, "RFC 9234 §5", *_FIXED),
    *_rows(_A.ONLY_TO_CUSTOMER, _E, "RFC 9234 §5", Error.LEAK),
)

TABLE: dict[tuple[int, Error], Row] = {(row.part, row.error): row for row in ROWS}
