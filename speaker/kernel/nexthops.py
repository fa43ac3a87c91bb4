"""Next-hop objects in octets: what the kernel keeps beside its routes, and routes may point to.

An object is either a `Single`, one gateway behind one interface, or a group of singles with
weights, which may be resilient (`policy.resilience`; for good: neither that nor the number of
buckets can be changed of a group). Routes that name a group by its number move with it: one message
replaces what is behind the number, however many routes there are. pyroute2 has no words for these
messages, so they are written here, and tests hold them to what iproute2 shows.

Every number of ours lies in a range that follows from our table, and bears our protocol, so that a
later run knows them again and two routers in one network namespace do not meet.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from typing import NamedTuple

from fsm.family import Afi
from policy.path import Hop
from policy.resilience import Resilience
from speaker.kernel.messages import attributes
from speaker.kernel.stamps import (
    ADDRESS_FAMILY,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    RTNH_F_ONLINK,
)

RTM_NEWNEXTHOP, RTM_DELNEXTHOP = 104, 105
NHA_ID, NHA_GROUP, NHA_GROUP_TYPE, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY = 1, 2, 3, 4, 5, 6
NHA_RES_GROUP = 12
BUCKETS, IDLE_TIMER, UNBALANCED_TIMER = 1, 2, 3
"""Within NHA_RES_GROUP."""

RESILIENT = 1
"""The type of group."""

NESTED = 0x8000
TICKS = 100
"""Of a timer, in a second."""

MAX_WEIGHT = 256

_HEADER = struct.Struct("=IHHII")
_OBJECT = struct.Struct("=BBBBI")
_NUMBER = struct.Struct("=HHI")
_MEMBER = struct.Struct("=IBBH")
_U16, _U32 = struct.Struct("=H"), struct.Struct("=I")

_AFI = {family: afi for afi, family in ADDRESS_FAMILY.items()}


class Single(NamedTuple):
    """One gateway behind one interface; of the gateway's own family."""

    gateway: bytes
    interface: int
    onlink: bool = False


Members = tuple[tuple[int, int], ...]
"""Numbers of singles and their weights, in order of number."""

Content = tuple[tuple[Single, int], ...]
"""What a group leads by: singles and their weights, in order."""


class NextHopObject(NamedTuple):
    """An object as the kernel shows it: a group's members, or else a single.

    Objects of kinds that we never make (drops, tunnels) have neither. A plain group has no
    resilience.
    """

    number: int
    protocol: int
    single: Single | None = None
    members: Members = ()
    resilience: Resilience | None = None


class Numbers:
    """The range of our objects' numbers: 2^18 singles, and as many groups for each family.

    Args:
        table: our routing table; tables that are equal modulo 1024 would share a range.
    """

    _SIZE = 1 << 18

    def __init__(self, table: int) -> None:
        self._base = 1 << 30 | (table & 0x3FF) << 20
        self._next = {None: 0, Afi.IPV4: 0, Afi.IPV6: 0}
        self._start = {None: 1, Afi.IPV4: self._SIZE, Afi.IPV6: 2 * self._SIZE}
        self.probe = self._base | 3 * self._SIZE

    def owns(self, number: int) -> bool:
        """Tell whether a number is in our range."""
        return number & ~0xFFFFF == self._base

    def family(self, number: int) -> Afi | None:
        """Tell the family of routes that a group is for; None for a single."""
        place = number & 0xFFFFF
        if place < self._SIZE:
            return None
        return Afi.IPV4 if place < 2 * self._SIZE else Afi.IPV6

    def free(self, afi: Afi | None, taken: Container[int]) -> int:
        """Give a number that is not taken, for a group of a family or (None) a single; 0: none."""
        room = self._SIZE - 1
        for _ in range(room):
            place = self._next[afi]
            self._next[afi] = (place + 1) % room
            number = self._base | self._start[afi] + place
            if number not in taken:
                return number
        return 0


def content_of(hops: tuple[Hop, ...], *, onlink: bool) -> Content:
    """Give what a group for these hops has to hold; the same gateway twice counts for both."""
    weights: dict[Single, int] = {}
    for hop in hops:
        single = Single(hop.gateway, hop.interface, onlink)
        weights[single] = min(weights.get(single, 0) + hop.weight, MAX_WEIGHT)
    if len(weights) == 1:
        weights = dict.fromkeys(weights, 1)
    return tuple(sorted(weights.items()))


