"""UPDATE messages: taken apart into blocks of octets, and put together from packed prefixes.

Incoming: `sections` finds the three fields of a body, `MpReach` and `MpUnreach` those of the
    multiprotocol attributes. Prefixes stay octets; `prefixes` cuts them. Outgoing:
    `Packer` and `pack_withdrawals` join packed prefixes behind one attribute block that was
    encoded once, as few messages as fit (RFC 4271 §4.3; RFC 7606 §5.1: never two of withdrawn
    routes, NLRI, MP_REACH_NLRI and MP_UNREACH_NLRI in one message).

Standards: RFC 4271 §4.3, §6.3; RFC 4760 §3, §4, §7; RFC 2545 §3; RFC 4724 §2 (End-of-RIB); RFC
7606 §5; RFC 7911 §3; RFC 8950 §3.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from fsm.errors import UpdateMessageError
from fsm.family import IPV4_UNICAST, Afi, Family, Safi
from policy.attributes import EXTENDED_LENGTH, OPTIONAL, TRANSITIVE, Attribute, tlv
from policy.prefix import (
    ID_LENGTH,
    WIDTH,
    Nlri,
    PathIdNlri,
    PrefixError,
    PrefixLengthError,
    UnroutableError,
    split,
    split_with_ids,
)
from speaker.wire.attributes import flags_error
from speaker.wire.framing import HEADER_LENGTH, MARKER, MAX_LENGTH, UPDATE, message
from speaker.wire.verdicts import Error, Part, reset

# Marker, length, type, length of withdrawn routes, length of attributes.
_CLASSIC = Struct("!16sHBHH")

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
        UnroutableError: some lead nowhere, and the others can be taken (RFC 4271 §6.3).
        UpdateMessageError: no prefix can be read from it (RFC 7606 §5.3): what cannot be found
            cannot be withdrawn.
    """
    try:
        return split(afi, block)
    except UnroutableError:
        raise
    except PrefixError as error:
        raise _unreadable(part, error, value) from None


def prefixes_with_ids(part: int, afi: Afi, block: bytes, value: bytes = b"") -> list[PathIdNlri]:
    """Cut the prefixes of one field with the path identifiers before them (RFC 7911 §3).

    Args and errors are those of `prefixes`; an identifier that is cut off is one.
    """
    try:
        return split_with_ids(afi, block)
    except UnroutableError:
        raise
    except PrefixError as error:
        raise _unreadable(part, error, value) from None


def _unreadable(part: int, error: PrefixError, value: bytes) -> UpdateMessageError:
    kind = Error.PREFIX_LENGTH if isinstance(error, PrefixLengthError) else Error.PREFIX_CUT
    data = tlv(OPTIONAL, part, value) if part > 0 else b""
    return reset(part, kind, data, str(error))


def cut_multiprotocol(attributes: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    """Cut MP_REACH_NLRI and MP_UNREACH_NLRI out, so that what is left can be interned.

    Returns:
        The other attributes as they came, and the two values.
        Octets that do not parse end the walk and stay with the others:
        `speaker.wire.attributes.scan` then says what is wrong.

    Raises:
        UpdateMessageError: one of the two stands twice (RFC 7606 §3 g), or has wrong flags (§5.3).
    """
    at, end, start = 0, len(attributes), 0
    kept: list[bytes] = []
    found: dict[int, bytes] = {}
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
            error = flags_error(attributes[at], code)
            if error is not None:
                raise reset(code, error, attributes[at:after])
            found[code] = attributes[value:after]
            kept.append(attributes[start:at])
            start = after
        at = after
    kept.append(attributes[start:])
    return b"".join(kept), found.get(_REACH), found.get(_UNREACH)


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


def _widest(family: Family, path_ids: bool) -> int:
    """Count the octets of the longest prefix; other NLRI may have any length, one at the least."""
    return (WIDTH.get(family.afi, 0) >> 3) + 1 + (ID_LENGTH if path_ids else 0)


class Packer:
    """Makes the UPDATEs that announce prefixes of one family to peers that are alike.

    Args:
        family: where the prefixes belong.
        max_length: octets a message may have.
        path_ids: a path identifier stands before each prefix (RFC 7911 §3).
    """

    __slots__ = ("_front", "_has_field", "_most", "_widest")

    def __init__(
        self, family: Family, max_length: int = MAX_LENGTH, *, path_ids: bool = False
    ) -> None:
        self._widest = _widest(family, path_ids)
        self._most = max_length - HEADER_LENGTH - 4
        self._has_field = family == IPV4_UNICAST
        self._front = family.afi.to_bytes(2, "big") + bytes((family.safi,))

    def _is_classic(self, next_hop: bytes) -> bool:
        """Tell whether prefixes stand in the NLRI field: IPv4 ones, save with IPv6 next hops."""
        return self._has_field and len(next_hop) < 16

    def room(self, attributes: bytes, next_hop: bytes) -> int:
        """Tell how many octets of prefixes fit beside an attribute set; 0 where not each would."""
        room = self._most - len(attributes)
        if not self._is_classic(next_hop):
            # The header of MP_REACH_NLRI, and what it has beside next hop and NLRI.
            room -= 4 + 5 + len(next_hop)
        return 0 if room < self._widest else room

    # hot: per attribute set
    def pack(self, attributes: bytes, next_hop: bytes, nlris: Sequence[Nlri]) -> list[bytes]:
        """Make the messages.

        Args:
            attributes: encoded; for IPv4 unicast with NEXT_HOP if it has an IPv4 next hop, else
                without.
            next_hop: an IPv6 one (16 octets, or 32 with a link-local one) stands in MP_REACH_NLRI.
            nlris: packed prefixes.

        Returns:
            Whole messages; none when the attributes alone leave no room for a prefix.
        """
        room = self.room(attributes, next_hop)
        if not room:
            return []
        block = b"".join(nlris)
        if self._is_classic(next_hop):
            size = len(attributes)
            if len(block) <= room:
                head = _CLASSIC.pack(MARKER, 23 + size + len(block), UPDATE, 0, size)
                return [head + attributes + block]
            return [
                _CLASSIC.pack(MARKER, 23 + size + len(block), UPDATE, 0, size) + attributes + block
                for block in _slices(nlris, room, self._widest)
            ]
        blocks = [block] if len(block) <= room else _slices(nlris, room, self._widest)
        front = self._front + bytes((len(next_hop),)) + next_hop + b"\0"
        # RFC 7606 §5.1: MP_REACH_NLRI stands first, so that a peer finds the NLRI whatever follows.
        return [
            _body(tlv(OPTIONAL, Attribute.MP_REACH_NLRI, front + block) + attributes)
            for block in blocks
        ]


def _body(attributes: bytes) -> bytes:
    return message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes)


def pack_withdrawals(
    family: Family,
    nlris: Sequence[Nlri],
    max_length: int = MAX_LENGTH,
    *,
    path_ids: bool = False,
) -> list[bytes]:
    """Make the UPDATEs that withdraw prefixes, each behind its path identifier if it has one."""
    widest = _widest(family, path_ids)
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
