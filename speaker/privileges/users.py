"""Users and groups by name, and the run directory for the user that the daemon is to be.

Root owns what it made before; a directory is handed over only if it is plainly the daemon's: with
few files and no directories in it, and none that others share. A file in it follows unless it has a
second name: that one may be anywhere. From then on nobody else writes to the directory.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from speaker.errors import ConfigError

_MOST_FILES = 16
"""A run directory has a few; one with more is something else."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_LEAST_PARTS = 3
"""``/``, a directory and ours: nothing right below the root is handed over."""


@dataclass(frozen=True, slots=True)
class User:
    """A user as the system knows it.

    Attributes:
        name: what it is called; its number where it has no name.
        uid, gid: its number, and that of its first group.
        home: its home directory.
        groups: all its groups.
    """

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...]

    @classmethod
    def find(cls, text: str) -> User:
        """Find a user by name or number; ``USER:GROUP`` names its first group too.

        A number needs no entry in the system's files: containers rarely have one.

        Raises:
            ConfigError: there is none of that name.
        """
        name, _, group = text.partition(":")
        try:
            entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except (KeyError, OverflowError):
            uid = _number(name)
            if uid is None:
                raise ConfigError(
                    f"there is no user {name}",
                    f"make it with 'useradd --system --shell /usr/sbin/nologin {name}',"
                    " or name another one with --user",
                ) from None
            gid = group_of(group) if group else uid
            return cls(name, uid, gid, "/", (gid,))
        gid = group_of(group) if group else entry.pw_gid
        return cls(entry.pw_name, entry.pw_uid, gid, entry.pw_dir, groups_of(entry.pw_uid, gid))

    @property
    def is_this_process(self) -> bool:
        """Whether this process is that user already."""
        return self.uid == os.geteuid()

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"


def group_of(name: str) -> int:
    """Find a group by name or number; a number needs no entry.

    Raises:
        ConfigError: there is none of that name.
    """
    gid = _number(name)
    if gid is not None:
        return gid
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group {name}", f"make it with 'groupadd --system {name}', or name another"
        ) from None


def _number(text: str) -> int | None:
    """Read the number of a user or group; None if it is none. The last one stands for nobody."""
    return int(text) if text.isdecimal() and int(text) < 2**32 - 1 else None


def groups_of(uid: int, gid: int) -> tuple[int, ...]:
    """Give all groups of a user, as the system's files have them.

    Args:
        uid: of the user.
        gid: of its first group.
    """
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return (gid,)
    return tuple(sorted(set(os.getgrouplist(name, gid))))


def name_of_user(uid: int) -> str:
    """Say who a user is: its name and number."""
    with suppress(KeyError, OverflowError):
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    return f"user {uid}"


def name_of_group(gid: int) -> str:
    """Say which group it is."""
    with suppress(KeyError, OverflowError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def hand_over(run_dir: Path, uid: int, gid: int, *, socket_name: str = "") -> None:
    """See to it that a user owns the run directory, which is made if need be; as root.

    Args:
        run_dir: the directory.
        uid: of the user.
        gid: of its group.
        socket_name: where a daemon listens if one runs there, whose directory it is then.

    Raises:
        ConfigError: it is not plainly the daemon's, or that of one who runs.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        directory = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"the run directory {run_dir} cannot be made: {error.strerror}",
            "name another one with --run-dir",
        ) from None
    try:
        _need_unshared(run_dir, directory)
        if os.fstat(directory).st_uid != uid:
            _need_idle(run_dir, directory, socket_name)
            _need_own(run_dir, directory, uid)
        # As long as it is root's: of another one's it would take CAP_FOWNER.
        if (mode := os.fstat(directory).st_mode) & _OTHERS_WRITE:
            os.fchmod(directory, stat.S_IMODE(mode) & ~_OTHERS_WRITE)
        if os.fstat(directory).st_uid != uid:
            os.fchown(directory, uid, gid)
        for name in os.listdir(directory):
            _give(directory, name, uid, gid)
    except OSError as error:
        raise ConfigError(
            f"the run directory {run_dir} cannot be handed over to {name_of_user(uid)}:"
            f" {error.strerror}",
            f"do it by hand: 'chown -R {uid}:{gid} {run_dir}'",
        ) from None
    finally:
        os.close(directory)


def _need_idle(run_dir: Path, directory: int, socket_name: str) -> None:
    """Make sure that nobody runs there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(run_dir / socket_name))
        except OSError as error:
            # One whose queue is full lives.
            if error.errno != errno.EAGAIN:
                return
    owner = os.fstat(directory).st_uid
    raise ConfigError(
        f"the run directory {run_dir} is that of a Wren that runs as {name_of_user(owner)}",
        f"stop it first, or be the same user, with --user {owner}",
    )


def _need_unshared(run_dir: Path, directory: int) -> None:
    """Make sure that a directory is not one in which everybody keeps files, as in /tmp."""
    if os.fstat(directory).st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"the run directory {run_dir} is one that others share",
            "name one for Wren alone with --run-dir",
        )


def _need_own(run_dir: Path, directory: int, uid: int) -> None:
    """Make sure that a directory is the daemon's alone."""
    found = os.fstat(directory)
    entries = list(os.scandir(directory))
    is_own = (
        len(run_dir.resolve().parts) >= _LEAST_PARTS
        and len(entries) <= _MOST_FILES
        and not any(entry.is_dir(follow_symlinks=False) for entry in entries)
    )
    if not is_own:
        raise ConfigError(
            f"the run directory {run_dir} belongs to {name_of_user(found.st_uid)} and may have"
            f" other uses, so it is not handed over to {name_of_user(uid)}",
            "name one for Wren alone with --run-dir, or change its owner by hand",
        )


def _give(directory: int, name: str, uid: int, gid: int) -> None:
    """Hand one file over, unless somebody may have put it there for another one's sake."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=directory)
    except OSError:
        # A socket, which is made anew, or a link.
        return
    try:
        found = os.fstat(file)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid != uid:
            os.fchown(file, uid, gid)
    finally:
        os.close(file)
