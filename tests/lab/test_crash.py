"""Whatever happens to ``wren lab up`` and ``wren lab down``: in the end nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from lab import processes
from lab.state import StateDirectory
from tests.support.netns import needs_namespaces
from tests.support.remains import Remains, ends, journal_reaches, remains, when

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

ROOT = Path(__file__).parents[2]

TOPOLOGY = """\
name: {name}
nodes:
  a: {{kind: bird, asn: 65001}}
  b: {{kind: gobgp, asn: 65002}}
  h: {{kind: host}}
links:
  - {{a: [10.0.0.1/24, "fd00::1/64"], b: [10.0.0.2/24, "fd00::2/64"]}}
segments:
  lan: {{a: [10.9.0.1/24], h: [10.9.0.2/24]}}
bgp:
  - [a, b]
"""

LINES = 12
"""What the journal of this lab has at the end: 4 namespaces, 4 interfaces, 2 daemons, 2 pids."""

_numbers = count()


class Scene:
    """A lab that is brought up and down by commands of their own, to be killed."""

    def __init__(self, directory: Path) -> None:
        self.state = StateDirectory(f"crash{os.getpid()}-{next(_numbers)}")
        self.file = directory / "topology.yaml"
        self.file.write_text(TOPOLOGY.format(name=self.state.lab))
        self.before = remains(self.state)

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "lab", *words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def up(self) -> subprocess.Popen[bytes]:
        return self.begin("up", str(self.file))

    def down(self) -> subprocess.Popen[bytes]:
        return self.begin("down", self.state.lab)

    def left(self) -> Remains:
        return remains(self.state)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize("lines", range(LINES + 1))
def test_killing_up_at_any_moment_leaves_nothing_after_down(scene: Scene, lines: int) -> None:
    up = scene.up()
    when(journal_reaches(scene.state, lines), up)
    up.kill()
    ends(up)
    assert scene.left() != scene.before, "the kill came too early to leave anything"

    assert ends(scene.down()) == 0

    assert scene.left() == scene.before


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (0, signal.SIGTERM),
        (1, signal.SIGINT),
        (6, signal.SIGTERM),
        (9, signal.SIGINT),
        (LINES - 1, signal.SIGTERM),
    ],
)
def test_an_interrupted_up_cleans_up_by_itself(
    scene: Scene, lines: int, number: signal.Signals
) -> None:
    up = scene.up()
    when(journal_reaches(scene.state, lines), up)
    up.send_signal(number)

    assert ends(up) != 0

    assert scene.left() == scene.before


def test_what_a_killed_down_leaves_is_removed_by_the_next(scene: Scene) -> None:
    assert ends(scene.up()) == 0
    programs = [entry.process for entry in scene.state.entries() if entry.pid]
    down = scene.down()
    when(lambda: not any(map(processes.is_alive, programs)), down)
    down.kill()
    ends(down)

    assert ends(scene.down()) == 0

    assert scene.left() == scene.before


def test_a_lab_that_was_left_behind_is_not_brought_up_over_itself(scene: Scene) -> None:
    up = scene.up()
    when(journal_reaches(scene.state, 4), up)
    up.kill()
    ends(up)

    assert ends(scene.up()) == 1
    assert ends(scene.down()) == 0

    assert scene.left() == scene.before


def test_a_whole_lab_writes_down_what_it_has(scene: Scene) -> None:
    assert ends(scene.up()) == 0
    written = [entry.what for entry in scene.state.entries()]
    assert ends(scene.down()) == 0

    assert written == ["namespace"] * 4 + ["interface"] * 4 + ["process"] * 4
    assert len(written) == LINES
    assert scene.left() == scene.before
