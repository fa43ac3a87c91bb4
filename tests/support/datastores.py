"""A directory of resources that a running node watches, edited as an operator would edit it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import RunningNode


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


def wren(*words: str | Path) -> str:
    """Run a command of ``wren`` and give what it prints."""
    argv = [sys.executable, "-m", "speaker", *map(str, words)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def wren_in(node: RunningNode, *words: str | Path) -> str:
    """Run a command of ``wren`` that asks a node's daemon."""
    return wren(*words, "--run-dir", node.home)


def log_of(node: RunningNode) -> str:
    """Give all that a node has said."""
    return (node.home / f"{node.name}.log").read_text(encoding="utf-8")
