"""The room that tables take.

CPython's dictionaries never shrink: one that held a million prefixes keeps the room for them when
it is empty. `compacted` gives the same table in the room that it needs, where that is much less;
what it costs is bounded by what is left in the table.
"""

from __future__ import annotations

import sys
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

LEAST = 1 << 20
"""Octets below which a table may be as empty as it likes."""

EACH = 400
"""Octets of an entry, of which a dictionary needs about fifty, that make a table too large."""


def compacted(table: dict[_K, _V]) -> dict[_K, _V]:
    """Give the same entries, in the same order, in another dictionary if this one is too large."""
    if sys.getsizeof(table) < max(LEAST, EACH * len(table)):
        return table
    return dict(table)
