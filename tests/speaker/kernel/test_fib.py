"""Desired minus installed: no kernel, but a small model of one that refuses and is meddled with."""

from __future__ import annotations

import errno
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.path import Hop
from policy.prefix import Nlri, parse_prefix
from speaker.kernel.routes import (
    Forwarding,
    RouteConflict,
    RoutesRefused,
    RoutesRepaired,
    Swept,
)
from speaker.kernel.stamps import Verb
from speaker.kernel.thefts import MAX_THEFTS
from speaker.kernel.troubles import LONGEST_PAUSE
from speaker.rib.underlay import RouteKind
from tests.support.tables import OTHERS, World


def nlri(text: str) -> Nlri:
    return parse_prefix(text)[1]


def via(*last: int, metric: int = 0) -> Forwarding:
    return Forwarding(hops=tuple(Hop(2, bytes((10, 1, 1, n))) for n in last), metric=metric)


A, B, C = nlri("10.0.0.0/24"), nlri("10.0.1.0/24"), nlri("10.0.2.0/24")
MANY = [nlri(f"10.{n >> 8}.{n & 255}.0/24") for n in range(600)]


def kinds(world: World) -> list[type]:
    return [type(event) for event in world.fib.events()]


def test_wanted_routes_are_installed_and_withdrawn_ones_removed() -> None:
    world = World()
    world.fib.want([(via(1), [A, B]), (via(2), [C])])
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1), (B, 0): via(1), (C, 0): via(2)}
    world.fib.want([(None, [A, C])])
    world.settle()
    assert world.tables.ours() == {(B, 0): via(1)}
    assert world.fib.installed == {B: via(1)}


def test_a_burst_for_one_prefix_is_one_request() -> None:
    world = World()
    for last in range(1, 50):
        world.fib.want([(via(last), [A])])
    runs = world.fib.take(512, 0.0)
    assert [(run.verb, run.forwarding, run.nlris) for run in runs] == [(Verb.ADD, via(49), [A])]


def test_many_prefixes_of_one_forwarding_are_one_run() -> None:
    world = World()
    world.fib.want([(via(1), MANY)])
    assert [len(run.nlris) for run in world.fib.take(512, 0.0)] == [512]


def test_what_is_as_wanted_costs_nothing() -> None:
    world = World()
    world.fib.want([(via(1), MANY)])
    world.settle()
    world.fib.want([(via(1), MANY)])
    assert world.fib.take(1024, 0.0) == []


def test_another_forwarding_of_the_same_metric_replaces_in_place() -> None:
    world = World()
    world.fib.want([(via(1), MANY)])
    world.settle()
    world.fib.want([(via(2, 3), MANY)])
    runs = world.fib.take(1024, 0.0)
    assert [(run.verb, len(run.nlris)) for run in runs] == [(Verb.REPLACE, 600)]


def test_another_metric_is_made_before_the_old_one_goes() -> None:
    world = World()
    world.fib.want([(via(1, metric=100), [A])])
    world.settle()
    world.fib.want([(via(1, metric=50), [A])])
    world.push()
    assert set(world.tables.ours()) == {(A, 100), (A, 50)}
    world.settle()
    assert world.tables.ours() == {(A, 50): via(1, metric=50)}


def test_a_foreign_route_in_our_place_holds_ours_back_until_it_goes() -> None:
    world = World()
    world.others_put(A, via(9))
    world.fib.want([(via(1), [A])])
    world.settle()
    assert world.tables.ours() == {}
    assert kinds(world) == [RouteConflict]
    assert world.fib.why(A) == f"conflict: a route of protocol {OTHERS} holds its place"
    world.others_remove(A, 0)
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1)}
    assert world.fib.why(A) == ""


def test_a_foreign_route_of_another_metric_is_no_conflict() -> None:
    world = World()
    world.others_put(A, via(9, metric=20))
    world.fib.want([(via(1), [A])])
    world.settle()
    assert set(world.tables.places) == {(A, 0), (A, 20)}


def test_an_unheard_foreign_route_is_found_by_a_scan_and_not_overwritten() -> None:
    world = World()
    world.others_put(A, via(9), heard=False)
    world.fib.want([(via(1), [A])])
    world.settle()
    assert world.tables.places == {(A, 0): (OTHERS, via(9))}
    assert kinds(world) == [RouteConflict]


