"""Read what the kernel says: routes, links, addresses, errors, in octets.

`RouteReader` is fast where it matters: apart from the prefix, routes of one next hop are equal
octet for octet, so everything but the prefix is looked up in a table of *shapes* and read only
once. What it does not recognise it takes apart attribute by attribute. A test holds its reading
equal to pyroute2's.

A reader never fails on what it does not know: kinds of route we have no word for (local, multicast,
cached) give no shape and are passed over.

Standards: RFC 3549 §2.2 (netlink), §3.1 (links, addresses, routes).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import WIDTH, Nlri
from speaker.kernel.routes import Forwarding, Forwardings
from speaker.kernel.stamps import ADDRESS_FAMILY, RTA_NH_ID, RTNH_F_ONLINK
from speaker.rib.underlay import Address, KernelRoute, Link, RouteKind

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR = 16, 17, 20, 21
NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RTA_MULTIPATH, RTA_TABLE, RTA_VIA = 9, 15, 18
IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND = 3, 18, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
NLMSGERR_ATTR_MSG = 1
RTM_F_CLONED = 0x200
IFF_UP, IFF_LOWER_UP, IFF_LOOPBACK = 0x1, 0x10000, 0x8
NLA_TYPE = 0x3FFF
"""The rest of the two octets are flags (nested, network byte order)."""

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_HOP = struct.Struct("=HBBi")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ERROR = struct.Struct("=iIHHI")
_U32 = struct.Struct("=I")

_AFI = {family: afi for afi, family in ADDRESS_FAMILY.items()}
_KINDS = {int(kind): kind for kind in RouteKind}


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything a route message says but its prefix.

    Attributes:
        forwarding: how the route is made: it may name a next-hop object.
        hops: where it leads, be it by way of an object.
        nexthop: the object's number, or 0.
    """

    afi: Afi
    table: int
    protocol: int
    scope: int
    tos: int
    forwarding: Forwarding
    hops: tuple[Hop, ...] = ()
    nexthop: int = 0

    def route(self, nlri: Nlri) -> KernelRoute:
        """Join it with a prefix."""
        forwarding = self.forwarding
        return KernelRoute(
            nlri,
            forwarding.kind,
            self.hops,
            forwarding.metric,
            self.protocol,
            self.table,
            self.scope,
            self.tos,
        )


class Message(NamedTuple):
    """A netlink message: header fields and where its body lies in the buffer."""

    type: int
    flags: int
    sequence: int
    start: int
    end: int


def messages(data: bytes) -> Iterator[Message]:
    """Walk the messages in a buffer."""
    at, size = 0, len(data)
    while at + 16 <= size:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < 16:
            return
        yield Message(kind, flags, sequence, at + 16, min(at + length, size))
        at += length + 3 & ~3


def attributes(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """Read a run of attributes; the last of a type counts."""
    found = {}
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & NLA_TYPE] = data[at + 4 : min(at + length, end)]
        at += length + 3 & ~3
    return found


