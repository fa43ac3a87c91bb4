"""The prefixes of a table that are to be looked at, in the order in which they were put down.

They come in lists of any length and are taken in lists no longer than there is room for. A prefix
may stand here several times: looking at one that is as it should be costs next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from policy.prefix import Nlri


class Agenda:
    """A queue of lists of prefixes; its length is the number of prefixes."""

    def __init__(self) -> None:
        self._queue: deque[Sequence[Nlri]] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, nlris: Sequence[Nlri]) -> None:
        """Put prefixes down, behind all others."""
        if nlris:
            self._queue.append(nlris)
            self._length += len(nlris)

    def take(self, limit: int) -> list[Sequence[Nlri]]:
        """Strike out the first prefixes, as many as the limit at the most, and give them."""
        taken: list[Sequence[Nlri]] = []
        room = limit
        while self._queue and room:
            nlris = self._queue.popleft()
            if len(nlris) > room:
                # The rest keeps its place.
                self._queue.extendleft(reversed(_pieces(nlris, room)))
                nlris = nlris[:room]
            taken.append(nlris)
            room -= len(nlris)
        self._length -= limit - room
        return taken


def _pieces(nlris: Sequence[Nlri], start: int) -> list[Sequence[Nlri]]:
    """Cut the rest of a long list so that taking from it over and over stays cheap."""
    size = max(4096, (len(nlris) - start) // 64)
    return [nlris[at : at + size] for at in range(start, len(nlris), size)]
