"""The machine of one connection; every cell of it stands in docs/fsm-grid.txt."""

from __future__ import annotations

import pytest

from fsm.bgp import BgpFsm
from fsm.capabilities import GracefulRestart
from fsm.config import LARGE_HOLD_TIME
from fsm.effects import (
    AttemptFailed,
    CancelDial,
    Close,
    Dial,
    DownKind,
    DownReason,
    Send,
    SessionDown,
    SessionUp,
)
from fsm.errors import (
    BgpError,
    MessageHeaderError,
    OpenMessageError,
    RouteRefreshError,
    UpdateMessageError,
)
from fsm.events import (
    AutomaticStart,
    AutomaticStartWithDampPeerOscillations,
    AutomaticStop,
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    Event,
    HoldTimerExpires,
    KeepAliveMsg,
    ManualStart,
    ManualStop,
    MessageSent,
    NotifMsg,
    OpenCollisionDump,
    RouteRefreshMsg,
    SendBlocked,
    SendProgress,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    UpdateMsg,
    UpdateMsgErr,
)
from fsm.family import IPV4_UNICAST
from fsm.messages import Keepalive, RouteRefresh
from fsm.notifications import Cease, Notification
from fsm.state import State
from fsm.timers import Timer
from tests.support.duet import config, mirrored
from tests.support.fsm_grid import Variant, machine_in, peer_open

OUT = Side.OUTGOING
DAMPED = AutomaticStartWithDampPeerOscillations()
LATE = (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED)


def machine(state: State, **changes: object) -> BgpFsm:
    return machine_in(state, Variant(OUT, config(**changes)))


def sent(fsm: BgpFsm, event: Event, now: float = 1.0) -> list[object]:
    return [e.message for e in fsm.handle(event, now) if isinstance(e, Send)]


def test_a_new_machine_dials_when_it_is_started() -> None:
    fsm = BgpFsm(config(connect_retry_time=100), OUT)
    assert fsm.handle(ManualStart(), 5.0, chance=0.5) == [Dial()]
    assert fsm.timers.deadlines() == {Timer.CONNECT_RETRY: 5.0 + 87.5}


def test_a_machine_of_the_accepting_side_never_dials() -> None:
    fsm = BgpFsm(config(), Side.INCOMING)
    assert fsm.handle(ManualStart(), 0.0) == []
    assert (fsm.state, fsm.timers.running) == (State.ACTIVE, [])


def test_a_connection_is_greeted_by_an_open_and_four_minutes_of_patience() -> None:
    fsm = machine(State.CONNECT)
    assert fsm.handle(TcpCrAcked(OUT), 1.0) == [Send(OUT, config().open_message())]
    assert fsm.timers.deadlines() == {Timer.HOLD: 1.0 + LARGE_HOLD_TIME}


def test_who_connected_to_us_has_less_time_for_his_open() -> None:
    fsm = BgpFsm(config(accepted_open_hold_time=20), Side.INCOMING)
    fsm.handle(ManualStart(), 0.0)
    fsm.handle(TcpConnectionConfirmed(Side.INCOMING), 1.0)
    assert fsm.timers.deadlines() == {Timer.HOLD: 21.0}
    assert [type(effect) for effect in fsm.expire(21.0)] == [Send, Close, AttemptFailed]


def test_an_acceptable_open_is_answered_by_a_keepalive_and_starts_both_timers() -> None:
    fsm = machine(State.OPEN_SENT, hold_time=30)
    assert sent(fsm, BgpOpen(OUT, peer_open(config()))) == [Keepalive()]
    assert fsm.timers.deadlines() == {Timer.HOLD: 31.0, Timer.KEEPALIVE: 11.0}


def test_open_with_zero_hold_time_starts_neither_timer() -> None:
    """RFC 4271 §4.4, §8.2.2 event 19."""
    fsm = machine(State.OPEN_SENT, hold_time=0)
    assert sent(fsm, BgpOpen(OUT, peer_open(config()))) == [Keepalive()]
    fsm.handle(KeepAliveMsg(OUT), 2.0)
    fsm.handle(UpdateMsg(OUT), 3.0)
    assert (fsm.state, fsm.timers.running) == (State.ESTABLISHED, [])


def test_the_first_keepalive_brings_the_session_up() -> None:
    fsm = machine(State.OPEN_CONFIRM)
    agreed = fsm.negotiated
    assert agreed is not None
    assert fsm.handle(KeepAliveMsg(OUT), 1.0) == [SessionUp(OUT, agreed)]


@pytest.mark.parametrize(
    "event", [KeepAliveMsg(OUT), UpdateMsg(OUT), RouteRefreshMsg(OUT, RouteRefresh(IPV4_UNICAST))]
)
def test_whatever_the_peer_says_restarts_the_hold_timer(event: Event) -> None:
    fsm = machine(State.ESTABLISHED)
    assert fsm.handle(event, 7.0) == []
    assert fsm.timers.deadlines()[Timer.HOLD] == 97.0


