"""The session, paragraph by paragraph of RFC 5880 §6.8, on virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from fsm.bfd.authentication import Authentication, AuthType
from fsm.bfd.packet import BfdState, ControlPacket, Diagnostic, Discard, decode, encode
from fsm.bfd.session import BfdSession, Effect, Moved, Send
from fsm.bfd.settings import Settings
from fsm.errors import LocalError
from tests.support.bfd_cable import Cable

FAST = Settings(desired_min_tx_us=100_000, required_min_rx_us=50_000, detect_mult=3)
UP_BOTH = (BfdState.UP, BfdState.UP)


def cable(left: Settings = FAST, right: Settings = FAST) -> Cable:
    made = Cable(left, right)
    made.run(5)
    assert made.states == UP_BOTH
    return made


def alone(state: BfdState, settings: Settings = FAST, **told: int | bool) -> BfdSession:
    """Make a session that has come to a state, of discriminator 7; the peer's is 9."""
    session = BfdSession(settings, 7)
    session.tick(0.0, 0.0)
    steps = {
        BfdState.DOWN: [],
        BfdState.INIT: [BfdState.DOWN],
        BfdState.UP: [BfdState.DOWN, BfdState.UP],
    }
    for step in steps[state]:
        hear(session, 0.0, step, **told)
    assert session.state is state
    return session


def hear(session: BfdSession, now: float, state: BfdState, **told: int | bool) -> list[Effect]:
    packet = replace(ControlPacket(state, 9, 7), **told)  # type: ignore[arg-type]
    return session.received(packet, encode(packet), now, 0.0)


def packets(effects: Sequence[Effect]) -> list[ControlPacket]:
    found = [decode(effect.octets) for effect in effects if isinstance(effect, Send)]
    return [packet for packet in found if isinstance(packet, ControlPacket)]


# §6.8.6: the three-way handshake and its table.


@pytest.mark.parametrize(
    ("state", "told", "new", "diagnostic"),
    [
        (BfdState.DOWN, BfdState.ADMIN_DOWN, BfdState.DOWN, 0),
        (BfdState.DOWN, BfdState.DOWN, BfdState.INIT, 0),
        (BfdState.DOWN, BfdState.INIT, BfdState.UP, 0),
        (BfdState.DOWN, BfdState.UP, BfdState.DOWN, 0),
        (BfdState.INIT, BfdState.ADMIN_DOWN, BfdState.DOWN, 3),
        (BfdState.INIT, BfdState.DOWN, BfdState.INIT, 0),
        (BfdState.INIT, BfdState.INIT, BfdState.UP, 0),
        (BfdState.INIT, BfdState.UP, BfdState.UP, 0),
        (BfdState.UP, BfdState.ADMIN_DOWN, BfdState.DOWN, 3),
        (BfdState.UP, BfdState.DOWN, BfdState.DOWN, 3),
        (BfdState.UP, BfdState.INIT, BfdState.UP, 0),
        (BfdState.UP, BfdState.UP, BfdState.UP, 0),
    ],
)
def test_a_state_follows_from_ours_and_the_peers(
    state: BfdState, told: BfdState, new: BfdState, diagnostic: int
) -> None:
    session = alone(state)
    effects = hear(session, 1.0, told)
    assert (session.state, session.diagnostic) == (new, diagnostic)
    moves = [effect for effect in effects if isinstance(effect, Moved)]
    assert moves == ([] if new is state else [Moved(state, new, diagnostic)])


def test_a_change_of_state_is_told_at_once() -> None:
    session = alone(BfdState.UP)
    (told,) = packets(hear(session, 0.001, BfdState.DOWN))
    assert (told.state, told.diagnostic) == (BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN)


def test_nothing_is_heeded_in_admin_down() -> None:
    session = alone(BfdState.UP)
    session.disable(1.0)
    assert hear(session, 1.1, BfdState.DOWN, poll=True) == []
    assert session.state is BfdState.ADMIN_DOWN
    assert session.discards == {Discard.ADMIN_DOWN: 1}


def test_authentication_is_of_both_ends_or_of_none() -> None:
    session = alone(BfdState.UP)
    hear(session, 1.0, BfdState.DOWN, authenticated=True)
    assert session.discards == {Discard.UNEXPECTED_AUTH: 1}
    auth = Authentication(AuthType.SIMPLE_PASSWORD, {1: b"x"}, 1)
    session = BfdSession(replace(FAST, authentication=auth), 7)
    hear(session, 1.0, BfdState.DOWN)
    hear(session, 1.0, BfdState.DOWN, authenticated=True)
    assert session.discards == {Discard.MISSING_AUTH: 1, Discard.BAD_AUTH: 1}
    assert session.remote is None


# §6.8.3: timers.


