"""Where the defaults of common options come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from speaker.cli.options import default_node, default_run_dir, find_datastore, likely_run_dir
from speaker.control.protocol import SOCKET_NAME, ControlError
from tests.support.control import serving


def test_root_runs_under_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_run_dir() == Path("/run/wren")


def test_a_service_runs_where_its_manager_made_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/wren-a:/run/other")
    assert default_run_dir() == Path("/run/wren-a")


def test_a_command_means_ones_own_daemon_else_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = tmp_path / "own" / "wren", tmp_path / "system"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own.parent))
    assert likely_run_dir(system) == own
    for place, meant in ((system, system), (own, own)):
        place.mkdir(parents=True)
        (place / SOCKET_NAME).touch()
        assert likely_run_dir(system) == meant


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
