"""A service manager: it hears what a daemon tells, keeps its sockets, and starts the next one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

_START = """
import fcntl, os, sys
count, *words = sys.argv[1:]
kept = [int(words.pop(0)) for _ in range(int(count))]
aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in kept]
for fd in kept:
    os.close(fd)
for at, fd in enumerate(aside):
    os.dup2(fd, 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count)
os.execv(words[0], words)
"""


class Manager:
    """What systemd does for a service of ``Type=notify-reload`` with a store of descriptors.

    Args:
        place: a directory for its socket.
        watchdog: seconds.

    Attributes:
        told: every datagram, as its lines.
        kept: sockets that it keeps, by name.
    """

    def __init__(self, place: Path, *, watchdog: float | None = None) -> None:
        self._path = place / "notify"
        self._watchdog = watchdog
        self.told: list[list[str]] = []
        self.kept: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.settimeout(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        for sock in self.kept.values():
            sock.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a service finds in its environment."""
        found = {"NOTIFY_SOCKET": str(self._path)}
        if self._watchdog is not None:
            found["WATCHDOG_USEC"] = str(int(self._watchdog * 1e6))
        return found

    def start(self, words: Sequence[str], **more: str) -> subprocess.Popen[str]:
        """Start a service; the sockets that are kept are open in it from descriptor 3 on."""
        kept = [sock.fileno() for sock in self.kept.values()]
        argv = [sys.executable, "-c", _START, str(len(kept)), *map(str, kept), *words]
        return subprocess.Popen(
            argv,
            pass_fds=kept,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment, **more},
        )

    def hear(self) -> list[str]:
        """Take the next datagram."""
        data, descriptors, *_ = socket.recv_fds(self._socket, 4096, 8)
        lines = data.decode().splitlines()
        name = next((line[7:] for line in lines if line.startswith("FDNAME=")), "")
        if "FDSTORE=1" in lines:
            if name in self.kept:
                self.kept[name].close()
            self.kept[name] = socket.socket(fileno=descriptors[0])
        elif "FDSTOREREMOVE=1" in lines:
            self.kept.pop(name).close()
        else:
            for descriptor in descriptors:
                os.close(descriptor)
        self.told.append(lines)
        return lines

    def hear_until(self, wanted: Callable[[list[str]], bool]) -> list[str]:
        """Take datagrams until one is of a kind."""
        end = time.monotonic() + 20
        while not wanted(lines := self.hear()):
            assert time.monotonic() < end, self.told
        return lines

    def has(self, word: str) -> list[str]:
        """Take datagrams until one has this line."""
        return self.hear_until(lambda lines: word in lines)
