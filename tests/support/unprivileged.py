"""Starting programs as a user without root's rights, with chosen capabilities."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from speaker.privileges.capabilities import Capability
from tests.support import exposing

PROJECT = Path(__file__).parents[2]
PLACES = sorted({PROJECT, Path(sys.prefix), Path(sys.base_prefix)})
"""Where Python and the project are."""

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def exposed(argv: Sequence[str]) -> list[str]:
    """Give the command that runs a program where everybody can get at Python and the project."""
    words = ["unshare", "--mount", "--propagation", "private", sys.executable]
    return [*words, exposing.__file__, *map(str, PLACES), "--", *argv]


def as_nobody(argv: Sequence[str], *capabilities: Capability) -> list[str]:
    """Give the command that runs a program as nobody, with these capabilities and no others."""
    return exposed([*set_rights(capabilities), *argv])


def set_rights(capabilities: Iterable[Capability]) -> list[str]:
    """Give the words that make a program nobody's, as ``AmbientCapabilities=`` of systemd does."""
    names = [str(each).removeprefix("CAP_").lower() for each in capabilities]
    sets = ",".join(["-all", *(f"+{name}" for name in names)])
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return [
        *("setpriv", *user, f"--bounding-set={sets}", f"--inh-caps={sets}"),
        *((f"--ambient-caps={sets}",) if names else ()),
    ]


@contextmanager
def common_place() -> Iterator[Path]:
    """Give a directory that everybody can get at; pytest's own are for one user."""
    place = Path(tempfile.mkdtemp(prefix="wren-"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)
