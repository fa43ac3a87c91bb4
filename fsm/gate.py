"""Strict mode: a session that waits at a gate until BFD is up.

Without it a session may come up over a path on which BFD never does, or goes up and down with it. A
strict one is not tried before BFD is up, and after BFD was down not before it is up again; where a
hold-down is set, not before it has been up so long without a break. BFD that is lost while the
session stands is no matter of the gate: whoever runs the session ends it, and it comes back through
here.

Draft: the two ends exchange OPENs and hold back their KEEPALIVEs, where both offer the capability.
Ours: no connection is made, whatever the peer offers. So nothing times out at its end, a peer
without the draft is served too, and the end that follows it finds BFD up at once.

Standards: draft-ietf-idr-bgp-bfd-strict-mode.
"""

from __future__ import annotations

from fsm.events import Event
from fsm.timers import Timer, Timers


class Gate:
    """Holds the start of a session back.

    Args:
        is_strict: whether there is anything to wait for.
        hold_down: seconds for which BFD has to be up.
        is_up: whether BFD is up from the first, and has been for long.

    Attributes:
        waiting: the start that waits; None if none does.
    """

    __slots__ = ("_hold_down", "_is_strict", "_is_up", "_timers", "waiting")

    def __init__(self, *, is_strict: bool, hold_down: float, is_up: bool) -> None:
        self._is_strict = is_strict
        self._hold_down = hold_down
        self._is_up = is_up
        self.waiting: Event | None = None
        self._timers = Timers()

    @property
    def timers(self) -> Timers:
        """The timers that somebody waits for."""
        return Timers() if self.waiting is None else self._timers

    @property
    def is_open(self) -> bool:
        """Whether a session may be tried."""
        return not self._is_strict or (self._is_up and not self._timers.running)

    def admits(self, event: Event) -> bool:
        """Tell whether a start may go on now; one that may not waits."""
        self.waiting = None if self.is_open else event
        return self.is_open

    def up(self, now: float, lasted: float = 0.0) -> None:
        """BFD is up, and has been for so many seconds."""
        left = self._hold_down - lasted
        if not self._is_up and self._is_strict and left > 0:
            self._timers.start(Timer.BFD_HOLD_DOWN, left, now)
        self._is_up = True

    def down(self) -> None:
        """BFD is not up, for whatever reason."""
        self._is_up = False
        self._timers.clear()

    def tick(self, now: float) -> None:
        """Let time pass."""
        for timer in self._timers.due(now):
            self._timers.stop(timer)

    def leave(self) -> None:
        """Wait no more."""
        self.waiting = None
