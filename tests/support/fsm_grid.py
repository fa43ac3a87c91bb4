"""The grid of the BGP machine: every event in every state, as text.

`python -m tests.support.fsm_grid > docs/fsm-grid.txt` writes the document anew; the test of the
same name compares. A machine is brought into the state by events, never by setting it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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

There is a part for each kind of machine; one that accepts is never in Connect. It begins with an
overview, events by states:

    .          nothing happens
    =          the state stays, and something is done
    Active     the state that follows
    Idle N     so too, after a NOTIFICATION to the peer

Below, for each state, a row says the state after the event, the timers that run then, and the
effects in their order.
"""

Recipe = tuple[Event, ...]


class Variant(NamedTuple):
    """A kind of machine.

    Attributes:
        side: which connection.
        config: of the session.
        is_early: where the OPEN is delayed, Connect and Active are looked at before there is a
            connection.
    """

    side: Side
    config: SessionConfig
    is_early: bool = False


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


def recipes(variant: Variant) -> dict[State, Recipe]:
    """Return, for each state, events that lead there from a new machine."""
    side, of, is_early = variant
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
    if of.delay_open_time and not is_early:  # the connection is there, the OPEN is held back
        ways[State.CONNECT] = connected
        ways[State.ACTIVE] = (*active, TcpConnectionConfirmed(side))
    if side is Side.INCOMING:
        del ways[State.CONNECT]
    return ways


def variants() -> dict[str, Variant]:
    """Return the machines to walk, by the title of their part: every kind, dialled and passive."""
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "delayed OPEN, before there is a connection": {"delay_open_time": 5.0},
        "delayed OPEN, with a connection that waits": {"delay_open_time": 5.0},
        "hold time 0, so no HoldTimer and no KEEPALIVEs": {"hold_time": 0},
        "delayed OPEN and hold time 0, with a connection that waits": {
            "delay_open_time": 5.0,
            "hold_time": 0,
        },
    }
    sides = {
        "the connection that we dial": Side.OUTGOING,
        "passive, the connection that we accept": Side.INCOMING,
    }
    return {
        f"{kind}; {where}": Variant(side, config(**fields), kind.endswith("there is a connection"))
        for where, side in sides.items()
        for kind, fields in kinds.items()
    }


def machine_in(state: State, variant: Variant) -> BgpFsm:
    """Return a machine that was led to a state."""
    machine = BgpFsm(variant.config, variant.side)
    for event in recipes(variant)[state]:
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


def cell(state: State, event: Event, variant: Variant) -> str:
    """Return in a word what an event does in a state."""
    machine = machine_in(state, variant)
    before = machine.timers.deadlines()
    effects = machine.handle(event, 1.0)
    if machine.state is not state:
        tells = any(isinstance(e, Send) and isinstance(e.message, Notification) for e in effects)
        return f"{machine.state}{' N' * tells}"
    return "=" if effects or machine.timers.deadlines() != before else "."


def overview(variant: Variant) -> Iterator[str]:
    """Yield a table of all events by all states."""
    states = recipes(variant)
    yield " " * 40 + "".join(f"{state!s:<13}" for state in states)
    for event in events(variant.side, peer_open(variant.config)):
        cells = "".join(f"{cell(state, event, variant):<13}" for state in states)
        yield f"{label(event):<40}{cells}"


def label(event: Event) -> str:
    """Return an event's number and name, cut to a column."""
    name = type(event).__name__.replace("WithDampPeerOscillations", "Damped")
    return f"{event.number or '-':>4} {name.replace('TcpEstablishment', '')}"


def rows(state: State, variant: Variant) -> Iterator[str]:
    """Yield a row for each event in a state."""
    for event in events(variant.side, peer_open(variant.config)):
        machine = machine_in(state, variant)
        effects = [describe(effect) for effect in machine.handle(event, 1.0)]
        timers = " ".join(timer.removesuffix("Timer") for timer in machine.timers.running)
        does = ", ".join(effects) or "."
        yield f"{label(event):<43} {machine.state!s:<12} {f'[{timers}]':<24} {does}"


def grid() -> str:
    """Return the whole document."""
    parts = [HEAD]
    for title, variant in variants().items():
        parts.append(f"\n== {title} ==\n\n")
        parts.extend(f"{row.rstrip()}\n" for row in overview(variant))
        for state in recipes(variant):
            parts.append(f"\nin {state}\n")
            parts.extend(f"{row}\n" for row in rows(state, variant))
    return "".join(parts)


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    write(grid())


if __name__ == "__main__":
    main()