def test_packets_are_a_second_apart_before_the_session_is_up() -> None:
    line = Cable(FAST, FAST, chance=0.0)
    line.cut = [True, True]
    line.run(10)
    moments = [moment for moment, _ in line.sent[0]]
    assert [round(b - a, 6) for a, b in pairwise(moments)] == [1.0] * 10
    assert {packet.desired_min_tx_us for _, packet in line.sent[0]} == {1_000_000}


def test_up_packets_are_as_far_apart_as_the_slower_end_wishes() -> None:
    line = cable(FAST, replace(FAST, required_min_rx_us=200_000))
    assert line.ends[0].tx_interval_us == 200_000
    assert line.ends[1].tx_interval_us == 100_000
    assert [end.detection_time_us for end in line.ends] == [300_000, 600_000]


def test_coming_up_asks_for_the_faster_interval_by_a_poll_sequence() -> None:
    line = cable()
    polls = [packet for _, packet in line.sent[0] if packet.poll]
    assert polls
    assert {packet.desired_min_tx_us for packet in polls if packet.state is BfdState.UP} == {
        100_000
    }
    assert any(packet.final for _, packet in line.sent[1])
    assert not line.ends[0].is_polling
    assert not any(packet.poll and packet.final for _, packet in line.sent[0] + line.sent[1])


def test_a_longer_interval_waits_for_the_final() -> None:
    session = alone(BfdState.UP, required_min_rx_us=10_000)
    hear(session, 0.1, BfdState.UP, final=True, required_min_rx_us=10_000)
    session.configure(replace(FAST, desired_min_tx_us=900_000), 1.0)
    assert session.is_polling
    assert session.tx_interval_us == 100_000
    hear(session, 1.1, BfdState.UP, final=True, required_min_rx_us=10_000)
    assert session.tx_interval_us == 900_000


def test_a_shorter_interval_does_not_wait() -> None:
    session = alone(BfdState.UP, required_min_rx_us=10_000)
    hear(session, 0.1, BfdState.UP, final=True, required_min_rx_us=10_000)
    session.configure(replace(FAST, desired_min_tx_us=20_000), 1.0)
    assert session.tx_interval_us == 20_000
    assert session.tx_due is not None
    assert session.tx_due <= 1.02


def test_less_patience_waits_for_the_final() -> None:
    session = alone(BfdState.UP, desired_min_tx_us=10_000)
    hear(session, 0.1, BfdState.UP, final=True, desired_min_tx_us=10_000)
    session.configure(replace(FAST, required_min_rx_us=10_000), 1.0)
    assert session.detection_time_us == 3 * 50_000
    hear(session, 1.1, BfdState.UP, final=True, desired_min_tx_us=10_000)
    assert session.detection_time_us == 3 * 10_000


def test_more_patience_does_not_wait() -> None:
    session = alone(BfdState.UP, desired_min_tx_us=10_000)
    session.configure(replace(FAST, required_min_rx_us=70_000), 1.0)
    assert session.detection_time_us == 3 * 70_000


def test_a_change_while_polling_is_polled_for_again() -> None:
    session = alone(BfdState.UP)
    assert session.is_polling
    session.configure(replace(FAST, desired_min_tx_us=900_000), 1.0)
    hear(session, 1.1, BfdState.UP, final=True)
    assert session.is_polling
    assert session.tx_interval_us == 1_000_000
    hear(session, 1.2, BfdState.UP, final=True)
    assert not session.is_polling


def test_a_peer_that_takes_more_gets_it_at_once() -> None:
    session = alone(BfdState.UP, required_min_rx_us=2_000_000)
    hear(session, 0.1, BfdState.UP, final=True, required_min_rx_us=2_000_000)
    session.tick(2.0, 0.0)
    assert session.tx_due == 4.0
    hear(session, 3.0, BfdState.UP, required_min_rx_us=100_000)
    assert session.tx_due == 3.0


@pytest.mark.parametrize(("mult", "least", "most"), [(1, 0.075, 0.09), (3, 0.075, 0.1)])
def test_intervals_are_jittered(mult: int, least: float, most: float) -> None:
    session = alone(BfdState.UP, replace(FAST, detect_mult=mult), required_min_rx_us=1)
    hear(session, 0.1, BfdState.UP, final=True, required_min_rx_us=1)
    for now, chance, expected in ((1.0, 0.0, most), (2.0, 1.0, least)):
        assert len(packets(session.tick(now, chance))) == 1
        assert session.tx_due == pytest.approx(now + expected)


def test_one_who_hears_nobody_may_be_quieter() -> None:
    session = BfdSession(replace(FAST, idle_tx_us=60_000_000), 7)
    session.tick(0.0, 0.0)
    assert session.tx_due == 60.0
    hear(session, 5.0, BfdState.DOWN)
    assert session.tx_due == 6.0


