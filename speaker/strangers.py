"""Connections from addresses that are no peer's: closed by whoever has them, told here.

Anybody can connect as often as the network lets him, so what is said about it is bounded: in each
period a line for an address, for so many addresses, and in the end one line that counts the rest.
Nothing is remembered from one period to the next.
"""

from __future__ import annotations

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
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alarm = Alarm(clock, self._sum_up)
        self._named: set[str] = set()
        self._left_out = 0
        self._until = 0.0

    def knocked(self, address: str) -> None:
        """Somebody connected from an address that is no peer's."""
        if self._clock.now() >= self._until:
            self._sum_up()
        if not self._named:
            self._until = self._clock.now() + PERIOD
        if address in self._named or len(self._named) >= LINES:
            self._left_out += 1
            self._alarm.set(self._until)
            return
        self._named.add(address)
        log.stranger(address)

    def _sum_up(self) -> None:
        """A period is over: say what was left out of it."""
        self._alarm.cancel()
        self._named.clear()
        left_out, self._left_out = self._left_out, 0
        if left_out:
            log.more_strangers(left_out)

    def close(self) -> None:
        """Say what is left to say."""
        self._sum_up()
