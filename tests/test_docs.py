"""The manual says what the code does."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from speaker.config.filter_resources import BGPFilterSpec
from speaker.config.models import fields_of
from speaker.config.policy_resources import RoutePolicySpec
from speaker.config.reading import model_at, validate

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page", ["changes.md", "handbook.md", "keys.md", "rfc.md", "rfc7606.md", "session-ends.md"]
)
def test_a_generated_page_is_current(tables: ModuleType, page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == tables.render(page)


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert pages
    assert broken == []


def test_every_test_with_other_speakers_stands_in_the_table() -> None:
    text = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\.\./tests/interop/(\w+\.py)", text))
    assert named == {path.name for path in (ROOT / "tests" / "interop").glob("test_*.py")}
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(rows) == {7}


POLICY = ROOT / "docs" / "policy.md"


def test_the_documents_of_the_policy_page_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", POLICY.read_text(encoding="utf-8"), re.DOTALL)
    reports = validate([(f"block {number}", block) for number, block in enumerate(blocks)])
    assert {report.kind for report in reports} >= {"BGPFilter", "RoutePolicy"}
    assert [str(each) for report in reports for each in (*report.problems, *report.warnings)] == []


def fields(model: type[BaseModel]) -> Iterator[str]:
    """Give the names of all fields of a model and of what stands in it."""
    for name in fields_of(model):
        yield name
        inner = model_at(model, (name,))
        if inner is not None:
            yield from fields(inner)


@pytest.mark.parametrize("model", [BGPFilterSpec, RoutePolicySpec])
def test_the_policy_page_has_every_field(model: type[BaseModel]) -> None:
    text = POLICY.read_text(encoding="utf-8")
    assert [name for name in set(fields(model)) if not re.search(rf"\b{name}\b", text)] == []
