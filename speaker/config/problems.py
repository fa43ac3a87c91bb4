"""What is wrong with a document, and where.

A *violation* is found by code that knows only the tree of a document: a path of keys, the rule
that is broken and a sentence. A *problem* is the same with file, line and column, ready to be
shown; `speaker.config.documents.Document` makes the one into the other. Warnings are problems
that do not make a document invalid: they travel in a list of their own and have the same shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")

FieldPath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of a document, ``("spec", "filters", 0)``."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, before anybody looked up where the field stands in its file."""

    path: FieldPath
    rule: str
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A broken rule with its place: what a person needs to mend it."""

    file: str
    line: int
    column: int
    field: str
    rule: str
    message: str

    def moved(self, lines: int) -> Problem:
        """Give it so many lines further down."""
        return replace(self, line=self.line + lines) if lines else self

    @property
    def place(self) -> str:
        """Where, as compilers write it."""
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def sentence(self) -> str:
        """What is wrong with which field, by which rule."""
        field = f"{self.field}: " if self.field else ""
        return f"{field}{self.message} [{self.rule}]"

    def as_json(self) -> dict[str, object]:
        """Give the object of ``wren validate -o json``; the file stands once, on the document."""
        return {
            "line": self.line,
            "column": self.column,
            "field": self.field,
            "rule": self.rule,
            "message": self.message,
        }

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


def show_path(path: FieldPath) -> str:
    """Print a path as people write it, ``spec.exportV4[0].cidr``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif not _PLAIN.match(step):
            text += f"[{step!r}]"
        else:
            text += f".{step}" if text else step
    return text


MAX_QUOTED = 64
"""Characters of a text that are quoted back; the place says where the rest stands."""


def show_value(value: object) -> str:
    """Quote a value of a document as YAML spells it: ``'a'``, ``1``, ``true``, ``a list``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str() if len(value) > MAX_QUOTED:
            return f"{value[:MAX_QUOTED]!r}…"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return repr(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``; did you mean X?`` for a word that looks like a known one, else nothing."""
    by_folded = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {by_folded[close[0]]}?" if close else ""
