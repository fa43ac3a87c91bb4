"""``wren validate``: is everything in these files right, and if not, what and where?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.datastore import read_reports, show_problem
from speaker.cli.options import Output, OutputOption
from speaker.cli.tables import write_lines
from speaker.config.report import Report


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Files or directories of resources.")
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Check resources: one line for each problem, file:line:column: field: message (rule).

    With -o json one object for each document, one on a line. Exits with 1 if a document is not
    valid; warnings do not count.
    """
    reports = read_reports(files)
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
    counted = [f"{_count(len(reports), 'document')} checked", f"{invalid} invalid"]
    return [*lines, ", ".join([*counted, _count(warnings, "warning")])]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
