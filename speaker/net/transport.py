"""One TCP connection.

Chunks go up through `Handlers`, whole messages come down through `write`. One buffer is shared by
all connections of a loop: the loop asks for it, fills it and reports in one go, and the chunk is
copied out before anything else happens. When the socket does not take what is written, `is_full`
says so, and ``on_room`` is called when there is room; what was written meanwhile waits in the
transport, so its owner should stop writing routes. Octets that still wait a moment after they were
written, be they few, are told by ``on_blocked``; `unsent` and `taken` say how it goes on.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import termios
from dataclasses import dataclass
from typing import Any, Protocol, cast

from speaker.config.secrets import Secret
from speaker.config.tcp_ao import MasterKey
from speaker.net import sockopts

CHUNK = 64 * 1024
"""Octets read at once: enough to make the calls cheap, little enough not to keep others waiting."""

_HIGH_WATER = 256 * 1024

MOMENT = 1.0
"""Seconds that octets may wait untold: a loop writes them when it comes round."""

LINGER = 5.0
"""Seconds that a closed connection has to take its last octets."""


class Handlers(Protocol):
    """Who is told of a connection's life."""

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        """Octets came."""

    def on_lost(self, transport: Transport, error: str) -> None:
        """The connection is gone."""

    def on_blocked(self, transport: Transport) -> None:
        """Octets were written a moment ago that the socket has not taken."""

    def on_room(self, transport: Transport) -> None:
        """There is room to write again."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Both ends of a connection, addresses as text."""

    local: str
    local_port: int
    remote: str
    remote_port: int


class ReadBuffer:
    """The one buffer into which the loop reads."""

    def __init__(self, size: int = CHUNK) -> None:
        self.view = memoryview(bytearray(size))


class Transport(asyncio.BufferedProtocol):
    """One TCP connection; the protocol object of asyncio and its transport in one.

    Args:
        buffer: shared by all connections of the loop.
        handlers: who is told; may come later, by `attach`.

    Attributes:
        password: by which the connection is signed (RFC 2385), None if it is not.
        keys: by which it may be signed (RFC 5925), none if it is not.
    """

    def __init__(self, buffer: ReadBuffer, handlers: Handlers | None = None) -> None:
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self.handlers = handlers
        self.is_full = False
        self.endpoints: Endpoints | None = None
        self.interface = 0
        self.password: Secret | None = None
        self.keys: tuple[MasterKey, ...] = ()
        self._gone = False
        self._written = 0
        self._look: asyncio.TimerHandle | None = None
        # What came, and how it ended, before anybody was there to be told.
        self._early: list[bytes] = []
        self._end = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: the connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        local = transport.get_extra_info("sockname")
        remote = transport.get_extra_info("peername")
        if local and remote:
            self.endpoints = Endpoints(_plain(local[0]), local[1], _plain(remote[0]), remote[1])
            self.interface = remote[3] if len(remote) > 3 else 0

    def get_buffer(self, sizehint: int) -> memoryview:
        """Asyncio: where to read into."""
        return self._buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio: so much was read."""
        chunk = bytes(self._buffer.view[:nbytes])
        if self.handlers is None or self._early:
            self._early.append(chunk)
        elif not self._gone:
            self.handlers.on_chunk(self, chunk)

    def eof_received(self) -> bool:
        """Asyncio: the other end has finished; so do we.

        At once: asyncio would first write what waits, and a peer that is dying does not read.
        """
        self.connection_lost(None)
        self.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection is gone."""
        if self._gone:
            return
        self._gone = True
        self._end = _words(exc) if exc else "the peer closed the connection"
        if self.handlers is not None and not self._early:
            self.handlers.on_lost(self, self._end)

    def attach(self, handlers: Handlers) -> None:
        """Say who is told from now on; what came before is told first, in a moment."""
        self.handlers = handlers
        if self._early or self._end:
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        early, self._early = self._early, []
        for chunk in early:
            if self.handlers is not None and (self._end or not self._gone):
                self.handlers.on_chunk(self, chunk)
        if self._end and self.handlers is not None:
            self.handlers.on_lost(self, self._end)

    def pause_writing(self) -> None:
        """Asyncio: the socket takes no more."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Asyncio: the socket takes more."""
        self.is_full = False
        if self.handlers is not None and not self._gone:
            self.handlers.on_room(self)

    def write(self, messages: list[bytes]) -> None:
        """Write whole messages."""
        if self._transport is not None and not self._gone:
            self._written += sum(map(len, messages))
            self._transport.writelines(messages)
            if self._look is None and self.unsent:
                self._look = asyncio.get_running_loop().call_later(MOMENT, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        if self.unsent and self.handlers is not None:
            self.handlers.on_blocked(self)

    @property
    def peer_address(self) -> str:
        """Give the other end's address, a link-local one with the name of our interface as zone."""
        if self.endpoints is None:
            return ""
        if not self.interface:
            return self.endpoints.remote
        try:
            return f"{self.endpoints.remote}%{socket.if_indextoname(self.interface)}"
        except OSError:
            # The interface has gone since.
            return self.endpoints.remote

    @property
    def unsent(self) -> int:
        """How many octets wait that the socket has not taken."""
        if self._transport is None or self._gone:
            return 0
        return self._transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """How many octets the socket has taken in all."""
        return self._written - self.unsent

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._gone and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self) -> None:
        """Flush, close, and say nothing more; a peer that does not read is not waited for long."""
        self._gone = True
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER, self._transport.abort)
        self._transport.close()

    def abort(self) -> None:
        """Close at once, unsent octets lost, and say nothing more."""
        self._gone = True
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close at once by a RST; the system keeps nothing of the connection."""
        sock = self.socket
        if sock is not None and not self._gone:
            sockopts.forget_at_close(sock)
        self.abort()

    @property
    def has_unread(self) -> bool:
        """Whether octets have come that were not read yet."""
        sock = self.socket
        if sock is None or self._gone:
            return False
        count = array.array("i", [0])
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
        return count[0] > 0

    @property
    def socket(self) -> socket.socket | None:
        """The socket, for its options."""
        found: Any = self._transport.get_extra_info("socket") if self._transport else None
        return cast("socket.socket | None", found)


def _plain(address: str) -> str:
    """Drop the zone of a link-local address, and what a socket of both families makes of IPv4."""
    return address.partition("%")[0].removeprefix("::ffff:")


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
