"""Two ends of a session on an in-memory cable and a virtual clock, written down as a transcript.

An end is a `Session`, or a `Script` that answers what it hears with what it was told. The cable
carries dials, messages and closes with one delay, in order, and can be cut. Time is a number that
jumps to the next thing to happen, so minutes of a session take microseconds.

Each line of the transcript is the moment, who spoke to whom, and what was said; a connection other
than the first has its number behind. What is expected stands in the test as text.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TypeAlias

from fsm import (
    AttemptFailed,
    BgpError,
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    CancelDial,
    Close,
    ConnectionEvent,
    Dial,
    Effect,
    Event,
    Keepalive,
    KeepAliveMsg,
    Message,
    MessageHeaderError,
    Notification,
    NotifMsg,
    Open,
    OpenMessageError,
    RouteRefresh,
    RouteRefreshMsg,
    Send,
    Session,
    SessionConfig,
    SessionDown,
    SessionUp,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    Tick,
    UpdateMsg,
    UpdateMsgErr,
)


@dataclass(frozen=True)
class Update:
    """An UPDATE as far as the machines care: that it came."""

    def __str__(self) -> str:
        return "UPDATE"


Said: TypeAlias = Message | Update | BgpError
"""What may go over the cable; an error stands for the bytes that would cause it."""


def config(**changes: object) -> SessionConfig:
    """Return a plain external session's configuration, AS 64512 towards AS 64513."""
    values: dict[str, object] = {"local_asn": 64512, "peer_asn": 64513, "router_id": 0x0A000001}
    return SessionConfig(**(values | changes))  # type: ignore[arg-type] # a keyword per field


def mirrored(of: SessionConfig, **changes: object) -> SessionConfig:
    """Return the configuration of the other end, with router id 10.0.0.2."""
    values: dict[str, object] = {
        "local_asn": of.peer_asn,
        "peer_asn": of.local_asn,
        "router_id": 0x0A000002,
        "families": of.families,
    }
    return SessionConfig(**(values | changes))  # type: ignore[arg-type] # a keyword per field


@dataclass
class Script:
    """An end that says what it was told when something happens, and otherwise nothing.

    Args:
        on_connect: what to say on a new connection.
        on_open: what to say to an OPEN.
        on_keepalive: what to say to a KEEPALIVE.
        listens: whether a dial reaches it, or is refused.
    """

    on_connect: tuple[Said, ...] = ()
    on_open: tuple[Said, ...] = ()
    on_keepalive: tuple[Said, ...] = ()
    listens: bool = True

    def answers(self, heard: Said) -> tuple[Said, ...]:
        match heard:
            case Open():
                return self.on_open
            case Keepalive():
                return self.on_keepalive
            case _:
                return ()


class Wire:
    """One TCP connection."""

    def __init__(self, number: int, dialer: str) -> None:
        self.number = number
        self.dialer = dialer

    def side(self, end: str) -> Side:
        return Side.OUTGOING if end == self.dialer else Side.INCOMING


@dataclass
class End:
    """What one end holds of the cable."""

    name: str
    other: str
    who: Session | Script
    wires: dict[Side, Wire] = field(default_factory=dict)
    dialing: Wire | None = None


