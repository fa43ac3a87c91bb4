"""Sets of prefixes, compared exactly.

What a rule says about prefixes is a `PrefixSet`: a union of boxes (all prefixes inside one network
whose length lies between two bounds), or everything but that. `first_outside` tells whether one set
is inside the union of others, and shows a prefix that is not. It is exact, also where several sets
cover another one only together: it walks down from the whole address space, or from the only
network of the set, and where no network of any box lies below a place, nothing but the length makes
a difference there. `Nearby` picks the sets for which it is worth asking out of thousands.

Slow, and meant for people who ask about their policies; routes are matched by `policy.matching`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from policy.prefix import Nlri


@dataclass(frozen=True, slots=True)
class Box:
    """The prefixes inside a network whose length is between two bounds, both included."""

    cidr: Nlri
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PrefixSet:
    """Some prefixes of one family.

    Attributes:
        boxes: the union of these …
        is_rest: … or all prefixes that are in none of them.
    """

    boxes: tuple[Box, ...] = ()
    is_rest: bool = False

    @property
    def complement(self) -> PrefixSet:
        """All other prefixes."""
        return PrefixSet(self.boxes, not self.is_rest)


EVERYTHING = PrefixSet(is_rest=True)
NOTHING = PrefixSet()


class _Place(NamedTuple):
    """A network as numbers: its leading bits, and how many they are."""

    bits: int
    length: int

    def covers(self, other: _Place) -> bool:
        return self.length <= other.length and other.bits >> other.length - self.length == self.bits

    def around(self) -> Iterator[_Place]:
        """Give the larger networks that it is in."""
        for length in range(self.length):
            yield _Place(self.bits >> self.length - length, length)

    def halves(self) -> tuple[_Place, _Place]:
        return (
            _Place(self.bits << 1, self.length + 1),
            _Place(self.bits << 1 | 1, self.length + 1),
        )

    def prefix(self, length: int) -> Nlri:
        """Give its first prefix of some length."""
        octets = length + 7 >> 3
        bits = self.bits << length - self.length << 8 * octets - length
        return bytes((length,)) + bits.to_bytes(octets, "big")


class _Bounded(NamedTuple):
    place: _Place
    low: int
    high: int


class _Members(NamedTuple):
    """What of a set matters at some place: boxes around it and below it."""

    boxes: tuple[_Bounded, ...]
    is_rest: bool

    def at(self, place: _Place) -> _Members:
        """Leave out what is elsewhere."""
        near = (box for box in self.boxes if box.place.covers(place) or place.covers(box.place))
        return _Members(tuple(near), self.is_rest)

    def is_near(self, other: _Members) -> bool:
        """Tell whether a box of one is around or inside a box of the other, or may be."""
        return other.is_rest or any(
            one.place.covers(two.place) or two.place.covers(one.place)
            for one in self.boxes
            for two in other.boxes
        )

    def branches_below(self, place: _Place) -> bool:
        return any(box.place.length > place.length for box in self.boxes)

    def has(self, place: _Place, length: int) -> bool:
        """Tell whether the prefixes of a length are members, at a place without boxes below."""
        inside = any(
            box.low <= length <= box.high and box.place.length <= place.length for box in self.boxes
        )
        return inside is not self.is_rest


def first_outside(inner: PrefixSet, outer: Sequence[PrefixSet], width: int) -> Nlri | None:
    """Find a prefix of one set that is in none of the others; None if all are in some.

    Args:
        inner: whose prefixes are looked at.
        outer: the others.
        width: bits of an address of the family.
    """
    wanted = _members(inner)
    near = tuple(each for each in map(_members, outer) if each.is_rest or each.is_near(wanted))
    # All that is in a single box is at its network or below.
    start = wanted.boxes[0].place if _is_one_box(inner) else _Place(0, 0)
    return _outside(start, wanted.at(start), tuple(each.at(start) for each in near), width)


def is_empty(prefixes: PrefixSet, width: int) -> bool:
    """Tell whether no prefix is in a set."""
    return first_outside(prefixes, (), width) is None


def common_prefix(one: PrefixSet, other: PrefixSet, width: int) -> Nlri | None:
    """Give a prefix that is in both sets, if there is one."""
    return first_outside(one, (other.complement,), width)


def _is_one_box(prefixes: PrefixSet) -> bool:
    return len(prefixes.boxes) == 1 and not prefixes.is_rest


class Nearby:
    """Numbered sets, found by others that may have prefixes in common with them."""

    def __init__(self) -> None:
        self._every: list[int] = []
        # Those that are no single box may be anywhere.
        self._anywhere: list[int] = []
        self._at: dict[_Place, list[int]] = {}
        self._below: dict[_Place, list[int]] = {}

    def add(self, number: int, prefixes: PrefixSet) -> None:
        """Take a set in; numbers rise."""
        self._every.append(number)
        if not _is_one_box(prefixes):
            self._anywhere.append(number)
            return
        place = _members(prefixes).boxes[0].place
        self._at.setdefault(place, []).append(number)
        for around in place.around():
            self._below.setdefault(around, []).append(number)

    def to(self, prefixes: PrefixSet) -> list[int]:
        """Give the numbers of all sets but those that have no prefix in common with one."""
        if not _is_one_box(prefixes):
            return self._every
        place = _members(prefixes).boxes[0].place
        found = [*self._anywhere, *self._at.get(place, ()), *self._below.get(place, ())]
        for around in place.around():
            found += self._at.get(around, ())
        return sorted(found)


@lru_cache(maxsize=16384)
def _members(prefixes: PrefixSet) -> _Members:
    return _Members(tuple(map(_bounded, prefixes.boxes)), prefixes.is_rest)


def _bounded(box: Box) -> _Bounded:
    length = box.cidr[0]
    spare = len(box.cidr) * 8 - 8 - length
    place = _Place(int.from_bytes(box.cidr[1:], "big") >> spare, length)
    return _Bounded(place, max(box.low, length), box.high)


def _outside(
    place: _Place, inner: _Members, outer: tuple[_Members, ...], width: int
) -> Nlri | None:
    if not inner.boxes and not inner.is_rest:
        return None
    if not any(members.branches_below(place) for members in (inner, *outer)):
        return next(_outside_by_length(place, inner, outer, range(place.length, width + 1)), None)
    found = next(_outside_by_length(place, inner, outer, (place.length,)), None)
    for half in place.halves() if found is None else ():
        found = _outside(half, inner.at(half), tuple(each.at(half) for each in outer), width)
        if found is not None:
            break
    return found


def _outside_by_length(
    place: _Place, inner: _Members, outer: tuple[_Members, ...], lengths: Sequence[int]
) -> Iterator[Nlri]:
    for length in lengths:
        if inner.has(place, length) and not any(members.has(place, length) for members in outer):
            yield place.prefix(length)
