"""Routes that are not as they should be, each with the reason and the time of the next try.

Three kinds: the kernel *refused* a route, and it is tried again with growing pauses; a foreign
route is in *conflict* with it, and it waits until that goes; or it is *unclear* what happened, and
a scan will tell.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from policy.prefix import Nlri
from speaker.kernel.routes import Forwarding

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a refused route is tried again; each time doubled up to the longest."""

CROWD = 5000
"""So many routes in trouble double the pauses, twice as many treble them."""

NEVER = float("inf")
"""Due at no time of its own."""


class Hitch(Enum):
    """Why a wanted route is not in the kernel."""

    REFUSED = "refused"
    CONFLICT = "conflict"
    UNCLEAR = "unclear"


@dataclass(slots=True)
class Trouble:
    """What is wrong with one prefix; the forwarding is what was asked for, None for a removal."""

    hitch: Hitch
    forwarding: Forwarding | None
    text: str
    attempts: int = 0
    due: float = 0.0


class Troubles(dict[Nlri, Trouble]):
    """All troubles of a table, by prefix."""

    def __init__(self) -> None:
        super().__init__()
        self._retries: list[tuple[float, Nlri]] = []

    @property
    def next_retry(self) -> float | None:
        """When the next refused route is due for another try."""
        return self._retries[0][0] if self._retries else None

    def conflict(self, nlri: Nlri, wanted: Forwarding, text: str) -> bool:
        """Note that a foreign route holds the place; tell whether that is news."""
        known = self.get(nlri)
        self[nlri] = Trouble(Hitch.CONFLICT, wanted, text)
        return known is None or known.hitch is not Hitch.CONFLICT

    def unclear(self, nlri: Nlri, wanted: Forwarding | None, text: str) -> None:
        """Note that only a scan can tell what is the matter."""
        self[nlri] = Trouble(Hitch.UNCLEAR, wanted, text, 0, NEVER)

    def refused(self, nlri: Nlri, wanted: Forwarding | None, text: str, now: float) -> bool:
        """Note a refusal and when to try again; tell whether it is news."""
        known = self.get(nlri)
        attempts = known.attempts if known and known.hitch is Hitch.REFUSED else 0
        # Many refusals have one cause; asking for all of them again and again helps nobody.
        crowd = 1 + len(self) // CROWD
        due = now + min(FIRST_PAUSE * 2**attempts * crowd, LONGEST_PAUSE)
        self[nlri] = Trouble(Hitch.REFUSED, wanted, text, min(attempts + 1, 16), due)
        heapq.heappush(self._retries, (due, nlri))
        return known is None or known.text != text

    def of(self, hitch: Hitch) -> list[Nlri]:
        """List the prefixes with one kind of trouble."""
        return [nlri for nlri, trouble in self.items() if trouble.hitch is hitch]

    def hurry(self) -> list[Nlri]:
        """Make every refused route due now, and list them."""
        refused = self.of(Hitch.REFUSED)
        for nlri in refused:
            self[nlri].due = 0.0
        return refused

    def due(self, now: float) -> list[Nlri]:
        """List the prefixes whose next try is due."""
        due = []
        while self._retries and self._retries[0][0] <= now:
            due.append(heapq.heappop(self._retries)[1])
        return due

    def forget(self, nlris: Iterable[Nlri]) -> None:
        """Strike prefixes out."""
        for nlri in nlris:
            self.pop(nlri, None)
