"""Memory goes back to the system when it is not needed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from speaker.memory import give_back


def resident() -> int:
    """Give the pages that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library")
def test_what_the_c_library_keeps_is_given_back() -> None:
    # Small enough for the heap, too large for Python's own arenas; the last one holds its top.
    blocks = [bytes(4000) for _ in range(20_000)]
    last = blocks[-1]
    full = resident()
    del blocks
    assert give_back()
    assert full - resident() > 10_000
    assert len(last) == 4000


MAPPED = """
import resource
from pathlib import Path
from speaker.memory import map_tables

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

assert map_tables()
del (lesson := [bytearray(8 << 20)])[:]
blocks = [bytearray(4 << 20) for _ in range(8)]
last, full = blocks[-1], resident()
del blocks
print(full - resident() >> 20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
def test_a_large_block_goes_back_at_once_whatever_was_freed_before() -> None:
    """Else the C library keeps it: one as large was freed before, and the last is in the way."""
    done = subprocess.run(
        [sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= 27
