"""A directory of YAML and JSON files as datastore.

`load_directory` reads it once. `Directory` watches it and yields a new whole set of resources
(`speaker.config.store.Resources`) whenever an edit changed something. What cannot be read or is
not valid is refused and reported, and what it would have replaced stays in force; all other
documents of the edit count. Edits that come in quick succession are one edit.

How the last valid version is kept: the directory is read anew as a whole after each change, and
every refused document is replaced by the one of the same kind and name that was in force. Where a
refused piece has no name (the YAML does not parse, the file cannot be read), all documents that
its file held and that did not come back elsewhere stay.

Watching is by inotify, with a look at names, sizes and times once a second besides: that finds a
directory that was replaced, and works where inotify does not.

Hidden files and directories, editors' leavings (``*~``, ``*.swp``, ``#…#``, ``.tmp``) and other
extensions are passed over. Links are followed, so that a mounted ConfigMap works.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from watchfiles import awatch

from speaker.config.kinds import Kind
from speaker.config.problems import Problem
from speaker.config.reading import read_file
from speaker.config.report import Report
from speaker.config.store import Resources, build
from speaker.errors import ConfigError

EXTENSIONS = (".yaml", ".yml", ".json")

SETTLE_MS = 50
"""How long nothing must happen until an edit counts as finished."""

LONGEST_EDIT_MS = 1_000
"""Until then an edit that goes on and on is read all the same."""

LOOK_MS = 1_000
"""How often names, sizes and times are compared besides."""

READINGS = 5
"""How often a directory is read that changes under the reading."""

MAX_FILE = 64 * 1024 * 1024
"""Bytes; a bigger file is no resource."""

Key: TypeAlias = tuple[str, str]
"""Kind and name."""

Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a directory holds.

    Attributes:
        resources: all valid documents, and those that stayed in force.
        problems: what was refused, and why.
        warnings: what is valid and perhaps not meant.
    """

    resources: Resources
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def load_directory(path: str | Path) -> LoadResult:
    """Read a directory, or a single file, once.

    Raises:
        FileNotFoundError: there is nothing at that path.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no directory {path}")
    return _Loader(Path(path)).load()


def load_resources(path: str | Path) -> Resources:
    """Read a directory or file whose documents must all be valid.

    Raises:
        FileNotFoundError: there is nothing at that path.
        ConfigError: a document is not valid; every problem stands in the message, a line each.
    """
    result = load_directory(path)
    if result.problems:
        raise ConfigError("\n".join(map(str, result.problems)), source=str(path))
    return result.resources


class Directory:
    """A watched directory.

    Args:
        path: the directory; it may vanish and come back.
        on_load: is given each result that differs from the one before, for its problems.
    """

    def __init__(
        self, path: str | Path, on_load: Callable[[LoadResult], None] | None = None
    ) -> None:
        self._path = Path(path)
        self._on_load = on_load or (lambda _: None)
        self._loader = _Loader(self._path)
        self._lock = threading.Lock()

    def load(self) -> LoadResult:
        """Read the directory now; may be called from any thread."""
        with self._lock:
            return self._loader.load()

    async def snapshots(self) -> AsyncGenerator[Resources, None]:
        """Yield the resources now, and again after each edit that changed them."""
        current: Resources | None = None
        told: LoadResult | None = None
        async for _ in self._edits():
            # In a thread: thousands of documents take longer than a session's turn may.
            result = await asyncio.to_thread(self.load)
            if result != told:
                told = result
                self._on_load(result)
            if current is None or result.resources != current:
                current = result.resources
                yield current

    async def _edits(self) -> AsyncIterator[None]:
        """Yield once at the start and once for each change of the directory."""
        # Looked at before it is read: an edit between the two must not be taken for seen.
        seen = _signature(self._path)
        yield None
        while True:
            async for noticed in _watch(self._path):
                now = _signature(self._path)
                # An event without a visible change is believed too: times have a resolution.
                if noticed or now != seen:
                    seen = now
                    yield None
            await asyncio.sleep(LOOK_MS / 1000)


async def _watch(path: Path) -> AsyncIterator[bool]:
    """Yield True after events and False now and then; end when the directory is another one."""
    before = _identity(path)
    yield False
    if before is None:
        return
    try:
        async for events in awatch(
            path,
            debounce=LONGEST_EDIT_MS,
            step=SETTLE_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            watch_filter=None,
            recursive=True,
            ignore_permission_denied=True,
        ):
            yield bool(events)
            if _identity(path) != before:
                return
    except (FileNotFoundError, OSError):
        # It vanished between the look and the watch; the caller looks again.
        return


class _Loader:
    """Reads a directory as often as asked, remembering what was in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._in_force: dict[Key, Report] = {}

    def load(self) -> LoadResult:
        if not self._path.exists():
            problem = Problem(
                str(self._path), 1, 1, "", "vanished", "there is no such directory any more"
            )
            return LoadResult(self._resources(self._in_force), (problem,))
        reports = read_all(self._path)
        valid = [report for report in reports if report.valid]
        refused = [report for report in reports if not report.valid]
        kept = self._kept(valid, refused)
        holders = {(Kind(kind), name): old.file for (kind, name), old in self._in_force.items()}
        resources, duplicates = build([*valid, *kept], holders)
        self._remember(resources, [*valid, *kept])
        return LoadResult(
            resources,
            tuple(sorted([*(p for r in refused for p in r.problems), *duplicates])),
            tuple(sorted(warning for report in reports for warning in report.warnings)),
        )

    def _kept(self, valid: list[Report], refused: list[Report]) -> list[Report]:
        """Give the documents in force that refused ones would have replaced."""
        have = {(report.kind, report.name) for report in valid}
        named = {(report.kind, report.name) for report in refused}
        # A piece without kind or name may be any document of its file.
        nameless = {report.file for report in refused if not (report.kind and report.name)}
        return [
            report
            for key, report in self._in_force.items()
            if key not in have and (key in named or report.file in nameless)
        ]

    def _remember(self, resources: Resources, reports: list[Report]) -> None:
        self._in_force = {}
        for report in reports:
            key = (report.kind, report.name)
            if resources.place(Kind(report.kind), report.name) == f"{report.file}:{report.line}":
                self._in_force.setdefault(key, report)

    def _resources(self, in_force: Mapping[Key, Report]) -> Resources:
        resources, _ = build(in_force.values())
        return resources


