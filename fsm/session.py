"""A session: everything between us and one configured peer.

`Session` holds the two machines a peer may need, one per connection: OUTGOING for the one that we
dial, INCOMING for the one that the peer dials. They run beside each other until one of them wins;
each machine is RFC 4271 §8.2.2 by itself, and this module is what they owe each other:

- *Collision.* When an OPEN arrives while the other connection is further on, one of the two goes;
  a peer that would take the other for a restart is not answered before it (`fsm.crossing`).
- *Back-off.* When nothing is left that could become Established, both machines sit out the
  IdleHoldTimer, which doubles from failure to failure and starts afresh after a session that lived.
- *Strict mode.* Nothing is tried before BFD is up, where it is asked for (`fsm.gate`).
- *Restart.* When it is over, both start by themselves, until an operator says ManualStop. A session
  whose configuration does not allow automatic starts stays down instead.
- *Graceful restart.* A peer that restarts gracefully is back soon, and its routes wait for it: when
  its connection is lost there is no back-off, unless the session had hardly come up.

`Session.handle` is the only way in and its list of effects the only way out; `deadline` says when
to call it with `Tick`. The last 64 (now, event, effects) triples are kept in `history`, enough to
replay what happened.

What a shell must do (and all that it must do):

1. Perform effects in order, at once, before the next event.
2. After `Close` or `CancelDial`, or after having reported `TcpConnectionFails`, say nothing more of
   that connection. A late word is ignored here, but a connection that has the same side by then
   would be blamed.
3. Before handing over an accepted connection (`TcpConnectionConfirmed`), ask `would_accept`; if the
   answer is no, ask `gives_way`, and report the connection of that side as failed; where there is
   none, send the newcomer `refusal`, close it, and do not mention it.
4. Hand over what lies in the socket's buffer before `Tick`, so that a late process does not mistake
   its own slowness for the peer's silence.
5. Tell of its sending as `fsm.events` asks, so that a peer that does not read is noticed.
6. Draw a new `chance` for every call. Jitter is also what ends a misfortune that RFC 4271 §6.8
   leaves possible: two ends that each keep another of two connections, and fall together.

Standards: RFC 4271 §6.8, §8.1.1, §8.1.2, §8.2.1, §10; RFC 4724 §4.2; RFC 6286 §2.3; RFC 4486 §4;
RFC 5492 §3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf

from fsm.bgp import BgpFsm
from fsm.capabilities import GracefulRestart, LongLivedGracefulRestart
from fsm.config import SessionConfig
from fsm.crossing import Crossing, OpenEvent, matters
from fsm.effects import (
    AttemptFailed,
    Close,
    DownReason,
    Effect,
    SessionDown,
    SessionUp,
    StateChanged,
)
from fsm.events import (
    AUTOMATIC_STARTS,
    DAMPED_STARTS,
    PASSIVE_STARTS,
    AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment,
    AutomaticStop,
    BfdDown,
    BfdUp,
    BgpOpen,
    BgpOpenWithDelayOpenTimerRunning,
    ConnectionEvent,
    Event,
    IdleHoldTimerExpires,
    KeepAliveMsg,
    ManualStop,
    NotifMsg,
    OpenCollisionDump,
    Side,
    StartEvent,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    Tick,
)
from fsm.gate import Gate
from fsm.history import History
from fsm.messages import Open
from fsm.negotiation import Negotiated
from fsm.notifications import Cease, Code, Notification, OpenSubcode
from fsm.state import State
from fsm.timers import Timer, Timers, jittered

__all__ = ["Session", "SessionConfig"]

_BACK_OFF_FACTOR = 2


class Session:
    """One configured peer.

    Args:
        config: who we are, whom we expect, and how patient we are.
        bfd_is_up: what BFD says of the peer.
    """

    def __init__(self, config: SessionConfig, *, bfd_is_up: bool = False) -> None:
        self.config = config
        self.history = History()
        self.last_down: DownReason | None = None
        """Why the session or an attempt ended last; a collision is no reason."""
        self.last_attempt: DownReason | None = None
        """The same, collisions included."""
        self.established_since: float | None = None
        self._outgoing = BgpFsm(config, Side.OUTGOING)
        self._incoming = BgpFsm(config, Side.INCOMING)
        self._machines = {Side.OUTGOING: self._outgoing, Side.INCOMING: self._incoming}
        self._wanted = (self._incoming,) if config.passive else (self._outgoing, self._incoming)
        self._timers = Timers()
        self._gate = Gate(
            is_strict=config.bfd_strict, hold_down=config.bfd_hold_down, is_up=bfd_is_up
        )
        self._crossing = Crossing()
        self.stop: ManualStop | None = None
        """The word that took the session down, until somebody starts it again."""
        self._is_started = False
        self._listens_first = False
        self._is_bare = False
        self._wait = 0.0
        self._pause: float | None = None
        self._comes_back = False

    def __repr__(self) -> str:
        return f"Session({self.state}, {self._outgoing!r}, {self._incoming!r}, {self._timers!r})"

    @property
    def state(self) -> State:
        """The state of the connection that is furthest on.

        A machine that merely listens beside one that dials says nothing about progress, so the
        INCOMING one counts from the moment it has a connection, or if it is the only one.
        """
        if self.config.passive or self._incoming.is_connected:
            return max(self._outgoing.state, self._incoming.state)
        return self._outgoing.state

    @property
    def negotiated(self) -> Negotiated | None:
        """What both ends agreed, while Established."""
        established = self._established()
        return established.negotiated if established else None

    @property
    def deadline(self) -> float | None:
        """The moment of the next timer; None if none runs."""
        machines = (self._outgoing.timers, self._incoming.timers)
        timers = (*machines, self._timers, self._gate.timers)
        deadlines = (*(t.deadline() for t in timers), self._crossing.until)
        return min((d for d in deadlines if d is not None), default=None)

    @property
    def timers(self) -> dict[tuple[Side | None, Timer], float]:
        """The deadline of each running timer, by side; the side is None for the session's own."""
        owners: list[tuple[Side | None, Timers]] = [(None, self._timers), (None, self._gate.timers)]
        owners += [(side, machine.timers) for side, machine in self._machines.items()]
        return {
            (side, timer): deadline
            for side, timers in owners
            for timer, deadline in timers.deadlines().items()
        }

    @property
    def is_started(self) -> bool:
        """Somebody wants the session, and it is up or tries to be."""
        return self._is_started

    @property
    def is_dialing(self) -> bool:
        """A dial is in flight."""
        return self._outgoing.is_dialing

    @property
    def is_holding(self) -> bool:
        """We are sitting out the back-off after a failure."""
        return self._timers.is_running(Timer.IDLE_HOLD)

    @property
    def waits_for_bfd(self) -> bool:
        """Nothing is tried until BFD is up, and has been for long enough."""
        return self._gate.waiting is not None

    def would_accept(self) -> bool:
        """Say whether a connection from the peer may be handed over now.

        There is room for one. While it is taken, while the session is Established, and in Idle,
        where RFC 4271 §8.2.2 refuses all connections, the answer is no.

        RFC: beside a session that is Established, a newcomer is tracked until its OPEN has come,
        and closed then (§6.8). Ours: at once, since the OPEN could not change that.
        """
        return self._incoming.state is State.ACTIVE and not self._incoming.is_connected

    def offer(
        self,
        *,
        graceful_restart: GracefulRestart | None,
        long_lived: LongLivedGracefulRestart | None,
    ) -> None:
        """Say something else of our restarts, from the next OPEN on; what stands is left alone."""
        self.config = replace(self.config, graceful_restart=graceful_restart, long_lived=long_lived)
        message = self.config.open_message(with_capabilities=not self._is_bare)
        for machine in self._machines.values():
            machine.offer(self.config, message)

    def gives_way(self, now: float) -> Side | None:
        """Say which connection to give up for a newcomer; None where the newcomer has to go.

        Whoever restarts gracefully and opens a connection beside one that is Established has
        restarted: the old one is dead, and TCP does not know it yet (RFC 4724 §4.2). A session that
        has only just come up is left alone, since its peer may have dialled twice.
        """
        established = self._established()
        if established is None or not self._restarts_gracefully(established, now):
            return None
        return established.side

    def _restarts_gracefully(self, machine: BgpFsm, now: float) -> bool:
        """Tell whether a machine's session is old enough, and may be interrupted gracefully."""
        negotiated, since = machine.negotiated, self.established_since
        return (
            machine.state is State.ESTABLISHED
            and negotiated is not None
            and negotiated.restarts_gracefully
            and since is not None
            and now - since >= self.config.idle_hold[0]
        )

    @property
    def refusal(self) -> Notification:
        """What to tell a newcomer that `would_accept` turns away. RFC 4271 §6.8, RFC 4486 §4."""
        if any(machine.is_connected for machine in self._machines.values()):
            return Notification(Code.CEASE, Cease.CONNECTION_COLLISION_RESOLUTION)
        return Notification(Code.CEASE, Cease.CONNECTION_REJECTED)

    def handle(self, event: Event, now: float, chance: float = 0.0) -> list[Effect]:
        """Let one event happen.

        Args:
            event: what happened.
            now: monotonic seconds, never less than before.
            chance: a number in [0, 1) that the caller drew, for the jitter of whatever timer is
                started. RFC 4271 §10.

        Returns:
            What is to be done, in order.
        """
        before = self.state
        self._gate.tick(now)
        effects = self._happen(event, now, chance)
        effects += self._answer_late(now, chance)
        self._remember(now, effects)
        effects += self._settle(now, chance)
        if self.state is not before:
            effects.append(StateChanged(before, self.state))
        self.history.note(now, event, effects)
        return effects

    def _happen(self, event: Event, now: float, chance: float) -> list[Effect]:
        match event:
            case Tick():
                return self._expire(now, chance)
            case StartEvent():
                return self._start(event, now, chance)
            case ManualStop():
                self._is_started = False
                self.stop = event
                self._timers.clear()
                self._gate.leave()
                return self._tell(self._machines.values(), event, now, chance)
            case BfdUp(lasted):
                self._gate.up(now, lasted)
                return []
            case BfdDown():
                return self._lose_bfd(now, chance)
            case AutomaticStop():
                return self._stop_for_a_while(event, now, chance)
            case KeepAliveMsg(Side.INCOMING) if self._crossing.waiting is not None:
                self._crossing.is_confirmed = True
                return []
            case BgpOpen() | BgpOpenWithDelayOpenTimerRunning():
                return self._opened(event, now, chance)
            case ConnectionEvent():
                return self._connection(event, now, chance)
            case _:  # 13 is made here and needs no telling
                return []

    # Starting, and starting again.

    def _start(self, event: Event, now: float, chance: float) -> list[Effect]:
        """Start at once, even in the middle of a back-off: whoever asks does not want to wait.

        Events 6 and 7 do wait: they are for a session that is damped (RFC 4271 §8.1.2).
        """
        if isinstance(event, AUTOMATIC_STARTS) and not self.config.allow_automatic_start:
            return []
        if self._is_started and (not self.is_holding or isinstance(event, DAMPED_STARTS)):
            return []
        self._is_started = True
        self.stop = None
        self._listens_first = isinstance(event, PASSIVE_STARTS)
        if not isinstance(event, DAMPED_STARTS):
            self._wait = 0.0
        self._is_bare = False
        return self._begin(event, now, chance)

    def _restart(self, now: float, chance: float) -> list[Effect]:
        """The back-off is over: start as the session was started."""
        return self._begin(self._next_start, now, chance)

    @property
    def _next_start(self) -> Event:
        if self._listens_first:
            return AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment()
        return IdleHoldTimerExpires()

    def _lose_bfd(self, now: float, chance: float) -> list[Effect]:
        """Give an attempt up that may not be made; a session that stands is not ended here."""
        self._gate.down()
        is_trying = self._is_started and not self.is_holding and not self._established()
        if not is_trying or self._gate.admits(self._next_start):
            return []
        event = AutomaticStop(Cease.BFD_DOWN, text="it went down before the session was up")
        return self._tell(self._machines.values(), event, now, chance)

    def _stop_for_a_while(self, event: AutomaticStop, now: float, chance: float) -> list[Effect]:
        """RFC 4271 §8.1.2 event 8. What follows is the back-off, or what the event says."""
        if not self.config.allow_automatic_stop:
            return []
        if event.restart_after is not None and self._is_started:
            self._timers.clear()
            self._gate.leave()
            self._pause = event.restart_after
        return self._tell(self._machines.values(), event, now, chance)

    def _begin(self, event: Event, now: float, chance: float) -> list[Effect]:
        self._timers.clear()
        if not self._gate.admits(event):
            return []
        for machine in self._wanted:
            machine.open_message = self.config.open_message(with_capabilities=not self._is_bare)
        return self._tell(self._wanted, event, now, chance)

    def _expire(self, now: float, chance: float) -> list[Effect]:
        effects = self._outgoing.expire(now, chance) + self._incoming.expire(now, chance)
        if self._timers.due(now):
            effects += self._restart(now, chance)
        return effects

    # The two connections.

    def _connection(self, event: ConnectionEvent, now: float, chance: float) -> list[Effect]:
        """Hand an event to its machine, unless that machine knows of no such connection.

        RFC 4271 §8.2.2 has Connect and Active fall to Idle on a stray message. That is about a
        connection that is there; a late word of one that we closed must not end the next attempt.
        """
        machine = self._machines[event.side]
        match event:
            case TcpCrAcked():
                is_expected = machine.is_dialing
            case TcpConnectionConfirmed():
                is_expected = event.side is Side.INCOMING and self.would_accept()
            case TcpConnectionFails():
                is_expected = machine.is_dialing or machine.is_connected
            case _:
                is_expected = machine.is_connected
        if is_expected:
            self._heed_refused_capabilities(event, machine)
            if isinstance(event, TcpConnectionFails) and self.config.allow_automatic_start:
                self._comes_back = self._restarts_gracefully(machine, now)
            return machine.handle(event, now, chance)
        if isinstance(event, TcpCrAcked | TcpConnectionConfirmed) and not machine.is_connected:
            return [Close(event.side)]
        return []

    def _heed_refused_capabilities(self, event: ConnectionEvent, machine: BgpFsm) -> None:
        """RFC 5492 §3: try again without capabilities if the peer cannot bear the parameter.

        Any other complaint about such an OPEN has us try with them again.
        """
        if (
            isinstance(event, NotifMsg)
            and machine.state in (State.OPEN_SENT, State.OPEN_CONFIRM)
            and event.message.code == Code.OPEN_MESSAGE_ERROR
        ):
            self._is_bare = (
                event.message.subcode == OpenSubcode.UNSUPPORTED_OPTIONAL_PARAMETER
                and self.config.works_without_capabilities
            )

    def _opened(
        self, event: OpenEvent, now: float, chance: float, *, is_late: bool = False
    ) -> list[Effect]:
        """Resolve a collision before the OPEN is answered. RFC 4271 §6.8.

        What the long text amounts to: when both connections have their OPEN, the one stays that
        was dialled by the router with the greater identifier. The loser must not be answered by
        a KEEPALIVE first, or the peer would take it for the winner.
        """
        if not is_late and self._crossing.waiting is None and self._crosses(event):
            self._crossing.keep(event, now)
            return []
        machine = self._machines[event.side]
        other = self._machines[event.side.other]
        is_alone = other.state is not State.OPEN_CONFIRM and not self._has_waiting(other)
        if is_alone or not machine.is_connected:
            return self._connection(event, now, chance)
        if event.side is not self._preferred(event.message):
            return machine.handle(OpenCollisionDump(event.side), now, chance)
        effects = machine.handle(event, now, chance)
        if machine.state is State.OPEN_CONFIRM:
            effects += other.handle(OpenCollisionDump(other.side), now, chance)
        return effects

    def _crosses(self, event: OpenEvent) -> bool:
        """Tell whether an OPEN came on the peer's connection while ours is on its way."""
        incoming, outgoing = self._incoming, self._outgoing
        is_under_way = outgoing.is_dialing or outgoing.state is State.OPEN_SENT
        return (
            event.side is Side.INCOMING
            and incoming.state is State.OPEN_SENT
            and is_under_way
            and matters(event)
        )

    def _has_waiting(self, machine: BgpFsm) -> bool:
        """Tell whether a machine's connection has its OPEN, which was not answered yet."""
        return machine is self._incoming and self._crossing.waiting is not None

    def _answer_late(self, now: float, chance: float) -> list[Effect]:
        """Answer the OPEN that waits, once ours has arrived or failed, or it was long enough."""
        waiting, until = self._crossing.waiting, self._crossing.until
        if waiting is None or until is None:
            return []
        if self._incoming.state is not State.OPEN_SENT:
            self._crossing.take()
            return []
        if self._crosses(waiting) and now < until:
            return []
        is_confirmed = self._crossing.is_confirmed
        self._crossing.take()
        effects = self._opened(waiting, now, chance, is_late=True)
        if is_confirmed:
            effects += self._connection(KeepAliveMsg(Side.INCOMING), now, chance)
        return effects

    def _preferred(self, received: Open) -> Side:
        """Return the connection to keep. RFC 4271 §6.8, RFC 6286 §2.3 for equal identifiers."""
        ours = (self.config.router_id, self.config.local_asn)
        theirs = (received.router_id, received.asn)
        return Side.OUTGOING if ours > theirs else Side.INCOMING

    # What follows from any event.

    def _settle(self, now: float, chance: float) -> list[Effect]:
        """Bring the two machines in line with each other."""
        if established := self._established():
            return self._dump(self._machines[established.side.other], now, chance)
        effects: list[Effect] = []
        waiting = self._gate.waiting
        if waiting is not None and self._gate.is_open:
            return self._begin(waiting, now, chance)
        if self._incoming.state is State.OPEN_CONFIRM and not self._outgoing.is_connected:
            # As BIRD: an attempt to dial now could only end in a collision.
            effects = self._dump(self._outgoing, now, chance)
        if self._is_stranded():
            if self._comes_back:
                effects += self._restart(now, chance)
            else:
                effects += self._hold(now, chance)
        self._comes_back = False
        return effects

    def _dump(self, machine: BgpFsm, now: float, chance: float) -> list[Effect]:
        return machine.handle(OpenCollisionDump(machine.side), now, chance)

    def _is_stranded(self) -> bool:
        """Something failed, and no connection is left that could make up for it."""
        return (
            self._is_started
            and not self.is_holding
            and not self.waits_for_bfd
            and any(machine.state is State.IDLE for machine in self._wanted)
            and not any(machine.is_connected for machine in self._wanted)
        )

    def _hold(self, now: float, chance: float) -> list[Effect]:
        """Sit out the back-off, or stay down where nobody starts us by himself.

        The wait is jittered too: two ends that fell together shall not rise together for ever.
        """
        pause, self._pause = self._pause, None
        if pause == inf or not self.config.allow_automatic_start:
            self._is_started = False
        elif pause is not None:
            self._timers.start(Timer.IDLE_HOLD, pause, now)
        else:
            self._wait = self._next_wait()
            self._timers.start(Timer.IDLE_HOLD, jittered(self._wait, chance), now)
        return self._tell(self._wanted, AutomaticStop(), now, chance)

    def _next_wait(self) -> float:
        """RFC 4271 §8.1.1 (DampPeerOscillations): longer with each failure."""
        shortest, longest = self.config.idle_hold
        if not self._wait or not self.config.damp_peer_oscillations:
            return shortest
        return min(self._wait * _BACK_OFF_FACTOR, longest)

    def _established(self) -> BgpFsm | None:
        for machine in self._wanted:
            if machine.state is State.ESTABLISHED:
                return machine
        return None

    def _tell(
        self, machines: Iterable[BgpFsm], event: Event, now: float, chance: float
    ) -> list[Effect]:
        return [effect for machine in machines for effect in machine.handle(event, now, chance)]

    # What is remembered.

    def _remember(self, now: float, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SessionUp():
                    self.established_since = now
                case SessionDown(reason=reason):
                    self._lived(now)
                    self.last_down = self.last_attempt = reason
                case AttemptFailed(reason=reason):
                    self.last_attempt = reason
                    if not reason.is_collision:
                        self.last_down = reason
                case _:
                    pass

    def _lived(self, now: float) -> None:
        """Forgive earlier failures if the session lived longer than the wait that preceded it."""
        if self.established_since is not None and now - self.established_since >= self._wait:
            self._wait = 0.0
        self.established_since = None
        self._is_bare = False