def encode_single(number: int, single: Single, protocol: int, sequence: int = 0) -> bytes:
    """Write the request that makes a single, and fails if the number is taken."""
    family = ADDRESS_FAMILY[Afi.IPV4 if len(single.gateway) == 4 else Afi.IPV6]
    flags = RTNH_F_ONLINK if single.onlink else 0
    body = _OBJECT.pack(family, 0, protocol, 0, flags)
    body += _NUMBER.pack(8, NHA_ID, number)
    body += _NUMBER.pack(8, NHA_OIF, single.interface)
    body += _attribute(NHA_GATEWAY, single.gateway)
    return _request(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, sequence, body)


def encode_group(
    number: int,
    members: Members,
    protocol: int,
    *,
    replaces: bool,
    resilience: Resilience | None = None,
    sequence: int = 0,
) -> bytes:
    """Write the request that makes a group, or replaces one and fails if there is none."""
    body = _OBJECT.pack(0, 0, protocol, 0, 0)
    body += _NUMBER.pack(8, NHA_ID, number)
    packed = b"".join(_MEMBER.pack(single, weight - 1, 0, 0) for single, weight in members)
    body += _attribute(NHA_GROUP, packed)
    if resilience is not None:
        body += _attribute(NHA_GROUP_TYPE, _U16.pack(RESILIENT))
        body += _attribute(NHA_RES_GROUP | NESTED, _resilience_in_octets(resilience))
    flags = NLM_F_REPLACE if replaces else NLM_F_CREATE | NLM_F_EXCL
    return _request(RTM_NEWNEXTHOP, flags, sequence, body)


def encode_probe(afi: Afi, number: int, protocol: int, sequence: int = 0) -> bytes:
    """Write the request that makes an object which drops packets: the least a kernel can do."""
    body = _OBJECT.pack(ADDRESS_FAMILY[afi], 0, protocol, 0, 0)
    body += _NUMBER.pack(8, NHA_ID, number) + _attribute(NHA_BLACKHOLE, b"")
    return _request(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, sequence, body)


def encode_removal(number: int, sequence: int = 0) -> bytes:
    """Write the request that removes an object, and every route that names it."""
    body = _OBJECT.pack(0, 0, 0, 0, 0) + _NUMBER.pack(8, NHA_ID, number)
    return _request(RTM_DELNEXTHOP, 0, sequence, body)


def read_object(data: bytes, start: int, end: int) -> NextHopObject:
    """Read the body of RTM_NEWNEXTHOP or RTM_DELNEXTHOP."""
    _, _, protocol, _, flags = _OBJECT.unpack_from(data, start)
    found = attributes(data, start + 8, end)
    number = _u32(found.get(NHA_ID))
    packed = found.get(NHA_GROUP)
    if packed is not None:
        whole = packed[: len(packed) & ~7]
        members = sorted((one, weight + 1) for one, weight, _, _ in _MEMBER.iter_unpack(whole))
        resilience = None
        if _u16(found.get(NHA_GROUP_TYPE)) == RESILIENT:
            resilience = _read_resilience(found.get(NHA_RES_GROUP, b""))
        return NextHopObject(number, protocol, None, tuple(members), resilience)
    interface = _u32(found.get(NHA_OIF))
    if not interface:
        return NextHopObject(number, protocol)
    single = Single(found.get(NHA_GATEWAY, b""), interface, bool(flags & RTNH_F_ONLINK))
    return NextHopObject(number, protocol, single)


def _resilience_in_octets(resilience: Resilience) -> bytes:
    return (
        _attribute(BUCKETS, _U16.pack(resilience.buckets))
        + _attribute(IDLE_TIMER, _U32.pack(resilience.idle * TICKS))
        + _attribute(UNBALANCED_TIMER, _U32.pack(resilience.unbalanced * TICKS))
    )


def _read_resilience(data: bytes) -> Resilience:
    found = attributes(data, 0, len(data))
    return Resilience(
        _u16(found.get(BUCKETS)),
        _u32(found.get(IDLE_TIMER)) // TICKS,
        _u32(found.get(UNBALANCED_TIMER)) // TICKS,
    )


def _u16(value: bytes | None) -> int:
    return int(_U16.unpack_from(value)[0]) if value else 0


def _u32(value: bytes | None) -> int:
    return int(_U32.unpack_from(value)[0]) if value else 0


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value.ljust(len(value) + 3 & ~3, b"\0")


def _request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(16 + len(body), kind, NLM_F_REQUEST | flags, sequence, 0) + body
