"""Churn: a peer that changes its mind all the time, at a rate.

Each update is one UPDATE about one prefix of a table that stands, one after the other in an order
that is drawn. Of ten, one withdraws; the prefix is announced again when its turn comes next. Of the
others, half come with the attribute set of another prefix, which is known, and half with a set that
nobody has seen before: its own, with another MULTI_EXIT_DISC.

Standards: RFC 4271 §4.3.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from benchmarks.table.messages import (
    announcements,
    attributes_of,
    bodies,
    fields,
    split,
    withdrawals,
)

_MED: Final = 4
_WITHDRAWN: Final = 10
"""One of so many is."""


class Churn:
    """What one session says.

    Args:
        octets: UPDATEs of its table.
        family: 4; of IPv6 prefixes attribute and prefix are not apart.
        rate: updates a second.
        seconds: that it lasts.

    Attributes:
        updates: how many were made.
    """

    def __init__(self, octets: bytes, family: int, rate: int, seconds: float) -> None:
        told = [(raw, nlri) for _, raw, nlri in map(fields, bodies(octets)) if nlri]
        self._sets = [raw for raw, _ in told]
        self._prefixes = [(n, p) for n, (_, nlri) in enumerate(told) for p in split(nlri)]
        random.Random("churn").shuffle(self._prefixes)
        self._family = family
        self._rate = rate
        self.seconds = seconds
        self.updates = 0
        self._gone: set[bytes] = set()
        self._making = self._make()
        self._begun = 0.0

    def begin(self, now: float) -> None:
        """Begin."""
        self._begun = now

    @property
    def alive(self) -> int:
        """How many prefixes are announced."""
        return len(self._prefixes) - len(self._gone)

    def is_over(self, now: float) -> bool:
        """Whether its time has passed."""
        return now - self._begun >= self.seconds

    def due(self, now: float) -> bytes:
        """Give the updates that should have been said by now and were not."""
        wanted = int((now - self._begun) * self._rate) - self.updates
        self.updates += wanted
        return b"".join([next(self._making) for _ in range(wanted)])

    def _make(self) -> Iterator[bytes]:
        number = 0
        while True:
            for of, prefix in self._prefixes:
                number += 1
                if number % _WITHDRAWN == 0:
                    self._gone.add(prefix)
                    yield from withdrawals([prefix], self._family)
                    continue
                self._gone.discard(prefix)
                raw = self._sets[number * 7 % len(self._sets)]
                if number % 2:
                    raw = with_med(self._sets[of], number)
                yield from announcements(raw, [prefix], self._family)


def with_med(octets: bytes, med: int) -> bytes:
    """Give an attribute set with another MULTI_EXIT_DISC, at its place by type."""
    made = bytes((0x80, _MED, 4)) + med.to_bytes(4, "big")
    before, after, at = b"", b"", 0
    for kind, value in attributes_of(octets):
        head = 4 if octets[at] & 0x10 else 3
        whole = octets[at : at + head + len(value)]
        at += len(whole)
        if kind < _MED:
            before += whole
        elif kind > _MED:
            after += whole
    return before + made + after
