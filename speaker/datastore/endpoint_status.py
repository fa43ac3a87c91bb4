"""The status files of a node's endpoints, from which its local workload peers are known.

Felix writes one JSON file for each endpoint into a directory of the node; which of them want a BGP
session is said by `speaker.config.workloads`. `EndpointStatus` watches the directory and yields all
workloads whenever they are others. A file that cannot be understood is told and passed over. The
directory need not be there: most nodes have no such workloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeAlias

from speaker.config.workloads import Workload, WorkloadError, parse_workload
from speaker.datastore.watching import edits

Workloads: TypeAlias = tuple[Workload, ...]

Tell: TypeAlias = Callable[[str, str], None]
"""Is given a file and what is wrong with it."""

MAX_FILE = 1024 * 1024
"""Bytes; a bigger file is no status."""


class EndpointStatus:
    """A watched directory of status files.

    Args:
        path: the directory; it may come, go and come back.
        tell: is told each problem once, for as long as it lasts.
    """

    def __init__(self, path: Path, tell: Tell) -> None:
        self._path = path
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    def load(self) -> Workloads:
        """Read the directory now."""
        found: list[Workload] = []
        problems: set[tuple[str, str]] = set()
        for file in _files(self._path):
            try:
                workload = _read(file)
            except (OSError, ValueError) as error:
                problems.add((str(file), str(error)))
                continue
            if workload is not None:
                found.append(workload)
        for file_name, problem in sorted(problems - self._told):
            self._tell(file_name, problem)
        self._told = problems
        return tuple(sorted(found))

    async def snapshots(self) -> AsyncGenerator[Workloads, None]:
        """Yield the workloads now, and again whenever they are others."""
        current: Workloads | None = None
        async for _ in edits(self._path, _signature):
            found = await asyncio.to_thread(self.load)
            if found != current:
                current = found
                yield found


def _files(path: Path) -> list[Path]:
    """Give the files that may be a status; hidden ones are being written."""
    try:
        return sorted(file for file in path.iterdir() if not file.name.startswith("."))
    except OSError:
        return []


def _read(file: Path) -> Workload | None:
    try:
        if not file.is_file():
            return None
        if file.stat().st_size > MAX_FILE:
            raise WorkloadError(f"bigger than {MAX_FILE} bytes")
        return parse_workload(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Gone between the listing and the reading.
        return None


def _signature(path: Path) -> object:
    found = []
    for file in _files(path):
        try:
            status = file.stat()
        except OSError:
            continue
        found.append((file.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return found
