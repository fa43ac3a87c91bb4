"""A connection as the shell sees it: messages wait in it until somebody has time for them."""

from __future__ import annotations

from fsm.events import Side
from speaker.connection import Connection
from speaker.net.transport import ReadBuffer, Transport
from speaker.wire.framing import EACH, PIECE
from tests.support.scripted_peer import (
    KEEPALIVE,
    ROUTE_REFRESH,
    UPDATE,
    keepalive,
    message,
    route_refresh,
    update,
)


def connection(*octets: bytes) -> Connection:
    """Make a connection to which something was said."""
    made = Connection(Side.INCOMING, Transport(ReadBuffer()))
    for chunk in octets:
        made.feed(chunk)
    return made


def taken(of: Connection) -> list[tuple[int, int]]:
    """Take everything: the types, and how many there were of each at once."""
    found = []
    while of.has_messages:
        kind, bodies = of.take()
        found.append((kind, len(bodies)))
    return found


def test_updates_are_taken_a_few_at_a_time() -> None:
    at_once = -(-PIECE // (EACH + len(update())))
    assert 1 < at_once < 150
    assert taken(connection(update() * (at_once + 1))) == [(UPDATE, at_once), (UPDATE, 1)]


def test_many_keepalives_say_no_more_than_one() -> None:
    said = keepalive() * 3000 + update() + keepalive() * 2
    assert taken(connection(said)) == [(KEEPALIVE, 1), (UPDATE, 1), (KEEPALIVE, 1)]


def test_other_messages_are_taken_one_by_one_and_in_their_order() -> None:
    said = route_refresh() * 2 + update() + route_refresh()
    kinds = [(ROUTE_REFRESH, 1), (ROUTE_REFRESH, 1), (UPDATE, 1), (ROUTE_REFRESH, 1)]
    assert taken(connection(said)) == kinds


def test_however_chunks_are_cut_the_same_is_taken() -> None:
    said = update() * 3 + keepalive() + route_refresh()
    octets = connection(*(said[at : at + 1] for at in range(len(said))))
    kinds = [kind for kind, _ in taken(octets)]
    assert kinds == [UPDATE] * 3 + [KEEPALIVE, ROUTE_REFRESH]
    assert taken(connection(said)) == [(UPDATE, 3), (KEEPALIVE, 1), (ROUTE_REFRESH, 1)]


def test_what_broke_the_stream_is_told_once_and_after_what_came_before() -> None:
    broken = connection(update() + message(9) + update())
    assert taken(broken) == [(UPDATE, 1)]
    error = broken.take_error()
    assert error is not None
    assert (error.code, error.subcode) == (1, 3)
    assert broken.take_error() is None


def test_messages_that_were_not_taken_are_no_silence() -> None:
    waiting = connection(keepalive())
    assert waiting.has_unread
    taken(waiting)
    assert not waiting.has_unread
