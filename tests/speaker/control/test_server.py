"""The daemon's end, over a real socket: answers, streams, and clients that misbehave."""

# ruff: noqa: ASYNC240 - nobody else waits while a test looks at its own directory

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from speaker.control.access import Access
from speaker.control.protocol import MAX_REQUEST, ControlError
from speaker.control.server import MAX_CLIENTS, ControlServer, Handler


def echo(args: dict[str, Any]) -> dict[str, Any]:
    return {"echo": args}


async def later(args: dict[str, Any]) -> str:
    await asyncio.sleep(0)
    return "later"


def refuse(args: dict[str, Any]) -> None:
    raise ControlError("no such peer: x", "there is y")


def numbers(args: dict[str, Any]) -> Iterator[int]:
    yield from range(args["count"])


async def letters(args: dict[str, Any]) -> AsyncIterator[str]:
    for letter in "abc":
        yield letter


def broken_stream(args: dict[str, Any]) -> Iterator[int]:
    yield 1
    raise ControlError("the table changed", "ask again")


def bug(args: dict[str, Any]) -> None:
    raise ZeroDivisionError


HANDLERS: Mapping[str, Handler] = {
    "echo": echo,
    "later": later,
    "refuse": refuse,
    "numbers": numbers,
    "letters": letters,
    "broken": broken_stream,
    "bug": bug,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "wren.sock"


@asynccontextmanager
async def connected(
    path: Path,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield reader, writer
    finally:
        writer.close()


async def talk(path: Path, *lines: bytes) -> list[Any]:
    """Send lines, say that there are no more, and give all that comes back."""
    async with connected(path) as (reader, writer):
        writer.write(b"".join(line + b"\n" for line in lines))
        writer.write_eof()
        return [json.loads(line) for line in (await reader.read()).splitlines()]


@pytest.mark.asyncio
async def test_a_handler_gets_the_arguments_and_its_value_is_the_result(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        answers = await talk(path, b'{"command": "echo", "name": "r1"}')
    assert answers == [{"ok": True, "result": {"echo": {"name": "r1"}}}]


@pytest.mark.asyncio
async def test_a_handler_may_be_a_coroutine(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        assert await talk(path, b'{"command": "later"}') == [{"ok": True, "result": "later"}]


@pytest.mark.asyncio
async def test_requests_of_one_connection_are_answered_in_order(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        answers = await talk(path, b'{"command": "later"}', b"", b'{"command": "echo"}')
    assert [answer["result"] for answer in answers] == ["later", {"echo": {}}]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("request_line", "items"),
    [
        (b'{"command": "numbers", "count": 3}', [0, 1, 2]),
        (b'{"command": "numbers", "count": 0}', []),
        (b'{"command": "letters"}', ["a", "b", "c"]),
    ],
)
async def test_an_iterator_becomes_a_stream_with_an_end(
    path: Path, request_line: bytes, items: list[Any]
) -> None:
    async with ControlServer(path, HANDLERS):
        answers = await talk(path, request_line)
    assert answers == [*({"ok": True, "item": item} for item in items), {"ok": True, "end": True}]


@pytest.mark.asyncio
async def test_a_control_error_is_the_answer(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        answers = await talk(path, b'{"command": "refuse"}')
    assert answers == [{"ok": False, "error": "no such peer: x", "hint": "there is y"}]


@pytest.mark.asyncio
async def test_a_control_error_ends_a_stream(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        answers = await talk(path, b'{"command": "broken"}')
    assert answers == [
        {"ok": True, "item": 1},
        {"ok": False, "error": "the table changed", "hint": "ask again"},
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"show protocols", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no such command: None"),
        (b'{"command": "nosuch"}', "no such command: 'nosuch'"),
        (b'{"command": ["echo"]}', "no such command: ['echo']"),
    ],
)
async def test_nonsense_is_refused_and_the_connection_stays(
    path: Path, line: bytes, error: str
) -> None:
    async with ControlServer(path, HANDLERS):
        refused, answered = await talk(path, line, b'{"command": "later"}')
    assert refused["ok"] is False
    assert error in refused["error"]
    assert answered == {"ok": True, "result": "later"}


@pytest.mark.asyncio
async def test_a_request_that_is_too_long_is_refused(path: Path) -> None:
    async with ControlServer(path, HANDLERS), connected(path) as (reader, writer):
        writer.write(b"x" * (4 * MAX_REQUEST))
        answer = json.loads(await reader.readline())
        assert answer["error"] == f"a request is longer than {MAX_REQUEST} bytes"


@pytest.mark.asyncio
async def test_a_bug_is_told_to_the_loop_and_costs_one_connection(path: Path) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with ControlServer(path, HANDLERS):
        assert await talk(path, b'{"command": "bug"}') == []
        assert await talk(path, b'{"command": "later"}') == [{"ok": True, "result": "later"}]
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_is_dropped(path: Path) -> None:
    large = "x" * 1_000_000
    closed = asyncio.Event()

    async def flood(args: dict[str, Any]) -> AsyncIterator[str]:
        try:
            for _ in range(1000):
                yield large
        finally:
            closed.set()

    async with (
        ControlServer(path, {"flood": flood}, send_timeout=0.05),
        connected(path) as (_, writer),
    ):
        writer.write(b'{"command": "flood"}\n')
        await closed.wait()


@pytest.mark.asyncio
async def test_a_client_that_goes_away_in_the_middle_ends_its_stream(path: Path) -> None:
    closed = asyncio.Event()

    def endless(args: dict[str, Any]) -> Iterator[str]:
        try:
            while True:
                yield "x" * 100_000
        finally:
            closed.set()

    async with ControlServer(path, {"endless": endless}):
        async with connected(path) as (reader, writer):
            writer.write(b'{"command": "endless"}\n')
            await reader.readexactly(10)
        await closed.wait()


@pytest.mark.asyncio
async def test_an_idle_client_is_dropped(path: Path) -> None:
    async with (
        ControlServer(path, HANDLERS, idle_timeout=0.05),
        connected(path) as (reader, _),
    ):
        assert await reader.read() == b""


@pytest.mark.asyncio
async def test_more_clients_than_allowed_are_sent_away(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        # One after the other: the backlog of the socket may be smaller than all of them.
        others = []
        for _ in range(MAX_CLIENTS):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b'{"command": "later"}\n')
            await reader.readline()
            others.append(writer)
        async with connected(path) as (reader, _):
            assert json.loads(await reader.readline())["error"] == "too many clients"
        for writer in others:
            writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("access", "mode"),
    [
        (Access(), 0o600),
        (Access(os.getegid()), 0o660),
        (Access(everybody_looks=True), 0o666),
        (Access(os.getegid(), everybody_looks=True), 0o666),
    ],
)
async def test_the_mode_of_the_socket_says_who_may_and_it_goes_with_the_server(
    path: Path, access: Access, mode: int
) -> None:
    async with ControlServer(path, HANDLERS, access=access):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_gid == os.getegid()
    assert not path.exists()


@pytest.mark.asyncio
async def test_closing_drops_clients_and_may_be_repeated(path: Path) -> None:
    server = ControlServer(path, HANDLERS)
    await server.start()
    async with connected(path) as (reader, writer):
        writer.write(b'{"command": "later"}\n')
        await reader.readline()
        await server.close()
        await server.close()
        assert await reader.read() == b""


@pytest.mark.asyncio
async def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with ControlServer(path, HANDLERS):
        assert await talk(path, b'{"command": "later"}') == [{"ok": True, "result": "later"}]


@pytest.mark.asyncio
async def test_a_living_daemon_keeps_its_socket(path: Path) -> None:
    async with ControlServer(path, HANDLERS):
        with pytest.raises(ControlError, match="another Wren daemon runs") as refused:
            await ControlServer(path, HANDLERS).start()
        assert "--run-dir" in refused.value.hint
        assert await talk(path, b'{"command": "later"}') == [{"ok": True, "result": "later"}]


@pytest.mark.asyncio
async def test_a_socket_that_somebody_replaced_is_left_alone(path: Path) -> None:
    server = ControlServer(path, HANDLERS)
    await server.start()
    path.rename(path.with_name("old"))
    async with ControlServer(path, HANDLERS):
        await server.close()
        assert await talk(path, b'{"command": "later"}') == [{"ok": True, "result": "later"}]


@pytest.mark.asyncio
async def test_a_file_in_the_way_is_not_removed(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ControlError, match="something else is in its place"):
        await ControlServer(path, HANDLERS).start()
    assert path.read_text() == "precious"


@pytest.mark.asyncio
async def test_a_run_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "wren.sock"
    with pytest.raises(ControlError, match="cannot make the control socket") as refused:
        await ControlServer(path, HANDLERS).start()
    assert str(path) in refused.value.message
