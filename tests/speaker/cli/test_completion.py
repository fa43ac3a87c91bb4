"""What shells complete."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from speaker.__main__ import main
from speaker.cli.completion import KINDS
from speaker.config.kinds import Kind
from tests.support.control import serving
from tests.support.resources import node, peer
from tests.support.stores import Store

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def stocked(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    store.holds(
        node("rack1-host1", "10.0.0.1"),
        node("rack1-host2", "10.0.0.2"),
        node("rack2-host1", "10.0.0.3"),
        peer("tor", peerIP="10.0.0.9", asNumber=1),
    )
    (store.path / "broken.yaml").write_text("kind: [")
    monkeypatch.setenv("WREN_DATASTORE", str(store.path))
    return store


class Shells:
    """Asks as the shells' own scripts do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def offer(self, line: str) -> list[str]:
        """Give what bash is offered at the end of a line."""
        words = line.split(" ")
        with self._monkeypatch.context() as patch:
            patch.setenv("_WREN_COMPLETE", "complete_bash")
            patch.setenv("COMP_WORDS", line)
            patch.setenv("COMP_CWORD", str(len(words) - 1))
            assert main([]) == 0
        return self._capsys.readouterr().out.split()

    def offer_otherwise(self, shell: str, line: str) -> str:
        """Give what zsh or fish is told at the end of a line."""
        with self._monkeypatch.context() as patch:
            patch.setenv("_WREN_COMPLETE", f"complete_{shell}")
            patch.setenv("_TYPER_COMPLETE_ARGS", line)
            patch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
            assert main([]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def shells(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shells:
    return Shells(monkeypatch, capsys)


LINES: dict[str, Iterable[str]] = {
    "wren ge": ["get"],
    "wren get bgp": ["bgppeer", "bgpfilter", "bgpconfiguration"],
    "wren get BGPP": ["BGPPeer"],
    "wren label no": ["node"],
    "wren schema ipp": ["ippool"],
    "wren get node ": ["rack1-host1", "rack1-host2", "rack2-host1"],
    "wren get NODES rack1": ["rack1-host1", "rack1-host2"],
    "wren get node rack1-host1 rack1": ["rack1-host2"],
    "wren delete bp ": ["tor"],
    "wren patch bgppeer t": ["tor"],
    "wren label no rack2": ["rack2-host1"],
    "wren get bgppeer --node rack2": ["rack2-host1"],
    "wren resolve --node rack2": ["rack2-host1"],
    "wren config get no": ["nodeToNodeMesh"],
    "wren config set logLevel debug --node rack2": ["rack2-host1"],
    "wren delete bgppeer tor --scope ": ["global", "node"],
    "wren get nonsense ": [],
}


@pytest.mark.parametrize("line", LINES)
def test_commands_kinds_and_names_are_offered(stocked: Store, shells: Shells, line: str) -> None:
    assert shells.offer(line) == list(LINES[line])


def test_the_datastore_of_the_line_counts(shells: Shells, stocked: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    other.holds(node("elsewhere", "10.0.0.1"))
    assert shells.offer(f"wren get --datastore {other.path} node ") == ["elsewhere"]
    assert shells.offer("wren get --datastore /nowhere node ") == []


def test_status_completes_kinds_and_names(stocked: Store, shells: Shells) -> None:
    assert shells.offer("wren status calico") == ["caliconodestatus"]
    assert shells.offer("wren status node rack1") == ["rack1-host1", "rack1-host2"]


def test_without_a_datastore_nothing_is_offered(
    shells: Shells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path))
    monkeypatch.delenv("WREN_DATASTORE", raising=False)
    assert shells.offer("wren get node ") == []
    assert shells.offer("wren peer ") == []


def test_peers_are_asked_of_the_daemon(
    shells: Shells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path))
    peers = [
        {"name": "Mesh_10_0_0_2", "address": "10.0.0.2"},
        {"name": "Node_10_0_0_9", "address": "10.0.0.9"},
    ]
    with serving(tmp_path, {"status": lambda request: {"peers": peers}}):
        assert shells.offer("wren peer ") == ["Mesh_10_0_0_2", "Node_10_0_0_9"]
        assert shells.offer("wren disable No") == ["Node_10_0_0_9"]
        assert shells.offer("wren enable 10.0.0.2") == ["10.0.0.2"]
        assert shells.offer("wren refresh M") == ["Mesh_10_0_0_2"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(stocked: Store, shells: Shells, shell: str) -> None:
    said = shells.offer_otherwise(shell, "wren get node rack1")
    assert "rack1-host1" in said
    assert "rack1-host2" in said
    assert "rack2" not in said


def test_every_kind_can_be_completed() -> None:
    assert set(KINDS) == {kind.value for kind in Kind}


def test_bash_completes_with_the_script_that_it_is_given(stocked: Store, tmp_path: Path) -> None:
    bin_path = tmp_path / "bin"
    bin_path.mkdir()
    program = bin_path / "wren"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m speaker "$@"\n')
    program.chmod(0o755)
    script = """
    eval "$(wren --show-completion bash)"
    COMP_WORDS=(wren get node rack1); COMP_CWORD=3
    _wren_completion wren
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    env = {**os.environ, "PATH": f"{bin_path}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        ["bash", "-c", script], env=env, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["rack1-host1", "rack1-host2"]
