"""The fixture that comes with Wren, as a test of somebody else's would use it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lab.probes import ping, wait_until
from lab.pytest_plugin import LabUp
from tests.support.netns import needs_namespaces

pytestmark = [pytest.mark.netns, needs_namespaces]
TWO_HOSTS = """
name: somebody
nodes: {left: {kind: host}, right: {kind: host}}
links: [{left: [10.9.0.1/24], right: [10.9.0.2/24]}]
"""


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


def test_labs_of_one_test_stand_beside_each_other(lab_up: LabUp) -> None:
    first, second = lab_up(TWO_HOSTS), lab_up(TWO_HOSTS)
    assert first.topology.name != second.topology.name
    wait_until(lambda: ping(first.node("left"), "10.9.0.2"), "the first is there")
    wait_until(lambda: ping(second.node("right"), "10.9.0.1"), "the second is there")


def test_a_file_is_brought_up_too(lab_up: LabUp, tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text(TWO_HOSTS, encoding="utf-8")
    assert set(lab_up(file).nodes) == {"left", "right"}


def test_nothing_is_left_when_the_test_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        def test_it(lab_up):
            lab = lab_up('''{TWO_HOSTS}''')
            print("name:", lab.topology.name)
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-s")
    result.assert_outcomes(failed=1)
    [name] = re.findall(r"name: (t\d+-\S+)", result.stdout.str())
    assert f"wl-{name}." not in namespaces()
