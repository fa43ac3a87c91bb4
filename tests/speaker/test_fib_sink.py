"""From best paths to what is installed: kinds of routes, metrics, and what is kept out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.family import IPV4_UNICAST, Afi
from policy.calico import BuiltinPolicy, ClusterRoutes, Encap, Pool
from policy.path import Hop, NextHop, Path, PeerType, SourceKind
from speaker.fib_sink import FibSink
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.loc_rib import LocRib
from tests.support.routes import EXTERNAL_PEER, address, local, nlri, peer, route
from tests.support.tabletop import TabletopKernel

NORMAL = 1024
LARGEST = 2**31 - 1
INTERNAL = peer(PeerType.INTERNAL, name="inside", asn=65000)
POOL = Pool(nlri("10.65.0.0/16"))


class Bench:
    """A Loc-RIB of one family, a sink behind it, and a kernel on the table."""

    def __init__(self, policy: BuiltinPolicy | None = None, max_paths: int = 16) -> None:
        self.kernel = TabletopKernel()
        self.policy = policy
        self.rib = LocRib(IPV4_UNICAST, max_paths=max_paths, keep_unreachable=policy is not None)
        self.interfaces = {"tunl0": 7}
        self.sink = FibSink(
            self.kernel,
            {IPV4_UNICAST: self.rib},
            lambda _: self.policy,
            lambda name: self.interfaces.get(name, 0),
        )
        self._tables: dict[str, AdjRibIn] = {}

    def announce(self, path: Path, *prefixes: str) -> None:
        source = path.source
        table = self._tables.get(source.name)
        if table is None:
            table = self._tables[source.name] = AdjRibIn(source, IPV4_UNICAST, self.rib)
        self.rib.note(path)
        table.announce(path, [nlri(text) for text in prefixes])
        self.flush()

    def withdraw(self, source: str, *prefixes: str) -> None:
        self._tables[source].withdraw([nlri(text) for text in prefixes])
        self.flush()

    def flush(self) -> None:
        while self.rib.pending:
            self.sink.apply(self.rib.take(3))

    def seen(self) -> dict[str, str]:
        return self.kernel.seen()


def via(index: int, gateway: str = "") -> NextHop:
    hop = Hop(index, address(gateway), f"eth{index}")
    return NextHop(address(gateway), hops=(hop,))


def from_peer(source: str = "peer", index: int = 2, weight: int = 1, **facts: object) -> Path:
    """Make a path of an external peer through eth<index>."""
    who = peer(name=source, at=f"192.0.2.{index}", weight=weight)
    return route(who, via=via(index, f"10.0.{index}.9"), **facts)  # type: ignore[arg-type]


def calico(*pools: Pool, **more: object) -> BuiltinPolicy:
    return BuiltinPolicy(
        normal_priority=NORMAL,
        pools=pools,
        own_network=nlri("10.0.0.0/16"),
        **more,  # type: ignore[arg-type]
    )


def test_bgps_rules_alone_install_everything_without_a_metric() -> None:
    bench = Bench()
    bench.announce(from_peer(), "10.1.0.0/16", "10.2.0.0/16")
    assert bench.seen() == {
        "10.1.0.0/16": "10.0.2.9 dev eth2",
        "10.2.0.0/16": "10.0.2.9 dev eth2",
    }
    bench.withdraw("peer", "10.1.0.0/16")
    assert set(bench.seen()) == {"10.2.0.0/16"}


def test_what_came_from_the_kernel_is_not_given_back() -> None:
    bench = Bench()
    for kind in (SourceKind.KERNEL, SourceKind.DIRECT):
        bench.announce(route(local(kind), via=via(2)), "10.1.0.0/16")
        assert bench.seen() == {}


def test_a_blackhole_is_installed_and_a_network_that_is_only_announced_is_not() -> None:
    bench = Bench(calico(POOL))
    static = local(SourceKind.STATIC)
    hole = route(static, via=NextHop(b""))
    hole.blackhole = True
    bench.announce(hole, "10.65.1.0/26")
    bench.announce(route(static, via=NextHop(b"")), "10.66.0.0/16")
    assert bench.seen() == {"10.65.1.0/26": "blackhole"}


def test_packets_to_a_peers_blackhole_are_dropped_and_not_forwarded_to_it() -> None:
    """RFC 7999 §3.1."""
    for policy in (None, calico()):
        bench = Bench(policy)
        hole = from_peer()
        hole.blackhole = True
        bench.announce(hole, "10.1.0.1/32")
        assert bench.seen()["10.1.0.1/32"].startswith("blackhole")
        bench.announce(from_peer(), "10.1.0.1/32")
        assert bench.seen()["10.1.0.1/32"].startswith("10.0.2.9 dev eth2")


def test_a_blackhole_gives_way_and_comes_back() -> None:
    bench = Bench()
    bench.announce(from_peer(), "10.65.1.0/26")
    hole = route(local(SourceKind.STATIC), via=NextHop(b""))
    hole.blackhole = True
    bench.announce(hole, "10.65.1.0/26")
    assert bench.seen() == {"10.65.1.0/26": "blackhole"}
    bench.withdraw("static", "10.65.1.0/26")
    assert bench.seen() == {"10.65.1.0/26": "10.0.2.9 dev eth2"}


def test_a_static_route_leads_through_its_gateway() -> None:
    bench = Bench(calico(POOL))
    bench.announce(route(local(SourceKind.STATIC), via=via(3, "10.0.3.7")), "192.0.2.9/32")
    assert bench.seen() == {"192.0.2.9/32": "10.0.3.7 dev eth3"}


@pytest.mark.parametrize(
    ("source", "local_pref", "metric"),
    [
        (EXTERNAL_PEER, None, LARGEST - 100),
        (INTERNAL, LARGEST - NORMAL, NORMAL),
        (INTERNAL, None, NORMAL),
        (INTERNAL, 100, LARGEST - 100),
        (INTERNAL, LARGEST - 512, 512),
    ],
    ids=["external", "of a Calico node", "internal without", "of another vendor", "urgent"],
)
def test_under_calicos_policy_the_metric_is_what_local_pref_carries(
    source: object, local_pref: int | None, metric: int
) -> None:
    """Calico: metric := 2147483647 - LOCAL_PREF, or the normal priority."""
    bench = Bench(calico(POOL))
    path = route(source, via=via(2, "10.0.2.9"), local_pref=local_pref)  # type: ignore[arg-type]
    bench.announce(path, "10.65.1.0/26")
    assert bench.seen() == {"10.65.1.0/26": f"10.0.2.9 dev eth2 metric {metric}"}


@pytest.mark.parametrize(
    ("pool", "routes", "expected"),
    [
        (replace(POOL, vxlan=Encap.ALWAYS), ClusterRoutes.ENABLED, None),
        (replace(POOL, vxlan=Encap.CROSS_SUBNET), ClusterRoutes.ENABLED, None),
        (POOL, ClusterRoutes.ENABLED_NO_ENCAP_ONLY, "10.0.2.9 dev eth2"),
        (POOL, ClusterRoutes.DISABLED, None),
        (replace(POOL, ipip=Encap.ALWAYS), ClusterRoutes.ENABLED_NO_ENCAP_ONLY, None),
        (replace(POOL, ipip=Encap.ALWAYS), ClusterRoutes.ENABLED, "192.0.2.2 dev tunl0"),
        (replace(POOL, ipip=Encap.CROSS_SUBNET), ClusterRoutes.ENABLED, "192.0.2.2 dev tunl0"),
    ],
    ids=["vxlan", "vxlan across", "plain", "nothing is ours", "felix", "ipip", "ipip across"],
)
def test_what_becomes_of_a_pools_routes(
    pool: Pool, routes: ClusterRoutes, expected: str | None
) -> None:
    bench = Bench(calico(pool, cluster_routes=routes))
    hop = NextHop(b"\xc0\0\2\2", hops=(Hop(2, b"\x0a\0\2\x09", "eth2"),))
    bench.announce(route(INTERNAL, via=hop, next_hop="192.0.2.2"), "10.65.1.0/26", "172.16.0.0/16")
    assert "172.16.0.0/16" in bench.seen()
    shown = bench.seen().get("10.65.1.0/26")
    if expected is None:
        assert shown is None
    else:
        tunnel = " onlink" if "tunl0" in expected else ""
        assert shown == f"{expected}{tunnel} metric {NORMAL}"


def test_without_the_tunnel_device_nothing_goes_into_the_tunnel() -> None:
    pool = replace(POOL, ipip=Encap.ALWAYS)
    bench = Bench(calico(pool, cluster_routes=ClusterRoutes.ENABLED))
    bench.interfaces.clear()
    bench.announce(from_peer(), "10.65.1.0/26")
    assert bench.seen() == {}
    bench.interfaces["tunl0"] = 7
    bench.sink.forget()
    assert list(bench.sink.replay(IPV4_UNICAST, 1))
    assert "tunl0" in bench.seen()["10.65.1.0/26"]


def test_an_unreachable_next_hop_is_no_far_end_of_the_tunnel() -> None:
    pool = replace(POOL, ipip=Encap.ALWAYS)
    bench = Bench(calico(pool, cluster_routes=ClusterRoutes.ENABLED))
    lost = NextHop(b"\xc0\0\2\2", reachable=False)
    bench.announce(route(INTERNAL, via=lost, next_hop="192.0.2.2"), "10.65.1.0/26")
    assert bench.seen()["10.65.1.0/26"].startswith("unreachable")


def test_an_ipv6_next_hop_is_no_far_end_of_the_tunnel() -> None:
    """RFC 8950."""
    bench = Bench(calico(replace(POOL, ipip=Encap.ALWAYS), cluster_routes=ClusterRoutes.ENABLED))
    hop = NextHop(address("2001:db8::2"), hops=(Hop(2, address("2001:db8::2"), "eth2"),))
    made = route(INTERNAL, via=hop, next_hop="2001:db8::2")
    bench.announce(made, "10.65.1.0/26", "172.16.0.0/16")
    assert "10.65.1.0/26" not in bench.seen()
    assert "dev eth2" in bench.seen()["172.16.0.0/16"]


def test_an_unresolved_next_hop_is_unreachable_only_where_such_paths_are_kept() -> None:
    gone = NextHop(b"\xc0\0\2\1", reachable=False)
    bench = Bench(calico(POOL))
    bench.announce(route(INTERNAL, via=gone), "10.65.1.0/26")
    assert bench.seen() == {"10.65.1.0/26": f"unreachable metric {NORMAL}"}
    plain = Bench()
    plain.announce(route(INTERNAL, via=gone), "10.65.1.0/26")
    assert plain.seen() == {}


def test_a_set_of_equal_paths_grows_and_shrinks_while_the_best_stays() -> None:
    bench = Bench()
    bench.announce(from_peer("a", 2), "10.1.0.0/16", "10.2.0.0/16")
    bench.announce(from_peer("b", 3), "10.1.0.0/16")
    assert bench.seen() == {
        "10.1.0.0/16": "10.0.2.9 dev eth2 + 10.0.3.9 dev eth3",
        "10.2.0.0/16": "10.0.2.9 dev eth2",
    }
    bench.announce(from_peer("c", 4), "10.1.0.0/16")
    assert bench.seen()["10.1.0.0/16"].count("dev") == 3
    bench.withdraw("a", "10.1.0.0/16")
    assert bench.seen()["10.1.0.0/16"] == "10.0.3.9 dev eth3 + 10.0.4.9 dev eth4"
    bench.withdraw("b", "10.1.0.0/16")
    assert bench.seen()["10.1.0.0/16"] == "10.0.4.9 dev eth4"


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_with_a_path_that_drops_packets_nothing_is_shared(first: str, second: str) -> None:
    bench = Bench()
    paths = {"a": from_peer("a", 2), "b": from_peer("b", 3)}
    paths["b"].blackhole = True
    for name in (first, second):
        bench.announce(paths[name], "10.1.0.0/16")
    assert bench.seen() == {"10.1.0.0/16": "10.0.2.9 dev eth2"}
    bench.withdraw("a", "10.1.0.0/16")
    assert bench.seen() == {"10.1.0.0/16": "blackhole"}
    hole = from_peer("a", 2)
    hole.blackhole = True
    bench.announce(hole, "10.2.0.0/16")
    bench.announce(from_peer("b", 3), "10.2.0.0/16")
    assert bench.seen()["10.2.0.0/16"] == "blackhole"


def test_alike_paths_share_one_forwarding() -> None:
    bench = Bench(max_paths=1)
    same = via(2, "10.0.2.9")
    for number in range(100):
        bench.announce(route(EXTERNAL_PEER, via=same, med=number), f"10.{number}.0.0/16")
    assert bench.sink.interned == 100
    assert len(bench.sink._forwardings) == 1


def test_sweeping_forgets_what_was_made_for_paths_that_are_gone() -> None:
    bench = Bench(max_paths=1)
    for number in range(10):
        bench.announce(from_peer(med=number), "10.0.0.0/16")
    alive = set(bench.rib.best.values())
    list(bench.sink.sweep(lambda: alive))
    assert bench.sink.interned == 1
    assert len(bench.sink._forwardings) == 1


def test_a_replay_follows_a_changed_policy() -> None:
    bench = Bench(calico(POOL))
    bench.announce(from_peer(), "10.65.1.0/26", "10.66.0.0/16")
    assert len(bench.seen()) == 2
    bench.policy = calico(replace(POOL, vxlan=Encap.ALWAYS))
    bench.sink.forget()
    assert list(bench.sink.replay(IPV4_UNICAST, 1))
    assert set(bench.seen()) == {"10.66.0.0/16"}


def test_why_a_best_path_is_not_in_the_kernel() -> None:
    bench = Bench(calico(replace(POOL, vxlan=Encap.ALWAYS)))
    bench.announce(from_peer(), "10.65.1.0/26", "10.66.0.0/16")
    kept_out, refused = nlri("10.65.1.0/26"), nlri("10.66.0.0/16")
    assert bench.sink.why_not(Afi.IPV4, refused) == ""
    assert bench.sink.why_not(Afi.IPV4, kept_out) == "the node's policy keeps it out"
    bench.kernel.table.clear()
    bench.kernel.troubles[refused] = "no route to host"
    assert bench.sink.why_not(Afi.IPV4, refused) == "no route to host"


def both(bench: Bench) -> tuple[Path, Path]:
    """Give a prefix two equal paths, and another prefix the second of them alone."""
    one, other = from_peer("a", 2), from_peer("b", 3)
    bench.announce(one, "10.1.0.0/16")
    bench.announce(other, "10.1.0.0/16", "10.2.0.0/16")
    return one, other


def test_a_next_hop_that_leads_elsewhere_takes_its_ways_along() -> None:
    bench = Bench()
    one, _ = both(bench)
    one.next_hop.hops = (Hop(9, address("10.0.9.9"), "eth9"),)
    bench.sink.moved({one.next_hop})
    assert bench.kernel.moves == [
        "1 leads 10.0.9.9 dev eth9",
        "3 leads 10.0.3.9 dev eth3 + 10.0.9.9 dev eth9",
    ]


def test_of_two_next_hops_one_dies_and_the_set_becomes_the_other() -> None:
    bench = Bench()
    one, other = both(bench)
    one.next_hop.reachable, one.next_hop.hops = False, ()
    bench.sink.moved({one.next_hop})
    # Nothing can be said of routes that had this next hop alone.
    assert bench.kernel.moves == ["3 is 2 10.0.3.9 dev eth3"]
    one.next_hop.reachable, one.next_hop.hops = True, (Hop(2, address("10.0.2.9"), "eth2"),)
    bench.sink.moved({one.next_hop})
    assert bench.kernel.moves[1:] == ["1 leads 10.0.2.9 dev eth2"]
    assert other.next_hop.reachable


def test_a_peer_that_goes_takes_its_next_hop_out_of_the_sets() -> None:
    bench = Bench()
    one, other = both(bench)
    bench.announce(one, "10.3.0.0/16")
    bench.sink.lost(one.source, lambda: [other.next_hop])
    bench.sink.lost(one.source, lambda: [other.next_hop])
    assert bench.kernel.moves == ["3 is 2 10.0.3.9 dev eth3"]


def worse(bench: Bench, *prefixes: str) -> tuple[Path, Path]:
    """Give two prefixes a path of one peer, and some a worse one of another peer."""
    one, other = from_peer("a", 2), from_peer("b", 3, path=(1, 2, 3))
    bench.announce(one, "10.1.0.0/16", "10.2.0.0/16")
    bench.announce(other, *prefixes)
    return one, other


def test_a_peer_with_paths_to_all_stands_in_for_one_that_goes() -> None:
    bench = Bench()
    one, other = worse(bench, "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    bench.sink.lost(one.source, lambda: [other.next_hop])
    assert bench.kernel.moves == ["1 is 2 10.0.3.9 dev eth3"]
    # The decisions find everything so.
    bench.withdraw("a", "10.1.0.0/16", "10.2.0.0/16")
    assert set(bench.seen().values()) == {"10.0.3.9 dev eth3"}


def test_nobody_stands_in_for_a_next_hop_that_another_peer_tells() -> None:
    bench = Bench()
    one, other = worse(bench, "10.1.0.0/16", "10.2.0.0/16")
    bench.sink.lost(one.source, lambda: [other.next_hop, one.next_hop])
    assert bench.kernel.moves == []


def test_under_calicos_policy_somebody_stands_in_who_is_treated_alike() -> None:
    bench = Bench(calico(POOL))
    one, other = worse(bench, "10.1.0.0/16", "10.2.0.0/16")
    bench.sink.lost(one.source, lambda: [other.next_hop])
    assert bench.kernel.moves == ["1 is 2 10.0.3.9 dev eth3"]
    bench.withdraw("a", "10.1.0.0/16", "10.2.0.0/16")
    assert {text.partition(" metric")[0] for text in bench.seen().values()} == {"10.0.3.9 dev eth3"}


def test_somebody_stands_in_through_the_tunnel_for_what_goes_through_it() -> None:
    pool = replace(POOL, ipip=Encap.ALWAYS)
    bench = Bench(calico(pool, cluster_routes=ClusterRoutes.ENABLED))
    one, other = worse(bench, "10.65.1.0/26", "10.1.0.0/16", "10.2.0.0/16")
    bench.announce(one, "10.65.1.0/26")
    bench.sink.lost(one.source, lambda: [other.next_hop])
    moved = bench.kernel.moves
    assert [text.split(" is ")[1].split(" ", 1)[1] for text in moved] == [
        "10.0.3.9 dev eth3",
        "10.0.3.9 dev tunl0 onlink",
    ]


def test_nobody_stands_in_where_the_nodes_own_policy_makes_a_difference() -> None:
    """Packets into the pool go through the tunnel unless the next hop is in our subnet."""
    pool = replace(POOL, ipip=Encap.CROSS_SUBNET)
    bench = Bench(calico(pool, cluster_routes=ClusterRoutes.ENABLED))
    near = from_peer("a", 2, next_hop="10.0.2.9")
    far = from_peer("b", 3, next_hop="192.0.2.3", path=(1, 2, 3))
    for path in (near, far):
        bench.announce(path, "10.65.1.0/26")
    bench.sink.lost(near.source, lambda: [far.next_hop])
    assert bench.kernel.moves == []


def test_a_peer_that_goes_changes_nothing_where_another_tells_its_next_hop() -> None:
    bench = Bench()
    one, other = both(bench)
    bench.sink.lost(one.source, lambda: [other.next_hop, one.next_hop])
    assert bench.kernel.moves == []


def test_ways_keep_their_names_until_their_next_hops_are_gone() -> None:
    bench = Bench()
    one, other = both(bench)
    bench.sink.forget()
    list(bench.sink.sweep(lambda: {one, other}))
    assert list(bench.sink.replay(IPV4_UNICAST, 1))
    assert {made.way for made in bench.kernel.table.values()} == {2, 3}
    list(bench.sink.sweep(lambda: {other}))
    one.next_hop.hops = ()
    bench.sink.moved({one.next_hop})
    assert bench.kernel.moves == []


def test_peers_of_different_weights_share_by_them() -> None:
    bench = Bench()
    bench.announce(from_peer("a", 2, weight=10), "10.1.0.0/16", "10.2.0.0/16")
    bench.announce(from_peer("b", 3, weight=15), "10.1.0.0/16")
    assert bench.seen() == {
        "10.1.0.0/16": "10.0.2.9 dev eth2 weight 2 + 10.0.3.9 dev eth3 weight 3",
        "10.2.0.0/16": "10.0.2.9 dev eth2",
    }
    bench.announce(from_peer("c", 4), "10.1.0.0/16")
    assert bench.seen()["10.1.0.0/16"] == (
        "10.0.2.9 dev eth2 weight 10 + 10.0.3.9 dev eth3 weight 15 + 10.0.4.9 dev eth4"
    )


def test_of_three_weighted_next_hops_one_dies() -> None:
    bench = Bench()
    for name, index, weight in (("a", 2, 2), ("b", 3, 4), ("c", 4, 1)):
        bench.announce(from_peer(name, index, weight), "10.1.0.0/16")
    dying = bench.rib.shared[nlri("10.1.0.0/16")][2]
    dying.next_hop.reachable, dying.next_hop.hops = False, ()
    bench.sink.moved({dying.next_hop})
    [moved] = bench.kernel.moves
    assert moved.endswith("10.0.2.9 dev eth2 + 10.0.3.9 dev eth3 weight 2")


def test_weights_reach_through_the_tunnel() -> None:
    pool = replace(POOL, ipip=Encap.ALWAYS)
    bench = Bench(calico(pool, cluster_routes=ClusterRoutes.ENABLED))
    for name, index, weight in (("a", 2, 1), ("b", 3, 2)):
        bench.announce(
            route(
                peer(name=name, at=f"192.0.2.{index}", weight=weight),
                via=via(index, f"10.0.{index}.9"),
            ),
            "10.65.1.0/26",
        )
    [shown] = bench.seen().values()
    assert shown.startswith("10.0.2.9 dev tunl0 + 10.0.3.9 dev tunl0 weight 2 onlink")


def test_another_weight_moves_whole_ways_and_then_every_prefix_as_well() -> None:
    bench = Bench()
    one, _ = both(bench)
    one.source.weight = 4
    bench.sink.balance(one.source)
    assert bench.kernel.moves == ["3 is 4 10.0.2.9 dev eth2 weight 4 + 10.0.3.9 dev eth3"]
    assert bench.seen() == {
        "10.1.0.0/16": "10.0.2.9 dev eth2 weight 4 + 10.0.3.9 dev eth3",
        "10.2.0.0/16": "10.0.3.9 dev eth3",
    }
    assert bench.kernel.calls[-1] == 1


def test_where_peers_differ_about_a_next_hop_each_prefix_is_told_and_no_way() -> None:
    bench = Bench()
    one, _ = both(bench)
    second = route(peer(name="c", at="192.0.2.4", weight=7), via=one.next_hop)
    bench.announce(second, "10.1.0.0/16", "10.3.0.0/16")
    bench.announce(from_peer("b", 3), "10.3.0.0/16")
    assert bench.seen()["10.1.0.0/16"] == "10.0.2.9 dev eth2 + 10.0.3.9 dev eth3"
    assert bench.seen()["10.3.0.0/16"] == "10.0.2.9 dev eth2 weight 7 + 10.0.3.9 dev eth3"
    one.source.weight = 9
    bench.sink.balance(one.source)
    assert bench.kernel.moves == []
    assert bench.seen()["10.1.0.0/16"] == "10.0.2.9 dev eth2 weight 9 + 10.0.3.9 dev eth3"
    assert bench.seen()["10.3.0.0/16"] == "10.0.2.9 dev eth2 weight 7 + 10.0.3.9 dev eth3"
