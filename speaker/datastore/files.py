"""Texts of the files of a datastore: read as they are, written in one go.

Files are written beside their place and renamed into it, after they have reached the disk: who
watches the directory sees the old text or the new one. Owner and mode stay. Who edits holds a lock
that others who edit respect; it is on the directory itself, so nothing is left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from speaker.errors import ConfigError

LONGEST_NAME = 200
"""Characters of a resource's name that go into that of its file; file names have 255 octets."""

OWNERS_ONLY = 0o600
"""The mode of a new file that is for the eyes of the daemon only."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """What becomes of one file.

    Attributes:
        before: its text; None if it is new.
        after: its text; None if it goes.
        mode: that of a new file; None is what the process's mask leaves.
    """

    path: Path
    before: str | None
    after: str | None
    mode: int | None = None


def need(path: Path) -> None:
    """Make sure that there is a datastore.

    Raises:
        ConfigError: there is not.
    """
    if not path.exists():
        raise ConfigError(
            f"there is no datastore {path}", "name a directory of resources with --datastore"
        )


def need_readable(path: Path, user: str) -> None:
    """Make sure that the datastore can be read.

    Args:
        path: of it.
        user: who this process is.

    Raises:
        ConfigError: it cannot.
    """
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise ConfigError(
            f"{user} cannot read the datastore {path}",
            "change its group or mode; the daemon is held to them even as root",
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others who edit a directory, or a single file, waiting.

    Raises:
        ConfigError: there is nothing at that path, or it cannot be locked.
    """
    need(path)
    try:
        handle = os.open(path if path.is_dir() else path.parent, os.O_RDONLY)
    except OSError as error:
        raise _refused("read", path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise _refused("lock", path, error) from error
        yield
    finally:
        os.close(handle)


def only_regular(file: str, flags: int) -> int:
    """Be the opener of ``open`` for what is to be read: nobody waits for the writer of a FIFO.

    Raises:
        OSError: it cannot be opened, or is another thing than a file with an end.
    """
    handle = os.open(file, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "it is no regular file")


def read_text(file: Path) -> str | None:
    """Read a text as it is, line ends included; None if it cannot be read as text."""
    try:
        with open(file, "rb", opener=only_regular) as opened:
            return opened.read().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write_files(changes: Sequence[FileChange]) -> None:
    """Write files: all of them prepared first, then each renamed into its place.

    Raises:
        ConfigError: a file cannot be written; then none was touched, unless the disk failed in
            between.
    """
    drafts: list[tuple[Path, Path]] = []
    at = Path()
    try:
        for change in changes:
            at = change.path
            if change.after is not None:
                drafts.append((_draft(change, change.after), at.resolve()))
        for draft, at in drafts:
            draft.replace(at)
        for at in [change.path for change in changes if change.after is None]:
            at.unlink()
        for folder in {change.path.resolve().parent for change in changes}:
            _sync(folder)
    except OSError as error:
        raise _refused("write", at, error) from error
    finally:
        for draft, _ in drafts:
            with suppress(FileNotFoundError):
                draft.unlink()


def _draft(change: FileChange, text: str) -> Path:
    """Write a text beside its place, with the owner and mode that it is to have."""
    target = change.path.resolve()
    handle, name = tempfile.mkstemp(
        prefix=f".{target.name[:LONGEST_NAME]}.", suffix=".tmp", dir=target.parent
    )
    try:
        with open(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            like = (target if target.exists() else target.parent).stat()
            mode = like.st_mode & 0o777 if target.exists() else change.mode or _mode()
            os.fchmod(file.fileno(), mode)
            # A new file belongs to whom the directory belongs: the daemon may be somebody else.
            with suppress(PermissionError):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fsync(file.fileno())
    except OSError:
        Path(name).unlink()
        raise
    return Path(name)


def _mode() -> int:
    """Give the mode of a new file, which the process's mask decides."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(verb: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot {verb} {path}: {error.strerror or error}",
        "be its owner or root" if isinstance(error, PermissionError) else "",
    )
