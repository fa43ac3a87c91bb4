"""``wren confirm`` and ``wren rollback``: what becomes of an edit that awaits confirmation."""

from __future__ import annotations

import typer

from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import write_json
from speaker.control.client import ask
from speaker.control.views import RolledBackView, UnconfirmedView


def confirm(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Keep the edit that was made with --confirm-within. Exits with 1 if there is none."""
    done: UnconfirmedView = ask(run_dir, "confirm")
    if output is Output.JSON:
        write_json(done)
    else:
        typer.echo(f"confirmed the edit of {', '.join(done['files'])}")


def rollback(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Roll the edit back that was made with --confirm-within, now.

    Exits with 1 if there is none, or if a file was edited since and is left as it is.
    """
    done: RolledBackView = ask(run_dir, "rollback")
    if output is Output.JSON:
        write_json(done)
    else:
        typer.echo(f"rolled back the edit of {', '.join(done['files'])}")
        for file in done["left"]:
            typer.echo(f"{file} was edited since, and is left as it is", err=True)
    if done["left"]:
        raise typer.Exit(1)
