"""One peer: its session, its connections, its tables.

A `Peer` is the shell around one `fsm.Session`. Everything that can happen (a chunk, a lost
connection, a dial's outcome, an alarm, an operator's word) becomes an event for the session, and
the session's effects are performed here, in their order, before the next event. Events that arise
while effects are being performed wait their turn.

    chunk ── Connections ─ Hearing ──┬─ UPDATEs ── Inbound (Adj-RIB-In, Loc-RIB) ── turn
                                     └─ the rest ── codec ── Session ── effects ── transports

Whatever a peer sends wrong ends in `Hearing` as a `BgpError`, becomes an event, and costs this peer
alone.

Standards: RFC 4271 §6, §8; RFC 2918; RFC 4724 §2; RFC 8538 §4; RFC 9687 §4.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from fsm.effects import (
    AttemptFailed,
    CancelDial,
    Close,
    Dial,
    DownKind,
    DownReason,
    Effect,
    Send,
    SessionDown,
    SessionUp,
    StateChanged,
)
from fsm.events import (
    BfdDown,
    BfdUp,
    Event,
    ManualStart,
    ManualStop,
    Side,
    Tick,
)
from fsm.explanation import Explanation, Screening, explain_down
from fsm.family import Family
from fsm.graceful import Order
from fsm.messages import Keepalive, Open, RouteRefresh
from fsm.negotiation import Negotiated
from fsm.notifications import Cease, Code, Notification
from fsm.session import Session, SessionConfig
from fsm.state import State
from fsm.timers import Timer
from speaker import log
from speaker.clock import Alarm, Clock
from speaker.config.plan import PeerPlan
from speaker.connections import Connections
from speaker.exchange import Exchange
from speaker.hearing import Hearing
from speaker.net.drops import DropCounts
from speaker.net.transport import ReadBuffer, Transport
from speaker.reading import Reading
from speaker.recovery import FAMILIES, Recovery
from speaker.restarts import Restarts
from speaker.session_config import OwnRestart, session_config

FOR_GOOD = frozenset({Cease.ADMINISTRATIVE_SHUTDOWN, Cease.PEER_DECONFIGURED})
"""Ends after which nobody comes back soon: the peer must not keep our routes (RFC 8538 §4)."""

LATE = 0.01
"""Seconds in which the loop reads what lay unread when a hold timer expired."""


class Doorkeeper(Protocol):
    """What a peer asks of who keeps the listening sockets."""

    def refusal(self, plan: PeerPlan) -> str:
        """Say why a peer's password or keys cannot be set; empty if not so, or without any."""

    def check(self, peer: Peer) -> None:
        """Hold a peer down that cannot be signed; let it come up again when it can."""


class Watch(Protocol):
    """What a peer asks of who has peers watched by BFD."""

    def lacks(self, address: str) -> str:
        """Tell why a peer is not watched although it asks for it; empty if it is."""


class Router(Protocol):
    """What a peer asks of the router around it."""

    clock: Clock
    buffer: ReadBuffer
    reading: Reading
    drops: DropCounts

    recovery: Recovery

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""

    @property
    def preserved(self) -> frozenset[Family]:
        """The families whose routes have gone on forwarding since an earlier run."""

    @property
    def watches(self) -> Watch:
        """Who has peers watched by BFD."""

    @property
    def doorkeeper(self) -> Doorkeeper:
        """Who keeps the listening sockets."""

    def exchange(
        self,
        peer: Peer,
        negotiated: Negotiated,
        transport: Transport,
        former: Exchange | None,
    ) -> Exchange:
        """Make the tables of a session that came up, from those that were kept of the last."""

    def session_changed(self, peer: Peer) -> None:
        """The session came up or went down."""

    def work(self) -> None:
        """Tables have changed: let a turn run."""

    def settled(self, peer: Peer) -> None:
        """A peer that nobody names has no connection, and perhaps nothing else any more."""


