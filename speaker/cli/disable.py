"""``wren disable`` and ``wren enable``: a session down on purpose, and up again."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.completion import complete_peer
from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import write_json, write_lines
from speaker.control.client import ask
from speaker.control.views import OrderView

NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A peer's name or address.", autocompletion=complete_peer),
]


def disable(
    run_dir: RunDirOption,
    name: NameArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What to tell the peer's operator.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """End a peer's session, and keep it down (Cease, Administrative Shutdown).

    It stays down until it is enabled, its plan changes so that it is reset, or the daemon restarts.
    """
    _show(ask(run_dir, "disable", name=name, reason=reason), "disabled", output)


def enable(run_dir: RunDirOption, name: NameArgument, output: OutputOption = Output.TEXT) -> None:
    """Let the session of a peer that was disabled come up again."""
    _show(ask(run_dir, "enable", name=name), "enabled", output)


def _show(done: OrderView, word: str, output: Output) -> None:
    if output is Output.JSON:
        write_json(done)
    else:
        write_lines([f"{word} {done['peer']}"])
