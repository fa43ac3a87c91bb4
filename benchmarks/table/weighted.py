"""Drawing from a table of weights, the same draw for the same generator on every machine."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Mapping


class Weighted:
    """Values that are drawn in proportion to their weights.

    Args:
        weights: by value.
    """

    def __init__(self, weights: Mapping[int, float]) -> None:
        self._values = list(weights)
        self._sums = list(itertools.accumulate(weights.values()))

    def pick(self, generator: random.Random) -> int:
        """Draw one."""
        return self._values[bisect.bisect(self._sums, generator.random() * self._sums[-1])]
