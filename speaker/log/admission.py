"""What the log says of who may connect, and by which keys."""

from __future__ import annotations

import logging

from speaker.log.output import say


def keys_kept(name: str, address: str, why: str) -> None:
    """A session that stands goes on by its old keys, because the new ones cannot be set."""
    say(
        logging.WARNING,
        "keys_kept",
        f"the session of {name} goes on by the keys that it has: {why}",
        peer=name,
        address=address,
    )


def password_refused(name: str, address: str, why: str) -> None:
    """A session is held down, because its password or its keys cannot be set."""
    say(
        logging.ERROR,
        "password_refused",
        f"the session of {name} is held down: {why}",
        peer=name,
        address=address,
    )


def stranger(address: str) -> None:
    """Somebody connected who is no peer."""
    say(
        logging.INFO,
        "stranger",
        f"a connection from {address}, which is no peer's address, is closed",
        address=address,
    )


def more_strangers(count: int) -> None:
    """Others connected who are no peers, or the same ones again."""
    say(
        logging.INFO,
        "more_strangers",
        f"{count} more connections from addresses that are no peer's were closed",
        count=count,
    )


def range_refused(peers: str, address: str, why: str) -> None:
    """Somebody connected from a range of peers and was turned away."""
    say(
        logging.WARNING,
        "range_refused",
        f"{peers}: {address} is turned away: {why}",
        range=peers,
        address=address,
        reason=why,
    )


def more_range_refused(peers: str, count: int) -> None:
    """Others connected from a range of peers and were turned away, or the same ones again."""
    say(
        logging.WARNING,
        "more_range_refused",
        f"{peers}: {count} more connections were turned away",
        range=peers,
        count=count,
    )
