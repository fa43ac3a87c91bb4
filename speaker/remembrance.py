"""Keeps in a file whose sessions are up, for the next run to know for whom it waits.

The file is written in a thread, once for all that changes while it is being written; so a kill
loses the last moments at the most. At a planned end it is left as it is before the sessions end.
Where it cannot be written, as on a full disk, that is said once and tried again; what stands there
meanwhile is what was true before.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from speaker import log
from speaker.datastore import sessions_up
from speaker.errors import ConfigError
from speaker.recovery import PeersUp
from speaker.speaker import Speaker


def recalled(run_dir: Path) -> PeersUp | None:
    """Give whose sessions were up when the last run ended; None if that is not known."""
    try:
        return sessions_up.load(run_dir)
    except ConfigError as error:
        log.not_remembered(str(error))
        return None


RETRY = 10.0
"""Seconds after which a file that could not be written is tried again, if nothing has changed."""


class Remembrance:
    """Follows a router's sessions.

    Args:
        run_dir: where the file is.
        router: whose sessions they are.
    """

    def __init__(self, run_dir: Path, router: Speaker) -> None:
        self._run_dir = run_dir
        self._router = router
        self._changed = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._failed = False

    def follow(self) -> None:
        """Write down what is, and every change from now on."""
        self._changed.set()
        self._router.followers.append(self._changed.set)
        self._writing = asyncio.create_task(self._write())

    async def close(self, *, forget: bool) -> None:
        """Follow no more.

        Args:
            forget: the next run has nobody to wait for.
        """
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if forget:
            await asyncio.to_thread(sessions_up.forget, self._run_dir)

    async def _write(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY if self._failed else None):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await asyncio.to_thread(sessions_up.save, self._run_dir, self._router.peers_up())
            except ConfigError as error:
                # Said once, not for every session that comes and goes on a full disk.
                if not self._failed:
                    log.not_remembered(str(error))
                self._failed = True
                continue
            if self._failed:
                log.remembered_again()
            self._failed = False
