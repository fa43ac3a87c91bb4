"""What the log says of RPKI caches."""

from __future__ import annotations

import logging

from speaker.log.output import say


def cache_synced(cache: str, place: str, version: int, vrps: int) -> None:
    """A cache has told all that it knows."""
    say(
        logging.INFO,
        "cache_synced",
        f"RPKICache/{cache} ({place}): in sync, protocol version {version}, {vrps} VRPs",
        cache=cache,
        place=place,
        version=version,
        vrps=vrps,
    )


def cache_failed(cache: str, place: str, why: str, vrps: int) -> None:
    """A cache begins to fail."""
    kept = f"; its {vrps} VRPs stay until they expire" if vrps else ""
    say(
        logging.WARNING,
        "cache_failed",
        f"RPKICache/{cache} ({place}): {why}{kept}",
        cache=cache,
        place=place,
        why=why,
        vrps=vrps,
    )


def cache_expired(cache: str, place: str) -> None:
    """What a cache said is void, since it has not answered for too long."""
    say(
        logging.WARNING,
        "cache_expired",
        f"RPKICache/{cache} ({place}): its VRPs have expired and count no more",
        cache=cache,
        place=place,
    )
