"""What is found in policies that are valid and yet perhaps not what somebody means.

A `Finding` names a field of a resource and says four things: what is there, why that matters, what
to do, and how bad it is. Where the field stands in its file is added by who has the document
(`speaker.config.stored.Stored`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from speaker.config.kinds import Kind
from speaker.config.problems import FieldPath


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """What is written is not what happens."""
    WARNING = "warning"
    """Something is without effect, or lets more through than it says."""
    NOTE = "note"
    """Nothing is wrong, and yet some are surprised by it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator wants to know of.

    Attributes:
        kind: of the resource.
        name: of the resource.
        path: of the field.
        rule: one word for programs, ``shadowed``.
        what: is the matter.
        why: that matters.
        advice: what to do.
    """

    severity: Severity
    kind: Kind
    name: str
    path: FieldPath
    rule: str
    what: str
    why: str
    advice: str
