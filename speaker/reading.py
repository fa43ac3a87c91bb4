"""Taking what peers say in slices, so that nobody is kept waiting by one who talks much.

A chunk may hold thousands of messages, and a loop hands over many chunks before it comes round.
Each connection keeps what it has not taken yet; `Reading` tells how long it may go on in this
round of the loop, and lets those who had to stop go on in the next, each in its turn. A connection
with messages left is not read from, so what waits here is a chunk for each at the most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from speaker.clock import Clock

BUDGET = 0.005
"""Seconds that messages of all peers may take before the loop comes round."""

_GoOn: TypeAlias = Callable[[], None]


class Reading:
    """Shares the time for messages among all connections of a router.

    Args:
        clock: measures the budget.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end: float | None = None
        self._waiting: deque[_GoOn] = deque()

    def until(self) -> float:
        """Give the moment until which one connection may take messages in this round."""
        now = self._clock.now()
        if self._end is None:
            self._end = now + BUDGET
            asyncio.get_running_loop().call_soon(self._round)
        return min(self._end, now + BUDGET / (1 + len(self._waiting)))

    def wait(self, go_on: _GoOn) -> None:
        """Let somebody who asked `until` when to stop go on in a later round."""
        self._waiting.append(go_on)

    def _round(self) -> None:
        self._end = None
        for _ in range(len(self._waiting)):
            self._waiting.popleft()()
            if self._end is not None and self._clock.now() >= self._end:
                return
