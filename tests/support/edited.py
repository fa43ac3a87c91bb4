"""A running node whose resources are edited, and what each edit should have cost.

`Edited` makes an edit and sees that the node does what `wren plan` says of it. Whether a session
was reset shows in the moment since when it is up, which the daemon tells with its status.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lab import RunningNode
from lab.kinds.wren import Wren
from tests.support.datastores import log_of, put, remove, wren
from tests.support.pairs import becomes


class Edited:
    """The node, its resources, and what an edit should have cost."""

    def __init__(self, running: RunningNode, directory: Path) -> None:
        self.running = running
        self.directory = directory

    def status(self) -> dict[str, Any]:
        """Ask the daemon for its status."""
        assert isinstance(self.running.speaks, Wren)
        status = self.running.speaks.status()
        assert status is not None
        return status

    def since(self) -> dict[str, float]:
        """Tell since when each session is up."""
        return {p["address"]: p["since"] for p in self.status()["peers"] if p["state"] == "up"}

    def conditions(self) -> list[tuple[str, str]]:
        """Tell what is wrong: resource and reason."""
        return [(c["resource"], c["reason"]) for c in self.status()["conditions"]]

    def peers_up(self, addresses: Iterable[str]) -> dict[str, float]:
        """Wait until these sessions are up and no others; tell since when."""
        wanted = sorted(addresses)
        becomes(f"{self.running.name} has its sessions", lambda: sorted(self.since()), wanted)
        return self.since()

    def plan(
        self, *documents: Mapping[str, Any], without: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """Ask `wren plan` what an edit would do."""
        new = self.directory.with_name("new")
        shutil.copytree(self.directory, new)
        put(new, *documents)
        remove(new, *without)
        said = wren("plan", "--node", self.running.name, self.directory, new, "-o", "json")
        shutil.rmtree(new)
        [found] = json.loads(said)["nodes"]
        assert isinstance(found, dict)
        return found

    def edit(
        self, *documents: Mapping[str, Any], without: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """Make an edit, see that the node does what `wren plan` says, and give that.

        Args:
            documents: that are new or other ones.
            without: documents that are taken away.
        """
        planned = self.plan(*documents, without=without)
        before = len(log_of(self.running))
        put(self.directory, *documents)
        remove(self.directory, *without)
        sentences = [change["description"] for change in planned["changes"]]
        becomes("the node does what was planned", partial(self._not_said, before, sentences), [])
        return planned

    def _not_said(self, before: int, sentences: list[str]) -> list[str]:
        said = log_of(self.running)[before:]
        return [sentence for sentence in sentences if sentence not in said]
