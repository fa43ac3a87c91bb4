"""The edit that is rolled back unless somebody confirms it.

Before a command writes such an edit it asks for it to be held: what the files hold is noted in the
run directory (`speaker.datastore.unconfirmed`), so that neither the end of the command nor a
restart of the daemon matters. The edit is rolled back when its time is over; at once when it takes
away the last session that was established; and when it resets that one, and none is up again soon.
There is one such edit at a time.

Rolling back writes files and nothing else: the datastore is watched, and what is put back is an
edit like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from speaker import log
from speaker.clock import Alarm
from speaker.control.protocol import ControlError
from speaker.control.views import RolledBackView, UnconfirmedView
from speaker.datastore.unconfirmed import Unconfirmed, forget
from speaker.errors import ConfigError
from speaker.notices import SessionDown, SessionEstablished
from speaker.speaker import Speaker

RETURN = 15.0
"""Seconds in which a session has to be up again where an edit has reset the last one."""

RETRY = 10.0
"""Seconds after which files that could not be put back are tried again."""

LONGEST = 7 * 86_400.0
"""Seconds that an edit may await confirmation."""


class Confirmation:
    """Holds the edit that awaits confirmation, if there is one.

    Args:
        router: whose sessions are watched.
        datastore: whose files are put back.
        run_dir: where the state is kept.
    """

    def __init__(self, router: Speaker, datastore: Path, run_dir: Path) -> None:
        self._router = router
        self._datastore = datastore
        self._run_dir = run_dir
        self._held: Unconfirmed | None = None
        self._busy = False
        self._due = 0.0
        # Until when a session has to be up again, where none is.
        self._return_by: float | None = None
        self._were_up: set[str] = set()
        self._alarm = Alarm(router.clock, self._ring)
        self._free = asyncio.Event()
        self._free.set()
        self._watcher: asyncio.Task[None] | None = None
        self._rolling: asyncio.Task[list[str]] | None = None

    def resume(self, held: Unconfirmed) -> None:
        """Go on with an edit that the last run has held."""
        clock = self._router.clock
        # Whatever became of the wall clock meanwhile, no more time than there was.
        rest = min(held.within, max(0.0, held.deadline - clock.wall()))
        self._begin(held, rest)

    async def hold(self, request: dict[str, Any]) -> UnconfirmedView:
        """Note what an edit is about to change.

        Args:
            request: ``within``, seconds; ``files``, each with ``name`` below the datastore and the
                digests ``before`` and ``after`` of its text, empty where there is none.

        Raises:
            ControlError: another one awaits confirmation, the time makes no sense, or the files
                could not be put back.
        """
        if self._held is not None or self._busy:
            raise ControlError(
                "another edit awaits confirmation",
                "'wren confirm' keeps it, 'wren rollback' takes it back",
            )
        within = request.get("within")
        if not isinstance(within, int | float) or not 0 < within <= LONGEST:
            raise ControlError(f"{within} s is no time to confirm an edit in", "up to 7 days are")
        deadline = self._router.clock.wall() + within
        files = request.get("files") or ()
        held = await self._undisturbed(asyncio.to_thread(self._note, files, deadline, within))
        self._begin(held, within)
        log.edit_held(len(held.files), within)
        view = self.view()
        assert view is not None
        return view

    def _note(self, files: Any, deadline: float, within: float) -> Unconfirmed:
        held = Unconfirmed.of(self._datastore, files, deadline, within)
        held.save(self._run_dir)
        return held

    async def _undisturbed(self, work: Awaitable[Unconfirmed]) -> Unconfirmed:
        self._busy = True
        try:
            return await work
        except (ConfigError, KeyError, TypeError) as error:
            hint = error.hint if isinstance(error, ConfigError) else ""
            message = error.message if isinstance(error, ConfigError) else f"not a file: {error}"
            raise ControlError(message, hint) from None
        finally:
            self._busy = False

    async def confirm(self, request: dict[str, Any]) -> UnconfirmedView:
        """Keep the edit.

        Raises:
            ControlError: none awaits confirmation, or it is being rolled back.
        """
        view = self.view()
        if view is None or self._rolling is not None:
            raise _nothing(rolling=self._rolling is not None)
        self._end()
        log.edit_confirmed()
        await asyncio.to_thread(forget, self._run_dir)
        return view

    async def roll_back(self, request: dict[str, Any]) -> RolledBackView:
        """Put the files back now.

        Raises:
            ControlError: no edit awaits confirmation, or the files cannot be written.
        """
        view = self.view()
        if view is None or self._rolling is not None:
            raise _nothing(rolling=self._rolling is not None)
        self._roll_back("somebody asked for it")
        assert self._rolling is not None
        try:
            left = await asyncio.shield(self._rolling)
        except ConfigError as error:
            raise ControlError(error.message, error.hint) from None
        return {"files": view["files"], "left": left}

    def view(self) -> UnconfirmedView | None:
        """Tell of the edit that awaits confirmation; None if there is none."""
        if self._held is None:
            return None
        rest = max(0.0, self._due - self._router.clock.now())
        files = [file.name for file in self._held.files]
        return {"files": files, "deadline": self._held.deadline, "remaining": rest}

    async def settled(self, file: Path) -> None:
        """Wait while a file is held: who writes into it meanwhile keeps it from being put back."""
        while self._holds(file):
            await self._free.wait()

    def _holds(self, file: Path) -> bool:
        held = () if self._held is None else self._held.files
        return any((self._datastore / each.name).resolve() == file.resolve() for each in held)

    async def close(self) -> None:
        """Watch no more; what is held stays held for the next run."""
        self._alarm.end()
        if self._watcher is not None:
            self._watcher.cancel()
        tasks = [task for task in (self._watcher, self._rolling) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, held: Unconfirmed, rest: float) -> None:
        self._held = held
        self._free.clear()
        self._due = self._router.clock.now() + rest
        self._return_by = None
        self._were_up = self._up()
        self._alarm.set(self._due)
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def _end(self) -> None:
        self._held = None
        self._free.set()
        self._alarm.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def _up(self) -> set[str]:
        peers = self._router.peers.values()
        return {peer.plan.address for peer in peers if peer.is_established}

    async def _watch(self) -> None:
        """Look at the sessions whenever one comes up or goes down."""
        async with aclosing(self._router.listen_to_notices()) as notices:  # type: ignore[type-var]  # a generator
            async for notice in notices:
                if isinstance(notice, SessionDown | SessionEstablished):
                    self._look()

    def _look(self) -> None:
        up = self._up()
        self._were_up |= up
        if up:
            self._return_by = None
        elif self._were_up and self._held is not None and self._rolling is None:
            if not self._were_up & {peer.plan.address for peer in self._router.peers.values()}:
                self._roll_back("it took the last established session away")
            elif self._return_by is None:
                self._return_by = self._router.clock.now() + RETURN
                self._alarm.set(min(self._return_by, self._due))

    def _ring(self) -> None:
        now = self._router.clock.now()
        if self._held is None or self._rolling is not None:
            return
        if now >= self._due:
            self._roll_back("it was not confirmed in time")
        elif self._return_by is not None and now >= self._return_by:
            self._roll_back(f"no session was up again {RETURN:g} s after the last one had ended")
        else:
            self._alarm.set(self._due if self._return_by is None else self._return_by)

    def _roll_back(self, why: str) -> None:
        assert self._held is not None
        loop = asyncio.get_running_loop()
        self._rolling = loop.create_task(self._put_back(self._held, why))
        # Whoever asked hears of an error; else it is in the log.
        self._rolling.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _put_back(self, held: Unconfirmed, why: str) -> list[str]:
        try:
            left = await asyncio.to_thread(put_back, held, self._datastore, self._run_dir, why)
        except ConfigError as error:
            log.edit_not_rolled_back(str(error))
            self._due = self._router.clock.now() + RETRY
            self._rolling = None
            self._alarm.set(self._due)
            raise
        self._rolling = None
        self._end()
        return left


def put_back(held: Unconfirmed, datastore: Path, run_dir: Path, why: str) -> list[str]:
    """Roll an edit back, for good.

    Returns:
        The names of files that were edited since, and are left as they are.

    Raises:
        ConfigError: the files cannot be written; the edit is still held.
    """
    left = held.put_back(datastore)
    forget(run_dir)
    log.edit_rolled_back(why, left)
    return left


def taken_up(datastore: Path, run_dir: Path, wall: float) -> Unconfirmed | None:
    """Find the edit that the last run has held; one whose time is over is rolled back.

    Args:
        datastore: whose files are put back.
        run_dir: where the state is kept.
        wall: the time, seconds since 1970.
    """
    try:
        held = Unconfirmed.load(run_dir)
        if held is None or wall < held.deadline:
            return held
        put_back(held, datastore, run_dir, "it was not confirmed in time")
    except ConfigError as error:
        log.edit_not_rolled_back(str(error))
    return None


def _nothing(*, rolling: bool) -> ControlError:
    if rolling:
        return ControlError("the edit is being rolled back")
    return ControlError("no edit awaits confirmation", "'wren apply --confirm-within 2m' makes one")
