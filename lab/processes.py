"""Processes of a laboratory: tell them apart for certain, find them all, end them.

A pid alone may name another program tomorrow, so a process is its pid and its start time
(`ProcessId`), and signals go through a pidfd that was checked after it was opened. A lab's
processes are found in three ways that overlap on purpose: by the journal's record, by the lab's
mark in their environment, and by the network namespace they live in. So one that was started in
the instant in which its starter was killed, or one that a daemon started by itself, is found too.

No process that none of the three names is ever signalled.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

MARK = "WREN_LAB"
"""The variable that names the lab's directory in the environment of its processes."""

NODE_MARK = "WREN_LAB_NODE"
"""The variable that names the node."""

_START_TIME_FIELD = 19  # of /proc/PID/stat, counted after the command's closing parenthesis
_DEATH_TIMEOUT = 5.0

FileId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for all time: its pid, and its start in clock ticks since boot."""

    pid: int
    start: int


def identify(pid: int) -> ProcessId | None:
    """Look at a pid. Returns None if nothing lives there; a zombie does not live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return ProcessId(pid, int(fields[_START_TIME_FIELD]))


def name_of(process: ProcessId) -> str:
    """Give the name of its program; empty if it is gone."""
    try:
        name = Path(f"/proc/{process.pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return name if is_alive(process) else ""


def is_alive(process: ProcessId) -> bool:
    """Tell whether this very process still runs."""
    return identify(process.pid) == process


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Send a signal to this very process. Returns False if it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_gone(processes: Iterable[ProcessId], timeout: float) -> list[ProcessId]:
    """Wait until the processes have ended. Returns those that have not in time."""
    deadline = time.monotonic() + timeout
    return [process for process in processes if not _ends_before(process, deadline)]


def _ends_before(process: ProcessId, deadline: float) -> bool:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(process):
            return True
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        left = max(0.0, deadline - time.monotonic())
        return bool(poller.poll(left * 1000))
    finally:
        os.close(descriptor)


def end_all(
    marks: Mapping[str, str],
    namespaces: Iterable[Path] = (),
    recorded: Iterable[ProcessId] = (),
) -> int:
    """Kill every process of a lab, or of a node, until none is found.

    Args:
        marks: what its processes have in their environment, all of it.
        namespaces: paths of its network namespaces.
        recorded: processes its journal names.

    Returns:
        How many were killed.

    Raises:
        LabError: some process cannot be ended.
    """
    ids = {file_id for path in namespaces if (file_id := _file_id(path)) is not None}
    known = tuple(recorded)
    ended: set[ProcessId] = set()
    deadline = time.monotonic() + _DEATH_TIMEOUT
    while found := {*find(marks, ids), *filter(is_alive, known)}:
        for process in found:
            send(process, signal.SIGKILL)
        left = wait_gone(found, max(0.1, deadline - time.monotonic()))
        if left and time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in left)
            raise LabError(f"cannot end the processes {pids}; end them by hand and go down again")
        ended |= found
    return len(ended)


def find(
    marks: Mapping[str, str], namespaces: Collection[FileId] = frozenset()
) -> Iterator[ProcessId]:
    """Find the living processes that carry all marks, or live in one of the namespaces."""
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        if _lives_in(entry, namespaces) or _carries(entry, wanted):
            process = identify(int(entry))
            if process is not None:
                yield process


def _lives_in(pid: str, namespaces: Collection[FileId]) -> bool:
    return bool(namespaces) and _file_id(Path(f"/proc/{pid}/ns/net")) in namespaces


def _carries(pid: str, marks: set[bytes]) -> bool:
    if not marks:
        return False
    try:
        return marks <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return False


def _file_id(path: Path) -> FileId | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
