"""Accepting connections from peers.

One listening socket per address. Who may connect is not decided here: every connection is handed up
with its endpoints, and whoever gets it closes it if it is no peer's.

Moving to other addresses or another port opens the new sockets first; where one is refused because
of an old one of ours (all addresses of a port exclude each single one), the old ones go, and come
back if the new ones cannot be had all the same.

Sockets that the run before or a service manager has left us are served like those of our own, if
they are where we are to listen, and closed if not.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from speaker.errors import TransportError
from speaker.net.listening import BACKLOG, Doors, Place, complete, places
from speaker.net.transport import ReadBuffer, Transport

_ROUNDS = 10

_AT_ONCE = 128
"""Connections that are taken before others have their say."""

Release = Callable[[Collection[Place]], Awaitable[None]]
"""Makes others let go of sockets that are about to be closed."""


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


class Listener:
    """The listening sockets of this node.

    Args:
        buffer: into which accepted connections will read.
        on_accept: gets every accepted connection.
        prepare: is shown every socket before anything is accepted there.

    Attributes:
        inherited: sockets that others have opened, and that are not served yet.
        release: asked before sockets are closed to make room for others.
    """

    def __init__(
        self,
        buffer: ReadBuffer,
        on_accept: Callable[[Transport], None],
        prepare: Callable[[socket.socket], None] = lambda sock: None,
    ) -> None:
        self._buffer = buffer
        self._on_accept = on_accept
        self._prepare = prepare
        self._listening: dict[Place, _Door] = {}
        self.inherited: Doors = {}
        self.release: Release | None = None

    @property
    def doors(self) -> Doors:
        """The sockets that are served."""
        return {place: door.sock for place, door in self._listening.items()}

    async def open(
        self, addresses: Iterable[str], port: int, *, absent: Collection[str] = ()
    ) -> list[str]:
        """Listen on these addresses and nowhere else; ``0.0.0.0`` and ``::`` stand for all.

        Args:
            addresses: that this node has.
            port: of all of them.
            absent: further addresses, which this node need not have yet.

        Returns:
            The addresses on which we listen.

        Raises:
            TransportError: the port is taken, or we may not have it; we listen where we did before.
        """
        wanted = places(addresses, port, absent=absent)
        there = self.inherited | self.doors
        try:
            bound = complete(there, wanted)
        except TransportError:
            if there.keys() <= wanted.keys():
                raise
            bound = await self._bind_without_old(wanted)
        await self._serve(bound)
        await self._take_inherited(wanted)
        await self._close([place for place in self._listening if place not in wanted])
        return [address for address, _ in self._listening]

    async def _bind_without_old(self, wanted: Mapping[Place, bool]) -> Doors:
        """Bind what is wanted when everything of ours that is not has gone."""
        before = [place for place in self._listening if place not in wanted]
        await self._close(before)
        await self._drop_inherited(wanted)
        try:
            return complete(self.inherited | self.doors, wanted)
        except TransportError:
            await self._serve(complete(self.doors, dict.fromkeys(before, True)))
            raise

    async def _take_inherited(self, wanted: Collection[Place]) -> None:
        await self._drop_inherited(wanted)
        taken, self.inherited = self.inherited, {}
        await self._serve(taken)

    async def _drop_inherited(self, wanted: Collection[Place]) -> None:
        """Close the inherited sockets of which none is wanted."""
        useless = [place for place in self.inherited if place not in wanted]
        await self._let_go(useless)
        for place in useless:
            self.inherited.pop(place).close()

    async def _serve(self, bound: Doors) -> None:
        loop = asyncio.get_running_loop()
        for place, sock in bound.items():
            self._prepare(sock)
            server = await loop.create_server(
                lambda: _Accepted(self._buffer, self._on_accept), sock=sock, backlog=_AT_ONCE
            )
            # The loop takes one number for both.
            sock.listen(BACKLOG)
            self._listening[place] = _Door(server, sock)

    async def close(self) -> None:
        """Listen no more; connections that stand are not touched."""
        for sock in self.inherited.values():
            sock.close()
        self.inherited = {}
        await self._close(list(self._listening), keep=True)

    async def _close(self, places: Collection[Place], *, keep: bool = False) -> None:
        """Close sockets.

        Args:
            places: where they listen.
            keep: others may go on holding them.
        """
        if not keep:
            await self._let_go(places)
        for place in places:
            door = self._listening.pop(place)
            door.server.close()
            for _ in range(_ROUNDS):
                # uvloop gives the port back only when the loop has gone round.
                if door.sock.fileno() < 0:
                    break
                await asyncio.sleep(0)

    async def _let_go(self, places: Collection[Place]) -> None:
        if places and self.release is not None:
            await self.release(places)
