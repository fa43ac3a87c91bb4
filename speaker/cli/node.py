"""``wren node``: the state of this node in the form that Calico's users know."""

from __future__ import annotations

import time

import typer

from speaker.cli.app import EPILOG
from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.status_table import show_status
from speaker.cli.tables import write_json
from speaker.control.client import NotRunning, ask

app = typer.Typer(no_args_is_help=True, help="Look at this node.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Look at this node."""


@app.command("status", epilog=EPILOG)
def status(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Show all peers of this node, in the table of calicoctl node status."""
    try:
        answer = ask(run_dir, "status")
    except NotRunning:
        if output is Output.TEXT:
            typer.echo("The BGP backend process (Wren) is not running.")
        raise
    if output is Output.JSON:
        write_json(answer)
    else:
        typer.echo(show_status(answer, time.time()))
