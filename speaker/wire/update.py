"""UPDATE messages: taken apart into blocks of octets, and put together from packed prefixes.

Incoming: `sections` finds the three fields of a body, `MpReach` and `MpUnreach` those of the
    multiprotocol attributes. Prefixes stay octets; `prefixes` cuts them. Outgoing:
    `pack_updates` and `pack_withdrawals` join packed prefixes behind one attribute block that was
    encoded once, as few messages as fit (RFC 4271 §4.3; RFC 7606 §5.1: never two of withdrawn
    routes, NLRI, MP_REACH_NLRI and MP_UNREACH_NLRI in one message).

Standards: RFC 4271 §4.3, §6.3; RFC 4760 §3, §4, §7; RFC 2545 §3; RFC 4724 §2 (End-of-RIB); RFC
7606 §5; RFC 8950 §3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fsm.errors import UpdateMessageError
from fsm.family import IPV4_UNICAST, Afi, Family, Safi
from policy.attributes import EXTENDED_LENGTH, OPTIONAL, TRANSITIVE, Attribute, tlv
from policy.prefix import WIDTH, Nlri, PrefixError, PrefixLengthError, split
from speaker.wire.attributes import flags_error
from speaker.wire.framing import HEADER_LENGTH, MARKER, MAX_LENGTH, UPDATE, message
from speaker.wire.verdicts import Error, Fault, Part, fault, reset

_REACH, _UNREACH = Attribute.MP_REACH_NLRI, Attribute.MP_UNREACH_NLRI
_MULTIPROTOCOL = (_REACH, _UNREACH)


# hot: per message
def sections(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Find the fields of an UPDATE body: withdrawn routes, path attributes, NLRI.

    Raises:
        UpdateMessageError: the lengths do not add up (RFC 4271 §6.3, Malformed Attribute List).
    """
    end = len(body)
    at = 2 + (body[0] << 8 | body[1])
    if at + 2 <= end:
        after = at + 2 + (body[at] << 8 | body[at + 1])
        if after <= end:
            return body[2:at], body[at + 2 : after], body[after:]
    error = Error.WITHDRAWN_LENGTH if at + 2 > end else Error.ATTRIBUTES_LENGTH
    raise reset(Part.FIELDS, error)


def end_of_rib_family(body: bytes) -> Family | None:
    """Tell which family's End-of-RIB marker this is, if it is one (RFC 4724 §2).

    An MP_UNREACH_NLRI without NLRI ends IPv4 unicast just as well, whatever the flags that do not
    count (RFC 4271 §4.3), and with a length of one octet or of two.
    """
    if body == b"\0\0\0\0":
        return IPV4_UNICAST
    if body[4:5] and body[4] & (OPTIONAL | TRANSITIVE) != OPTIONAL:
        return None
    if len(body) == 10 and body[:4] + body[5:7] == b"\0\0\0\x06\x0f\x03":
        return None if body[4] & EXTENDED_LENGTH else _known_family(body[7:10])
    if len(body) == 11 and body[:4] + body[5:8] == b"\0\0\0\x07\x0f\x00\x03":
        return _known_family(body[8:11]) if body[4] & EXTENDED_LENGTH else None
    return None


def _known_family(octets: bytes) -> Family | None:
    try:
        return Family(Afi(octets[0] << 8 | octets[1]), Safi(octets[2]))
    except ValueError:
        return None


class MpReach(NamedTuple):
    """MP_REACH_NLRI (RFC 4760 §3)."""

    family: Family | None
    next_hop: bytes
    link_local: bytes
    nlri: bytes


class MpUnreach(NamedTuple):
    """MP_UNREACH_NLRI (RFC 4760 §4)."""

    family: Family | None
    nlri: bytes


