"""Clocks, and alarms that are armed no more often than needed."""

from __future__ import annotations

from speaker.clock import Alarm, Clock
from tests.support.routers import on_both_loops, until


def test_time_goes_on_and_chance_lies_in_its_range() -> None:
    clock = Clock()
    assert clock.now() <= clock.now()
    assert clock.wall() > 1_700_000_000
    assert all(0 <= clock.chance() < 1 for _ in range(100))


@on_both_loops
async def test_an_alarm_rings_at_its_deadline_and_once() -> None:
    clock = Clock()
    rung: list[float] = []
    alarm = Alarm(clock, lambda: rung.append(clock.now()))
    deadline = clock.now() + 0.02
    alarm.set(deadline)
    await until(lambda: rung)
    # An event loop counts in milliseconds, and may be one of them early.
    assert rung[0] >= deadline - 0.001
    assert alarm._handle is None


@on_both_loops
async def test_a_later_deadline_arms_nothing_and_an_earlier_one_does() -> None:
    clock = Clock()
    alarm = Alarm(clock, lambda: None)
    now = clock.now()
    alarm.set(now + 50)
    handle = alarm._handle
    alarm.set(now + 90)
    assert alarm._handle is handle
    alarm.set(now + 10)
    assert alarm._handle is not handle
    alarm.set(None)
    assert alarm._handle is None


@on_both_loops
async def test_a_deadline_in_the_past_rings_at_once() -> None:
    clock = Clock()
    rung: list[bool] = []
    Alarm(clock, lambda: rung.append(True)).set(clock.now() - 100)
    await until(lambda: rung)


@on_both_loops
async def test_a_cancelled_alarm_is_silent() -> None:
    clock = Clock()
    rung: list[str] = []
    silent = Alarm(clock, lambda: rung.append("silent"))
    silent.set(clock.now() + 0.001)
    silent.cancel()
    Alarm(clock, lambda: rung.append("loud")).set(clock.now() + 0.005)
    await until(lambda: rung)
    assert rung == ["loud"]
