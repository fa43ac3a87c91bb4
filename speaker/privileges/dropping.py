"""Becoming what ``wren run`` was asked for: another user perhaps, with few rights.

The order matters. The run directory is handed over while that may be done; groups change before the
user, for afterwards they cannot; capabilities are kept over the change of user, and then all but a
few are given up. In the end it is looked up, thread by thread, whether it is so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import speaker
from speaker.errors import ConfigError
from speaker.privileges import needs, nursery
from speaker.privileges.capabilities import (
    Capability,
    Rights,
    keep_only,
    kept_over_change_of_user,
    mask_of,
    named,
    use_all,
)
from speaker.privileges.users import User, hand_over, name_of_group, name_of_user


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a daemon is to be.

    Attributes:
        run_dir: its directory.
        socket_name: of its control socket there.
        kernel: whether it installs routes.
        user: by which name or number; None to stay who we are.
        group: a further group that it is to be in; None for none.
    """

    run_dir: Path
    socket_name: str
    kernel: bool
    user: str | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the process has become.

    Attributes:
        user: who it is.
        kept: capabilities that it has.
    """

    user: str
    kept: frozenset[Capability]


def settle(wanted: Wanted) -> Standing:
    """Become that, for ever.

    To be called before any other thread is there.

    Raises:
        ConfigError: it is impossible; the text says what to do.
    """
    keep = needs.lasting(kernel=wanted.kernel)
    user = None if wanted.user is None else User.find(wanted.user)
    if os.geteuid() == 0:
        uid, gid = (0, os.getegid()) if user is None else (user.uid, user.gid)
        hand_over(wanted.run_dir, uid, gid, socket_name=wanted.socket_name)
    _join(wanted.group, user)
    if user is not None and not user.is_this_process:
        _become(user)
    # What it starts the BFD process with has to be had before it is given up here.
    nursery.open_nursery(partial(_give_up, needs.of_bfd(kernel=wanted.kernel)))
    _give_up(keep)
    for rights in Rights.of_process():
        if rights.permitted & ~mask_of(keep) or rights.ambient & ~mask_of(keep):
            raise ConfigError("a thread of this process keeps rights that it was to give up")
    return Standing(name_of_user(os.geteuid()), named(Rights.read().effective))


def _give_up(keep: Collection[Capability]) -> None:
    try:
        keep_only(keep)
    except OSError as error:
        raise ConfigError(
            f"rights cannot be given up: {error.strerror}",
            "a filter of system calls that forbids capset and prctl wants a start without them:"
            " as a user with the capabilities of 'wren doctor' and no others",
        ) from None


def _join(group: int | None, user: User | None) -> None:
    """Be in a group besides our own, and in those of a user that we are to be."""
    have = {os.getegid(), *os.getgroups()}
    changes = user is not None and not user.is_this_process
    wanted = set(user.groups) if user is not None and changes else set(have)
    if group is not None:
        wanted.add(group)
    if wanted <= have and not changes:
        return
    try:
        os.setgroups(sorted(wanted))
    except PermissionError:
        if group is not None and group not in have:
            raise ConfigError(
                f"{name_of_user(os.geteuid())} is not in the group {name_of_group(group)}, which"
                " --control-group names, and may not join it",
                "add it to that group (SupplementaryGroups= of systemd), or start as root",
            ) from None
        raise _may_not_become(user) from None


def _become(user: User) -> None:
    try:
        with kept_over_change_of_user():
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
        use_all()
    except OSError:
        raise _may_not_become(user) from None
    os.environ.update(HOME=user.home, USER=user.name, LOGNAME=user.name)
    _need_own_files(user)


def _may_not_become(user: User | None) -> ConfigError:
    return ConfigError(
        f"{name_of_user(os.geteuid())} may not become {user}",
        "start as root (CAP_SETUID, CAP_SETGID), or as that user and without --user",
    )


def _need_own_files(user: User) -> None:
    """Make sure that the user can read the program: parts of it are loaded later."""
    for file, mode in (
        (Path(speaker.__file__).parent / "daemon.py", os.R_OK),
        (Path(os.__file__), os.R_OK),
        (Path(sys.executable), os.X_OK),
    ):
        if not os.access(file, mode):
            raise ConfigError(
                f"{user} cannot read {file}, which is a part of the program",
                "install Wren and its Python where everybody may read: /opt, say, not below /root",
            )
