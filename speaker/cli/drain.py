"""``wren drain`` and ``wren undrain``: a node out of service without loss, and back."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import write_json, write_json_line, write_lines
from speaker.control.client import ask, stream
from speaker.control.views import DrainView
from speaker.moments import show_duration

WORDS = {
    "choosing": "restarted: all routes are told as a last choice when they are chosen",
    "telling": "telling all routes as a last choice",
    "withdrawing": "withdrawing all routes",
    "drained": "drained: all sessions are down; 'wren undrain' lets them come up",
    "in service": "in service",
    "returning": "returning: sessions come up; routes are told when all is known and installed",
}


def drain(
    run_dir: RunDirOption,
    wait: Annotated[
        float,
        typer.Option(min=0, max=3600, metavar="SECONDS", help="How long others have to move."),
    ] = 10.0,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What to tell the peers' operators.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Take the node out of service: no packet is lost where there is another way.

    All routes are told again as a last choice (GRACEFUL_SHUTDOWN, and LOCAL_PREF 0 within the AS);
    when others have moved their traffic, routes are withdrawn, and sessions are closed and kept
    down. The command returns when that is done; the drain goes on if it is interrupted. With -o
    json one object for each step, one on a line.
    """
    for view in stream(run_dir, "drain", wait=wait, reason=reason):
        if output is Output.JSON:
            write_json_line(view)
        else:
            write_lines([_words(view)])


def undrain(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Put a node back into service, from any step of a drain."""
    view: DrainView = ask(run_dir, "undrain")
    if output is Output.JSON:
        write_json(view)
    else:
        write_lines([_words(view)])


def _words(view: DrainView) -> str:
    words = WORDS.get(view["step"])
    return words or f"waiting for traffic to move: {show_duration(view['seconds'])} left"