def test_keepalives_are_sent_by_their_timer_with_jitter() -> None:
    fsm = machine(State.ESTABLISHED)
    assert fsm.expire(30.0, chance=0.5) == [Send(OUT, Keepalive())]
    assert fsm.timers.deadlines()[Timer.KEEPALIVE] == 30.0 + 0.875 * 30.0


def test_an_expiry_that_ends_the_session_silences_the_timers_due_with_it() -> None:
    fsm = machine(State.ESTABLISHED, keepalive_time=30)
    fsm.timers.start(Timer.KEEPALIVE, 95.0, 0.0)
    effects = fsm.expire(100.0)
    assert [type(effect) for effect in effects] == [Send, Close, SessionDown]


@pytest.mark.parametrize("state", LATE)
def test_a_silent_peer_is_told_that_the_hold_timer_expired(state: State) -> None:
    """RFC 4271 §6.5, §8.2.2 event 10."""
    fsm = machine(state)
    assert sent(fsm, HoldTimerExpires(OUT)) == [Notification(4)]
    assert fsm.state is State.IDLE


@pytest.mark.parametrize("state", [State.OPEN_SENT, State.OPEN_CONFIRM])
def test_a_malformed_refresh_that_is_not_expected_is_told_as_a_refresh(state: State) -> None:
    """RFC 6608 §4: the state counts before the length."""
    fsm = machine(state)
    expected = Notification(5, LATE.index(state) + 1, b"\x05")
    assert sent(fsm, UpdateMsgErr(OUT, RouteRefreshError(1))) == [expected]


@pytest.mark.parametrize("state", LATE)
@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (BgpOpen(OUT, peer_open(config())), 1),
        (UpdateMsg(OUT), 2),
        (KeepAliveMsg(OUT), 4),
        (RouteRefreshMsg(OUT, RouteRefresh(IPV4_UNICAST)), 5),
        (RouteRefreshMsg(OUT, None), 5),
    ],
)
def test_an_unexpected_message_is_answered_with_the_state_and_its_type(
    state: State, event: Event, kind: int
) -> None:
    """RFC 6608 §4."""
    expected = {
        State.OPEN_SENT: {1},
        State.OPEN_CONFIRM: {4},
        State.ESTABLISHED: {2, 4, 5},
    }
    fsm = machine(state)
    subcode = LATE.index(state) + 1
    if kind in expected[state]:
        assert Notification(5, subcode, bytes([kind])) not in sent(fsm, event)
        assert fsm.state is not State.IDLE
    else:
        assert sent(fsm, event) == [Notification(5, subcode, bytes([kind]))]
        assert fsm.state is State.IDLE


@pytest.mark.parametrize("state", LATE)
@pytest.mark.parametrize(
    "error", [MessageHeaderError(2, b"\x00\x12"), MessageHeaderError(3, b"\x09")]
)
def test_a_bad_header_is_answered_by_the_error_it_is(state: State, error: BgpError) -> None:
    """RFC 4271 §6.1."""
    fsm = machine(state)
    assert sent(fsm, BgpHeaderErr(OUT, error)) == [error.notification]


def test_a_bad_open_is_answered_by_the_error_it_is() -> None:
    """RFC 4271 §6.2."""
    error = OpenMessageError(1, b"\x00\x04")
    assert sent(machine(State.OPEN_SENT), BgpOpenMsgErr(OUT, error)) == [
        Notification(2, 1, b"\0\4")
    ]


def test_an_open_that_we_cannot_agree_to_is_answered_by_the_error_it_is() -> None:
    stranger = mirrored(config(), local_asn=65000).open_message()
    fsm = machine(State.OPEN_SENT)
    assert sent(fsm, BgpOpen(OUT, stranger)) == [Notification(2, 2)]
    assert fsm.state is State.IDLE


def test_a_bad_update_is_answered_by_the_error_it_is() -> None:
    """RFC 4271 §6.3."""
    error = UpdateMessageError(3, b"\x01")
    fsm = machine(State.ESTABLISHED)
    assert fsm.handle(UpdateMsgErr(OUT, error), 1.0) == [
        Send(OUT, Notification(3, 3, b"\x01")),
        Close(OUT),
        SessionDown(OUT, DownReason(DownKind.SENT, Notification(3, 3, b"\x01"))),
    ]


@pytest.mark.parametrize("state", LATE)
def test_a_notification_is_never_answered(state: State) -> None:
    """RFC 4271 §6.4."""
    fsm = machine(state)
    assert sent(fsm, NotifMsg(OUT, Notification(6, 2))) == []
    assert fsm.state is State.IDLE


