"""The grid of the BGP machine: every event in every state, as text.

`python -m tests.support.fsm_grid > docs/fsm-grid.txt` writes the document anew; the test of the
same name compares. A machine is brought into the state by events, never by setting it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from fsm import (
    AttemptFailed,
    AutomaticStart,
    AutomaticStartWithDampPeerOscillations,
    AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment,
    AutomaticStartWithPassiveTcpEstablishment,
    AutomaticStop,
    BgpFsm,
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    BgpOpenWithDelayOpenTimerRunning,
    Close,
    ConnectRetryTimerExpires,
    DelayOpenTimerExpires,
    Effect,
    Event,
    HoldTimerExpires,
    IdleHoldTimerExpires,
    KeepAliveMsg,
    KeepaliveTimerExpires,
    ManualStart,
    ManualStartWithPassiveTcpEstablishment,
    ManualStop,
    MessageHeaderError,
    MessageSent,
    Notification,
    NotifMsg,
    NotifMsgVerErr,
    Open,
    OpenCollisionDump,
    OpenMessageError,
    RouteRefresh,
    RouteRefreshMsg,
    Send,
    SendBlocked,
    SendHoldTimerExpires,
    SendProgress,
    SessionConfig,
    SessionDown,
    SessionUp,
    Side,
    State,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpConnectionValid,
    TcpCrAcked,
    TcpCrInvalid,
    UpdateMessageError,
    UpdateMsg,
    UpdateMsgErr,
)
from fsm.family import IPV4_UNICAST
from tests.support.duet import config, mirrored

HEAD = """\
The BGP machine of one connection: what each event does in each state (RFC 4271 §8.2.2).

Made by `python -m tests.support.fsm_grid`, and compared with the machine by a test.
The number before an event is its number in RFC 4271 §8.1 (29: RFC 9687); "-" has none.

There is a part for each kind of machine. It begins with an overview, events by states:

    .          nothing happens
    =          the state stays, and something is done
    Active     the state that follows
    Idle N     so too, after a NOTIFICATION to the peer

