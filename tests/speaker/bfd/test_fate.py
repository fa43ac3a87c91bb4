"""Whether a process of ours goes on when we end, by what the kernel tells of our ancestors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from speaker.bfd.fate import outlives_us
from tests.support.netns import needs_namespaces

ROOT = Path(__file__).parents[3]

MACHINE = {1: (0, "systemd"), 70: (1, "wren")}
TERMINAL = {1: (0, "systemd"), 60: (1, "sshd"), 65: (60, "bash"), 70: (65, "wren")}
RUNIT = {1: (0, "runsvdir"), 60: (1, "runsv"), 70: (60, "wren")}
ALONE = {1: (0, "wren")}
SHELL = {1: (0, "sh"), 70: (1, "wren")}
TINY = {1: (0, "tini"), 60: (1, "sh"), 70: (60, "wren")}
FROM_OUTSIDE = {70: (0, "wren")}


@pytest.mark.parametrize(
    ("processes", "pid", "outlives"),
    [
        (MACHINE, 70, True),
        (TERMINAL, 70, True),
        (RUNIT, 70, True),
        (FROM_OUTSIDE, 70, True),
        (ALONE, 1, False),
        (SHELL, 70, False),
        (TINY, 70, False),
    ],
)
def test_it_does_unless_all_around_ends_with_us(
    tmp_path: Path, processes: dict[int, tuple[int, str]], pid: int, outlives: bool
) -> None:
    for number, (parent, name) in processes.items():
        home = tmp_path / str(number)
        home.mkdir()
        (home / "stat").write_text(f"{number} (a) b) S {parent} 1 1")
        (home / "comm").write_text(f"{name}\n")
    assert outlives_us(pid, tmp_path) is outlives


@pytest.mark.netns
@needs_namespaces
def test_the_first_process_of_a_container_takes_all_others_along() -> None:
    probe = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from speaker.bfd.fate import outlives_us; print(outlives_us())"
    )
    argv = ["unshare", "--pid", "--fork", sys.executable, "-I", "-c", probe]
    # Root may do that, and whoever may make a user namespace.
    argv[1:1] = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "False\n"