def test_a_peer_that_is_not_ready_is_waited_for_in_active() -> None:
    fsm = machine(State.OPEN_SENT)
    fsm.handle(NotifMsg(OUT, Notification(6, 5)), 1.0)
    assert fsm.state is State.ACTIVE


@pytest.mark.parametrize("state", LATE)
def test_a_manual_stop_says_cease_with_the_operators_words(state: State) -> None:
    """RFC 4486 §4, RFC 9003 §2."""
    stop = ManualStop(Cease.ADMINISTRATIVE_RESET, "moving")
    assert sent(machine(state), stop) == [Notification(6, 4, b"\x06moving")]


def test_an_automatic_stop_says_why() -> None:
    data = bytes.fromhex("0001 01 00000064")  # AFI, SAFI, prefix limit
    assert sent(machine(State.ESTABLISHED), AutomaticStop(1, data)) == [Notification(6, 1, data)]


def test_a_dial_that_fails_is_tried_again_by_the_connect_retry_timer() -> None:
    fsm = machine(State.CONNECT)
    failed = DownReason(DownKind.TCP, text="No route to host")
    assert fsm.handle(TcpConnectionFails(OUT, "No route to host"), 1.0) == [
        AttemptFailed(OUT, failed)
    ]
    assert fsm.state is State.ACTIVE
    assert fsm.expire(121.0) == [Dial()]


def test_a_dial_without_an_answer_is_given_up_and_tried_again() -> None:
    fsm = machine(State.CONNECT)
    silence = DownReason(DownKind.TCP, text="no answer within 120 s")
    assert fsm.expire(120.0) == [CancelDial(), AttemptFailed(OUT, silence), Dial()]


def test_a_delayed_open_waits_for_its_timer() -> None:
    """RFC 4271 §8.1.1 (DelayOpen)."""
    fsm = BgpFsm(config(delay_open_time=5), OUT)
    fsm.handle(ManualStart(), 0.0)
    assert fsm.handle(TcpCrAcked(OUT), 1.0) == []
    assert fsm.timers.deadlines() == {Timer.DELAY_OPEN: 6.0}
    assert fsm.expire(6.0) == [Send(OUT, fsm.open_message)]


def test_an_open_that_comes_during_the_delay_is_answered_by_open_and_keepalive() -> None:
    """RFC 4271 §8.2.2 event 20."""
    fsm = BgpFsm(config(delay_open_time=5), OUT)
    fsm.handle(ManualStart(), 0.0)
    fsm.handle(TcpCrAcked(OUT), 1.0)
    assert sent(fsm, BgpOpen(OUT, peer_open(config()))) == [fsm.open_message, Keepalive()]
    assert fsm.state is State.OPEN_CONFIRM


def test_failures_are_counted_until_somebody_starts_or_stops() -> None:
    """RFC 4271 §8.1.1 (ConnectRetryCounter)."""
    fsm = machine(State.ESTABLISHED)
    fsm.handle(TcpConnectionFails(OUT), 1.0)
    assert fsm.connect_retry_counter == 1
    fsm.handle(ManualStart(), 2.0)
    assert fsm.connect_retry_counter == 0


@pytest.mark.parametrize(("event", "count"), [(AutomaticStart(), 0), (DAMPED, 1)])
def test_a_damped_start_forgets_no_failure(event: Event, count: int) -> None:
    """RFC 4271 §8.2.2: events 1 and 3-5 set the ConnectRetryCounter to zero."""
    fsm = machine(State.ESTABLISHED)
    fsm.handle(TcpConnectionFails(OUT), 1.0)
    fsm.handle(event, 2.0)
    assert fsm.connect_retry_counter == count


@pytest.mark.parametrize("state", LATE)
def test_a_version_that_is_not_spoken_there_is_a_failure_only_of_a_session(state: State) -> None:
    """RFC 4271 §8.2.2 event 24."""
    fsm = machine(state)
    fsm.handle(NotifMsg(OUT, Notification(2, 1, b"\x00\x03")), 1.0)
    assert fsm.connect_retry_counter == (state is State.ESTABLISHED)


@pytest.mark.parametrize(("word", "counted"), [(Notification(2, 1), 0), (Notification(6, 2), 1)])
def test_in_the_delay_too_a_version_error_is_no_failure(word: Notification, counted: int) -> None:
    """RFC 4271 §8.2.2 event 24."""
    fsm = machine(State.CONNECT, delay_open_time=5)
    fsm.handle(NotifMsg(OUT, word), 1.0)
    assert (fsm.state, fsm.connect_retry_counter) == (State.IDLE, counted)


@pytest.mark.parametrize("notify", [True, False])
def test_without_an_open_of_ours_a_notification_is_sent_only_if_configured(notify: bool) -> None:
    """RFC 4271 §8.1.1 (SendNOTIFICATIONwithoutOPEN)."""
    fsm = machine(State.CONNECT, delay_open_time=5, notify_without_open=notify)
    expected = [Notification(1, 1)] if notify else []
    assert sent(fsm, BgpHeaderErr(OUT, MessageHeaderError(1))) == expected
    assert fsm.state is State.IDLE


