"""What became of one document: a resource, or all that is wrong with it.

A report is made by `speaker.config.reading`, gathered into a set by `speaker.config.store`, and
shown by ``wren validate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from speaker.config.models import Resource
from speaker.config.problems import Problem

RuleLines: TypeAlias = Mapping[str, tuple[int, ...]]
"""The line of each rule of a filter, by chain (``importV4``)."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one document.

    Attributes:
        kind: as found, canonical where it is known; empty when there is none.
        resource: present if and only if the document is valid.
        places: line and column of the fields that other documents may contradict.
        rule_lines: of a filter.
    """

    file: str
    index: int
    kind: str = ""
    name: str = ""
    resource: Resource | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    line: int = field(default=1, compare=False)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)
    rule_lines: RuleLines = field(default_factory=dict, compare=False, repr=False)

    def moved(self, lines: int, index: int) -> Report:
        """Give it as that of a document so many lines further down, with another number."""
        if not lines and index == self.index:
            return self
        return replace(
            self,
            index=index,
            line=self.line + lines,
            places={name: (line + lines, column) for name, (line, column) in self.places.items()},
            rule_lines={
                chain: tuple(line + lines for line in written)
                for chain, written in self.rule_lines.items()
            },
            problems=tuple(item.moved(lines) for item in self.problems),
            warnings=tuple(item.moved(lines) for item in self.warnings),
        )

    def problem(self, name: str, rule: str, message: str) -> Problem:
        """Say what is wrong with a field in the light of other documents."""
        line, column = self.places.get(name, (self.line, 1))
        return Problem(self.file, line, column, name, rule, message)

    @property
    def valid(self) -> bool:
        """Tell whether the document may be used."""
        return not self.problems

    def as_json(self) -> dict[str, object]:
        """Give the object of ``wren validate -o json``."""
        return {
            "file": self.file,
            "index": self.index,
            "kind": self.kind,
            "name": self.name,
            "valid": self.valid,
            "problems": [problem.as_json() for problem in self.problems],
            "warnings": [warning.as_json() for warning in self.warnings],
        }
