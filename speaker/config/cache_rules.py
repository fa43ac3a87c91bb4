"""What fields of an RPKICache demand of each other; see `speaker.config.rules`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.problems import Violation
from speaker.config.scalars import ScalarError, parse_duration, whole_seconds
from speaker.config.trees import spec_of
from speaker.rpki.intervals import BOUNDS


def intervals(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """RFC 8210 §6: each interval is within bounds, and data is asked for before it expires."""
    seconds: dict[str, int] = {}
    for name, (least, most) in BOUNDS.items():
        found = _seconds(spec_of(tree).get(f"{name}Interval"))
        if found is None:
            continue
        if not least <= found <= most:
            message = f"must be from {least} to {most} seconds (RFC 8210)"
            yield Violation(("spec", f"{name}Interval"), "range", message)
        seconds[name] = found
    for name in ("refresh", "retry"):
        if name in seconds and "expire" in seconds and seconds[name] >= seconds["expire"]:
            message = f"must be less than expireInterval, {seconds['expire']} seconds"
            yield Violation(("spec", f"{name}Interval"), "range", message)


def _seconds(value: Any) -> int | None:
    """Give whole seconds; None for what is absent or no duration."""
    try:
        return None if value in (None, "") else whole_seconds(parse_duration(value))
    except ScalarError:
        return None
