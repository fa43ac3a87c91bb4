"""Time for messages is shared: whoever has much goes on in the next round, after the others."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from speaker.reading import BUDGET, Reading
from tests.support.routers import on_both_loops, until
from tests.support.tabletop import VirtualClock


class Talker:
    """Somebody with so many messages left, each of which takes some time."""

    def __init__(self, name: str, reading: Reading, clock: VirtualClock, said: list[str]) -> None:
        self.name = name
        self.reading = reading
        self.clock = clock
        self.said = said
        self.left = 0

    def go_on(self) -> None:
        end = self.reading.until()
        while self.left:
            self.left -= 1
            self.said.append(self.name)
            self.clock.time += BUDGET / 4
            if self.clock.time >= end:
                self.reading.wait(self.go_on)
                return


@on_both_loops
async def test_one_alone_may_take_the_whole_time_of_a_round() -> None:
    clock = VirtualClock()
    said: list[str] = []
    talker = Talker("a", Reading(clock), clock, said)
    talker.left = 10
    talker.go_on()
    assert said == ["a"] * 4
    await until(lambda: not talker.left)
    assert said == ["a"] * 10


@on_both_loops
async def test_whoever_had_to_stop_goes_on_after_those_who_waited_before() -> None:
    clock = VirtualClock()
    said: list[str] = []
    reading = Reading(clock)
    talkers = [Talker(name, reading, clock, said) for name in "abc"]
    for talker in talkers:
        talker.left = 40
        talker.go_on()
    await until(lambda: not any(talker.left for talker in talkers))
    places = [[at for at, name in enumerate(said) if name == who] for who in "abc"]
    assert all(later - one <= 10 for where in places for one, later in pairwise(where))


@on_both_loops
async def test_between_two_rounds_the_loop_does_something_else() -> None:
    clock = VirtualClock()
    said: list[str] = []
    talker = Talker("a", Reading(clock), clock, said)
    talker.left = 40
    between: list[int] = []

    def look() -> None:
        between.append(len(said))
        if talker.left:
            asyncio.get_running_loop().call_soon(look)

    talker.go_on()
    look()
    await until(lambda: not talker.left)
    assert all(later - one <= 4 for one, later in pairwise(between))
