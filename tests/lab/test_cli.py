"""The commands ``wren lab …``: what they print and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.state import StateDirectory
from tests.support.netns import needs_namespaces

ROOT = Path(__file__).parents[2]


def wren_lab(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "speaker", "lab", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@dataclass
class Rack:
    """A lab of two hosts, which needs no daemon."""

    name: str
    file: Path


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    made = Rack(f"cli{os.getpid()}", tmp_path / "rack.yaml")
    made.file.write_text(
        f"name: {made.name}\n"
        "nodes: {a: {kind: host}, b: {kind: host, gateways: [10.0.0.1]}}\n"
        "links: [{a: [10.0.0.1/24], b: [10.0.0.2/24]}]\n"
    )
    yield made
    wren_lab("down", made.name)


@pytest.mark.netns
@needs_namespaces
def test_a_lab_goes_up_is_looked_at_and_goes_down(rack: Rack) -> None:
    done = wren_lab("up", str(rack.file))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"lab {rack.name} is up: a, b" in done.stdout

    again = wren_lab("up", str(rack.file))
    assert again.returncode == 1
    assert again.stderr == (
        f"wren lab: lab {rack.name} is up, or was left behind: wren lab down {rack.name}\n"
    )

    status = json.loads(wren_lab("status", "--lab", rack.name, "-o", "json").stdout)
    assert [node["name"] for node in status["labs"][0]["nodes"]] == ["a", "b"]

    routes = wren_lab("exec", "--lab", rack.name, "b", "--", "ip", "-4", "route", "show", "default")
    assert routes.stdout.split()[:3] == ["default", "via", "10.0.0.1"]
    assert wren_lab("exec", "--lab", rack.name, "b", "sh", "-c", "exit 7").returncode == 7

    unknown = wren_lab("exec", "--lab", rack.name, "c", "true")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)
    assert "it has a, b" in unknown.stderr

    assert wren_lab("down", str(rack.file)).stdout == f"lab {rack.name} is down\n"
    assert not StateDirectory(rack.name).exists


def test_taking_down_what_is_not_up_is_no_mistake() -> None:
    done = wren_lab("down", "never-was")
    assert (done.returncode, done.stdout) == (0, "lab never-was is not up\n")


def test_a_mistake_in_the_topology_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("nodes:\n  a: {kind: brid}\n")

    done = wren_lab("up", str(file))

    assert done.returncode == 1
    assert done.stderr.startswith(f"wren lab: {file}:2: nodes.a.kind: 'brid' is not a kind")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.netns
@needs_namespaces
def test_a_daemon_that_is_not_installed_names_its_package(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    rack.file.write_text(f"name: {rack.name}\nnodes: {{a: {{kind: bird, asn: 1}}}}\n")
    # In a mount namespace of its own, BIRD's program is one that cannot be executed.
    hidden = (
        "mount -t tmpfs none /mnt && cp /bin/false /mnt/bird && chmod 644 /mnt/bird"
        ' && mount --bind /mnt/bird /usr/sbin/bird && exec "$@"'
    )
    monkeypatch.chdir(ROOT)
    argv = ["unshare", "--mount", "--", "sh", "-c", hidden, "sh", sys.executable, "-m", "speaker"]
    done = subprocess.run(
        [*argv, "lab", "up", str(rack.file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr == "wren lab: bird is missing: apt install bird2\n"
    assert not StateDirectory(rack.name).exists


def test_a_wrong_word_is_a_usage_error() -> None:
    assert wren_lab("up").returncode == 2
    assert wren_lab("sideways").returncode == 2
