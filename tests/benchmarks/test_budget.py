"""What `make bench` prints."""

from __future__ import annotations

import ast
import sys
import tomllib

import pytest

from benchmarks.budget import BUDGET, HERE, Figure, as_toml, figures, main, renewed, table

LEARN = Figure("learn", "prefix", 1500.0)


def test_a_figure_is_the_fastest_round_for_one_unit() -> None:
    report = {
        "benchmarks": [
            {
                "name": "bench_learn",
                "extra_info": {"count": 1000, "unit": "prefix"},
                "stats": {"min": 0.0015, "mean": 1.0},
            }
        ]
    }
    assert figures(report) == [LEARN]


def test_measured_stands_beside_the_budget() -> None:
    [_, line] = table([LEARN], {"learn": {"ns": 1500}})
    assert line.split() == ["learn", "1500", "ns", "1500", "ns", "1.00", "per", "prefix"]


def test_what_is_over_its_budget_is_said_plainly() -> None:
    [_, line] = table([LEARN], {"learn": {"ns": 1000}})
    assert "1.50" in line
    assert line.endswith("OVER BUDGET")


def test_a_stop_without_a_budget_is_shown_all_the_same() -> None:
    [_, line] = table([LEARN], {})
    assert line.split() == ["learn", "1500", "ns", "none", "per", "prefix"]


def test_a_budget_that_is_written_is_read_back() -> None:
    written = tomllib.loads(as_toml([LEARN], {"machine": "this"}))
    assert written == {
        "reference": {"machine": "this"},
        "stop": {"learn": {"ns": 1500, "unit": "prefix"}},
    }


def test_a_stop_that_was_not_measured_keeps_its_budget() -> None:
    held = {"learn": {"ns": 9, "unit": "prefix"}, "scan": {"ns": 7, "unit": "set"}}
    assert renewed([LEARN], held) == [LEARN, Figure("scan", "set", 7)]


def test_every_stop_has_a_budget_and_every_budget_a_stop() -> None:
    stops = {
        node.name.removeprefix("bench_")
        for path in (HERE / "stops").glob("bench_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("bench_")
    }
    held = tomllib.loads(BUDGET.read_text())
    assert set(held["stop"]) == stops
    assert {"date", "machine", "python"} <= set(held["reference"])


def test_a_name_of_no_stop_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["budget", "nonsuch"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'nonsuch' is part of no stop's name; there are netlink_pack, " in said