def mp_reach(value: bytes, extended_next_hop: frozenset[Family] = frozenset()) -> MpReach:
    """Take an MP_REACH_NLRI apart; the family is None where we do not know it.

    Args:
        value: of the attribute.
        extended_next_hop: families whose next hop may be an IPv6 address (RFC 8950 §3).

    Raises:
        UpdateMessageError: it is too short, or its next hop has no legal length (RFC 7606 §7.11).
    """
    if len(value) < 5:
        raise _incorrect(_REACH, Error.SHORT if value else Error.EMPTY, value)
    family, length = _known_family(value[:3]), value[3]
    if family is not None and family.safi == Safi.UNICAST:
        legal = (16, 32) if family.afi == Afi.IPV6 or family in extended_next_hop else ()
        if length not in legal and (length != 4 or family.afi != Afi.IPV4):
            words = f"a next hop of {length} octets"
            raise _incorrect(_REACH, Error.NEXT_HOP_LENGTH, value, words)
    if len(value) < 5 + length:
        raise _incorrect(_REACH, Error.NEXT_HOP_CUT, value)
    next_hop, second = value[4 : min(20, 4 + length)], value[20 : 4 + length]
    # RFC 2545 §3: the second address is of the link, or it is none.
    link_local = second if len(second) == 16 and _is_link_local(second) else b""
    return MpReach(family, next_hop, link_local, value[5 + length :])


def _is_link_local(address: bytes) -> bool:
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def mp_unreach(value: bytes) -> MpUnreach:
    """Take an MP_UNREACH_NLRI apart.

    Raises:
        UpdateMessageError: it is too short (RFC 7606 §7.12).
    """
    if len(value) < 3:
        raise _incorrect(_UNREACH, Error.SHORT if value else Error.EMPTY, value)
    return MpUnreach(_known_family(value[:3]), value[3:])


def _incorrect(code: Attribute, error: Error, value: bytes, words: str = "") -> UpdateMessageError:
    """RFC 4271 §6.3: what is wrong with an optional attribute is told with the attribute."""
    return reset(code, error, tlv(OPTIONAL, code, value), words)


def prefixes(part: int, afi: Afi, block: bytes, value: bytes = b"") -> list[Nlri]:
    """Cut the prefixes of one field.

    Args:
        part: the field, for the error.
        afi: of the prefixes.
        block: of NLRI.
        value: of the attribute that holds the block, if it is one.

    Raises:
        UpdateMessageError: no prefix can be read from it (RFC 7606 §5.3): what cannot be found
            cannot be withdrawn.
    """
    try:
        return split(afi, block)
    except PrefixError as error:
        kind = Error.PREFIX_LENGTH if isinstance(error, PrefixLengthError) else Error.PREFIX_CUT
        data = tlv(OPTIONAL, part, value) if part > 0 else b""
        raise reset(part, kind, data, str(error)) from None


def cut_multiprotocol(
    attributes: bytes,
) -> tuple[bytes, bytes | None, bytes | None, tuple[Fault, ...]]:
    """Cut MP_REACH_NLRI and MP_UNREACH_NLRI out, so that what is left can be interned.

    Returns:
        The other attributes as they came, the two values, and what is wrong with their flags.
        Octets that do not parse end the walk and stay with the others:
        `speaker.wire.attributes.scan` then says what is wrong.

    Raises:
        UpdateMessageError: one of the two stands twice (RFC 7606 §3 g).
    """
    at, end, start = 0, len(attributes), 0
    kept: list[bytes] = []
    found: dict[int, bytes] = {}
    faults: tuple[Fault, ...] = ()
    while end - at > 2:
        if not attributes[at] & EXTENDED_LENGTH:
            value = at + 3
            after = value + attributes[at + 2]
        elif end - at > 3:
            value = at + 4
            after = value + (attributes[at + 2] << 8 | attributes[at + 3])
        else:
            break
        if after > end:
            break
        code = attributes[at + 1]
        if code in _MULTIPROTOCOL:
            if code in found:
                raise reset(code, Error.TWICE)
            faults += _flags_fault(attributes[at], code)
            found[code] = attributes[value:after]
            kept.append(attributes[start:at])
            start = after
        at = after
    kept.append(attributes[start:])
    return b"".join(kept), found.get(_REACH), found.get(_UNREACH), faults


