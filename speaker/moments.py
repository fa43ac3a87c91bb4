"""Points in time and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

RECENT = timedelta(hours=20)
"""As long as this BIRD, and so Calico's status table, shows the time of day."""


def show_since(since: float, now: float, zone: tzinfo | None = None) -> str:
    """Show when something began: the time of day if recent, else the date.

    Args:
        since: seconds since 1970.
        now: the same.
        zone: by default that of the machine.
    """
    moment = datetime.fromtimestamp(since, UTC).astimezone(zone)
    if 0 <= now - since < RECENT.total_seconds():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d}"


def show_moment(at: float, zone: tzinfo | None = None) -> str:
    """Show a point in time to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"


def show_duration(seconds: float | None) -> str:
    """Show how long something lasts: ``00:01:05``, ``3d 02:00:00``; empty for None."""
    if seconds is None:
        return ""
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    clock = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock
