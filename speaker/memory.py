"""Giving memory back to the system.

Python frees objects as soon as nobody names them, and whole arenas once they are empty; what comes
from the C library's heap stays there, unless it is asked (``malloc_trim``). That is worth it after
tables have become much smaller, and at no other time.

The C library learns from what is freed: once a table of 20 MB has gone, the next one is cut from
the heap and no longer from the system, and leaves holes there as it grows. `map_tables` has every
large block come from the system and go back to it at once, so that a second full table needs no
more at its peak than the first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

LARGE = 1 << 20
"""Octets from which on a block is the system's own."""

TOP = 16 << 20
"""Octets that may lie free at the end of the heap: what is short-lived comes and goes there."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def map_tables() -> bool:
    """Have large blocks mapped one by one; False where that cannot be asked for."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE) and mallopt(_M_TRIM_THRESHOLD, TOP))


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Find the C library's function; None where it has none (musl)."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return found


def give_back() -> bool:
    """Give free memory back to the system; False where that cannot be asked for."""
    trim = _malloc_trim()
    if trim is None:
        return False
    trim(0)
    return True
