"""Which AS numbers a peer may have whose own is only learnt from its OPEN.

The text of the key ``wren.bgp/asRange`` is a list of numbers and ranges, or says which AS a peer
has by what it is to us:

    64512-65534,4200000000-4294967294
    external

AS 0 is nobody's (RFC 7607) and 23456 stands for any number of four octets (RFC 6793 §9), so neither
may be in a range.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from speaker.config.scalars import MAX_AS, ScalarError, parse_asn

AsRanges: TypeAlias = tuple[tuple[int, int], ...]
"""The first and the last AS number of each range, ascending, with gaps between them."""

AS_TRANS = 23456


class Relation(StrEnum):
    """What peers are to us, where that says which AS they have."""

    EXTERNAL = "external"
    """Any AS but our own."""
    INTERNAL = "internal"
    """Our own."""


def parse_as_ranges(text: str) -> AsRanges | Relation:
    """Read the value of the key.

    Raises:
        ScalarError: it makes no sense.
    """
    words = [word.strip() for word in text.split(",")]
    if len(words) == 1 and words[0].lower() in tuple(Relation):
        return Relation(words[0].lower())
    return _merged(sorted(map(_range, words)))


def _range(word: str) -> tuple[int, int]:
    first, dash, last = (part.strip() for part in word.partition("-"))
    try:
        low = parse_asn(first)
        high = parse_asn(last) if dash else low
    except ScalarError:
        raise ScalarError(
            "value", f"{word!r} is no AS number, no range 64512-65534, external nor internal"
        ) from None
    if low > high:
        raise ScalarError("value", f"{word}: the first AS number is above the last")
    if low == 0:
        raise ScalarError("value", f"{word}: AS 0 is reserved (RFC 7607)")
    if low <= AS_TRANS <= high:
        around = show_as_ranges(_without((low, high), AS_TRANS))
        instead = f"; write {around}" if around else ""
        raise ScalarError("value", f"{word}: AS {AS_TRANS} is nobody's (RFC 6793){instead}")
    return low, high


def _merged(ranges: list[tuple[int, int]]) -> AsRanges:
    found: list[tuple[int, int]] = []
    for low, high in ranges:
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)


def _without(whole: tuple[int, int], asn: int) -> AsRanges:
    low, high = whole
    return tuple((a, b) for a, b in ((low, asn - 1), (asn + 1, high)) if a <= b)


def settled(asns: AsRanges | Relation, local_asn: int) -> AsRanges:
    """Give the numbers that are meant, for a session on which we have an AS."""
    if asns is Relation.INTERNAL:
        return ((local_asn, local_asn),)
    if asns is Relation.EXTERNAL:
        taken = sorted({AS_TRANS, local_asn})
        edges = zip((0, *taken), (*taken, MAX_AS + 1), strict=True)
        return tuple((low + 1, high - 1) for low, high in edges if low + 1 <= high - 1)
    return asns


def has_as(ranges: AsRanges, asn: int) -> bool:
    """Tell whether an AS number is in one of the ranges."""
    return any(low <= asn <= high for low, high in ranges)


def representatives(ranges: AsRanges, local_asn: int) -> tuple[int, ...]:
    """Give an AS number of others and our own, as far as they are in the ranges."""
    others = [asn for low, high in ranges for asn in (low, high) if asn != local_asn]
    return (*others[:1], *((local_asn,) if has_as(ranges, local_asn) else ()))


def show_as_ranges(ranges: AsRanges) -> str:
    """Write ranges as the key has them."""
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