def test_a_removed_route_is_put_back() -> None:
    world = World()
    world.fib.want([(via(1), [A])])
    world.settle()
    world.others_remove(A, 0)
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1)}
    assert kinds(world) == [RoutesRepaired]


def test_a_displaced_route_takes_its_place_back() -> None:
    world = World()
    world.fib.want([(via(1), [A])])
    world.settle()
    world.others_put(A, via(9))
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1)}
    assert world.foreign.routes == {}


def test_who_displaces_us_again_and_again_keeps_the_place() -> None:
    world = World()
    world.fib.want([(via(1), [A])])
    for _ in range(MAX_THEFTS + 1):
        world.settle()
        world.others_put(A, via(9))
    world.settle()
    assert world.tables.places == {(A, 0): (OTHERS, via(9))}
    assert RouteConflict in kinds(world)


def test_a_changed_route_is_replaced() -> None:
    world = World()
    world.fib.want([(via(1), [A])])
    world.settle()
    world.others_change_ours(A, via(7))
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1)}


def test_unheard_changes_are_found_by_a_scan() -> None:
    world = World()
    world.fib.want([(via(1), [A, B, C])])
    world.settle()
    world.others_remove(A, 0, heard=False)
    world.others_change_ours(B, via(7), heard=False)
    world.others_put(C, via(9), heard=False)
    world.scan()
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1), (B, 0): via(1), (C, 0): via(1)}


def test_refused_routes_are_told_once_and_tried_again_with_growing_pauses() -> None:
    world = World()
    world.tables.refuse = lambda _: errno.ENETUNREACH
    world.fib.want([(via(1), [A, B])])
    tries = []
    while world.now < 100:
        world.fib.wake(world.now)
        if world.fib.pending:
            tries.append(world.now)
            world.push()
        world.now = world.fib.next_retry or 0.0
    pauses = [round(b - a, 3) for a, b in pairwise(tries)]
    assert [round(pause, 1) for pause in pauses[:4]] == [0.1, 0.2, 0.4, 0.8]
    assert max(pauses) == LONGEST_PAUSE
    assert world.fib.events() == [RoutesRefused(world.fib.afi, (A, B), 101, "ENETUNREACH")]
    assert world.fib.why(A) == "refused: ENETUNREACH"


def test_a_changed_link_makes_refused_routes_try_at_once() -> None:
    world = World()
    world.tables.refuse = lambda _: errno.ENETUNREACH
    world.fib.want([(via(1), [A])])
    world.push()
    world.tables.refuse = lambda _: 0
    world.fib.retry()
    world.push()
    assert world.tables.ours() == {(A, 0): via(1)}


def test_a_route_that_has_gone_by_itself_counts_as_removed() -> None:
    world = World()
    world.fib.want([(via(1), [A])])
    world.settle()
    world.others_remove(A, 0, heard=False)
    world.fib.want([(None, [A])])
    world.settle()
    assert world.fib.installed == {}
    assert world.fib.events() == []


def test_lost_answers_are_settled_by_a_scan() -> None:
    world = World()
    world.fib.want([(via(1), [A, B])])
    world.push(answers_lost=True)
    assert world.fib.wants_scan
    world.settle()
    assert world.tables.ours() == {(A, 0): via(1), (B, 0): via(1)}
    assert world.fib.installed == {A: via(1), B: via(1)}


def test_adopted_routes_cost_nothing_when_wanted_alike_and_stay_until_the_sweep() -> None:
    world = World()
    world.fib.want([(via(1), [A, B]), (via(2, metric=7), [C])])
    world.settle()
    world.restart()
    world.fib.want([(via(1), [A])])
    assert world.fib.take(512, 0.0) == []
    world.scan()
    world.settle()
    assert set(world.tables.ours()) == {(A, 0), (B, 0), (C, 7)}
    assert world.fib.sweep() == 2
    world.settle()
    assert set(world.tables.ours()) == {(A, 0)}
    assert kinds(world) == [Swept]


def test_an_adopted_route_wanted_otherwise_is_replaced_not_removed() -> None:
    world = World()
    world.fib.want([(via(1), [A])])
    world.settle()
    world.restart()
    world.fib.want([(via(2), [A])])
    assert [run.verb for run in world.fib.take(512, 0.0)] == [Verb.REPLACE]


