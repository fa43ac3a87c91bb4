"""A shell with ``wren`` in its path, for commands typed as documents type them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Said:
    """What a script printed, and how it ended."""

    out: str
    err: str
    code: int


class Shell:
    """Runs scripts with bash.

    Args:
        home: a directory of its own, in which the scripts run.
        **variables: of the environment.
    """

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        bin_path = home / "bin"
        bin_path.mkdir(parents=True)
        # As root already: sudo does nothing but run the command.
        for name, runs in (("wren", f"{sys.executable} -m speaker"), ("sudo", "")):
            program = bin_path / name
            program.write_text(f'#!/bin/sh\nexec {runs} "$@"\n')
            program.chmod(0o755)
        self._env = {
            **os.environ,
            "PATH": f"{bin_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            **variables,
        }

    def run(self, script: str) -> Said:
        """Run a script, whatever comes of it."""
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.home,
            env=self._env,
            check=False,
            capture_output=True,
            text=True,
        )
        return Said(done.stdout, done.stderr, done.returncode)

    def type(self, script: str) -> str:
        """Run a script that must succeed, and give what it prints."""
        said = self.run(script)
        assert said.code == 0, said.out + said.err
        return said.out
