"""Stamps: one route message as a mould for a million.

All routes of one forwarding differ in sequence number, prefix length and address only. So pyroute2
encodes one message per (verb, family, forwarding), and for each prefix the three are written into
a copy. That is two hundred times cheaper than encoding each, and a test holds every stamped message
equal to what pyroute2 makes of the same route.

Layout: the netlink header (16 octets), the route header (12), RTA_DST with a whole address, then
the tail, the same for all. Numbers in netlink are in the machine's byte order.

Standards: RFC 3549 §3.1 (route messages).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
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

MAX_BATCH = 512
"""Messages in one send: enough to make the system call cheap, little enough to stay polite."""

SEQUENCES = tuple(struct.pack("=I", number) for number in range(MAX_BATCH))
"""A message's sequence number is its place in the batch; the kernel names it in errors."""


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

    __slots__ = ("_before", "_heads", "_size", "_tail")

    def __init__(self, afi: Afi, message: bytes) -> None:
        size = WIDTH[afi] >> 3
        self._size = size
        self._before = message[:8]
        self._heads = [
            message[12:17] + bytes((length,)) + message[18:32] for length in range(WIDTH[afi] + 1)
        ]
        self._tail = message[32 + size :]

    # hot: per prefix
    def ink(self, nlris: Sequence[Nlri], sequences: Iterable[bytes]) -> bytes:
        """Write one message per prefix."""
        before, heads, size, tail = self._before, self._heads, self._size, self._tail
        return b"".join(
            [
                part
                for nlri, sequence in zip(nlris, sequences, strict=False)
                for part in (
                    before,
                    sequence,
                    heads[nlri[0]],
                    nlri[1:].ljust(size, b"\0"),
                    tail,
                )
            ]
        )


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
    return bytes(message.data)


def _scope(afi: Afi, forwarding: Forwarding) -> int:
    """IPv4 wants link scope for a route without gateway; IPv6 has no scopes of routes."""
    direct = forwarding.kind is RouteKind.UNICAST and not any(
        hop.gateway for hop in forwarding.hops
    )
    return SCOPE_LINK if direct and afi is Afi.IPV4 else SCOPE_UNIVERSE


def _hop_attributes(afi: Afi, message: Any, forwarding: Forwarding) -> list[tuple[str, object]]:
    if forwarding.kind is not RouteKind.UNICAST:
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
