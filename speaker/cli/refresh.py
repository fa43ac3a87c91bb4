"""``wren refresh``: routes are told again, without a reset."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.completion import complete_peer
from speaker.cli.options import Output, OutputOption, RunDirOption, family_name
from speaker.cli.tables import write_json, write_lines
from speaker.control.client import ask
from speaker.control.views import RefreshView


def refresh(
    run_dir: RunDirOption,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A peer's name or address; by default all peers.",
            autocompletion=complete_peer,
        ),
    ] = None,
    out: Annotated[
        bool, typer.Option("--out", help="Tell the peer our routes again, not the other way.")
    ] = False,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="FAMILY", help="Only this family (ipv4, ipv4-vpn …)."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Ask a peer to tell all its routes again (RFC 2918); with --out, tell it ours again.

    Exits with 1 if a peer could not be asked.
    """
    wanted = None if family is None else family_name(family)
    done: RefreshView = ask(run_dir, "refresh", name=name, out=out, family=wanted)
    if output is Output.JSON:
        write_json(done)
    else:
        verb = "told" if out else "asked"
        write_lines([f"{verb} {each}" for each in done["asked"]])
        for refused in done["refused"]:
            typer.echo(f"wren: {refused}", err=True)
    if done["refused"]:
        raise typer.Exit(1)
