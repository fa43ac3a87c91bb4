"""Peers of external networks in one process: whom their routes reach, and what is left of them."""

from __future__ import annotations

from dataclasses import replace

from speaker.config.plan import Plan
from speaker.route_views import RouteViews
from tests.support.routers import Town, best, on_both_loops, on_uvloop, peer_at, until, uptimes
from tests.support.tabletop import TabletopSpeaker


def blue(plan: Plan, *numbers: int, table: int | None = 500) -> Plan:
    """Give a plan in which peers are of a network with a table."""
    peers = {
        name: replace(peer, table=table)
        if int(peer.address.rpartition(".")[2]) in numbers
        else peer
        for name, peer in plan.peers.items()
    }
    return replace(plan, peers=peers)


@on_both_loops
async def test_routes_of_a_network_are_told_to_nobody_and_stand_apart() -> None:
    async with Town() as town:
        router = await town.run(blue(town.plan_for_strangers(3), 11))
        inside, one, two = [await town.join(number) for number in (11, 12, 13)]
        inside.announce("10.1.0.0/16", "10.2.0.0/16")
        one.announce("10.1.0.0/16", "10.3.0.0/16")
        await two.until(lambda: set(two.table) == {"10.1.0.0/16", "10.3.0.0/16"})
        await inside.until(lambda: set(inside.table) == {"10.1.0.0/16", "10.3.0.0/16"})
        assert best(router) == {
            prefix: peer_at(router, 12).name for prefix in ("10.1.0.0/16", "10.3.0.0/16")
        }
        [chunk] = RouteViews(router).routes({"prefix": "10.2.0.0/16"})
        assert [(r["peer"], r["table"]) for r in chunk["routes"]] == [
            (peer_at(router, 11).name, 500)
        ]
        assert "10.2.0.0/16" not in one.table


@on_both_loops
async def test_a_network_goes_with_its_last_peer_and_its_routes_with_it() -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(3, asn=65001)
        router = TabletopSpeaker(blue(plan, 11, 12))
        await town.start(router)
        one, two, other = [await town.join(number, asn=65001) for number in (11, 12, 13)]
        one.announce("10.1.0.0/16", next_hop="10.0.2.11")
        two.announce("10.1.0.0/16", next_hop="10.0.3.12")
        other.announce("10.1.0.0/16", next_hop="10.0.2.13")
        table = router.beside[500]
        await until(
            lambda: table.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2 + 10.0.3.12 dev eth3"}
        )
        assert router.tabletop.seen() == {"10.1.0.0/16": "10.0.2.13 dev eth2"}
        router.tabletop.set_link(2, up=False)
        await until(lambda: table.seen() == {"10.1.0.0/16": "10.0.3.12 dev eth3"})
        router.tabletop.set_link(2, up=True)
        before = uptimes(router)[peer_at(router, 13).name]
        await router.apply(blue(plan, 11))
        await until(lambda: table.seen() == {"10.1.0.0/16": "10.0.2.11 dev eth2"})
        assert table.is_running
        await router.apply(plan)
        assert (table.withdrawn, table.seen()) == (True, {})
        assert list(router.networks) == []
        assert uptimes(router)[peer_at(router, 13).name] == before


@on_uvloop
async def test_the_nodes_own_table_is_no_other() -> None:
    async with Town() as town:
        plan = blue(town.plan_for_strangers(2), 11, table=254)
        router = TabletopSpeaker(plan)
        await town.start(router)
        inside, other = [await town.join(number) for number in (11, 12)]
        inside.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await other.until(lambda: "10.1.0.0/16" in other.table)
        assert list(router.networks) == []


@on_uvloop
async def test_routes_of_networks_stay_at_the_end_or_go_as_all_others_do() -> None:
    for withdraw in (False, True):
        async with Town() as town:
            router = TabletopSpeaker(blue(town.plan_for_strangers(1), 11))
            await town.start(router)
            peer = await town.join(11)
            peer.announce("10.1.0.0/16", next_hop="10.0.2.11")
            table = router.beside[500]
            await until(table.seen)
            await router.stop(withdraw=withdraw)
            assert table.withdrawn is withdraw
            assert bool(table.seen()) is not withdraw
