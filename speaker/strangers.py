"""Connections from addresses that are no peer's: closed by whoever has them, told here.

Anybody can connect as often as the network lets him, so what is said about it is bounded: in each
period a line for an address, for so many addresses, and in the end one line that counts the rest.
Nothing is remembered from one period to the next.

The same bounds hold for those who knock where a range of peers is, and are turned away.
"""

from __future__ import annotations

from collections.abc import Callable

from speaker import log
from speaker.clock import Alarm, Clock

PERIOD = 60.0
"""Seconds."""

LINES = 10
"""So many addresses are named in a period."""


class Strangers:
    """What is said about those who knock in vain.

    Args:
        clock: the reader of time.
        tell: says a line, with an address and why it was in vain if that is not always the same.
        count: says how many others there were.
    """

    def __init__(
        self,
        clock: Clock,
        tell: Callable[..., None] = log.stranger,
        count: Callable[[int], None] = log.more_strangers,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._count = count
        self._alarm = Alarm(clock, self._sum_up)
        self._named: set[str] = set()
        self._left_out = 0
        self._until = 0.0

    def knocked(self, address: str, *why: str) -> bool:
        """Somebody connected in vain; tell whether a line was said about it."""
        if self._clock.now() >= self._until:
            self._sum_up()
        if not self._named:
            self._until = self._clock.now() + PERIOD
        if address in self._named or len(self._named) >= LINES:
            self._left_out += 1
            self._alarm.set(self._until)
            return False
        self._named.add(address)
        self._tell(address, *why)
        return True

    def _sum_up(self) -> None:
        """A period is over: say what was left out of it."""
        self._alarm.cancel()
        self._named.clear()
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self._count(left_out)

    def close(self) -> None:
        """Say what is left to say."""
        self._sum_up()
