"""Who may do what at the control socket.

The kernel says who has connected (SO_PEERCRED, SO_PEERGROUPS); nobody can say so himself. Root, the
daemon's own user and the members of one group may change things. Nobody else gets in, unless the
daemon was told that everybody may look; then all others are answered, and refused whatever is no
mere look.

The mode of the socket's file says the same, so that most are turned away before they are asked.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from speaker.control.protocol import ControlError
from speaker.privileges.users import groups_of, name_of_group, name_of_user

_PEERGROUPS = 59
_CREDENTIALS = struct.Struct("=iII")
_GROUP = struct.Struct("=I")
_ROOM = 1024
"""Octets that Python reads of an option at most: 256 groups."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has connected.

    Attributes:
        pid: its process; 0 where it lives in another container.
        uid: its user.
        groups: all its groups.
    """

    pid: int
    uid: int
    groups: frozenset[int] = frozenset()

    @classmethod
    def of(cls, connection: socket.socket) -> Self:
        """Ask the kernel who is at the other end.

        Raises:
            OSError: it does not say.
        """
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(found)
        return cls(pid, uid, frozenset(_groups(connection, uid, gid)))

    def __str__(self) -> str:
        return name_of_user(self.uid)


def _groups(connection: socket.socket, uid: int, gid: int) -> Iterable[int]:
    """Give all groups of who is at the other end."""
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _ROOM)
    except OSError as error:
        # Before Linux 4.13; or there are more than there is room for.
        if error.errno not in (errno.ENOPROTOOPT, errno.ERANGE):
            raise
        return groups_of(uid, gid)
    return (gid, *(number for (number,) in _GROUP.iter_unpack(found)))


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what.

    Attributes:
        group: whose members may change things; None for no group.
        everybody_looks: whether all others may look.
    """

    group: int | None = None
    everybody_looks: bool = False

    @property
    def mode(self) -> int:
        """The mode of the socket's file."""
        if self.everybody_looks:
            return 0o666
        return 0o600 if self.group is None else 0o660

    def may_change(self, caller: Caller) -> bool:
        """Tell whether somebody may change things."""
        return caller.uid in (0, os.geteuid()) or self.group in caller.groups

    def refusal(self, caller: Caller, command: object) -> ControlError:
        """Say to whom a command is refused, and who may give it."""
        may = ["root"]
        if os.geteuid():
            may.append(name_of_user(os.geteuid()))
        if self.group is not None:
            may.append(f"members of the group {name_of_group(self.group)}")
        hint = " and ".join([", ".join(may[:-1]), may[-1]] if len(may) > 1 else may) + " may"
        if self.group is None:
            hint += "; 'wren run --control-group' lets a group do so"
        look = "only look" if self.everybody_looks else "ask for nothing here"
        return ControlError(f"{caller} may {look}, and asked for {command!r}", hint)


RESTRICTED = Access()
"""Root and the daemon's own user, and nobody else."""
