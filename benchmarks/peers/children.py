"""The other side of `benchmarks.peers.ends`: commands go down, events come up."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers.counting import Tally
from benchmarks.peers.daemons import ROOT
from benchmarks.peers.session import Line

_ENDS = (sys.executable, "-m", "benchmarks.peers.ends")


class Child:
    """A process of session ends in a namespace.

    Args:
        namespace: its name.
        lines: the sessions.
        order: path of the file that orders them.
        facts: the rest of the order.

    Attributes:
        up: names of the sessions that are up.
        downs: of those that were lost, name, reason and time.
        begun: when the first octet of a table was about to be sent.
        drained: by session, when all it sent had been acknowledged.
        closed: when sessions were closed.
        churned: what a churn came to, once it is over.
        tallies: what receivers had counted when they were asked last, or fell silent.
        sessions: hold time and longest silence of each.
        reports: how often they told.
        wrong: what a check has found.
    """

    def __init__(self, namespace: str, lines: Iterable[Line], order: Path, **facts: object) -> None:
        self.lines = list(lines)
        order.write_text(json.dumps({"lines": [asdict(each) for each in self.lines], **facts}))
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *_ENDS, str(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        os.set_blocking(self.output.fileno(), False)
        self._rest = b""
        self.up: set[str] = set()
        self.downs: list[dict[str, Any]] = []
        self.begun: float | None = None
        self.drained: dict[str, float] = {}
        self.closed: float | None = None
        self.churned: dict[str, Any] | None = None
        self.tallies: dict[str, Tally] = {}
        self.sessions: dict[str, dict[str, float]] = {}
        self.reports = 0
        self.wrong: dict[str, int] | None = None

    @property
    def names(self) -> list[str]:
        """The sessions."""
        return [line.name for line in self.lines]

    @property
    def is_up(self) -> bool:
        """Whether all sessions are."""
        return self.up.issuperset(self.names)

    def tell(self, command: str, **facts: object) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **facts}).encode() + b"\n")
        self.process.stdin.flush()

    def listen(self) -> None:
        """Take in what was told meanwhile."""
        octets = self.output.read()
        if octets:
            *lines, self._rest = (self._rest + octets).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "up":
                self.up.add(event["name"])
            case "down":
                self.downs.append(event)
            case "begun":
                self.begun, self.drained = event["time"], {}
            case "drained":
                self.drained[event["name"]] = event["time"]
            case "closed":
                self.closed = event["time"]
            case "churned":
                self.churned = event
            case "checked":
                self.wrong = event["wrong"]
            case "counted":
                self.tallies = {name: Tally(**each) for name, each in event["tallies"].items()}
                self.sessions = event["sessions"]
                self.reports += 1

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()
