"""Counting what a receiver holds: exactly, by distinct prefix, after the octets have come.

A `Counter` is fed chunks of one session with the times at which they came. It knows which prefixes
are alive, and when it first had all that are expected, or none any more. Nothing is judged; a
daemon that sends nonsense will miss the expected number.

Standards: RFC 4271 §4.3; RFC 4760 §3, §4; RFC 4724 §2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.table.messages import END_OF_RIB, UPDATE, attributes_of, fields, split

_ENDS = {message[19:] for message in END_OF_RIB.values()}
_REACH, _UNREACH = 14, 15


@dataclass(slots=True)
class Tally:
    """What has been counted; times are those of the chunks, None before.

    Attributes:
        alive: prefixes that are announced and not withdrawn.
        announced: announcements since the last mark.
        withdrawn: withdrawals since the last mark.
        updates: UPDATEs since the last mark, without End-of-RIB.
        first: when the first of them came.
        last: when the last came.
        reached: when as many prefixes were alive as are expected.
        emptied: when none was alive.
        exact: when the number alive became the one that is expected, and has been since.
        renewed: when as many were announced since the last mark.
        end_of_rib: when that came.
    """

    alive: int = 0
    announced: int = 0
    withdrawn: int = 0
    updates: int = 0
    first: float | None = None
    last: float | None = None
    reached: float | None = None
    emptied: float | None = None
    exact: float | None = None
    renewed: float | None = None
    end_of_rib: float | None = None


class Counter:
    """Counts one session.

    Args:
        expected: prefixes.
        keeps_attributes: remember with which attributes each came.

    Attributes:
        alive: by prefix, the attributes it came with; empty where these are not kept.
    """

    def __init__(self, expected: int = 0, *, keeps_attributes: bool = False) -> None:
        self.alive: dict[bytes, bytes] = {}
        self._expected = expected
        self._keeps = keeps_attributes
        self._tally = Tally()
        self._since_mark: set[bytes] | None = None
        self._rest = b""

    @property
    def tally(self) -> Tally:
        """What has been counted so far."""
        self._tally.alive = len(self.alive)
        return self._tally

    def mark(self, expected: int | None = None) -> None:
        """Count announcements and times anew; what is alive stays alive.

        Args:
            expected: prefixes from now on; None: as before.
        """
        if expected is not None:
            self._expected = expected
        self._tally = Tally(end_of_rib=self._tally.end_of_rib)
        self._since_mark = set()

    def feed(self, time: float, chunk: bytes) -> None:
        """Take what came at a time."""
        data = self._rest + chunk if self._rest else chunk
        at, end, updates = 0, len(data), 0
        while end - at >= 19:
            after = at + (data[at + 16] << 8 | data[at + 17])
            if after > end:
                break
            if data[at + 18] == UPDATE:
                updates += self._update(time, data[at + 19 : after])
            at = after
        self._rest = data[at:]
        if updates:
            self._note(time, updates)

    def _update(self, time: float, body: bytes) -> bool:
        """Take one UPDATE; tell whether it was one that says something."""
        if body in _ENDS:
            self._tally.end_of_rib = time
            return False
        withdrawn, attributes, nlri = fields(body)
        if withdrawn:
            self._withdraw(split(withdrawn))
        if nlri:
            self._announce(attributes, split(nlri))
        elif attributes:
            for kind, value in attributes_of(attributes):
                if kind == _REACH:
                    self._announce(attributes, split(value[5 + value[3] :]))
                elif kind == _UNREACH:
                    self._withdraw(split(value[3:]))
        return True

    def _announce(self, attributes: bytes, prefixes: Iterable[bytes]) -> None:
        told = dict.fromkeys(prefixes, attributes if self._keeps else b"")
        self._tally.announced += len(told)
        self.alive.update(told)
        if self._since_mark is not None:
            self._since_mark.update(told)

    def _withdraw(self, prefixes: Iterable[bytes]) -> None:
        for prefix in prefixes:
            self.alive.pop(prefix, None)
            self._tally.withdrawn += 1

    def _note(self, time: float, updates: int) -> None:
        tally = self._tally
        tally.updates += updates
        tally.last = time
        if tally.first is None:
            tally.first = time
        if tally.reached is None and len(self.alive) >= self._expected:
            tally.reached = time
        if len(self.alive) != self._expected:
            tally.exact = None
        elif tally.exact is None:
            tally.exact = time
        if tally.emptied is None and not self.alive:
            tally.emptied = time
        marked = self._since_mark
        if tally.renewed is None and marked is not None and len(marked) >= self._expected:
            tally.renewed = time
