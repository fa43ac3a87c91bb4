"""How long a router waits for what, and what is configured for one cache.

Standards: RFC 8210 §6.
"""

from __future__ import annotations

from dataclasses import dataclass

BOUNDS = {"refresh": (1, 86400), "retry": (1, 7200), "expire": (600, 172800)}
"""Seconds that each interval may have."""

MAX_VRPS = 2_000_000
"""VRPs of one cache, where nothing else is configured."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """How long to wait for what, seconds.

    Attributes:
        refresh: from an answer to the next query.
        retry: from a failure to the next query.
        expire: from an answer until what it said is void.
    """

    refresh: int
    retry: int
    expire: int


DEFAULTS = Intervals(refresh=3600, retry=600, expire=7200)
"""Where neither configuration nor cache say anything."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is configured for a cache; None leaves it to the cache, then to RFC 8210."""

    refresh: int | None = None
    retry: int | None = None
    expire: int | None = None
    max_vrps: int = MAX_VRPS


def settle(wishes: Wishes, told: Intervals) -> Intervals:
    """Give the intervals that hold: what is wished, else what the cache told, within bounds.

    RFC 8210 §6: data must not expire before it is asked for again.
    """
    expire = _bounded("expire", wishes.expire or told.expire)
    return Intervals(
        min(_bounded("refresh", wishes.refresh or told.refresh), expire // 2),
        min(_bounded("retry", wishes.retry or told.retry), expire // 2),
        expire,
    )


def _bounded(name: str, seconds: int) -> int:
    least, most = BOUNDS[name]
    return max(least, min(seconds, most))
