from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.timers import Timer, Timers, jittered


def test_no_timer_has_no_deadline() -> None:
    assert Timers().deadline() is None
    assert Timers().due(1e9) == []


def test_timers_are_due_earliest_first_and_go_on_running() -> None:
    timers = Timers()
    timers.start(Timer.HOLD, 9.0, now=1.0)
    timers.start(Timer.KEEPALIVE, 3.0, now=1.0)
    timers.start(Timer.CONNECT_RETRY, 60.0, now=1.0)
    assert timers.due(3.9) == []
    assert timers.due(10.0) == [Timer.KEEPALIVE, Timer.HOLD]
    assert timers.deadline() == 4.0
    assert timers.is_running(Timer.KEEPALIVE)


def test_starting_a_running_timer_moves_its_deadline() -> None:
    timers = Timers()
    timers.start(Timer.HOLD, 9.0, now=0.0)
    timers.start(Timer.HOLD, 9.0, now=5.0)
    assert timers.deadlines() == {Timer.HOLD: 14.0}
    assert repr(timers) == "Timers(HoldTimer=14)"


def test_a_stopped_timer_may_be_stopped_again() -> None:
    timers = Timers()
    timers.start(Timer.HOLD, 9.0, now=0.0)
    timers.start(Timer.KEEPALIVE, 3.0, now=0.0)
    timers.stop(Timer.HOLD)
    timers.stop(Timer.HOLD)
    assert timers.running == [Timer.KEEPALIVE]
    timers.clear()
    assert timers.running == []


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 100.0), (0.5, 87.5)])
def test_chance_shortens_an_interval(chance: float, seconds: float) -> None:
    assert jittered(100.0, chance) == seconds


@given(st.floats(0.001, 1e6), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_between_three_quarters_and_the_whole(seconds: float, chance: float) -> None:
    """RFC 4271 §10."""
    assert 0.75 * seconds <= jittered(seconds, chance) <= seconds
