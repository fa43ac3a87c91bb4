"""The only reader of clocks, and one alarm per owner.

The pure floors take the time as an argument; whoever calls them asks here. An `Alarm` turns a
machine's `deadline` into a call: it is armed again only when the deadline became earlier. When a
timer was pushed on meanwhile the alarm goes off too soon, finds nothing due, and is armed again by
its owner; so an UPDATE that restarts the hold timer costs no call to the event loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable


class Clock:
    """Monotonic time, wall-clock time and chance, from one place."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the epoch, for people."""
        return time.time()

    def chance(self) -> float:
        """A number in [0, 1), for jitter."""
        return random.random()


class Alarm:
    """One pending call of one owner.

    Args:
        clock: what the deadlines are measured by.
        ring: called at the deadline, or somewhat later.
    """

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._armed: float | None = None

    def set(self, deadline: float | None) -> None:
        """Ring at ``deadline``; None: not at all."""
        if deadline is None:
            self.cancel()
            return
        if self._armed is not None and self._armed <= deadline:
            return
        self.cancel()
        self._armed = deadline
        delay = max(0.0, deadline - self._clock.now())
        self._handle = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._armed = None
        self._ring()

    def end(self) -> None:
        """Ring no more, ever, and forget whom to call: owner and alarm know each other else."""
        self.cancel()
        self._ring = _nobody

    def cancel(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._armed = None


def _nobody() -> None:
    """Be called in vain."""
