"""From samples and results to figures: nothing is shown that was not measured."""

from __future__ import annotations

import os
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.peers import page
from benchmarks.peers.compare import RESULTS, plan
from benchmarks.peers.daemons import DAEMONS, ROOT
from benchmarks.peers.jobs import ALL, FULL, SHORT
from benchmarks.peers.measuring import ImpossibleError, possible
from benchmarks.peers.modes import MODES
from benchmarks.peers.plot import draw
from benchmarks.peers.results import Cell, Result, doubts, read, rows
from benchmarks.peers.run import Order, Sample, idle_since
from benchmarks.peers.session import Line, open_message
from fsm.capabilities import FourOctetAs, Multiprotocol
from fsm.family import IPV6_UNICAST
from speaker.wire.codec import decode_open

MACHINE = {"date": "2026-01-02", "machine": "one", "system": "Linux", "python": "CPython"}


def result(daemon: str, round_: int = 0, **facts: Any) -> Result:
    given = {"ok": True, "drops": 0, "foreign_cores": 0.0, "version": "1.0", "rss_mb": 10.0}
    return {"job": "relay", "daemon": daemon, "round": round_, **MACHINE, **given, **facts}


def samples(*given: tuple[float, float, int]) -> list[Sample]:
    return [Sample(*each) for each in given]


def test_a_daemon_is_idle_from_when_it_stopped_working() -> None:
    busy = [(n / 10, n / 10, 0) for n in range(5)]
    rest = [(0.5 + n / 10, 0.4, 0) for n in range(6)]
    assert idle_since(samples(*busy, *rest), 0.0) == pytest.approx(0.4)


def test_a_daemon_is_not_idle_while_octets_lie_unread() -> None:
    rest = [(n / 10, 0.0, 0) for n in range(10)]
    assert idle_since(samples(*rest), 0.0) == 0.0
    assert idle_since(samples(*rest, (1.0, 0.0, 7)), 0.0) is None
    unread_before = [(0.5, 0.0, 7) if each[0] == 0.5 else each for each in rest]
    assert idle_since(samples(*unread_before), 0.0) is None


def test_a_rest_before_the_phase_does_not_count() -> None:
    rest = samples(*((n / 10, 0.0, 0) for n in range(10)))
    assert idle_since(rest, 0.7) is None
    assert idle_since([], 0.0) is None


def test_ratios_are_of_the_same_round() -> None:
    found = rows(
        [
            result("bird", 0, relay_s=1.0),
            result("wren", 0, relay_s=2.0),
            result("bird", 1, relay_s=4.0),
            result("wren", 1, relay_s=4.0),
        ]
    )
    assert found[0].words == "100,000 prefixes, passed on to one receiver"
    assert found[0].cells["wren"] == Cell(3.0, 1.5)
    assert found[0].cells["bird"] == Cell(2.5, 1.0)


def test_a_run_that_failed_gives_no_figure_and_is_named() -> None:
    results = [
        result("bird", relay_s=1.0),
        result("frr", ok=False, relay_s=0.1, error="TimeoutError: long\nlog"),
    ]
    assert all("frr" not in row.cells for row in rows(results))
    assert doubts(results) == ["FRR, relay: TimeoutError: long."]


def test_disturbed_runs_and_lost_sessions_are_said() -> None:
    results = [result("wren", foreign_cores=0.9), result("bird", drops=2)]
    first, second = doubts(results)
    assert first.startswith("In 1 of 2 runs others used the machine meanwhile, up to 0.9")
    assert second == "BIRD, relay: 2 sessions were lost."


def test_the_page_shows_figures_versions_and_machine() -> None:
    text = page.long_form([result("wren", relay_s=2.0), result("bird", relay_s=1.0)])
    assert "| | Wren 1.0 | BIRD 1.0 |" in text
    assert "| 100,000 prefixes, passed on to one receiver | 2.00 s (2.00 ×) |" in text
    assert "Measured on 2026-01-02: one, Linux, CPython" in text


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = f"before {page.BEGIN} old {page.END} after"
    assert page.replaced(text, "new") == f"before {page.BEGIN}\n\nnew\n\n{page.END} after"
    with pytest.raises(ValueError, match="missing"):
        page.replaced("no marks", "new")


@pytest.mark.parametrize("name", ["README.md", "docs/performance.md"])
def test_the_pages_have_room_for_figures_and_show_the_results(name: str) -> None:
    text = (ROOT / name).read_text()
    page.replaced(text, "")
    results = read(RESULTS)
    shown = page.short_form if name == "README.md" else page.long_form
    assert (shown(results) if results else "Nothing has been measured yet.") in text


def test_the_plot_has_a_dot_for_each_figure() -> None:
    found = rows([result("wren", relay_s=2.0), result("bird", relay_s=1.0)])
    root = ElementTree.fromstring(draw(found, ["wren", "bird"]))
    titles = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
    # The relay, and the memory.
    assert titles == ["BIRD: 1.00 ×", "Wren: 2.00 ×", "BIRD: 1.00 ×", "Wren: 1.00 ×"]


def test_rounds_go_over_all_daemons_and_leave_out_what_is_done() -> None:
    planned = plan(SHORT[:1], ["bird", "wren"], 2, [result("wren", 0)])
    assert [(number, daemon) for _, number, daemon in planned] == [
        (0, "bird"),
        (1, "bird"),
        (1, "wren"),
    ]


def test_every_job_has_a_mode_and_a_name_of_its_own() -> None:
    assert len(ALL) == len(SHORT) + len(FULL)
    assert {job.mode for job in ALL.values()} <= MODES.keys()
    assert all(job.words(fact) for job in ALL.values() for fact in job.facts)


def test_what_cannot_be_done_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImpossibleError) as refused:
        possible(Order("wren", "relay"))
    assert "root" in str(refused.value)
    assert "\n" not in str(refused.value)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not DAEMONS["gobgp"].has_kernel
    with pytest.raises(ImpossibleError, match="no routes into the kernel"):
        possible(Order("gobgp", "fib"))
    with pytest.raises(ImpossibleError, match="nothing to compare"):
        possible(Order("wren", "flap", checks=True))


def test_the_ends_open_like_any_peer() -> None:
    line = Line("s1", "fd00:1::1:1", "fd00:1::1", 4200000001, "10.1.1.1", family=6, hold=9)
    opened = decode_open(open_message(line)[19:])
    assert (opened.asn, opened.hold_time, opened.router_id) == (4200000001, 9, 0x0A010101)
    assert Multiprotocol(IPV6_UNICAST) in opened.capabilities
    assert FourOctetAs(4200000001) in opened.capabilities
