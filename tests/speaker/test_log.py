"""The log: one line for people, one object for programs, and no secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from fsm.effects import Send, StateChanged
from fsm.events import KeepAliveMsg, Side, Tick
from fsm.messages import Keepalive
from fsm.state import State
from speaker import log
from speaker.config.plan import Secret

Told = Callable[[], str]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Told]:
    """Give what was said on standard error since last asked; leave the logger as it was."""
    handlers, propagate, level = log.logger.handlers, log.logger.propagate, log.logger.level
    yield lambda: capsys.readouterr().err
    log.logger.handlers, log.logger.propagate = handlers, propagate
    log.logger.setLevel(level)
    log.choose_level(None)


def test_text_is_one_line_with_time_level_and_sentence(stderr: Told) -> None:
    log.to_stderr("text", "info")
    log.stranger("192.0.2.7")
    [line] = stderr().splitlines()
    assert line[10] == "T"
    assert line.endswith(
        "Z info    a connection from 192.0.2.7, which is no peer's address, is closed"
    )


def test_json_is_one_object_with_the_fields(stderr: Told) -> None:
    log.to_stderr("json", "info")
    log.garbage("p1", "192.0.2.1", "bad ›marker‹", b"\x00\xff")
    entry = json.loads(stderr())
    assert entry["event"] == "garbage"
    assert (entry["peer"], entry["address"], entry["octets"]) == ("p1", "192.0.2.1", "00ff")
    assert entry["level"] == "warning"
    assert entry["time"].endswith("+00:00")


def test_words_of_others_make_no_line_of_their_own(stderr: Told) -> None:
    log.to_stderr("text", "info")
    log.ordered("drain\nwarning \x1b[2J\0 \ud800 é", "alice (1000)", 4711)
    [line] = stderr().splitlines()
    assert line.endswith(
        "info    'drain\\nwarning \\x1b[2J\\x00 \\ud800 é' is asked for by alice (1000),"
        " process 4711"
    )
    log.to_stderr("json", "info")
    log.ordered("drain\n\ud800", "alice (1000)", 4711)
    [line] = stderr().splitlines()
    assert json.loads(line)["message"].startswith("'drain\n\ud800' is asked for")


def test_what_is_below_the_level_is_not_said(stderr: Told) -> None:
    log.to_stderr("text", "warning")
    log.stranger("192.0.2.7")
    log.condition("BGPPeer/a", "warning", "Odd", "it is odd")
    assert [line[25:] for line in stderr().splitlines()] == ["warning BGPPeer/a: it is odd"]


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        ("Trace", logging.DEBUG),
        ("Debug", logging.DEBUG),
        ("Info", logging.INFO),
        ("Warning", logging.WARNING),
        ("Error", logging.ERROR),
        ("Fatal", logging.CRITICAL),
    ],
)
def test_calicos_severities(severity: str, level: int, stderr: Told) -> None:
    log.set_severity(severity)
    assert log.logger.level == level


def test_a_chosen_level_is_not_changed_by_the_resources(stderr: Told) -> None:
    log.choose_level("debug")
    log.set_severity("Fatal")
    assert log.logger.level == logging.DEBUG
    log.choose_level(None)
    log.set_severity("Fatal")
    assert log.logger.level == logging.CRITICAL


def test_a_fault_of_ours_shows_where_it_happened(stderr: Told) -> None:
    log.to_stderr("json", "info")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.peer_failed("p1")
        log.turn_failed()
    first, second = map(json.loads, stderr().splitlines())
    assert "ZeroDivisionError" in first["exception"]
    assert (first["event"], second["event"]) == ("peer_failed", "turn_failed")
    log.to_stderr("text", "info")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.turn_failed()
    assert "ZeroDivisionError" in stderr()


def test_much_garbage_is_cut_for_people_and_longer_for_programs(stderr: Told) -> None:
    log.to_stderr("json", "info")
    log.garbage("p1", "192.0.2.1", "what", bytes(5000))
    entry = json.loads(stderr())
    assert entry["message"].endswith("00 …")
    assert len(entry["octets"]) == 2 * 4096


def test_a_secret_hides_itself_in_any_sentence(stderr: Told) -> None:
    log.to_stderr("text", "info")
    log.change_applied(f"{Secret(b'hush')} {Secret(b'hush')!r}")
    assert "hush" not in stderr()


def test_all_that_happens_to_a_session_is_said_to_who_wants_it(stderr: Told) -> None:
    heard, sent = KeepAliveMsg(Side.INCOMING), Send(Side.INCOMING, Keepalive())
    up = StateChanged(State.OPEN_CONFIRM, State.ESTABLISHED)
    log.to_stderr("text", "info")
    log.happened("p1", "192.0.2.1", heard, [sent])
    assert stderr() == ""
    log.to_stderr("text", "debug")
    log.happened("p1", "192.0.2.1", heard, [sent, up])
    log.happened("p1", "192.0.2.1", heard, [])
    log.happened("p1", "192.0.2.1", Tick(), [])
    said = "p1 (192.0.2.1): KeepAliveMsg on the incoming connection:"
    assert [line[33:] for line in stderr().splitlines()] == [
        f"{said} Send KEEPALIVE; OpenConfirm → Established",
        f"{said} nothing to do",
    ]
