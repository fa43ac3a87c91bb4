"""What a command is given to work on: documents of files, or a kind and names.

Files are read as the datastore's are: YAML and JSON, several documents, Lists, Calico 2.x too.
All that is wrong is told at once, with its place, and then nothing is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from speaker.cli.completion import complete_kind, complete_names
from speaker.cli.datastore import show_problem
from speaker.config.documents import Document, parse_documents
from speaker.config.kinds import Kind, find_kind, name_space, or_known
from speaker.config.problems import Problem
from speaker.config.reading import read_document
from speaker.config.report import Report
from speaker.config.store import duplicate
from speaker.config.stored import Stored, source_of, stored
from speaker.datastore.directory import EXTENSIONS
from speaker.errors import ConfigError

STDIN = "stdin"
"""What the standard input is called in problems."""

FileOption = Annotated[
    list[str],
    typer.Option(
        "--filename", "-f", metavar="FILE", help="A file, a directory, or - for standard input."
    ),
]
FilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filename", "-f", metavar="FILE", help="A file, a directory, or - for standard input."
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", "-R", help="Go into directories of directories, too.")
]
SkipEmptyOption = Annotated[
    bool, typer.Option("--skip-empty", help="It is no error if there is nothing in a file.")
]
KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="bgppeer, node …", autocompletion=complete_kind)
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Its name.", autocompletion=complete_names)
]


def refuse(text: str) -> NoReturn:
    """End a command in the words that calicoctl has for it."""
    typer.echo(text, err=True)
    raise typer.Exit(1)


def kind_of(word: str) -> Kind:
    """Find the kind that somebody means; a word that means none ends the command."""
    kind = find_kind(word)
    if kind is None:
        refuse(f"resource type '{word}' is not supported{or_known(word)}")
    return kind


def read_given(files: Sequence[str], *, recursive: bool, skip_empty: bool) -> list[Stored]:
    """Read resources that are to be kept: all of them valid, each once."""
    return _read(files, recursive, skip_empty, lambda report: report.problems)


def read_named(files: Sequence[str], *, recursive: bool, skip_empty: bool) -> list[Stored]:
    """Read which resources files are about; what they say of them need not be right."""
    return _read(files, recursive, skip_empty, _about_identity)


def _about_identity(report: Report) -> Iterable[Problem]:
    for problem in report.problems:
        if problem.field in ("", "kind") or problem.field.startswith("metadata"):
            yield problem


def _read(
    files: Sequence[str],
    recursive: bool,
    skip_empty: bool,
    counts: Callable[[Report], Iterable[Problem]],
) -> list[Stored]:
    found: list[Stored] = []
    problems: list[Problem] = []
    first: dict[tuple[str, str], Report] = {}
    for name in files:
        before = len(found) + len(problems)
        for report, resource in _reports(name, recursive, skip_empty):
            for warning in report.warnings:
                typer.echo(show_problem(warning, "warning"), err=True)
            refused = list(counts(report))
            stays = first.setdefault((name_space(report.kind), report.name), report)
            if stays is not report and report.name:
                refused.append(duplicate(stays, report))
            problems += refused
            if resource is not None and not refused:
                found.append(resource)
        if len(found) + len(problems) == before and not skip_empty:
            refuse(f"No resources specified in {_what(name)} {name}")
    if problems:
        for problem in problems:
            typer.echo(show_problem(problem), err=True)
        counted = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        refuse(f"Failed to execute command: {counted}, nothing was changed")
    return found


def _what(name: str) -> str:
    return "directory" if name != "-" and Path(name).is_dir() else "file"


def _reports(
    name: str, recursive: bool, skip_empty: bool
) -> Iterator[tuple[Report, Stored | None]]:
    for file, text in texts_of(name, recursive=recursive):
        number = -1
        for number, item in enumerate(parse_documents(text, file)):
            if isinstance(item, Document):
                found = stored(item)
                if found is not None and found.document.renamed is None:
                    found = replace(found, source=source_of(item, text))
                yield read_document(item), found
            else:
                yield Report(file, number, problems=(item,), line=item.line), None
        if number < 0 and not skip_empty:
            refuse(f"No resources specified in file {file}")


def texts_of(name: str, *, recursive: bool) -> Iterator[tuple[str, str]]:
    """Read the file, the files of the directory, or the standard input that ``-f`` names.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    if name == "-":
        yield STDIN, sys.stdin.read()
        return
    path = Path(name)
    if not path.exists():
        raise ConfigError(f"there is no {name}", "name a file or directory of resources, or -")
    for file in _files(path, recursive):
        try:
            yield str(file), file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file} is not UTF-8 at byte {error.start}") from None
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror or error}") from None


def _files(path: Path, recursive: bool) -> list[Path]:
    if path.is_file() or not path.is_dir():
        return [path]
    inside = path.rglob("*") if recursive else path.glob("*")
    return sorted(file for file in inside if file.is_file() and file.suffix.lower() in EXTENSIONS)
