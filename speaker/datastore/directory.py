"""A directory of YAML and JSON files as datastore.

`load_directory` reads it once. `Directory` watches it and yields a new whole set of resources
(`speaker.config.store.Resources`) whenever an edit changed something. What cannot be read or is
not valid is refused and reported, and what it would have replaced stays in force; all other
documents of the edit count. Edits that come in quick succession are one edit.

How the last valid version is kept (`Succession`): the directory is read anew as a whole after each
change, and every refused document is replaced by the one of the same kind and name that was in
force. Where a refused piece has no name (the YAML does not parse, the file cannot be read), all
documents that its file held and that did not come back elsewhere stay.

How it is watched is said by `speaker.datastore.watching`; its signature is names, sizes and times.

Hidden files and directories, editors' leavings (``*~``, ``*.swp``, ``#…#``, ``.tmp``) and other
extensions are passed over. Links are followed, so that a mounted ConfigMap works. What stands in
directories below ``secrets`` are Secrets (`speaker.datastore.secret_files`).
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from speaker.config.kinds import Kind, name_space
from speaker.config.problems import Problem
from speaker.config.report import Report
from speaker.config.rereading import Reader
from speaker.config.store import Resources, build
from speaker.datastore.files import only_regular
from speaker.datastore.secret_files import FOLDER, key_files, read_secret, secret_folders
from speaker.datastore.watching import edits
from speaker.errors import ConfigError

EXTENSIONS = (".yaml", ".yml", ".json")

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
        reports: what became of each document that was read.
    """

    resources: Resources
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    reports: tuple[Report, ...] = field(default=(), compare=False, repr=False)


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
        """Yield the resources now, and again after each edit that changed them.

        That rules stand in other lines counts: people look them up there.
        """
        current: Resources | None = None
        told: LoadResult | None = None
        async for _ in edits(self._path, _signature):
            # In a thread: thousands of documents take longer than a session's turn may.
            result = await asyncio.to_thread(self.load)
            if result != told:
                told = result
                self._on_load(result)
            if (
                current is None
                or result.resources != current
                or not result.resources.rules_stand_as_in(current)
            ):
                current = result.resources
                yield current


class _Loader:
    """Reads a directory as often as asked, remembering what was in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._succession = Succession()
        self._reader = Reader()

    def load(self) -> LoadResult:
        if not self._path.exists():
            problem = Problem(
                str(self._path), 1, 1, "", "vanished", "there is no such directory any more"
            )
            return LoadResult(self._succession.in_force, (problem,))
        return self._succession.follow(read_all(self._path, self._reader))


class Succession:
    """What is in force, from one reading of a directory to the next."""

    def __init__(self) -> None:
        self._in_force: dict[Key, Report] = {}

    @property
    def in_force(self) -> Resources:
        """The resources that are in force."""
        resources, _ = build(self._in_force.values())
        return resources

    def follow(self, reports: list[Report]) -> LoadResult:
        """Take what was read in force, as far as it is valid; the rest stays as it was."""
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
            tuple(reports),
        )

    def _kept(self, valid: list[Report], refused: list[Report]) -> list[Report]:
        """Give the documents in force that refused ones would have replaced."""
        have = {(report.kind, report.name) for report in valid}
        named = {(name_space(report.kind), report.name) for report in refused}
        # A piece without kind or name may be any document of its file.
        nameless = {report.file for report in refused if not (report.kind and report.name)}
        return [
            report
            for key, report in self._in_force.items()
            if key not in have
            and ((name_space(report.kind), report.name) in named or report.file in nameless)
        ]

    def _remember(self, resources: Resources, reports: list[Report]) -> None:
        self._in_force = {}
        for report in reports:
            key = (report.kind, report.name)
            if resources.place(Kind(report.kind), report.name) == f"{report.file}:{report.line}":
                self._in_force.setdefault(key, report)


def resource_files(path: Path) -> Iterator[Path]:
    """Give the files that may hold resources, in the order of their names."""
    return map(Path, _files(path))


def _files(path: Path) -> Iterator[str]:
    """Give the same as text.

    With thousands of files the objects of pathlib cost more than the system does.
    """
    if path.is_file():
        yield str(path)
        return
    for folder, folders, names in os.walk(str(path), followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if Path(folder).is_relative_to(path) and _is_loop(Path(folder)):
            folders[:] = []
            continue
        if Path(folder) == path / FOLDER:
            folders[:] = []
        for name in sorted(names):
            if _holds_resources(name):
                yield os.path.join(folder, name)


def _is_loop(folder: Path) -> bool:
    """Tell whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.absolute().is_relative_to(folder.resolve())


def read_all(path: Path, reader: Reader | None = None) -> list[Report]:
    """Read all files, or one, again if they changed meanwhile: half an edit is none.

    Args:
        path: of a directory or a file.
        reader: remembers what was read before.
    """
    reader = reader or Reader()
    for _ in range(READINGS):
        before = _signature(path)
        reports = [report for file in _files(path) for report in _read(file, reader)]
        reports += [read_secret(folder) for folder in secret_folders(path)]
        if _signature(path) == before:
            break
    reader.forget_others({name for name, *_ in before})
    return reports


def _holds_resources(name: str) -> bool:
    return name.endswith(EXTENSIONS) and not name.startswith((".", "#", "~"))


def _read(file: str, reader: Reader) -> list[Report]:
    """Read one file; a file that cannot be read is a report like that of a bad document."""
    try:
        with open(file, encoding="utf-8-sig", opener=only_regular) as opened:
            if os.fstat(opened.fileno()).st_size > MAX_FILE:
                return [_unreadable(file, f"bigger than {MAX_FILE} bytes")]
            return reader.read(opened.read(), file)
    except FileNotFoundError:
        # Removed between the listing and the reading: it is simply gone, unless a link dangles.
        return [_unreadable(file, "a link to nothing")] if os.path.islink(file) else []
    except OSError as error:
        return [_unreadable(file, error.strerror or str(error))]
    except UnicodeDecodeError as error:
        return [_unreadable(file, f"not UTF-8 at byte {error.start}")]


def _unreadable(file: str, why: str) -> Report:
    problem = Problem(file, 1, 1, "", "unreadable", f"cannot be read: {why}")
    return Report(file, 0, problems=(problem,))


def _signature(path: Path) -> Signature:
    """Give what changes when a file does: its name, number, size and time."""
    found = []
    keys = (str(file) for folder in secret_folders(path) for file in key_files(folder))
    for file in chain(_files(path), keys):
        try:
            status = os.stat(file)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((file, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
