"""The side-by-side benchmark works: a small table through Wren and through BIRD."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers.ceiling import measure_ceiling
from benchmarks.peers.daemons import ROOT
from benchmarks.peers.measuring import measure
from benchmarks.peers.run import Order
from tests.support.netns import needs_namespaces

pytestmark = [pytest.mark.netns, needs_namespaces]

PREFIXES = 200
DAEMONS = ["wren", pytest.param("bird", marks=pytest.mark.interop)]


@pytest.fixture(autouse=True)
def _tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WREN_BENCH_CACHE", str(tmp_path))


def order(daemon: str, mode: str, *, checks: bool = False, receivers: int = 1) -> Order:
    return Order(daemon, mode, PREFIXES, receivers=receivers, checks=checks, limit=60.0, quiet=0.3)


def namespaces() -> list[str]:
    """Give the namespaces of this process's beds."""
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    return [name for name in names if name.startswith(f"wb{os.getpid()}")]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_receivers_hold_what_was_sent(daemon: str) -> None:
    found = measure(order(daemon, "relay", checks=True, receivers=2))
    assert found["ok"], found
    assert found["wrong"] == {}
    assert (found["missing"], found["announced"], found["drops"]) == (0, 2 * PREFIXES, 0)
    assert isinstance(found["relay_s"], float)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_kernel_gets_everything_and_loses_it_again(daemon: str) -> None:
    found = measure(order(daemon, "fib", receivers=0))
    assert found["ok"], found
    assert {"fib_s", "fib_withdraw_s"} <= found.keys()


def test_an_edit_is_told_of_what_it_changes_and_of_nothing_else() -> None:
    found = measure(order("wren", "edit"))
    assert found["ok"], found
    assert found["drops"] == 0
    for name in ("import", "import_back", "export", "export_back"):
        assert found[f"{name}_told"] == found["changed"]
        assert isinstance(found[f"{name}_s"], float)


def test_a_slow_receiver_is_there_beside_a_quick_one() -> None:
    found = measure(order("wren", "slow", receivers=2))
    assert found["ok"], found
    assert found["drops"] == 0
    assert {"relay_s", "change_s", "memory_mb"} <= found.keys()


def test_churn_is_taken_and_arrives() -> None:
    churn = replace(order("wren", "churn"), rate=200, seconds=2.0, asks=True)
    found = measure(churn)
    assert found["ok"], found
    assert found["drops"] == 0
    assert found["updates_s"]
    assert found["updates_heard"]
    assert {"memory_10_mb", "memory_end_mb", "share", "slowest_answer_s"} <= found.keys()


def test_a_daemon_that_ends_is_said_and_nothing_is_left_behind() -> None:
    found = measure(order("false {config}", "relay"))
    assert not found["ok"]
    assert "it has ended" in str(found["error"])
    assert namespaces() == []


def test_the_harness_alone_moves_a_table() -> None:
    found = measure_ceiling(PREFIXES)
    assert isinstance(found["transfer_s"], float)
    assert namespaces() == []


def test_the_kernel_takes_stamped_routes_in_each_way() -> None:
    command = [sys.executable, "-m", "benchmarks.peers.kernel_limit", f"--prefixes={PREFIXES}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["route"] for each in found][:1] == ["gateway"]
    assert all(each["ok"] and each["prefixes"] == PREFIXES for each in found)
