"""The Decision Process: lists in order, independence of order, and explanations that agree."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.aigp import aigp_value
from policy.attributes import Attribute, PathAttributes, tlv
from policy.decision import (
    Reason,
    explain,
    med_matters,
    multipath,
    prefer,
    select,
    select_several,
    shares_load,
)
from policy.path import Path, PeerType, SourceKind
from policy.ranking import DecisionOptions, rank
from tests.support.builders import peers
from tests.support.routes import as_path, attributes, local, next_hop, peer, route

FIRST = peer(router_id=1, at="192.0.2.1")
SECOND = peer(router_id=2, at="192.0.2.2")
INTERNAL = peer(PeerType.INTERNAL, router_id=1, at="192.0.2.3", asn=65000)
INTERNAL_2 = peer(PeerType.INTERNAL, router_id=1, at="192.0.2.4", asn=65000)

IN_ORDER: list[tuple[Reason, Path]] = [
    (Reason.BEST, route(local(SourceKind.DIRECT))),
    (Reason.PREFERENCE, route(local(SourceKind.STATIC))),
    (Reason.PREFERENCE, route(FIRST, local_pref=200, path=[1, 2, 3])),
    (Reason.LOCAL_PREF, route(FIRST, local_pref=150, path=[1])),
    (Reason.LOCAL_PREF, route(FIRST, path=[1, 2])),  # none counts as 100
    (Reason.AS_PATH, route(FIRST, path=as_path([1, 2], {3, 4}))),
    (Reason.ORIGIN, route(FIRST, path=[1, 2, 3], origin=1)),
    (Reason.ORIGIN, route(FIRST, path=[1, 2, 3], origin=2)),  # no MED counts as 0
    (Reason.MED, route(FIRST, path=[1, 2, 3], origin=2, med=1)),
    (Reason.MED, route(FIRST, path=[1, 2, 3], origin=2, med=0xFFFFFFFF)),
    (Reason.AS_PATH, route(FIRST, path=[1, 2, 3, 4])),
    (Reason.PEER_TYPE, route(INTERNAL, path=[2, 2, 3, 4], via=next_hop(cost=0))),
    (Reason.COST, route(INTERNAL, path=[2, 2, 3, 4], via=next_hop(cost=10))),
    (
        Reason.ROUTER_ID,
        route(peer(PeerType.INTERNAL, router_id=7), path=[2, 2, 3, 4], via=next_hop(cost=10)),
    ),
    # The ORIGINATOR_ID stands for the router id of the session (RFC 4456 §9).
    (
        Reason.ROUTER_ID,
        route(INTERNAL, path=[2, 2, 3, 4], via=next_hop(cost=10), originator_id=8),
    ),
    (
        Reason.CLUSTER_LIST,
        route(INTERNAL, path=[2, 2, 3, 4], via=next_hop(cost=10), originator_id=8, clusters=[1]),
    ),
    (
        Reason.CLUSTER_LIST,
        route(INTERNAL, path=[2, 2, 3, 4], via=next_hop(cost=10), originator_id=8, clusters=[1, 2]),
    ),
    (
        Reason.ADDRESS,
        route(
            INTERNAL_2, path=[2, 2, 3, 4], via=next_hop(cost=10), originator_id=8, clusters=[1, 2]
        ),
    ),
    (Reason.PREFERENCE, route(local(SourceKind.KERNEL))),
    (Reason.UNREACHABLE, route(FIRST, local_pref=4000, via=next_hop(reachable=False))),
]
"""Best first; each is named by the step at which it loses to the one before it."""


@pytest.mark.parametrize("index", range(1, len(IN_ORDER)))
def test_each_path_loses_to_the_one_before_it_by_the_step_that_it_is_named_by(index: int) -> None:
    """RFC 4271 §9.1.2."""
    winner, (reason, loser) = IN_ORDER[index - 1][1], IN_ORDER[index]
    assert explain([loser, winner]) == [(winner, Reason.BEST), (loser, reason)]


def test_of_each_pair_the_earlier_wins_both_ways() -> None:
    for (_, better), (_, worse) in combinations(IN_ORDER, 2):
        assert select([better, worse]) is better
        assert select([worse, better]) is better
        assert prefer(better, worse)
        assert not prefer(worse, better)


def test_nothing_is_selected_of_nothing_or_of_the_unreachable() -> None:
    """RFC 4271 §9.1.2.1."""
    lost = route(FIRST, via=next_hop(reachable=False))
    assert select([]) is None
    assert explain([]) == []
    assert select([lost]) is None
    assert explain([lost]) == [(lost, Reason.UNREACHABLE)]


def test_an_unreachable_path_is_chosen_only_on_request_and_where_there_is_no_other() -> None:
    lost = route(FIRST, via=next_hop(reachable=False))
    worse = route(SECOND, via=next_hop(reachable=False))
    assert select([worse, lost], keep_unreachable=True) is lost
    assert select([worse, lost, route(SECOND)], keep_unreachable=True) not in (worse, lost)
    assert select([], keep_unreachable=True) is None


def test_a_path_does_not_beat_itself() -> None:
    path = route()
    assert not prefer(path, path)


def test_med_compares_only_within_a_neighbouring_as() -> None:
    """RFC 4271 §9.1.2.2 c."""
    high, low = route(FIRST, path=[1], med=9), route(SECOND, path=[2], med=1)
    assert select([high, low]) is high
    assert explain([high, low])[1] == (low, Reason.ROUTER_ID)
    assert not med_matters([high, low])


def test_med_compares_between_what_internal_peers_originated() -> None:
    """RFC 4271 §9.1.2.2 c: their neighbouring AS is the local one."""
    high, low = route(INTERNAL, path=[], med=9), route(INTERNAL_2, path=[], med=1)
    assert select([high, low]) is low
    assert prefer(low, high)
    assert explain([high, low])[1] == (high, Reason.MED)


def test_med_of_routes_made_here_does_not_compare() -> None:
    one, two = route(local(), path=[], med=9), route(local(), path=[], med=1)
    assert not med_matters([one, two])
    assert not prefer(two, one)
    assert select([one, two]) is one
    raised = route(INTERNAL, path=[], med=3, preference=200)
    assert select([one, raised, route(INTERNAL_2, path=[], med=2, preference=200)]) is one


def test_med_may_be_compared_always() -> None:
    options = DecisionOptions(always_compare_med=True)
    high = route(FIRST, path=[1], med=9, options=options)
    low = route(SECOND, path=[2], med=1, options=options)
    assert select([high, low]) is low
    assert prefer(low, high)
    assert explain([high, low])[1] == (high, Reason.MED)


def test_a_path_that_loses_by_med_may_not_decide_for_others() -> None:
    """The classical triangle: by pairs a beats b, b beats c and c beats a."""
    a = route(peer(router_id=3, at="192.0.2.1"), path=[1], med=0)
    b = route(peer(router_id=1, at="192.0.2.2"), path=[1], med=1)
    c = route(peer(router_id=2, at="192.0.2.3"), path=[2], med=0)
    assert prefer(a, b)
    assert prefer(b, c)
    assert prefer(c, a)
    assert {select(order) for order in permutations([a, b, c])} == {c}


def with_metric(total: int, *, cost: int = 0, more: bytes = b"", path: list[int]) -> Path:
    """Make a path with an accumulated metric, and a cost of our own to its next hop."""
    plain = attributes(path=path)
    octets = tlv(0x80, Attribute.AIGP, aigp_value(total) + more)
    return route(FIRST, PathAttributes(plain.raw + octets, plain.next_hop), via=next_hop(cost=cost))


def test_an_accumulated_metric_decides_before_the_length_of_the_path() -> None:
    """RFC 7311 §4.1: the metric and our cost to the next hop are one distance."""
    near = with_metric(10, cost=5, path=[1, 2, 3])
    far = with_metric(10, cost=6, path=[1])
    without = route(FIRST, path=[])
    preferred = route(FIRST, path=[1, 2, 3, 4], local_pref=101)
    assert select([far, near, without]) is near
    assert explain([without, far, near, preferred]) == [
        (preferred, Reason.BEST),
        (near, Reason.LOCAL_PREF),
        (far, Reason.LOCAL_PREF),
        (without, Reason.LOCAL_PREF),
    ]
    assert explain([without, far, near])[1:] == [(far, Reason.AIGP), (without, Reason.AIGP)]


def test_a_metric_beside_which_much_stands_and_one_that_is_too_large_still_count() -> None:
    long = with_metric(10, more=b"\2\1\x2c" + bytes(297), path=[1, 2])
    largest = with_metric((1 << 64) - 1, cost=9, path=[1])
    assert select([largest, long]) is long
    assert select([route(FIRST, path=[]), largest]) is largest


def test_a_number_too_large_for_its_field_still_ranks_last() -> None:
    crowded = route(INTERNAL, clusters=range(300), via=next_hop(cost=1 << 40))
    assert rank(crowded)[25:29] == b"\xff\xff\xff\xff"
    assert rank(crowded)[25] == 255


def test_equal_paths_share_the_load_over_different_next_hops() -> None:
    """Equal in all steps up to the cost of the next hop."""
    same = next_hop("192.0.2.9", cost=5)
    best = route(FIRST, via=next_hop(cost=5))
    others = [
        route(peer(router_id=4), via=next_hop("192.0.2.4", cost=5)),
        route(peer(router_id=3), via=same),
        route(peer(router_id=5), via=same),
        route(peer(router_id=6), via=next_hop(cost=6)),
        route(peer(router_id=7), path=[65001, 2], via=next_hop(cost=5)),
    ]
    assert multipath(best, [best, *others], 8) == (best, others[1], others[0])
    assert multipath(best, [best, *others], 2) == (best, others[1])
    assert multipath(best, [best, *others], 1) == (best,)
    assert [shares_load(other, best) for other in others] == [True, True, True, False, False]


def test_paths_that_differ_in_med_share_the_load_only_between_neighbouring_ases() -> None:
    best = route(FIRST, path=[1], via=next_hop("192.0.2.1"))
    near = route(SECOND, path=[1], med=5, via=next_hop("192.0.2.2"))
    far = route(SECOND, path=[2], med=5, via=next_hop("192.0.2.3"))
    assert multipath(best, [best, near, far], 4) == (best, far)


def test_an_unreachable_path_shares_nothing() -> None:
    lost = route(FIRST, via=next_hop(reachable=False))
    assert multipath(lost, [lost, route(SECOND)], 4) == (lost,)


@st.composite
def crowds(draw: st.DrawFn) -> list[Path]:
    """Draw paths of different peers that are alike enough for every step to matter."""
    few = st.integers(0, 1)
    paths = []
    for number in range(draw(st.integers(1, 5))):
        source = peer(
            draw(st.sampled_from(list(PeerType))), router_id=draw(few), at=f"192.0.2.{number + 1}"
        )
        paths.append(
            route(
                source if draw(st.integers(0, 5)) else local(),
                path=draw(st.sampled_from([[], [1], [2], [1, 3], [2, 3]])),
                origin=draw(few),
                med=draw(st.sampled_from([None, 0, 1, 2])),
                local_pref=draw(st.sampled_from([None, 100, 101])),
                via=next_hop(cost=draw(few), reachable=draw(st.integers(0, 5)) > 0),
                preference=draw(st.sampled_from([None, None, 200])),
            )
        )
    return paths


@given(crowds())
def test_the_choice_does_not_depend_on_the_order(paths: list[Path]) -> None:
    chosen = select(paths)
    for order in permutations(paths):
        other = select(order)
        # Paths made here may be the same in every respect; then either will do.
        assert other is chosen or (other and chosen and other.rank == chosen.rank)


@given(crowds())
def test_explain_names_as_best_what_select_chooses(paths: list[Path]) -> None:
    chosen, explained = select(paths), explain(paths)
    assert sorted(map(id, paths)) == sorted(id(path) for path, _ in explained)
    if chosen is None:
        assert {reason for _, reason in explained} == {Reason.UNREACHABLE}
    else:
        assert explained[0] == (chosen, Reason.BEST)
        assert [reason for _, reason in explained].count(Reason.BEST) == 1


@given(crowds())
def test_prefer_agrees_with_select_on_two(paths: list[Path]) -> None:
    for left, right in combinations(paths, 2):
        if left.next_hop.reachable and right.next_hop.reachable and left.rank != right.rank:
            assert (select([left, right]) is left) is prefer(left, right)


def _merits(path: Path) -> tuple[bytes, int, int | None]:
    return path.rank, path.attributes.neighbor_as, path.attributes.med


@given(crowds())
def test_several_are_chosen_as_if_those_before_them_were_not_there(paths: list[Path]) -> None:
    limit = len(paths) // 2 + 1
    left = [path for path in paths if path.next_hop.reachable]
    wanted: list[Path] = []
    while left and len(wanted) < limit:
        best = select(left)
        assert best is not None
        left.remove(best)
        wanted.append(best)
    chosen = select_several(paths, limit)
    # As above: compared by what they are.
    assert Counter(map(_merits, chosen)) == Counter(map(_merits, wanted))
    assert [path.rank for path in chosen] == sorted(path.rank for path in wanted)


def test_all_are_chosen_where_there_is_room_and_of_unreachable_ones_the_best_alone() -> None:
    two = [route(peer(at=f"192.0.2.{n}"), via=next_hop(reachable=n < 9)) for n in (3, 2, 9)]
    assert select_several(two, 5) == [two[1], two[0]]
    gone = [route(peer(at=f"192.0.2.{n}"), via=next_hop(reachable=False)) for n in (3, 2)]
    assert select_several(gone, 5) == []
    assert select_several(gone, 5, keep_unreachable=True) == [gone[1]]
    assert select_several([], 5, keep_unreachable=True) == []


@given(crowds())
def test_multipath_is_led_by_the_best(paths: list[Path]) -> None:
    best = select(paths)
    if best is not None:
        chosen = multipath(best, paths, 3)
        assert chosen[0] is best
        assert len(chosen) == len({path.next_hop for path in chosen}) <= 3
        assert all(shares_load(path, best) for path in chosen)


def test_of_two_paths_of_one_peer_the_lower_next_hop_wins_whatever_came_first() -> None:
    """RFC 7911 §2: nothing but the paths themselves can tell them apart."""
    source = peers(1, several=(0,))[0]
    near, far = (
        route(source, via=next_hop(at), communities=(community,))
        for at, community in (("192.0.2.1", 2), ("192.0.2.2", 1))
    )
    assert select([near, far]) is select([far, near]) is near
    assert explain([far, near]) == [(near, Reason.BEST), (far, Reason.SAME_PEER)]
