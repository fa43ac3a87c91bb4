"""Where the next speaker finds the process: a Unix socket in the run directory.

It is the only way to a process whose speaker is gone. It is open to our own user alone, and to
root, by the socket's mode and by the credentials that the kernel tells of whoever calls.
"""

from __future__ import annotations

import os
import selectors
import socket
from contextlib import suppress
from struct import Struct

NAME = "bfd.sock"
"""In the run directory."""

_CREDENTIALS = Struct("3i")
_WAITING = 8


def caller_of(sock: socket.socket) -> tuple[int, int]:
    """Give the process id and the user of whoever is at the other end."""
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(told)
    return pid, uid


def is_trusted(uid: int) -> bool:
    """Tell whether a user may be at the other end: ourselves, and root."""
    return uid in (0, os.geteuid())


class Door:
    """The listening socket.

    Args:
        path: in a directory that is there; what stands at it is replaced.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.setblocking(False)
        # Another process that stands there goes on: who calls from now on calls us.
        before = f"{path}.{os.getpid()}"
        mask = os.umask(0o177)
        try:
            made.bind(before)
            made.listen(_WAITING)
            os.rename(before, path)
        except OSError:
            made.close()
            with suppress(OSError):
                os.unlink(before)
            raise
        finally:
            os.umask(mask)
        self._inode = os.stat(path).st_ino

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have callers waited for, with the door as the key's data."""
        selector.register(self._socket, selectors.EVENT_READ, self)

    def admit(self) -> socket.socket | None:
        """Take the next caller; None if there is none, or none that may call."""
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return None
        if is_trusted(caller_of(sock)[1]):
            return sock
        sock.close()
        return None

    def close(self, selector: selectors.BaseSelector) -> None:
        """Listen no more, and leave nothing behind."""
        selector.unregister(self._socket)
        self._socket.close()
        with suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
