"""One turn of work after each batch of input, with a time budget; and the collector's policy.

What peers say changes tables at once; telling the others and the kernel happens here, once for all
that came in meanwhile. A turn does steps until nothing is left or its time is over, then lets the
loop read, write and ring alarms, and goes on. How much a step does is said in prefixes; what that
costs depends on what is done with them, so steps become smaller after one that took long, and
larger again after short ones.

Python's cyclic collector looks at every container there is; the tables hold millions of references
and hardly a cycle. `tune_collector` raises its thresholds, and what lives long is frozen once the
router stands.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from speaker import log
from speaker.clock import Clock

BUDGET = 0.005
"""Seconds that a turn may take before others have their say."""

MOST, LEAST = 2048, 16
"""Prefixes of a step."""

PAUSE = 0.05
"""Seconds without a turn after one that failed."""


class Turn:
    """Runs steps of work between batches of input.

    Args:
        clock: measures the budget.
        step: does some work, on about so many prefixes; False when nothing was left.
    """

    def __init__(self, clock: Clock, step: Callable[[int], bool]) -> None:
        self._clock = clock
        self._step = step
        self.is_scheduled = False
        self._closed = False
        self._size = MOST
        self._end = 0.0
        self.turns = 0

    @property
    def is_over(self) -> bool:
        """Whether a step should end, as the turn's time is over."""
        return self._clock.now() >= self._end

    def schedule(self) -> None:
        """Let a turn run soon, once."""
        if not self.is_scheduled:
            self.is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def close(self) -> None:
        """Run no more."""
        self._closed = True

    def _run(self) -> None:
        self.is_scheduled = False
        if self._closed:
            return
        self.turns += 1
        begun = self._clock.now()
        self._end = begun + BUDGET
        try:
            while self._step(self._size):
                now = self._clock.now()
                self._adapt(now - begun)
                if now >= self._end:
                    self.schedule()
                    return
                begun = now
        except Exception:
            # One of the two places where everything is caught: a fault of ours in one step must
            # not stop the router. One that comes again and again must not keep it busy either.
            log.turn_failed()
            asyncio.get_running_loop().call_later(PAUSE, self.schedule)

    def _adapt(self, seconds: float) -> None:
        """Aim at steps that take about the half of a turn."""
        if seconds > BUDGET:
            self._size = max(LEAST, int(self._size * BUDGET / seconds / 2))
        elif seconds < BUDGET / 4:
            self._size = min(MOST, self._size * 2)


def tune_collector() -> None:
    """Make the collector rare; reference counting does the work."""
    gc.set_threshold(200_000, 50, 100)


def freeze() -> None:
    """Take what exists now out of the collector's sight."""
    gc.collect()
    gc.freeze()
