"""Communities by name and by pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.attributes import Community, WellKnown
from policy.communities import CommunityPattern, carried, has, is_meant
from policy.matching import match_communities
from tests.support.routes import attributes

MADE = attributes(communities=[65000 << 16 | 1, 2], large=[(65000, 1, 2)])
THERE = carried(MADE)


@pytest.mark.parametrize(
    ("parts", "community", "wanted"),
    [
        ((65000, None), 65000 << 16 | 7, True),
        ((65000, None), 65001 << 16 | 7, False),
        ((None, 7), 65000 << 16 | 7, True),
        ((None, 7), 65000 << 16 | 8, False),
        ((None, None), 1, True),
        ((None, None), (1, 2, 3), False),
        ((65000, None, 3), (65000, 9, 3), True),
        ((65000, None, 3), (65000, 9, 4), False),
        ((None, None, None), (1, 2, 3), True),
        ((None, None, None), 1, False),
    ],
)
def test_a_pattern_stands_for_communities_of_its_form(
    parts: tuple[int | None, ...], community: Community, wanted: bool
) -> None:
    assert CommunityPattern(parts).fits(community) is wanted
    assert is_meant(CommunityPattern(parts), community) is wanted


def test_no_pattern_makes_a_stale_route_pass_for_a_fresh_one() -> None:
    stale = int(WellKnown.LLGR_STALE)
    assert not CommunityPattern((None, None)).fits(stale)
    assert not is_meant(CommunityPattern((0xFFFF, None)), stale)
    assert is_meant(stale, stale)


def test_a_route_carries_what_fits() -> None:
    assert has(THERE, 2)
    assert not has(THERE, 3)
    assert has(THERE, (65000, 1, 2))
    assert not has(THERE, (65000, 1, 3))
    assert has(THERE, CommunityPattern((65000, None)))
    assert not has(THERE, CommunityPattern((65001, None)))
    assert has(THERE, CommunityPattern((None, 1, None)))
    assert not has(THERE, CommunityPattern((None, 2, None)))


def test_one_of_them_or_every_one() -> None:
    wanted = (2, 3)
    assert match_communities(MADE, wanted)
    assert not match_communities(MADE, wanted, every=True)
    assert match_communities(MADE, (2, CommunityPattern((65000, None, None))), every=True)


@given(st.integers(0, 0xFFFFFFFF).filter(lambda number: number != WellKnown.LLGR_STALE))
def test_a_pattern_without_any_is_the_community(number: int) -> None:
    assert CommunityPattern((number >> 16, number & 0xFFFF)).fits(number)
    assert is_meant(number, number)
    assert not is_meant(number, number ^ 1)
