"""``wren convert``: documents of Calico 2.x as v3."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from speaker.cli.given import FileOption, RecursiveOption, SkipEmptyOption, read_given, read_named
from speaker.cli.tables import write_lines
from speaker.config.updates import created
from speaker.config.writing import as_json, as_yaml


class Form(StrEnum):
    """How documents are printed."""

    YAML = "yaml"
    YML = "yml"
    JSON = "json"


def convert(
    filename: FileOption,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="How to print documents.")
    ] = Form.YAML,
    ignore_validation: Annotated[
        bool,
        typer.Option("--ignore-validation", help="Print also what v3 would not take."),
    ] = False,
) -> None:
    """Print documents of Calico 2.x as v3, with the names that Calico's own upgrade gave them.

    What is v3 already is printed as it is. Of what cannot be converted everything is told, and
    nothing is printed.
    """
    read = read_named if ignore_validation else read_given
    found = [
        created(each).tree for each in read(filename, recursive=recursive, skip_empty=skip_empty)
    ]
    if output is not Form.JSON:
        write_lines("---\n".join(as_yaml(tree, sort=True) for tree in found).splitlines())
    elif len(found) == 1:
        write_lines([as_json(found[0], sort=True)])
    else:
        write_lines([as_json({"apiVersion": "v1", "kind": "List", "items": found})])
