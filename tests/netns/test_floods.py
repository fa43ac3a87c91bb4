"""Floods from outside, on a real router: an honest peer and the kernel's routes notice nothing.

Wren runs as a daemon of its own. An honest peer has announced a hundred prefixes, which stand in
the kernel, and asks for Wren's routes all the time: the answer must come before Wren has spent
50 ms of processor time on anybody else. Processor time and not the clock's, so that a busy machine
is no excuse and no trap.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.kinds.wren import Wren
from lab.probes import kernel_routes
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.watching import watched

pytestmark = [pytest.mark.netns, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
WREN_H, HONEST = "172.31.2.1", "172.31.2.2"
WREN, BAD, LATE, STRANGER = "172.31.3.1", "172.31.3.3", "172.31.3.4", "172.31.3.99"
GHOST = "172.31.3.77"
"""A configured peer that is not there: what is sent to it goes nowhere."""

PREFIXES = [f"10.9.{n}.0/24" for n in range(100)]
STALL = 0.1 if "PYTEST_XDIST_WORKER" in os.environ else 0.05
"""Seconds of its processor that the router may take between a question and its answer: 50 ms, and
twice that beside other tests, which make each step take longer.
"""

GROWTH = 32 << 20

TOPOLOGY = f"""
nodes:
  w:
    kind: wren
    asn: 65001
    networks: [10.1.0.0/24]
    peers:
      - {{address: {HONEST}, asn: 65002, passive: true}}
      - {{address: {BAD}, asn: 65003, passive: true}}
      - {{address: {GHOST}, asn: 65003, passive: true}}
      - {{address: {LATE}, asn: 65004, passive: true}}
  good: {{kind: host}}
  bad: {{kind: host, addresses: [{STRANGER}/32, {LATE}/32]}}
links:
  - {{w: [{WREN_H}/24], good: [{HONEST}/24]}}
  - {{w: [{WREN}/24], bad: [{BAD}/24]}}
"""


@contextmanager
def program(node: RunningNode, module: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program of `tests.support` in a node; its input ends with the block."""
    argv = [sys.executable, "-m", f"tests.support.{module}", *map(str, words)]
    with subprocess.Popen(
        node.inside(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def said(process: subprocess.Popen[str]) -> str:
    """Wait for a line of a program."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def daemon(node: RunningNode) -> int:
    """Give the process that is Wren, whatever has started it."""
    [process] = node.programs()
    return process.pid


def resident(pid: int) -> int:
    """Give the octets of memory that a process has."""
    words = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in words.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) << 10


def of_honest(node: RunningNode) -> list[str]:
    """Give the kernel's routes by the honest peer."""
    routes = kernel_routes(node, Family.IPV4)
    return sorted(prefix for prefix, route in routes.items() if route.gateways == (HONEST,))


def views(node: RunningNode) -> dict[str, dict[str, Any]]:
    """Give what Wren tells of its peers, by address."""
    assert isinstance(node.speaks, Wren)
    status = node.speaks.status()
    return {} if status is None else {peer["address"]: peer for peer in status["peers"]}


@contextmanager
def unharmed() -> Iterator[tuple[Lab, RunningNode]]:
    """See to it that the honest peer and the kernel notice nothing of what happens meanwhile."""
    with lab_of(TOPOLOGY) as lab:
        w, good = lab.node("w"), lab.node("good")
        for address in (STRANGER, LATE):
            w.execute(["ip", "route", "add", address, "via", BAD])
        pid = daemon(w)
        with program(good, "honest_peer", HONEST, WREN_H, 65002, pid, *PREFIXES) as honest:
            becomes("the kernel has the routes", partial(of_honest, w), sorted(PREFIXES))
            since, before = views(w)[HONEST]["since"], resident(pid)
            with watched(w) as watches:
                yield lab, w
                assert views(w)[HONEST]["since"] == since
                assert of_honest(w) == sorted(PREFIXES)
                assert resident(pid) - before < GROWTH
            assert [line for line in watches["w"].removed if " 10.9." in line] == []
            assert honest.stdin is not None
            honest.stdin.close()
            told = json.loads(said(honest))
        assert told["answers"] > 5
        assert told["longest"] < STALL


def half_open(node: RunningNode) -> int:
    """Count connections of which only the first segment has come."""
    return node.execute(["ss", "-Htn", "state", "syn-recv"]).count("\n")


def knows(node: RunningNode, address: str) -> bool:
    """Tell whether the system has any connection with an address, in whatever state."""
    return f" {address}:" in node.execute(["ss", "-Htan"])


def has_few_files(node: RunningNode) -> bool:
    """Tell whether the router has few descriptors."""
    return len(list(Path(f"/proc/{daemon(node)}/fd").iterdir())) < 50


def test_half_open_connections_keep_nobody_out() -> None:
    """SYNs from strangers and from a configured peer's address, three hundred twice a second."""
    with unharmed() as (lab, w):
        bad = lab.node("bad")
        nobody = [f"172.31.3.{n}" for n in range(100, 150)]
        with program(bad, "flooder", "syn", WREN, 300, GHOST, *nobody) as flood:
            assert said(flood) == "sent"
            becomes("it is a flood", lambda: half_open(w) >= 64, wanted=True)
            with program(bad, "honest_peer", LATE, WREN, 65004, daemon(w), "10.4.0.0/24"):
                becomes("another peer comes up", lambda: views(w)[LATE]["state"], "up")
            becomes("connections are few", partial(has_few_files, w), wanted=True)


def test_silent_connections_and_slow_openings_are_few_and_cost_nothing() -> None:
    """300 connections without a word, and 100 that never come to the end of their OPEN."""
    with unharmed() as (lab, w):
        bad = lab.node("bad")
        with (
            program(bad, "flooder", "silent", WREN, 300, BAD, STRANGER) as silent,
            program(bad, "flooder", "dribble", WREN, 100, BAD, STRANGER) as slow,
        ):
            assert said(silent).endswith("stand")
            assert said(slow).endswith("stand")
            becomes("connections are few", partial(has_few_files, w), wanted=True)
            becomes("strangers are gone", partial(knows, w, STRANGER), wanted=False)
            with program(bad, "honest_peer", LATE, WREN, 65004, daemon(w), "10.4.0.0/24"):
                becomes("another peer comes up", lambda: views(w)[LATE]["state"], "up")


def test_a_peer_that_talks_nonsense_for_twenty_thousand_messages() -> None:
    with (
        unharmed() as (lab, _),
        program(lab.node("bad"), "flooder", "nonsense", WREN, 20_000, BAD) as flood,
    ):
        assert said(flood) == "said"


def test_a_peer_that_says_nothing_a_hundred_thousand_times_keeps_nobody_waiting() -> None:
    with (
        unharmed() as (lab, _),
        program(lab.node("bad"), "flooder", "chatter", WREN, 100_000, BAD) as flood,
    ):
        assert said(flood) == "said"
