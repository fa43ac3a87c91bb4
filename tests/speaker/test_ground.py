"""What follows when links, addresses and foreign routes change under the router."""

from __future__ import annotations

from dataclasses import replace

from fsm.family import IPV4_UNICAST, Afi
from policy.calico import Encap, Pool
from policy.path import Hop
from speaker.config.plan import Plan
from speaker.kernel.routes import (
    Address,
    AddressesChanged,
    KernelFailed,
    LinksChanged,
    RouteConflict,
    RouteKind,
    RoutesChanged,
    RoutesRefused,
    RoutesRepaired,
)
from speaker.route_views import RouteViews
from speaker.status import Status
from tests.support.routers import (
    AS,
    Town,
    best,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    table_of,
    until,
    uptimes,
)
from tests.support.routes import address, nlri
from tests.support.tabletop import (
    KERNEL_ITSELF,
    TabletopKernel,
    TabletopSpeaker,
    Underlay,
    route,
)

POOL = "10.65.0.0/16"


async def run(
    town: Town, plan: Plan | None = None, kernel: TabletopKernel | None = None
) -> tuple[TabletopSpeaker, TabletopKernel]:
    """Start ``r1`` over a tabletop kernel, with two peers in one AS."""
    router = TabletopSpeaker(plan or town.plan_for_strangers(2, asn=65001), kernel)
    await town.start(router)
    return router, router.tabletop


def calico(town: Town, *pools: Pool, asn: int = 65001) -> Plan:
    """Give a plan under Calico's policy with these pools, and IPv4 alone."""
    plan = town.plan_for_strangers(2, asn=asn, settings={"policy": "calico"})
    policy = replace(plan.policies[IPV4_UNICAST], pools=pools or (Pool(nlri(POOL)),))
    return replace(plan, policies={**plan.policies, IPV4_UNICAST: policy})


@on_both_loops
async def test_routes_are_installed_by_way_of_what_leads_to_their_next_hop() -> None:
    async with Town() as town:
        _, kernel = await run(town)
        peer = await town.join(11, asn=65001)
        peer.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2"})
        peer.announce("10.1.0.0/16", next_hop="10.0.3.11")
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.3.11 dev eth3"})
        peer.withdraw("10.1.0.0/16")
        await until(lambda: kernel.seen() == {})


@on_both_loops
async def test_a_link_that_falls_moves_its_routes_to_the_alternative_and_back() -> None:
    async with Town() as town:
        router, kernel = await run(town)
        one, two = await town.join(11, asn=65001), await town.join(12, asn=65001)
        prefixes = table_of(5000)
        one.announce(*prefixes, next_hop="10.0.2.11")
        two.announce(*prefixes, path=(65001, 9), next_hop="10.0.3.12")
        await until(lambda: set(best(router).values()) == {peer_at(router, 11).name})
        await until(lambda: len(kernel.seen()) == 5000)
        kernel.set_link(2, up=False)
        await until(lambda: set(kernel.seen().values()) == {"10.0.3.12 dev eth3"})
        assert len(kernel.seen()) == 5000
        await one.until(lambda: len(one.table) == 5000)
        kernel.set_link(2, up=True)
        await until(lambda: set(kernel.seen().values()) == {"10.0.2.11 dev eth2"})
        await one.until(lambda: one.table == {})
        assert is_up(router)


@on_both_loops
async def test_a_metric_that_is_passed_on_follows_the_distance_to_the_next_hop() -> None:
    """RFC 7311 §3.4.3: any change of it is told."""
    async with Town() as town:
        plan = town.plan_for_strangers(2, asn=65001, keys={"aigp": "on"})
        router, kernel = await run(town, plan)
        far = route("10.9.0.0/16", 2, "10.0.2.9", metric=30)
        kernel.set_route("10.9.0.0/16", far)
        one, two = await town.join(11, asn=65001), await town.join(12, asn=65001)
        one.announce("10.1.0.0/16", next_hop="10.9.0.1", aigp=100)
        one.announce("10.2.0.0/16", next_hop="10.9.0.1")
        await two.until(lambda: len(two.table) == 2)
        assert two.table["10.1.0.0/16"].aigp == 130
        for cost in (40, 5):
            kernel.set_route("10.9.0.0/16", replace(far, metric=cost))
            await two.until(lambda cost=cost: two.table["10.1.0.0/16"].aigp == 100 + cost)  # type: ignore[misc]
        assert (two.announced, two.withdrawn) == (4, 0)
        assert is_up(router)