def _flags_fault(flags: int, code: int) -> tuple[Fault, ...]:
    """RFC 7606 §3 c: its NLRI can be read, so flags that are wrong cost no session."""
    error = flags_error(flags, code)
    if error is None:
        return ()
    return (fault(code, error, f"flags {flags:#04x} contradict its definition"),)


def end_of_rib(family: Family) -> bytes:
    """Make the End-of-RIB marker of a family (RFC 4724 §2)."""
    if family == IPV4_UNICAST:
        return message(UPDATE, b"\0\0\0\0")
    octets = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    return _body(tlv(OPTIONAL, Attribute.MP_UNREACH_NLRI, octets))


def _slices(nlris: Sequence[Nlri], room: int, widest: int) -> list[bytes]:
    """Join prefixes into blocks of at most ``room`` octets."""
    whole = b"".join(nlris)
    if len(whole) <= room:
        return [whole]
    # Every prefix counted at its widest: some octets of each message stay empty, none is looked at.
    count = max(1, room // widest)
    return [b"".join(nlris[i : i + count]) for i in range(0, len(nlris), count)]


def room_for_nlri(family: Family, attributes: bytes, next_hop: bytes, max_length: int) -> int:
    """Tell how many octets of prefixes fit beside an attribute set; 0 where not each would."""
    room = max_length - HEADER_LENGTH - 4 - len(attributes)
    if family != IPV4_UNICAST:
        # The header of MP_REACH_NLRI, and what it has beside next hop and NLRI.
        room -= 4 + 5 + len(next_hop)
    return 0 if room < _widest(family) else room


def _widest(family: Family) -> int:
    return (WIDTH[family.afi] >> 3) + 1


# hot: per attribute set
def pack_updates(
    family: Family,
    attributes: bytes,
    next_hop: bytes,
    nlris: Sequence[Nlri],
    max_length: int = MAX_LENGTH,
) -> list[bytes]:
    """Make the UPDATEs that announce prefixes with one attribute set.

    Args:
        family: where the prefixes belong.
        attributes: encoded attributes; for IPv4 unicast with NEXT_HOP, else without.
        next_hop: for the other families, what stands in MP_REACH_NLRI (16 or 32 octets for IPv6).
        nlris: packed prefixes.
        max_length: octets a message may have.

    Returns:
        Whole messages; none when the attributes alone leave no room for a prefix.
    """
    widest = _widest(family)
    room = room_for_nlri(family, attributes, next_hop, max_length)
    if not room:
        return []
    if family == IPV4_UNICAST:
        head = b"\x02\0\0" + len(attributes).to_bytes(2, "big") + attributes
        base = 23 + len(attributes)
        return [
            MARKER + (base + len(block)).to_bytes(2, "big") + head + block
            for block in _slices(nlris, room, widest)
        ]
    front = family.afi.to_bytes(2, "big") + bytes((family.safi, len(next_hop))) + next_hop + b"\0"
    # RFC 7606 §5.1: MP_REACH_NLRI stands first, so that a peer finds the NLRI whatever follows.
    return [
        _body(tlv(OPTIONAL, Attribute.MP_REACH_NLRI, front + block) + attributes)
        for block in _slices(nlris, room, widest)
    ]


def _body(attributes: bytes) -> bytes:
    return message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes)


def pack_withdrawals(
    family: Family, nlris: Sequence[Nlri], max_length: int = MAX_LENGTH
) -> list[bytes]:
    """Make the UPDATEs that withdraw prefixes."""
    widest = _widest(family)
    if family == IPV4_UNICAST:
        room = max_length - HEADER_LENGTH - 4
        return [
            message(UPDATE, len(block).to_bytes(2, "big") + block + b"\0\0")
            for block in _slices(nlris, room, widest)
        ]
    front = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    room = max_length - HEADER_LENGTH - 4 - 4 - len(front)
    return [
        _body(tlv(OPTIONAL, Attribute.MP_UNREACH_NLRI, front + block))
        for block in _slices(nlris, room, widest)
    ]
