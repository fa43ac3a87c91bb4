"""One router for all tests of a module: what a message leaves behind would hurt those after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.bench import Bench
from tests.support.routers import Town


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[asyncio.Runner, Bench]]:
    with asyncio.Runner() as runner:
        town = Town()

        async def build() -> Bench:
            await town.__aenter__()
            return await Bench.build(town)

        around = runner.run(build())
        yield runner, around
        runner.run(around.close())
        runner.run(town.__aexit__(None))