def test_a_peer_with_another_discriminator_hears_at_once() -> None:
    session = alone(BfdState.INIT)
    hear(session, 0.3, BfdState.DOWN, my_discriminator=99)
    (told,) = packets(session.tick(0.3, 0.0))
    assert told.your_discriminator == 99


def test_a_session_that_is_taken_over_is_not_missed() -> None:
    line = cable()
    old = line.ends[0]
    assert old.remote is not None
    new = BfdSession(FAST, old.discriminator)
    new.resume(old.remote, line.now)
    line.ends = (new, line.ends[1])
    moves = [len(m) for m in line.moves]
    line.run(5)
    assert line.states == UP_BOTH
    assert [len(m) for m in line.moves] == moves


# §6.8.4: detection.


def test_silence_of_the_detection_time_is_down() -> None:
    line = cable()
    line.cut[1] = True
    last = line.sent[1][-1][0]
    line.run(1)
    moment, move = line.moves[0][-1]
    assert (move.new, move.diagnostic) == (BfdState.DOWN, Diagnostic.DETECTION_TIME_EXPIRED)
    assert moment - last == pytest.approx(0.3, abs=0.11)
    assert line.states == (BfdState.DOWN, BfdState.DOWN)


def test_a_lost_peer_is_addressed_as_a_new_one() -> None:
    session = alone(BfdState.UP)
    told = packets(session.tick(60.0, 0.0))
    assert told
    assert {packet.your_discriminator for packet in told} == {0}


def test_detection_is_by_the_peers_multiplier() -> None:
    line = cable(FAST, replace(FAST, detect_mult=7))
    assert line.ends[0].detection_time_us == 700_000
    assert line.ends[1].detection_time_us == 300_000


@pytest.mark.parametrize(
    "wrong", [{"desired_min_tx_us": 0}, {"required_min_rx_us": 2**32}, {"detect_mult": 256}]
)
def test_settings_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(LocalError):
        replace(FAST, **wrong)  # type: ignore[arg-type]


# §6.6, §6.8.7: demand, Poll and Final.


def test_a_peer_in_demand_mode_hears_nothing_but_polls() -> None:
    session = alone(BfdState.UP)
    hear(session, 0.1, BfdState.UP, final=True)
    hear(session, 0.2, BfdState.UP, demand=True)
    assert session.tx_due is None
    (answer,) = packets(hear(session, 0.3, BfdState.UP, demand=True, poll=True))
    assert answer.final
    session.configure(replace(FAST, desired_min_tx_us=20_000), 0.4)
    assert packets(session.tick(0.4, 0.0))[0].poll
    hear(session, 0.5, BfdState.UP, demand=True, final=True)
    assert session.tx_due is None
    hear(session, 0.6, BfdState.UP)
    assert session.tx_due == 0.6


def test_a_poll_is_answered_at_once_also_by_one_who_is_to_send_nothing() -> None:
    session = alone(BfdState.UP, required_min_rx_us=0)
    (answer,) = packets(hear(session, 0.1, BfdState.UP, poll=True, required_min_rx_us=0))
    assert (answer.final, answer.poll) == (True, False)
    assert session.tx_due is None


# §6.8.16: administration.


def test_a_session_taken_down_says_so_and_comes_back() -> None:
    line = cable()
    line.perform(0, line.ends[0].disable(line.now))
    line.run(3)
    assert line.states == (BfdState.ADMIN_DOWN, BfdState.DOWN)
    assert line.ends[0].diagnostic == Diagnostic.ADMINISTRATIVELY_DOWN
    assert line.ends[1].diagnostic == Diagnostic.NEIGHBOR_SIGNALED_DOWN
    assert line.sent[0][-1][1].state is BfdState.ADMIN_DOWN
    line.perform(0, line.ends[0].enable(line.now))
    line.run(5)
    assert line.states == UP_BOTH


@pytest.mark.parametrize("kind", list(AuthType))
def test_authenticated_sessions_come_up_and_stay(kind: AuthType) -> None:
    auth = Authentication(kind, {1: b"secret"}, 1)
    line = cable(replace(FAST, authentication=auth), replace(FAST, authentication=auth))
    line.run(60)
    assert line.states == UP_BOTH
    assert [end.discards for end in line.ends] == [{}, {}]
    other = replace(auth, keys={1: b"another"})
    line.ends[1].configure(replace(FAST, authentication=other), line.now)
    line.run(3)
    assert BfdState.UP not in line.states


def test_a_peer_that_restarts_with_other_numbers_is_heard_again() -> None:
    auth = Authentication(AuthType.METICULOUS_KEYED_SHA1, {1: b"secret"}, 1)
    line = cable(replace(FAST, authentication=auth), replace(FAST, authentication=auth))
    line.ends = (line.ends[0], BfdSession(replace(FAST, authentication=auth), 22, 5))
    line.run(6)
    assert line.states == UP_BOTH
