"""Letting go of what no table uses any more.

Attribute sets, paths, encoded routes and next hops are made once and kept for everybody who names
them again. Nobody counts their users; instead each holder of such objects looks through its tables
now and then and drops what it does not find there. That is due when a holder has more than twice as
many as were in use after the last time, so that the work is bounded by that of making them, and
memory by what is in use.

When tables have become much smaller, by a peer's end or its withdrawals, every holder with more
than a few is due once, and then memory goes back to the system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol
from weakref import WeakKeyDictionary

FEW = 4096
"""So many objects more are never worth a sweep."""

MANY = 50_000
"""So many entries of tables less are worth a sweep of everything, if it is a quarter of them."""


class Holder(Protocol):
    """Somebody who keeps interned objects."""

    @property
    def interned(self) -> int:
        """How many there are."""

    def sweep(self) -> Iterable[None]:
        """Drop those that are not used: some at once, more with each step of what is given."""


class Sweeper:
    """Knows which holders are due.

    Args:
        few: so many objects more are never worth a sweep.
    """

    def __init__(self, few: int = FEW) -> None:
        self._few = few
        self._used: WeakKeyDictionary[Holder, int] = WeakKeyDictionary()
        self._most = 0
        self._has_shrunk = False
        # Who is being swept, and what is still to be done there.
        self._under_way: tuple[Holder, Iterator[None]] | None = None

    def weigh(self, entries: int, *, at_rest: bool) -> None:
        """Take notice of how many entries all tables have now; at rest nothing else is to be done.

        A table that is being emptied is not looked through again and again meanwhile.
        """
        if entries > self._most:
            self._most = entries
        elif at_rest and self._most - entries >= max(MANY, self._most // 4):
            self._most = entries
            self._has_shrunk = True
            self._used.clear()

    def may_release(self) -> bool:
        """Tell, once after tables have shrunk, that memory can be given back."""
        has_shrunk, self._has_shrunk = self._has_shrunk, False
        return has_shrunk

    def step(self, holders: Iterable[Holder]) -> bool:
        """Take a step in sweeping the first holder that is due; False when none is."""
        if self._under_way is not None:
            self._go_on(*self._under_way)
            return True
        for holder in holders:
            if holder.interned > 2 * self._used.get(holder, 0) + self._few:
                self._go_on(holder, iter(holder.sweep()))
                return True
        return False

    def _go_on(self, holder: Holder, steps: Iterator[None]) -> None:
        self._under_way = holder, steps
        for _ in steps:
            return
        self._under_way = None
        self._used[holder] = holder.interned

    @property
    def is_under_way(self) -> bool:
        """Whether a holder has been swept in part."""
        return self._under_way is not None
