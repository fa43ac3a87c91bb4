from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lab import processes
from lab.processes import MARK, NODE_MARK, ProcessId, identify, is_alive, send, wait_gone


@contextmanager
def sleeper(**marks: str) -> Iterator[tuple[subprocess.Popen[bytes], ProcessId]]:
    """Run something that sleeps, with marks in its environment."""
    with subprocess.Popen(["sleep", "60"], env={**os.environ, **marks}) as child:
        process = identify(child.pid)
        assert process is not None
        try:
            yield child, process
        finally:
            child.kill()


def test_a_process_is_known_by_its_pid_and_its_start() -> None:
    with sleeper() as (child, process):
        assert process == identify(child.pid)
        assert is_alive(process)
        assert not is_alive(replace(process, start=process.start + 1))


def test_another_process_with_the_same_pid_is_never_signalled() -> None:
    with sleeper() as (child, process):
        earlier = replace(process, start=process.start - 1)

        assert not send(earlier, signal.SIGKILL)
        assert processes.end_all({}, recorded=[earlier]) == 0

        assert child.poll() is None


def test_a_zombie_does_not_live() -> None:
    with sleeper() as (child, process):
        assert send(process, signal.SIGKILL)
        assert wait_gone([process], 10.0) == []
        assert child.returncode is None, "nobody has reaped it"
        assert identify(child.pid) is None
        assert not send(process, signal.SIGTERM)


def test_who_does_not_end_in_time_is_told() -> None:
    with sleeper() as (_, process):
        assert wait_gone([process], 0.0) == [process]


def test_only_who_carries_all_marks_is_ended() -> None:
    lab = f"/nowhere/{os.getpid()}"
    with (
        sleeper(**{MARK: lab, NODE_MARK: "a"}) as (first, _),
        sleeper(**{MARK: lab, NODE_MARK: "b"}) as (second, _),
        sleeper(**{MARK: lab + "0", NODE_MARK: "a"}) as (third, _),
    ):
        assert processes.end_all({MARK: lab, NODE_MARK: "a"}) == 1

        assert first.wait() == -signal.SIGKILL
        assert (second.poll(), third.poll()) == (None, None)


def test_without_marks_namespaces_and_records_nobody_is_ended() -> None:
    with sleeper() as (child, _):
        assert processes.end_all({}) == 0
        assert child.poll() is None


def test_children_that_a_process_starts_while_it_is_ended_are_ended_too() -> None:
    lab = f"/nowhere/{os.getpid()}-forking"
    breeds = "import os, time\nprint(flush=True)\nfor _ in range(20): os.fork() or time.sleep(60)"
    argv = [sys.executable, "-c", breeds]
    with subprocess.Popen(argv, env={**os.environ, MARK: lab}, stdout=subprocess.PIPE) as mother:
        assert mother.stdout is not None
        mother.stdout.readline()

        assert processes.end_all({MARK: lab}) >= 1

        assert list(processes.find({MARK: lab})) == []
