"""``wren validate``: is everything in these files right, and if not, what and where?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.datastore import read_reports, show_problem
from speaker.cli.given import (
    FilesOption,
    RecursiveOption,
    SkipEmptyOption,
    refuse,
    texts_of,
)
from speaker.cli.options import Output, OutputOption
from speaker.cli.tables import count, write_lines
from speaker.config.report import Report


def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Files or directories of resources."),
    ] = None,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check resources: one line for each problem, file:line:column: field: message (rule).

    With -o json one object for each document, one on a line. Exits with 1 if a document is not
    valid; warnings do not count. Files may be named with -f too, as for calicoctl.
    """
    if not files and not filename:
        raise typer.BadParameter("name files or directories", param_hint="FILE")
    texts = [each for name in filename or () for each in texts_of(name, recursive=recursive)]
    reports = read_reports(files or (), texts)
    if filename and not reports and not skip_empty:
        refuse(f"No resources specified in {', '.join(filename)}")
    if output is Output.JSON:
        write_lines(json.dumps(report.as_json(), ensure_ascii=False) for report in reports)
    else:
        write_lines(show_reports(reports))
    if not all(report.valid for report in reports):
        raise typer.Exit(1)


def show_reports(reports: Sequence[Report]) -> list[str]:
    """Give a line for each problem and warning, and one that counts."""
    lines = []
    for report in reports:
        lines += [show_problem(problem) for problem in report.problems]
        lines += [show_problem(warning, "warning") for warning in report.warnings]
    invalid = sum(not report.valid for report in reports)
    warnings = sum(len(report.warnings) for report in reports)
    counted = [f"{count(len(reports), 'document')} checked", f"{invalid} invalid"]
    return [*lines, ", ".join([*counted, count(warnings, "warning")])]
