"""What became of one document: a resource, or all that is wrong with it.

A report is made by `speaker.config.reading`, gathered into a set by `speaker.config.store`, and
shown by ``wren validate``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from speaker.config.models import Resource
from speaker.config.problems import Problem


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one document.

    Attributes:
        kind: as found, canonical where it is known; empty when there is none.
        resource: present if and only if the document is valid.
    """

    file: str
    index: int
    kind: str = ""
    name: str = ""
    resource: Resource | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    line: int = field(default=1, compare=False)

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
