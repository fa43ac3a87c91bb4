"""``wren why``: the whole story of one route, from the peers that told it to those that hear it."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.completion import complete_peer
from speaker.cli.options import Output, OutputOption, RunDirOption, read_prefix
from speaker.cli.tables import write_json
from speaker.control.client import ask
from speaker.control.views import WhyView


def why(
    run_dir: RunDirOption,
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX", help="A prefix; or an address, for the route that its packets take."
        ),
    ],
    peer: Annotated[
        str | None,
        typer.Option(
            help="Only what concerns this peer (a name or address), in all detail and both ways.",
            autocompletion=complete_peer,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print an object, as with --output json.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say why a route is there, or is not: who told it and what let it in, which path won and by
    what, where its next hop leads, what the kernel has, and who hears it, or why not.

    The exit code is 0 if the route is used, else 1.
    """
    read_prefix(prefix)
    wants_json = as_json or output is Output.JSON
    found: WhyView = ask(run_dir, "why", prefix=prefix, peer=peer, json=wants_json)
    if wants_json:
        write_json(found["answer"])
    else:
        typer.echo(found["text"])
    if not found["used"]:
        raise typer.Exit(1)
