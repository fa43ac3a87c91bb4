"""A BGP peer for tests that says exactly what a test has it say, and remembers what it hears.

It has an encoder and a decoder of its own, independent of `speaker.wire` and as small as can be:
OPEN, KEEPALIVE, UPDATE, NOTIFICATION, ROUTE-REFRESH, and any octets at all. What it hears becomes a
plain table from prefix to attributes. It answers KEEPALIVEs unless it is told to be silent, and it
can stop reading, so that its kernel's buffers fill.

Standards: RFC 4271 §4; RFC 4760 §3, §4; RFC 6793 §3; RFC 2918; RFC 4724 §2.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Self, cast

from speaker.config.secrets import Secret
from speaker.net.sockopts import sign

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = range(1, 6)
MARKER = b"\xff" * 16
IPV4, IPV6 = 1, 2
ESTABLISHED_WITHIN = 10.0


def message(kind: int, body: bytes = b"") -> bytes:
    """Put a header before a body."""
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def keepalive() -> bytes:
    return message(KEEPALIVE)


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    return message(NOTIFICATION, bytes((code, subcode)) + data)


def route_refresh(afi: int = IPV4, subtype: int = 0) -> bytes:
    return message(ROUTE_REFRESH, struct.pack("!HBB", afi, subtype, 1))


def capability(code: int, value: bytes = b"") -> bytes:
    """Write one capability."""
    return bytes((code, len(value))) + value


def open_message(
    asn: int,
    *,
    router_id: str = "192.0.2.1",
    hold_time: int = 90,
    version: int = 4,
    families: Sequence[int] = (IPV4,),
    refresh: bool = True,
    more: bytes = b"",
) -> bytes:
    """Write an OPEN; *more* is put behind the capabilities as further ones."""
    capabilities = b"".join(struct.pack("!BBHBB", 1, 4, afi, 0, 1) for afi in families)
    if refresh:
        capabilities += bytes((2, 0))
    capabilities += struct.pack("!BBI", 65, 4, asn) + more
    parameter = bytes((2, len(capabilities))) + capabilities
    short = asn if asn < 65536 else 23456
    head = struct.pack("!BHH4sB", version, short, hold_time, ip_address(router_id).packed, 0)
    return message(OPEN, head[:-1] + bytes((len(parameter),)) + parameter)


def attribute(flags: int, code: int, value: bytes) -> bytes:
    """Write one path attribute; the length takes two octets where it has to."""
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, code, len(value)) + value
    return struct.pack("!BBB", flags, code, len(value)) + value


def prefix(text: str) -> bytes:
    """Write a prefix as NLRI."""
    network = ip_network(text)
    size = (network.prefixlen + 7) // 8
    return bytes((network.prefixlen,)) + network.network_address.packed[:size]


def update(withdrawn: bytes = b"", attributes: bytes = b"", nlri: bytes = b"") -> bytes:
    """Put the three fields of an UPDATE together, whatever they are."""
    lengths = struct.pack("!H", len(withdrawn)), struct.pack("!H", len(attributes))
    return message(UPDATE, lengths[0] + withdrawn + lengths[1] + attributes + nlri)


def path_attributes(
    path: Sequence[int],
    *,
    origin: int = 0,
    next_hop: str = "",
    med: int | None = None,
    local_pref: int | None = None,
    communities: Sequence[tuple[int, int]] = (),
    otc: int | None = None,
    aigp: int | None = None,
    as_set: Sequence[int] = (),
) -> bytes:
    """Write the attributes of a route; AS numbers take four octets."""
    segment = bytes((2, len(path))) + struct.pack(f"!{len(path)}I", *path) if path else b""
    if as_set:
        segment += bytes((1, len(as_set))) + struct.pack(f"!{len(as_set)}I", *as_set)
    octets = attribute(0x40, 1, bytes((origin,))) + attribute(0x40, 2, segment)
    if next_hop:
        octets += attribute(0x40, 3, ip_address(next_hop).packed)
    if med is not None:
        octets += attribute(0x80, 4, struct.pack("!I", med))
    if local_pref is not None:
        octets += attribute(0x40, 5, struct.pack("!I", local_pref))
    if communities:
        octets += attribute(0xC0, 8, b"".join(struct.pack("!HH", *each) for each in communities))
    if aigp is not None:
        octets += attribute(0x80, 26, b"\1\0\x0b" + struct.pack("!Q", aigp))
    if otc is not None:
        octets += attribute(0xC0, 35, struct.pack("!I", otc))
    return octets


def mp_reach(nlri: bytes, next_hop: str) -> bytes:
    packed = ip_address(next_hop).packed
    value = struct.pack("!HBB", IPV6, 1, len(packed)) + packed + b"\0" + nlri
    return attribute(0x80, 14, value)


def mp_unreach(nlri: bytes) -> bytes:
    return attribute(0x80, 15, struct.pack("!HB", IPV6, 1) + nlri)


def end_of_rib(afi: int = IPV4) -> bytes:
    return update() if afi == IPV4 else update(attributes=mp_unreach(b""))


@dataclass(frozen=True, slots=True)
class Heard:
    """The attributes of a route that was heard."""

    as_path: tuple[int, ...] = ()
    next_hop: str = ""
    origin: int = 0
    med: int | None = None
    local_pref: int | None = None
    originator_id: str = ""
    cluster_list: tuple[str, ...] = ()
    communities: frozenset[tuple[int, int]] = frozenset()
    otc: int | None = None
    aigp: int | None = None


@dataclass(slots=True)
class HeardOpen:
    """What stands in an OPEN that was heard."""

    version: int
    asn: int
    hold_time: int
    router_id: str
    capabilities: list[tuple[int, bytes]] = field(default_factory=list)


class ScriptedPeer(asyncio.Protocol):
    """One connection of a scripted peer.

    Attributes:
        table: prefixes as text, and their attributes as they were heard last.
        told: how many times a prefix was announced or withdrawn to us.
        ended: families whose End-of-RIB was heard.
        notification: code, subcode and data of the NOTIFICATION that was heard.
        messages: types of all messages that were heard.
        story: prefixes, and subtypes of ROUTE-REFRESH, in the order in which they were heard.
        longest: octets of the longest message that was heard.
        is_open: the connection stands.
        answers: whether KEEPALIVEs are answered.
    """

    def __init__(self, asn: int = 65001, router_id: str = "192.0.2.1") -> None:
        self.asn = asn
        self.router_id = router_id
        self.address = ""
        self.table: dict[str, Heard] = {}
        self.announced = 0
        self.withdrawn = 0
        self.ended: set[int] = set()
        self.open: HeardOpen | None = None
        self.notification: tuple[int, int, bytes] | None = None
        self.messages: list[int] = []
        self.story: list[str] = []
        self.longest = 0
        self.is_open = False
        self.answers = True
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._news = asyncio.Event()

    # The connection.

    @classmethod
    async def connect(
        cls,
        address: str,
        port: int,
        *,
        source: str = "",
        asn: int = 65001,
        router_id: str = "",
        receive_buffer: int = 0,
        password: Secret | None = None,
        ttl: int = 0,
    ) -> Self:
        """Dial a router from one of our addresses, by signed segments if there is a password."""
        loop = asyncio.get_running_loop()
        peer = cls(asn, router_id or _router_id(source))
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if password is not None:
            sign(sock, address, password)
        if ttl:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        if source:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((source, 0))
        try:
            await loop.sock_connect(sock, (address, port))
            await loop.create_connection(lambda: peer, sock=sock)
        except BaseException:
            sock.close()
            raise
        peer.address = source
        return peer

    @classmethod
    async def up(cls, address: str, port: int, *, source: str, **options: Any) -> Self:
        """Dial a router and be Established with it."""
        said = {
            name: options.pop(name)
            for name in ("hold_time", "families", "refresh", "more")
            if name in options
        }
        peer = await cls.connect(address, port, source=source, **options)
        await peer.establish(**said)
        return peer

    @property
    def has_connected(self) -> bool:
        """Whether there is a connection, or was."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._news.set()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        at = 0
        while len(self._rest) - at >= 19:
            length, kind = struct.unpack_from("!HB", self._rest, at + 16)
            if len(self._rest) - at < length:
                break
            assert self._rest[at : at + 16] == MARKER
            self._take(kind, self._rest[at + 19 : at + length])
            at += length
        self._rest = self._rest[at:]
        self._news.set()

    def stop_reading(self) -> None:
        """Let what comes lie in the kernel's buffers."""
        assert self._transport is not None
        self._transport.pause_reading()

    def read_on(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()

    def close(self) -> None:
        """Send a FIN."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Send a RST: the connection is gone without a word."""
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    # Saying.

    def send(self, *octets: bytes) -> None:
        """Send messages, or any octets at all."""
        assert self._transport is not None
        self._transport.write(b"".join(octets))

    def send_open(self, **options: Any) -> None:
        self.send(open_message(self.asn, router_id=self.router_id, **options))

    def announce(self, *prefixes: str, path: Sequence[int] | None = None, **facts: Any) -> None:
        """Announce IPv4 prefixes with one attribute set."""
        facts.setdefault("next_hop", self.address)
        octets = path_attributes((self.asn,) if path is None else path, **facts)
        self.send(*(update(b"", octets, part) for part in packed(prefixes, 3900 - len(octets))))

    def announce_ipv6(self, *prefixes: str, next_hop: str, **facts: Any) -> None:
        octets = path_attributes(facts.pop("path", (self.asn,)), **facts)
        for part in packed(prefixes, 3800 - len(octets)):
            self.send(update(b"", mp_reach(part, next_hop) + octets))

    def withdraw(self, *prefixes: str) -> None:
        self.send(*(update(part) for part in packed(prefixes, 3900)))

    def withdraw_ipv6(self, *prefixes: str) -> None:
        self.send(*(update(b"", mp_unreach(part)) for part in packed(prefixes, 3800)))

    async def establish(self, **options: Any) -> None:
        """Say OPEN and KEEPALIVE, and wait until the other end has said both."""
        self.send_open(**options)
        await self.until(lambda: self.open is not None)
        self.send(keepalive())
        await self.until(lambda: KEEPALIVE in self.messages)

    # Hearing.

    async def until(
        self, condition: Callable[[], object], seconds: float = ESTABLISHED_WITHIN
    ) -> None:
        """Wait until a condition on what was heard holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_closed(self) -> None:
        await self.until(lambda: not self.is_open)

    async def until_ended(self, afi: int = IPV4) -> None:
        """Wait for End-of-RIB: we have been told everything."""
        await self.until(lambda: afi in self.ended)

    def _take(self, kind: int, body: bytes) -> None:
        self.messages.append(kind)
        self.longest = max(self.longest, 19 + len(body))
        if kind == ROUTE_REFRESH:
            self.story.append(f"refresh {body[2]}")
        if kind == UPDATE:
            self._take_update(body)
        elif kind == OPEN:
            self.open = _read_open(body)
        elif kind == NOTIFICATION:
            self.notification = (body[0], body[1], body[2:])
        elif kind == KEEPALIVE and self.answers and self.messages.count(KEEPALIVE) > 1:
            # The first one confirms our OPEN; those that follow keep the session.
            self.send(keepalive())

    def _take_update(self, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        after = end + 2 + int.from_bytes(body[end : end + 2], "big")
        withdrawn, octets, nlri = body[2:end], body[end + 2 : after], body[after:]
        if body == b"\0\0\0\0":
            self.ended.add(IPV4)
        self._lose(withdrawn, IPV4)
        found = _attributes(octets)
        heard = _heard(found)
        self._gain(nlri, IPV4, heard)
        if 15 in found:
            self._lose(found[15][3:], IPV6)
            if len(found[15]) == 3:
                self.ended.add(IPV6)
        if 14 in found:
            size = found[14][3]
            self._gain(found[14][5 + size :], IPV6, heard)

    def _lose(self, block: bytes, afi: int) -> None:
        for text in prefixes_of(block, afi):
            self.withdrawn += 1
            self.story.append(f"-{text}")
            self.table.pop(text, None)

    def _gain(self, block: bytes, afi: int, heard: Heard) -> None:
        for text in prefixes_of(block, afi):
            self.announced += 1
            self.story.append(text)
            self.table[text] = heard


class Doorkeeper:
    """A listening socket at which scripted peers are made for those who connect.

    Args:
        asn: of the scripted peers.
    """

    def __init__(self, address: str, port: int, asn: int = 65001) -> None:
        self.address = address
        self.port = port
        self.asn = asn
        self._made: list[ScriptedPeer] = []
        self._server: asyncio.Server | None = None

    @property
    def peers(self) -> list[ScriptedPeer]:
        """Those that are connected, or were; a loop makes a peer a moment before it is."""
        return [peer for peer in self._made if peer.has_connected]

    async def __aenter__(self) -> Self:
        def make() -> ScriptedPeer:
            peer = ScriptedPeer(self.asn, _router_id(self.address))
            peer.address = self.address
            self._made.append(peer)
            return peer

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(make, self.address, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.close()


def packed(prefixes: Iterable[str], room: int) -> Iterable[bytes]:
    """Give NLRI blocks that fit into messages."""
    block = b""
    for text in prefixes:
        octets = prefix(text)
        if len(block) + len(octets) > room:
            yield block
            block = b""
        block += octets
    if block:
        yield block


def prefixes_of(block: bytes, afi: int) -> list[str]:
    """Read NLRI."""
    width = 4 if afi == IPV4 else 16
    found = []
    at = 0
    while at < len(block):
        size = (block[at] + 7) // 8
        octets = block[at + 1 : at + 1 + size].ljust(width, b"\0")
        found.append(f"{ip_address(octets)}/{block[at]}")
        at += 1 + size
    return found


def _router_id(address: str) -> str:
    return address if address and ":" not in address else "192.0.2.1"


def _read_open(body: bytes) -> HeardOpen:
    version, asn, hold_time = struct.unpack_from("!BHH", body)
    heard = HeardOpen(version, asn, hold_time, str(IPv4Address(body[5:9])))
    at = 10
    while at < len(body):
        end = at + 2 + body[at + 1]
        at += 2
        while at < end:
            code, size = body[at], body[at + 1]
            value = body[at + 2 : at + 2 + size]
            heard.capabilities.append((code, value))
            if code == 65:
                heard.asn = int.from_bytes(value, "big")
            at += 2 + size
    return heard


def _attributes(octets: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at < len(octets):
        flags, code = octets[at], octets[at + 1]
        if flags & 0x10:
            size, start = int.from_bytes(octets[at + 2 : at + 4], "big"), at + 4
        else:
            size, start = octets[at + 2], at + 3
        found[code] = octets[start : start + size]
        at = start + size
    return found


def _heard(found: dict[int, bytes]) -> Heard:
    next_hop = found.get(3, b"")
    if 14 in found:
        next_hop = found[14][4 : 4 + min(16, found[14][3])]
    return Heard(
        as_path=_as_path(found.get(2, b"")),
        next_hop=str(ip_address(next_hop)) if next_hop else "",
        origin=found.get(1, b"\0")[0],
        med=_number(found.get(4)),
        local_pref=_number(found.get(5)),
        originator_id=str(IPv4Address(found[9])) if 9 in found else "",
        cluster_list=tuple(str(IPv4Address(part)) for part in _parts(found.get(10, b""))),
        communities=frozenset(
            cast("tuple[int, int]", struct.unpack("!HH", part))
            for part in _parts(found.get(8, b""))
        ),
        otc=_number(found.get(35)),
        aigp=_number(found[26][3:]) if 26 in found else None,
    )


def _as_path(octets: bytes) -> tuple[int, ...]:
    path: list[int] = []
    at = 0
    while at < len(octets):
        count = octets[at + 1]
        path += struct.unpack_from(f"!{count}I", octets, at + 2)
        at += 2 + 4 * count
    return tuple(path)


def _parts(octets: bytes) -> list[bytes]:
    return [octets[at : at + 4] for at in range(0, len(octets), 4)]


def _number(octets: bytes | None) -> int | None:
    return None if octets is None else int.from_bytes(octets, "big")
