"""``wren policy test``: do the policies do what these cases say?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any

import typer

from speaker.cli.datastore import show_problem
from speaker.cli.options import (
    DatastoreOption,
    Output,
    OutputOption,
    RunDirOption,
    find_datastore,
    this_node,
)
from speaker.cli.tables import Table, count, write_json, write_lines
from speaker.config.chains import RuleName, all_rules
from speaker.config.problems import Problem
from speaker.config.store import Resources
from speaker.datastore.directory import load_directory, resource_files
from speaker.environment import resolve_here
from speaker.errors import ConfigError
from speaker.trials.case_files import Placed, read_cases
from speaker.trials.cases import CaseResult, run
from speaker.trials.node import TrialNode

INVALID = 2
"""Exit code where nothing could be tested."""


@dataclass(slots=True)
class Tested:
    """Resources under test, and which of their rules decided in how many cases.

    Attributes:
        nodes: those that were asked so far, by name.
    """

    resources: Resources
    nodes: dict[str, TrialNode] = field(default_factory=dict)
    hits: Counter[RuleName] = field(default_factory=Counter)

    def node(self, name: str) -> TrialNode:
        """Give a node.

        Raises:
            ConfigError: it has no plan.
        """
        if not name and len(self.resources.nodes) == 1:
            [name] = self.resources.nodes
        if not name:
            raise ConfigError(
                "which node is asked?", "say node: in the file of cases, or give --node"
            )
        if name not in self.nodes:
            self.nodes[name] = TrialNode(resolve_here(self.resources, name))
        return self.nodes[name]

    def coverage(self) -> list[tuple[RuleName, int]]:
        """Give each rule and the number of cases that it decided."""
        return [(rule, self.hits[rule]) for rule in all_rules(self.resources)]


@dataclass(frozen=True, slots=True)
class Tried:
    """A case that was run, and the resources that it is about."""

    result: CaseResult
    resources: Resources

    @property
    def passed(self) -> bool:
        """Whether all came as expected."""
        return not self.result.mismatches

    def lines(self, *, verbose: bool) -> list[str]:
        """Give a line for a failed case, and if asked one for each rule that did not hold."""
        result, outcome = self.result, self.result.outcome
        if outcome is None or (self.passed and not verbose):
            return []
        word = "ok" if self.passed else "; ".join(map(str, result.mismatches))
        where = f"{result.file}:{result.line}: {result.case.name}"
        lines = [f"{where}: {word}: {outcome.reason}"]
        if verbose:
            lines += [f"    {miss.origin}: {miss.words}" for miss in outcome.misses]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Give the object of ``-o json``."""
        result, outcome = self.result, self.result.outcome
        assert outcome is not None
        return {
            "name": result.case.name,
            "file": result.file,
            "line": result.line,
            "passed": self.passed,
            "verdict": outcome.result.value,
            "reason": outcome.reason,
            "rule": None if outcome.rule is None else str(outcome.rule),
            "place": "" if outcome.rule is None else outcome.rule.place(self.resources),
            "mismatches": [
                {"what": each.what, "expected": each.expected, "came": each.came}
                for each in result.mismatches
            ],
            "misses": [{"rule": miss.origin, "why": miss.words} for miss in outcome.misses],
        }