def _files(path: Path) -> Iterator[Path]:
    """Give the files that may hold resources, in the order of their names."""
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if Path(folder).is_relative_to(path) and _is_loop(Path(folder)):
            folders[:] = []
            continue
        for name in sorted(names):
            if _holds_resources(name):
                yield Path(folder) / name


def _is_loop(folder: Path) -> bool:
    """Tell whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.absolute().is_relative_to(folder.resolve())


def read_all(path: Path) -> list[Report]:
    """Read all files, or one, again if they changed meanwhile: half an edit is none."""
    for _ in range(READINGS):
        before = _signature(path)
        reports = [report for file in _files(path) for report in _read(file)]
        if _signature(path) == before:
            break
    return reports


def _holds_resources(name: str) -> bool:
    return name.endswith(EXTENSIONS) and not name.startswith((".", "#", "~"))


def _read(file: Path) -> list[Report]:
    """Read one file; a file that cannot be read is a report like that of a bad document."""
    try:
        if file.stat().st_size > MAX_FILE:
            return [_unreadable(file, f"bigger than {MAX_FILE} bytes")]
        return read_file(file.read_text(encoding="utf-8-sig"), str(file))
    except FileNotFoundError:
        # Removed between the listing and the reading: it is simply gone, unless a link dangles.
        return [_unreadable(file, "a link to nothing")] if file.is_symlink() else []
    except OSError as error:
        return [_unreadable(file, error.strerror or str(error))]
    except UnicodeDecodeError as error:
        return [_unreadable(file, f"not UTF-8 at byte {error.start}")]


def _unreadable(file: Path, why: str) -> Report:
    problem = Problem(str(file), 1, 1, "", "unreadable", f"cannot be read: {why}")
    return Report(str(file), 0, problems=(problem,))


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell one directory from another of the same name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _signature(path: Path) -> Signature:
    """Give what changes when a file does: its name, number, size and time."""
    found = []
    for file in _files(path):
        try:
            status = file.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((str(file), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
