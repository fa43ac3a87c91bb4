"""What the commands that only look read from a directory of resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import typer

from speaker.config.across import problems_across
from speaker.config.problems import Problem
from speaker.config.reading import read_file
from speaker.config.report import Report
from speaker.config.store import Resources
from speaker.datastore.directory import load_directory, read_all
from speaker.errors import ConfigError


def show_problem(problem: Problem, word: str = "") -> str:
    """Give ``file:line:column: field: message (rule)``, with a word such as warning before."""
    field = f"{problem.field}: " if problem.field else ""
    word = f"{word}: " if word else ""
    return f"{problem.place}: {word}{field}{problem.message} ({problem.rule})"


def read_resources(path: Path) -> Resources:
    """Read a directory as the daemon would; what it would refuse is told on stderr.

    Raises:
        ConfigError: there is nothing at that path.
    """
    need(path)
    loaded = load_directory(path)
    for problem in loaded.problems:
        typer.echo(f"refused: {show_problem(problem)}", err=True)
    return loaded.resources


def read_reports(paths: Sequence[Path], texts: Iterable[tuple[str, str]] = ()) -> list[Report]:
    """Check all documents of files and directories, also against each other.

    Args:
        paths: the files and directories.
        texts: more files, as name and text.

    Raises:
        ConfigError: there is nothing at one of the paths.
    """
    for path in paths:
        need(path)
    reports = [report for path in paths for report in read_all(path)]
    reports += [report for file, text in texts for report in read_file(text, file)]
    across = problems_across(reports)
    return [
        replace(report, problems=(*report.problems, *across.get(number, ())))
        for number, report in enumerate(reports)
    ]


def need(path: Path) -> None:
    """Make sure that there is something at a path.

    Raises:
        ConfigError: there is not.
    """
    if not path.exists():
        raise ConfigError(f"there is no {path}", "name a file or directory of resources")
