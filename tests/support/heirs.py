"""A second Wren on a node of a lab, which takes the place of the one that runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab import RunningNode
from lab.probes import wait_until
from speaker.control.client import ask
from speaker.control.protocol import ControlError


class Heir:
    """A process of ``wren run --takeover``.

    Args:
        node: on which it runs.
        number: of several.
        more: further options.
    """

    def __init__(self, node: RunningNode, number: int, *more: str) -> None:
        self._node = node
        [argv] = node.speaks.commands()
        self._log = node.home / f"heir{number}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                node.inside([*argv, "--takeover", "--log", "json", *more]),
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **node.speaks.environment(), **node._marks},
                start_new_session=True,
            )

    def has_said(self, event: str) -> bool:
        return any(line.get("event") == event for line in self.lines())

    def lines(self) -> list[dict[str, Any]]:
        """Give what it has logged; a line that is none of the log's has its text alone."""
        found = []
        for line in self._log.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"message": line})
        return found

    def runs(self) -> bool:
        """Tell whether it is the one that answers."""
        return who_answers(self._node) == self.process.pid

    def wait_until_it_runs(self) -> None:
        wait_until(self.runs, "the heir runs", nodes=[self._node])


@contextmanager
def heirs(node: RunningNode) -> Iterator[Callable[..., Heir]]:
    """Give what starts further Wrens on a node; all of them are ended with the block."""
    started: list[Heir] = []

    def start(*more: str) -> Heir:
        started.append(Heir(node, len(started), *more))
        return started[-1]

    try:
        yield start
    finally:
        for heir in started:
            heir.process.kill()
            heir.process.wait()


def who_answers(node: RunningNode) -> int | None:
    """Give the process that answers at the control socket of a node; None if none does."""
    try:
        found = ask(node.home, "status")["pid"]
    except (ControlError, OSError):
        return None
    return int(found)
