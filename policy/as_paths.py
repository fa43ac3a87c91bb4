"""AS_PATHs as operations change them: an AS in the place of another, and private ones left out.

Standards: RFC 4364 §7 (the AS of a site that is connected twice), RFC 6996 (private AS numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from policy.attributes import SegmentType, segments

_U32 = Struct("!I")
_PRIVATE = (range(64512, 65535), range(4200000000, 4294967295))
_SETS = (SegmentType.AS_SET, SegmentType.AS_CONFED_SET)
_CONFEDERATION = (SegmentType.AS_CONFED_SEQUENCE, SegmentType.AS_CONFED_SET)


def is_private(asn: int) -> bool:
    """Tell whether an AS number is for private use (RFC 6996 §5)."""
    return any(asn in numbers for numbers in _PRIVATE)


def overridden(value: bytes, asn: int, by: int) -> bytes:
    """Put one AS number in the place of another, wherever it stands."""
    return _each(value, lambda number: by if number == asn else number)


def without_private(
    value: bytes, *, everywhere: bool, spared: int = 0, replacement: int | None = None
) -> bytes:
    """Leave out private AS numbers, outside of confederations.

    Args:
        value: of an AS_PATH, AS numbers in four octets.
        everywhere: not only those that stand before the first public one.
        spared: stays, so that who has that number recognises its own routes.
        replacement: stands where they stood; None for nothing.
    """
    leading = True

    def kept(number: int) -> int | None:
        nonlocal leading
        if not is_private(number):
            leading = False
        elif number != spared and (leading or everywhere):
            return replacement
        return number

    return _each(value, kept)


def _each(value: bytes, change: Callable[[int], int | None]) -> bytes:
    """Change number by number; what becomes None is left out, and a segment of which none stays."""
    parts = []
    for kind, numbers in segments(value):
        made: list[int] = []
        for number in numbers:
            found = number if kind in _CONFEDERATION else change(number)
            if found is not None and not (kind in _SETS and found in made):
                made.append(found)
        if made:
            parts.append(bytes((kind, len(made))) + b"".join(map(_U32.pack, made)))
    return b"".join(parts)
