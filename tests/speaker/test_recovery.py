"""A start is over when every peer has told all it has, or when it has taken long enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from speaker.recovery import WAIT, Recovery
from tests.support.routers import Town, best, on_both_loops, peer_at, until
from tests.support.scripted_peer import end_of_rib
from tests.support.tabletop import TabletopKernel, TabletopSpeaker, VirtualClock

OLD = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]


def test_it_is_over_when_the_last_peer_has_told_all() -> None:
    recovery = Recovery(100.0, ["a", "b"])
    recovery.told_all("a")
    assert not recovery.check(101.0)
    recovery.told_all("b")
    assert recovery.check(101.0)
    assert recovery.over == "every peer has told all it has"
    assert not recovery.check(102.0)


def test_it_is_over_after_a_time_whoever_is_missing() -> None:
    recovery = Recovery(100.0, ["a", "b"], wait=50.0)
    assert recovery.deadline == 150.0
    assert not recovery.check(149.9)
    assert recovery.check(150.0)
    assert recovery.over == "waited long enough for 2 peers: a, b"


def test_a_peer_that_is_removed_is_not_waited_for() -> None:
    recovery = Recovery(0.0, ["a", "b"])
    recovery.forget("a")
    recovery.told_all("b")
    assert recovery.check(1.0)


def test_a_renamed_peer_is_waited_for_under_its_new_name() -> None:
    recovery = Recovery(0.0, ["a"])
    recovery.rename("a", "b")
    recovery.rename("nobody", "c")
    recovery.told_all("a")
    assert not recovery.check(1.0)
    recovery.told_all("b")
    assert recovery.check(1.0)


def test_without_peers_nothing_is_waited_for() -> None:
    assert Recovery(0.0, []).check(0.0)


async def started(
    town: Town, clock: VirtualClock | None = None
) -> tuple[TabletopSpeaker, TabletopKernel]:
    kernel = TabletopKernel(adopted=OLD)
    plan = town.plan_for_strangers(2, keys={"holdTime": "0"})
    router = TabletopSpeaker(plan, kernel, clock=clock)
    await town.start(router)
    return router, kernel


@on_both_loops
async def test_adopted_routes_stay_until_end_of_rib_and_unwanted_ones_go_then() -> None:
    async with Town() as town:
        _, kernel = await started(town)
        assert "3 ipv4 kernel routes" in town.said.of("kernel_adopted")[0]["sentence"]
        one, two = await town.join(11, hold_time=0), await town.join(12, hold_time=0)
        one.announce("10.1.0.0/16", next_hop="10.0.2.11")
        one.send(end_of_rib())
        await until(lambda: kernel.seen()["10.1.0.0/16"] == "10.0.2.11 dev eth2")
        two.announce("10.2.0.0/16", next_hop="10.0.2.12")
        await until(lambda: kernel.seen()["10.2.0.0/16"] == "10.0.2.12 dev eth2")
        assert set(kernel.seen()) == set(OLD)
        two.send(end_of_rib())
        await until(lambda: set(kernel.seen()) == set(OLD[:2]))
        assert "every peer" in town.said.of("recovered")[0]["sentence"]


@on_both_loops
async def test_a_peer_that_never_comes_is_waited_for_no_longer_than_that() -> None:
    async with Town() as town:
        clock = VirtualClock()
        router, kernel = await started(town, clock)
        one = await town.join(11, hold_time=0)
        one.announce("10.1.0.0/16", next_hop="10.0.2.11")
        one.send(end_of_rib())
        await until(lambda: kernel.seen()["10.1.0.0/16"] == "10.0.2.11 dev eth2")
        clock.time += WAIT - 0.5
        router.work()
        await until(lambda: not router._turn._scheduled)
        assert set(kernel.seen()) == set(OLD)
        clock.time += 1.0
        router.work()
        await until(lambda: set(kernel.seen()) == {"10.1.0.0/16"})
        assert peer_at(router, 12).name in town.said.of("recovered")[0]["sentence"]


@on_both_loops
async def test_a_peer_that_is_reset_by_an_edit_is_still_waited_for() -> None:
    async with Town() as town:
        router, kernel = await started(town)
        await town.join(11, hold_time=0)
        other = await town.join(12, hold_time=0)
        plan = replace(peer_at(router, 11).plan, hold_time=30)
        await router.apply(replace(router.plan, peers={**router.plan.peers, plan.name: plan}))
        other.send(end_of_rib())
        ended = peer_at(router, 12).exchange
        assert ended is not None
        await until(lambda: ended.inbound.ended)
        assert set(kernel.seen()) == set(OLD)
        again = await town.join(11)
        again.announce("10.3.0.0/16", next_hop="10.0.2.11")
        again.send(end_of_rib())
        await until(lambda: set(kernel.seen()) == {"10.3.0.0/16"})


@on_both_loops
@pytest.mark.parametrize("withdraw", [False, True])
async def test_at_the_end_routes_stay_unless_somebody_asked(withdraw: bool) -> None:
    async with Town() as town:
        router, kernel = await started(town)
        peer = await town.join(11, hold_time=0)
        peer.announce("10.9.0.0/16", next_hop="10.0.2.11")
        await until(lambda: "10.9.0.0/16" in kernel.seen())
        await router.stop(withdraw=withdraw)
        await peer.until_closed()
        assert kernel.withdrawn is withdraw
        assert ("10.9.0.0/16" in kernel.seen()) is not withdraw
        assert best(router) == {"10.9.0.0/16": peer_at(router, 11).name}
