"""Accepting connections from peers.

One listening socket per address. Who may connect is not decided here: every connection is handed up
with its endpoints, and whoever gets it closes it if it is no peer's.

Moving to other addresses or another port opens the new sockets first; where one is refused because
of an old one of ours (all addresses of a port exclude each single one), the old ones go, and come
back if the new ones cannot be had all the same.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from speaker.errors import TransportError
from speaker.net.transport import ReadBuffer, Transport

_BACKLOG = 128
_ROUNDS = 10


class _Accepted(Transport):
    """A connection that reports itself as soon as it stands."""

    def __init__(self, buffer: ReadBuffer, on_accept: Callable[[Transport], None]) -> None:
        super().__init__(buffer)
        self._on_accept = on_accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_accept(self)


class _Door(NamedTuple):
    server: asyncio.Server
    sock: socket.socket


_Place: TypeAlias = tuple[str, int]
_Bound: TypeAlias = tuple[_Place, socket.socket]


class Listener:
    """The listening sockets of this node.

    Args:
        buffer: into which accepted connections will read.
        on_accept: gets every accepted connection.
    """

    def __init__(self, buffer: ReadBuffer, on_accept: Callable[[Transport], None]) -> None:
        self._buffer = buffer
        self._on_accept = on_accept
        self._listening: dict[_Place, _Door] = {}

    async def open(self, addresses: Iterable[str], port: int) -> list[str]:
        """Listen on these addresses and nowhere else; ``0.0.0.0`` and ``::`` stand for all.

        Returns:
            The addresses on which we listen.

        Raises:
            TransportError: the port is taken, or we may not have it; we listen where we did before.
        """
        wanted = [(address, port) for address in addresses]
        before = list(self._listening)
        try:
            bound = self._bind_missing(wanted)
        except TransportError:
            if not before:
                raise
            bound = await self._bind_without_old(wanted, before)
        await self._close([place for place in self._listening if place not in wanted])
        await self._serve(bound)
        return [address for address, _ in self._listening]

    def _bind_missing(self, places: Iterable[_Place]) -> list[_Bound]:
        """Make sockets for the places where we do not listen yet; all of them or none."""
        bound: list[_Bound] = []
        try:
            for place in places:
                sock = None if place in self._listening else _bind(*place)
                if sock is not None:
                    bound.append((place, sock))
        except TransportError:
            for _, sock in bound:
                sock.close()
            raise
        return bound

    async def _bind_without_old(
        self, wanted: Iterable[_Place], before: list[_Place]
    ) -> list[_Bound]:
        await self._close(before)
        try:
            return self._bind_missing(wanted)
        except TransportError:
            await self._serve(self._bind_missing(before))
            raise

    async def _serve(self, bound: Iterable[_Bound]) -> None:
        loop = asyncio.get_running_loop()
        for place, sock in bound:
            server = await loop.create_server(
                lambda: _Accepted(self._buffer, self._on_accept), sock=sock, backlog=_BACKLOG
            )
            self._listening[place] = _Door(server, sock)

    async def close(self) -> None:
        """Listen no more; connections that stand are not touched."""
        await self._close(list(self._listening))

    async def _close(self, places: Iterable[_Place]) -> None:
        for place in places:
            door = self._listening.pop(place)
            door.server.close()
            for _ in range(_ROUNDS):
                # uvloop gives the port back only when the loop has gone round.
                if door.sock.fileno() < 0:
                    break
                await asyncio.sleep(0)


def _bind(address: str, port: int) -> socket.socket | None:
    """Make a listening socket; None where the system has no such family at all."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL and address == "::":
            return None
        raise _explained(error, address, port) from None
    return sock


def _explained(error: OSError, address: str, port: int) -> TransportError:
    where = f"cannot listen on {address} port {port}"
    if error.errno == errno.EADDRINUSE:
        return TransportError(
            f"{where}: it is in use",
            f"find the other BGP speaker with 'ss -ltnp sport = :{port}', or set listenPort in"
            " BGPConfiguration",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return TransportError(
            f"{where}: not permitted",
            "run as root, grant CAP_NET_BIND_SERVICE, or set listenPort above 1023",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return TransportError(f"{where}: the address is not on this node", "check bindMode")
    return TransportError(f"{where}: {error.strerror}")
