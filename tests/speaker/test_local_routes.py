"""Routes of this node: what it originates, and what it learns from the kernel."""

from __future__ import annotations

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from policy.path import NextHop, SourceKind
from policy.prefix import show
from speaker.local_routes import LocalRoutes
from speaker.rib.loc_rib import LocRib
from tests.support.routes import address, nlri
from tests.support.tabletop import KERNEL_ITSELF, route


def make() -> tuple[LocalRoutes, LocRib]:
    ribs = {family: LocRib(family) for family in (IPV4_UNICAST, IPV6_UNICAST)}
    return LocalRoutes(ribs, 0x0A000001, 64512), ribs[IPV4_UNICAST]


def sources(rib: LocRib) -> dict[str, str]:
    return {show(Afi.IPV4, prefix): path.source.name for prefix, path in rib.best.items()}


def test_setting_originations_changes_only_the_difference() -> None:
    local, rib = make()
    hole, plain = local.blackhole(IPV4_UNICAST), local.announced_only(IPV4_UNICAST)
    one, two, three = nlri("10.1.0.0/16"), nlri("10.2.0.0/16"), nlri("10.3.0.0/16")
    local.set_originated(IPV4_UNICAST, {one: hole, two: plain})
    assert rib.take().changed == {hole: [one], plain: [two]}
    local.set_originated(IPV4_UNICAST, {two: plain, three: hole})
    assert rib.take().changed == {None: [one], hole: [three]}
    local.set_originated(IPV4_UNICAST, {two: hole, three: hole})
    assert rib.take().changed == {hole: [two]}
    local.set_originated(IPV4_UNICAST, {two: hole, three: hole})
    assert not rib.pending


def test_paths_are_made_once_for_each_kind() -> None:
    local, _ = make()
    assert local.blackhole(IPV4_UNICAST) is local.blackhole(IPV4_UNICAST)
    assert local.blackhole(IPV4_UNICAST) is not local.announced_only(IPV4_UNICAST)
    assert local.blackhole(IPV4_UNICAST) is not local.blackhole(IPV6_UNICAST)
    gateway = NextHop(address("10.0.2.1"))
    assert local.via(IPV4_UNICAST, gateway) is local.via(IPV4_UNICAST, gateway)
    assert local.via(IPV4_UNICAST, gateway).attributes.next_hop == address("10.0.2.1")


def test_connected_subnets_are_direct_and_all_others_are_the_kernels() -> None:
    local, rib = make()
    connected = route("10.0.2.0/24", 2, protocol=KERNEL_ITSELF)
    static = route("10.9.0.0/16", 2, "10.0.2.9", metric=50)
    local.learn(Afi.IPV4, [(connected.nlri, (connected,)), (static.nlri, (static,))])
    assert sources(rib) == {"10.0.2.0/24": "direct1", "10.9.0.0/16": "kernel1"}
    learned = rib.best[static.nlri]
    assert (learned.metric, learned.next_hop.address) == (50, address("10.0.2.9"))
    assert rib.best[connected.nlri].metric is None


def test_of_both_kinds_the_connected_subnet_is_preferred() -> None:
    local, rib = make()
    connected = route("10.0.2.0/24", 2, protocol=KERNEL_ITSELF)
    static = route("10.0.2.0/24", 3, "10.0.3.9", metric=50)
    local.learn(Afi.IPV4, [(connected.nlri, (connected, static))])
    assert sources(rib) == {"10.0.2.0/24": "direct1"}
    local.learn(Afi.IPV4, [(connected.nlri, (static,))])
    assert sources(rib) == {"10.0.2.0/24": "kernel1"}
    local.learn(Afi.IPV4, [(connected.nlri, ())])
    assert sources(rib) == {}


def test_subnets_of_workload_and_ignored_interfaces_do_not_count() -> None:
    local, rib = make()
    for number, name in enumerate(("cali1234", "kube-ipvs0", "docker0", "eth0")):
        known = route(f"10.{number}.0.0/24", 2, protocol=KERNEL_ITSELF, name=name)
        local.learn(Afi.IPV4, [(known.nlri, (known,))], ["docker*"])
    assert sources(rib) == {"10.3.0.0/24": "direct1"}


def test_the_kind_of_a_learned_route_is_its_first_one_by_metric() -> None:
    local, rib = make()
    best = route("10.9.0.0/16", 2, "10.0.2.9", metric=5)
    other = route("10.9.0.0/16", 3, "10.0.3.9", metric=9)
    local.learn(Afi.IPV4, [(best.nlri, (best, other))])
    assert rib.best[best.nlri].metric == 5


def test_learning_the_same_again_changes_nothing() -> None:
    local, rib = make()
    known = route("10.9.0.0/16", 2, "10.0.2.9")
    local.learn(Afi.IPV4, [(known.nlri, (known,))])
    rib.take()
    local.learn(Afi.IPV4, [(known.nlri, (route("10.9.0.0/16", 2, "10.0.2.9"),))])
    assert not rib.pending


def test_forgetting_leaves_what_we_originate() -> None:
    local, rib = make()
    known = route("10.9.0.0/16", 2, "10.0.2.9")
    local.learn(Afi.IPV4, [(known.nlri, (known,))])
    local.set_originated(IPV4_UNICAST, {nlri("10.1.0.0/16"): local.blackhole(IPV4_UNICAST)})
    local.forget_learned()
    assert sources(rib) == {"10.1.0.0/16": "static1"}
    assert len(local.table(SourceKind.KERNEL, IPV4_UNICAST)) == 0


def test_sweeping_keeps_the_paths_that_stand_in_a_table() -> None:
    local, _ = make()
    for metric in range(50):
        known = route("10.9.0.0/16", 2, "10.0.2.9", metric=metric)
        local.learn(Afi.IPV4, [(known.nlri, (known,))])
    assert local.interned == 50
    local.sweep()
    assert [path.metric for path in local.paths()] == [49]
