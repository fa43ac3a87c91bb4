"""Plain tables: aligned columns, two blanks between them, nothing wrapped or cut.

A table is the same on a terminal, in a pipe and in a bug report; only the line of headings is bold
where there is a terminal. Cells are plain text: nothing in them is markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

GAP = "  "


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and rows of the same number of cells.

    Attributes:
        right: headings of the columns that are aligned to the right: numbers.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()

    def lines(self) -> list[str]:
        """Give the headings and one line for each row, without trailing blanks."""
        columns = zip(self.headings, *self.rows, strict=True)
        widths = [max(map(len, column)) for column in columns]
        return [self._line(row, widths) for row in (self.headings, *self.rows)]

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = (
            cell.rjust(width) if heading in self.right else cell.ljust(width)
            for heading, cell, width in zip(self.headings, row, widths, strict=True)
        )
        return GAP.join(cells).rstrip()


def write_table(table: Table) -> None:
    """Print a table; its headings are bold on a terminal."""
    heading, *rows = table.lines()
    if sys.stdout.isatty():
        # Imported here: a pipe needs no terminal library.
        from rich.console import Console
        from rich.text import Text

        Console(highlight=False).print(Text(heading, style="bold"), soft_wrap=True)
    else:
        typer.echo(heading)
    write_lines(rows)


def write_lines(lines: Iterable[str]) -> None:
    """Print lines."""
    text = "\n".join(lines)
    if text:
        typer.echo(text)


def write_json(value: Any) -> None:
    """Print an object for other programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_json_line(value: Any) -> None:
    """Print one of several objects for other programs: one on a line, so that they can be cut."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def facts(pairs: Iterable[tuple[str, str]], indent: str = "") -> list[str]:
    """Give lines of a name and a value each, those without a value left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{indent}{name.ljust(width)}{GAP}{value}" for name, value in shown]


def count(number: int, noun: str) -> str:
    """Give a number of things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
