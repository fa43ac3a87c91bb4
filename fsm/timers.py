"""Named deadlines: which timers run, which are due, when to look next.

A timer is a name and a moment. Nothing here waits or calls back: the shell sets one alarm at
`Timers.deadline`, says `Tick` when it rings, and the machine asks which timers are `due`. Starting
a running timer moves its deadline, which costs one assignment; that is why a message may restart
the HoldTimer without the shell noticing.

Times are monotonic seconds given by the caller; this module never reads a clock.

Standards: RFC 4271 §8.1.1, §10; RFC 9687 §4.
"""

from __future__ import annotations

from enum import StrEnum

JITTER = 0.25
"""The part of an interval that chance may take away. RFC 4271 §10."""


class Timer(StrEnum):
    """The timers of a session, by their names in the standards."""

    CONNECT_RETRY = "ConnectRetryTimer"
    HOLD = "HoldTimer"
    KEEPALIVE = "KeepaliveTimer"
    DELAY_OPEN = "DelayOpenTimer"
    IDLE_HOLD = "IdleHoldTimer"
    SEND_HOLD = "SendHoldTimer"
    BFD_HOLD_DOWN = "BfdHoldDownTimer"


class Timers:
    """The running timers of one machine."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Timer, float] = {}

    def __repr__(self) -> str:
        running = ", ".join(f"{timer}={self._deadlines[timer]:g}" for timer in self.running)
        return f"Timers({running})"

    def start(self, timer: Timer, seconds: float, now: float) -> None:
        """Make a timer due that many seconds from now, whether or not it runs already."""
        self._deadlines[timer] = now + seconds

    def stop(self, timer: Timer) -> None:
        """Forget a timer; a stopped one may be stopped again."""
        self._deadlines.pop(timer, None)

    def clear(self) -> None:
        """Stop every timer."""
        self._deadlines.clear()

    def is_running(self, timer: Timer) -> bool:
        """Tell whether a timer runs, due or not."""
        return timer in self._deadlines

    @property
    def running(self) -> list[Timer]:
        """The timers that run, earliest first, by name where they are equal."""
        return sorted(self._deadlines, key=lambda timer: (self._deadlines[timer], timer))

    def deadlines(self) -> dict[Timer, float]:
        """Return the moment at which each running timer is due."""
        return dict(self._deadlines)

    def due(self, now: float) -> list[Timer]:
        """Return the timers whose moment has come, earliest first; they go on running."""
        return [timer for timer in self.running if self._deadlines[timer] <= now]

    def deadline(self) -> float | None:
        """Return the earliest moment at which a timer is due."""
        return min(self._deadlines.values(), default=None)


def jittered(seconds: float, chance: float) -> float:
    """Shorten an interval by chance to between 75 % and 100 % of it. RFC 4271 §10.

    Args:
        seconds: the configured or negotiated interval.
        chance: a number in [0, 1) that the caller drew; 0 leaves the interval whole.
    """
    return seconds * (1.0 - JITTER * chance)
