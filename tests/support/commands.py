"""Runs the commands of ``wren`` inside the test's process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from speaker.cli.app import build


def wren(
    command: str,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> Result:
    """Run ``wren`` with one command loaded."""
    words = [command, *map(str, arguments)]
    return CliRunner().invoke(build(command), words, prog_name="wren", env=env, input=stdin)


def write_documents(path: Path, documents: Iterable[Mapping[str, Any]]) -> Path:
    """Write documents into a file ``resources.yaml`` of a directory, one to a line."""
    path.mkdir(parents=True, exist_ok=True)
    text = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
    (path / "resources.yaml").write_text(text)
    return path
