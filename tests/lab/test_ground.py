"""Where a lab stands: on the host, in a user namespace, in a corner of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from lab import Lab, LabError, processes
from lab.ground import Ground, may_use_the_host
from lab.state import StateDirectory
from tests.support.netns import needs_namespaces, needs_user_namespaces
from tests.support.remains import Remains, ends, journal_reaches, remains, when

pytestmark = [pytest.mark.netns, needs_namespaces]

ROOT = Path(__file__).parents[2]

# Root of a user namespace is root by name; of one with namespaces of its own he is it by right.
AS_ROOT_BY_NAME = ["unshare", "--user", "--map-root-user", "--"]
AS_ROOT_OF_A_CORNER = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--"]

_numbers = count()


class Scene:
    """The name of a lab, and what there is of it."""

    def __init__(self, directory: Path) -> None:
        self.state = StateDirectory(f"ground{os.getpid()}-{next(_numbers)}")
        self.file = directory / "topology.yaml"
        self.before = self.left()
        self.writes("kind: host")

    def writes(self, node: str) -> None:
        self.file.write_text(f"name: {self.state.lab}\nnodes: {{h: {{kind: host}}, n: {{{node}}}}}")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "lab", *words]

    def runs(self, prefix: list[str], *words: str) -> tuple[int, str, str]:
        argv = [*prefix, *self.command(*words)]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def left(self) -> Remains:
        return remains(self.state)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.runs([], "down", made.state.lab)


def told_by_python(prefix: list[str], expression: str) -> str:
    script = f"from lab import ground; print({expression})"
    argv = [*prefix, sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("prefix", "host", "users"),
    [
        pytest.param([], "True", "True", id="root"),
        pytest.param(
            AS_ROOT_BY_NAME, "False", "False", id="root by name", marks=needs_user_namespaces
        ),
        pytest.param(
            AS_ROOT_OF_A_CORNER,
            "True",
            "False",
            id="root of a corner",
            marks=needs_user_namespaces,
        ),
    ],
)
def test_who_may_do_what_is_known_beforehand(prefix: list[str], host: str, users: str) -> None:
    assert told_by_python(prefix, "ground.may_use_the_host()") == host
    assert told_by_python(prefix, "ground.Ground().has_users") == users


def test_a_dead_holder_is_no_ground(scene: Scene) -> None:
    assert may_use_the_host()
    assert Ground().is_there
    with subprocess.Popen(["true"]) as gone:
        pass
    assert not Ground(processes.ProcessId(gone.pid, 1)).is_there


@needs_user_namespaces
def test_root_by_name_gets_a_user_namespace_within_his_own(scene: Scene) -> None:
    inside = ["unshare", "--user", "--map-root-user", "--", "sh", "-ec"]
    lab = scene.state.lab
    python = f"{sys.executable} -m lab"
    script = (
        f"{python} up {scene.file}; {python} exec --lab {lab} h ip -br link;"
        f" {python} status --lab {lab}; {python} down {lab}"
    )
    done = subprocess.run([*inside, script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "lo               UNKNOWN" in done.stdout
    assert scene.left() == scene.before


@needs_user_namespaces
def test_a_lab_that_lost_its_holder_says_so_and_can_be_taken_down(scene: Scene) -> None:
    assert scene.runs(AS_ROOT_BY_NAME, "up", str(scene.file))[0] == 0
    (holder,) = [e.process for e in scene.state.entries() if e.what == "holder" and e.pid]
    processes.send(holder, signal.SIGKILL)
    processes.wait_gone([holder], 10)

    lab = scene.state.lab
    with pytest.raises(LabError, match=f"lab {lab} has lost its namespaces: wren lab down {lab}"):
        Lab.find(lab)
    assert scene.runs([], "down", lab)[0] == 0

    assert scene.left() == scene.before


@pytest.mark.interop
@needs_user_namespaces
def test_a_daemon_that_needs_users_is_refused_to_root_of_a_corner(scene: Scene) -> None:
    scene.writes("kind: frr, asn: 65001")

    status, _, errors = scene.runs(AS_ROOT_OF_A_CORNER, "up", str(scene.file))

    assert status == 1
    assert errors.startswith("wren lab: n: frr changes")
    assert len(errors.splitlines()) == 1
    assert scene.left() == scene.before


def test_down_all_takes_down_every_lab_there_is(tmp_path: Path, scene: Scene) -> None:
    # With a /run of its own, so that "every" is none of those that others have up.
    corner = ["unshare", "--mount", "--", "sh", "-ec"]
    python = f"{sys.executable} -m lab"
    script = (
        "mount -t tmpfs tmpfs /run;"
        f"{python} down --all; {python} up {scene.file} --name one;"
        f"{python} up {scene.file} --name two; {python} down 2>&1 && exit 9;"
        f"{python} down --all; {python} status; ls /run/wren-lab /run/netns"
    )
    done = subprocess.run([*corner, script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    told = [line for line in done.stdout.splitlines() if not line.startswith("look around")]
    assert told == [
        "lab one is up: h, n",
        "lab two is up: h, n",
        "wren lab: say which lab by its name, or --all; up are: one, two",
        "lab one is down",
        "lab two is down",
        "no lab is up",
        "/run/netns:",
        "",
        "/run/wren-lab:",
    ]


@pytest.mark.interop
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGHUP])
def test_who_interrupts_again_and_again_does_not_stop_the_cleaning(
    scene: Scene, first: signal.Signals
) -> None:
    scene.writes("kind: bird, asn: 65001")
    # What the tests were started to ignore, by nohup perhaps, the lab would ignore, too.
    heard = ["env", "--default-signal=INT,TERM,HUP"]
    argv = [*heard, *scene.command("up", str(scene.file))]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE) as up:
        when(journal_reaches(scene.state, 4), up)
        up.send_signal(first)
        assert up.stderr is not None
        assert up.stderr.readline() == b"wren lab: interrupted; removing what was made\n"
        while up.poll() is None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                up.send_signal(number)
        assert up.stderr.read() == b""
        assert ends(up) == 128 + first

    assert scene.left() == scene.before
