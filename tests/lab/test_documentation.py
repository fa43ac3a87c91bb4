"""What `docs/lab.md` shows is what the lab does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import loads
from lab.kinds import DAEMONS
from lab.topology import Kind
from tests.support.netns import needs_namespaces

TEXT = (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_topology_is_one(text: str) -> None:
    assert loads(text).name in ("rack", "cluster", "reflector")


def test_the_table_of_daemons_is_true() -> None:
    for kind, daemon in DAEMONS.items():
        (row,) = re.findall(rf"^\| `{kind}` \| (.*) \| (.*) \| (.*) \|$", TEXT, re.MULTILINE)
        assert kind is Kind.WREN or row[0] == f"`{daemon.package}`"
        assert row[1].startswith("yes" if daemon.programs_kernel else "no")
        assert row[2].startswith("no" if daemon.changes_user else "yes")


@pytest.mark.netns
@pytest.mark.interop
@needs_namespaces
def test_the_test_that_is_shown_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = blocks("yaml")[0].replace("name: rack", f"name: shown{os.getpid()}")
    (tmp_path / "rack.yaml").write_text(shown)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Callable[[], None]] = {}
    exec(compile(blocks("python")[0], "docs/lab.md", "exec"), names)

    names["test_a_killed_router_loses_no_kernel_route"]()
