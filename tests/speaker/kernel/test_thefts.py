"""A place that was taken is taken back, but not for ever."""

from __future__ import annotations

from speaker.kernel.thefts import MAX_THEFTS, THEFT_MEMORY, Thefts

PLACE = b"\x18\x0a\x00\x00"


def stolen(thefts: Thefts, now: float) -> bool:
    thefts.note(PLACE, now)
    return thefts.settle(PLACE)


def test_a_place_is_to_be_taken_back_until_it_is_ours() -> None:
    thefts = Thefts()
    thefts.note(PLACE, 0.0)
    assert PLACE in thefts
    assert thefts.settle(PLACE)
    assert PLACE not in thefts
    assert not thefts.settle(PLACE)


def test_who_takes_it_too_often_keeps_it() -> None:
    thefts = Thefts()
    assert [stolen(thefts, float(n)) for n in range(MAX_THEFTS + 1)] == [True] * MAX_THEFTS + [
        False
    ]


def test_old_thefts_are_forgotten() -> None:
    thefts = Thefts()
    for n in range(MAX_THEFTS):
        stolen(thefts, float(n))
    assert stolen(thefts, MAX_THEFTS + THEFT_MEMORY)
