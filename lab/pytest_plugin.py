"""The pytest fixture ``lab_up``: laboratories for tests of one's own.

Installed with Wren, found by pytest itself. A test asks for ``lab_up`` and calls it with a
topology, as text or as a file; every lab it made is taken down when the test ends, however it
ends::

    def test_my_router(lab_up):
        rack = lab_up(Path("topology.yaml"))
        rack.wait_established()

Each lab gets a name of its own, so that tests may run beside each other. This module is the only
one of ``lab`` that needs pytest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from lab.lab import Lab
from lab.topology_file import loads

LabUp: TypeAlias = Callable[[str | Path], Lab]
"""What the fixture gives: brings a topology up and returns the lab."""

_numbers = count()


def fresh_name() -> str:
    """Make a name that no other lab of this machine has now."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"t{os.getpid()}-{worker}-{next(_numbers)}"


def named_afresh(text: str, base: Path | None = None) -> Lab:
    """Make a lab of a topology under a name of its own; it is not up yet.

    Args:
        text: the topology; a name in it does not count.
        base: where relative datastores start.
    """
    return Lab(replace(loads(text, base=base), name=fresh_name()))


@pytest.fixture
def lab_up() -> Iterator[LabUp]:
    """Bring labs up for this test; all are taken down after it."""
    with ExitStack() as labs:

        def up(topology: str | Path) -> Lab:
            if isinstance(topology, Path):
                text, base = topology.read_text(encoding="utf-8"), topology.resolve().parent
            else:
                text, base = topology, None
            return labs.enter_context(named_afresh(text, base))

        yield up
