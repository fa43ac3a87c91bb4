"""An operator's program, run for each change of a BGP session and of BFD.

    sessions, BFD ── Notices ── Hook ── at most `AT_ONCE` runs ── `speaker.hook_program`

The event loop never waits for it: runs are in threads. For one peer there is one run at a time, in
the order in which things happened. What happens meanwhile is told together: of several changes of a
kind the last one counts, and if that leads back to what was told before, nothing is told. So a peer
that comes and goes costs one run at a time, and the last that is told is how it stands.

Failures are logged, the same program's not more often than each `QUIET` seconds, and a condition
says so for as long as the last run has failed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

from speaker import log
from speaker.clock import Clock
from speaker.config.conditions import Condition, Gravity
from speaker.hook_program import Outcome, kill, run
from speaker.notices import BfdChanged, Notice, SessionDown, SessionEstablished

AT_ONCE = 4
"""Runs at the same time, of different peers."""

LIMIT = 30.0
"""Seconds that a run may take."""

QUIET = 60.0
"""Seconds after a failure was logged in which others are only counted."""

FAREWELL = 5.0
"""Seconds that runs have when the router ends."""

Runner: TypeAlias = Callable[
    [Path, Mapping[str, str], bytes, float, Callable[[int], None]], Outcome
]


class House(Protocol):
    """What is asked of the router."""

    clock: Clock

    def listen_to_notices(self, *kinds: type[Notice]) -> AsyncIterator[Notice]:
        """Follow what happens."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the program is told.

    Attributes:
        event: ``session`` or ``bfd``.
        peer: name of the peer; of several with one address, separated by blanks.
        old, new: ``up`` or ``down``.
        reason: in words, empty if there is nothing to say.
        failed: of BFD: it went down, and nobody has ended it on purpose.
        time: seconds since the epoch, when it happened.
        skipped: changes before it that were not told, since another run was under way.
    """

    event: str
    peer: str
    address: str
    old: str
    new: str
    reason: str
    failed: bool
    time: float
    skipped: int = 0

    def as_json(self, node: str) -> dict[str, object]:
        """Give it as plain data."""
        moment = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {
            "event": self.event,
            "node": node,
            "peer": self.peer,
            "address": self.address,
            "old": self.old,
            "new": self.new,
            "reason": self.reason,
            "failed": self.failed,
            "time": moment.replace("+00:00", "Z"),
            "skipped": self.skipped,
        }


def environment_of(told: Mapping[str, object]) -> dict[str, str]:
    """Give the same for a program that reads no JSON: ``WREN_EVENT``, ``WREN_PEER`` and so on."""
    return {f"WREN_{name.upper()}": _text(value) for name, value in told.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "".join(c if c.isprintable() else "?" for c in str(value))


class Hook:
    """Has the program run.

    Args:
        program: its path.
        node: our name.
        clock: of the router.
        runner: runs it; blocks.
    """

    def __init__(self, program: Path, node: str, clock: Clock, runner: Runner = run) -> None:
        self._program = program
        self._node = node
        self._clock = clock
        self._runner = runner
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hook")
        self._states: dict[tuple[str, str], str] = {}
        # Of those that BFD has told of, by address: a peer that has gone is not named any more.
        self._names: dict[str, str] = {}
        self._skipped: dict[tuple[str, str], int] = {}
        # By address; in it by event, in the order in which things happened.
        self._waiting: dict[str, dict[str, Change]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._pids: dict[str, int] = {}
        self._failure: Outcome | None = None
        self._logged_at: float | None = None
        self._unlogged = 0

    async def follow(self, house: House) -> None:
        """Follow a router until it ends."""
        async for notice in house.listen_to_notices(SessionEstablished, SessionDown, BfdChanged):
            self.heed(notice)

    def heed(self, notice: Notice) -> None:
        """Take what has happened."""
        change = self._change_of(notice)
        if change is None:
            return
        key = change.address, change.event
        if self._states.get(key, "down") == change.new:
            return
        self._states[key] = change.new
        waiting = self._waiting.setdefault(change.address, {})
        before = waiting.pop(change.event, None)
        if before is not None:
            change = replace(change, old=before.old, skipped=before.skipped + 1)
        else:
            change = replace(change, skipped=self._skipped.pop(key, 0))
        if change.old != change.new:
            waiting[change.event] = change
        else:
            self._skipped[key] = change.skipped + 1
        self._start()

    def _change_of(self, notice: Notice) -> Change | None:
        now = self._clock.wall()
        match notice:
            case SessionEstablished(peer, address):
                return Change("session", peer, address, "down", "up", "", False, now)
            case SessionDown(peer, address, reason):
                return Change("session", peer, address, "up", "down", reason, False, now)
            case BfdChanged(address, peers, is_up, failed, diagnostic):
                old, new = ("down", "up") if is_up else ("up", "down")
                names = " ".join(peers) or self._names.get(address, "")
                self._names[address] = names
                return Change("bfd", names, address, old, new, diagnostic, failed, now)
            case _:
                return None

    def _start(self) -> None:
        """Run what waits, as far as there is room."""
        for address, waiting in list(self._waiting.items()):
            if not waiting:
                del self._waiting[address]
            elif address not in self._running and len(self._running) < AT_ONCE:
                change = waiting.pop(next(iter(waiting)))
                loop = asyncio.get_running_loop()
                self._running[address] = loop.create_task(self._run(change))

    async def _run(self, change: Change) -> None:
        told = change.as_json(self._node)
        outcome = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            self._runner,
            self._program,
            environment_of(told),
            json.dumps(told).encode() + b"\n",
            LIMIT,
            partial(self._pids.__setitem__, change.address),
        )
        self._pids.pop(change.address, None)
        del self._running[change.address]
        self._judge(change, outcome)
        self._start()

    def _judge(self, change: Change, outcome: Outcome) -> None:
        """Log a failure, unless one was just logged; and that it works again."""
        if outcome.succeeded:
            if self._failure is not None:
                log.hook_works(str(self._program))
            self._failure, self._logged_at = None, None
            return
        self._failure = outcome
        now = self._clock.now()
        if self._logged_at is not None and now - self._logged_at < QUIET:
            self._unlogged += 1
            return
        what = f"{change.event} of {change.address} {change.new}"
        log.hook_failed(str(self._program), what, str(outcome), self._unlogged)
        self._logged_at, self._unlogged = now, 0

    def conditions(self) -> Iterator[Condition]:
        """Say that the last run has failed."""
        if self._failure is not None:
            message = f"the last run of {self._program} has failed: {self._failure}"
            yield Condition(f"Node/{self._node}", Gravity.WARNING, "HookFails", message)

    async def close(self) -> None:
        """Let runs end, and what waits for them be told; not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                while self._running:
                    await asyncio.wait(self._running.values())
        self._waiting.clear()
        for pid in list(self._pids.values()):
            kill(pid)
        await asyncio.gather(*self._running.values())
        self._threads.shutdown(wait=False)
