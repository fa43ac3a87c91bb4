"""What well-known communities ask of us when a route comes in."""

from __future__ import annotations

import pytest

from policy.attributes import PathAttributes, WellKnown
from policy.path import PeerType
from policy.wellknown import NOTHING_HONOURED, CommunityRules, honour
from tests.support.routes import attributes

BOTH = CommunityRules(graceful_shutdown=True, blackhole=True)
LEAVING = attributes(communities=[7, WellKnown.GRACEFUL_SHUTDOWN])
DROPPED = attributes(communities=[7, WellKnown.BLACKHOLE], next_hop="2001:db8::1")


def test_a_route_of_a_link_that_goes_down_is_the_last_choice() -> None:
    """RFC 8326 §4."""
    used, blackhole = honour(LEAVING, PeerType.EXTERNAL, BOTH)
    assert (used.local_pref, blackhole) == (0, False)
    assert used.communities == LEAVING.communities
    assert used.next_hop == LEAVING.next_hop


def test_inside_the_as_the_preference_is_what_the_border_said() -> None:
    said = attributes(communities=[WellKnown.GRACEFUL_SHUTDOWN], local_pref=5)
    assert honour(said, PeerType.INTERNAL, BOTH) == (said, False)


def test_packets_to_a_blackhole_are_dropped_and_the_wish_stays_inside() -> None:
    """RFC 7999 §3.2."""
    used, blackhole = honour(DROPPED, PeerType.EXTERNAL, BOTH)
    assert blackhole
    assert used.communities == DROPPED.communities | {WellKnown.NO_EXPORT}
    assert used.next_hop == DROPPED.next_hop


def test_a_wish_that_stays_here_anyway_is_left_as_it_is() -> None:
    kept = attributes(communities=[WellKnown.BLACKHOLE, WellKnown.NO_ADVERTISE])
    assert honour(kept, PeerType.EXTERNAL, BOTH) == (kept, True)


@pytest.mark.parametrize("asked", [LEAVING, DROPPED])
@pytest.mark.parametrize("rules", [NOTHING_HONOURED, CommunityRules()])
def test_nothing_happens_without_a_word_of_the_operator(
    asked: PathAttributes, rules: CommunityRules
) -> None:
    assert honour(asked, PeerType.EXTERNAL, rules) == (asked, False)
