"""Who may do what at the control socket: others of this machine, as the kernel tells of them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from speaker.control.access import Access, Caller
from speaker.control.client import ask
from speaker.control.protocol import SOCKET_NAME
from speaker.control.server import MAX_CLIENTS, MAX_GUESTS, MAX_TURNED_AWAY, ControlServer
from tests.support.unprivileged import NOBODY, common_place, needs_root

ACCEPTED = 300
"""Connections that a loop may have accepted, in some turns, and not closed yet."""

HANDLERS = {"status": lambda _: "fine", "drain": lambda _: "done"}

ASK = """
import json, os, socket, sys
path, uid, groups, commands = json.loads(sys.argv[1])
os.setgroups(groups[1:])
os.setresgid(*[groups[0]] * 3)
os.setresuid(*[uid] * 3)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(path)
    lines = connection.makefile("rwb")
    for command in commands:
        lines.write(json.dumps({"command": command}).encode() + b"\\n")
    lines.flush()
    connection.shutdown(socket.SHUT_WR)
    print(json.dumps([json.loads(line) for line in lines]))
"""


def ask_as(path: Path, uid: int, groups: list[int], *commands: str) -> list[dict[str, Any]] | str:
    """Ask as another user; give the answers, or why no connection came about."""
    words = json.dumps([str(path), uid, groups, commands])
    argv = [sys.executable, "-I", "-c", ASK, words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.splitlines()[-1]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@contextmanager
def served(access: Access) -> Iterator[Path]:
    """Serve from a thread, at a place that everybody can get at."""
    ready, ends = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    with common_place() as place:
        path = place / SOCKET_NAME

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            async with ControlServer(path, HANDLERS, looks={"status"}, access=access):
                ready.set()
                await ends.wait()

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        assert ready.wait(10)
        try:
            yield path
        finally:
            loops[0].call_soon_threadsafe(ends.set)
            thread.join()


def answers_to(path: Path, uid: int, groups: list[int], *commands: str) -> list[dict[str, Any]]:
    answers = ask_as(path, uid, groups, *commands)
    assert isinstance(answers, list), answers
    return answers


def fine(path: Path, uid: int, groups: list[int], *commands: str) -> list[bool]:
    return [answer["ok"] for answer in answers_to(path, uid, groups, *commands)]


@needs_root
@pytest.mark.parametrize("groups", [[7], [NOBODY, 7], [NOBODY, *range(1, 120), 7]])
def test_members_of_the_group_may_change_things_and_are_logged(
    groups: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wren")
    with served(Access(7)) as path:
        assert path.stat().st_gid == 7
        assert fine(path, NOBODY, groups, "status", "drain") == [True, True]
    [told] = [line for line in caplog.messages if "is asked for by" in line]
    assert told.startswith(f"'drain' is asked for by nobody ({NOBODY}), process ")


@needs_root
@pytest.mark.parametrize("access", [Access(), Access(7)])
def test_all_others_are_turned_away_by_the_mode(access: Access) -> None:
    with served(access) as path:
        assert "Permission denied" in ask_as(path, NOBODY, [NOBODY], "status")
        # And by the daemon, should somebody have opened the file.
        path.chmod(0o666)
        [answer] = answers_to(path, NOBODY, [NOBODY], "status")
        assert answer["error"] == (
            f"nobody ({NOBODY}) may ask for nothing here, and asked for 'status'"
        )


@needs_root
def test_everybody_may_look_where_the_daemon_was_told_so_and_no_more() -> None:
    with served(Access(7, everybody_looks=True)) as path:
        looked, refused, unknown = answers_to(path, NOBODY, [NOBODY], "status", "drain", "nonsense")
        assert looked == {"ok": True, "result": "fine"}
        assert refused == {
            "ok": False,
            "error": f"nobody ({NOBODY}) may only look, and asked for 'drain'",
            "hint": "root and members of the group lp may",
        }
        assert unknown["error"] == "no such command: 'nonsense'"
        assert fine(path, NOBODY, [7], "drain") == [True]
        assert fine(path, 0, [0], "drain") == [True]


@needs_root
def test_guests_keep_nobody_else_out() -> None:
    """Those who may only look have a part of the connections."""
    with served(Access(everybody_looks=True)) as path:
        program = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
held = []
for number in range(int(sys.argv[2])):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
    held[-1].sendall(b'{"command": "status"}\\n')
print([each.recv(100).count(b"true") for each in held].count(1), flush=True)
sys.stdin.read()
"""
        argv = [sys.executable, "-I", "-c", program, str(path), str(MAX_CLIENTS)]
        pipes = subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipes, stdout=pipes, text=True) as guests:
            assert guests.stdout is not None
            assert int(guests.stdout.readline()) == MAX_GUESTS
            assert fine(path, 0, [0], "drain") == [True]
            guests.communicate()


@needs_root
def test_a_crowd_of_guests_takes_neither_room_nor_descriptors() -> None:
    """They come again and again, and hold on to what they have."""
    with served(Access(everybody_looks=True)) as path:
        program = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
print("ready", flush=True)
held = []
while True:
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
    if len(held) > 900:
        held.pop(0).close()
"""
        argv = [sys.executable, "-I", "-c", program, str(path)]
        most = len(os.listdir("/proc/self/fd")) + MAX_CLIENTS + MAX_TURNED_AWAY + ACCEPTED
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as crowd:
            assert crowd.stdout is not None
            try:
                crowd.stdout.readline()
                for _ in range(20):
                    assert ask(path.parent, "drain") == "done"
                    assert len(os.listdir("/proc/self/fd")) < most
            finally:
                crowd.kill()
        # Whoever came before has been let in by then.
        assert ask(path.parent, "drain") == "done"


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        caller = Caller.of(ours)
    assert (caller.pid, caller.uid) == (os.getpid(), os.geteuid())
    assert caller.groups == {os.getegid(), *os.getgroups()}
