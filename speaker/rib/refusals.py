"""What a source has told and no table has kept, with the reason; the last of it only.

A route that must not be used (a loop, an attribute that is malformed, too many prefixes) leaves
nothing in a table. `Refusals` keeps the prefixes of the last such routes, for whoever asks why one
is not there: at most `KEPT` of each table, the oldest make room. A reason is one object for all
prefixes of its attribute set, so that an entry costs no more than a prefix in a table does. Routes
that are accepted pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from policy.prefix import Nlri

KEPT = 1024
"""So many prefixes are kept for each peer and family."""


class Refusals(dict[Nlri, str]):
    """Reasons by prefix, the newest last."""

    __slots__ = ()

    def note(self, nlris: Sequence[Nlri], why: str) -> None:
        """Write down why prefixes were not kept."""
        # A message has many more than are kept, and to make room for each in turn takes long.
        last = nlris[-KEPT:]
        for nlri in last:
            self.pop(nlri, None)
        self.update(dict.fromkeys(last, why))
        for nlri in list(islice(self, max(0, len(self) - KEPT))):
            del self[nlri]

    def drop(self, nlris: Iterable[Nlri]) -> None:
        """Forget prefixes that are told no more."""
        for nlri in nlris:
            self.pop(nlri, None)
