"""An operator's program beside a running daemon: what it is told, and that nobody waits for it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from tests.support.bfd import protocol, watched
from tests.support.birds import WREN, Bird, around, at
from tests.support.datastores import log_of, put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

EXAMPLE = Path(__file__).parents[2] / "examples" / "hook.sh"
VIP = "203.0.113.10/32"


@contextmanager
def beside_bird(tmp_path: Path, hook: Path) -> Iterator[Lab]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001), watched(2))
    birds = {2: Bird(65002, lines="bfd on;", more={"extra": protocol()})}
    with lab_of(around(directory, birds, args=["--hook", str(hook)])) as lab:
        yield lab


def script(tmp_path: Path, lines: str) -> Path:
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def test_a_program_is_told_of_bfd_and_of_sessions(tmp_path: Path) -> None:
    """And the example of the manual moves its service address."""
    told = tmp_path / "told"
    told.touch()
    with beside_bird(tmp_path, script(tmp_path, f"cat >> {told}; exec {EXAMPLE}")) as lab:
        w = lab.node("w")

        def has_address() -> bool:
            return VIP.partition("/")[0] in w.execute(["ip", "address", "show", "dev", "lo"])

        def changes() -> list[tuple[str, str]]:
            lines = told.read_text().split("\n")[:-1]
            found: list[dict[str, Any]] = [json.loads(line) for line in lines]
            assert {each["address"] for each in found} <= {at(2)}
            return [(each["event"], each["new"]) for each in found]

        up = [("bfd", "up"), ("session", "up")]
        becomes("both are told", lambda: sorted(changes()), up)
        becomes("the address is here", has_address, True)
        lab.node("b2").signal(signal.SIGSTOP)
        try:
            # What BFD finds is told first; it is what ends the session.
            down = [("bfd", "down"), ("session", "down")]
            becomes("their ends are", lambda: sorted(changes()[2:]), down)
            becomes("the address is gone", has_address, False)
        finally:
            lab.node("b2").signal(signal.SIGCONT)
        last = [json.loads(line) for line in told.read_text().splitlines()][2:4]
        [bfd] = [each for each in last if each["event"] == "bfd"]
        assert (bfd["failed"], bfd["reason"]) == (True, "Control Detection Time Expired")
        # BIRD may begin BFD anew with its session, which is a change more.
        becomes("and that they come back", lambda: dict(changes()[4:]), dict(up))
        becomes("the address is back", has_address, True)
        assert "HookFails" not in str(Edited(w, tmp_path / "datastore").conditions())
        told_before = len(changes())
        w.stop()
        becomes(
            "the end of the daemon is told",
            lambda: ("session", "down") in changes()[told_before:],
            True,
        )


def test_a_program_that_hangs_or_fails_is_shown_and_holds_up_nobody(tmp_path: Path) -> None:
    lines = "[ $WREN_NEW = down ] && exec sleep 600; echo no pager >&2; exit 7"
    with beside_bird(tmp_path, script(tmp_path, lines)) as lab:
        w = lab.node("w")
        edited = Edited(w, tmp_path / "datastore")
        edited.peers_up([at(2)])
        failed = ("Node/w", "HookFails")
        becomes("its failure is shown", lambda: failed in edited.conditions(), True)
        assert "exit status 7: no pager" in log_of(w)
        assert log_of(w).count("no pager") == 1
        wren_in(w, "disable", at(2))
        edited.peers_up([])
        wren_in(w, "enable", at(2))
        edited.peers_up([at(2)])
