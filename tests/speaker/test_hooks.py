"""When an operator's program is run, and what it is told; its runs are made up here."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from fsm.negotiation import Negotiated
from speaker.clock import Clock
from speaker.hook_program import Outcome
from speaker.hooks import AT_ONCE, QUIET, Hook
from speaker.notices import BfdChanged, SessionDown, SessionEstablished
from tests.support.routers import Sayings, on_uvloop, until

UP = SessionEstablished("tor", "192.0.2.1", cast(Negotiated, None))
DOWN = SessionDown("tor", "192.0.2.1", "hold timer")
GONE = BfdChanged("192.0.2.1", ("tor",), False, True, "Control Detection Time Expired")
SEEN = BfdChanged("192.0.2.1", ("tor",), True, False, "")


class Now(Clock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 0.25


class Runs:
    """Runs that last until they are let go."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.environments: list[Mapping[str, str]] = []
        self.outcome = Outcome(0)
        self.free = threading.Event()
        self.free.set()
        self.at_once = self.most = 0
        self._lock = threading.Lock()
        self.clock = Now()
        self.hook = Hook(Path("/bin/hook"), "n1", self.clock, self.run)

    def run(
        self,
        program: Path,
        environment: Mapping[str, str],
        told: bytes,
        limit: float,
        started: Callable[[int], None],
    ) -> Outcome:
        with self._lock:
            self.told.append(json.loads(told))
            self.environments.append(environment)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.free.wait(30)
        with self._lock:
            self.at_once -= 1
        return self.outcome

    @property
    def changes(self) -> list[tuple[str, str, str, int]]:
        return [(told["event"], told["old"], told["new"], told["skipped"]) for told in self.told]

    async def settled(self) -> None:
        self.free.set()
        await until(lambda: not self.hook._running and not self.hook._waiting)


@on_uvloop
async def test_a_program_is_told_all_of_a_change() -> None:
    runs = Runs()
    for notice in (SEEN, UP, GONE, DOWN):
        runs.hook.heed(notice)
        await runs.settled()
    assert runs.told[3] == {
        "event": "session",
        "node": "n1",
        "peer": "tor",
        "address": "192.0.2.1",
        "old": "up",
        "new": "down",
        "reason": "hold timer",
        "failed": False,
        "time": "1970-01-01T00:00:00.250Z",
        "skipped": 0,
    }
    assert runs.environments[2]["WREN_EVENT"] == "bfd"
    assert runs.environments[2]["WREN_FAILED"] == "1"
    assert runs.environments[2]["WREN_REASON"] == "Control Detection Time Expired"
    assert set(runs.environments[2]) == {f"WREN_{name.upper()}" for name in runs.told[2]}
    await runs.hook.close()


@on_uvloop
async def test_one_peer_has_one_run_at_a_time_in_order() -> None:
    runs = Runs()
    runs.free.clear()
    runs.hook.heed(SEEN)
    await until(lambda: runs.told)
    for notice in (UP, GONE, DOWN):
        runs.hook.heed(notice)
    await runs.settled()
    assert runs.most == 1
    # The session came up and went down again while BFD was told: nothing of that is left to tell.
    assert runs.changes == [("bfd", "down", "up", 0), ("bfd", "up", "down", 0)]
    await runs.hook.close()


@on_uvloop
async def test_of_several_changes_the_last_counts() -> None:
    runs = Runs()
    runs.free.clear()
    runs.hook.heed(UP)
    await until(lambda: runs.told)
    for notice in (DOWN, UP, DOWN):
        runs.hook.heed(notice)
    await runs.settled()
    assert runs.changes == [("session", "down", "up", 0), ("session", "up", "down", 2)]
    await runs.hook.close()


@on_uvloop
async def test_a_peer_that_has_gone_keeps_its_name() -> None:
    runs = Runs()
    for notice in (SEEN, BfdChanged("192.0.2.1", (), False, False, "Administratively Down")):
        runs.hook.heed(notice)
        await runs.settled()
    assert [(told["peer"], told["failed"]) for told in runs.told] == [("tor", False)] * 2
    await runs.hook.close()


@on_uvloop
async def test_what_is_said_twice_is_told_once() -> None:
    runs = Runs()
    for notice in (DOWN, SEEN, SEEN):
        runs.hook.heed(notice)
        await runs.settled()
    assert runs.changes == [("bfd", "down", "up", 0)]
    await runs.hook.close()


@on_uvloop
async def test_few_runs_are_made_at_once() -> None:
    runs = Runs()
    runs.free.clear()
    for number in range(AT_ONCE * 5):
        runs.hook.heed(SessionEstablished("p", f"192.0.2.{number}", cast(Negotiated, None)))
    await until(lambda: len(runs.told) == AT_ONCE)
    await runs.settled()
    assert runs.most == AT_ONCE
    assert len(runs.told) == AT_ONCE * 5
    await runs.hook.close()


@contextmanager
def said() -> Iterator[Sayings]:
    sayings, logger = Sayings(), logging.getLogger("wren")
    level = logger.level
    logger.addHandler(sayings)
    logger.setLevel(logging.DEBUG)
    try:
        yield sayings
    finally:
        logger.setLevel(level)
        logger.removeHandler(sayings)


@on_uvloop
async def test_failures_are_logged_now_and_then_and_shown_until_it_works() -> None:
    runs = Runs()
    with said() as sayings:
        runs.outcome = Outcome(3, "no VIP")
        for notice in (UP, DOWN, UP):
            runs.hook.heed(notice)
            await runs.settled()
        [failed] = sayings.of("hook_failed")
        assert failed["sentence"] == (
            "hook /bin/hook for session of 192.0.2.1 up: exit status 3: no VIP"
        )
        runs.clock.at += QUIET
        runs.hook.heed(DOWN)
        await runs.settled()
        assert sayings.of("hook_failed")[1]["sentence"].endswith(
            "2 failures before it were not logged"
        )
        [condition] = runs.hook.conditions()
        assert condition.reason == "HookFails"
        assert condition.message.endswith("has failed: exit status 3: no VIP")
        runs.outcome = Outcome(0)
        for notice in (UP, DOWN):
            runs.hook.heed(notice)
            await runs.settled()
        assert len(sayings.of("hook_works")) == 1
        assert list(runs.hook.conditions()) == []
    await runs.hook.close()


@pytest.mark.parametrize("reason", ["two\nlines", "nul\0", "esc\x1b[2J"])
@on_uvloop
async def test_what_a_peer_says_does_no_harm(reason: str) -> None:
    runs = Runs()
    for notice in (UP, SessionDown("tor", "192.0.2.1", reason)):
        runs.hook.heed(notice)
        await runs.settled()
    assert runs.told[1]["reason"] == reason
    assert runs.environments[1]["WREN_REASON"].isprintable()
    await runs.hook.close()
