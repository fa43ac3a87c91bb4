"""Echo packets: where they can be looped back, and those that the process sends back itself.

What is in an echo packet, and what it is good for, is the business of whoever sends it (RFC 5880
§6.4). It sends them to its own address by way of us (RFC 5881 §4), so forwarding them is all that
there is to do, and the kernel does it: that is what makes them worth more than control packets.
Some speakers address them to us instead, as FRR does over IPv6. Those come to a socket here, and go
back the way they came, with a TTL less by one: who gets such a one knows that it was looped.

The peer is told that it may send them (`Echoes.refusal`) only where both works: the interface
forwards, and the port is ours. Neither is done for strangers, nor faster than the peer was told.

Standards: RFC 5880 §6.4, §6.8.9; RFC 5881 §4; RFC 5883 §4.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from struct import Struct

from speaker.bfd.datagrams import IP_PKTINFO, Datagram, understand
from speaker.bfd.sorting import TTL
from speaker.bfd.words import Watch

ECHO = 3785
"""The port of RFC 5881 §4."""

BUDGET = 200
"""Packets that are read at once, and no more until `REST` is over."""

REST = 0.02
"""Seconds."""

_BUFFER = 1 << 18
_LONGEST, _ANCILLARY = 1500, 128
_IP_TTL, _IP_RECVTTL = 2, 12  # linux/in.h
_INT, _IPV4_INFO, _IPV6_INFO = Struct("@i"), Struct("@I4s4s"), Struct("@16sI")


class Echoes:
    """The sockets, one a family.

    Args:
        selector: that waits for them.
        may: told of each packet; says whether it is to go back.
        proc: where the kernel's settings are.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        may: Callable[[Datagram], bool],
        proc: Path = Path("/proc/sys/net"),
    ) -> None:
        self._selector = selector
        self._may = may
        self._proc = proc
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}
        self._resting: list[socket.socket] = []
        self.deadline: float | None = None

    def refusal(self, watch: Watch) -> str:
        """Say why a peer's echo packets are not looped back; empty if they are, or are not to be.

        Opens what it takes.
        """
        if not watch.settings.required_min_echo_rx_us:
            return ""
        address = ip_address(watch.peer)
        if watch.multihop:
            return "they are for single hops"
        if address.is_link_local:
            return "what has a link-local address is not forwarded"
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        if not self._forwards(family, watch.interface or "all"):
            return f"{watch.interface or 'this node'} does not forward"
        try:
            self._open(family)
        except OSError as error:
            return f"port {ECHO} cannot be had: {(error.strerror or str(error)).lower()}"
        return ""

    def _forwards(self, family: socket.AddressFamily, interface: str) -> bool:
        name = "ipv4" if family == socket.AF_INET else "ipv6"
        try:
            told = (self._proc / name / "conf" / interface / "forwarding").read_text("ascii")
        except OSError:
            return False
        return told.strip() != "0"

    def _open(self, family: socket.AddressFamily) -> None:
        if family in self._sockets:
            return
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                made.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            made.bind(("", ECHO))
        except OSError:
            made.close()
            raise
        self._sockets[family] = made
        self._selector.register(made, selectors.EVENT_READ, self)

    def hear(self, ready: Iterable[tuple[selectors.SelectorKey, int]], now: float) -> None:
        """Send back what waits at sockets that are ready, so much and no more."""
        for key, _ in ready:
            if key.data is self and isinstance(key.fileobj, socket.socket):
                self._answer(key.fileobj, now)
        if self.deadline is not None and self.deadline <= now:
            resting, self._resting, self.deadline = self._resting, [], None
            for sock in resting:
                self._selector.register(sock, selectors.EVENT_READ, self)

    def _answer(self, sock: socket.socket, now: float) -> None:
        for _ in range(BUDGET):
            try:
                octets, ancillary, _, where = sock.recvmsg(_LONGEST, _ANCILLARY)
            except OSError:
                return
            datagram = understand((octets, (False, where, ancillary)))
            if self._may(datagram):
                with suppress(OSError):
                    sock.sendmsg([octets], _way_back(datagram), 0, where)
        self._selector.unregister(sock)
        self._resting.append(sock)
        self.deadline = now + REST

    def close(self) -> None:
        """Send nothing back any more, and let go of the ports."""
        for sock in self._sockets.values():
            with suppress(KeyError):
                self._selector.unregister(sock)
            sock.close()
        self._sockets.clear()
        self._resting.clear()
        self.deadline = None


def _way_back(datagram: Datagram) -> list[tuple[int, int, bytes]]:
    """Say how a packet goes back: from the address and by the interface that it came to."""
    ours = ip_address(datagram.destination).packed
    hops = _INT.pack(TTL - 1)
    if len(ours) == 4:
        info = _IPV4_INFO.pack(datagram.interface, ours, bytes(4))
        return [(socket.IPPROTO_IP, IP_PKTINFO, info), (socket.IPPROTO_IP, _IP_TTL, hops)]
    info = _IPV6_INFO.pack(ours, datagram.interface)
    return [
        (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info),
        (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, hops),
    ]
