"""The daemon under a service manager: what it tells, and that its sockets outlast it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from speaker.control.client import ask
from tests.support.commands import write_documents
from tests.support.manager import Manager
from tests.support.resources import node, peer, settings
from tests.support.routers import free_port, home

PEER = peer("tor", node="r1", peerIP=f"{home(2)}:1", asNumber=65001)


def resources(path: Path, port: int, **more: str) -> Path:
    spec: dict[str, Any] = {
        "listenPort": port,
        "bindMode": "NodeIP",
        "nodeToNodeMeshEnabled": False,
        **more,
    }
    return write_documents(path, [node("r1", f"{home(1)}/8", asn=64512), settings(**spec), PEER])


def command(place: Path) -> list[str]:
    words = ["--datastore", str(place / "etc"), "--run-dir", str(place / "run"), "--node", "r1"]
    return [sys.executable, "-m", "speaker", "run", *words, "--no-kernel", "--log", "json"]


@contextmanager
def service(manager: Manager, place: Path) -> Iterator[subprocess.Popen[str]]:
    with manager.start(command(place)) as process:
        try:
            yield process
        finally:
            process.kill()


def connects(address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=5)


def told_listening(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("event") == "listening":
            return str(json.loads(line)["message"])
    raise AssertionError("it never listens")


def test_it_says_how_it_is_from_start_to_end(tmp_path: Path) -> None:
    resources(tmp_path / "etc", free_port())
    with Manager(tmp_path) as manager, service(manager, tmp_path) as process:
        ready = manager.has("READY=1")
        assert "STATUS=node r1, AS 64512: 0 of 1 sessions up" in ready
        process.send_signal(signal.SIGHUP)
        reloading = manager.hear_until(lambda lines: "RELOADING=1" in lines)
        assert int(reloading[1].removeprefix("MONOTONIC_USEC=")) > 0
        assert manager.hear() == ["READY=1"]
        ask(tmp_path / "run", "reload")
        manager.has("RELOADING=1")
        manager.has("READY=1")
        process.send_signal(signal.SIGTERM)
        manager.has("STOPPING=1")
        assert process.wait(20) == 0


def test_the_watchdog_is_fed_as_long_as_the_loop_comes_round(tmp_path: Path) -> None:
    resources(tmp_path / "etc", free_port())
    with Manager(tmp_path, watchdog=0.6) as manager, service(manager, tmp_path) as process:
        manager.has("WATCHDOG=1")
        manager.has("WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        while True:
            try:
                manager._socket.settimeout(1.0)
                manager.hear()
            except TimeoutError:
                break
        process.send_signal(signal.SIGCONT)
        manager._socket.settimeout(20)
        manager.has("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        said = [json.loads(line) for line in process.stderr]
        assert [line["event"] for line in said if line["event"] == "loop_late"], said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_listening_socket_outlasts_the_process(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    resources(tmp_path / "etc", port)
    name = f"bgp-{home(1)}-{port}"
    with Manager(tmp_path) as manager:
        with service(manager, tmp_path) as first:
            manager.has("READY=1")
            assert list(manager.kept) == [name]
            first.send_signal(number)
            first.wait(20)
        # Nobody runs, and nobody is refused.
        with connects(home(1), port) as waiting, service(manager, tmp_path) as second:
            assert told_listening(second) == f"listening on {home(1)} port {port}"
            # It is no peer: the daemon has taken the connection, and closed it.
            with pytest.raises(ConnectionResetError):
                waiting.recv(1)
            manager.has("READY=1")
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0


def test_the_manager_lets_go_of_a_socket_before_another_takes_its_place(tmp_path: Path) -> None:
    port = free_port()
    resources(tmp_path / "etc", port, bindMode="None")
    with Manager(tmp_path) as manager, service(manager, tmp_path) as process:
        manager.has("READY=1")
        assert sorted(manager.kept) == [f"bgp-0.0.0.0-{port}", f"bgp-__-{port}"]
        resources(tmp_path / "etc", port)
        manager.hear_until(lambda _: list(manager.kept) == [f"bgp-{home(1)}-{port}"])
        connects(home(1), port).close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_what_a_socket_unit_opened_is_served_and_what_is_not_wanted_is_closed(
    tmp_path: Path,
) -> None:
    port, other = free_port(), free_port()
    resources(tmp_path / "etc", port, bindMode="None")
    with Manager(tmp_path) as manager:
        both = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        manager.kept = {"wren.socket": both, "stray": socket.create_server((home(1), other))}
        with service(manager, tmp_path) as process:
            assert told_listening(process) == f"listening on :: port {port}"
            for each in list(manager.kept.values()):
                each.close()
            manager.kept.clear()
            manager.has("READY=1")
            with connects(home(1), port) as taken, pytest.raises(ConnectionResetError):
                taken.recv(1)
            with pytest.raises(ConnectionRefusedError):
                connects(home(1), other)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
