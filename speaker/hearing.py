"""What a peer's connections bring, turned into what happens to the session and to the tables.

`Hearing` takes whole messages off a connection: UPDATEs go to the tables (`speaker.rib.inbound`),
all else is decoded and becomes an event. A run of UPDATEs tells the session once (RFC 4271 §8.2.2
restarts the HoldTimer). What would take long is taken in slices (`speaker.reading`), so that no
peer keeps the others waiting; the connection is not read meanwhile. Faults that can be lived with
are counted and, within bounds, logged; graver ones are events too.

Standards: RFC 4271 §6, §8.2.2; RFC 2918 §4; RFC 7606.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fsm.errors import BgpError
from fsm.events import (
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    Event,
    KeepAliveMsg,
    NotifMsg,
    RouteRefreshMsg,
    Side,
    UpdateMsg,
    UpdateMsgErr,
)
from speaker import log
from speaker.clock import Clock
from speaker.config.plan import PeerPlan
from speaker.connection import Connection
from speaker.connections import Connections
from speaker.exchange import Exchange
from speaker.reading import Reading
from speaker.rib.inbound import Inbound
from speaker.wire import codec, framing
from speaker.wire.affected import affected
from speaker.wire.verdicts import Fault

FAULTS_LOGGED, FAULTS_PERIOD = 10, 60.0
"""So many faults of UPDATEs are logged in so many seconds; the others are counted only."""


class Around(Protocol):
    """What is asked of the router."""

    clock: Clock
    reading: Reading

    def work(self) -> None:
        """Tables have changed."""


class Told(Protocol):
    """What is told of what a peer says: the peer."""

    plan: PeerPlan
    exchange: Exchange | None
    connections: Connections

    @property
    def name(self) -> str:
        """The peer's name in the plan."""

    @property
    def router(self) -> Around:
        """The router around it."""

    def handle(self, event: Event) -> None:
        """Let an event happen."""

    def heed_limits(self) -> None:
        """End the session if there are more prefixes than may be told."""

    def heed_ends(self) -> None:
        """Let go of what the peer has not told again, where it has told all it has."""

    def fail(self) -> None:
        """Start afresh after a fault of ours."""


class Hearing:
    """Takes what a peer says.

    Args:
        peer: whose session and tables are told.

    Attributes:
        faults: how many faults of UPDATEs were lived with.
    """

    def __init__(self, peer: Told) -> None:
        self._peer = peer
        self.faults = 0
        self._faults_told = 0
        self._faults_until = 0.0

    def take(self, connection: Connection) -> None:
        """Let happen what a connection brought; a fault of ours in it costs this peer alone."""
        try:
            self._take_messages(connection)
        except Exception:
            self._peer.fail()

    def _take_messages(self, connection: Connection) -> None:
        """Let what came happen, for as long as this round of the loop allows."""
        told_updates = is_late = False
        until, now = self._peer.router.reading.until(), self._peer.router.clock.now
        is_current = self._peer.connections.is_current
        while connection.has_messages and not is_late and is_current(connection):
            kind, bodies = connection.take()
            if kind != framing.UPDATE:
                self._other_message(connection, kind, bodies[0])
                told_updates = False
            elif told_updates:
                self._learn(connection, bodies)
            else:
                # One event for the whole run: it is the same moment.
                self._peer.handle(UpdateMsg(connection.side))
                self._learn(connection, bodies)
                told_updates = True
            is_late = now() >= until
        if not is_current(connection):
            return
        if is_late:
            self._take_later(connection)
        else:
            self._taken_all(connection)

    def _take_later(self, connection: Connection) -> None:
        connection.is_waiting = True
        connection.transport.pause()
        self._peer.router.reading.wait(lambda: self._take_on(connection))

    def _take_on(self, connection: Connection) -> None:
        connection.is_waiting = False
        if self._peer.connections.is_current(connection):
            self.take(connection)

    def _taken_all(self, connection: Connection) -> None:
        """Everything was taken that came so far: heed how it ended, or read on."""
        side, error = connection.side, connection.take_error()
        if error is not None:
            self._tell_garbage(error, connection.framer.unread)
            self._peer.handle(BgpHeaderErr(side, error))
        elif connection.end is not None:
            self._peer.connections.lose(connection, connection.end)
        else:
            connection.read_on()

    def _learn(self, connection: Connection, bodies: list[bytes]) -> None:
        exchange = self._peer.exchange
        if exchange is None or not self._peer.connections.is_current(connection):
            return
        learn = exchange.inbound.learn
        body = b""
        try:
            for body in bodies:
                faults = learn(body)
                if faults:
                    self._note_faults(faults, body, exchange.inbound)
        except BgpError as error:
            self._tell_garbage(error, body)
            self._peer.handle(UpdateMsgErr(connection.side, error))
        self._peer.heed_limits()
        self._peer.heed_ends()
        self._peer.router.work()

    def _note_faults(self, faults: Iterable[Fault], body: bytes, inbound: Inbound) -> None:
        now = self._peer.router.clock.now()
        if now >= self._faults_until:
            self._faults_until, self._faults_told = now + FAULTS_PERIOD, 0
        for fault in faults:
            self.faults += 1
            if self._faults_told < FAULTS_LOGGED:
                self._faults_told += 1
                prefixes = affected(body, inbound.families_with_ids)
                address = self._peer.plan.address
                log.update_fault(self._peer.name, address, str(fault), self.faults, prefixes, body)

    def _other_message(self, connection: Connection, kind: int, body: bytes) -> None:
        side = connection.side
        if kind == framing.KEEPALIVE:
            self._peer.handle(KeepAliveMsg(side))
        elif kind == framing.OPEN:
            self._open(side, body)
        elif kind == framing.NOTIFICATION:
            self._peer.handle(NotifMsg(side, codec.decode_notification(body)))
        else:
            self._route_refresh(side, body)

    def _open(self, side: Side, body: bytes) -> None:
        try:
            self._peer.handle(BgpOpen(side, codec.decode_open(body)))
        except BgpError as error:
            self._tell_garbage(error, body)
            self._peer.handle(BgpOpenMsgErr(side, error))

    def _route_refresh(self, side: Side, body: bytes) -> None:
        try:
            message = codec.decode_route_refresh(body)
        except BgpError as error:
            self._tell_garbage(error, body)
            self._peer.handle(UpdateMsgErr(side, error))
            return
        self._peer.handle(RouteRefreshMsg(side, message))
        if message is not None and self._peer.exchange is not None:
            self._peer.exchange.take_refresh(message)
            self._peer.router.work()

    def _tell_garbage(self, error: BgpError, octets: bytes) -> None:
        log.garbage(self._peer.name, self._peer.plan.address, str(error), octets)
