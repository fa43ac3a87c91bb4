"""Options that several commands have, and where their defaults come from."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

NODENAME_FILE = Path("/var/lib/calico/nodename")
"""Where Calico's own start-up leaves the name of the node."""


class Output(StrEnum):
    """What a command prints."""

    TEXT = "text"
    JSON = "json"


def default_run_dir() -> Path:
    """Give the run directory of a daemon that was not told another one."""
    if os.geteuid() == 0:
        return Path("/run/wren")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}") / "wren"


def default_node(file: Path = NODENAME_FILE) -> str:
    """Give the name that Calico's start-up wrote down, empty if there is none."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _need_node(name: str) -> str:
    if not name:
        raise typer.BadParameter(f"give it, or set NODENAME, or write it to {NODENAME_FILE}")
    return name


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="What to print.")]

RunDirOption = Annotated[
    Path,
    typer.Option(
        "--run-dir",
        envvar="WREN_RUN_DIR",
        default_factory=default_run_dir,
        show_default="/run/wren, or $XDG_RUNTIME_DIR/wren",
        help="The daemon's directory for its socket and state.",
    ),
]

NodeOption = Annotated[
    str,
    typer.Option(
        "--node",
        envvar="NODENAME",
        default_factory=default_node,
        callback=_need_node,
        show_default=f"what {NODENAME_FILE} says",
        help="The name of the Node.",
    ),
]
