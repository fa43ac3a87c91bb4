"""``wren selector``: does a label selector select something with these labels?"""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.options import Output, OutputOption
from speaker.cli.tables import write_json
from speaker.config.selectors import SelectorError, parse_selector


def selector(
    expression: Annotated[str, typer.Argument(metavar="EXPR", help="Calico's selector.")],
    labels: Annotated[
        list[str] | None, typer.Option("--labels", "-l", metavar="K=V,…", help="Labels to try.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Try a label selector: prints true or false.

    Exits with 2 if the selector or the labels cannot be read, and says where.
    """
    found = _labels(labels or [])
    try:
        parsed = parse_selector(expression)
    except SelectorError as error:
        typer.echo(f"wren: {error}", err=True)
        typer.echo(f"  {expression}\n  {' ' * error.position}^", err=True)
        raise typer.Exit(2) from None
    matches = parsed.matches(found)
    if output is Output.JSON:
        write_json({"selector": str(parsed), "labels": found, "matches": matches})
    else:
        typer.echo("true" if matches else "false")


def _labels(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for item in ",".join(texts).split(","):
        name, equals, value = item.strip().partition("=")
        if item.strip() and not (equals and name.strip()):
            raise typer.BadParameter(f"{item!r} is not k=v", param_hint="--labels")
        if name:
            pairs[name.strip()] = value.strip()
    return pairs
