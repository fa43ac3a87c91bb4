"""One run of an operator's program: what it gets, for how long, and how it ended.

There is no shell. The program gets an environment of its own, in which nothing of ours stands, one
JSON object on its standard input, and no descriptor of ours. What it writes to standard output goes
nowhere; the last line of standard error is kept for the log. Who is not done in time is killed with
all that it has started.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

_KEPT = 512
"""Octets of standard error that are remembered."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `str` is a sentence for people.

    Attributes:
        status: exit status; below 0 the number of the signal that killed it; None where it could
            not be started, or was not done in time.
        said: the last line of its standard error, or why it could not be started.
    """

    status: int | None
    said: str = ""
    is_late: bool = False

    @property
    def succeeded(self) -> bool:
        """The program says so."""
        return self.status == 0

    def __str__(self) -> str:
        if self.is_late:
            how = "it was not done in time, and was killed"
        elif self.status is None:
            how = "it cannot be started"
        elif self.status < 0:
            how = f"it was killed by signal {-self.status}"
        else:
            how = f"exit status {self.status}"
        return f"{how}: {self.said}" if self.said else how


def run(
    program: Path,
    environment: Mapping[str, str],
    told: bytes,
    limit: float,
    started: Callable[[int], None],
) -> Outcome:
    """Run a program to its end; this blocks, and belongs into a thread.

    Args:
        program: its path.
        environment: all of it, but for ``PATH``.
        told: what it reads on standard input; less than a pipe holds.
        limit: seconds that it has.
        started: called with the process id, which `kill` takes.
    """
    try:
        process = Popen(
            [str(program)],
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=PIPE,
            cwd="/",
            env={"PATH": PATH, **environment},
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(None, (error.strerror or str(error)).lower())
    started(process.pid)
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        with suppress(BrokenPipeError):
            process.stdin.write(told)
            process.stdin.flush()
        with suppress(BrokenPipeError):
            process.stdin.close()
        said, is_done = _listen(process.pid, process.stderr.fileno(), time.monotonic() + limit)
        if not is_done:
            kill(process.pid)
        status = process.wait()
    if not is_done:
        return Outcome(None, said, is_late=True)
    return Outcome(status, said)


def _listen(pid: int, errors: int, deadline: float) -> tuple[str, bool]:
    """Wait for a process to end; give the last line of what it said, and whether it ended.

    Something that it has left running may hold its standard error open: that is not waited for.
    """
    kept, ended = b"", os.pidfd_open(pid)
    os.set_blocking(errors, False)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            selector.register(errors, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                chunk = _read(errors) if errors in ready else None
                if chunk:
                    kept = (kept + chunk)[-_KEPT:]
                elif chunk is not None:
                    selector.unregister(errors)
                if ended in ready and not chunk:
                    return _last_line(kept), True
    finally:
        os.close(ended)
    return _last_line(kept), False


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return None


def _last_line(octets: bytes) -> str:
    lines = [line for line in octets.decode("utf-8", "replace").splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in lines[-1].strip()) if lines else ""


def kill(pid: int) -> None:
    """Kill a program that runs, with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
