"""``wren policy lint``: which rules never decide, do nothing, or leave something open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from speaker.cli.datastore import read_reports, show_problem
from speaker.cli.options import (
    DatastoreOption,
    Output,
    OutputOption,
    RunDirOption,
    find_datastore,
)
from speaker.cli.tables import count, write_json, write_lines
from speaker.config.findings import Finding, Severity
from speaker.config.lint import lint as lint_resources
from speaker.config.plan import Plan
from speaker.config.problems import Problem, Violation
from speaker.config.store import Resources, build
from speaker.config.stored import Key, Stored
from speaker.datastore.edition import look
from speaker.environment import resolve_here
from speaker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding, and where in a file it is."""

    finding: Finding
    place: Problem

    def lines(self) -> list[str]:
        """Give what is the matter, why it matters and what to do."""
        finding = self.finding
        return [
            show_problem(self.place, finding.severity),
            f"    {finding.why}; {finding.advice}",
        ]

    def as_json(self) -> dict[str, Any]:
        """Give the object of ``-o json``."""
        finding, place = self.finding, self.place
        return {
            "severity": finding.severity.value,
            "rule": finding.rule,
            "kind": finding.kind.value,
            "name": finding.name,
            "file": place.file,
            "line": place.line,
            "column": place.column,
            "field": place.field,
            "what": finding.what,
            "why": finding.why,
            "advice": finding.advice,
        }


def lint(
    run_dir: RunDirOption,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files or directories of resources."),
    ] = None,
    datastore: DatastoreOption = None,
    node: Annotated[
        list[str] | None,
        typer.Option("--node", help="Only the sessions of this node; may be repeated."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Look for rules that never decide, operations that do nothing, and what stays open.

    Without a PATH, the resources are those of --datastore, or of the running daemon. Exits with 1
    for errors; warnings and notes do not count unless --strict.
    """
    chosen = paths or [find_datastore(datastore, run_dir)]
    reports = read_reports(chosen)
    problems = [problem for report in reports for problem in report.problems]
    for problem in problems:
        typer.echo(f"refused: {show_problem(problem)}", err=True)
    resources, _ = build(report for report in reports if report.valid)
    stored: dict[Key, Stored] = {}
    for path in chosen:
        stored |= {key: each for key, each in look(path).resources.items() if key not in stored}
    found = placed(lint_resources(resources, _plans(resources, node or ())), stored)
    if output is Output.JSON:
        write_json({"findings": [each.as_json() for each in found]})
    else:
        write_lines(show_findings(found))
    counted = (Severity.ERROR, *([Severity.WARNING] if strict else []))
    if problems or any(each.finding.severity in counted for each in found):
        raise typer.Exit(1)


def _plans(resources: Resources, nodes: Sequence[str]) -> Iterable[Plan]:
    """Make the plans of nodes, by default of all; one that has none is told on stderr.

    Raises:
        ConfigError: a node that was named has no plan.
    """
    for name in nodes or resources.nodes:
        try:
            yield resolve_here(resources, name)
        except ConfigError as error:
            if nodes:
                raise
            typer.echo(f"left out: {error}", err=True)


def placed(found: Iterable[Finding], stored: dict[Key, Stored]) -> list[PlacedFinding]:
    """Add the places, and sort by them."""
    with_places = [
        PlacedFinding(
            each,
            stored[each.kind, each.name].document.problem(
                Violation(each.path, each.rule, each.what)
            ),
        )
        for each in found
    ]
    return sorted(with_places, key=lambda each: each.place)


def show_findings(found: Sequence[PlacedFinding]) -> list[str]:
    """Give two lines for each finding, and one that counts."""
    lines = [line for each in found for line in each.lines()]
    counts = [
        count(sum(each.finding.severity is severity for each in found), severity.value)
        for severity in Severity
    ]
    return [*lines, ", ".join(counts)]
