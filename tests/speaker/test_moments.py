"""Times and durations as people read them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from speaker.moments import show_duration, show_moment


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "00:00:00"),
        (65.9, "00:01:05"),
        (86_399, "23:59:59"),
        (86_400, "1d 00:00:00"),
        (266_523, "3d 02:02:03"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_moments_are_shown_to_the_millisecond_in_the_zone_of_the_reader() -> None:
    at = 1795246914.0439
    assert show_moment(at, UTC) == "2026-11-21 07:41:54.043"
    assert show_moment(at, timezone(timedelta(hours=2))) == "2026-11-21 09:41:54.043"
