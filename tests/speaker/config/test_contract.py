"""The contract of Calico's resources, a document for each thing it says.

The documents stand in ``contract/*.yaml``, each below a line ``## what it shows``. Where a line
holds a mistake, a comment says so: ``#! field rule`` for a problem, ``#? field rule`` for a
warning, several with ``;`` between them. The column is where the line begins, unless
``rule@column`` says another. Below ``## Kind: what it shows`` stands a spec alone, and what is
wrong with it as a whole is said in that line. A document must have exactly the problems and
warnings that are written beside it; which fields have no effect yet is not the contract's concern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TypeAlias

import pytest

from speaker.config.documents import Document, parse_documents
from speaker.config.kinds import CALICO, Kind, find_kind, versions_of
from speaker.config.problems import Problem
from speaker.config.reading import validate
from speaker.config.rules import CAUTIONS, CHECKS, COMMON
from speaker.config.trees import Check

FOLDER = Path(__file__).with_name("contract")

Finding: TypeAlias = tuple[int, int, str, str]
"""Line, column, field, rule."""


@dataclass(frozen=True)
class Case:
    """A text and what is written beside it."""

    name: str
    text: str

    def expected(self, mark: str) -> list[Finding]:
        """Give what the comments with a mark say."""
        found = []
        for number, line in enumerate(self.text.splitlines(), 1):
            start = re.match(r"(?: |- )*", line)
            assert start is not None
            for written in re.findall(rf"#\{mark} ([^#]*)", line):
                for one in written.split(";"):
                    field, _, rule = one.strip().rpartition(" ")
                    if rule:
                        rule, _, column = rule.partition("@")
                        found.append((number, int(column or start.end() + 1), field, rule))
        return sorted(found)


def cases() -> Iterator[Case]:
    """Read all files of the contract."""
    for file in sorted(FOLDER.glob("*.yaml")):
        for part in re.split(r"^## ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            title, _, body = part.partition("\n")
            title, hash_sign, marks = title.partition("  #")
            kind, colon, _ = title.partition(":")
            if colon and " " not in kind:
                name = "default" if kind == "BGPConfiguration" else "case"
                body = (
                    f"apiVersion: {_version_of(kind)}\nkind: {kind}\n"
                    f"metadata: {{name: {name}}}\nspec:  {hash_sign.strip()}{marks}\n"
                ) + indent(body, "  ")
            yield Case(f"{file.stem}: {title}", body)


def _version_of(word: str) -> str:
    kind = find_kind(word)
    return CALICO if kind is None else versions_of(kind)[0]


CASES = list(cases())


def found(problems: tuple[Problem, ...]) -> list[Finding]:
    return [(item.line, item.column, item.field, item.rule) for item in problems]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_document_has_the_problems_that_are_written_beside_it(case: Case) -> None:
    reports = validate([("case.yaml", case.text)])
    problems = sorted(item for report in reports for item in found(report.problems))
    warnings = sorted(
        item for report in reports for item in found(report.warnings) if item[3] != "no-effect"
    )
    assert (problems, warnings) == (case.expected("!"), case.expected("?"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said_of_a_document_is_one_precise_sentence(case: Case) -> None:
    for report in validate([("case.yaml", case.text)]):
        for item in (*report.problems, *report.warnings):
            assert 5 <= len(item.message) <= 250
            assert "\n" not in item.message
            assert "hush" not in item.message
            assert not item.message.startswith(("input should", "Input should", "value error"))


def test_the_contract_is_read_whole() -> None:
    assert len(CASES) >= 390
    assert len({case.name for case in CASES}) == len(CASES)


RULES = [
    *((None, check) for check in COMMON),
    *((kind, check) for kind, checks in CHECKS.items() for check in checks),
    *((kind, check) for kind, checks in CAUTIONS.items() for check in checks),
]


@pytest.mark.parametrize(
    ("kind", "check"), RULES, ids=[f"{kind} {check.__doc__}" for kind, check in RULES]
)
def test_every_rule_is_broken_by_a_document(kind: Kind | None, check: Check) -> None:
    assert any(
        list(check(document.tree))
        for document in _documents()
        if kind in (None, find_kind(str(document.tree.get("kind"))))
    )


def _documents() -> Iterator[Document]:
    for case in CASES:
        for item in parse_documents(case.text, "case.yaml"):
            if isinstance(item, Document) and isinstance(item.tree, dict):
                yield item
