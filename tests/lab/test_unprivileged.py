"""A lab for somebody who is not root: everything in a user namespace, and nothing left of it.

The commands run as *nobody* with an interpreter that nobody may execute: the one of the tests, or
the system's if it is of the same release and so can load the same packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.probes import wait_until
from lab.state import StateDirectory
from tests.support.netns import needs_namespaces, needs_user_namespaces
from tests.support.remains import Remains, ends, journal_reaches, remains, when

pytestmark = [
    pytest.mark.netns,
    pytest.mark.interop,
    needs_namespaces,
    needs_user_namespaces,
]

ROOT = Path(__file__).parents[2]
NOBODY = 65534
# The program setpriv starts is still looked up with root's capabilities; what env starts is not.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", "env"]

TOPOLOGY = """\
name: nobodys
nodes:
  a: {kind: bird, asn: 65001}
  b: {kind: %s, asn: 65002}
  h: {kind: host}
links:
  - {a: [10.0.0.1/24, "fd00::1/64"], b: [10.0.0.2/24, "fd00::2/64"]}
  - {a: [10.9.0.1/24], h: [10.9.0.2/24]}
bgp:
  - [a, b]
"""


class Nobody:
    """Somebody without any privilege, with a runtime directory of his own."""

    def __init__(self, home: Path, python: str) -> None:
        self.home = home
        self.state = StateDirectory("nobodys", home / "wren-lab")
        self.file = home / "topology.yaml"
        self._python = python

    def writes(self, kind: str) -> None:
        self.file.write_text(TOPOLOGY % kind)

    def begins(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*AS_NOBODY, self._python, "-m", "lab", *words],
            cwd=ROOT,
            env=_environment(self.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def runs(self, *words: str) -> tuple[int, str, str]:
        with self.begins(*words) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()

    def left(self) -> Remains:
        return remains(self.state)


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_RUNTIME_DIR": str(home),
    }


def _interpreter(home: Path) -> str | None:
    probe = f"import sys, lab.cli; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run(
            [*AS_NOBODY, python, "-c", probe],
            cwd="/",
            env=_environment(home),
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return python
    return None


@pytest.fixture
def nobody() -> Iterator[Nobody]:
    # Under /run, as a real runtime directory: a private /run must not hide it.
    home = Path(tempfile.mkdtemp(prefix="wren-nobody-", dir="/run"))
    os.chown(home, NOBODY, NOBODY)
    try:
        python = _interpreter(home)
        if python is None:
            pytest.skip("no interpreter of this release that nobody may execute")
        who = Nobody(home, python)
        who.writes("gobgp")
        yield who
        who.runs("down", "--all")
    finally:
        shutil.rmtree(home)


def test_a_lab_needs_no_privilege(nobody: Nobody) -> None:
    before = nobody.left()
    assert nobody.runs("up", str(nobody.file))[::2] == (0, "")

    def sessions() -> list[bool]:
        status = json.loads(nobody.runs("status", "-o", "json")[1])
        return [up for node in status["labs"][0]["nodes"] for up in node["sessions"].values()]

    wait_until(lambda: sessions() == [True] * 4, "four ends of two sessions are up")
    assert nobody.runs("exec", "h", "--", "ping", "-c3", "-i0.3", "-W2", "10.9.0.1")[0] == 0
    assert nobody.left().interfaces == before.interfaces
    assert nobody.left().namespaces == ()

    assert nobody.runs("down", "nobodys")[0] == 0

    assert nobody.left() == before


@pytest.mark.parametrize("lines", [0, 1, 2, 4, 8])
def test_killing_an_unprivileged_up_leaves_nothing_after_down(nobody: Nobody, lines: int) -> None:
    before = nobody.left()
    with nobody.begins("up", str(nobody.file)) as up:
        when(journal_reaches(nobody.state, lines), up)
        up.kill()
        ends(up)

    assert nobody.runs("down", "nobodys")[0] == 0

    assert nobody.left() == before


@pytest.mark.parametrize("kind", ["frr", "openbgpd"])
def test_a_daemon_that_changes_its_user_is_refused_in_one_line(nobody: Nobody, kind: str) -> None:
    nobody.writes(kind)
    before = nobody.left()

    status, _, errors = nobody.runs("up", str(nobody.file))

    assert status == 1
    assert len(errors.splitlines()) == 1
    assert "root" in errors
    assert nobody.left() == before


def test_without_user_namespaces_one_line_says_what_to_do(nobody: Nobody) -> None:
    before = nobody.left()
    # Inside one user namespace that allows no further ones, as on a machine that forbids them.
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    words = [*AS_NOBODY, "unshare", "--user", "--map-root-user", "--", "sh", "-c", forbid, "sh"]
    done = subprocess.run(
        [*words, nobody._python, "-m", "lab", "up", str(nobody.file)],
        cwd=ROOT,
        env=_environment(nobody.home),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "run as root" in done.stderr
    assert nobody.left() == before
