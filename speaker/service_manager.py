"""The service manager that runs us, if one does: what it is told, and the sockets it keeps for us.

systemd's protocols, in a few lines of our own: datagrams to ``NOTIFY_SOCKET`` say how we are
(sd_notify(3)) and hand over listening sockets to be kept (``FDSTORE=1``); at the next start, also
after a crash, these come back as open descriptors that ``LISTEN_FDS`` counts (sd_listen_fds(3)),
as those of socket units do. Where nobody runs us nothing of this happens.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping

from speaker import log

_FIRST = 3
"""The first descriptor that a service manager leaves open."""

_PATIENCE = 0.5
"""Seconds that a manager may take to read."""


class ServiceManager:
    """Who runs us.

    Args:
        environment: of this process.
        pid: of this process.

    Attributes:
        watchdog: seconds after which the manager ends us if it hears nothing; None: it does not.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._listen_fds = 0
        if environment.get("LISTEN_PID") == str(pid):
            self._listen_fds = _number(environment.get("LISTEN_FDS"))
        self.watchdog: float | None = None
        if environment.get("WATCHDOG_PID", str(pid)) == str(pid):
            self.watchdog = _number(environment.get("WATCHDOG_USEC")) / 1e6 or None
        self._is_lost = False

    @classmethod
    def found(cls) -> ServiceManager:
        """Find the one of this process, which children of ours shall not take for theirs."""
        manager = cls(os.environ, os.getpid())
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"):
            os.environ.pop(name, None)
        return manager

    @property
    def listens(self) -> bool:
        """Whether somebody is there to be told."""
        return bool(self._address)

    def inherited(self) -> list[socket.socket]:
        """Take the open sockets that the manager has passed; once."""
        descriptors = range(_FIRST, _FIRST + self._listen_fds)
        self._listen_fds = 0
        found = []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            try:
                found.append(socket.socket(fileno=descriptor))
            except OSError as error:
                log.not_inherited(f"descriptor {descriptor}: {error.strerror}")
        return found

    def tell(self, *words: str, sockets: Iterable[socket.socket] = ()) -> None:
        """Tell something.

        Args:
            words: assignments, as ``READY=1``.
            sockets: to go with them.
        """
        self._send("\n".join(words), [each.fileno() for each in sockets])

    def barrier(self) -> int | None:
        """Have the manager close a pipe's end when it has dealt with all that it was told.

        Returns:
            The other end, which becomes readable then and is the caller's to close; None where
            nobody is told anything.
        """
        if not self._address:
            return None
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._send("BARRIER=1", [theirs])
        finally:
            os.close(theirs)
        return ours

    def _send(self, text: str, descriptors: list[int]) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_PATIENCE)
                sock.connect(address)
                if descriptors:
                    socket.send_fds(sock, [text.encode()], descriptors)
                else:
                    sock.send(text.encode())
        except OSError as error:
            if not self._is_lost:
                log.manager_lost(error.strerror or str(error))
            self._is_lost = True
            return
        self._is_lost = False


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0
