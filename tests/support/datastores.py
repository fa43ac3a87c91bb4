"""A directory of resources that a running node watches, edited as an operator would edit it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import RunningNode
from tests.support import commands


def put(directory: Path, *documents: Mapping[str, Any]) -> None:
    """Write each document into a file of its own; a running node never sees half of one."""
    directory.mkdir(exist_ok=True)
    for document in documents:
        name = f"{document['kind']}-{document['metadata']['name']}.json"
        fresh = directory / f".{name}"
        fresh.write_text(json.dumps(document))
        fresh.rename(directory / name)


def remove(directory: Path, *documents: Mapping[str, Any]) -> None:
    """Take away what `put` wrote for these documents."""
    for document in documents:
        (directory / f"{document['kind']}-{document['metadata']['name']}.json").unlink()


def wren(command: str, *words: str | Path) -> str:
    """Run a command of ``wren``, which succeeds, in this process and give what it prints."""
    result = commands.wren(command, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def wren_in(node: RunningNode, command: str, *words: str | Path) -> str:
    """Run a command of ``wren`` that asks a node's daemon."""
    return wren(command, *words, "--run-dir", node.home)


def log_of(node: RunningNode) -> str:
    """Give all that a node has said."""
    return (node.home / f"{node.name}.log").read_text(encoding="utf-8")
