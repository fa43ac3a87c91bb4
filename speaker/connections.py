"""A peer's connections: the one that we dial, and the one that the peer does.

Both may be there for a moment, until the session has chosen (RFC 4271 §6.8). What becomes of a
connection is told to the session as an event; whole messages are handed to who hears the peer. A
connection whose end came with messages before it is lost when those were taken.

Standards: RFC 4271 §6.8, §8.2.1; RFC 4724 §4.2; RFC 8654 §4; RFC 9687 §4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from fsm.events import (
    Event,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
)
from fsm.messages import Keepalive, Open, RouteRefresh
from fsm.notifications import Notification
from fsm.session import Session
from speaker.clock import Clock
from speaker.config.plan import PeerPlan
from speaker.connection import Connection
from speaker.net.admission import Terms
from speaker.net.dialer import dial, explain
from speaker.net.transport import ReadBuffer, Transport
from speaker.wire import codec, framing


class Around(Protocol):
    """What is asked of the router."""

    clock: Clock
    buffer: ReadBuffer

    def work(self) -> None:
        """There is room to write: let a turn run."""


class Owner(Protocol):
    """Whose connections they are: the peer."""

    plan: PeerPlan
    session: Session

    @property
    def router(self) -> Around:
        """The router around it."""

    def handle(self, event: Event) -> None:
        """Let an event happen."""

    def hear(self, connection: Connection) -> None:
        """Take the messages that came."""


class Connections:
    """The connections that a peer has now, at most one of each side.

    Args:
        owner: the peer.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._by_side: dict[Side, Connection] = {}
        self._dialling: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_side.values()))

    def __len__(self) -> int:
        return len(self._by_side)

    def __getitem__(self, side: Side) -> Connection:
        return self._by_side[side]

    def is_current(self, connection: Connection) -> bool:
        """Whether what a connection brings still counts."""
        return self._by_side.get(connection.side) is connection

    # Coming.

    def dial(self) -> None:
        """Begin to connect with the peer."""
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        owner, plan = self._owner, self._owner.plan
        try:
            transport = await dial(
                owner.router.buffer,
                plan.address,
                plan.port,
                source=plan.source_address,
                terms=Terms.of(plan),
            )
        except OSError as error:
            self._dialling = None
            owner.handle(TcpConnectionFails(Side.OUTGOING, explain(error)))
            return
        self._dialling = None
        self._adopt(Side.OUTGOING, transport)
        owner.handle(TcpCrAcked(Side.OUTGOING))

    def cancel_dial(self) -> None:
        """Connect no more."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None

    def accept(self, transport: Transport) -> None:
        """Take a connection that came from the peer's address."""
        owner = self._owner
        if not owner.session.would_accept():
            self._give_way()
        if not owner.session.would_accept():
            transport.write([codec.encode(owner.session.refusal)])
            transport.close()
            return
        self._adopt(Side.INCOMING, transport)
        owner.handle(TcpConnectionConfirmed(Side.INCOMING))

    def _give_way(self) -> None:
        """Let a session go whose peer has restarted, which TCP has not noticed (RFC 4724 §4.2)."""
        side = self._owner.session.gives_way(self._owner.router.clock.now())
        if side is not None:
            self._abort(side, "the peer opened another: it has restarted")

    def _adopt(self, side: Side, transport: Transport) -> None:
        connection = self._by_side[side] = Connection(side, transport)
        if self._owner.session.config.extended_message:
            # RFC 8654 §4: who offers it takes long messages, and the first may come at once.
            connection.framer.max_length = framing.MAX_EXTENDED_LENGTH
        transport.attach(self)

    # Going.

    def close(self, side: Side) -> None:
        """End a connection once what was said has gone out."""
        connection = self._by_side.pop(side, None)
        if connection is not None:
            connection.transport.close()

    def abort(self, why: str) -> None:
        """End all connections without a word.

        Args:
            why: for people.
        """
        for side in list(self._by_side):
            self._abort(side, why)

    def _abort(self, side: Side, why: str) -> None:
        self._by_side.pop(side).transport.abort()
        self._owner.handle(TcpConnectionFails(side, why))

    def lose(self, connection: Connection, error: str) -> None:
        """A connection is gone, and everything that it brought was taken."""
        del self._by_side[connection.side]
        self._owner.handle(TcpConnectionFails(connection.side, error))

    # Saying and hearing.

    def send(self, side: Side, message: Open | Keepalive | RouteRefresh | Notification) -> bool:
        """Say something; False if there is no such connection any more."""
        connection = self._by_side.get(side)
        if connection is None:
            return False
        connection.transport.write([codec.encode(message)])
        return True

    def hold(self) -> None:
        """Read no more, because the router is behind."""
        for connection in self._by_side.values():
            connection.hold()

    def release(self) -> None:
        """Read on."""
        for connection in self._by_side.values():
            connection.release()

    def read_late(self) -> bool:
        """Read again where octets wait; tell whether there are any."""
        late = [connection for connection in self if connection.has_unread]
        for connection in late:
            connection.release()
        return bool(late)

    def tell_of_sending(self) -> None:
        """Tell the session what the peer takes, and what waits (RFC 9687 §4)."""
        for connection in self:
            self._tell_of_sending(connection)

    def _tell_of_sending(self, connection: Connection) -> None:
        event = connection.sending()
        if event is not None:
            self._owner.handle(event)

    # What transports tell.

    def _find(self, transport: Transport) -> Connection | None:
        for connection in self._by_side.values():
            if connection.transport is transport:
                return connection
        return None

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        """Octets came."""
        connection = self._find(transport)
        if connection is None:
            return
        connection.feed(chunk)
        if not connection.is_waiting:
            self._owner.hear(connection)

    def on_lost(self, transport: Transport, error: str) -> None:
        """The connection is gone."""
        connection = self._find(transport)
        if connection is not None and connection.has_messages:
            connection.end = error
        elif connection is not None:
            self.lose(connection, error)

    def on_blocked(self, transport: Transport) -> None:
        """Octets wait that the peer does not take (RFC 9687 §4)."""
        connection = self._find(transport)
        if connection is not None:
            self._tell_of_sending(connection)

    def on_room(self, transport: Transport) -> None:
        """There is room to write again."""
        self.on_blocked(transport)
        self._owner.router.work()
