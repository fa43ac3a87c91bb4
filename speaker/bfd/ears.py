"""The sockets that packets come in by: three for each family and kind, which the kernel fills.

What has a discriminator of ours is read whenever something is there, and wholly before anybody is
missed. All else (`sorting`) is read so much at a time and no more, whatever comes; the kernel drops
the rest when the small buffers of it are full, and counts. So a flood costs the process little and
the peers nothing.

Standards: RFC 5881 §4; RFC 5883 §5.
"""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from struct import Struct

from speaker.bfd.datagrams import IP_PKTINFO, MULTIHOP, SINGLE_HOP, Raw
from speaker.bfd.sorting import Kind, sort

BUFFERS = {Kind.OURS: 1 << 20, Kind.FIRST: 1 << 18, Kind.JUNK: 1 << 15}
"""Octets that wait to be read; a packet counts for about 800."""

BUDGETS = {Kind.OURS: 512, Kind.FIRST: 100, Kind.JUNK: 10}
"""Packets that are read of a socket before time passes: we have to send, too."""

ALL = 4096
"""More packets than wait at any socket."""

REST = 0.05
"""Seconds until more is read of strangers than so many packets."""

AGAIN = 0.1
"""Seconds until a port is tried again that another process has not left yet."""

DEAF = "cannot hear BFD packets"

_LONGEST = 128
_ANCILLARY = 128
_IP_RECVTTL = 12  # linux/in.h
_RCVBUFFORCE, _MEMINFO = 33, 55  # asm-generic/socket.h
_MEMORY = Struct("@9I")

KINDS = [
    (family, multihop) for family in (socket.AF_INET, socket.AF_INET6) for multihop in (False, True)
]


class Ear:
    """A socket.

    Args:
        family: of the socket.
        multihop: for sessions over several hops.
        kind: of the packets that it is to get.
        group: a socket that has the port already.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(
        self, family: socket.AddressFamily, kind: Kind, group: Ear | None, *, multihop: bool
    ) -> None:
        self.kind = kind
        self._multihop = multihop
        self.socket = made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            _enlarge(made, BUFFERS[kind])
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                made.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            if group is not None:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(("", MULTIHOP if multihop else SINGLE_HOP))
            if group is None:
                # Only now: with another process nothing is shared.
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError:
            made.close()
            raise

    def fileno(self) -> int:
        """Tell the descriptor to wait for."""
        return self.socket.fileno()

    def receive(self) -> Raw | None:
        """Read the next packet; None if none waits."""
        try:
            octets, ancillary, _, where = self.socket.recvmsg(_LONGEST, _ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return None
        return octets, (self._multihop, where, ancillary)

    @property
    def dropped(self) -> int:
        """How many packets the kernel has dropped since the buffer was full."""
        told = self.socket.getsockopt(socket.SOL_SOCKET, _MEMINFO, _MEMORY.size)
        return int(_MEMORY.unpack(told)[8])


def _enlarge(made: socket.socket, octets: int) -> None:
    """Ask for a buffer; beyond net.core.rmem_max only CAP_NET_ADMIN gets one."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
    with suppress(PermissionError):
        made.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, octets)


