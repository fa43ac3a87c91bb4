"""Start a program in a mount namespace in which everybody can get at some directories.

``python exposing.py DIRECTORY… -- PROGRAM ARGUMENT…``, as root in a namespace of one's own. The
interpreter of a machine may stand below a directory that is root's alone, ``/root``; whoever
becomes another user could not run it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STAGE = Path("/mnt")


def hidden(path: Path) -> Path | None:
    """Give the topmost directory on the way to a path that others may not pass."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & 1), None)


def bind(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--rbind", source, target], check=True)


def expose(paths: list[Path]) -> None:
    lids = {path: lid for path in paths if (lid := hidden(path)) is not None}
    if not lids:
        return
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", STAGE], check=True)
    staged = {path: STAGE / str(number) for number, path in enumerate(lids)}
    for path, stage in staged.items():
        bind(path, stage)
    for lid in sorted(set(lids.values())):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", lid], check=True)
    for path, stage in staged.items():
        bind(stage, path)


if __name__ == "__main__":
    words = sys.argv[1:]
    at = words.index("--")
    # For who inherits this process's place.
    os.umask(0o022)
    expose([Path(word) for word in words[:at]])
    os.execvp(words[at + 1], words[at + 1 :])