@on_both_loops
async def test_equal_paths_share_the_traffic_and_the_set_follows() -> None:
    async with Town() as town:
        _, kernel = await run(town)
        one, two = await town.join(11, asn=65001), await town.join(12, asn=65001)
        both = {"10.1.0.0/16": "10.0.2.11 dev eth2 + 10.0.3.12 dev eth3"}
        one.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2"})
        two.announce("10.1.0.0/16", next_hop="10.0.3.12")
        await until(lambda: kernel.seen() == both)
        two.announce("10.1.0.0/16", next_hop="10.0.3.12", path=(65001, 7))
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2"})
        two.announce("10.1.0.0/16", next_hop="10.0.3.12")
        await until(lambda: kernel.seen() == both)
        kernel.set_link(3, up=False)
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2"})
        kernel.set_link(3, up=True)
        await until(lambda: kernel.seen() == both)
        one.reset()
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.3.12 dev eth3"})


@on_both_loops
async def test_a_next_hop_behind_a_foreign_route_follows_that_route() -> None:
    async with Town() as town:
        _, kernel = await run(town)
        peer = await town.join(11, asn=65001)
        peer.announce("10.1.0.0/16", next_hop="192.0.2.1")
        await until(lambda: peer_at(town.routers[0], 11).exchange.inbound.updates)  # type: ignore[union-attr]
        assert kernel.seen() == {}
        kernel.set_route("192.0.2.0/24", route("192.0.2.0/24", 2, "10.0.2.254"))
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.254 dev eth2"})
        kernel.set_route("192.0.2.1/32", route("192.0.2.1/32", 3, "10.0.3.254"))
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.3.254 dev eth3"})
        kernel.set_route("192.0.2.1/32", route("192.0.2.1/32", kind=RouteKind.BLACKHOLE))
        await until(lambda: kernel.seen() == {})
        kernel.set_route("192.0.2.1/32")
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.254 dev eth2"})


@on_both_loops
async def test_a_link_that_is_removed_and_made_anew_counts_again() -> None:
    async with Town() as town:
        _, kernel = await run(town)
        peer = await town.join(11, asn=65001)
        peer.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: kernel.seen())
        kernel.tell(LinksChanged((), gone=(2,)))
        await until(lambda: kernel.seen() == {})
        kernel.set_link(2, up=True)
        await until(lambda: kernel.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2"})


@on_both_loops
async def test_a_next_hop_that_becomes_our_own_address_is_none() -> None:
    """RFC 4271 §5.1.3."""
    async with Town() as town:
        _, kernel = await run(town)
        peer = await town.join(11, asn=65001)
        peer.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: kernel.seen())
        ours = Address(address("10.0.2.11"), 24, 2)
        kernel.tell(AddressesChanged((ours,)))
        await until(lambda: kernel.seen() == {})
        kernel.tell(AddressesChanged((), (ours,)))
        await until(lambda: kernel.seen())


@on_both_loops
async def test_under_calicos_policy_what_cannot_be_resolved_is_unreachable() -> None:
    """As BIRD: packets are answered, and take no shorter prefix."""
    async with Town() as town:
        _, kernel = await run(town, calico(town))
        peer = await town.join(11, asn=65001)
        peer.announce("10.65.1.0/26", next_hop="192.0.2.1")
        await until(lambda: kernel.seen() == {"10.65.1.0/26": "unreachable metric 2147483547"})
        kernel.set_route("192.0.2.0/24", route("192.0.2.0/24", 2, "10.0.2.9"))
        await until(
            lambda: kernel.seen() == {"10.65.1.0/26": "10.0.2.9 dev eth2 metric 2147483547"}
        )


@on_both_loops
async def test_foreign_routes_inside_a_pool_are_told_and_never_installed() -> None:
    async with Town() as town:
        underlay = Underlay()
        for known in (
            route("10.65.9.0/24", 2, "10.0.2.9"),
            route("172.16.0.0/16", 2, "10.0.2.9"),
            route("10.65.10.7/32", 9, protocol=3, name="cali1234"),
        ):
            underlay.routes[known.nlri] = (known,)
        router, kernel = await run(town, calico(town), TabletopKernel(underlay))
        peer = await town.join(11, asn=65001)
        await peer.until(lambda: set(peer.table) == {"10.65.9.0/24", "10.65.10.7/32"})
        assert kernel.seen() == {}
        kernel.set_route("10.65.11.0/24", route("10.65.11.0/24", 3, "10.0.3.9"))
        kernel.set_route("10.65.9.0/24")
        await peer.until(lambda: set(peer.table) == {"10.65.11.0/24", "10.65.10.7/32"})
        assert best(router)["10.0.2.0/24"] == "direct1"
        # By an interface that nobody has told of.
        unknown = replace(route("10.65.12.0/24"), hops=(Hop(44),))
        kernel.tell(RoutesChanged(Afi.IPV4, ((unknown.nlri, (unknown,)),)))
        await peer.until(lambda: "10.65.12.0/24" in peer.table)
        [shown] = RouteViews(router).routes({"prefix": "10.65.12.0/24"})
        assert shown["routes"][0]["via"] == []
        assert kernel.seen() == {}


