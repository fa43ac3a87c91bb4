"""Where the defaults of common options come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from speaker.cli.options import default_node, default_run_dir, find_datastore
from speaker.control.protocol import ControlError
from tests.support.control import serving


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


def test_the_datastore_is_the_one_that_was_said_else_the_daemons(tmp_path: Path) -> None:
    with serving(tmp_path, {"datastore": lambda request: {"path": "/etc/wren", "node": "n"}}):
        assert find_datastore(None, tmp_path) == Path("/etc/wren")
        assert find_datastore(Path("mine"), tmp_path) == Path("mine")


def test_a_daemon_that_does_not_say_is_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, {}), pytest.raises(ControlError):
        find_datastore(None, tmp_path)