class Peer:
    """One configured peer.

    Args:
        plan: what is configured.
        router: the router around it.
    """

    def __init__(self, plan: PeerPlan, router: Router) -> None:
        self.plan = plan
        self.router = router
        # From the first session on, our forwarding state outlives the end of each (RFC 4724 §3).
        self._was_up = False
        self.is_held_down = False
        self.bfd_is_up = False
        self.session = Session(self._session_config())
        self.exchange: Exchange | None = None
        self.state_since = router.clock.wall()
        self.last_error = ""
        self._dropped_before = router.drops.dropped
        self.sent_open: Open | None = None
        self.connections = Connections(self)
        self._hearing = Hearing(self)
        self.hear = self._hearing.take
        self._alarm = Alarm(router.clock, self._ring)
        self._events: deque[Event] = deque()
        self._busy = False
        self._renew_due = False
        self._is_leaving = False
        self.restarts = Restarts(router.clock, self._routes_ordered)

    @property
    def name(self) -> str:
        """The peer's name in the plan."""
        return self.plan.name

    @property
    def is_established(self) -> bool:
        """Whether routes can be exchanged."""
        return self.session.state is State.ESTABLISHED

    @property
    def tables(self) -> Exchange | None:
        """What the peer has told: on its session, or on one that is gone, if its routes stay."""
        return self.exchange or self.restarts.kept

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that a peer that nobody names would have to stay for.

        It stays with its routes while they outlive its session, and while somebody holds it down.
        It stays out the wait, too, where we have ended its session for what it did; and in strict
        mode while BFD is up, for its next connection would only have to wait for that again.
        """
        session, reason = self.session, self.session.last_down
        waits = (
            self._was_up
            and session.is_holding
            and reason is not None
            and reason.kind is DownKind.SENT
        )
        is_watched = self.plan.bfd_strict is not None and self.bfd_is_up
        stays = self.connections or self.tables or waits or is_watched
        return not stays and session.is_started

    @property
    def faults(self) -> int:
        """Faults of the peer's UPDATEs that were lived with."""
        return self._hearing.faults

    @property
    def refusal(self) -> str:
        """Why it cannot be signed, for which it is held down; empty if it can."""
        return self.router.doorkeeper.refusal(self.plan)

    @property
    def explanation(self) -> Explanation | None:
        """Why the session is not up, and when it tries again; None if it is up."""
        if self.refusal:
            return Explanation(self.refusal, "the session is held down")
        dropped = self.router.drops.dropped.since(self._dropped_before)
        plan = self.plan
        screening = Screening(
            *(plan.password is not None, dropped.signature, plan.ttl_security, dropped.too_far),
            has_keys=bool(plan.tcp_ao),
        )
        lacks = self.router.watches.lacks(plan.address) if self.session.waits_for_bfd else ""
        return explain_down(self.session, self.router.clock.now(), screening, bfd=lacks)

    def _session_config(self) -> SessionConfig:
        router = self.router
        preserved = frozenset(FAMILIES) if self._was_up else router.preserved
        restart = OwnRestart(router.recovery.is_restarting, preserved)
        return session_config(self.plan, router.router_id, restart)

    def offer(self) -> None:
        """Say something else of our own restart from the next OPEN on."""
        told = self._session_config()
        self.session.offer(graceful_restart=told.graceful_restart, long_lived=told.long_lived)

    def start(self) -> None:
        """Let the session come up, unless it cannot be signed."""
        self.is_held_down = False
        self.handle(ManualStart())
        self.router.doorkeeper.check(self)

    def stop(self, subcode: int = Cease.ADMINISTRATIVE_SHUTDOWN, message: str = "") -> None:
        """End the session; it stays down until it is started.

        Args:
            subcode: of the Cease that says so.
            message: to the peer's operator (RFC 9003 §2).
        """
        self.handle(ManualStop(subcode, message, hard=subcode in FOR_GOOD))
        if subcode in FOR_GOOD:
            self.restarts.give_up()

    def heed_bfd(self, *, is_up: bool, lasted: float = 0.0) -> None:
        """Hear what BFD says of the peer, and since how many seconds; strict mode waits for it."""
        if is_up != self.bfd_is_up:
            self.bfd_is_up = is_up
            self.handle(BfdUp(lasted) if is_up else BfdDown())

    def hold_down(self, subcode: int, message: str) -> None:
        """End the session as `stop` does, if nobody has before, and remember that it was us."""
        if self.session.is_started:
            self.stop(subcode, message)
            self.is_held_down = True

    def close(
        self, subcode: int | None = Cease.PEER_DECONFIGURED, heir: Peer | None = None
    ) -> None:
        """End everything for good.

        Args:
            subcode: of the Cease that says so; None says nothing at all, so that a peer that
                restarts gracefully keeps our routes.
            heir: has the same peer under another plan, and what is kept of it.
        """
        self._renew_due = False
        if subcode is None:
            self._leave()
        self.stop(Cease.PEER_DECONFIGURED if subcode is None else subcode)
        if heir is not None:
            heir.restarts.inherit(self.restarts, heir.plan)
        self.restarts.close()
        self._alarm.cancel()

    def _leave(self) -> None:
        """Be gone without a word."""
        self._is_leaving = True
        self.connections.abort("left without a word, for a restart")

    def take_plan(self, plan: PeerPlan) -> None:
        """Go on under another plan; whoever calls does what the difference needs."""
        self.plan = plan
        if self.tables is not None:
            self.tables.take_plan(plan)

    def renew_when_down(self, *, anew: bool = False) -> None:
        """Make the next session with the present plan; one that is up is left alone.

        Args:
            anew: what its connections are made on is another, if nothing else.
        """
        config = self._session_config()
        self._renew_due = config != self.session.config or (anew and not self.is_established)
        if self.is_established or not self._renew_due:
            return
        self._renew_due = False
        held = self.session.stop if not self.session.is_started else None
        self.stop(Cease.OTHER_CONFIGURATION_CHANGE)
        past, self.session = self.session.history, Session(config, bfd_is_up=self.bfd_is_up)
        self.session.history.extend(past)
        # What somebody took down stays down, with his word for it.
        self.handle(held or ManualStart())
        self.router.doorkeeper.check(self)

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
                effects = self.session.handle(event, clock.now(), clock.chance())
                log.happened(self.name, self.plan.address, event, effects)
                for effect in effects:
                    self._perform(effect)
        finally:
            self._busy = False
        if self._renew_due and not self.is_established:
            self.renew_when_down()
            return
        self._alarm.set(self.session.deadline)
        if self.plan.range and not self.connections:
            self.router.settled(self)

    def _ring(self) -> None:
        """Let timers expire; but octets that came and were not read are no silence.

        A busy loop may ring before it reads, and while the router is behind it does not read at
        all.
        """
        if self._hold_timer_is_due() and self.connections.read_late():
            self._alarm.set(self.router.clock.now() + LATE)
            return
        self.connections.tell_of_sending()
        self.handle(Tick())

    def _hold_timer_is_due(self) -> bool:
        now = self.router.clock.now()
        return any(
            timer is Timer.HOLD and deadline <= now + LATE
            for (_, timer), deadline in self.session.timers.items()
        )

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(side, message):
                self._send(side, message)
            case Close(side):
                self.connections.close(side)
            case Dial():
                self.connections.dial()
            case CancelDial():
                self.connections.cancel_dial()
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

    def _send(self, side: Side, message: Open | Keepalive | RouteRefresh | Notification) -> None:
        if self.connections.send(side, message) and isinstance(message, Open):
            self.sent_open = message

    def fail(self) -> None:
        """Start afresh after a fault of ours, which must not hurt the other peers.

        To be called while the exception is being handled; the log shows it.
        """
        log.peer_failed(self.name)
        self.handle(ManualStop(Cease.OUT_OF_RESOURCES))
        # Where the fault was in ending the session, the session has ended and the rest has not.
        for connection in self.connections:
            farewell = Notification(Code.CEASE, Cease.OUT_OF_RESOURCES)
            self.connections.send(connection.side, farewell)
            self.connections.close(connection.side)
        if self.exchange is not None:
            self._down(DownReason(DownKind.DROPPED, text="a fault of ours"))
        self.restarts.give_up()
        self.handle(ManualStart())

    def heed_limits(self) -> None:
        """End the session if there are more prefixes than may be told, either way (RFC 4486 §4)."""
        exchange = self.exchange
        if exchange is None:
            return
        stop = exchange.limits.check() or exchange.limits_out.check()
        if stop is not None:
            self.handle(stop)

    def heed_ends(self) -> None:
        """Let go of what the peer has not told again, where it has told all it has."""
        if self.exchange is not None:
            self.restarts.heard(self.exchange.inbound.ended)

    def _routes_ordered(self, orders: list[Order]) -> None:
        if self._is_leaving:
            return
        now = self.router.clock.now()
        for order in orders:
            waits = [self.restarts.helper.waits.get(family) for family in order.families]
            seconds = max((wait.until - now for wait in waits if wait is not None), default=0.0)
            log.routes_ordered(self.name, self.plan.address, order, seconds)
        if self.plan.range:
            self.router.settled(self)

    def _up(self, side: Side, negotiated: Negotiated) -> None:
        transport = self.connections[side].transport
        self.exchange = self.restarts.came_back(
            negotiated, lambda former: self.router.exchange(self, negotiated, transport, former)
        )
        self.last_error = ""
        self._was_up = True
        self.offer()
        log.session_established(self.name, self.plan.address, negotiated)
        self.router.session_changed(self)
        self.router.work()

    def _down(self, reason: DownReason) -> None:
        exchange, self.exchange = self.exchange, None
        self.last_error = str(reason)
        self._dropped_before = self.router.drops.dropped
        prefixes = 0
        if exchange is not None:
            prefixes = exchange.received
            self.restarts.fell(exchange, reason, exchange.negotiated)
        kept = 0 if self.restarts.kept is None else self.restarts.kept.received
        if self._is_leaving:
            log.session_left(self.name, self.plan.address)
        else:
            log.session_down(self.name, self.plan.address, reason, prefixes - kept)
        self.router.session_changed(self)
        self.router.work()

    def ask_refresh(self, family: Family) -> bool:
        """Ask the peer to tell everything again (RFC 2918); False where it cannot."""
        negotiated = self.session.negotiated
        if negotiated is None or not negotiated.route_refresh:
            return False
        for connection in self.connections:
            if self.exchange is not None and self.exchange.transport is connection.transport:
                self.connections.send(connection.side, RouteRefresh(family))
        return True
