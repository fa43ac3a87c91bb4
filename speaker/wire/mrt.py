"""MRT: the dump of a table, TABLE_DUMP_V2, as route collectors and daemons write it.

`rib_entries` reads records from a file, one at a time, and gives of each prefix what each peer
told, its attributes as they stand there; nothing is kept but the table of peers. Attributes have
AS numbers of four octets, and of MP_REACH_NLRI usually the next hop alone (RFC 6396 §4.3.4);
`entry_attributes` brings them into the form in which sessions read them. Records of other types
are passed over.

Standards: RFC 6396 §2, §4.3; RFC 8050 §4 (entries with path identifiers).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error
from typing import BinaryIO, NamedTuple

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from policy.attributes import Attribute, tlvs
from policy.prefix import WIDTH, Nlri, canonical
from speaker.errors import SpeakerError

_HEADER = Struct("!IHHI")
_ENTRY = Struct("!HIH")
_TABLE_DUMP_V2 = 13
_PEER_INDEX_TABLE = 1
_UNICAST = {2: (IPV4_UNICAST, False), 4: (IPV6_UNICAST, False)}
_UNICAST |= {8: (IPV4_UNICAST, True), 10: (IPV6_UNICAST, True)}
"""Subtypes of RIB records: their family, and whether path identifiers stand in their entries."""

LONGEST = 1 << 24
"""Octets of a record at most; more is no MRT file."""


class MrtError(SpeakerError):
    """A file that is no MRT dump, or is cut off."""


class MrtPeer(NamedTuple):
    """One of the peers whose routes a dump has."""

    address: bytes
    asn: int


class RibEntry(NamedTuple):
    """What one peer told of one prefix."""

    family: Family
    nlri: Nlri
    peer: MrtPeer
    attributes: bytes


class EntryAttributes(NamedTuple):
    """Attributes as a session reads them.

    Attributes:
        raw: without MP_REACH_NLRI.
        next_hop: 4 or 16 octets, or none.
    """

    raw: bytes
    next_hop: bytes
    link_local: bytes


def rib_entries(file: BinaryIO) -> Iterator[RibEntry]:
    """Read a dump.

    Raises:
        MrtError: it is none, or is cut off.
    """
    peers: tuple[MrtPeer, ...] = ()
    number = 0
    while head := file.read(_HEADER.size):
        number += 1
        kind, subtype, body = _record(file, head, number)
        if kind != _TABLE_DUMP_V2:
            continue
        try:
            if subtype == _PEER_INDEX_TABLE:
                peers = _peer_table(body)
            elif subtype in _UNICAST:
                yield from _rib(body, *_UNICAST[subtype], peers)
        except (IndexError, error):
            raise MrtError(f"record {number} of the dump is cut off") from None


def _record(file: BinaryIO, head: bytes, number: int) -> tuple[int, int, bytes]:
    if len(head) < _HEADER.size:
        raise MrtError(f"record {number} of the dump is cut off")
    _, kind, subtype, length = _HEADER.unpack(head)
    if length > LONGEST:
        raise MrtError(f"record {number} would have {length} octets: this is no MRT dump")
    body = file.read(length)
    if len(body) < length:
        raise MrtError(f"record {number} of the dump is cut off")
    return kind, subtype, body


def _peer_table(body: bytes) -> tuple[MrtPeer, ...]:
    """Read a PEER_INDEX_TABLE (RFC 6396 §4.3.1)."""
    at = 6 + (body[4] << 8 | body[5])
    count, at = body[at] << 8 | body[at + 1], at + 2
    found: list[MrtPeer] = []
    for _ in range(count):
        kind = body[at]
        address_end = at + 5 + (16 if kind & 1 else 4)
        end = address_end + (4 if kind & 2 else 2)
        if end > len(body):
            raise IndexError
        asn = int.from_bytes(body[address_end:end], "big")
        found.append(MrtPeer(body[at + 5 : address_end], asn))
        at = end
    return tuple(found)


# hot: per prefix
def _rib(
    body: bytes, family: Family, has_ids: bool, peers: tuple[MrtPeer, ...]
) -> Iterator[RibEntry]:
    """Read the entries of one prefix (RFC 6396 §4.3.2)."""
    length = body[4]
    at = 5 + (length + 7 >> 3)
    if length > WIDTH[family.afi]:
        raise MrtError(f"a prefix of {length} bits is too long for {family}")
    nlri = canonical(body[4:at])
    count, at = body[at] << 8 | body[at + 1], at + 2
    for _ in range(count):
        index, _, size = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        if has_ids:
            # RFC 8050 §4.1: the identifier stands before the length of the attributes.
            size, at = body[at + 2] << 8 | body[at + 3], at + 4
        after = at + size
        if after > len(body) or index >= len(peers):
            raise IndexError
        yield RibEntry(family, nlri, peers[index], body[at:after])
        at = after


def entry_attributes(raw: bytes) -> EntryAttributes:
    """Find the next hop of an entry, and take MP_REACH_NLRI out of its attributes.

    Raises:
        MrtError: they cannot be walked.
    """
    next_hop = link_local = b""
    reach = b""
    try:
        for _, code, value in tlvs(raw):
            if code == Attribute.NEXT_HOP:
                next_hop = value
            elif code == Attribute.MP_REACH_NLRI:
                reach = value
    except IndexError:
        raise MrtError("attributes of an entry are cut off") from None
    if not reach:
        return EntryAttributes(raw, next_hop, link_local)
    # Some write the whole attribute, which begins with the family, not with a length.
    at = 0 if reach[0] in (4, 16, 32) and len(reach) > reach[0] else 3
    size = reach[at] if at < len(reach) else 0
    hops = reach[at + 1 : at + 1 + size]
    return EntryAttributes(_without_reach(raw), hops[:16], hops[16:])


def _without_reach(raw: bytes) -> bytes:
    kept, at = b"", 0
    for flags, code, value in tlvs(raw):
        end = at + (4 if flags & 0x10 else 3) + len(value)
        if code != Attribute.MP_REACH_NLRI:
            kept += raw[at:end]
        at = end
    return kept
