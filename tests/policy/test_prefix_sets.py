"""Sets of prefixes, with every prefix of a small world as the referee."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.prefix import Nlri, canonical, covers, pack, show
from policy.prefix_sets import (
    EVERYTHING,
    NOTHING,
    Box,
    Nearby,
    PrefixSet,
    common_prefix,
    first_outside,
    is_empty,
)
from tests.support.routes import nlri

WIDTH = 5
"""Bits of an address in the small world."""

WORLD = [
    canonical(bytes((length, bits << 8 - length)) if length else b"\0")
    for length in range(WIDTH + 1)
    for bits in range(1 << length)
]

networks = st.sampled_from(WORLD)
boxes = st.builds(Box, networks, st.integers(0, WIDTH + 1), st.integers(0, WIDTH + 1))
sets = st.builds(PrefixSet, st.lists(boxes, max_size=3).map(tuple), st.booleans())


def has(prefixes: PrefixSet, member: Nlri) -> bool:
    inside = any(
        box.low <= member[0] <= box.high and covers(box.cidr, member) for box in prefixes.boxes
    )
    return inside is not prefixes.is_rest


@given(sets, st.lists(sets, max_size=4))
def test_a_set_is_inside_others_if_each_of_its_prefixes_is(
    inner: PrefixSet, outer: list[PrefixSet]
) -> None:
    left = [each for each in WORLD if has(inner, each) and not any(has(o, each) for o in outer)]
    found = first_outside(inner, outer, WIDTH)
    assert found in left if left else found is None


@given(sets, sets)
def test_what_sets_have_in_common_is_in_both(one: PrefixSet, other: PrefixSet) -> None:
    both = [each for each in WORLD if has(one, each) and has(other, each)]
    found = common_prefix(one, other, WIDTH)
    assert found in both if both else found is None
    assert is_empty(one, WIDTH) is not any(has(one, each) for each in WORLD)


@given(sets, st.lists(sets, max_size=6))
def test_nearby_are_at_least_the_sets_that_have_a_prefix_in_common(
    one: PrefixSet, others: list[PrefixSet]
) -> None:
    nearby = Nearby()
    for number, other in enumerate(others):
        nearby.add(number, other)
    common = {
        number
        for number, other in enumerate(others)
        if any(has(one, each) and has(other, each) for each in WORLD)
    }
    found = nearby.to(one)
    assert common <= set(found)
    assert found == sorted(set(found))


def test_networks_that_are_apart_are_not_nearby() -> None:
    nearby = Nearby()
    for number, text in enumerate(("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "11.0.0.0/8")):
        nearby.add(number, inside(text, 0, 32))
    nearby.add(4, EVERYTHING)
    assert nearby.to(inside("10.1.0.0/16", 0, 32)) == [0, 1, 2, 4]
    assert nearby.to(inside("11.1.0.0/16", 0, 32)) == [3, 4]
    assert nearby.to(EVERYTHING) == [0, 1, 2, 3, 4]


def inside(text: str, low: int, high: int) -> PrefixSet:
    return PrefixSet((Box(nlri(text), low, high),))


@pytest.mark.parametrize(
    ("inner", "outer", "outside"),
    [
        (inside("10.0.0.0/9", 9, 32), [inside("10.0.0.0/8", 8, 32)], None),
        (inside("10.0.0.0/8", 9, 32), [inside("10.0.0.0/9", 9, 32)], "10.128.0.0/9"),
        (
            inside("10.0.0.0/8", 9, 32),
            [inside("10.0.0.0/9", 9, 32), inside("10.128.0.0/9", 9, 32)],
            None,
        ),
        (
            inside("10.0.0.0/8", 8, 32),
            [inside("10.0.0.0/9", 9, 32), inside("10.128.0.0/9", 9, 32)],
            "10.0.0.0/8",
        ),
        (inside("10.0.0.0/8", 8, 32), [inside("10.0.0.0/8", 8, 24)], "10.0.0.0/25"),
        (EVERYTHING, [inside("0.0.0.0/0", 0, 32)], None),
        (EVERYTHING, [inside("0.0.0.0/0", 1, 32)], "0.0.0.0/0"),
        (NOTHING, [], None),
    ],
)
def test_examples(inner: PrefixSet, outer: list[PrefixSet], outside: str | None) -> None:
    found = first_outside(inner, outer, 32)
    assert (None if found is None else show(Afi.IPV4, found)) == outside


def test_a_thousand_networks_are_compared_at_once() -> None:
    many = tuple(
        Box(pack(Afi.IPV4, bytes((10, n >> 8, n & 255, 0)), 24), 24, 32) for n in range(1000)
    )
    assert first_outside(PrefixSet(many[100:900]), [PrefixSet(many)], 32) is None
    assert first_outside(PrefixSet(many), [PrefixSet(many[1:])], 32) == many[0].cidr