class RouteReader:
    """Read route messages, remembering shapes.

    Args:
        forwardings: where forwardings are interned, shared with whoever compares them.
        hops_of: tells where a next-hop object leads, for kernels that do not say it in the route.
        aliases: numbers of objects, and by which other number each counts.
    """

    _KEPT = 8192

    def __init__(
        self,
        forwardings: Forwardings,
        hops_of: Callable[[int], tuple[Hop, ...]] = lambda _: (),
        aliases: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._forwardings = forwardings
        self._hops_of = hops_of
        self._aliases = aliases
        self._shapes: dict[bytes, Shape | None] = {}
        self._forgot = False

    def forget(self) -> None:
        """Begin anew: what objects lead to, or count as, has changed."""
        self._shapes.clear()
        self._forgot = False

    def named(self) -> set[int] | None:
        """List the objects that routes read since `forget` name; None: more than are known."""
        if self._forgot:
            return None
        return {shape.nexthop for shape in self._shapes.values() if shape is not None}

    # hot: per prefix
    def read(self, data: bytes, start: int, end: int) -> tuple[Nlri, Shape] | None:
        """Read the body of one RTM_NEWROUTE or RTM_DELROUTE.

        Returns:
            The prefix and all the rest; None for a route that is none of our business.
        """
        length = data[start + 1]
        size = 16 if data[start] == 10 else 4
        dst = start + 20
        # The kernel writes RTA_TABLE first and RTA_DST second; else it is read the slow way.
        if not length or data[dst + 2] != RTA_DST or data[dst] != size + 4:
            return self._read_slowly(data, start, end)
        key = data[start : start + 1] + data[start + 2 : dst] + data[dst + 4 + size : end]
        shape = self._shapes.get(key)
        if shape is None:
            if key in self._shapes:
                return None
            read = self._read_slowly(data, start, end)
            if len(self._shapes) >= self._KEPT:
                self._shapes.clear()
                self._forgot = True
            self._shapes[key] = shape = read[1] if read else None
            if shape is None:
                return None
        octets = length + 7 >> 3
        return data[start + 1 : start + 2] + data[dst + 4 : dst + 4 + octets], shape

    def _read_slowly(self, data: bytes, start: int, end: int) -> tuple[Nlri, Shape] | None:
        family, length, source, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(
            data, start
        )
        afi = _AFI.get(family)
        # Routes by source address and cached copies are not routes to a prefix.
        if afi is None or source or flags & RTM_F_CLONED or kind not in _KINDS:
            return None
        found = attributes(data, start + 12, end)
        address = found.get(RTA_DST, b"").ljust(WIDTH[afi] >> 3, b"\0")
        metric, number = _number(found.get(RTA_PRIORITY)), _number(found.get(RTA_NH_ID))
        hops = tuple(_hops(found))
        made = Forwarding(_KINDS[kind], hops, metric, _is_onlink(found, flags))
        if number:
            hops = hops or self._hops_of(number)
            made = Forwarding(_KINDS[kind], (), metric, nexthop=self._aliases.get(number, number))
        forwarding = self._forwardings.intern(afi, made)
        table = _number(found.get(RTA_TABLE)) or table
        hops = hops if number else forwarding.hops
        shape = Shape(afi, table, protocol, scope, tos, forwarding, hops, number)
        return bytes((length,)) + address[: length + 7 >> 3], shape


def _number(value: bytes | None) -> int:
    return int(_U32.unpack_from(value)[0]) if value else 0


def _gateway_of(found: dict[int, bytes]) -> bytes:
    # RTA_VIA carries the family in two octets before the address.
    return found.get(RTA_GATEWAY) or found.get(RTA_VIA, b"")[2:]


def _hops(found: dict[int, bytes]) -> Iterator[Hop]:
    several = found.get(RTA_MULTIPATH)
    if several is None:
        interface = _number(found.get(RTA_OIF))
        if interface or _gateway_of(found):
            yield Hop(interface, _gateway_of(found))
        return
    for _, weight, interface, inner in _several(several):
        yield Hop(interface, _gateway_of(inner), "", weight + 1)


def _several(data: bytes) -> Iterator[tuple[int, int, int, dict[int, bytes]]]:
    at = 0
    while at + 8 <= len(data):
        length, flags, weight, interface = _HOP.unpack_from(data, at)
        if length < 8:
            return
        yield flags, weight, interface, attributes(data, at + 8, at + length)
        at += length + 3 & ~3


def _is_onlink(found: dict[int, bytes], flags: int) -> bool:
    several = found.get(RTA_MULTIPATH)
    if several is None:
        return bool(flags & RTNH_F_ONLINK)
    return any(hop[0] & RTNH_F_ONLINK for hop in _several(several))


def read_link(data: bytes, start: int, end: int) -> Link:
    """Read the body of RTM_NEWLINK or RTM_DELLINK."""
    _, _, index, flags, _ = _LINK.unpack_from(data, start)
    found = attributes(data, start + 16, end)
    info = found.get(IFLA_LINKINFO, b"")
    kind = attributes(info, 0, len(info)).get(IFLA_INFO_KIND, b"")
    return Link(
        index,
        _text(found.get(IFLA_IFNAME, b"")),
        is_up=bool(flags & IFF_UP),
        has_carrier=bool(flags & IFF_LOWER_UP),
        kind="loopback" if flags & IFF_LOOPBACK else _text(kind),
    )


def read_address(data: bytes, start: int, end: int) -> Address | None:
    """Read the body of RTM_NEWADDR or RTM_DELADDR."""
    family, length, _, _, index = _ADDRESS.unpack_from(data, start)
    found = attributes(data, start + 8, end)
    # On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL ours.
    address = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
    if address is None or family not in _AFI:
        return None
    return Address(address, length, index)


def read_error(data: bytes, message: Message) -> tuple[int, int, str]:
    """Read NLMSG_ERROR: sequence number of the request, errno (0: acknowledged), the reason."""
    number, length, _, _, sequence = _ERROR.unpack_from(data, message.start)
    text = b""
    if message.flags & NLM_F_ACK_TLVS:
        carried = 16 if message.flags & NLM_F_CAPPED else length
        text = attributes(data, message.start + 4 + (carried + 3 & ~3), message.end).get(
            NLMSGERR_ATTR_MSG, b""
        )
    return sequence, -number, _text(text)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
