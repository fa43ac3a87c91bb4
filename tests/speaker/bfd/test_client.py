"""The speaker's half: what it makes of the process's words, and of its death."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fsm.bfd import Settings
from speaker.bfd import client as client_module
from speaker.bfd.client import POLLS, BfdClient, Verdict
from speaker.bfd.finding import kill
from speaker.bfd.words import Watch
from tests.support.netns import in_namespace

LEFT = Watch("left", "127.0.0.1", "127.0.0.1", settings=Settings(50_000, 50_000, 3))


def said(state: str, downs: int = 0, **more: Any) -> dict[str, Any]:
    usual = {"name": "left", "state": state, "downs": downs, "diagnostic": 0}
    return {
        **usual,
        "remoteState": "Up",
        "former": None,
        "independent": False,
        "lasted": 0.0,
        "number": None,
        **more,
    }


def client() -> tuple[BfdClient, list[Verdict]]:
    told: list[Verdict] = []
    return BfdClient(told.append), told


UP = Verdict("left", is_up=True, failed=False, diagnostic=0)
FAILED = Verdict("left", is_up=False, failed=True, diagnostic=0)


def test_a_session_that_left_up_has_failed() -> None:
    bfd, told = client()
    for state in ("Init", "Up", "Down"):
        bfd._heed(said(state))
    assert told == [UP, FAILED]


def test_one_that_never_was_up_has_not() -> None:
    bfd, told = client()
    for state in ("Init", "Down"):
        bfd._heed(said(state))
    assert told == []


def test_one_that_fell_and_came_back_unread_has_failed() -> None:
    bfd, told = client()
    bfd._heed(said("Up"))
    bfd._heed(said("Up", 1))
    assert told == [UP, FAILED, UP]


def test_a_peer_that_ends_it_on_purpose_has_not_failed() -> None:
    bfd, told = client()
    bfd._heed(said("Up"))
    bfd._heed(said("Down", 1, remoteState="AdminDown"))
    assert [verdict.failed for verdict in told] == [False, False]


def test_for_how_long_a_session_has_been_up_is_told() -> None:
    """It goes on while one speaker follows another."""
    bfd, told = client()
    bfd._heed(said("Up", lasted=40.0))
    assert [verdict.lasted for verdict in told] == [40.0]


def test_a_process_after_one_that_died_numbers_its_packets_on() -> None:
    """RFC 5880 §6.7.3: neither again nor far ahead; jitter takes up to a quarter."""
    bfd, _ = client()
    bfd._heed(said("Up", former=[7, "00", 5.0, None]))
    assert bfd._numbered("left") == [7, "00", 5.0, None]
    bfd._hear({"word": "sequences", "numbers": {"left": [2**32 - 5, 150_000, 100.0]}})
    bfd._died_at = 100.85
    assert bfd._numbered("left") == [7, "00", 5.0, 8 + POLLS - 5]


def test_whether_bfd_shares_a_fate_is_told_with_a_failure() -> None:
    bfd, told = client()
    bfd._heed(said("Up", independent=True))
    bfd._heed(said("Down", 1, independent=True))
    assert [verdict.independent for verdict in told] == [True, True]


async def becomes(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  (it asks another process)
            await asyncio.sleep(0.02)


def alone(body: Callable[[BfdClient, list[Verdict]], Awaitable[None]]) -> None:
    """Watch ourselves: a packet to our own address comes back to the session that sent it."""

    async def whole() -> None:
        bfd, told = client()
        bfd.watch(LEFT)
        try:
            await body(bfd, told)
        finally:
            await bfd.close()

    asyncio.run(whole())


async def is_up(bfd: BfdClient) -> bool:
    return (await state(bfd)).get("state") == "Up"


async def state(bfd: BfdClient) -> dict[str, Any]:
    shown = await bfd.show()
    return {} if shown is None else {**shown["process"], **(shown["sessions"] or [{}])[0]}


@in_namespace
def test_a_session_comes_up_on_real_sockets() -> None:
    async def body(bfd: BfdClient, told: list[Verdict]) -> None:
        await becomes(lambda: is_up(bfd))
        assert [verdict.is_up for verdict in told] == [True]
        shown = await state(bfd)
        assert (shown["state"], shown["trouble"]) == ("Up", "")

    alone(body)


@in_namespace
def test_a_process_that_dies_is_started_again_and_nobody_is_down() -> None:
    async def body(bfd: BfdClient, told: list[Verdict]) -> None:
        await becomes(lambda: is_up(bfd))
        pid = (await state(bfd))["pid"]
        os.kill(pid, signal.SIGKILL)

        async def is_another() -> bool:
            shown = await state(bfd)
            return shown.get("state") == "Up" and shown["pid"] != pid

        await becomes(is_another)
        assert bfd.starts == 2
        assert [verdict for verdict in told if not verdict.is_up] == []

    alone(body)


@in_namespace
def test_a_process_that_hangs_is_killed_and_another_one_goes_on() -> None:
    words: list[str] = []

    async def body(bfd: BfdClient, told: list[Verdict]) -> None:
        hear = bfd._hear

        def note(said: dict[str, Any]) -> None:
            words.append(said["word"])
            hear(said)

        async def has_answered() -> bool:
            return words.count("alive") >= 3

        patched.setattr(bfd, "_hear", note)
        await becomes(lambda: is_up(bfd))
        pid = (await state(bfd))["pid"]
        # As long as it answers it lives on, and for longer than two answers may take.
        await becomes(has_answered)
        assert (bfd.starts, (await state(bfd))["pid"]) == (1, pid)
        os.kill(pid, signal.SIGSTOP)

        async def is_another() -> bool:
            shown = await state(bfd)
            return shown.get("state") == "Up" and shown["pid"] != pid

        await becomes(is_another)
        assert bfd.starts == 2
        assert [verdict for verdict in told if not verdict.is_up] == []

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(client_module, "ASKED", 0.3)
        alone(body)


@pytest.mark.parametrize("pid", [0, -1])
def test_a_process_that_cannot_be_seen_is_not_killed(
    pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives in another container; to the system these numbers mean us, or everybody."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    kill(pid)
    assert killed == []


@pytest.mark.parametrize("known", [True, False])
def test_unwatching_is_quiet(known: bool) -> None:
    bfd, told = client()
    if known:
        bfd._heed(said("Up"))
        told.clear()
    bfd.unwatch("left")
    assert told == []
