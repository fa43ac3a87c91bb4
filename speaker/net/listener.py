"""Accepting connections from peers.

One listening socket per address. Who may connect is not decided here: every connection is handed up
with its endpoints, and whoever gets it closes it if it is no peer's.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable

from speaker.errors import TransportError
from speaker.net.transport import ReadBuffer, Transport

_BACKLOG = 128


class _Accepted(Transport):
    """A connection that reports itself as soon as it stands."""

    def __init__(self, buffer: ReadBuffer, on_accept: Callable[[Transport], None]) -> None:
        super().__init__(buffer)
        self._on_accept = on_accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_accept(self)


class Listener:
    """The listening sockets of this node.

    Args:
        buffer: into which accepted connections will read.
        on_accept: gets every accepted connection.
    """

    def __init__(self, buffer: ReadBuffer, on_accept: Callable[[Transport], None]) -> None:
        self._buffer = buffer
        self._on_accept = on_accept
        self._servers: list[asyncio.Server] = []

    async def open(self, addresses: Iterable[str], port: int) -> list[str]:
        """Listen on addresses; ``0.0.0.0`` and ``::`` stand for all of a family.

        Returns:
            The addresses on which we listen.

        Raises:
            TransportError: the port is taken, or we may not have it.
        """
        loop = asyncio.get_running_loop()
        opened = []
        for address in addresses:
            sock = _bind(address, port)
            if sock is None:
                continue
            server = await loop.create_server(
                lambda: _Accepted(self._buffer, self._on_accept), sock=sock, backlog=_BACKLOG
            )
            self._servers.append(server)
            opened.append(address)
        return opened

    async def close(self) -> None:
        """Listen no more; connections that stand are not touched."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()


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
