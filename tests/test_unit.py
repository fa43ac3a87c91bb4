"""The unit of systemd in the manual: it is one, it is hard, and its walls stand."""

from __future__ import annotations

import errno
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from speaker.privileges.capabilities import Capability
from tests.support import walled

UNIT = Path(__file__).parents[1] / "docs" / "wren.service"
PAGE = UNIT.with_name("operating.md").read_text(encoding="utf-8")

TRIES = """
import errno, json, mmap, os, socket, sys

def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return error.errno
    return 0

print(json.dumps([
    tried(lambda: socket.socket(socket.AF_INET).close()),
    tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, 5)),
    tried(lambda: os.chown("/", 0, 0)),
    tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
]))
"""


def test_systemd_takes_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=.*", "ExecStart=/bin/true", UNIT.read_text()))
    argv = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr


def test_its_exposure_is_what_the_manual_says() -> None:
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    [level] = re.findall(r"exposure level for wren.service: ([\d.]+)", said)
    [noted] = re.findall(r"calls its exposure ([\d.]+)", PAGE)
    # Each version of systemd counts a little otherwise.
    assert abs(float(level) - float(noted)) <= 0.3


def test_it_leaves_no_core_with_passwords_in_it() -> None:
    assert walled.settings_of(UNIT)["LimitCORE"] == ["0"]


def test_its_capabilities_are_the_three() -> None:
    names = ("CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW")
    three = {Capability[name] for name in names}
    settings = walled.settings_of(UNIT)
    for name in ("AmbientCapabilities", "CapabilityBoundingSet"):
        [words] = settings[name]
        assert {Capability[word] for word in words.split()} == three


@pytest.mark.netns
def test_its_walls_stand() -> None:
    walls = [sys.executable, walled.__file__, walled.walls_of(UNIT)]

    def run(program: str) -> subprocess.CompletedProcess[str]:
        argv = [*walls, sys.executable, "-I", "-c", program]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    done = run(TRIES)
    *calls, memory = json.loads(done.stdout)
    assert calls == [0, errno.EAFNOSUPPORT, errno.EPERM, errno.EPERM]
    # A kernel before 6.3 cannot be told so, but by a filter of systemd's own.
    numbers = platform.release().split("-")[0].split(".")[:2]
    assert memory == errno.EACCES or tuple(map(int, numbers)) < (6, 3)
    # What no service does kills, so that the walk of test_unprivileged would notice it.
    assert run("import os; os.chroot('/')").returncode == -31
