"""What comes, as the system tells it, and the socket that a session sends from.

The TTL or hop limit is told with each packet: Linux heeds IP_MINTTL for TCP alone.

Standards: RFC 5881 §4, §5; RFC 5883 §4, §5.
"""

from __future__ import annotations

import errno
import random
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from struct import Struct
from typing import TypeAlias, cast

from speaker.bfd.sorting import TTL
from speaker.bfd.words import Watch

SINGLE_HOP, MULTIHOP = 3784, 4784
"""Ports of RFC 5881 §4 and RFC 5883 §5."""

SOURCE_PORTS = (49152, 65535)
"""RFC 5881 §4."""

CS6 = 0xC0
"""The DSCP of network control, as the octet on the wire."""

IP_PKTINFO = 8  # linux/in.h
_IPV4_INFO = Struct("@I4s4s")
_IPV6_INFO = Struct("@16sI")
_INT = Struct("@i")
_TRIES = 64


Raw: TypeAlias = tuple[bytes, tuple[object, ...]]
"""A packet, and the way by which it came as the system tells it: two are the same, or not."""


_Way: TypeAlias = tuple[bool, tuple[str, int], list[tuple[int, int, bytes]]]


@dataclass(frozen=True, slots=True)
class Datagram:
    """What came, from where, and by which interface.

    Attributes:
        source: address in text, without a zone.
        interface: its index.
        ttl: TTL or hop limit.
        way: all that as the system tells it.
    """

    octets: bytes
    source: str
    destination: str
    interface: int
    ttl: int
    multihop: bool
    way: tuple[object, ...] = ()


def understand(raw: Raw) -> Datagram:
    """Say what the system told of a packet."""
    octets, way = raw
    multihop, where, ancillary = cast("_Way", way)
    destination, interface, ttl = "", 0, 0
    for level, kind, data in ancillary:
        if len(data) == _INT.size:
            ttl = _INT.unpack(data)[0]
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            packed, interface = _IPV6_INFO.unpack(data)
            destination = str(ip_address(packed))
        elif kind == IP_PKTINFO:
            interface, _, packed = _IPV4_INFO.unpack(data)
            destination = str(ip_address(packed))
    source = where[0].partition("%")[0]
    return Datagram(octets, source, destination, interface, ttl, multihop, way)


class Sender:
    """The socket that one session sends from; made when it is needed, and again when it fails.

    Attributes:
        trouble: why the last packet was not sent; empty if it was.
    """

    __slots__ = ("_socket", "_to", "_watch", "trouble")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._socket: socket.socket | None = None
        self._to: tuple[str, int] | tuple[str, int, int, int] = ("", 0)
        self.trouble = ""

    def send(self, octets: bytes) -> bool:
        """Send a packet; tell whether it went out."""
        try:
            if self._socket is None:
                self._socket = self._open()
            self._socket.sendto(octets, self._to)
        except BlockingIOError:
            self.trouble = "the interface's queue is full"
            return False
        except OSError as error:
            self.trouble = _words(error)
            # An interface or address that went may come back as another one.
            self.close()
            return False
        self.trouble = ""
        return True

    def close(self) -> None:
        """Let go of the port."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        watch = self._watch
        is_ipv6 = ":" in watch.peer
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        port = MULTIHOP if watch.multihop else SINGLE_HOP
        scope = socket.if_nametoindex(watch.interface) if watch.interface else 0
        zone = scope if is_ipv6 and ip_address(watch.peer).is_link_local else 0
        self._to = (watch.peer, port, 0, zone) if is_ipv6 else (watch.peer, port)
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if is_ipv6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, TTL)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, CS6)
            else:
                made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
                made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, CS6)
            if watch.interface and not watch.multihop:
                _tie(made, watch.interface)
            self._bind(made, zone)
        except OSError:
            made.close()
            raise
        return made

    def _bind(self, made: socket.socket, zone: int) -> None:
        """Bind to a port that no other session has. RFC 5881 §4."""
        local = self._watch.local or ""
        for _ in range(_TRIES):
            port = random.randint(*SOURCE_PORTS)
            try:
                made.bind(
                    (local, port, 0, zone) if made.family == socket.AF_INET6 else (local, port)
                )
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return
        raise OSError(errno.EADDRINUSE, "no source port is free")


def _tie(made: socket.socket, interface: str) -> None:
    """Let a socket send by one link only."""
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    except PermissionError as error:
        why = f"to send by {interface} alone needs CAP_NET_RAW before Linux 5.7"
        raise OSError(error.errno, why) from None


def _words(error: OSError) -> str:
    """Say in the middle of a sentence what the system said."""
    said = error.strerror or str(error)
    return said[:1].lower() + said[1:]