def test_two_adopted_routes_to_a_prefix_leave_the_wanted_one() -> None:
    world = World()
    world.tables.places = {(A, 10): (12, via(1, metric=10)), (A, 20): (12, via(2, metric=20))}
    world.restart()
    world.fib.want([(via(2, metric=20), [A])])
    world.settle()
    assert world.tables.ours() == {(A, 20): via(2, metric=20)}


def test_withdrawing_all_leaves_foreign_routes_alone() -> None:
    world = World()
    world.others_put(B, via(9))
    world.fib.want([(via(1), [A, B])])
    world.settle()
    world.fib.withdraw_all()
    world.settle()
    assert world.tables.places == {(B, 0): (OTHERS, via(9))}


forwardings = st.one_of(
    st.builds(
        via,
        st.integers(1, 3),
        metric=st.sampled_from([0, 10]),
    ),
    st.just(Forwarding(RouteKind.BLACKHOLE)),
)
ALL = [A, B, C, *MANY[3:23]]
prefixes = st.sampled_from(ALL)
some_prefixes = st.lists(prefixes, max_size=20) | st.just(ALL)
steps = st.one_of(
    st.tuples(st.just("want"), some_prefixes, st.none() | forwardings),
    st.tuples(st.just("push"), st.integers(1, 30), st.booleans()),
    st.tuples(st.just("put"), prefixes, forwardings, st.booleans()),
    st.tuples(st.just("change"), prefixes, forwardings, st.booleans()),
    st.tuples(st.just("remove"), prefixes, st.sampled_from([0, 10]), st.booleans()),
    st.tuples(st.just("refuse"), st.sampled_from([0, 0, 101, 113, 22, 12, 16])),
    st.tuples(st.just("scan")),
    st.tuples(st.just("pass"), st.floats(0, 5)),
    st.tuples(st.just("restart")),
)


def take_step(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case "want", nlris, forwarding:
            world.fib.want([(forwarding, nlris)])
        case "push", limit, lost:
            world.push(limit, answers_lost=lost)
        case "put", prefix, forwarding, heard:
            world.others_put(prefix, forwarding, heard=heard)
        case "change", prefix, forwarding, heard:
            world.others_change_ours(prefix, forwarding, heard=heard)
        case "remove", prefix, metric, heard:
            world.others_remove(prefix, metric, heard=heard)
        case "refuse", number:
            world.tables.refuse = lambda _: number
        case ("scan",):
            world.scan()
        case "pass", seconds:
            world.now += seconds
            world.fib.wake(world.now)
        case _:
            wanted = dict(world.fib.desired)
            world.restart()
            for prefix, forwarding in wanted.items():
                world.fib.want([(forwarding, [prefix])])


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=60))
def test_whatever_happens_the_desired_state_is_reached_and_nobody_is_hurt(
    script: list[tuple[Any, ...]],
) -> None:
    """`Tables` itself asserts that no foreign route is overwritten but one that displaced ours."""
    world = World()
    for step in script:
        # What was never heard of cannot be known: a scan comes first, as the daemon's does in time.
        take_step(world, step)
    world.tables.refuse = lambda _: 0
    world.fib.sweep()
    world.scan()
    world.settle()
    held = {place for place, (owner, _) in world.tables.places.items() if owner == OTHERS}
    expected = {
        (prefix, forwarding.metric): forwarding
        for prefix, forwarding in world.fib.desired.items()
        if (prefix, forwarding.metric) not in held
    }
    ours = world.tables.ours()
    assert {place: ours.get(place) for place in expected} == expected
    # A route whose new place is held stays in its old one; anything else of ours must have gone.
    assert all(place[0] in world.fib.desired for place in ours)
    assert {(p, f.metric): f for p, f in world.fib.installed.items()} == ours


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(some_prefixes, forwardings), max_size=12),
    st.integers(1, 40),
)
def test_a_route_that_stays_wanted_is_never_missing(
    changes: list[tuple[list[Nlri], Forwarding]], limit: int
) -> None:
    world = World()
    world.fib.want([(via(1), ALL)])
    world.settle()
    for nlris, forwarding in changes:
        world.fib.want([(forwarding, nlris)])
        world.push(limit)
        assert {prefix for prefix, _ in world.tables.ours()} == set(ALL)
