"""In which order files of tests are given out to processes that run beside each other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

LONG = 50
"""How many tests take the time of one that has daemons to bring up, or is heavy, about."""


def longest_first(items: list[pytest.Item]) -> None:
    """Put the files that take the most time first, so that none is left alone at the end."""
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += LONG if _is_long(item) else 1
    items.sort(key=lambda item: -weights[item.path])


def _is_long(item: pytest.Item) -> bool:
    marks = ("netns", "interop", "heavy")
    return any(item.get_closest_marker(name) is not None for name in marks)
