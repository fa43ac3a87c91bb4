"""``wren run`` as a process of its own, with sessions and tables only."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from speaker.cli.run import explained
from speaker.control.client import ask
from speaker.datastore.sessions_up import STATE_FILE
from tests.support.commands import wren, write_documents
from tests.support.resources import node, peer, settings
from tests.support.unprivileged import NOBODY, needs_root

PROJECT = Path(__file__).parents[3]


def command(datastore: Path, run_dir: Path, *arguments: str) -> Sequence[str]:
    options = ["--datastore", str(datastore), "--run-dir", str(run_dir), "--no-kernel"]
    return [sys.executable, "-m", "speaker", "run", *options, *arguments]


def free_port() -> int:
    """Give a port that nobody listens at just now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def resources(path: Path, port: int) -> Path:
    return write_documents(
        path,
        [
            node("r1", "127.0.0.1/8", asn=64512),
            settings(listenPort=port, bindMode="NodeIP", nodeToNodeMeshEnabled=False),
            peer("tor", node="r1", peerIP="127.0.0.2:1", asNumber=65001),
        ],
    )


def refused(*words: str) -> str:
    """Run a command line that must fail, and give the last line of what it said."""
    done = subprocess.run(
        words, cwd=PROJECT, check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_it_runs_until_it_is_told_to_stop(tmp_path: Path, loop: str) -> None:
    run_dir = tmp_path / "run"
    datastore = resources(tmp_path / "etc", free_port())
    words = command(datastore, run_dir, "--node", "r1", "--log", "json", "--loop", loop)
    with subprocess.Popen(words, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            for line in daemon.stderr:
                # The last thing a start does.
                if json.loads(line).get("event") == "started":
                    break
            status = ask(run_dir, "status")
            assert (status["node"], status["pid"]) == ("r1", daemon.pid)
            assert [view["name"] for view in status["peers"]] == ["Node_127_0_0_2_port_1"]
            table = wren("node", "status", "--run-dir", run_dir)
            assert "|  127.0.0.2   | node specific | start |" in table.stdout
            twice = refused(*command(datastore, run_dir, "--node", "r1"))
            assert "another Wren daemon runs" in twice
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
        finally:
            daemon.kill()
    # For the next run to know for whom it has to wait.
    assert [path.name for path in run_dir.iterdir()] == [STATE_FILE]


def test_an_unknown_node_is_one_line(tmp_path: Path) -> None:
    datastore = resources(tmp_path / "etc", 1790)
    line = refused(*command(datastore, tmp_path, "--node", "r9"))
    assert line == "wren: there is no Node r9; the resources define r1"


def test_a_busy_port_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        datastore = resources(tmp_path / "etc", port)
        line = refused(*command(datastore, tmp_path, "--node", "r1"))
    assert line.startswith("wren: ")
    assert str(port) in line
    assert "listenPort" in line


def test_a_datastore_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = wren("run", "--datastore", tmp_path / "etc", "--node", "r1", "--run-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stderr == (
        f"wren: there is no datastore {tmp_path}/etc; "
        "name a directory of resources with --datastore\n"
    )


@needs_root
def test_a_datastore_that_the_daemon_cannot_read_is_one_line(tmp_path: Path) -> None:
    """Root, too, is held to a mode, once it has given up the right not to be."""
    datastore = resources(tmp_path / "etc", 1790)
    datastore.chmod(0o700)
    os.chown(datastore, NOBODY, NOBODY)
    line = refused(*command(datastore, tmp_path / "run", "--node", "r1"))
    assert line == (
        f"wren: root (0) cannot read the datastore {datastore}; change its group or mode; the"
        " daemon is held to them even as root"
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [("--user", "there is no user no-such-one"), ("--control-group", "there is no group no-such")],
)
def test_a_user_or_group_that_is_not_there_is_one_line(
    tmp_path: Path, option: str, said: str
) -> None:
    datastore = resources(tmp_path / "etc", 1790)
    line = refused(*command(datastore, tmp_path / "run", "--node", "r1", option, "no-such-one"))
    assert line.startswith(f"wren: {said}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--table", "0"],
        ["--protocol", "256"],
        ["--log", "xml"],
        ["--loop", "trio"],
        ["--log-level", "loud"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    needed = ["--datastore", str(tmp_path), "--node", "r1"] if arguments else []
    assert wren("run", *needed, *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EADDRINUSE, "listenPort"),
        (errno.EPERM, "--no-kernel"),
        (errno.EACCES, "CAP_NET_BIND_SERVICE"),
    ],
)
def test_what_the_machine_refuses_comes_with_advice(number: int, hint: str) -> None:
    told = str(explained(OSError(number, os.strerror(number))))
    assert os.strerror(number) in told
    assert hint in told


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--hook", "nothing", "there is no such program; name a file that can be executed"),
        ("--hook", "text", "there is no such program; name a file that can be executed"),
        ("--bfd", "bird", "nobody is known by that name; write own, frr or frr:SOCKET"),
        ("--bfd", "own:x", "nobody is known by that name; write own, frr or frr:SOCKET"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    option: str, value: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no program")
    given = str(tmp_path / value) if option == "--hook" else value
    said = refused(*command(tmp_path, tmp_path, "--node", "r1", option, given))
    assert said.endswith(f": {sentence}")
    assert option in said
