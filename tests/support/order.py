"""In which order files of tests are given out to processes that run beside each other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

IN_A_LAB = 50
"""How many tests take the time of one that has daemons or namespaces to bring up, about."""


def longest_first(items: list[pytest.Item]) -> None:
    """Put the files that take the most time first, so that none is left alone at the end."""
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += IN_A_LAB if _has_lab(item) else 1
    items.sort(key=lambda item: -weights[item.path])


def _has_lab(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in ("netns", "interop"))
