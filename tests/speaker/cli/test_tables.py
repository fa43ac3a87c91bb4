"""Plain tables and lists of facts."""

from __future__ import annotations

import io
import json
import sys

import pytest

from speaker.cli.tables import Table, facts, write_json, write_table


def test_columns_are_as_wide_as_their_widest_cell_and_nothing_trails() -> None:
    table = Table(("NAME", "N", "INFO"), [("r1", "100", ""), ("router", "1", "x")], frozenset("N"))
    assert table.lines() == ["NAME      N  INFO", "r1      100", "router    1  x"]


def test_a_table_without_rows_is_its_headings() -> None:
    assert Table(("A", "B"), []).lines() == ["A  B"]


def test_long_lines_are_not_wrapped_and_brackets_are_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "[red]" + "x" * 500
    write_table(Table(("NAME",), [(long,)]))
    assert capsys.readouterr().out == f"NAME\n{long}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_headings_are_bold_on_a_terminal_and_never_wrapped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    headings = [f"[HEADING {number}]" for number in range(30)]
    write_table(Table(headings, [["x"] * 30]))
    heading, row, _ = terminal.getvalue().split("\n")
    assert heading == f"\x1b[1m{'  '.join(headings)}\x1b[0m"
    assert row.startswith("x ")


def test_facts_are_aligned_and_empty_ones_left_out() -> None:
    assert facts([("node", "r1"), ("x", ""), ("router id", "1.2.3.4")], indent=" ") == [
        " node       r1",
        " router id  1.2.3.4",
    ]
    assert facts([]) == []


def test_json_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"reason": "AS 1 → 2"})
    out = capsys.readouterr().out
    assert "→" in out
    assert json.loads(out) == {"reason": "AS 1 → 2"}