class Ears:
    """All sockets.

    Args:
        selector: that waits for them.
        take: called with each packet.
    """

    def __init__(self, selector: selectors.BaseSelector, take: Callable[[Raw], None]) -> None:
        self._selector = selector
        self._take = take
        self._groups: dict[tuple[socket.AddressFamily, bool], list[Ear]] = {}
        self._resting: list[Ear] = []
        self._tags: frozenset[int] = frozenset()
        self._deaf: dict[tuple[socket.AddressFamily, bool], str] = {}
        self._failure = ""
        self._rest_until: float | None = None
        self._again_at: float | None = None

    @property
    def trouble(self) -> str:
        """Why the system gives no packets; empty if it does."""
        return next(iter(self._deaf.values()), self._failure)

    @property
    def is_open(self) -> bool:
        """Whether packets are heard, and no port is to be tried again."""
        return bool(self._groups) and self._again_at is None

    @property
    def deadline(self) -> float | None:
        """When `hear` is to be called, also if nothing comes."""
        if self._rest_until is None or self._again_at is None:
            return self._again_at if self._rest_until is None else self._rest_until
        return min(self._rest_until, self._again_at)

    def open(self, tags: Iterable[int], now: float) -> None:
        """Hear packets; ports that another process has are tried again soon.

        Args:
            tags: of our discriminators.
            now: monotonic seconds.
        """
        wanted = frozenset(tags)
        if wanted != self._tags:
            self._tags = wanted
            for place, ears in self._groups.items():
                self._sort(place, ears)
        self._open_all(now)

    def _open_all(self, now: float) -> None:
        self._again_at = None
        for place in KINDS:
            if place not in self._groups:
                self._open(place, now)

    def _open(self, place: tuple[socket.AddressFamily, bool], now: float) -> None:
        family, multihop = place
        try:
            ears = [Ear(family, Kind.OURS, None, multihop=multihop)]
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            # A system without IPv6 lacks nothing.
            if is_taken or family == socket.AF_INET:
                self._deaf[place] = f"{DEAF}: {(error.strerror or '').lower()}"
            if is_taken:
                self._again_at = now + AGAIN
            return
        self._deaf.pop(place, None)
        with suppress(OSError):
            for kind in (Kind.FIRST, Kind.JUNK):
                ears.append(Ear(family, kind, ears[0], multihop=multihop))
        self._groups[place] = ears
        self._sort(place, ears)
        for ear in self._groups[place]:
            self._selector.register(ear, selectors.EVENT_READ, ear)

    def _sort(self, place: tuple[socket.AddressFamily, bool], ears: list[Ear]) -> None:
        family, multihop = place
        try:
            if len(ears) > 1:
                sort(ears[0].socket, family, self._tags, multihop=multihop)
        except OSError:
            # The first one gets everything when it is alone.
            for ear in ears[1:]:
                with suppress(KeyError):
                    self._selector.unregister(ear)
                ear.socket.close()
            del ears[1:]

    def hear(self, ready: Iterable[tuple[selectors.SelectorKey, int]], now: float) -> None:
        """Read what waits at sockets that are ready, of strangers only so much."""
        for key, _ in ready:
            ear = key.data
            if not isinstance(ear, Ear):
                continue
            is_more = self._read(ear, BUDGETS[ear.kind])
            if is_more and ear.kind is not Kind.OURS:
                self._selector.unregister(ear)
                self._resting.append(ear)
                self._rest_until = now + REST
        if self._rest_until is not None and self._rest_until <= now:
            resting, self._resting = self._resting, []
            self._rest_until = None
            for ear in resting:
                self._selector.register(ear, selectors.EVENT_READ, ear)
        if self._again_at is not None and self._again_at <= now:
            self._open_all(now)

    def hear_all(self) -> None:
        """Read all that waits and has a discriminator of ours."""
        for ears in self._groups.values():
            self._read(ears[0], ALL)

    def _read(self, ear: Ear, budget: int) -> bool:
        """Read so much of a socket; tell whether there may be more."""
        for _ in range(budget):
            try:
                raw = ear.receive()
            except OSError as error:
                self._failure = str(error)
                return False
            if raw is None:
                return False
            self._take(raw)
        return True

    def close(self) -> None:
        """Hear nothing more, and let go of the ports."""
        for ears in self._groups.values():
            for ear in ears:
                with suppress(KeyError):
                    self._selector.unregister(ear)
                ear.socket.close()
        self._groups.clear()
        self._resting.clear()
        self._rest_until = self._again_at = None

    def unread(self) -> dict[str, int]:
        """Count what the kernel has dropped since nobody read it in time, by `Kind`."""
        found = {kind.name.lower(): 0 for kind in Kind}
        for ears in self._groups.values():
            for ear in ears:
                found[ear.kind.name.lower()] += ear.dropped
        return found
