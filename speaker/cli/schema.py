"""``wren schema``: the JSON Schema of resources, for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.completion import complete_kind
from speaker.cli.given import kind_of
from speaker.cli.tables import write_json
from speaker.config.schema import schema_of, schema_of_all


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="By default all in one.", autocompletion=complete_kind),
    ] = None,
) -> None:
    """Show the JSON Schema of a kind of resource, or of all of them in one, for editors.

    What is valid passes it; `wren validate` checks more.
    """
    write_json(schema_of(kind_of(kind)) if kind else schema_of_all())
