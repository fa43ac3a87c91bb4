"""Whether a process that we start goes on when we end.

It does on a machine, and not in a container: there the kernel or the runtime ends everything when
the first process does. That one is ourselves, or waits for us and does nothing else: a shell, or an
init that containers bring along. A service manager is another thing: it goes on.
"""

from __future__ import annotations

import os
from pathlib import Path

WAITERS = frozenset(
    (
        *("sh", "bash", "dash", "ash", "busybox", "tini", "docker-init", "podman-init"),
        *("dumb-init", "catatonit", "conmon-init", "pause", "timeout", "env"),
    )
)
"""Programs that wait for what they started, and end when it does."""


def outlives_us(pid: int | None = None, proc: Path = Path("/proc")) -> bool:
    """Tell whether a child goes on when we end.

    Args:
        pid: of ours.
        proc: where the kernel tells of processes.
    """
    pid = os.getpid() if pid is None else pid
    while pid != 1:
        pid = _parent(pid, proc)
        if _name(pid, proc) not in WAITERS:
            # Whoever started us has more to do; if nothing is known of it, it is further out.
            return True
    return False


def _parent(pid: int, proc: Path) -> int:
    """Give the parent; 0 where it lives outside, or is not known."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _name(pid: int, proc: Path) -> str:
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
