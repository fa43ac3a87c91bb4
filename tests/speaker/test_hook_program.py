"""One run of an operator's program, as a process."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from speaker.hook_program import Outcome, kill, run

PATIENT = 30.0


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(lines: str) -> Path:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return path

    return write


def outcome_of(program: Path, limit: float = PATIENT, **environment: str) -> Outcome:
    return run(program, environment, b'{"event": "bfd"}\n', limit, lambda pid: None)


def test_it_gets_what_happened_and_nothing_of_ours(
    script: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hush")
    told = tmp_path / "told"
    program = script(
        f"cat > {told}.json; env > {told}; pwd >> {told}; ls /proc/self/fd > {told}.fds"
    )
    assert outcome_of(program, WREN_PEER='$(touch no) "; x') == Outcome(0)
    assert json.loads((tmp_path / "told.json").read_text()) == {"event": "bfd"}
    lines = told.read_text().splitlines()
    assert 'WREN_PEER=$(touch no) "; x' in lines
    assert lines[-1] == "/"
    assert not [line for line in lines if "hush" in line]
    # Its standard streams, and the directory that it lists.
    assert len((tmp_path / "told.fds").read_text().split()) == 4


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("exit 3", "exit status 3"),
        ("echo one >&2; printf 'two\\033[2J' >&2; exit 1", "exit status 1: two?[2J"),
        ("kill -9 $$", "it was killed by signal 9"),
        # What it leaves behind holds its standard error.
        ("sleep 60 & echo away >&2; exit 4", "exit status 4: away"),
        ("exec 0<&-; exit 5", "exit status 5"),
        ("yes >&2 & P=$!; sleep 0.2; kill $P; exit 6", "exit status 6: y"),
    ],
)
def test_how_it_ended_is_said(script: Callable[[str], Path], lines: str, sentence: str) -> None:
    assert str(outcome_of(script(lines))) == sentence


def test_who_is_late_is_killed_with_all_that_it_has_started(
    script: Callable[[str], Path], tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    found = outcome_of(script(f"echo so far >&2; sleep 600 & echo $! > {pid}; wait"), limit=1.0)
    assert str(found) == "it was not done in time, and was killed: so far"
    status = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not status.exists() or " Z " in status.read_text()


def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    assert str(outcome_of(tmp_path / "nothing")) == (
        "it cannot be started: no such file or directory"
    )
    program = tmp_path / "text"
    program.write_text("no program")
    program.chmod(0o755)
    assert "cannot be started: exec format error" in str(outcome_of(program))


def test_it_can_be_killed_from_outside(script: Callable[[str], Path]) -> None:
    pids: list[int] = []
    started = threading.Event()

    def note(pid: int) -> None:
        pids.append(pid)
        started.set()

    found: list[Outcome] = []
    program = script("sleep 600")
    thread = threading.Thread(target=lambda: found.append(run(program, {}, b"", PATIENT, note)))
    thread.start()
    assert started.wait(PATIENT)
    kill(pids[0])
    thread.join(PATIENT)
    assert found == [Outcome(-signal.SIGKILL)]
    kill(pids[0])  # nobody is there any more
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