Below, for each state, a row says the state after the event, the timers that run then, and the
effects in their order.
"""

Recipe = tuple[Event, ...]


def peer_open(of: SessionConfig) -> Open:
    """Return the OPEN of the peer that a configuration expects."""
    return mirrored(of).open_message()


def events(side: Side, peer: Open) -> list[Event]:
    """Return one of every event, in the order of their numbers."""
    cease = Notification(6, 2)
    return [
        ManualStart(),
        ManualStop(),
        AutomaticStart(),
        ManualStartWithPassiveTcpEstablishment(),
        AutomaticStartWithPassiveTcpEstablishment(),
        AutomaticStartWithDampPeerOscillations(),
        AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment(),
        AutomaticStop(),
        ConnectRetryTimerExpires(side),
        HoldTimerExpires(side),
        KeepaliveTimerExpires(side),
        DelayOpenTimerExpires(side),
        IdleHoldTimerExpires(),
        TcpConnectionValid(side),
        TcpCrInvalid(side),
        TcpCrAcked(side),
        TcpConnectionConfirmed(side),
        TcpConnectionFails(side),
        BgpOpen(side, peer),
        BgpOpenWithDelayOpenTimerRunning(side, peer),
        BgpHeaderErr(side, MessageHeaderError(1)),
        BgpOpenMsgErr(side, OpenMessageError(1, b"\x00\x04")),
        OpenCollisionDump(side),
        NotifMsgVerErr(side, Notification(2, 1, b"\x00\x04")),
        NotifMsg(side, cease),
        KeepAliveMsg(side),
        UpdateMsg(side),
        UpdateMsgErr(side, UpdateMessageError(3, b"\x02")),
        SendHoldTimerExpires(side),
        RouteRefreshMsg(side, RouteRefresh(IPV4_UNICAST)),
        SendBlocked(side),
        SendProgress(side),
        MessageSent(side),
    ]


def recipes(side: Side, of: SessionConfig) -> dict[State, Recipe]:
    """Return, for each state, events that lead there from a new machine."""
    start: Recipe = (ManualStart(),)
    active: Recipe = start
    if side is Side.OUTGOING:
        active = (ManualStart(), TcpConnectionFails(side))
    connected = (*start, TcpConnectionConfirmed(side))
    sent = (*connected, DelayOpenTimerExpires(side)) if of.delay_open_time else connected
    agreed = (*sent, BgpOpen(side, peer_open(of)))
    ways = {
        State.IDLE: (),
        State.CONNECT: start,
        State.ACTIVE: active,
        State.OPEN_SENT: sent,
        State.OPEN_CONFIRM: agreed,
        State.ESTABLISHED: (*agreed, KeepAliveMsg(side)),
    }
    if of.delay_open_time:  # the connection is there, the OPEN is held back
        ways[State.CONNECT] = connected
        ways[State.ACTIVE] = (*active, TcpConnectionConfirmed(side))
    if side is Side.INCOMING:
        del ways[State.CONNECT]
    return ways


def variants() -> dict[str, tuple[Side, SessionConfig]]:
    """Return the machines to walk, by the title of their part."""
    return {
        "plain: the connection that we dial": (Side.OUTGOING, config()),
        "passive: the connection that we accept, which is never in Connect": (
            Side.INCOMING,
            config(),
        ),
        "delayed OPEN: dialled, with a connection that waits": (
            Side.OUTGOING,
            config(delay_open_time=5.0),
        ),
        "hold time 0: dialled, no HoldTimer and no KEEPALIVEs": (
            Side.OUTGOING,
            config(hold_time=0),
        ),
    }


def machine_in(state: State, side: Side, of: SessionConfig) -> BgpFsm:
    """Return a machine that was led to a state."""
    machine = BgpFsm(of, side)
    for event in recipes(side, of)[state]:
        machine.handle(event, 0.0)
    assert machine.state is state
    return machine


def describe(effect: Effect) -> str:
    """Return an effect in few words."""
    match effect:
        case Send(message=Notification() as message):
            return f"Send NOTIFICATION {message}"
        case Send(message=message):
            return f"Send {str(message).split(' ', maxsplit=1)[0]}"
        case Close():
            return "Close"
        case SessionUp():
            return "SessionUp"
        case SessionDown() | AttemptFailed():
            return type(effect).__name__
        case _:
            return type(effect).__name__


def cell(state: State, event: Event, side: Side, of: SessionConfig) -> str:
    """Return in a word what an event does in a state."""
    machine = machine_in(state, side, of)
    before = machine.timers.deadlines()
    effects = machine.handle(event, 1.0)
    if machine.state is not state:
        tells = any(isinstance(e, Send) and isinstance(e.message, Notification) for e in effects)
        return f"{machine.state}{' N' * tells}"
    return "=" if effects or machine.timers.deadlines() != before else "."


def overview(side: Side, of: SessionConfig) -> Iterator[str]:
    """Yield a table of all events by all states."""
    states = recipes(side, of)
    yield " " * 40 + "".join(f"{state!s:<13}" for state in states)
    for event in events(side, peer_open(of)):
        cells = "".join(f"{cell(state, event, side, of):<13}" for state in states)
        yield f"{label(event):<40}{cells}"


def label(event: Event) -> str:
    """Return an event's number and name, cut to a column."""
    name = type(event).__name__.replace("WithDampPeerOscillations", "Damped")
    return f"{event.number or '-':>4} {name.replace('TcpEstablishment', '')}"


def rows(state: State, side: Side, of: SessionConfig) -> Iterator[str]:
    """Yield a row for each event in a state."""
    for event in events(side, peer_open(of)):
        machine = machine_in(state, side, of)
        effects = [describe(effect) for effect in machine.handle(event, 1.0)]
        timers = " ".join(timer.removesuffix("Timer") for timer in machine.timers.running)
        does = ", ".join(effects) or "."
        yield f"{label(event):<43} {machine.state!s:<12} {f'[{timers}]':<24} {does}"


def grid() -> str:
    """Return the whole document."""
    parts = [HEAD]
    for title, (side, of) in variants().items():
        parts.append(f"\n== {title} ==\n\n")
        parts.extend(f"{row.rstrip()}\n" for row in overview(side, of))
        for state in recipes(side, of):
            parts.append(f"\nin {state}\n")
            parts.extend(f"{row}\n" for row in rows(state, side, of))
    return "".join(parts)


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    write(grid())


if __name__ == "__main__":
    main()
