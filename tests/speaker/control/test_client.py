"""The commands' end: results, streams, refusals, and daemons that are not there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speaker.control import client
from speaker.control.client import NotRunning, ask, stream
from speaker.control.protocol import ControlError, socket_path
from tests.support.control import serving


def echo(args: dict[str, Any]) -> dict[str, Any]:
    return args


def numbers(args: dict[str, Any]) -> Iterator[int]:
    yield from range(3)


def broken(args: dict[str, Any]) -> Iterator[int]:
    yield 1
    raise ControlError("the table changed", "ask again")


def refuse(args: dict[str, Any]) -> None:
    raise ControlError("no such peer: x", "there is y")


def test_the_result_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, {"echo": echo}):
        assert ask(tmp_path, "echo", name="r1", all=True) == {"name": "r1", "all": True}


def test_a_stream_comes_item_by_item_or_as_a_list(tmp_path: Path) -> None:
    with serving(tmp_path, {"numbers": numbers}):
        assert list(stream(tmp_path, "numbers")) == [0, 1, 2]
        assert ask(tmp_path, "numbers") == [0, 1, 2]


def test_a_plain_result_is_a_stream_of_one(tmp_path: Path) -> None:
    with serving(tmp_path, {"echo": echo}):
        assert list(stream(tmp_path, "echo", a=1)) == [{"a": 1}]


def test_a_refusal_is_raised_with_its_hint(tmp_path: Path) -> None:
    with serving(tmp_path, {"refuse": refuse}), pytest.raises(ControlError) as refused:
        ask(tmp_path, "refuse")
    assert str(refused.value) == "no such peer: x; there is y"


def test_a_refusal_after_items_is_raised_after_them(tmp_path: Path) -> None:
    with serving(tmp_path, {"broken": broken}):
        items = stream(tmp_path, "broken")
        assert next(items) == 1
        with pytest.raises(ControlError, match="the table changed"):
            next(items)


def test_no_daemon_names_the_socket_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(NotRunning) as missing:
        ask(tmp_path, "status")
    assert str(socket_path(tmp_path)) in missing.value.message
    assert "--run-dir" in missing.value.hint


def test_a_socket_without_a_daemon_is_no_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path(tmp_path)))
    with pytest.raises(NotRunning):
        ask(tmp_path, "status")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_forbidden_socket_says_who_may(tmp_path: Path) -> None:
    with serving(tmp_path, {"echo": echo}):
        socket_path(tmp_path).chmod(0)
        with pytest.raises(ControlError, match="not allowed") as forbidden:
            ask(tmp_path, "echo")
    assert "root" in forbidden.value.hint


def test_a_path_too_long_for_a_socket_is_an_answer(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot talk to"):
        ask(tmp_path / ("x" * 200), "status")


def test_who_is_not_let_in_waits_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others fill the queue of the socket; a daemon that is there takes them one by one."""
    monkeypatch.setattr(client, "TIMEOUT", 0.2)
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as other:
        door.bind(str(socket_path(tmp_path)))
        door.listen(0)
        other.connect(str(socket_path(tmp_path)))
        with pytest.raises(ControlError, match="did not answer in time; it may be very busy"):
            ask(tmp_path, "echo")


def test_a_connection_that_just_closes_points_to_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, {"bug": lambda args: 1 / args["zero"]}, fails=True):
        with pytest.raises(ControlError, match="without an answer") as closed:
            ask(tmp_path, "bug", zero=0)
        assert "log" in closed.value.hint