def test_a_connection_without_an_open_is_given_up_after_the_configured_time() -> None:
    fsm = machine(State.OPEN_SENT, open_hold_time=7)
    assert [type(effect) for effect in fsm.expire(7.0)] == [Send, Close, AttemptFailed]


def test_without_hold_time_the_wait_for_the_first_keepalive_is_bounded_too() -> None:
    fsm = machine(State.OPEN_CONFIRM, hold_time=0, open_hold_time=7)
    assert fsm.timers.deadlines() == {Timer.HOLD: 7.0}
    fsm.handle(KeepAliveMsg(OUT), 1.0)
    assert fsm.timers.deadlines() == {}


def test_a_peer_that_does_not_read_is_told_so_and_left() -> None:
    """RFC 9687 §4: the timer expires although the peer is heard."""
    fsm = machine(State.ESTABLISHED, send_hold_time=20)
    assert fsm.handle(SendBlocked(OUT), 5.0) == []
    fsm.handle(SendBlocked(OUT), 15.0)  # said again: it is blocked since 5.0
    told = DownReason(DownKind.SENT, Notification(8), "the peer does not read")
    assert fsm.expire(25.0) == [Send(OUT, Notification(8)), Close(OUT), SessionDown(OUT, told)]


@pytest.mark.parametrize(("is_drained", "deadline"), [(True, None), (False, 38.0)])
def test_a_peer_that_reads_again_has_time_again(is_drained: bool, deadline: float | None) -> None:
    """RFC 9687 §4."""
    fsm = machine(State.ESTABLISHED, send_hold_time=20)
    fsm.handle(SendBlocked(OUT), 10.0)
    fsm.handle(SendProgress(OUT, is_drained=is_drained), 18.0)
    assert fsm.timers.deadlines().get(Timer.SEND_HOLD) == deadline


def test_without_a_send_hold_time_a_peer_may_read_when_it_likes() -> None:
    fsm = machine(State.ESTABLISHED, send_hold_time=0)
    fsm.handle(SendBlocked(OUT), 10.0)
    fsm.handle(SendProgress(OUT, is_drained=False), 11.0)
    assert Timer.SEND_HOLD not in fsm.timers.running


def test_an_update_of_ours_spares_a_keepalive() -> None:
    """RFC 4271 §8.2.2: the KeepaliveTimer restarts with each KEEPALIVE or UPDATE sent."""
    fsm = machine(State.ESTABLISHED)
    fsm.handle(MessageSent(OUT), 7.0)
    assert fsm.timers.deadlines()[Timer.KEEPALIVE] == 37.0
    silent = machine(State.ESTABLISHED, hold_time=0)
    silent.handle(MessageSent(OUT), 7.0)
    assert silent.timers.running == []


@pytest.mark.parametrize(
    "stop", [ManualStop(message="bye", hard=True), AutomaticStop(2, b"\3bye", hard=True)]
)
@pytest.mark.parametrize("agreed", [True, False])
def test_a_hard_stop_is_a_hard_reset_for_a_peer_that_restarts_gracefully(
    stop: Event, agreed: bool
) -> None:
    """RFC 8538 §3."""
    graceful = GracefulRestart(False, True, 120, ())
    of = config(graceful_restart=graceful)
    fsm = BgpFsm(of, OUT)
    received = mirrored(of, graceful_restart=graceful if agreed else None).open_message()
    for event in (ManualStart(), TcpCrAcked(OUT), BgpOpen(OUT, received), KeepAliveMsg(OUT)):
        fsm.handle(event, 0.0)
    plain = Notification(6, 2, b"\x03bye")
    wrapped = Notification(6, 9, b"\x06\x02\x03bye")
    assert sent(fsm, stop) == [wrapped if agreed else plain]


def test_a_machine_can_be_printed_whole() -> None:
    text = "BgpFsm(outgoing, Connect, Timers(ConnectRetryTimer=120))"
    assert repr(machine(State.CONNECT)) == text


@pytest.mark.parametrize("event", [AutomaticStop(), OpenCollisionDump(OUT)])
@pytest.mark.parametrize("state", [State.CONNECT, State.ACTIVE])
def test_before_the_open_an_automatic_stop_and_a_collision_are_counted_too(
    state: State, event: Event
) -> None:
    """RFC 4271 §8.2.2: events 8 and 23 are among "any other", which are counted."""
    fsm = machine(state)
    before = fsm.connect_retry_counter
    assert not any(isinstance(effect, AttemptFailed) for effect in fsm.handle(event, 1.0))
    assert fsm.connect_retry_counter == before + 1
