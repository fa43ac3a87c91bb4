"""One peer: its session, its connections, its tables.

A `Peer` is the shell around one `fsm.Session`. Everything that can happen (a chunk, a lost
connection, a dial's outcome, an alarm, an operator's word) becomes an event for the session, and
the session's effects are performed here, in their order, before the next event. Events that arise
while effects are being performed wait their turn.

    chunk ── Framer ──┬─ UPDATEs ── Inbound (Adj-RIB-In, Loc-RIB) ── turn
                      └─ the rest ── codec ── Session ── effects ── transports

A run of UPDATEs in one chunk tells the session once (RFC 4271 §8.2.2 restarts the HoldTimer).
Whatever a peer sends wrong ends here as a `BgpError`, becomes an event, and costs this peer alone.

Standards: RFC 4271 §6, §8; RFC 2918; RFC 4724 §2; RFC 8538 §4; RFC 9687 §4.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from fsm.effects import (
    AttemptFailed,
    CancelDial,
    Close,
    Dial,
    DownReason,
    Effect,
    Send,
    SessionDown,
    SessionUp,
    StateChanged,
)
from fsm.errors import BgpError
from fsm.events import (
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    Event,
    KeepAliveMsg,
    ManualStart,
    ManualStop,
    NotifMsg,
    RouteRefreshMsg,
    SendBlocked,
    SendProgress,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    Tick,
    UpdateMsg,
    UpdateMsgErr,
)
from fsm.explanation import Explanation, explain_down
from fsm.family import Family
from fsm.messages import Keepalive, Open, RouteRefresh
from fsm.negotiation import Negotiated
from fsm.notifications import Cease, Notification
from fsm.session import Session
from fsm.state import State
from fsm.timers import Timer
from speaker import log
from speaker.clock import Alarm, Clock
from speaker.config.plan import PeerPlan
from speaker.exchange import Exchange
from speaker.net.dialer import dial, explain
from speaker.net.transport import ReadBuffer, Transport
from speaker.session_config import session_config
from speaker.wire import codec, framing
from speaker.wire.framing import Framer, RawMessage

FAULTS_LOGGED = 10
"""So many faults of UPDATEs are logged one by one; then every thousandth."""

FOR_GOOD = frozenset({Cease.ADMINISTRATIVE_SHUTDOWN, Cease.PEER_DECONFIGURED})
"""Ends after which nobody comes back soon: the peer must not keep our routes (RFC 8538 §4)."""

LATE = 0.01
"""Seconds in which the loop reads what lay unread when a hold timer expired."""


class Router(Protocol):
    """What a peer asks of the router around it."""

    clock: Clock
    buffer: ReadBuffer

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""

    def exchange(self, peer: Peer, negotiated: Negotiated, transport: Transport) -> Exchange:
        """Make the tables of a session that came up."""

    def session_changed(self, peer: Peer) -> None:
        """The session came up or went down."""

    def work(self) -> None:
        """Tables have changed: let a turn run."""


class Connection:
    """One of a peer's two connections, as the shell sees it."""

    __slots__ = ("_is_blocked", "_taken", "framer", "side", "transport")

    def __init__(self, side: Side, transport: Transport) -> None:
        self.side = side
        self.transport = transport
        self.framer = Framer()
        self._taken = 0
        self._is_blocked = False

    def sending(self) -> SendBlocked | SendProgress | None:
        """Say how the sending went since this was asked last; None if nothing waits or waited."""
        unsent, taken = self.transport.unsent, self.transport.taken
        was_blocked, self._is_blocked = self._is_blocked, unsent > 0
        has_moved, self._taken = taken > self._taken, taken
        if was_blocked and has_moved:
            return SendProgress(self.side, is_drained=not unsent)
        return SendBlocked(self.side) if unsent else None


