"""Watching a directory: one call for each edit, however it is made.

Watching is by inotify, with a look at a signature of the directory once a second besides: that
finds a directory that was replaced, and works where inotify does not. Edits that come in quick
succession are one edit. The directory may vanish and come back, or not be there yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

SETTLE_MS = 50
"""How long nothing must happen until an edit counts as finished."""

LONGEST_EDIT_MS = 1_000
"""Until then an edit that goes on and on is read all the same."""

LOOK_MS = 1_000
"""How often signatures are compared besides."""


async def edits(path: Path, signature: Callable[[Path], object]) -> AsyncIterator[None]:
    """Yield once at the start and once for each change of a directory.

    Args:
        path: the directory.
        signature: gives what changes when something in it does.
    """
    # Looked at before it is read: an edit between the two must not be taken for seen.
    seen = signature(path)
    yield None
    while True:
        async for noticed in _watch(path):
            now = signature(path)
            # An event without a visible change is believed too: times have a resolution.
            if noticed or now != seen:
                seen = now
                yield None
        await asyncio.sleep(LOOK_MS / 1000)


async def _watch(path: Path) -> AsyncIterator[bool]:
    """Yield True after events and False now and then; end when the directory is another one."""
    before = _identity(path)
    yield False
    if before is None:
        return
    # Imported here: who reads a directory once, or has yet to read it, need not wait for it.
    from watchfiles import awatch

    try:
        async for events in awatch(
            path,
            debounce=LONGEST_EDIT_MS,
            step=SETTLE_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            watch_filter=None,
            recursive=True,
            ignore_permission_denied=True,
        ):
            yield bool(events)
            if _identity(path) != before:
                return
    except (FileNotFoundError, OSError):
        # It vanished between the look and the watch; the caller looks again.
        return


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell one directory from another of the same name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
