"""An edit that is put back unless somebody confirms it: what was there before, and until when.

`Unconfirmed.of` notes what the files hold that an edit is about to change, and `save` keeps that in
a small file of the run directory, which outlasts the process. `put_back` gives the files their old
texts again: those that still hold what the edit wrote. A file that somebody edited since is left
alone and named.

Files are named as they lie in the datastore, so that whoever edits and whoever puts back may see it
at different paths.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from speaker.datastore.files import OWNERS_ONLY, FileChange, locked, read_text, write_files
from speaker.errors import ConfigError

STATE_FILE = "unconfirmed.json"


def digest(text: str | None) -> str:
    """Give what tells one text from another; empty for a file that is not there."""
    return "" if text is None else hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class HeldFile:
    """What one file held before an edit.

    Attributes:
        name: below the datastore; ``.`` where that is a single file.
        before: its text; None if it was not there.
        after: the digest of what the edit makes of it, empty if it goes.
        mode: of the file as it was.
    """

    name: str
    before: str | None
    after: str
    mode: int | None


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """An edit that awaits confirmation.

    Attributes:
        deadline: when it is put back, seconds since 1970.
        within: seconds that there were from the beginning.
    """

    deadline: float
    within: float
    files: tuple[HeldFile, ...]

    @classmethod
    def of(
        cls, datastore: Path, files: Iterable[Mapping[str, Any]], deadline: float, within: float
    ) -> Self:
        """Note what files hold that an edit is about to change.

        Args:
            datastore: where they are.
            files: ``name`` of each, and the digests ``before`` and ``after``.
            deadline: seconds since 1970.
            within: seconds.

        Raises:
            ConfigError: a file is not of the datastore, holds something else than was thought, or
                could not be put back.
        """
        held = [_held(datastore, item) for item in files]
        return cls(deadline, within, tuple(held))

    @classmethod
    def load(cls, run_dir: Path) -> Self | None:
        """Read what an earlier run has left; None if there is nothing.

        Raises:
            ConfigError: the file cannot be read or made sense of.
        """
        file = run_dir / STATE_FILE
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            files = tuple(HeldFile(**item) for item in data["files"])
            return cls(float(data["deadline"]), float(data["within"]), files)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"cannot read {file}, which holds what an unconfirmed edit changed: {error}",
                "look at it, and remove it",
            ) from None

    def save(self, run_dir: Path) -> None:
        """Keep it where the next run finds it, for the eyes of the owner alone.

        Raises:
            ConfigError: the file cannot be written.
        """
        text = json.dumps(asdict(self))
        write_files([FileChange(run_dir / STATE_FILE, None, text, OWNERS_ONLY)])

    def put_back(self, datastore: Path) -> list[str]:
        """Give the files the texts that they had before the edit.

        Returns:
            The names of files that were edited since, and are left as they are.

        Raises:
            ConfigError: the files cannot be written.
        """
        left: list[str] = []
        changes: list[FileChange] = []
        with locked(datastore):
            for file in self.files:
                path = datastore / file.name
                now = read_text(path)
                if now is None and path.exists():
                    left.append(file.name)
                elif now == file.before:
                    continue
                elif digest(now) == file.after:
                    changes.append(FileChange(path, now, file.before, file.mode))
                else:
                    left.append(file.name)
            write_files(changes)
        return left


def forget(run_dir: Path) -> None:
    """There is nothing to be confirmed any more."""
    (run_dir / STATE_FILE).unlink(missing_ok=True)


def _held(datastore: Path, item: Mapping[str, Any]) -> HeldFile:
    name = PurePosixPath(str(item["name"]))
    if name.is_absolute() or ".." in name.parts:
        raise ConfigError(f"{name} is no file of the datastore {datastore}")
    path = datastore / name
    before = read_text(path)
    if digest(before) != item["before"]:
        raise ConfigError(f"{path} holds something else than the edit was made for", "try again")
    folder = path.resolve().parent
    if not os.access(folder, os.W_OK):
        raise ConfigError(
            f"the daemon cannot write into {folder}, so it could not roll the edit back",
            "let it run as a user who can",
        )
    mode = path.stat().st_mode & 0o777 if before is not None else None
    return HeldFile(str(name), before, str(item["after"]), mode)
