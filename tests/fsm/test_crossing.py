"""Both ends dial, and one of them takes a second connection for a restart of the other."""

from __future__ import annotations

import pytest

from fsm.capabilities import GracefulRestart
from fsm.crossing import PATIENCE
from fsm.effects import CancelDial, Effect, Send
from fsm.events import (
    BgpOpen,
    Event,
    KeepAliveMsg,
    ManualStart,
    ManualStop,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    Tick,
)
from fsm.family import IPV4_UNICAST
from fsm.messages import Keepalive, Open
from fsm.notifications import Notification
from fsm.session import Session
from fsm.state import State
from tests.support.duet import config, mirrored

OUT, IN = Side.OUTGOING, Side.INCOMING
RESTARTS = GracefulRestart(True, True, 120, ((IPV4_UNICAST, True),))
OURS = 0x0A000005
GREATER, LESS = 0x0A000009, 0x0A000001
COLLISION = Notification(6, 7)


def crossing(*events: Event, theirs: int = GREATER) -> tuple[Session, Open]:
    """Give a session whose dial is under way when the peer's connection comes, and its OPEN."""
    ours = config(router_id=OURS, graceful_restart=RESTARTS)
    one = Session(ours)
    for event in (ManualStart(), TcpConnectionConfirmed(IN), *events):
        one.handle(event, 0.0)
    theirs_too = mirrored(ours, router_id=theirs, graceful_restart=RESTARTS)
    return one, theirs_too.open_message()


def said(effects: list[Effect]) -> list[tuple[Side, object]]:
    return [(each.side, each.message) for each in effects if isinstance(each, Send)]


@pytest.mark.parametrize("before", [(), (TcpCrAcked(OUT),)])
def test_the_peers_connection_is_not_answered_while_ours_is_under_way(
    before: tuple[Event, ...],
) -> None:
    """RFC 4724 §4.2: Established by it, the peer would take ours for another restart."""
    one, received = crossing(*before)
    assert one.handle(BgpOpen(IN, received), 1.0) == []
    assert one.deadline == 1.0 + PATIENCE


@pytest.mark.parametrize("before", [(), (TcpCrAcked(OUT),)])
def test_it_is_answered_when_ours_has_failed(before: tuple[Event, ...]) -> None:
    one, received = crossing(*before)
    one.handle(BgpOpen(IN, received), 1.0)
    assert said(one.handle(TcpConnectionFails(OUT, "refused"), 1.1)) == [(IN, Keepalive())]
    one.handle(KeepAliveMsg(IN), 1.2)
    assert one.state is State.ESTABLISHED


def test_it_is_answered_when_it_has_waited_long_enough() -> None:
    one, received = crossing()
    one.handle(BgpOpen(IN, received), 1.0)
    assert one.handle(Tick(), 1.0 + PATIENCE / 2) == []
    effects = one.handle(Tick(), 1.0 + PATIENCE)
    assert said(effects) == [(IN, Keepalive())]
    assert CancelDial() in effects
    assert one.handle(Tick(), 1.1 + PATIENCE) == []


@pytest.mark.parametrize(("theirs", "kept"), [(GREATER, IN), (LESS, OUT)])
def test_the_open_on_ours_decides_between_them(theirs: int, kept: Side) -> None:
    """RFC 4271 §6.8; the loser hears no KEEPALIVE."""
    one, received = crossing(TcpCrAcked(OUT), theirs=theirs)
    one.handle(BgpOpen(IN, received), 1.0)
    heard = said(one.handle(BgpOpen(OUT, received), 1.1))
    assert sorted(heard, key=str) == sorted([(kept, Keepalive()), (kept.other, COLLISION)], key=str)
    one.handle(KeepAliveMsg(kept), 1.2)
    assert one.state is State.ESTABLISHED


@pytest.mark.parametrize("end", [Tick(), TcpConnectionFails(OUT, "refused")])
def test_the_keepalive_behind_it_waits_too(end: Event) -> None:
    one, received = crossing(TcpCrAcked(OUT))
    one.handle(BgpOpen(IN, received), 1.0)
    assert one.handle(KeepAliveMsg(IN), 1.1) == []
    assert said(one.handle(end, 1.0 + PATIENCE))[0] == (IN, Keepalive())
    assert one.state is State.ESTABLISHED


def test_a_connection_that_is_lost_while_it_waits_leaves_the_other() -> None:
    one, received = crossing(TcpCrAcked(OUT))
    one.handle(BgpOpen(IN, received), 1.0)
    one.handle(TcpConnectionFails(IN, "gone"), 1.1)
    assert said(one.handle(BgpOpen(OUT, received), 1.2)) == [(OUT, Keepalive())]
    assert one.handle(Tick(), 1.0 + PATIENCE) == []


def test_a_stop_while_it_waits_ends_both() -> None:
    one, received = crossing(TcpCrAcked(OUT))
    one.handle(BgpOpen(IN, received), 1.0)
    assert {side for side, _ in said(one.handle(ManualStop(), 1.1))} == {IN, OUT}
    assert (one.state, one.deadline) == (State.IDLE, None)


def test_a_bad_open_on_ours_leaves_the_one_that_waits() -> None:
    one, received = crossing(TcpCrAcked(OUT), theirs=LESS)
    one.handle(BgpOpen(IN, received), 1.0)
    heard = said(one.handle(BgpOpen(OUT, Open(65000, 90, LESS)), 1.1))
    assert (OUT, Notification(2, 2)) in heard
    assert (IN, Keepalive()) in heard


def test_a_peer_that_does_not_restart_gracefully_is_answered_at_once() -> None:
    one, _ = crossing(TcpCrAcked(OUT))
    bare = mirrored(config(router_id=OURS), router_id=GREATER).open_message()
    assert said(one.handle(BgpOpen(IN, bare), 1.0)) == [(IN, Keepalive())]
