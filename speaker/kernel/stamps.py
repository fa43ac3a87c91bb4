"""Stamps: one route message as a mould for a million.

All routes of one forwarding differ in sequence number, prefix length and address only. So pyroute2
encodes one message per (verb, family, forwarding), which is repeated as often as there are
prefixes; then the three are written into all of them at once, octet by octet: the first octets of
all addresses, the second of all addresses, and so on, as slices with the size of the message as
step. That is a thousand times cheaper than encoding each, and a test holds every stamped message
equal to what pyroute2 makes of the same route.

Layout: the netlink header (16 octets), the route header (12), RTA_DST with a whole address, then
the tail, the same for all. Numbers in netlink are in the machine's byte order.

Standards: RFC 3549 §3.1 (route messages).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import Enum
from typing import Any

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import WIDTH, Nlri, show_address
from speaker.kernel.routes import Forwarding
from speaker.rib.underlay import RouteKind

ADDRESS_FAMILY = {Afi.IPV4: 2, Afi.IPV6: 10}
"""AF_INET and AF_INET6."""

RTM_NEWROUTE, RTM_DELROUTE = 24, 25
NLM_F_REQUEST, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x100, 0x200, 0x400
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_NOWHERE = 0, 253, 255
RTNH_F_ONLINK = 4
RTA_NH_ID = 30

MAX_BATCH = 4096
"""Messages in one batch: many, for after each the thread has to wait for the interpreter's lock;
few enough that whatever is more urgent does not wait long."""

_PLACES = b"".join(struct.pack("=I", number) for number in range(MAX_BATCH))
SEQUENCES = tuple(_PLACES[octet::4] for octet in range(4))
"""A message's sequence number is its place in the batch; the kernel names it in errors. These are
all first, second, third and fourth octets of them."""

SEQUENCE_AT, LENGTH_AT, ADDRESS_AT = 8, 17, 32
"""Where in a message the sequence number, the prefix length and the address are."""


class Verb(Enum):
    """What is asked for a route."""

    ADD = "add"
    """Make it; fail if anything holds the place."""
    REPLACE = "replace"
    """Make it in the place of what is there."""
    REMOVE = "remove"
    """Remove it; the protocol is part of the request, so only a route of ours can match."""


_FLAGS = {
    Verb.ADD: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
    Verb.REPLACE: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE,
    Verb.REMOVE: NLM_F_REQUEST,
}


class Stamp:
    """The mould of one (verb, family, forwarding)."""

    __slots__ = ("_message", "_width")

    def __init__(self, afi: Afi, message: bytes) -> None:
        self._width = 1 + (WIDTH[afi] >> 3)
        self._message = message

    # hot: per prefix
    def ink(self, nlris: Sequence[Nlri], place: int = 0) -> bytearray:
        """Write one message per prefix, the first with ``place`` as its sequence number."""
        size, end = len(self._message), place + len(nlris)
        written = bytearray(self._message) * len(nlris)
        for octet, column in enumerate(SEQUENCES, SEQUENCE_AT):
            written[octet::size] = column[place:end]
        width = len(nlris[0])
        joined = b"".join(nlris)
        # The mould is made for the prefix of length 0, whose address is all zeros.
        if len(joined) != width * len(nlris) or len(set(map(len, nlris))) > 1:
            width = self._width
            joined = b"".join([nlri.ljust(width, b"\0") for nlri in nlris])
        written[LENGTH_AT::size] = joined[::width]
        for octet in range(1, width):
            written[ADDRESS_AT - 1 + octet :: size] = joined[octet::width]
        return written


class Stamps:
    """Make stamps and keep them.

    Args:
        table: the routing table all our routes are in.
        protocol: the number that marks a route as ours.
    """

    _KEPT = 8192

    def __init__(self, table: int, protocol: int) -> None:
        self._table = table
        self._protocol = protocol
        self._stamps: dict[tuple[Verb, Afi, Forwarding], Stamp] = {}

    def get(self, verb: Verb, afi: Afi, forwarding: Forwarding) -> Stamp:
        """Give the stamp of a forwarding."""
        key = (verb, afi, forwarding)
        stamp = self._stamps.get(key)
        if stamp is None:
            if len(self._stamps) >= self._KEPT:
                self._stamps.clear()
            message = encode(
                verb, afi, bytes(1), forwarding, table=self._table, protocol=self._protocol
            )
            stamp = self._stamps[key] = Stamp(afi, message)
        return stamp


def encode(
    verb: Verb,
    afi: Afi,
    nlri: Nlri,
    forwarding: Forwarding,
    *,
    table: int,
    protocol: int,
    sequence: int = 0,
) -> bytes:
    """Have pyroute2 encode one whole route message."""
    # Importing pyroute2 takes a sixth of a second; whoever runs without a kernel is spared that.
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message: Any = rtmsg()
    removes = verb is Verb.REMOVE
    message["family"] = ADDRESS_FAMILY[afi]
    message["dst_len"] = nlri[0]
    message["table"] = table if table < 256 else 0
    message["proto"] = protocol
    message["type"] = 0 if removes else int(forwarding.kind)
    message["scope"] = SCOPE_NOWHERE if removes else _scope(afi, forwarding)
    message["flags"] = 0
    attributes: list[tuple[str, object]] = [
        ("RTA_DST", show_address(nlri[1:].ljust(WIDTH[afi] >> 3, b"\0"))),
        ("RTA_TABLE", table),
        ("RTA_PRIORITY", forwarding.metric),
    ]
    if not removes:
        attributes += _hop_attributes(afi, message, forwarding)
    message["attrs"] = attributes
    message["header"]["type"] = RTM_DELROUTE if removes else RTM_NEWROUTE
    message["header"]["flags"] = _FLAGS[verb]
    message["header"]["sequence_number"] = sequence
    message.encode()
    data = bytes(message.data)
    if removes or not forwarding.nexthop:
        return data
    # pyroute2 has no word for this attribute.
    data = struct.pack("=I", len(data) + 8) + data[4:]
    return data + struct.pack("=HHI", 8, RTA_NH_ID, forwarding.nexthop)


def _scope(afi: Afi, forwarding: Forwarding) -> int:
    """IPv4 wants link scope for a route without gateway; IPv6 has no scopes of routes."""
    direct = (
        forwarding.kind is RouteKind.UNICAST
        and not forwarding.nexthop
        and not any(hop.gateway for hop in forwarding.hops)
    )
    return SCOPE_LINK if direct and afi is Afi.IPV4 else SCOPE_UNIVERSE


def _hop_attributes(afi: Afi, message: Any, forwarding: Forwarding) -> list[tuple[str, object]]:
    if forwarding.kind is not RouteKind.UNICAST or forwarding.nexthop:
        return []
    if len(forwarding.hops) == 1:
        hop = forwarding.hops[0]
        # For a single hop the flag stands in the route header.
        message["flags"] = _hop_flags(forwarding, hop)
        return [*_gateway(afi, hop), ("RTA_OIF", hop.interface)]
    hops = [
        {
            "flags": _hop_flags(forwarding, hop),
            "hops": hop.weight - 1,
            "oif": hop.interface,
            "attrs": _gateway(afi, hop),
        }
        for hop in forwarding.hops
    ]
    return [("RTA_MULTIPATH", hops)]


def _hop_flags(forwarding: Forwarding, hop: Hop) -> int:
    return RTNH_F_ONLINK if forwarding.onlink and hop.gateway else 0


def _gateway(afi: Afi, hop: Hop) -> list[tuple[str, object]]:
    if not hop.gateway:
        return []
    address = show_address(hop.gateway)
    if len(hop.gateway) == WIDTH[afi] >> 3:
        return [("RTA_GATEWAY", address)]
    # RFC 8950: IPv4 through an IPv6 neighbour.
    return [("RTA_VIA", {"family": ADDRESS_FAMILY[Afi.IPV6], "addr": address})]
