"""What was found out: one sentence, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It will start; somebody should know."""
    PROBLEM = "problem"
    """It would not start, or would do harm."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Attributes:
        check: what was looked at, one word or two.
        verdict: how bad it is.
        text: what was found.
        hint: what to do about it; may be empty.
    """

    check: str
    verdict: Verdict
    text: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.hint}" if self.hint else self.text

    def as_json(self) -> dict[str, str]:
        """Give the object of ``-o json``."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "text": self.text,
            "hint": self.hint,
        }


def ok(check: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check, Verdict.OK, text)


def warning(check: str, text: str, hint: str = "") -> Finding:
    """Somebody should know."""
    return Finding(check, Verdict.WARNING, text, hint)


def problem(check: str, text: str, hint: str = "") -> Finding:
    """Something has to be done first."""
    return Finding(check, Verdict.PROBLEM, text, hint)


def count(number: int, noun: str) -> str:
    """Write a number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(names: Iterable[str], most: int = 5) -> str:
    """Name a few of many."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
