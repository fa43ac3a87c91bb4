"""``wren plan``: what an edit of the resources would do, on one node or on all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.options import (
    AllNodesOption,
    DatastoreOption,
    NodeIfKnownOption,
    Output,
    OutputOption,
    RunDirOption,
    StrictSecretsOption,
    find_datastore,
    running_daemon,
)
from speaker.cli.outlook import aside, edit_between, outlook_of, with_routes
from speaker.cli.tables import write_json, write_lines
from speaker.datastore.edition import look


def plan(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[OLD] NEW", help="The resources as they are, and as they would be."
        ),
    ],
    run_dir: RunDirOption,
    node: NodeIfKnownOption,
    all_nodes: AllNodesOption = False,
    datastore: DatastoreOption = None,
    strict_secrets: StrictSecretsOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what an edit would do: sessions that reset and why, peers that come and go.

    Without OLD, the resources are those of --datastore, or of the running daemon. Where no node is
    named or known, all of them are shown. Exits with 0 also when something would change.
    """
    if len(paths) > 2:
        raise typer.BadParameter("give one directory or two", param_hint="[OLD] NEW")
    new = paths[-1]
    old = paths[0] if len(paths) == 2 else find_datastore(datastore, run_dir)
    edit = edit_between(old, new)
    running = running_daemon(old, run_dir)
    if running is not None:
        node = node or running["node"]
        strict_secrets = strict_secrets or running["strictSecrets"]
    nodes = [node] if node and not all_nodes else edit.nodes
    outlook = outlook_of(edit, nodes, strict_secrets=strict_secrets)
    if running is not None:
        outlook = with_routes(outlook, running["node"], run_dir, lambda: look(new).resources)
    if output is Output.JSON:
        write_json(outlook.as_json())
    else:
        write_lines(outlook.lines())
    aside(outlook)
