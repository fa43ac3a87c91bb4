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

from fsm.family import Family
from speaker import log
from speaker.datastore import sessions_up
from speaker.errors import ConfigError
from speaker.recovery import FAMILIES, PeersUp
from speaker.speaker import Speaker

RETRY = 10.0
"""Seconds after which a file that could not be written is tried again, if nothing has changed."""


def recalled(run_dir: Path) -> PeersUp | None:
    """Give whose sessions were up when the last run ended; None if that is not known."""
    try:
        return sessions_up.load(run_dir)
    except ConfigError as error:
        log.not_remembered(str(error))
        return None


def peers_up(router: Speaker) -> PeersUp:
    """Tell whose sessions are up, for which families, and of whom End-of-RIB can be awaited.

    Who is still waited for after a restart counts too: the next one may come before he does.
    """
    found: dict[str, dict[Family, bool]] = {}
    for peer in router.peers.values():
        if peer.tables is not None:
            told = peer.tables.negotiated
            ended = told.marked_families
            found[peer.name] = {f: f in ended for f in FAMILIES if f in told.families}
    for family, names in router.recovery.waiting().items():
        for name in names:
            told_before = found.setdefault(name, {})
            told_before.setdefault(family, router.recovery.is_deferring(family))
    return found


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
                await asyncio.to_thread(sessions_up.save, self._run_dir, peers_up(self._router))
            except ConfigError as error:
                # Said once, not for every session that comes and goes on a full disk.
                if not self._failed:
                    log.not_remembered(str(error))
                self._failed = True
                continue
            if self._failed:
                log.remembered_again()
            self._failed = False
