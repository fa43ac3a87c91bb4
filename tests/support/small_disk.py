"""A disk of a few pages that can be filled up, as a mount that only its own processes see.

The disk is a tmpfs in a mount namespace of its own, which a process holds. `SmallDisk.path` leads
there from outside, also for a client of a control socket on it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import RunningNode

_MOUNT = 'mount -t tmpfs -o size=64k,mode=0755 tmpfs "$1" && echo mounted && exec sleep infinity'


class SmallDisk:
    """A disk that is there.

    Args:
        node: on which it is.
        holder: the process that has it.
        inside: where it is mounted, as the processes see it.
    """

    def __init__(self, node: RunningNode, holder: int, inside: Path) -> None:
        self._node = node
        self._holder = holder
        self.inside = inside

    @property
    def path(self) -> Path:
        """Where it is from here."""
        return Path(f"/proc/{self._holder}/root{self.inside}")

    def seeing(self, argv: Sequence[str]) -> list[str]:
        """Give the command that runs a program in the node's namespace, with the disk."""
        enter = ["nsenter", f"--target={self._holder}", "--mount", "--"]
        return self._node.inside([*enter, *argv])

    def fill(self) -> None:
        """Leave no room for a single octet."""
        filler = self.path / "filler"
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        assert os.statvfs(filler).f_bfree == 0

    def make_room(self) -> None:
        (self.path / "filler").unlink()


@contextmanager
def small_disk(node: RunningNode) -> Iterator[SmallDisk]:
    """Give a node a small disk for the time of a ``with`` block."""
    inside = node.home / "disk"
    inside.mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh"]
    with subprocess.Popen(
        node.inside([*command, str(inside)]),
        stdout=subprocess.PIPE,
        env={**os.environ, **node._marks},
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"mounted\n"
            yield SmallDisk(node, holder.pid, inside)
        finally:
            holder.kill()