def cases(
    run_dir: RunDirOption,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Files, or directories, of cases.")
    ],
    resources: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The resources, whatever the files of cases say."),
    ] = None,
    datastore: DatastoreOption = None,
    node: Annotated[
        str, typer.Option(help="The node that is asked, whatever the files of cases say.")
    ] = "",
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show how many cases each rule decided.")
    ] = False,
    min_coverage: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, metavar="PERCENT", help="Fail if fewer of the rules decided a case."
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show passed cases too, and why rules did not hold."),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Run cases through the policies of a node, as its daemon would judge routes.

    Resources and node are those of the files of cases, unless they are given; without either,
    those of --datastore or of the running daemon. Exits with 1 if a case fails or too few rules are
    covered, and with 2 if something is not valid.
    """
    documents = _documents(files)
    sets: dict[Path, Tested] = {}
    tried: list[Tried] = []
    problems: list[Problem] = []
    for placed in documents:
        path = _resources_of(placed, resources, datastore, run_dir)
        if path not in sets:
            sets[path] = _tested(path)
        tested = sets[path]
        name = node or placed.content.node or this_node(None)
        for result in run(_node(tested, name, placed), placed):
            if result.outcome is None:
                problems += [] if result.problem is None else [result.problem]
                continue
            tested.hits.update(dict.fromkeys(result.outcome.hits, 1))
            tried.append(Tried(result, tested.resources))
    if problems:
        _invalid(problems)
    percent = _percent(sets.values())
    _show(tried, sets.values(), percent, output, coverage=coverage, verbose=verbose)
    too_few = min_coverage is not None and percent < min_coverage
    if too_few:
        typer.echo(
            f"{percent:.1f}% of the rules decided a case, {min_coverage:g}% should", err=True
        )
    if too_few or not all(each.passed for each in tried):
        raise typer.Exit(1)


def _documents(files: Sequence[Path]) -> list[Placed]:
    """Read files of cases; all of them must be valid."""
    found: list[Placed] = []
    problems: list[Problem] = []
    for path in files:
        if not path.exists():
            raise typer.BadParameter(f"there is no {path}", param_hint="FILE")
        for file in resource_files(path):
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem(str(file), 1, 1, "", "unreadable", str(error)))
                continue
            for each in read_cases(text, str(file)):
                if isinstance(each, Problem):
                    problems.append(each)
                else:
                    found.append(each)
    if problems:
        _invalid(problems)
    return found


def _invalid(problems: Iterable[Problem]) -> None:
    for problem in problems:
        typer.echo(show_problem(problem), err=True)
    raise typer.Exit(INVALID)


def _resources_of(
    placed: Placed, given: Path | None, datastore: Path | None, run_dir: Path
) -> Path:
    if given is None and placed.content.resources is not None:
        return Path(normpath(Path(placed.document.file).parent / placed.content.resources))
    return given or find_datastore(datastore, run_dir)


def _tested(path: Path) -> Tested:
    """Read resources, which must all be valid: what is refused would not be tested."""
    if not path.exists():
        raise typer.BadParameter(f"there is no {path}", param_hint="--resources")
    loaded = load_directory(path)
    if loaded.problems:
        _invalid(loaded.problems)
    return Tested(loaded.resources)


def _node(tested: Tested, name: str, placed: Placed) -> TrialNode:
    try:
        return tested.node(name)
    except ConfigError as error:
        typer.echo(f"{placed.document.file}: {error}", err=True)
        raise typer.Exit(INVALID) from None


def _percent(sets: Iterable[Tested]) -> float:
    """Give how many of the rules decided a case; of none all did."""
    counts = [hits for tested in sets for _, hits in tested.coverage()]
    return 100.0 * sum(map(bool, counts)) / len(counts) if counts else 100.0


def _show(
    tried: Sequence[Tried],
    sets: Iterable[Tested],
    percent: float,
    output: Output,
    *,
    coverage: bool,
    verbose: bool,
) -> None:
    failed = sum(not each.passed for each in tried)
    rows = [
        (str(rule), rule.place(tested.resources), hits)
        for tested in sets
        for rule, hits in tested.coverage()
    ]
    if output is Output.JSON:
        write_json(
            {
                "cases": [each.as_json() for each in tried],
                "passed": len(tried) - failed,
                "failed": failed,
                "coverage": {
                    "percent": round(percent, 1),
                    "rules": [{"rule": r, "place": p, "cases": hits} for r, p, hits in rows],
                },
            }
        )
        return
    for each in tried:
        write_lines(each.lines(verbose=verbose))
    if coverage:
        cells = [(str(hits) if hits else "never", rule, place) for rule, place, hits in rows]
        write_lines(Table(("CASES", "RULE", "PLACE"), cells, right=frozenset({"CASES"})).lines())
    covered = f"; {sum(bool(hits) for *_, hits in rows)} of {count(len(rows), 'rule')} covered"
    write_lines([f"{count(len(tried), 'case')}, {failed} failed{covered if rows else ''}"])
