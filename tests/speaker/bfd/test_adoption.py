"""One speaker after another goes on with the process, and no session notices."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsm.bfd import Authentication, AuthType, Settings
from lab.processes import identify
from speaker.bfd import finding
from speaker.bfd.client import BfdClient, Verdict
from speaker.bfd.words import Watch
from tests.support.netns import needs_namespaces, run_in_namespace

pytestmark = [pytest.mark.netns, needs_namespaces]

# A packet to our own address comes back to the session that sent it.
KEPT = Watch("left", "127.0.0.1", "127.0.0.1", settings=Settings(50_000, 50_000, 20), keep=60.0)
AUTHENTIC = Authentication(AuthType.METICULOUS_KEYED_SHA1, {1: b"secret"}, 1)
SAME = ("since", "downs", "discriminator", "remoteDiscriminator")


def client(run_dir: Path) -> tuple[BfdClient, list[Verdict]]:
    told: list[Verdict] = []
    return BfdClient(told.append, run_dir), told


async def becomes(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  (it asks another process)
            await asyncio.sleep(0.02)


async def state(bfd: BfdClient) -> dict[str, Any]:
    shown = await bfd.show()
    return {} if shown is None else {**shown["process"], **(shown["sessions"] or [{}])[0]}


async def is_up(bfd: BfdClient) -> bool:
    return (await state(bfd)).get("state") == "Up"


async def is_running(bfd: BfdClient) -> bool:
    return bool(await state(bfd))


async def is_gone(pid: int) -> bool:
    return identify(pid) is None


async def is_empty(run_dir: Path) -> bool:
    return not os.listdir(run_dir)


def in_namespace(whole: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in a network namespace of its own."""
    run_in_namespace(lambda: asyncio.run(whole()))


def after_another(
    run_dir: Path, watch: Watch, body: Callable[[BfdClient, dict[str, Any]], Awaitable[None]]
) -> None:
    """Let a client that watches leave, and give another one what it had."""

    async def whole() -> None:
        first, _ = client(run_dir)
        first.watch(watch)
        await becomes(lambda: is_up(first))
        before = await state(first)
        await first.leave()
        second, told = client(run_dir)
        second.watch(watch)
        try:
            await body(second, before)
            assert [verdict for verdict in told if not verdict.is_up] == []
        finally:
            await second.close()

    in_namespace(whole)


def test_the_next_speaker_goes_on_with_the_process(tmp_path: Path) -> None:
    """RFC 5882 §4.3.1."""

    async def body(bfd: BfdClient, before: dict[str, Any]) -> None:
        await becomes(lambda: is_up(bfd))
        after = await state(bfd)
        assert [after[key] for key in ("pid", *SAME)] == [before[key] for key in ("pid", *SAME)]
        assert after["independent"]
        assert bfd.starts == 0

    after_another(tmp_path, KEPT, body)


@pytest.mark.parametrize("authentication", [None, AUTHENTIC])
def test_a_speaker_of_another_version_goes_on_with_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authentication: Authentication | None
) -> None:
    async def body(bfd: BfdClient, before: dict[str, Any]) -> None:
        await becomes(lambda: is_up(bfd))
        after = await state(bfd)
        assert after["pid"] != before["pid"]
        assert [after[key] for key in SAME] == [before[key] for key in SAME]
        await becomes(lambda: is_gone(before["pid"]))
        # And stays so when all that was kept of the last process is over.
        await asyncio.sleep(1.2 * after["detectionTimeUs"] / 1e6)
        assert (await state(bfd))["downs"] == 0

    async def later(bfd: BfdClient, before: dict[str, Any]) -> None:
        monkeypatch.setattr(finding, "__version__", "another")
        await body(bfd, before)

    settings = replace(KEPT.settings, authentication=authentication)
    after_another(tmp_path, replace(KEPT, settings=settings), later)


def test_a_process_of_another_run_directory_is_somebody_elses(tmp_path: Path) -> None:
    async def whole() -> None:
        first, _ = client(tmp_path / "first")
        second, _ = client(tmp_path / "second")
        first.watch(KEPT)
        await becomes(lambda: is_up(first))
        pid = (await state(first))["pid"]
        await first.leave()
        second.watch(KEPT)
        await becomes(lambda: is_running(second))
        shown = await second.show()
        assert shown is not None
        assert shown["process"]["pid"] != pid
        # There is one pair of ports, and the other one has it.
        assert "address already in use" in shown["process"]["trouble"]
        assert identify(pid) is not None
        await second.close()
        os.kill(pid, signal.SIGKILL)

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    in_namespace(whole)


def test_a_process_waits_no_longer_for_the_next_speaker_than_was_said(tmp_path: Path) -> None:
    async def whole() -> None:
        bfd, _ = client(tmp_path)
        bfd.watch(replace(KEPT, keep=0.5))
        await becomes(lambda: is_up(bfd))
        pid = (await state(bfd))["pid"]
        await bfd.leave()
        await becomes(lambda: is_gone(pid))
        assert await is_empty(tmp_path)

    in_namespace(whole)


def test_a_process_that_serves_somebody_is_nobody_elses(tmp_path: Path) -> None:
    async def whole() -> None:
        first, told = client(tmp_path)
        second, _ = client(tmp_path)
        first.watch(KEPT)
        await becomes(lambda: is_up(first))
        with pytest.raises(OSError, match="serves another speaker"):
            await second._finder.find()
        assert [verdict for verdict in told if not verdict.is_up] == []
        assert (await state(first))["state"] == "Up"
        await first.close()

    in_namespace(whole)


def test_a_process_that_is_ended_by_hand_is_started_again(tmp_path: Path) -> None:
    async def whole() -> None:
        bfd, _ = client(tmp_path)
        bfd.watch(KEPT)
        await becomes(lambda: is_up(bfd))
        pid = (await state(bfd))["pid"]
        os.kill(pid, signal.SIGTERM)

        async def is_another() -> bool:
            shown = await state(bfd)
            return shown.get("state") == "Up" and shown["pid"] != pid

        await becomes(is_another)
        await becomes(lambda: is_gone(pid))
        await bfd.close()

    in_namespace(whole)
