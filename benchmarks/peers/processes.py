"""What the kernel says of processes: their time, their memory, and what waits in their sockets.

Everything is read from ``/proc``; ``/proc/PID/net`` shows the network namespace of that process.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LISTEN, _ESTABLISHED = b"0A", b"01"


def read(path: str) -> bytes:
    """Read a file; nothing where it is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _fields(pid: int) -> list[bytes]:
    """Give the fields of ``stat`` from the state on; the name before may hold anything."""
    stat = read(f"/proc/{pid}/stat")
    return stat[stat.rindex(b")") + 2 :].split() if stat else []


def processor_time(pid: int) -> float:
    """Tell the seconds that a process has used."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def descendants(roots: Iterable[int]) -> list[int]:
    """Give processes and all that they have started."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _fields(int(entry))
            if fields:
                children[int(fields[1])].append(int(entry))
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children[pid]
    return found


def peak_memory(pid: int) -> float:
    """Tell the most megabytes that were resident at once."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def memory(pid: int) -> float:
    """Tell the megabytes that are resident."""
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE / (1 << 20) if fields else 0.0


def forget_peak(pid: int) -> None:
    """Have the most that was resident at once counted from now on (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def machine_time() -> float:
    """Tell the seconds that all processors together have worked."""
    numbers = [int(each) for each in read("/proc/stat").split(b"\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _waiting, *interrupts = numbers
    return (user + nice + system + sum(interrupts)) / _TICKS


def sockets(pid: int, port: int) -> tuple[int, bool]:
    """Tell how many octets lie unread in the connections to a port, and whether it listens."""
    unread, listens = 0, False
    for name in ("tcp", "tcp6"):
        for line in read(f"/proc/{pid}/net/{name}").splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(b":", 1)[1], 16) != port:
                continue
            listens |= fields[3] == _LISTEN
            if fields[3] == _ESTABLISHED:
                unread += int(fields[4].split(b":")[1], 16)
    return unread, listens
