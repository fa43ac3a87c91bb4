"""All tests beside each other; what failed there once more, alone.

    python -m tests.gate [--workers N] [what pytest takes]

Tests that run real daemons in namespaces share the processors with one another. Where a daemon has
to wait for a processor its timers run out, ours as well as others'; that is a finding about the
load, and not about Wren. So what failed is run a second time with nothing beside it, with the other
tests of its file, which may share a lab with it; and it is the second time that counts. Both are
printed. More than `A_FEW` failures are no accident: then there is no second time.

A file stays in one process, so that its labs are brought up once; the longest files come first
(`tests.support.order`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

A_FEW = 5
"""Tests that may fail beside others and are run again."""

SOME_FAILED = 1
"""What pytest exits with when tests have failed, and nothing worse has happened."""


def main(words: list[str] | None = None) -> int:
    """Run the tests; give what to exit with."""
    parser = ArgumentParser(prog="python -m tests.gate", description="Run all tests.")
    parser.add_argument("--workers", default="3", help="processes of tests (default: 3)")
    options, more = parser.parse_known_args(words)
    together = ["-n", options.workers, "--dist", "loadfile", "--no-loadscope-reorder", *more]
    # The names that are left of an earlier run are not this one's.
    code = _pytest("--cache-clear", *together)
    if code != SOME_FAILED:
        return code
    failed = sorted(_failed(Path.cwd()))
    if not failed or len(failed) > A_FEW:
        return code
    sys.stdout.write(f"\n{len(failed)} failed beside others; once more, alone:\n")
    sys.stdout.writelines(f"  {name}\n" for name in failed)
    sys.stdout.flush()
    return _pytest(*dict.fromkeys(name.partition("::")[0] for name in failed))


def _pytest(*arguments: str) -> int:
    # Hundreds of daemons and commands are started: to compile all modules for each takes minutes.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    argv = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(argv, check=False, env=environment).returncode


def _failed(root: Path) -> set[str]:
    """Read the names of the tests that failed in the last run."""
    try:
        names = json.loads((root / ".pytest_cache/v/cache/lastfailed").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    return set(names)


if __name__ == "__main__":
    sys.exit(main())
