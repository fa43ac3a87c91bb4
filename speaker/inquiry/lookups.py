"""Looks into tables that say what else matters to a prefix, none of which walks a whole one.

What covers a prefix is found by trying the lengths above it. What is inside it cannot be found by
length alone where there may be many lengths; a table of a few thousand prefixes is looked through,
and of a larger one only the next lengths, and a part of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import chain, islice
from typing import NamedTuple

from fsm.family import Afi
from policy.prefix import WIDTH, Nlri, address_of, covers, pack

LOOKED_THROUGH = 5_000
"""Prefixes of a table that are looked at one by one, for those inside another."""

DEEPER = 11
"""Lengths below a prefix that are tried one by one in a larger table: so many bits are 4094
prefixes.
"""


class Inside(NamedTuple):
    """Prefixes inside another.

    Attributes:
        found: those that were found, in order.
        complete: there are no others.
    """

    found: list[Nlri]
    complete: bool


def longest(afi: Afi, address: bytes, length: int, has: Callable[[Nlri], bool]) -> Nlri | None:
    """Find the longest prefix of at most a length that covers an address and is there."""
    prefixes = (pack(afi, address, bits) for bits in range(length, -1, -1))
    return next(filter(has, prefixes), None)


def covering(afi: Afi, nlri: Nlri, has: Callable[[Nlri], bool]) -> Nlri | None:
    """Find the longest prefix that covers another, is not itself, and is there."""
    if nlri[0] == 0:
        return None
    return longest(afi, address_of(afi, nlri), nlri[0] - 1, has)


def inside(afi: Afi, nlri: Nlri, table: Collection[Nlri]) -> Inside:
    """Find prefixes of a table that are inside another; not all of them in a large table."""
    end = 1 + (nlri[0] >> 3)
    octets = nlri[1:end]
    # Whole octets first: that is quick, and tells nearly all apart.
    some = (each for each in islice(table, LOOKED_THROUGH) if each[1:end] == octets)
    found = {each for each in some if each[0] > nlri[0] and covers(nlri, each)}
    if len(table) <= LOOKED_THROUGH:
        return Inside(sorted(found), True)
    width = WIDTH[afi]
    deepest = min(width, nlri[0] + DEEPER)
    found.update(each for each in _below(afi, nlri, deepest) if each in table)
    return Inside(sorted(found), deepest == width)


def _below(afi: Afi, nlri: Nlri, deepest: int) -> chain[Nlri]:
    """Give every prefix inside another, down to a length."""
    octets = WIDTH[afi] >> 3
    base = int.from_bytes(address_of(afi, nlri), "big")
    return chain.from_iterable(
        (
            pack(afi, (base | number << WIDTH[afi] - length).to_bytes(octets, "big"), length)
            for number in range(1 << length - nlri[0])
        )
        for length in range(nlri[0] + 1, deepest + 1)
    )
