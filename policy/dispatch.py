"""Which of many rules about prefixes decides: the first that holds, found without trying them all.

A `PrefixCondition` says that a prefix lies within a network and is of a length between two bounds,
or that it does not. Every condition that a rule can make on a prefix is one of these: a prefix is
equal to a network where it lies within it and is of its length.

So what the first of a list of rules is depends on two things: which of their networks cover the
prefix, and its length. `Dispatch` finds the longest network that covers (`policy.covering`), and
with it all others that do; there the lengths are few, and each is decided once. A question costs
one look-up for each length that a network of the rules has, and one for the prefix's own, however
many rules there are. Where no network is longer than two octets even these are remembered by the
octets with which longer prefixes begin, since a table has thousands of prefixes for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from policy.covering import Covering
from policy.prefix import Nlri

Decided = TypeVar("Decided")


@dataclass(frozen=True, slots=True)
class PrefixCondition:
    """A condition on a prefix.

    Attributes:
        cidr: the network, canonical.
        low: bits that the prefix has at least.
        high: and at most.
        holds: for a prefix within and of such a length; otherwise for every other one.
    """

    cidr: Nlri
    low: int
    high: int
    holds: bool = True


class _Place(dict[int, Decided], Generic[Decided]):
    """What is decided for prefixes within some networks, by their length.

    Args:
        dispatch: whose.
        covering: the rules whose networks cover, as numbers, ascending.
    """

    __slots__ = ("_covering", "_dispatch")

    def __init__(self, dispatch: Dispatch[Decided], covering: tuple[int, ...]) -> None:
        super().__init__()
        self._dispatch = dispatch
        self._covering = covering

    def __missing__(self, length: int) -> Decided:
        decided = self[length] = self._dispatch.work_out(self._covering, length)
        return decided


class _Known(dict[bytes, _Place[Decided]], Generic[Decided]):
    """What is decided for prefixes that begin with some octets."""

    __slots__ = ("_dispatch",)

    def __init__(self, dispatch: Dispatch[Decided]) -> None:
        super().__init__()
        self._dispatch = dispatch

    def __missing__(self, beginning: bytes) -> _Place[Decided]:
        place = self[beginning] = self._dispatch.begin(beginning)
        return place


BEGINNING = 2
"""Octets by which places are remembered."""

_NONE_SO_LONG = 129


class Dispatch(Generic[Decided]):
    """The first rule that holds.

    Args:
        rules: condition and decision, in the order in which they are tried.
        otherwise: the decision where none holds.
    """

    __slots__ = (
        "_covering",
        "_known",
        "_negative",
        "_nowhere",
        "_otherwise",
        "_rules",
        "_shortest",
    )

    def __init__(
        self, rules: Sequence[tuple[PrefixCondition, Decided]], otherwise: Decided
    ) -> None:
        self._rules = tuple(rules)
        self._otherwise = otherwise
        # These hold wherever their network does not cover.
        self._negative = tuple(n for n, (one, _) in enumerate(self._rules) if not one.holds)
        self._nowhere = _Place(self, ())
        self._covering = Covering(
            ((condition.cidr, number) for number, (condition, _) in enumerate(self._rules)),
            lambda _, numbers: _Place(self, numbers),
        )
        longest = max((condition.cidr[0] for condition, _ in self._rules), default=0)
        # What the octets behind these bits are makes no difference to which networks cover.
        self._shortest = 8 * BEGINNING if longest <= 8 * BEGINNING else _NONE_SO_LONG
        self._known = _Known(self)

    # hot: per prefix
    def decide(self, nlris: list[Nlri]) -> list[Decided]:
        """Give what is decided for each prefix."""
        known, shortest, end = self._known, self._shortest, BEGINNING + 1
        return [
            (known[nlri[1:end]] if nlri[0] >= shortest else self._place(nlri))[nlri[0]]
            for nlri in nlris
        ]

    def _place(self, nlri: Nlri) -> _Place[Decided]:
        found = self._covering.find(nlri)
        return self._nowhere if found is None else found

    def begin(self, beginning: bytes) -> _Place[Decided]:
        """Find what is decided for prefixes that begin with so many octets and are no shorter."""
        return self._place(bytes((8 * len(beginning),)) + beginning)

    def work_out(self, covering: tuple[int, ...], length: int) -> Decided:
        """Decide for prefixes of a length that lie within the networks of these rules alone."""
        first = next((n for n in self._negative if n not in covering), len(self._rules))
        for number in covering:
            if number > first:
                break
            condition, decided = self._rules[number]
            if (condition.low <= length <= condition.high) is condition.holds:
                return decided
        return self._otherwise if first == len(self._rules) else self._rules[first][1]
