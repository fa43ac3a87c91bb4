"""Letting go of what no table uses any more.

Attribute sets, paths, encoded routes and next hops are made once and kept for everybody who names
them again. Nobody counts their users; instead each holder of such objects looks through its tables
now and then and drops what it does not find there. That is due when a holder has more than twice as
many as were in use after the last time, so that the work is bounded by that of making them, and
memory by what is in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from weakref import WeakKeyDictionary

FEW = 4096
"""So many objects more are never worth a sweep."""


class Holder(Protocol):
    """Somebody who keeps interned objects."""

    @property
    def interned(self) -> int:
        """How many there are."""

    def sweep(self) -> None:
        """Drop those that are not used."""


class Sweeper:
    """Knows which holders are due.

    Args:
        few: so many objects more are never worth a sweep.
    """

    def __init__(self, few: int = FEW) -> None:
        self._few = few
        self._used: WeakKeyDictionary[Holder, int] = WeakKeyDictionary()

    def step(self, holders: Iterable[Holder]) -> bool:
        """Sweep the first holder that is due; False when none is."""
        for holder in holders:
            if holder.interned > 2 * self._used.get(holder, 0) + self._few:
                holder.sweep()
                self._used[holder] = holder.interned
                return True
        return False
