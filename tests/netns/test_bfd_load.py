"""BFD sessions hold while the speaker is busy, or stands still, and while junk pours in."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.netns.test_floods import program, said
from tests.support.bfd_crowd import FEEDER, PATIENT, SENDER, WREN, Crowd, Meter, crowd, ends
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

Record = Callable[[str, object], None]


@pytest.fixture
def tell(record_property: Record) -> Callable[[str], None]:
    """Note figures with the test's result, and print them (`-s`)."""

    def note(figures: str) -> None:
        print(figures)  # noqa: T201 - for people
        record_property("figures", figures)

    return note


@contextmanager
def fed(crowd: Crowd, prefixes: int) -> Iterator[None]:
    """Have the speaker ingest a table and lose it, again and again."""
    words = (SENDER, WREN, FEEDER, prefixes)
    with program(crowd.host, "feeder", *words) as feeder:
        assert said(feeder) == "established"
        becomes("routes come", lambda: "proto bird" in routes(crowd), True, seconds=60)
        yield
        assert feeder.stdin is not None
        feeder.stdin.close()
        assert int(said(feeder)) >= 1


def routes(crowd: Crowd) -> str:
    """Give a few kernel routes of the table."""
    return crowd.wren.execute(["sh", "-c", f"ip route show via {SENDER} | head -5"])


def stand_still(crowd: Crowd, seconds: float) -> None:
    """Stop the speaker, and not its BFD process."""
    crowd.wren.signal(signal.SIGSTOP)
    time.sleep(seconds)  # it is time itself that passes without the speaker
    crowd.wren.signal(signal.SIGCONT)


@contextmanager
def junk(crowd: Crowd, rate: int) -> Iterator[None]:
    """Pour so many packets a second into Wren that are no good, from the link of its peers."""
    ours, theirs = ends(0)
    [victim] = [s for s in crowd.shown()["sessions"] if s["name"] == theirs]
    words = (rate, ours, theirs, victim["discriminator"], "eth0")
    with program(crowd.bird, "bfd_junk", *words) as sender:
        assert said(sender) == "sends"
        began = time.monotonic()
        yield
        assert sender.stdin is not None
        sender.stdin.close()
        sent = int(said(sender))
        # A machine that is busy sends less; half of it is still a flood.
        assert sent > 0.5 * rate * (time.monotonic() - began)


@pytest.mark.timeout(180)
def test_sessions_hold_while_the_speaker_ingests_and_stands_still(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with crowd(tmp_path / "datastore", 20, 4, PATIENT) as made, fed(made, 100_000):
        meter = Meter(made)
        stand_still(made, 2.0)
        assert made.falls() == {}, meter.figures()
        tell(meter.figures())


@pytest.mark.timeout(180)
def test_junk_takes_no_session_down(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with crowd(tmp_path / "datastore", 20, 4, PATIENT) as made:
        meter = Meter(made)
        with junk(made, 20_000):
            time.sleep(2.0)  # that long it pours
        assert made.falls() == {}, meter.figures()
        process = made.shown()["process"]
        assert process["unread"]["junk"] > 1000
        assert process["unread"]["ours"] == 0
        tell(meter.figures())


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_220_sessions_hold_for_five_minutes_beside_a_million_prefixes(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with crowd(tmp_path / "datastore", 200, 20) as made:
        meter = Meter(made)
        time.sleep(10.0)
        tell(f"at rest: {meter.figures()}")
        with fed(made, 1_000_000):
            meter, end = Meter(made), time.monotonic() + 300.0
            while time.monotonic() < end:
                stand_still(made, 2.0)
                time.sleep(15.0)
                assert made.falls() == {}, meter.figures()
            tell(f"beside a million prefixes: {meter.figures()}")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_50000_packets_of_junk_a_second_take_none_of_220_sessions_down(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with crowd(tmp_path / "datastore", 200, 20) as made:
        meter = Meter(made)
        with junk(made, 50_000):
            time.sleep(10.0)
        assert made.falls() == {}, meter.figures()
        assert made.up() == 220
        tell(f"beside junk: {meter.figures()}")
