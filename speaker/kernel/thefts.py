"""Places of our routes that others took, and which of them we take back.

A foreign route that displaced ours has changed our route, and it is put back in spite of the rule
that what is foreign stays. But two programs could go on like that for ever: who takes a place again
and again keeps it.
"""

from __future__ import annotations

from policy.prefix import Nlri

MAX_THEFTS, THEFT_MEMORY = 5, 60.0
"""So often within so many seconds a place is taken back from a foreign route."""


class Thefts:
    """The places of one table that are to be taken back (`in`), and how often that was so."""

    def __init__(self) -> None:
        self._times: dict[Nlri, list[float]] = {}
        self._stolen: set[Nlri] = set()

    def __contains__(self, nlri: Nlri) -> bool:
        return nlri in self._stolen

    def __bool__(self) -> bool:
        return bool(self._stolen)

    def note(self, nlri: Nlri, now: float) -> None:
        """Take in that a place was taken; it is to be taken back, if that was not too often."""
        times = [t for t in self._times.get(nlri, ()) if now - t < THEFT_MEMORY]
        self._times[nlri] = [*times, now]
        if len(times) < MAX_THEFTS:
            self._stolen.add(nlri)

    def settle(self, nlri: Nlri) -> bool:
        """Take in that a place is ours again, or no longer asked for; tell whether it was taken."""
        if nlri not in self._stolen:
            return False
        self._stolen.discard(nlri)
        return True
