"""What a lab has left on the machine, and who may look at it from outside.

`Remains` is compared before and after: it names everything a lab could leave behind. Labs of other
tests run at the same time, so of what has a lab's name in it only this lab's is looked at.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.namespaces import namespace_of
from lab.probes import wait_until
from lab.processes import MARK
from lab.state import StateDirectory


@dataclass(frozen=True)
class Remains:
    """What there is of one lab."""

    namespaces: tuple[str, ...]
    interfaces: tuple[str, ...]
    processes: tuple[int, ...]
    directory: bool


def remains(state: StateDirectory) -> Remains:
    """Look for namespaces, processes and files of a lab, and at every interface of the host."""
    prefix = namespace_of(state.lab, "")
    namespaces = [path.name for path in Path("/run/netns").glob(f"{prefix}*")]
    links = printed("ip", "-o", "link", "show").splitlines()
    return Remains(
        tuple(sorted(namespaces)),
        tuple(sorted(line.split(": ")[1] for line in links)),
        tuple(sorted(_carrying(f"{MARK}={state.path}".encode()))),
        state.exists,
    )


def _carrying(mark: bytes) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            carries = mark in path.read_bytes().split(b"\0")
        except OSError:
            continue
        if carries:
            found.append(int(path.parent.name))
    return found


def printed(*argv: str) -> str:
    """Run a command that must succeed and give what it prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def when(condition: Callable[[], bool], running: subprocess.Popen[bytes]) -> None:
    """Spin until a condition holds: the moment is missed by a millisecond, not by a poll."""
    while not condition():
        assert running.poll() is None, "it ended before the moment came"


def journal_reaches(state: StateDirectory, lines: int) -> Callable[[], bool]:
    """Make the condition that so much has been written down."""

    def reached() -> bool:
        return state.exists and (lines == 0 or len(state.entries()) >= lines)

    return reached


def ends(process: subprocess.Popen[bytes], seconds: float = 30.0) -> int:
    """Wait for a command's end and give its exit status."""
    wait_until(lambda: process.poll() is not None, f"{process.args!r} ends", seconds=seconds)
    return process.returncode
