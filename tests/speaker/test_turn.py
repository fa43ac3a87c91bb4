"""Turns of work: once for many, never too long, and going on after a fault."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from speaker.turn import BUDGET, LEAST, MOST, Turn, freeze, tune_collector
from tests.support.routers import on_both_loops, until
from tests.support.tabletop import VirtualClock


class Work:
    """So many steps, each of which takes some time."""

    def __init__(self, clock: VirtualClock, steps: int, seconds: float = 0.0) -> None:
        self.clock = clock
        self.left = steps
        self.seconds = seconds

    def step(self, size: int) -> bool:
        self.clock.time += self.seconds
        self.left -= 1
        return self.left > 0


@on_both_loops
async def test_many_calls_make_one_turn() -> None:
    clock = VirtualClock()
    work = Work(clock, 3)
    turn = Turn(clock, work.step)
    turn.schedule()
    turn.schedule()
    await until(lambda: work.left == 0)
    assert turn.turns == 1


@on_both_loops
async def test_a_long_piece_of_work_lets_others_have_their_say() -> None:
    clock = VirtualClock()
    work = Work(clock, 10, BUDGET / 2)
    turn = Turn(clock, work.step)
    said: list[int] = []

    def speak() -> None:
        if work.left > 0:
            said.append(work.left)
            asyncio.get_running_loop().call_soon(speak)

    turn.schedule()
    asyncio.get_running_loop().call_soon(speak)
    await until(lambda: work.left == 0)
    assert turn.turns == 5
    assert said == [8, 6, 4, 2]


@on_both_loops
async def test_steps_become_smaller_where_prefixes_are_dear_and_larger_again() -> None:
    clock = VirtualClock()
    sizes: list[int] = []

    def step(size: int) -> bool:
        sizes.append(size)
        clock.time += size * (BUDGET / 100 if len(sizes) < 10 else 1e-9)
        return len(sizes) < 20

    turn = Turn(clock, step)
    turn.schedule()
    await until(lambda: len(sizes) == 20)
    assert sizes[:3] == [MOST, 50, 50]
    assert sizes[9:17] == [50, 100, 200, 400, 800, 1600, MOST, MOST]


@on_both_loops
async def test_a_step_never_becomes_so_small_that_nothing_is_done() -> None:
    clock = VirtualClock()
    sizes: list[int] = []

    def step(size: int) -> bool:
        sizes.append(size)
        clock.time += 1.0
        return len(sizes) < 5

    turn = Turn(clock, step)
    turn.schedule()
    await until(lambda: len(sizes) == 5)
    assert sizes[-1] == LEAST


@on_both_loops
async def test_a_step_can_ask_whether_the_turn_is_over() -> None:
    clock = VirtualClock()
    said: list[bool] = []

    def step(size: int) -> bool:
        said.append(turn.is_over)
        clock.time += BUDGET
        said.append(turn.is_over)
        return False

    turn = Turn(clock, step)
    turn.schedule()
    await until(lambda: said)
    assert said == [False, True]


@on_both_loops
async def test_a_fault_is_logged_and_the_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    work = Work(clock, 5)
    faults = [ZeroDivisionError(), ZeroDivisionError()]

    def step(size: int) -> bool:
        if faults:
            raise faults.pop()
        return work.step(size)

    turn = Turn(clock, step)
    with caplog.at_level(logging.ERROR, "wren"):
        turn.schedule()
        await until(lambda: work.left == 0)
    assert [record.getMessage() for record in caplog.records] == [
        "an internal error in a turn of work; going on"
    ] * 2
    assert turn.turns == 3


@on_both_loops
async def test_after_the_end_no_turn_runs() -> None:
    clock = VirtualClock()
    work = Work(clock, 5)
    turn = Turn(clock, work.step)
    turn.schedule()
    turn.close()
    await until(lambda: not turn.is_scheduled)
    turn.schedule()
    await until(lambda: not turn.is_scheduled)
    assert work.left == 5


def test_the_collector_is_made_rare_and_what_stands_is_frozen() -> None:
    before = gc.get_threshold()
    try:
        tune_collector()
        assert gc.get_threshold()[0] > before[0]
        freeze()
        assert gc.get_freeze_count() > 0
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
