"""NLRI of relayed families for tests, and a peer that tells and hears them.

`NLRI` has a strategy for each family that draws well-formed NLRI field by field, as the RFCs draw
them, independent of `speaker.wire.relay`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from fsm.family import NAMES, Family
from speaker.wire.relay import nlris
from tests.support.scripted_peer import (
    ScriptedPeer,
    attribute,
    capability,
    message,
    path_attributes,
    update,
)

RD = bytes.fromhex("0000fde800000001")
"""65000:1"""

LABEL, OTHER_LABEL = b"\x00\x06\x41", b"\x00\x0c\x81"
"""Labels 100 and 200."""

WITHDRAWN = b"\x80\0\0"


def vpn(prefix: bytes, label: bytes = LABEL, rd: bytes = RD) -> bytes:
    """Write the NLRI of a VPN from a packed prefix (RFC 4364 §4.3.4)."""
    return bytes((prefix[0] + 24 + 64,)) + label + rd + prefix[1:]


def mac_ip(label: bytes = LABEL, esi: bytes = bytes(10), mac: bytes = b"\2\0\0\0\0\1") -> bytes:
    """Write a MAC/IP advertisement route (RFC 7432 §7.2)."""
    value = RD + esi + bytes(4) + b"\x30" + mac + b"\x20\x0a\0\0\1" + label
    return bytes((2, len(value))) + value


def flow(*components: bytes) -> bytes:
    """Write a flow specification (RFC 8955 §4)."""
    value = b"".join(components)
    return bytes((len(value),)) + value


TO_NET, OVER_TCP, TO_WEB = b"\x01\x18\x0a\1\2", b"\x03\x81\x06", b"\x05\x81\x50"
"""Components: destination 10.1.2.0/24, protocol TCP, destination port 80."""


_ADDRESS = b"\x20\x0a\0\0\1"
SAMPLES: dict[str, bytes] = {
    "ipv4-multicast": b"\x18\x0a\1\2",
    "ipv6-labelled": b"\x58" + LABEL + bytes.fromhex("20010db800000001"),
    "ipv4-vpn": vpn(b"\x18\x0a\1\2"),
    "ipv4-mcast-vpn": b"\x05\x12" + RD + _ADDRESS + _ADDRESS,
    "ipv4-flow": flow(TO_NET, OVER_TCP, TO_WEB),
    "ipv6-flow-vpn": flow(RD, b"\x01\x20\0\x20\1\x0d\xb8", OVER_TCP),
    "ipv4-mup": b"\1\0\3\x17" + RD + _ADDRESS + b"\0\0\0\7\5" + _ADDRESS,
    "ipv4-rtc": b"\x60\0\0\xfd\xe8\0\2\xfd\xe8\0\0\0\1",
    "l2vpn-evpn": mac_ip() + b"\3\x11" + RD + bytes(4) + _ADDRESS,
    "l2vpn-vpls": b"\0\x11" + RD + b"\0\1\0\1\0\x08" + LABEL,
    "bgp-ls": b"\0\7\0\2xy",
}
"""Blocks of NLRI by the names of their families."""

NEXT_HOPS = {"ipv4-vpn": bytes(8) + b"\x0a\0\0\1", "ipv6-labelled": bytes(15) + b"\1"}
"""Next hops of families for which four octets will not do."""


def _octets(least: int, most: int | None = None) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=least, max_size=least if most is None else most)


@st.composite
def _rds(draw: st.DrawFn) -> bytes:
    return bytes((0, draw(st.integers(0, 2)))) + draw(_octets(6))


@st.composite
def _prefixes(draw: st.DrawFn, width: int, least: int = 0) -> bytes:
    bits = draw(st.integers(least, width))
    octets = bytearray(draw(_octets(bits + 7 >> 3)))
    if bits % 8:
        octets[-1] &= 0xFF << (8 - bits % 8) & 0xFF
    return bytes((bits,)) + bytes(octets)


@st.composite
def _labels(draw: st.DrawFn, most: int = 1) -> bytes:
    numbers = draw(st.lists(st.integers(16, 0xFFFFF), min_size=1, max_size=most))
    octets = [bytearray((number << 4).to_bytes(3, "big")) for number in numbers]
    octets[-1][2] |= 1
    return b"".join(octets)


@st.composite
def _labelled(draw: st.DrawFn, width: int, *, behind_rd: bool) -> bytes:
    # A stack of labels in front of a short prefix reads like one label and a longer prefix.
    labels, prefix = draw(_labels()), draw(_prefixes(width))
    if draw(st.booleans()) and prefix[0] > width - 24:
        labels = draw(_labels(2))
    rd = draw(_rds()) if behind_rd else b""
    bits = prefix[0] + 8 * len(labels) + 8 * len(rd)
    return bytes((bits,)) + labels + rd + prefix[1:]


def _tlv(kind: bytes, value: bytes, size: int = 1) -> bytes:
    return kind + len(value).to_bytes(size, "big") + value


@st.composite
def _addresses(draw: st.DrawFn, sizes: Sequence[int] = (4, 16)) -> bytes:
    size = draw(st.sampled_from(sizes))
    return bytes((8 * size,)) + draw(_octets(size))


@st.composite
def _evpn(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)))
    rd, esi, tag, label = draw(_rds()), draw(_octets(10)), draw(_octets(4)), draw(_labels())
    esi = bytes((draw(st.integers(0, 5)),)) + esi[1:]
    match kind:
        case 1:
            value = rd + esi + tag + label
        case 2:
            address = draw(_addresses((0, 4, 16)))
            labels = draw(st.sampled_from((label, label + draw(_labels()))))
            value = rd + esi + tag + b"\x30" + draw(_octets(6)) + address + labels
        case 3:
            value = rd + tag + draw(_addresses())
        case 4:
            value = rd + esi + draw(_addresses())
        case 5:
            size = draw(st.sampled_from((4, 16)))
            bits = draw(st.integers(0, 8 * size))
            value = rd + esi + tag + bytes((bits,)) + draw(_octets(2 * size)) + label
        case _:
            value = rd + draw(_octets(20, 60))
    return _tlv(bytes((kind,)), value)


@st.composite
def _mvpn(draw: st.DrawFn) -> bytes:
    kind = draw(st.integers(1, 7))
    size = draw(st.sampled_from((4, 16)))
    source_group = draw(_addresses((size,))) + draw(_addresses((size,)))
    value = draw(_rds())
    if kind in (6, 7):
        value += draw(_octets(4)) + source_group
    else:
        value += source_group
    return _tlv(bytes((kind,)), value)


@st.composite
def _mup(draw: st.DrawFn, size: int) -> bytes:
    kind, rd = draw(st.integers(1, 4)), draw(_rds())
    match kind:
        case 1:
            value = rd + draw(_prefixes(8 * size))
        case 2:
            value = rd + draw(_octets(size))
        case 3:
            value = rd + draw(_prefixes(8 * size)) + draw(_octets(5)) + draw(_addresses((size,)))
        case _:
            value = rd + bytes((8 * size + 32,)) + draw(_octets(size + 4))
    return _tlv(b"\1\0" + bytes((kind,)), value)


_FLOW_VALUES = {3: 1, 4: 2, 5: 2, 6: 2, 7: 1, 8: 1, 9: 2, 10: 2}


@st.composite
def _flow(draw: st.DrawFn, width: int, *, behind_rd: bool) -> bytes:
    value = draw(_rds()) if behind_rd else b""
    kinds = draw(st.lists(st.integers(1, 10), min_size=1, max_size=5, unique=True))
    for kind in sorted(kinds):
        if kind < 3:
            value += bytes((kind,)) + draw(_flow_prefix(width))
            continue
        items = draw(st.lists(_octets(_FLOW_VALUES[kind]), min_size=1, max_size=80))
        value += bytes((kind,))
        for index, item in enumerate(items):
            last = 0x80 if index == len(items) - 1 else 0
            value += bytes((last | (len(item) - 1) << 4 | 1,)) + item
    if len(value) < 240:
        return bytes((len(value),)) + value
    return (0xF000 | len(value)).to_bytes(2, "big") + value


@st.composite
def _flow_prefix(draw: st.DrawFn, width: int) -> bytes:
    prefix = draw(_prefixes(width, 1))
    if width == 32:
        return prefix
    offset = draw(st.integers(0, prefix[0] - 1))
    return bytes((prefix[0], offset)) + draw(_octets(prefix[0] - offset + 7 >> 3))


@st.composite
def _link_state(draw: st.DrawFn, *, behind_rd: bool) -> bytes:
    rd = draw(_rds()) if behind_rd else b""
    # Of a type that ExaBGP passes over: it is about the cut.
    kind = draw(st.integers(7, 60000)).to_bytes(2, "big")
    return _tlv(kind, rd + draw(_octets(0, 300)), 2)


@st.composite
def _route_targets(draw: st.DrawFn) -> bytes:
    return b"\x60" + draw(_octets(4)) + b"\0\2" + draw(_octets(6))


def _nlri() -> dict[str, st.SearchStrategy[bytes]]:
    by_name: dict[str, st.SearchStrategy[bytes]] = {
        "ipv4-rtc": st.one_of(_route_targets(), st.just(b"\0")),
        "l2vpn-evpn": _evpn(),
        "l2vpn-vpls": st.builds(lambda rest: b"\0\x11" + RD + rest, _octets(9)),
        "bgp-ls": _link_state(behind_rd=False),
        "bgp-ls-vpn": _link_state(behind_rd=True),
    }
    for afi, size in (("ipv4", 4), ("ipv6", 16)):
        width = 8 * size
        by_name |= {
            f"{afi}-multicast": _prefixes(width),
            f"{afi}-labelled": _labelled(width, behind_rd=False),
            f"{afi}-vpn": _labelled(width, behind_rd=True),
            f"{afi}-mcast-vpn": _mvpn(),
            f"{afi}-flow": _flow(width, behind_rd=False),
            f"{afi}-flow-vpn": _flow(width, behind_rd=True),
            f"{afi}-mup": _mup(size),
        }
    return by_name


NLRI: dict[Family, st.SearchStrategy[bytes]] = {
    NAMES[name]: strategy for name, strategy in _nlri().items()
}
"""Well-formed NLRI by family."""


def multiprotocol(*families: Family) -> bytes:
    """Write the capabilities of families, for the ``more`` of an OPEN."""
    return b"".join(capability(1, struct.pack("!HBB", *(f.afi, 0, f.safi))) for f in families)


def reach(family: Family, nlri: bytes, next_hop: bytes) -> bytes:
    """Write an MP_REACH_NLRI."""
    head = struct.pack("!HBB", family.afi, family.safi, len(next_hop))
    return attribute(0x80, 14, head + next_hop + b"\0" + nlri)


def unreach(family: Family, nlri: bytes = b"") -> bytes:
    """Write an MP_UNREACH_NLRI."""
    return attribute(0x80, 15, struct.pack("!HB", family.afi, family.safi) + nlri)


@dataclass(frozen=True, slots=True)
class Relayed:
    """What was heard of a route.

    Attributes:
        attributes: flags and value by type, without MP_REACH_NLRI.
    """

    next_hop: bytes
    attributes: dict[int, tuple[int, bytes]] = field(default_factory=dict)


class RelayPeer(ScriptedPeer):
    """A scripted peer that keeps NLRI as they come.

    Attributes:
        routes: what was announced, by family and NLRI.
        lost: what was withdrawn.
        over: families whose End-of-RIB was heard.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.routes: dict[tuple[Family, bytes], Relayed] = {}
        self.lost: list[tuple[Family, bytes]] = []
        self.over: set[Family] = set()

    def tell(self, family: Family, nlri: bytes, *, next_hop: bytes, more: bytes = b"") -> None:
        """Announce NLRI with the attributes that a route of an internal peer must have."""
        attributes = path_attributes((), local_pref=100) + more
        self.send(update(b"", reach(family, nlri, next_hop) + attributes))

    def untell(self, family: Family, nlri: bytes) -> None:
        """Withdraw NLRI."""
        self.send(update(b"", unreach(family, nlri)))

    def refresh(self, family: Family, subtype: int = 0) -> None:
        """Ask for everything again, or mark that we tell it."""
        self.send(message(5, struct.pack("!HBB", family.afi, subtype, family.safi)))

    def _take_update(self, body: bytes) -> None:
        super_body = body[4:]
        found: dict[int, tuple[int, bytes]] = {}
        at = 0
        while at < len(super_body):
            flags, code = super_body[at], super_body[at + 1]
            size, start = super_body[at + 2], at + 3
            if flags & 0x10:
                size, start = int.from_bytes(super_body[at + 2 : at + 4], "big"), at + 4
            found[code] = flags & 0xEF, super_body[start : start + size]
            at = start + size
        if 15 in found:
            value = found[15][1]
            family = _family(value)
            if len(value) == 3:
                self.over.add(family)
            else:
                self.lost += [(family, nlri) for nlri in nlris(family, value[3:])]
        if 14 in found:
            value = found.pop(14)[1]
            end = 4 + value[3]
            for nlri in nlris(_family(value), value[end + 1 :]):
                self.routes[_family(value), nlri] = Relayed(value[4:end], found)


def _family(value: bytes) -> Family:
    numbers = value[0] << 8 | value[1], value[2]
    return next(family for family in NAMES.values() if family == numbers)
