"""Durations as people read them."""

from __future__ import annotations

import pytest

from speaker.cli.moments import show_duration


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
