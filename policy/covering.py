"""Which of a set of prefixes cover a given one.

`Covering` is made once of (prefix, value) pairs. For each prefix of the set it joins the values of
all that cover it (itself and the less specific ones) into one result, made by a function of the
caller. A question costs one dict look-up per length in the set, longest first: the first hit is the
answer, since it already contains what all shorter ones have to say. Sets have thousands of members
but only a handful of lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from policy.prefix import Nlri

Value = TypeVar("Value")
Result = TypeVar("Result")


class Covering(Generic[Value, Result]):
    """What a set of prefixes says about any prefix.

    Args:
        pairs: prefix and value, canonical and of one family; prefixes may repeat.
        join: makes the result for one prefix of the set, of itself and the values of all that cover
            it, in the order of the pairs.
    """

    __slots__ = ("_tables",)

    def __init__(
        self,
        pairs: Iterable[tuple[Nlri, Value]],
        join: Callable[[Nlri, tuple[Value, ...]], Result],
    ) -> None:
        own: dict[Nlri, list[tuple[int, Value]]] = {}
        for index, (nlri, value) in enumerate(pairs):
            own.setdefault(nlri, []).append((index, value))
        # Shorter first, so that each finds what it inherits complete.
        members: dict[int, dict[int, list[tuple[int, Value]]]] = {}
        self._tables: list[tuple[int, dict[int, Result]]] = []
        for nlri in sorted(own):
            inherited = _longest(reversed(members.items()), nlri) or []
            found = sorted(inherited + own[nlri], key=lambda item: item[0])
            length = nlri[0]
            if length not in members:
                members[length] = {}
                self._tables.insert(0, (length, {}))
            key = _bits(nlri) >> _spare(nlri)
            members[length][key] = found
            self._tables[0][1][key] = join(nlri, tuple(value for _, value in found))

    # hot: per prefix
    def find(self, nlri: Nlri) -> Result | None:
        """Give the result of the longest prefix of the set that covers, or None."""
        length = nlri[0]
        bits = int.from_bytes(nlri[1:], "big")
        size = len(nlri) * 8 - 8
        for own, table in self._tables:
            if own <= length:
                found = table.get(bits >> size - own)
                if found is not None:
                    return found
        return None


def _longest(
    tables: Iterable[tuple[int, dict[int, list[tuple[int, Value]]]]], nlri: Nlri
) -> list[tuple[int, Value]] | None:
    """Find what the longest shorter prefix has gathered; the tables come longest first."""
    bits, size = _bits(nlri), len(nlri) * 8 - 8
    for length, table in tables:
        if length < nlri[0]:
            found = table.get(bits >> size - length)
            if found is not None:
                return found
    return None


def _bits(nlri: Nlri) -> int:
    return int.from_bytes(nlri[1:], "big")


def _spare(nlri: Nlri) -> int:
    return len(nlri) * 8 - 8 - nlri[0]
