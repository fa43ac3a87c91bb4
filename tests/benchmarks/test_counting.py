"""What a receiver counts is what has come, however it was cut into chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.counting import Counter
from benchmarks.table import blob
from benchmarks.table.messages import END_OF_RIB, announcements, withdrawals

ATTRIBUTES = b"\x40\x01\x01\x00"
OTHERS = b"\x40\x01\x01\x02"
PREFIXES = [bytes((24, 20, 0, n)) for n in range(6)]
KEEPALIVE = b"\xff" * 16 + b"\x00\x13\x04"


def announce(*numbers: int, attributes: bytes = ATTRIBUTES) -> bytes:
    return b"".join(announcements(attributes, [PREFIXES[n] for n in numbers], 4))


def withdraw(*numbers: int) -> bytes:
    return b"".join(withdrawals([PREFIXES[n] for n in numbers], 4))


def counted(*chunks: bytes, expected: int = 0) -> Counter:
    """Count chunks that come at 1, 2, 3, …"""
    counter = Counter(expected)
    for time, chunk in enumerate(chunks, 1):
        counter.feed(float(time), chunk)
    return counter


def test_a_prefix_that_is_told_twice_is_alive_once() -> None:
    tally = counted(announce(0, 1), announce(1, attributes=OTHERS)).tally
    assert (tally.alive, tally.announced, tally.updates) == (2, 3, 2)


def test_what_is_withdrawn_is_not_alive() -> None:
    tally = counted(announce(0, 1, 2), withdraw(1)).tally
    assert (tally.alive, tally.announced, tally.withdrawn) == (2, 3, 1)


def test_everything_is_reached_with_the_last_distinct_prefix() -> None:
    tally = counted(announce(0, 1), announce(0), announce(2), announce(3), expected=3).tally
    assert (tally.first, tally.reached, tally.last) == (1.0, 3.0, 4.0)


def test_nothing_is_left_with_the_last_withdrawal() -> None:
    tally = counted(announce(0, 1), withdraw(0), withdraw(1)).tally
    assert tally.emptied == 3.0


def test_after_a_mark_everything_has_to_be_told_anew() -> None:
    counter = counted(announce(0, 1), expected=2)
    counter.mark()
    counter.feed(5.0, announce(0, attributes=OTHERS))
    assert counter.tally.renewed is None
    counter.feed(6.0, announce(1, attributes=OTHERS))
    tally = counter.tally
    assert (tally.renewed, tally.announced, tally.alive) == (6.0, 2, 2)


def test_keepalives_and_the_end_of_the_rib_are_no_updates() -> None:
    counter = counted(announce(0), KEEPALIVE, END_OF_RIB[4], KEEPALIVE + END_OF_RIB[6])
    tally = counter.tally
    assert (tally.updates, tally.last, tally.end_of_rib) == (1, 1.0, 4.0)


def test_attributes_are_kept_on_demand() -> None:
    counter = Counter(keeps_attributes=True)
    counter.feed(1.0, announce(0, 1) + announce(1, attributes=OTHERS))
    assert counter.alive == {PREFIXES[0]: ATTRIBUTES, PREFIXES[1]: OTHERS}


@given(st.sampled_from([4, 6]), st.lists(st.integers(1, 60_000), max_size=12, unique=True))
def test_chunks_may_end_anywhere(family: int, cuts: list[int]) -> None:
    table = blob.draw(1500, family)
    stream = b"".join(table.announcements()) + END_OF_RIB[family]
    edges = [0, *sorted(cuts), len(stream)]
    counter = Counter(1500)
    for time, (start, end) in enumerate(pairwise(edges)):
        counter.feed(float(time), stream[start:end])
    assert set(counter.alive) == set(table.prefixes)
    assert counter.tally.updates == len(list(table.announcements()))
    counter.feed(99.0, b"".join(table.withdrawals()))
    assert counter.alive == {}
    assert counter.tally.emptied == 99.0
