"""Foreign routes, kept by notifications that tell things in the kernel's several ways."""

from __future__ import annotations

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import parse_prefix
from speaker.kernel.foreign import NLM_F_REPLACE, ForeignRoutes
from speaker.rib.underlay import KernelRoute

P4, P6 = parse_prefix("10.9.0.0/24")[1], parse_prefix("2001:db8::/48")[1]


def v4(last: int, metric: int = 0, *, table: int = 254, tos: int = 0) -> KernelRoute:
    hop = Hop(2, bytes((10, 0, 0, last)))
    return KernelRoute(P4, hops=(hop,), metric=metric, table=table, tos=tos)


def v6(*last: int, interface: int = 2, metric: int = 1024) -> KernelRoute:
    gateways = [bytes(15) + bytes((n,)) if n else b"" for n in last]
    return KernelRoute(P6, hops=tuple(Hop(interface, g) for g in gateways), metric=metric)


def test_routes_of_several_metrics_stand_best_first() -> None:
    foreign = ForeignRoutes(Afi.IPV4)
    foreign.added(v4(1, 20), 0)
    foreign.added(v4(2, 10), 0)
    assert foreign.routes == {P4: (v4(2, 10), v4(1, 20))}
    foreign.removed(v4(2, 10))
    assert foreign.routes == {P4: (v4(1, 20),)}


def test_a_replaced_route_gives_way_and_an_appended_one_stands_behind() -> None:
    foreign = ForeignRoutes(Afi.IPV4)
    foreign.added(v4(1), 0)
    foreign.added(v4(2), 0)
    assert foreign.routes[P4] == (v4(1), v4(2))
    foreign.added(v4(3), NLM_F_REPLACE)
    assert set(foreign.routes[P4]) == {v4(2), v4(3)}


def test_only_a_route_of_the_same_place_holds_it() -> None:
    foreign = ForeignRoutes(Afi.IPV4)
    foreign.added(v4(1, 20), 0)
    foreign.added(v4(1, 30, table=77), 0)
    foreign.added(v4(1, 40, tos=16), 0)
    assert foreign.holding(P4, 254, 20) == v4(1, 20)
    assert foreign.holding(P4, 254, 30) is None
    assert foreign.holding(P4, 254, 40) is None


def test_ipv6_connected_routes_stand_side_by_side() -> None:
    foreign = ForeignRoutes(Afi.IPV6)
    foreign.added(v6(0, interface=2), 0)
    foreign.added(v6(0, interface=3), 0)
    assert len(foreign.routes[P6]) == 2
    foreign.removed(v6(0, interface=2))
    assert foreign.routes[P6] == (v6(0, interface=3),)


def test_ipv6_hops_that_are_appended_make_one_route_and_go_one_by_one() -> None:
    foreign = ForeignRoutes(Afi.IPV6)
    foreign.added(v6(1), 0)
    foreign.added(v6(1, 2), 0x800)
    assert foreign.routes[P6] == (v6(1, 2),)
    foreign.removed(v6(1))
    assert foreign.routes[P6] == (v6(2),)
    foreign.removed(v6(2))
    assert foreign.routes == {}


def test_what_was_not_known_is_removed_without_harm() -> None:
    foreign = ForeignRoutes(Afi.IPV4)
    foreign.added(v4(1), 0)
    foreign.removed(v4(2))
    foreign.removed(v4(1, 20))
    assert foreign.routes == {P4: (v4(1),)}


def test_each_change_is_told_once() -> None:
    foreign = ForeignRoutes(Afi.IPV4)
    foreign.added(v4(1), 0)
    foreign.added(v4(2), NLM_F_REPLACE)
    assert foreign.changes() == ((P4, (v4(2),)),)
    foreign.added(v4(2), 0)
    assert foreign.changes() == ()
    foreign.overwritten(P4, 254, 0)
    assert foreign.changes() == ((P4, ()),)


def test_a_dump_is_taken_as_the_truth() -> None:
    foreign = ForeignRoutes(Afi.IPV4)
    other = parse_prefix("10.7.0.0/24")[1]
    foreign.added(v4(1), 0)
    assert foreign.replace_all({other: [KernelRoute(other)]}) == [other, P4]
    assert foreign.routes == {other: (KernelRoute(other),)}
    assert foreign.replace_all({other: [KernelRoute(other)]}) == []
