"""How a stop is measured: several rounds, each on tables made anew; the report takes the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import pytest

T = TypeVar("T")
ROUNDS = 5


class Measure(Protocol):
    """See `measure`."""

    def __call__(
        self, count: int, unit: str, work: Callable[[T], object], setup: Callable[[], T]
    ) -> None: ...


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """Time work on what a setup has made, and note how many units that were."""

    def run(count: int, unit: str, work: Callable[[T], object], setup: Callable[[], T]) -> None:
        benchmark.extra_info.update(count=count, unit=unit)
        benchmark.pedantic(
            work, setup=lambda: ((setup(),), {}), rounds=ROUNDS, warmup_rounds=1, iterations=1
        )

    return run