@on_both_loops
async def test_a_foreign_route_does_not_compete_where_bgps_rules_are_all() -> None:
    async with Town() as town:
        router, kernel = await run(town)
        kernel.set_route("10.65.11.0/24", route("10.65.11.0/24", 3, "10.0.3.9"))
        peer = await town.join(11, asn=65001)
        await peer.until_ended()
        assert best(router) == {}
        await router.apply(replace(calico(town), peers=router.plan.peers))
        await peer.until(lambda: set(peer.table) == {"10.65.11.0/24"})
        await router.apply(town.plan_for_strangers(2, asn=65001))
        await peer.until(lambda: peer.table == {})


@on_both_loops
async def test_ignored_interfaces_are_left_out_of_the_connected_subnets() -> None:
    async with Town() as town:
        router, kernel = await run(town, calico(town))
        kernel.set_route(
            "10.65.2.0/24", route("10.65.2.0/24", 7, protocol=KERNEL_ITSELF, name="docker0")
        )
        peer = await town.join(11, asn=65001)
        await peer.until(lambda: set(peer.table) == {"10.65.2.0/24"})
        before = uptimes(router)
        await router.apply(replace(router.plan, ignored_interfaces=("docker*",)))
        await peer.until(lambda: peer.table == {})
        kernel.set_link(7, up=True, name="rack0")
        await peer.until(lambda: set(peer.table) == {"10.65.2.0/24"})
        assert uptimes(router) == before


@on_both_loops
async def test_routes_by_a_tunnel_of_calicos_are_not_for_internal_peers() -> None:
    async with Town() as town:
        _, kernel = await run(town, calico(town, asn=AS))
        peer = await town.join(11, asn=AS)
        for number, name in enumerate(("vxlan.calico", "wireguard.cali", "eth9"), 7):
            prefix = f"10.65.{number}.0/24"
            kernel.set_route(prefix, route(prefix, number, name=name))
        await peer.until(lambda: "10.65.9.0/24" in peer.table)
        assert set(peer.table) == {"10.65.9.0/24"}


@on_both_loops
async def test_what_the_kernel_thread_tells_is_said_once_and_in_words() -> None:
    async with Town() as town:
        router, kernel = await run(town)
        refused = nlri("10.9.0.0/16")
        kernel.troubles[refused] = "the network is unreachable"
        kernel.tell(
            RoutesRefused(Afi.IPV4, (refused,), 101, "the network is unreachable"),
            RouteConflict(Afi.IPV4, nlri("10.8.0.0/16"), route("10.8.0.0/16", 2, metric=5)),
            RoutesRepaired(Afi.IPV4, (nlri("10.7.0.0/16"),)),
            KernelFailed("a bug"),
        )
        await until(lambda: town.said.of("kernel_failed"))
        assert "10.9.0.0/16" in town.said.of("routes_refused")[0]["sentence"]
        assert "metric 5" in town.said.of("route_conflict")[0]["sentence"]
        assert "10.7.0.0/16" in town.said.of("routes_repaired")[0]["sentence"]
        shown = Status(router, 1).status()["kernel"]["refused"]
        assert shown == ["10.9.0.0/16: the network is unreachable"]
        kernel.troubles.clear()
        assert Status(router, 1).status()["kernel"]["refused"] == []


@on_uvloop
async def test_a_kernel_that_is_far_behind_makes_peers_wait_and_then_goes_on() -> None:
    async with Town() as town:
        router, kernel = await run(town)
        peer = await town.join(11, asn=65001)
        kernel.lag = 200_000
        peer.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: kernel.seen())
        transport = peer_at(router, 11).exchange.transport  # type: ignore[union-attr]
        await until(lambda: not transport._transport.is_reading())  # type: ignore[union-attr]
        peer.announce("10.2.0.0/16", next_hop="10.0.2.11")
        kernel.lag = 10_000
        await until(lambda: len(kernel.seen()) == 2)


@on_both_loops
async def test_a_vxlan_pool_is_left_to_felix() -> None:
    async with Town() as town:
        plan = calico(town, Pool(nlri(POOL), vxlan=Encap.ALWAYS))
        router, kernel = await run(town, plan)
        peer = await town.join(11, asn=65001)
        peer.announce("10.65.1.0/26", "172.16.0.0/16", next_hop="10.0.2.11")
        await until(lambda: len(kernel.seen()) == 1)
        assert set(kernel.seen()) == {"172.16.0.0/16"}
        assert "10.65.1.0/26" in best(router)
