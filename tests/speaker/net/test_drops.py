"""Counters of dropped segments: read from the system, and not too often."""

from __future__ import annotations

from pathlib import Path

import pytest

from speaker.net import drops
from speaker.net.drops import DropCounts, Drops, read
from tests.support.tabletop import VirtualClock

NETSTAT = """\
TcpExt: TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPAOBad TCPAOGood TCPMinTTLDrop
TcpExt: 1 20 300 4000 5 9
IpExt: InNoRoutes
IpExt: 9
"""


def test_those_of_signatures_are_added_and_those_of_ttl_stand_beside(tmp_path: Path) -> None:
    counters = tmp_path / "netstat"
    counters.write_text(NETSTAT)
    assert read(counters) == Drops(4321, 9)


@pytest.mark.parametrize("text", ["", "TcpExt: SyncookiesSent\nTcpExt: 7\n"])
def test_a_system_without_them_drops_nothing(tmp_path: Path, text: str) -> None:
    counters = tmp_path / "netstat"
    counters.write_text(text)
    assert read(counters) == Drops()
    assert read(tmp_path / "nowhere") == Drops()


def test_this_system_can_be_asked() -> None:
    assert min(read()) >= 0


def test_a_second_question_at_once_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = VirtualClock(), iter((Drops(1), Drops(2, 5)))
    monkeypatch.setattr(drops, "read", lambda: next(reads))
    counted = DropCounts(clock)
    assert (counted.dropped, counted.dropped) == (Drops(1), Drops(1))
    clock.time += 1.0
    assert counted.dropped == Drops(2, 5)
    counted.turned_away += 1
    assert counted.dropped.since(Drops(1, 2)) == Drops(1, 4)
