"""A node goes out of service step by step, and comes back from any of them."""

from __future__ import annotations

import asyncio

from fsm.capabilities import GracefulRestart, tlv
from fsm.family import IPV4_UNICAST
from fsm.notifications import Cease
from speaker.drainage import Drainage, Step
from tests.support.routers import AS, Town, best, home, is_up, on_uvloop, peer_at, until
from tests.support.scripted_peer import ScriptedPeer, end_of_rib
from tests.support.tabletop import TabletopKernel, TabletopSpeaker

GRACEFUL = tlv(GracefulRestart(False, False, 60, ((IPV4_UNICAST, True),)))
SHUTDOWN = (65535, 0)
ROUTE = "10.1.0.0/16"


async def told(town: Town) -> tuple[Drainage, ScriptedPeer]:
    """Have one peer tell a route to another."""
    router = await town.run_for_strangers(2)
    one, two = await town.join(11), await town.join(12)
    one.announce(ROUTE)
    await two.until(lambda: ROUTE in two.table)
    assert SHUTDOWN not in two.table[ROUTE].communities
    return Drainage(router), two


@on_uvloop
async def test_routes_are_a_last_choice_before_they_go_and_sessions_end() -> None:
    async with Town() as town:
        drainage, two = await told(town)
        drainage.drain(0.5, "new kernel")
        await two.until(lambda: SHUTDOWN in two.table[ROUTE].communities)
        await until(lambda: drainage.step is Step.WAITING)
        assert two.withdrawn == 0
        assert 0 < drainage.seconds_left <= 0.5
        assert "a last choice" in drainage.conditions()[0].message
        await two.until_closed()
        assert (two.withdrawn, two.table) == (1, {})
        assert two.notification is not None
        code, subcode, data = two.notification
        assert (code, subcode) == (6, Cease.ADMINISTRATIVE_SHUTDOWN)
        assert data == b"\x0anew kernel"
        assert drainage.step is Step.DRAINED


@on_uvloop
async def test_within_the_as_the_preference_says_so() -> None:
    async with Town() as town:
        settings = {"networks": ROUTE}
        router = await town.run_for_strangers(1, asn=AS, settings=settings)
        one = await town.join(11, asn=AS)
        await one.until(lambda: ROUTE in one.table)
        assert one.table[ROUTE].local_pref == 100
        drainage = Drainage(router)
        drainage.drain(60.0, "")
        await one.until(lambda: one.table[ROUTE].local_pref == 0)
        assert SHUTDOWN in one.table[ROUTE].communities
        await drainage.close()


@on_uvloop
async def test_a_node_comes_back_from_any_step() -> None:
    async with Town() as town:
        drainage, two = await told(town)
        drainage.drain(60.0, "")
        await two.until(lambda: SHUTDOWN in two.table[ROUTE].communities)
        drainage.undrain()
        await two.until(lambda: SHUTDOWN not in two.table[ROUTE].communities)
        assert (drainage.step, drainage.conditions()) == (Step.NONE, [])
        drainage.drain(0.0, "")
        await two.until_closed()
        await until(lambda: drainage.step is Step.DRAINED)
        drainage.undrain()
        again = await town.join(12)
        one = await town.join(11)
        one.announce(ROUTE)
        await again.until(lambda: ROUTE in again.table)
        assert SHUTDOWN not in again.table[ROUTE].communities


@on_uvloop
async def test_a_node_that_comes_back_tells_nothing_before_it_knows_all() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        await town.join(11, more=GRACEFUL)
        drainage = Drainage(router)
        drainage.drain(0.0, "")
        await until(lambda: drainage.step is Step.DRAINED)
        drainage.undrain()
        one, two = await town.join(11, more=GRACEFUL), await town.join(12)
        one.announce(ROUTE)
        await until(lambda: best(router))
        await until(lambda: router.is_idle)
        assert drainage.step is Step.RETURNING
        assert not two.table
        assert "sessions come up" in drainage.conditions()[0].message
        one.send(end_of_rib())
        await two.until(lambda: ROUTE in two.table)
        assert (drainage.step, drainage.conditions()) == (Step.NONE, [])


@on_uvloop
async def test_a_node_may_be_drained_again_while_it_comes_back() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(1)
        drainage = Drainage(router)
        for _ in range(2):
            drainage.drain(0.0, "")
            await until(lambda: drainage.step is Step.DRAINED)
            drainage.undrain()
            drainage.undrain()
            assert drainage.step is Step.RETURNING
        await drainage.close()


@on_uvloop
async def test_who_was_down_before_stays_down_and_who_comes_later_waits() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peer_at(router, 12).stop()
        drainage = Drainage(router)
        drainage.drain(0.0, "")
        await until(lambda: drainage.step is Step.DRAINED)
        plan = town.plan_for_strangers(3)
        await router.apply(plan)
        assert not peer_at(router, 13).session.is_started
        drainage.undrain()
        started = {p.plan.address: p.session.is_started for p in router.peers.values()}
        assert started == {home(11): True, home(12): False, home(13): True}


@on_uvloop
async def test_the_steps_are_told_in_their_order() -> None:
    async with Town() as town:
        drainage, _ = await told(town)
        drainage.drain(0.2, "")
        await asyncio.sleep(0)
        steps = [step async for step, _ in drainage.steps()]
        order = [step for n, step in enumerate(steps) if step not in steps[:n]]
        assert order == [s for s in Step if s in order]
        assert order[-1] is Step.DRAINED
        assert not is_up(town.routers[0])


@on_uvloop
async def test_after_a_restart_a_drain_waits_until_routes_are_chosen() -> None:
    """Until then peers have what the run before told them, and would be cut off unprepared."""
    async with Town() as town:
        plan = town.plan_for_strangers(3)
        [late] = [each.name for each in plan.peers.values() if each.address.endswith(".13")]
        before = {late: {IPV4_UNICAST: True}}
        router = TabletopSpeaker(plan, TabletopKernel(), before=before)
        await town.start(router)
        one, two = await town.join(11), await town.join(12)
        one.announce(ROUTE, next_hop="10.0.2.11")
        await until(lambda: best(router))
        drainage = Drainage(router)
        drainage.drain(60.0, "")
        await until(lambda: drainage.step is Step.CHOOSING)
        assert "when they are chosen" in drainage.conditions()[0].message
        assert two.table == {}
        three = await town.join(13, more=GRACEFUL)
        three.send(end_of_rib())
        await until(lambda: drainage.step is Step.WAITING)
        # Nobody was told that the route is as good as ever.
        await two.until(lambda: ROUTE in two.table)
        assert SHUTDOWN in two.table[ROUTE].communities
        assert two.announced == 1
        await drainage.close()
