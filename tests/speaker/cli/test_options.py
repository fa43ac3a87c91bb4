"""Where the defaults of common options come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from speaker.cli.options import default_node, default_run_dir


def test_root_runs_under_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_run_dir() == Path("/run/wren")


def test_others_run_under_their_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/somewhere")
    assert default_run_dir() == Path("/somewhere/wren")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_run_dir() == Path("/run/user/1000/wren")


def test_the_name_of_the_node_is_the_one_calico_wrote_down(tmp_path: Path) -> None:
    (tmp_path / "nodename").write_text("worker-1\n")
    assert default_node(tmp_path / "nodename") == "worker-1"


def test_without_that_file_there_is_no_name(tmp_path: Path) -> None:
    assert default_node(tmp_path / "nodename") == ""
