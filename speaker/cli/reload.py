"""``wren reload``: the datastore is watched anyway; this is for those who want to see it done."""

from __future__ import annotations

import typer

from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import write_json, write_lines
from speaker.control.client import ask
from speaker.control.views import ReloadView


def reload(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Have the daemon read its datastore now, and show what it did about it.

    Exits with 1 if a document was refused.
    """
    done: ReloadView = ask(run_dir, "reload")
    if output is Output.JSON:
        write_json(done)
    else:
        write_lines(done["changes"] or ["nothing changed"])
        for problem in done["problems"]:
            typer.echo(f"refused: {problem}", err=True)
    if done["problems"]:
        raise typer.Exit(1)
