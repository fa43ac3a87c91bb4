"""Edits of a BGPPeer with a range: what becomes of the peers that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fsm.family import IPV4_UNICAST
from fsm.notifications import Cease, Code
from speaker.config.changes import changes, with_dynamic
from speaker.config.plan import Plan
from speaker.foresight import Foresight
from speaker.recovery import Recovery
from speaker.speaker import Speaker
from tests.support.routers import Document, Town, best, home, is_up, on_uvloop, until, uptimes
from tests.support.scripted_peer import ScriptedPeer

RANGES, NUMBERS = "127.0.0.8/29, 127.0.0.16/28", "65000-65100"


def rack(town: Town, name: str = "rack", **values: Any) -> dict[str, Any]:
    """Make a BGPPeer for ranges of loopback addresses."""
    keys = {"listenRange": RANGES, "asRange": NUMBERS, **values.pop("keys", {})}
    document = dict(town.peer(name, 1, node="r1", keys=keys, **values))
    del document["spec"]["peerIP"], document["spec"]["asNumber"]
    return document


def plan_of(town: Town, *peers: Document) -> Plan:
    return town.plan("r1", town.settings(), town.node("r1", 1), *peers)


def name(number: int, of: str = "rack") -> str:
    return f"Dynamic_{of}_127_0_0_{number}"


async def three(town: Town) -> tuple[Speaker, dict[int, ScriptedPeer]]:
    """Have three peers in a range."""
    router = await town.run(plan_of(town, rack(town)))
    peers = {number: await town.join(number) for number in (11, 12, 17)}
    for number, peer in peers.items():
        peer.announce(f"10.{number}.0.0/16")
    await until(lambda: len(best(router)) == 3)
    return router, peers


async def applied(router: Speaker, plan: Plan) -> list[str]:
    """Apply a plan; say what happened to sessions, as foresight did before."""
    foretold = [line for chunk in Foresight(router, plan).chunks() for line in chunk["sessions"]]
    done = [change.describe() for change in await router.apply(plan)]
    assert [line for line in done if not line.startswith("accepts")] == foretold
    return foretold


@on_uvloop
async def test_a_range_that_goes_ends_its_sessions() -> None:
    async with Town() as town:
        router, peers = await three(town)
        said = await applied(router, plan_of(town))
        assert said == [f"removes {name(number)}" for number in peers]
        for peer in peers.values():
            await peer.until_closed()
            assert peer.notification is not None
            # Cease/Peer De-configured, inside a Hard Reset where that is known.
            assert peer.notification[:2] == (Code.CEASE, Cease.PEER_DECONFIGURED)
        await until(lambda: best(router) == {})
        visitor = await town.call(11)
        await visitor.until_closed()
        assert [told["address"] for told in town.said.of("stranger")] == [home(11)]


@on_uvloop
async def test_a_range_that_shrinks_ends_only_those_outside() -> None:
    async with Town() as town:
        router, peers = await three(town)
        before = uptimes(router)
        narrow = rack(town, keys={"listenRange": "127.0.0.8/29"})
        assert await applied(router, plan_of(town, narrow)) == [f"removes {name(17)}"]
        fewer = rack(town, keys={"listenRange": "127.0.0.8/29", "asRange": "65012"})
        assert await applied(router, plan_of(town, fewer)) == [f"removes {name(11)}"]
        assert uptimes(router) == {name(12): before[name(12)]}
        await peers[11].until_closed()
        # A lower limit ends nobody.
        keys = {"listenRange": "127.0.0.0/24", "maxDynamicPeers": "1"}
        assert await applied(router, plan_of(town, rack(town, keys=keys))) == [
            # What the peer is called and where from is all that differs.
            f"{name(12)} takes over range at once; no reset"
        ]
        assert uptimes(router) == {name(12): before[name(12)]}


@on_uvloop
async def test_every_setting_costs_a_dynamic_session_what_it_costs_others() -> None:
    async with Town() as town:
        router, peers = await three(town)
        before = uptimes(router)
        more = plan_of(town, rack(town, numAllowedLocalASNumbers=1))
        assert await applied(router, more) == [
            f"judges anew what {name(n)} advertises: allow local as; no reset" for n in peers
        ]
        assert uptimes(router) == before
        reset = plan_of(town, rack(town, keys={"holdTime": "30"}))
        assert await applied(router, reset) == [
            f"resets the session of {name(n)}: hold time 90 → 30" for n in peers
        ]
        # Nobody waits for them: whoever connects again is a peer again.
        await until(lambda: not router.peers)
        for peer in peers.values():
            await peer.until_closed()
        await town.join(11)
        assert router.plan.peers[name(11)].hold_time == 30


@on_uvloop
async def test_who_is_named_from_now_on_keeps_his_session() -> None:
    async with Town() as town:
        router, _ = await three(town)
        before = uptimes(router)
        named = town.peer("named", 11, 65011, node="r1", keys={"passive": "on"})
        plan = plan_of(town, rack(town), named)
        [static] = plan.peers
        kept, updated = await applied(router, plan)
        assert kept == f"keeps the session of {name(11)} as {static}"
        assert updated.startswith(f"{static} takes over resource, range,")
        assert updated.endswith("no reset")
        assert uptimes(router)[static] == before[name(11)]
        assert router.dynamic.count("Dynamic_rack") == 2
        assert is_up(router)


@on_uvloop
async def test_a_narrower_range_of_another_takes_its_peers_over() -> None:
    async with Town() as town:
        router, _ = await three(town)
        before = uptimes(router)
        other = rack(town, "a", keys={"listenRange": "127.0.0.12/31"})
        said = await applied(router, plan_of(town, rack(town), other))
        assert said[0] == f"keeps the session of {name(12)} as {name(12, 'a')}"
        assert uptimes(router)[name(12, "a")] == before[name(12)]


@on_uvloop
async def test_who_waits_for_his_open_is_let_in_by_the_plan_that_holds_then() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        waits, goes = await town.call(11), await town.call(17)
        await until(lambda: len(router.dynamic.ranges["Dynamic_rack"].vestibule) == 2)
        fewer = rack(town, keys={"listenRange": "127.0.0.8/29", "holdTime": "30"})
        await router.apply(plan_of(town, fewer))
        await goes.until_closed()
        await waits.establish()
        assert router.plan.peers[name(11)].hold_time == 30


@on_uvloop
async def test_a_restart_waits_for_those_who_may_come_again() -> None:
    async with Town() as town:
        plan = plan_of(town, rack(town))
        told = {IPV4_UNICAST: True}
        before = {name(11): told, name(11, "other"): told, "Node_gone": told}
        router = await town.start(Speaker(plan, before=before))
        assert router.recovery.waiting()[IPV4_UNICAST] == (name(11),)
        assert isinstance(router.recovery, Recovery)
        assert router.recovery.is_restarting


def test_a_plan_without_ranges_keeps_nobody_of_them() -> None:
    town = Town()
    plan = plan_of(town, rack(town))
    dynamic = plan.ranges["Dynamic_rack"].plan_of(home(11), 65011)
    assert dynamic is not None
    running = replace(plan, peers={dynamic.name: dynamic})
    assert with_dynamic(plan, running) == running
    assert changes(running, with_dynamic(plan, running)) == []
    bare = plan_of(town)
    assert with_dynamic(bare, running) is bare
    assert [change.describe() for change in changes(running, bare)] == [
        f"removes {name(11)}",
        f"accepts peers no longer from {RANGES}",
    ]
