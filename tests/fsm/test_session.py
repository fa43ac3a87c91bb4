"""One peer, two machines."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from fsm.capabilities import GracefulRestart
from fsm.effects import CancelDial, Close, Dial, Send, SessionUp, StateChanged
from fsm.events import (
    AutomaticStart,
    AutomaticStartWithDampPeerOscillations,
    AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment,
    AutomaticStartWithPassiveTcpEstablishment,
    AutomaticStop,
    BgpOpen,
    Event,
    IdleHoldTimerExpires,
    KeepAliveMsg,
    ManualStart,
    ManualStartWithPassiveTcpEstablishment,
    ManualStop,
    NotifMsg,
    RouteRefreshMsg,
    SendBlocked,
    SendProgress,
    Side,
    StartEvent,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpConnectionValid,
    TcpCrAcked,
    TcpCrInvalid,
    Tick,
    UpdateMsg,
)
from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from fsm.history import HISTORY_LENGTH
from fsm.messages import Keepalive, Open, RouteRefresh
from fsm.notifications import Notification
from fsm.session import Session
from fsm.state import State
from fsm.timers import Timer
from tests.support.duet import config, mirrored

OUT, IN = Side.OUTGOING, Side.INCOMING
COLLISION = Notification(6, 7)
PEER = mirrored(config()).open_message()
UP: tuple[Event, ...] = (ManualStart(), TcpCrAcked(OUT), BgpOpen(OUT, PEER), KeepAliveMsg(OUT))


def session(*events: Event, **changes: object) -> Session:
    one = Session(config(**changes))
    for event in events:
        one.handle(event, 0.0)
    return one


def sent(one: Session, event: Event) -> list[tuple[Side, object]]:
    return [(e.side, e.message) for e in one.handle(event, 1.0) if isinstance(e, Send)]


def opens_cross(ours: int, theirs: int, **changes: object) -> tuple[Session, Open]:
    """Return a session with an OPEN on its own connection, and the OPEN about to come in."""
    of = config(router_id=ours, **changes)
    received = mirrored(of, router_id=theirs).open_message()
    one = Session(of)
    for event in (
        ManualStart(),
        TcpCrAcked(OUT),
        TcpConnectionConfirmed(IN),
        BgpOpen(OUT, received),
    ):
        one.handle(event, 0.0)
    return one, received


def test_a_start_dials_and_listens() -> None:
    one = Session(config())
    assert one.handle(ManualStart(), 0.0) == [Dial(), StateChanged(State.IDLE, State.CONNECT)]
    assert one.would_accept()
    assert one.deadline == 120.0


def test_a_passive_session_only_listens() -> None:
    one = Session(config(passive=True))
    assert one.handle(ManualStart(), 0.0) == [StateChanged(State.IDLE, State.ACTIVE)]
    assert one.would_accept()
    assert one.deadline is None


def test_a_session_that_is_not_started_accepts_nobody() -> None:
    one = Session(config())
    assert not one.would_accept()
    assert one.refusal == Notification(6, 5)
    assert one.handle(TcpConnectionConfirmed(IN), 0.0) == [Close(IN)]


def test_an_established_session_refuses_a_second_connection() -> None:
    """RFC 4271 §6.8 (CollisionDetectEstablishedState is false)."""
    one = session(*UP)
    assert (one.state, one.would_accept(), one.refusal) == (State.ESTABLISHED, False, COLLISION)


def test_a_second_incoming_connection_is_refused_and_leaves_the_first_alone() -> None:
    one = session(ManualStart(), TcpConnectionConfirmed(IN))
    assert not one.would_accept()
    assert one.handle(TcpConnectionConfirmed(IN), 1.0) == []
    assert one.state is State.OPEN_SENT


@pytest.mark.parametrize(
    ("ours", "theirs", "loser"), [(0x0A000009, 0x0A000001, IN), (0x0A000001, 0x0A000009, OUT)]
)
def test_the_connection_dialled_by_the_greater_identifier_is_kept(
    ours: int, theirs: int, loser: Side
) -> None:
    """RFC 4271 §6.8."""
    one, received = opens_cross(ours, theirs)
    said = sent(one, BgpOpen(IN, received))
    assert (loser, COLLISION) in said
    assert ((IN, Keepalive()) in said) == (loser is OUT)  # the loser hears no KEEPALIVE
    assert one.state is State.OPEN_CONFIRM
    up = one.handle(KeepAliveMsg(loser.other), 2.0)[0]
    assert isinstance(up, SessionUp)
    assert up.side is loser.other


@pytest.mark.parametrize(("ours", "theirs", "loser"), [(64513, 64512, IN), (64512, 64513, OUT)])
def test_equal_identifiers_are_told_apart_by_their_as(ours: int, theirs: int, loser: Side) -> None:
    """RFC 6286 §2.3."""
    one, received = opens_cross(7, 7, local_asn=ours, peer_asn=theirs)
    assert (loser, COLLISION) in sent(one, BgpOpen(IN, received))


def test_a_bad_open_on_the_second_connection_does_not_hurt_the_first() -> None:
    one, _ = opens_cross(0x0A000001, 0x0A000009)
    stranger = Open(65000, 90, 0x0A000009)
    assert sent(one, BgpOpen(IN, stranger)) == [(IN, Notification(2, 2))]
    assert one.state is State.OPEN_CONFIRM


def test_an_incoming_connection_with_its_open_ends_the_dialling() -> None:
    one = session(ManualStart(), TcpConnectionConfirmed(IN))
    assert CancelDial() in one.handle(BgpOpen(IN, PEER), 1.0)
    assert one.handle(TcpCrAcked(OUT), 1.1) == [Close(OUT)]


def test_coming_up_closes_the_other_connection() -> None:
    one = session(ManualStart(), TcpConnectionConfirmed(IN), TcpCrAcked(OUT), BgpOpen(OUT, PEER))
    assert sent(one, KeepAliveMsg(OUT)) == [(IN, COLLISION)]
    assert one.established_since == 1.0


def test_a_late_word_of_a_closed_connection_is_ignored() -> None:
    one = session(ManualStart())
    for late in (KeepAliveMsg(IN), KeepAliveMsg(OUT), TcpConnectionFails(IN)):
        assert one.handle(late, 1.0) == []
    assert one.state is State.CONNECT


def test_a_failure_holds_the_whole_session() -> None:
    """RFC 4271 §8.1.1 (DampPeerOscillations, IdleHoldTimer)."""
    one = session(*UP, idle_hold=(5, 60))
    one.handle(TcpConnectionFails(OUT, "reset"), 0.0)
    assert (one.state, one.is_holding, one.would_accept()) == (State.IDLE, True, False)
    assert one.timers == {(None, Timer.IDLE_HOLD): 5.0}
    assert Dial() in one.handle(Tick(), 5.0)
    assert one.would_accept()


def waits(lifetime: float, count: int, **changes: object) -> list[float]:
    """Return the back-offs of a session that falls again and again after a while."""
    one, now, found = Session(config(idle_hold=(5, 30), **changes)), 0.0, []
    one.handle(ManualStart(), now)
    for _ in range(count):
        for event in UP[1:]:
            one.handle(event, now)
        now += lifetime
        one.handle(TcpConnectionFails(OUT), now)
        assert one.deadline is not None
        found.append(one.deadline - now)
        now = one.deadline
        one.handle(Tick(), now)
    return found


def test_the_back_off_doubles_up_to_its_bound() -> None:
    assert waits(lifetime=0.0, count=5) == [5, 10, 20, 30, 30]


def test_the_back_off_starts_afresh_after_a_session_that_lived() -> None:
    assert waits(lifetime=1000.0, count=3) == [5, 5, 5]


def test_the_back_off_is_jittered_so_that_two_ends_do_not_rise_together() -> None:
    one = session(*UP, idle_hold=(8, 60))
    one.handle(TcpConnectionFails(OUT), 0.0, chance=0.5)
    assert one.deadline == 7.0


def test_a_manual_start_does_not_wait_for_the_back_off() -> None:
    one = session(*UP, TcpConnectionFails(OUT))
    assert Dial() in one.handle(ManualStart(), 1.0)
    assert not one.is_holding


def test_a_second_start_changes_nothing() -> None:
    one = session(*UP)
    assert one.handle(ManualStart(), 1.0) == []


def test_a_manual_stop_is_final_and_an_automatic_one_is_not() -> None:
    stopped = session(*UP, ManualStop())
    assert (stopped.state, stopped.deadline) == (State.IDLE, None)
    paused = session(*UP, AutomaticStop())
    assert (paused.state, paused.is_holding) == (State.IDLE, True)


def test_a_stop_gives_up_the_dial_in_flight() -> None:
    one = session(ManualStart())
    assert one.handle(ManualStop(), 1.0) == [
        CancelDial(),
        StateChanged(State.CONNECT, State.IDLE),
    ]


@pytest.mark.parametrize(
    "event",
    [
        AutomaticStart(),
        AutomaticStartWithPassiveTcpEstablishment(),
        AutomaticStartWithDampPeerOscillations(),
        AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment(),
    ],
)
def test_automatic_starts_can_be_forbidden(event: StartEvent) -> None:
    """RFC 4271 §8.1.1 (AllowAutomaticStart)."""
    assert session(event).is_started
    one = session(event, allow_automatic_start=False)
    assert (one.is_started, one.state, one.deadline) == (False, State.IDLE, None)


def test_without_automatic_starts_a_session_that_fell_stays_down() -> None:
    """RFC 4271 §8.1.1 (AllowAutomaticStart)."""
    one = session(*UP, TcpConnectionFails(OUT), allow_automatic_start=False)
    assert (one.state, one.deadline, one.would_accept()) == (State.IDLE, None, False)
    assert Dial() in one.handle(ManualStart(), 1.0)


def test_automatic_stops_can_be_forbidden() -> None:
    """RFC 4271 §8.1.1 (AllowAutomaticStop)."""
    assert session(*UP, AutomaticStop(), allow_automatic_stop=False).state is State.ESTABLISHED


def test_a_stop_may_say_when_to_start_again() -> None:
    one = session(*UP, AutomaticStop(1, restart_after=600))
    assert one.timers == {(None, Timer.IDLE_HOLD): 600.0}
    assert Dial() in one.handle(Tick(), 600.0)


def test_a_stop_may_be_for_good() -> None:
    one = session(*UP, AutomaticStop(1, restart_after=inf))
    assert (one.is_started, one.state, one.deadline) == (False, State.IDLE, None)


def test_a_stop_during_the_back_off_may_move_its_end() -> None:
    one = session(*UP, TcpConnectionFails(OUT), AutomaticStop(1, restart_after=600))
    assert one.timers == {(None, Timer.IDLE_HOLD): 600.0}


@pytest.mark.parametrize(
    "event",
    [ManualStartWithPassiveTcpEstablishment(), AutomaticStartWithPassiveTcpEstablishment()],
)
def test_a_passive_start_listens_first_and_does_so_again(event: StartEvent) -> None:
    """RFC 4271 §8.1.2 events 4 and 5."""
    one = session(event, connect_retry_time=30)
    assert (one.state, one.would_accept(), one.deadline) == (State.ACTIVE, True, 30.0)
    one.handle(TcpConnectionConfirmed(IN), 1.0)
    one.handle(NotifMsg(IN, Notification(6, 2)), 2.0)
    assert one.is_holding
    assert Dial() not in one.handle(Tick(), 7.0)
    assert (one.state, one.would_accept(), one.deadline) == (State.ACTIVE, True, 37.0)
    assert Dial() in one.handle(Tick(), 37.0)


def test_a_damped_start_waits_for_the_end_of_the_back_off() -> None:
    """RFC 4271 §8.1.2 events 6 and 7."""
    one = session(*UP, TcpConnectionFails(OUT))
    assert one.handle(AutomaticStartWithDampPeerOscillations(), 1.0) == []
    assert Dial() in one.handle(AutomaticStart(), 1.0)


def test_without_damping_the_back_off_does_not_grow() -> None:
    """RFC 4271 §8.1.1 (DampPeerOscillations)."""
    assert waits(lifetime=0.0, count=3, damp_peer_oscillations=False) == [5, 5, 5]


@pytest.mark.parametrize("event", [TcpConnectionValid(IN), TcpCrInvalid(IN)])
def test_word_of_a_connection_request_is_kept_and_changes_nothing(event: Event) -> None:
    """RFC 4271 §8.1.4 events 14 and 15."""
    one = session(ManualStart())
    assert one.handle(event, 1.0) == []
    assert one.history[-1].event == event


def test_word_of_progress_takes_no_place_in_the_history() -> None:
    one = session(*UP)
    for event in (SendBlocked(OUT), SendProgress(OUT)):
        assert one.handle(event, 1.0) == []
    assert [entry.event for entry in one.history] == [*UP]


def test_the_end_of_a_back_off_is_not_for_others_to_say() -> None:
    assert session().handle(IdleHoldTimerExpires(), 1.0) == []


def test_a_peer_that_cannot_bear_capabilities_gets_an_open_without() -> None:
    """RFC 5492 §3."""
    one = session(ManualStart(), TcpCrAcked(OUT), NotifMsg(OUT, Notification(2, 4)))
    one.handle(Tick(), 5.0)
    plain = Open(64512, 90, 0x0A000001)
    assert sent(one, TcpCrAcked(OUT)) == [(OUT, plain)]
    for event in (BgpOpen(OUT, PEER), KeepAliveMsg(OUT), TcpConnectionFails(OUT), ManualStart()):
        one.handle(event, 6.0)
    assert sent(one, TcpCrAcked(OUT)) == [(OUT, config().open_message())]


def test_another_complaint_about_the_bare_open_brings_the_capabilities_back() -> None:
    one = session(ManualStart(), TcpCrAcked(OUT), NotifMsg(OUT, Notification(2, 4)))
    one.handle(Tick(), 5.0)
    for event in (TcpCrAcked(OUT), NotifMsg(OUT, Notification(2, 7))):
        one.handle(event, 6.0)
    one.handle(Tick(), 60.0)
    assert sent(one, TcpCrAcked(OUT)) == [(OUT, config().open_message())]


def test_capabilities_are_offered_again_where_nothing_works_without() -> None:
    refused = NotifMsg(OUT, Notification(2, 4))
    one = session(ManualStart(), TcpCrAcked(OUT), refused, families=(IPV6_UNICAST,))
    one.handle(Tick(), 5.0)
    assert sent(one, TcpCrAcked(OUT)) == [(OUT, one.config.open_message())]


def test_the_reason_of_the_last_fall_is_kept_in_words() -> None:
    one = session(*UP, TcpConnectionFails(OUT, "Connection reset by peer"))
    assert str(one.last_down) == "the connection failed: Connection reset by peer"
    assert (one.negotiated, one.established_since) == (None, None)


def test_a_collision_is_not_a_reason() -> None:
    one, received = opens_cross(0x0A000001, 0x0A000009)
    one.handle(BgpOpen(IN, received), 1.0)
    assert one.last_down is None


def test_a_run_of_updates_takes_one_place_in_the_history() -> None:
    one = session(*UP)
    for now in range(10):
        one.handle(UpdateMsg(OUT), float(now))
        one.handle(Tick(), float(now))
    assert [entry.event for entry in one.history] == [*UP, UpdateMsg(OUT)]
    assert one.history[-1].now == 9.0


def test_days_of_a_session_leave_room_for_how_it_came_up() -> None:
    one = session(*UP)
    refresh = RouteRefreshMsg(OUT, RouteRefresh(IPV4_UNICAST))
    daily = (UpdateMsg(OUT), Tick(), KeepAliveMsg(OUT), refresh)
    for now in range(30, 30 * HISTORY_LENGTH, 30):
        for event in daily:
            one.handle(event, float(now))
    assert [entry.event for entry in one.history] == [*UP, *daily]
    assert {entry.now for entry in list(one.history)[len(UP) :]} == {30.0 * (HISTORY_LENGTH - 1)}


def test_what_is_routine_stands_apart_from_what_was_before_other_news() -> None:
    one = session(*UP)
    for event in (UpdateMsg(OUT), ManualStart(), UpdateMsg(OUT), KeepAliveMsg(OUT), UpdateMsg(OUT)):
        one.handle(event, 1.0)
    last = (UpdateMsg(OUT), ManualStart(), KeepAliveMsg(OUT), UpdateMsg(OUT))
    assert [entry.event for entry in one.history] == [*UP, *last]


def test_the_history_is_bounded() -> None:
    one = session()
    for _ in range(HISTORY_LENGTH):
        one.handle(ManualStart(), 0.0)
        one.handle(ManualStop(), 0.0)
    assert len(one.history) == HISTORY_LENGTH


def test_a_session_can_be_printed_whole() -> None:
    assert repr(session(ManualStart())) == (
        "Session(Connect, BgpFsm(outgoing, Connect, Timers(ConnectRetryTimer=120)), "
        "BgpFsm(incoming, Active, Timers()), Timers())"
    )


GRACEFUL = GracefulRestart(False, False, 120, ((IPV4_UNICAST, True),))


def restartable(peer_restarts: bool = True) -> Session:
    """Return an Established session, on our own connection, of which both ends may restart."""
    of = config(graceful_restart=GRACEFUL)
    theirs = mirrored(of, graceful_restart=GRACEFUL if peer_restarts else None).open_message()
    one = Session(of)
    for event in (ManualStart(), TcpCrAcked(OUT), BgpOpen(OUT, theirs), KeepAliveMsg(OUT)):
        one.handle(event, 0.0)
    assert one.state is State.ESTABLISHED
    return one


@pytest.mark.parametrize(("peer_restarts", "way"), [(True, OUT), (False, None)])
def test_a_session_gives_way_to_a_peer_that_has_restarted(
    peer_restarts: bool, way: Side | None
) -> None:
    """RFC 4724 §4.2."""
    assert restartable(peer_restarts).gives_way(100.0) is way


def test_a_session_that_has_only_just_come_up_gives_way_to_nobody() -> None:
    one = restartable()
    assert (one.gives_way(4.9), one.gives_way(5.0)) == (None, OUT)


def test_a_peer_that_restarts_gracefully_finds_us_at_once() -> None:
    one = restartable()
    effects = one.handle(TcpConnectionFails(OUT, "reset"), 100.0)
    assert Dial() in effects
    assert one.would_accept()
    assert not one.is_holding


@pytest.mark.parametrize(("peer_restarts", "lived"), [(True, 4.9), (False, 100.0)])
def test_any_other_loss_has_a_back_off(peer_restarts: bool, lived: float) -> None:
    one = restartable(peer_restarts)
    one.handle(TcpConnectionFails(OUT, "reset"), lived)
    assert one.is_holding


def test_a_graceful_peer_is_not_dialled_where_starts_are_not_allowed() -> None:
    one = restartable()
    one.config = replace(one.config, allow_automatic_start=False)
    one.handle(TcpConnectionFails(OUT, "reset"), 100.0)
    assert one.state is State.IDLE
