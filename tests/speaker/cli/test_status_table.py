"""The table of ``calicoctl node status``, held to Calico's own documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from speaker.cli.status_table import show_status
from tests.support.views import peer_view, status_view

NOON = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)


def at(clock: str) -> float:
    hours, minutes, seconds = map(int, clock.split(":"))
    return NOON.replace(hour=hours, minute=minutes, second=seconds).timestamp()


OLDER_DOCUMENT = """\
Calico process is running.

IPv4 BGP status
+--------------+-------------------+-------+----------+-------------+
| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |
+--------------+-------------------+-------+----------+-------------+
| 172.17.8.102 | node-to-node mesh | up    | 23:30:04 | Established |
| 10.20.30.40  |       global      | start | 16:28:38 |   Connect   |
|  192.10.0.0  |   node specific   | start | 16:28:57 |   Connect   |
+--------------+-------------------+-------+----------+-------------+

IPv6 BGP status
+--------------+-------------------+-------+----------+-------------+
| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |
+--------------+-------------------+-------+----------+-------------+
| aa:bb::ff    | node-to-node mesh | up    | 16:17:26 | Established |
+--------------+-------------------+-------+----------+-------------+
"""

NEWER_DOCUMENT = """\
Calico process is running.

IPv4 BGP status
+---------------+---------------+-------+----------+-------------+
| PEER ADDRESS  |   PEER TYPE   | STATE |  SINCE   |    INFO     |
+---------------+---------------+-------+----------+-------------+
| 172.31.37.123 | node specific | up    | 21:52:57 | Established |
| 172.31.40.217 | node specific | up    | 21:52:57 | Established |
| 172.31.42.47  | node specific | up    | 21:52:57 | Established |
+---------------+---------------+-------+----------+-------------+

IPv6 BGP status
No IPv6 peers found.
"""


def test_the_table_of_calicos_older_document() -> None:
    connecting = {"state": "start", "bgpState": "Connect"}
    status = status_view(
        peer_view("172.17.8.102", since=at("23:30:04")),
        peer_view("10.20.30.40", type="global", since=at("16:28:38"), **connecting),
        peer_view("192.10.0.0", type="node specific", since=at("16:28:57"), **connecting),
        peer_view("aa:bb::ff", since=at("16:17:26")),
    )
    assert show_status(status, NOON.timestamp(), UTC) == OLDER_DOCUMENT


def test_the_table_of_calicos_newer_document() -> None:
    addresses = ("172.31.37.123", "172.31.40.217", "172.31.42.47")
    status = status_view(
        *(peer_view(a, type="node specific", since=at("21:52:57")) for a in addresses)
    )
    assert show_status(status, NOON.timestamp(), UTC) == NEWER_DOCUMENT


def test_no_peers_at_all() -> None:
    assert show_status(status_view(), 0.0, UTC) == (
        "Calico process is running.\n\nIPv4 BGP status\nNo IPv4 peers found.\n"
        "\nIPv6 BGP status\nNo IPv6 peers found.\n"
    )


def test_local_workloads_are_not_shown() -> None:
    status = status_view(peer_view("10.65.0.2", type="local workload"))
    assert "No IPv4 peers found." in show_status(status, 0.0, UTC)


def test_an_error_follows_the_state_and_widens_the_column() -> None:
    status = status_view(
        peer_view("10.0.0.1", state="start", bgpState="Active", info="Socket: Connection refused"),
        peer_view("10.0.0.2"),
    )
    lines = show_status(status, 0.0, UTC).splitlines()
    assert lines[6].endswith("| Active Socket: Connection refused |")
    assert {len(line) for line in lines[3:9]} == {len(lines[3])}


def test_names_with_brackets_are_just_text() -> None:
    status = status_view(peer_view("10.0.0.1", info="[bold]x[/bold]"))
    assert "Established [bold]x[/bold]" in show_status(status, 0.0, UTC)


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(0), "23:59:00"),
        (timedelta(hours=19, minutes=59), "04:00:00"),
        (timedelta(hours=20), "2026-03-01"),
        (timedelta(days=2), "2026-02-27"),
        (timedelta(seconds=-60), "2026-03-02"),
    ],
)
def test_since_is_the_time_of_day_for_twenty_hours_then_the_date(
    age: timedelta, shown: str
) -> None:
    status = status_view(peer_view("10.0.0.1", since=(NOON - age).timestamp()))
    row = show_status(status, NOON.timestamp(), UTC).splitlines()[6]
    assert row.split("|")[4].strip() == shown


def test_since_is_shown_in_the_zone_of_the_reader() -> None:
    status = status_view(peer_view("10.0.0.1", since=NOON.timestamp()))
    text = show_status(status, NOON.timestamp(), timezone(timedelta(hours=-2)))
    assert "21:59:00" in text