class Peer:
    """One configured peer.

    Args:
        plan: what is configured.
        router: the router around it.
    """

    def __init__(self, plan: PeerPlan, router: Router) -> None:
        self.plan = plan
        self.router = router
        self.session = Session(session_config(plan, router.router_id))
        self.exchange: Exchange | None = None
        self.state_since = router.clock.wall()
        self.last_error = ""
        self.faults = 0
        self.sent_open: Open | None = None
        self._connections: dict[Side, Connection] = {}
        self._dialling: asyncio.Task[None] | None = None
        self._alarm = Alarm(router.clock, self._ring)
        self._events: deque[Event] = deque()
        self._busy = False
        self._renew_due = False

    @property
    def name(self) -> str:
        """The peer's name in the plan."""
        return self.plan.name

    @property
    def is_established(self) -> bool:
        """Whether routes can be exchanged."""
        return self.session.state is State.ESTABLISHED

    @property
    def explanation(self) -> Explanation | None:
        """Why the session is not up, and when it tries again; None if it is up."""
        has_password = self.plan.password is not None
        return explain_down(self.session, self.router.clock.now(), has_password=has_password)

    def start(self) -> None:
        """Let the session come up."""
        self.handle(ManualStart())

    def stop(self, subcode: int = Cease.ADMINISTRATIVE_SHUTDOWN, message: str = "") -> None:
        """End the session; it stays down until it is started.

        Args:
            subcode: of the Cease that says so.
            message: to the peer's operator (RFC 9003 §2).
        """
        self.handle(ManualStop(subcode, message, hard=subcode in FOR_GOOD))

    def close(self, subcode: int | None = Cease.PEER_DECONFIGURED) -> None:
        """End everything for good.

        Args:
            subcode: of the Cease that says so; None says nothing at all, so that a peer that
                restarts gracefully keeps our routes.
        """
        self._renew_due = False
        if subcode is None:
            for connection in list(self._connections.values()):
                connection.transport.abort()
            self._connections.clear()
        self.stop(Cease.PEER_DECONFIGURED if subcode is None else subcode)
        self._alarm.cancel()

    def take_plan(self, plan: PeerPlan) -> None:
        """Go on under another plan; whoever calls does what the difference needs."""
        self.plan = plan
        if self.exchange is not None:
            self.exchange.take_plan(plan)

    def renew_when_down(self) -> None:
        """Make the next session with the present plan; one that is up is left alone."""
        config = session_config(self.plan, self.router.router_id)
        self._renew_due = config != self.session.config
        if self.is_established or not self._renew_due:
            return
        self._renew_due = False
        self.stop(Cease.OTHER_CONFIGURATION_CHANGE)
        self.session = Session(config)
        self.start()

    def handle(self, event: Event) -> None:
        """Let an event happen, and perform what follows from it."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        clock = self.router.clock
        try:
            while self._events:
                event = self._events.popleft()
                for effect in self.session.handle(event, clock.now(), clock.chance()):
                    self._perform(effect)
        finally:
            self._busy = False
        if self._renew_due and not self.is_established:
            self.renew_when_down()
            return
        self._alarm.set(self.session.deadline)

    def _ring(self) -> None:
        """Let timers expire; but octets that came and were not read are no silence.

        A busy loop may ring before it reads, and while the router is behind it does not read at
        all.
        """
        if self._hold_timer_is_due() and self._read_late():
            self._alarm.set(self.router.clock.now() + LATE)
            return
        for connection in list(self._connections.values()):
            self._tell_of_sending(connection)
        self.handle(Tick())

    def _hold_timer_is_due(self) -> bool:
        now = self.router.clock.now()
        return any(
            timer is Timer.HOLD and deadline <= now + LATE
            for (_, timer), deadline in self.session.timers.items()
        )

    def _read_late(self) -> bool:
        """Read again where octets wait; tell whether there are any."""
        late = [c for c in self._connections.values() if c.transport.has_unread]
        for connection in late:
            connection.transport.resume()
        return bool(late)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(side, message):
                self._send(side, message)
            case Close(side):
                self._close(side)
            case Dial():
                self._dialling = asyncio.get_running_loop().create_task(self._dial())
            case CancelDial():
                self._cancel_dial()
            case SessionUp(side, negotiated):
                self._up(side, negotiated)
            case SessionDown(_, reason):
                self._down(reason)
            case AttemptFailed(side, reason):
                self.last_error = str(reason)
                log.attempt_failed(self.name, self.plan.address, side, reason)
            case StateChanged(old, new):
                if State.ESTABLISHED in (old, new):
                    self.state_since = self.router.clock.wall()

    async def _dial(self) -> None:
        plan = self.plan
        try:
            transport = await dial(
                self.router.buffer, plan.address, plan.port, source=plan.source_address
            )
        except OSError as error:
            self._dialling = None
            self.handle(TcpConnectionFails(Side.OUTGOING, explain(error)))
            return
        self._dialling = None
        self._adopt(Side.OUTGOING, transport)
        self.handle(TcpCrAcked(Side.OUTGOING))

    def _cancel_dial(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None

    def accept(self, transport: Transport) -> None:
        """Take a connection that came from the peer's address."""
        if not self.session.would_accept():
            transport.write([codec.encode(self.session.refusal)])
            transport.close()
            return
        self._adopt(Side.INCOMING, transport)
        self.handle(TcpConnectionConfirmed(Side.INCOMING))

    def _adopt(self, side: Side, transport: Transport) -> None:
        connection = self._connections[side] = Connection(side, transport)
        if self.session.config.extended_message:
            # RFC 8654 §4: who offers it takes long messages, and the first may come at once.
            connection.framer.max_length = framing.MAX_EXTENDED_LENGTH
        transport.attach(self)

    def _connection(self, transport: Transport) -> Connection | None:
        for connection in self._connections.values():
            if connection.transport is transport:
                return connection
        return None

    def _close(self, side: Side) -> None:
        connection = self._connections.pop(side, None)
        if connection is not None:
            connection.transport.close()

    def _send(self, side: Side, message: Open | Keepalive | RouteRefresh | Notification) -> None:
        connection = self._connections.get(side)
        if connection is None:
            return
        if isinstance(message, Open):
            self.sent_open = message
        connection.transport.write([codec.encode(message)])

    def on_lost(self, transport: Transport, error: str) -> None:
        """The connection is gone."""
        connection = self._connection(transport)
        if connection is not None:
            del self._connections[connection.side]
            self.handle(TcpConnectionFails(connection.side, error))

    def on_blocked(self, transport: Transport) -> None:
        """Octets wait that the peer does not take (RFC 9687 §4)."""
        connection = self._connection(transport)
        if connection is not None:
            self._tell_of_sending(connection)

    def on_room(self, transport: Transport) -> None:
        """There is room to write again."""
        self.on_blocked(transport)
        self.router.work()

    def _tell_of_sending(self, connection: Connection) -> None:
        event = connection.sending()
        if event is not None:
            self.handle(event)

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        """Octets came."""
        connection = self._connection(transport)
        if connection is None:
            return
        try:
            self._received(connection, chunk)
        except Exception:
            self.fail()

    def fail(self) -> None:
        """Start afresh after a fault of ours, which must not hurt the other peers.

        To be called while the exception is being handled; the log shows it.
        """
        log.peer_failed(self.name)
        self.handle(ManualStop(Cease.OUT_OF_RESOURCES))
        self.handle(ManualStart())

    def _received(self, connection: Connection, chunk: bytes) -> None:
        side = connection.side
        updates: list[RawMessage] = []
        for message in connection.framer.feed(chunk):
            if message[0] == framing.UPDATE:
                updates.append(message)
                continue
            if updates:
                self._updates(connection, updates)
                updates = []
            if self._connections.get(side) is not connection:
                return
            self._other_message(connection, *message)
        if updates:
            self._updates(connection, updates)
        error = connection.framer.error
        if error is not None and self._connections.get(side) is connection:
            log.garbage(self.name, self.plan.address, str(error), connection.framer.unread)
            self.handle(BgpHeaderErr(side, error))

    def _updates(self, connection: Connection, messages: list[RawMessage]) -> None:
        """Learn a run of UPDATEs; the session hears of it once."""
        side = connection.side
        if self._connections.get(side) is not connection:
            return
        self.handle(UpdateMsg(side))
        exchange = self.exchange
        if exchange is None or self._connections.get(side) is not connection:
            return
        learn = exchange.inbound.learn
        body = b""
        try:
            for _, body in messages:
                faults = learn(body)
                if faults:
                    self._note_faults(list(map(str, faults)))
        except BgpError as error:
            log.garbage(self.name, self.plan.address, str(error), body)
            self.handle(UpdateMsgErr(side, error))
        self.heed_limits()
        self.router.work()

    def heed_limits(self) -> None:
        """End the session if the peer has told more prefixes than it may (RFC 4486 §4)."""
        stop = None if self.exchange is None else self.exchange.limits.check()
        if stop is not None:
            self.handle(stop)

    def _note_faults(self, faults: list[str]) -> None:
        for fault in faults:
            self.faults += 1
            if self.faults <= FAULTS_LOGGED or not self.faults % 1000:
                log.update_fault(self.name, self.plan.address, fault, self.faults)

    def _other_message(self, connection: Connection, kind: int, body: bytes) -> None:
        side = connection.side
        if kind == framing.KEEPALIVE:
            self.handle(KeepAliveMsg(side))
        elif kind == framing.OPEN:
            self._open(side, body)
        elif kind == framing.NOTIFICATION:
            self.handle(NotifMsg(side, codec.decode_notification(body)))
        else:
            self._route_refresh(side, body)

    def _open(self, side: Side, body: bytes) -> None:
        try:
            self.handle(BgpOpen(side, codec.decode_open(body)))
        except BgpError as error:
            log.garbage(self.name, self.plan.address, str(error), body)
            self.handle(BgpOpenMsgErr(side, error))

    def _route_refresh(self, side: Side, body: bytes) -> None:
        try:
            message = codec.decode_route_refresh(body)
        except BgpError as error:
            log.garbage(self.name, self.plan.address, str(error), body)
            self.handle(UpdateMsgErr(side, error))
            return
        if message is None:
            return
        self.handle(RouteRefreshMsg(side, message))
        if self.exchange is not None:
            self.exchange.take_refresh(message)
            self.router.work()

    def _up(self, side: Side, negotiated: Negotiated) -> None:
        connection = self._connections[side]
        self.exchange = self.router.exchange(self, negotiated, connection.transport)
        self.last_error = ""
        log.session_established(self.name, self.plan.address, negotiated)
        self.router.session_changed(self)
        self.router.work()

    def _down(self, reason: DownReason) -> None:
        exchange, self.exchange = self.exchange, None
        self.last_error = str(reason)
        prefixes = 0
        if exchange is not None:
            prefixes = sum(map(len, exchange.inbound.ribs.values()))
            exchange.close()
        log.session_down(self.name, self.plan.address, reason, prefixes)
        self.router.session_changed(self)
        self.router.work()

    def ask_refresh(self, family: Family) -> bool:
        """Ask the peer to tell everything again (RFC 2918); False where it cannot."""
        negotiated = self.session.negotiated
        if negotiated is None or not negotiated.route_refresh:
            return False
        for side, connection in self._connections.items():
            if self.exchange is not None and self.exchange.transport is connection.transport:
                self._send(side, RouteRefresh(family))
        return True

    def pause_reading(self) -> None:
        """Let the peer wait: the router is behind with its work."""
        for connection in self._connections.values():
            connection.transport.pause()

    def resume_reading(self) -> None:
        """Read on."""
        for connection in self._connections.values():
            connection.transport.resume()
