"""A datastore that commands of ``wren`` work on, in the test's process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.testing import Result

from speaker.config.store import Resources
from speaker.datastore.directory import load_directory
from tests.support.commands import wren


class Store:
    """A directory of resources, and commands on it.

    Args:
        path: the directory; it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)

    def wren(self, *words: str | Path, stdin: str | None = None) -> Result:
        """Run a command on it."""
        command, *rest = map(str, words)
        return wren(command, *rest, env={"WREN_DATASTORE": str(self.path)}, stdin=stdin)

    def give(self, verb: str, *documents: Mapping[str, Any], options: str = "") -> Result:
        """Give documents to a verb on its standard input."""
        text = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
        return self.wren(verb, "-f", "-", *options.split(), stdin=text)

    def holds(self, *documents: Mapping[str, Any]) -> None:
        """Keep documents that must be valid."""
        done = self.give("create", *documents)
        assert done.exit_code == 0, done.output

    def loaded(self) -> Resources:
        """Give what a daemon would load, all of which must be valid."""
        result = load_directory(self.path)
        assert result.problems == ()
        return result.resources

    def names(self) -> list[str]:
        """Give the names of its files."""
        return sorted(file.name for file in self.path.rglob("*"))

    def get(self, *words: str) -> Any:
        """Get resources as data."""
        done = self.wren("get", *words, "-o", "json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)
