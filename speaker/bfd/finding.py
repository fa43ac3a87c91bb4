"""How a speaker comes to its BFD process: it goes on with one that is there, or starts one.

A process whose speaker is gone waits at its door (`speaker.bfd.door`) with its sessions Up. One of
our own version is adopted: nothing changes for its peers. One of another version gives its sessions
to a new process, which is running by then, so that peers miss a packet at the most; if it does not
answer, it is killed, and the sessions come up anew.

A process of another network namespace, or one that serves another speaker, is none of ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speaker import __version__, log
from speaker.bfd.door import NAME, caller_of, is_trusted
from speaker.bfd.fate import outlives_us
from speaker.bfd.words import MAX_LINE, PROTOCOL, decode_line, encode_line
from speaker.privileges.nursery import spawn

ANSWER_TIMEOUT = 2.0
"""Seconds that a process may take to answer."""

START_TIMEOUT = 20.0
"""Seconds that a new one may take to run."""

LONGEST = MAX_LINE * 16

_ROOT = str(Path(__file__).resolve().parents[2])

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from speaker.bfd.loop import main; main(int(sys.argv[2]), sys.argv[3])"
)


@dataclass(slots=True)
class Found:
    """A process, and our end of what joins us with it.

    Attributes:
        reader: what it says.
        writer: what we say.
        ready: its first word.
        formers: what it needs of the sessions that another process had, by their names.
        ended: its exit status, when it is known; None where it is no child of ours.
        pid: its number here; 0 where it cannot be seen.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ready: dict[str, Any]
    formers: dict[str, list[Any] | None] = field(default_factory=dict)
    ended: asyncio.Future[int] | None = None
    pid: int = 0


class Finder:
    """Finds or starts the process.

    Args:
        run_dir: whose process is adopted, and where ours waits for the next speaker; None where it
            has to end with us.

    Attributes:
        starts: how many processes were started.
    """

    def __init__(self, run_dir: Path | None = None) -> None:
        self._path = None if run_dir is None else run_dir.resolve() / NAME
        self.starts = 0

    async def find(self) -> Found:
        """Go on with a process that is there, or start one.

        Raises:
            OSError: it cannot be started, or is another speaker's.
        """
        former = await self._call()
        if former is None:
            return await self._start()
        told = former.ready
        if told["taken"]:
            former.writer.close()
            raise BlockingIOError(f"process {told['pid']} serves another speaker")
        if (told["protocol"], told["version"]) == (PROTOCOL, __version__):
            former.writer.write(encode_line("adopt"))
            log.bfd_process_adopted(told["pid"])
            return former
        try:
            found = await self._start()
        except OSError:
            # It goes on meanwhile.
            former.writer.close()
            raise
        found.formers = await _give(former)
        log.bfd_process_replaced(told["pid"], str(told["version"]))
        return found

    async def _call(self) -> Found | None:
        """Call the process that is there; None if there is none that may be ours."""
        if self._path is None:
            return None
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=LONGEST)
        except OSError:
            return None
        pid, uid = caller_of(writer.get_extra_info("socket"))
        ready = await _first_line(reader, writer) if is_trusted(uid) else None
        space = os.stat("/proc/thread-self/ns/net")
        if ready is None or ready.get("namespace") != [space.st_dev, space.st_ino]:
            writer.close()
            return None
        return Found(reader, writer, ready, pid=pid)

    async def _start(self) -> Found:
        """Start a process, and wait until it runs.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        path = "" if self._path is None or not outlives_us() else str(self._path)
        with theirs:
            descriptor = theirs.fileno()
            command = [sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT, str(descriptor), path]
            try:
                process = spawn(
                    command,
                    pass_fds=(descriptor,),
                    stdin=subprocess.DEVNULL,
                    # What ends us and all that is ours in a terminal is not meant for it.
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self.starts += 1
        ended = _end_of(process)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LONGEST)
        except BaseException:
            ours.close()
            raise
        ready = await _first_line(reader, writer, START_TIMEOUT)
        if ready is None:
            writer.close()
            raise ChildProcessError("it does not answer")
        log.bfd_process_started(ready["scheduling"])
        return Found(reader, writer, ready, ended=ended, pid=process.pid)


async def _first_line(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float = ANSWER_TIMEOUT
) -> dict[str, Any] | None:
    """Wait for the first word of a process; whoever gives up meanwhile hangs up."""
    try:
        return await _line_of(reader, seconds)
    except BaseException:
        writer.close()
        raise


async def _line_of(
    reader: asyncio.StreamReader, seconds: float = ANSWER_TIMEOUT
) -> dict[str, Any] | None:
    """Wait for a line; None if none comes that says anything."""
    with suppress(TimeoutError, ConnectionError, ValueError):
        async with asyncio.timeout(seconds):
            return decode_line(await reader.readline())
    return None


async def _give(former: Found) -> dict[str, list[Any] | None]:
    """Have a process give its sessions, and end; one that does not is killed."""
    former.writer.write(encode_line("give"))
    given = await _line_of(former.reader)
    former.writer.close()
    if given is not None and given.get("word") == "given":
        return dict(given["formers"])
    kill(former.pid)
    return {}


def kill(pid: int) -> None:
    """Kill a process that does not answer, if it can be seen."""
    if pid > 0:
        # Any other number would mean more than one process, ourselves perhaps.
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _end_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """Wait for a process to end, in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def tell(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    def wait() -> None:
        status = process.wait()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, status)

    threading.Thread(target=wait, name="bfd-process", daemon=True).start()
    return ended