class Duet:
    """Join two ends.

    Args:
        left: one end: a configuration for a `Session`, or a `Script`.
        right: the other end.
        delay: seconds that the cable takes, each way.
        chance: draws the number for jitter; none by default.
    """

    def __init__(
        self,
        left: SessionConfig | Script,
        right: SessionConfig | Script,
        delay: float = 0.001,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.is_cut = False
        self._delay = delay
        self._chance = chance
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._ends = {
            name: End(name, other, who if isinstance(who, Script) else Session(who))
            for name, other, who in (("left", "right", left), ("right", "left", right))
        }

    @property
    def left(self) -> Session:
        return self._session("left")

    @property
    def right(self) -> Session:
        return self._session("right")

    @property
    def transcript(self) -> str:
        """The lines so far."""
        return "\n".join(self.lines)

    def wires(self, end: str) -> list[Wire]:
        """Return the connections that an end holds."""
        return list(self._ends[end].wires.values())

    def tell(self, end: str, event: Event) -> None:
        """Let an event happen at a session, now."""
        self._handle(self._ends[end], event)

    def say(self, end: str, said: Said) -> None:
        """Let a script say something on its only connection, now."""
        (wire,) = self._ends[end].wires.values()
        self._send(self._ends[end], wire, said)

    def sever(self) -> None:
        """Break every connection, at both ends at once."""
        for end in self._ends.values():
            for wire in list(end.wires.values()):
                self._broken(end, wire)

    def dial(self, end: str) -> None:
        """Let a script dial, now."""
        self._dial(self._ends[end])

    def run(self, until: float) -> None:
        """Let time pass, and everything in it happen."""
        while (moment := self._next()) is not None and moment <= until:
            self.now = max(self.now, moment)
            if self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            else:
                self._tick()
        self.now = until

    def _session(self, name: str) -> Session:
        who = self._ends[name].who
        assert isinstance(who, Session)
        return who

    def _next(self) -> float | None:
        sessions = [end.who for end in self._ends.values() if isinstance(end.who, Session)]
        moments = [session.deadline for session in sessions if session.deadline is not None]
        return min([*moments, *(moment for moment, _, _ in self._queue[:1])], default=None)

    def _tick(self) -> None:
        for end in self._ends.values():
            if isinstance(end.who, Session):
                deadline = end.who.deadline
                if deadline is not None and deadline <= self.now:
                    self._handle(end, Tick())

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), action))

    def _line(self, who: str, what: object, wire: Wire | None = None) -> None:
        number = f" #{wire.number}" if wire is not None and wire.number > 1 else ""
        self.lines.append(f"{self.now:10.3f} {who:<10} {what}{number}")

    def _handle(self, end: End, event: Event) -> None:
        assert isinstance(end.who, Session)
        for effect in end.who.handle(event, self.now, self._chance()):
            self._perform(end, effect)

    def _perform(self, end: End, effect: Effect) -> None:
        match effect:
            case Dial():
                self._dial(end)
            case CancelDial():
                self._line(end.name, "cancel dial")
                end.dialing = None
            case Send(side=side, message=message):
                self._send(end, end.wires[side], message)
            case Close(side=side):
                self._close(end, side)
            case SessionUp(negotiated=negotiated, side=side):
                self._line(end.name, f"up hold={negotiated.hold_time}", end.wires[side])
            case SessionDown(reason=reason):
                self._line(end.name, f"down: {reason}")
            case AttemptFailed(reason=reason):
                self._line(end.name, f"failed: {reason}")
            case _:
                pass

    def _dial(self, end: End) -> None:
        wire = end.dialing = Wire(next(self._numbers), end.name)
        self._line(end.name, "dial", wire)
        if not self.is_cut:
            self._after(self._delay, lambda: self._knock(self._ends[end.other], end, wire))

    def _knock(self, host: End, guest: End, wire: Wire) -> None:
        """A dial arrives at the other end."""
        if isinstance(host.who, Script) and not host.who.listens:
            self._after(self._delay, lambda: self._refused(guest, wire))
            return
        self._after(self._delay, lambda: self._answered(guest, wire))
        if isinstance(host.who, Script):
            host.wires[Side.INCOMING] = wire
            for said in host.who.on_connect:
                self._send(host, wire, said)
        elif host.who.would_accept():
            host.wires[Side.INCOMING] = wire
            self._handle(host, TcpConnectionConfirmed(Side.INCOMING))
        else:
            self._turn_away(host, guest, wire, host.who.refusal)

    def _turn_away(self, host: End, guest: End, wire: Wire, refusal: Notification) -> None:
        self._line(f"{host.name}→{guest.name}", f"NOTIFICATION {refusal}", wire)
        self._after(self._delay, lambda: self._hear(guest, wire, refusal))
        self._after(self._delay, lambda: self._broken(guest, wire))

    def _refused(self, end: End, wire: Wire) -> None:
        if end.dialing is wire:
            end.dialing = None
            if isinstance(end.who, Session):
                self._handle(end, TcpConnectionFails(Side.OUTGOING, "Connection refused"))

    def _answered(self, end: End, wire: Wire) -> None:
        if end.dialing is not wire:  # given up meanwhile: the other end sees it closed
            self._after(self._delay, lambda: self._broken(self._ends[end.other], wire))
            return
        end.dialing = None
        end.wires[Side.OUTGOING] = wire
        if isinstance(end.who, Session):
            self._handle(end, TcpCrAcked(Side.OUTGOING))
        else:
            for said in end.who.on_connect:
                self._send(end, wire, said)

    def _send(self, end: End, wire: Wire, said: Said) -> None:
        words = f"NOTIFICATION {said}" if isinstance(said, Notification) else str(said)
        self._line(f"{end.name}→{end.other}", words, wire)
        if not self.is_cut:
            self._after(self._delay, lambda: self._hear(self._ends[end.other], wire, said))

    def _hear(self, end: End, wire: Wire, said: Said) -> None:
        side = wire.side(end.name)
        if end.wires.get(side) is not wire:
            return
        if isinstance(end.who, Session):
            self._handle(end, _event(side, said))
        else:
            for answer in end.who.answers(said):
                self._send(end, wire, answer)

    def _close(self, end: End, side: Side) -> None:
        wire = end.wires.pop(side, None)
        if wire is None:  # it broke before the machine let go of it
            return
        self._line(end.name, "close", wire)
        if not self.is_cut:
            self._after(self._delay, lambda: self._broken(self._ends[end.other], wire))

    def _broken(self, end: End, wire: Wire) -> None:
        side = wire.side(end.name)
        if end.wires.get(side) is wire:
            del end.wires[side]
            if isinstance(end.who, Session):
                self._handle(end, TcpConnectionFails(side, "closed by the peer"))


def _event(side: Side, said: Said) -> ConnectionEvent:
    """Return the event that a shell would make of what it heard."""
    match said:
        case Open():
            return BgpOpen(side, said)
        case Keepalive():
            return KeepAliveMsg(side)
        case Update():
            return UpdateMsg(side)
        case Notification():
            return NotifMsg(side, said)
        case RouteRefresh():
            return RouteRefreshMsg(side, said)
        case MessageHeaderError():
            return BgpHeaderErr(side, said)
        case OpenMessageError():
            return BgpOpenMsgErr(side, said)
        case _:
            return UpdateMsgErr(side, said)


def lines(text: str) -> str:
    """Return a transcript written as an indented block of a test, without the indentation."""
    return "\n".join(
        f"{float(moment):10.3f} {rest}"
        for line in dedent(text).strip().splitlines()
        for moment, rest in [line.strip().split(" ", 1)]
    )
