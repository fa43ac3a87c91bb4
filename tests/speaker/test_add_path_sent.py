"""Several paths to a prefix, told from router to router."""

from __future__ import annotations

from fsm.family import IPV4_UNICAST
from policy.prefix import parse_prefix
from speaker.config.plan import Plan
from speaker.route_views import RouteViews
from speaker.speaker import Speaker
from speaker.status import Status
from tests.support import resources
from tests.support.routers import Town, is_up, on_both_loops, on_uvloop, peer_at, until, uptimes

POOL, SHARED = "10.50.0.0/16", "10.50.1.0/26"
PREFIX, OTHER = "10.1.0.0/16", "10.2.0.0/16"


def paths(router: Speaker, text: str = PREFIX) -> dict[int, str]:
    """Give the AS_PATHs that other routers have told, by identifier; 0 is one without."""
    chunks = RouteViews(router).routes({"prefix": text})
    told = [route for chunk in chunks for route in chunk["routes"] if route["nextHop"]]
    return {number: route["asPath"] for route in told for number in route["pathIDs"] or [0]}


def agreed(router: Speaker, number: int) -> dict[str, str]:
    """Say which way several paths travel between a router and a peer."""
    view = Status(router, 0).peer(peer_at(router, number))
    assert view["negotiated"] is not None
    return view["negotiated"]["addPath"]


def told(router: Speaker, number: int) -> int:
    """Count what a router says it has told a peer."""
    view = Status(router, 0).peer(peer_at(router, number))
    return view["families"][str(IPV4_UNICAST)]["advertised"]


def sending(town: Town, words: str) -> Plan:
    """Plan router 1 with three strangers, and router 2 that is told several paths."""
    second = town.peer("second", 2, node="r1", keys={"addPath": words})
    return town.plan_for_strangers(3, more=[second])


async def relay(town: Town, words: str) -> tuple[Speaker, Speaker]:
    """Start both."""
    first = await town.run(sending(town, words))
    back = town.peer("first", 1, node="r2", keys={"addPath": "both"})
    second = await town.run(town.plan("r2", town.settings(), town.node("r2", 2), back))
    await until(lambda: is_up(second) and peer_at(first, 2).is_established)
    return first, second


@on_both_loops
async def test_every_path_is_told_and_keeps_its_identifier_when_others_go() -> None:
    async with Town() as town:
        first, second = await relay(town, "send")
        assert agreed(first, 2) == {"ipv4 unicast": "send"}
        assert agreed(second, 1) == {"ipv4 unicast": "receive"}
        one, two, three = [await town.join(number) for number in (11, 12, 13)]
        one.announce(PREFIX, OTHER)
        await until(lambda: paths(second) == {1: "65011"})
        two.announce(PREFIX)
        three.announce(PREFIX)
        await until(lambda: len(paths(second)) == 3)
        before = paths(second)
        assert set(before.values()) == {"65011", "65012", "65013"}
        assert told(first, 2) == 4
        one.close()
        left = {number: path for number, path in before.items() if path != "65011"}
        await until(lambda: paths(second) == left)
        assert paths(second, OTHER) == {}
        two.withdraw(PREFIX)
        await until(lambda: set(paths(second).values()) == {"65013"})
        best = second.loc_ribs[IPV4_UNICAST].best[parse_prefix(PREFIX)[1]]
        assert best.attributes.as_sequence == (65013,)


@on_uvloop
async def test_another_number_of_paths_needs_no_other_session() -> None:
    async with Town() as town:
        first, second = await relay(town, "send")
        strangers = [await town.join(number) for number in (11, 12, 13)]
        for stranger in strangers:
            stranger.announce(PREFIX)
        await until(lambda: len(paths(second)) == 3)
        since = uptimes(first)
        for words, wanted in (("send 2", 2), ("send 1", 1), ("send 3", 3), ("send", 3)):
            (change,) = await first.apply(sending(town, words))
            assert change.describe().endswith("no reset")
            await until(lambda wanted=wanted: len(paths(second)) == wanted)  # type: ignore[misc]
            assert "65011" in paths(second).values()
        assert uptimes(first) == since


@on_uvloop
async def test_who_told_the_best_path_hears_the_next_best() -> None:
    async with Town() as town:
        _, second = await relay(town, "both")
        stranger = await town.join(11)
        stranger.announce(PREFIX, path=(65011, 1, 2, 3))
        second.originate(PREFIX)
        await until(lambda: paths(second) == {1: "65011 1 2 3"})


@on_uvloop
async def test_in_calicos_mode_a_reflector_passes_every_path_on() -> None:
    """As BIRD does with Calico's ``add paths on``."""
    async with Town() as town:
        selected = {"nodeSelector": "all()", "peerSelector": "reflects == 'yes'"}
        documents = [
            town.settings(policy="calico"),
            resources.document("IPPool", "pool", {"cidr": POOL}),
            town.node("r1", 1, cluster_id="244.0.0.1", reflects="yes"),
            town.node("r2", 2),
            town.node("r3", 3),
            town.node("r4", 4),
            resources.peer("reflectors", **selected),
        ]
        routers = [await town.run(town.plan(f"r{n}", *documents)) for n in range(1, 5)]
        await until(lambda: all(is_up(router) for router in routers))
        assert agreed(routers[0], 2) == {"ipv4 unicast": "both"}
        for router in routers[1:3]:
            router.originate(SHARED)
        await until(lambda: paths(routers[3], SHARED) == {1: "", 2: ""})
        # Each of them has its own, and hears the other's.
        await until(lambda: len(paths(routers[1], SHARED)) == 1)
        await until(lambda: len(paths(routers[2], SHARED)) == 1)
        assert told(routers[0], 4) == 2
        await routers[1].stop()
        await until(lambda: len(paths(routers[3], SHARED)) == 1)
