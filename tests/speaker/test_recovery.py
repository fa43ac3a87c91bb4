"""A start is over when every peer has told all it has, or when it has taken long enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.capabilities import GracefulRestart, tlv
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from speaker.config.plan import SELECTION_DEFERRAL
from speaker.recovery import RESTARTED_SILENCE, RESTARTED_WAIT, Recovery
from speaker.remembrance import peers_up
from tests.support.restarters import restart_in
from tests.support.routers import Town, best, home, on_both_loops, peer_at, until
from tests.support.scripted_peer import ScriptedPeer, end_of_rib
from tests.support.tabletop import TabletopKernel, TabletopSpeaker, VirtualClock

OLD = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]


V4, V6 = IPV4_UNICAST, IPV6_UNICAST
BOTH = (V4, V6)
ALL_TOLD = "every peer has told all it has"


def recovering(*names: str, wait: float = SELECTION_DEFERRAL) -> Recovery:
    return Recovery(100.0, {name: {V4: True} for name in names}, wait)


def test_routes_are_chosen_when_the_last_peer_has_told_all() -> None:
    recovery = recovering("a", "b")
    assert recovery.decide(101.0) == {V6: ALL_TOLD}
    recovery.told_all("a", BOTH)
    assert recovery.decide(101.0) == {}
    assert recovery.is_deferring(V4)
    recovery.told_all("b", BOTH)
    assert recovery.decide(101.0) == {V4: ALL_TOLD}
    assert not recovery.is_deferring(V4)
    assert recovery.decide(102.0) == {}


def test_families_do_not_wait_for_each_other() -> None:
    recovery = Recovery(0.0, {"a": {V4: True, V6: True}})
    recovery.told_all("a", (V6,))
    assert recovery.decide(1.0) == {V6: ALL_TOLD}
    assert recovery.finish(1.0) == {V6: ALL_TOLD}
    assert recovery.waiting() == {V4: ("a",)}
    assert recovery.is_restarting


def test_nobody_is_waited_for_beyond_a_time() -> None:
    recovery = recovering("a", "b", wait=50.0)
    recovery.decide(100.0)
    assert recovery.deadline == 150.0
    assert recovery.decide(149.9) == {}
    why = "waited long enough for 2 peers: a, b"
    assert recovery.decide(150.0) == {V4: why}
    assert recovery.finish(150.0) == {V4: why, V6: ALL_TOLD}
    assert recovery.is_over


def test_how_long_may_be_said_while_it_waits() -> None:
    recovery = recovering("a")
    recovery.wait = 5.0
    assert V4 not in recovery.decide(104.9)
    assert V4 in recovery.decide(105.0)


@pytest.mark.parametrize("ended", [(), (V6,)])
def test_selection_does_not_wait_for_who_will_not_say_when_he_has_told_all(
    ended: tuple[Family, ...],
) -> None:
    """RFC 4724 §4.1."""
    recovery = recovering("a")
    recovery.came_up("a", ended, 101.0, has_restarted=False)
    assert V4 in recovery.decide(101.0)
    # What the kernel has of such a peer's routes stays until they are here, all the same.
    assert V4 not in recovery.finish(101.0)
    recovery.told_all("a", BOTH)
    assert V4 in recovery.finish(101.0)


def test_a_peer_that_restarts_gracefully_with_us_is_waited_for() -> None:
    recovery = recovering("a")
    recovery.came_up("a", BOTH, 101.0, has_restarted=False)
    assert V4 not in recovery.decide(219.0)
    assert recovery.next_look(219.0) == 220.0


def test_who_has_restarted_himself_is_waited_for_for_a_short_time() -> None:
    """Two that have restarted must not wait for each other; but some only say so."""
    recovery = recovering("a", "b")
    recovery.decide(100.0)
    recovery.came_up("a", BOTH, 101.0, has_restarted=True)
    assert V4 not in recovery.decide(107.0)
    recovery.came_up("b", BOTH, 107.0, has_restarted=True)
    told_first = recovery.next_look(107.0)
    assert told_first == 107.0 + RESTARTED_SILENCE
    assert not recovery.is_told_first("b", V4, told_first - 0.1)
    assert recovery.is_told_first("b", V4, told_first)
    assert not recovery.is_told_first("c", V4, told_first)
    given_up = recovery.next_look(told_first)
    assert given_up == 107.0 + RESTARTED_WAIT
    assert V4 not in recovery.decide(given_up - 0.1)
    recovery.told_all("a", BOTH)
    assert recovery.decide(given_up) == {V4: "waited long enough for 1 peers: b"}
    assert not recovery.is_told_first("b", V4, given_up)
    # What the kernel has of such a peer's routes stays until they are here, all the same.
    assert V4 not in recovery.finish(113.0)


def test_who_has_restarted_himself_and_tells_all_is_not_missed() -> None:
    recovery = recovering("a")
    recovery.came_up("a", BOTH, 101.0, has_restarted=True)
    recovery.told_all("a", BOTH)
    assert recovery.decide(101.1)[V4] == ALL_TOLD


def test_who_did_not_restart_gracefully_before_is_waited_for_by_adopted_routes_alone() -> None:
    recovery = Recovery(100.0, {"a": {V4: False}})
    assert V4 in recovery.decide(101.0)
    assert V4 not in recovery.finish(101.0)
    recovery.told_all("a", BOTH)
    assert V4 in recovery.finish(102.0)


def test_adopted_routes_stay_while_routes_are_not_chosen() -> None:
    recovery = recovering("a")
    assert recovery.finish(1000.0) == {}


def test_whose_session_falls_has_to_tell_all_again() -> None:
    recovery = Recovery(100.0, {"a": {V4: True}, "b": {V4: True}, "c": {V4: False}})
    for name in ("a", "c"):
        recovery.told_all(name, BOTH)
        recovery.fell(name)
        recovery.rename(name, name.upper())
    recovery.told_all("b", BOTH)
    assert V4 not in recovery.decide(101.0)
    assert recovery.waiting() == {V4: ("A", "C"), V6: ()}
    recovery.told_all("A", BOTH)
    # Selection never waited for the other.
    assert V4 in recovery.decide(101.0)
    assert V4 not in recovery.finish(101.0)
    recovery.fell("A")
    assert not recovery.is_deferring(V4)
    recovery.told_all("C", BOTH)
    assert V4 not in recovery.finish(101.0)
    recovery.forget("A")
    assert recovery.finish(101.0)[V4] == ALL_TOLD
    recovery.fell("C")
    assert recovery.is_over


def test_a_peer_that_is_removed_is_not_waited_for() -> None:
    recovery = recovering("a", "b")
    recovery.forget("a")
    recovery.told_all("b", BOTH)
    assert V4 in recovery.decide(101.0)


def test_a_renamed_peer_is_waited_for_under_its_new_name() -> None:
    recovery = recovering("a")
    recovery.rename("a", "b")
    recovery.rename("nobody", "c")
    assert recovery.waiting()[V4] == ("b",)
    recovery.told_all("a", BOTH)
    assert V4 not in recovery.decide(101.0)
    recovery.told_all("b", BOTH)
    assert V4 in recovery.decide(101.0)


def test_a_first_start_waits_for_nobody() -> None:
    recovery = Recovery(0.0, {})
    assert not recovery.is_restart
    assert set(recovery.decide(0.0)) == set(BOTH)
    assert not recovery.is_restarting
    assert set(recovery.finish(0.0)) == set(BOTH)


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
        one.announce("10.1.0.0/16", "10.9.0.0/16", next_hop="10.0.2.11")
        one.send(end_of_rib())
        await until(lambda: len(best(router)) == 2)
        clock.time += SELECTION_DEFERRAL - 0.5
        router.work()
        await until(lambda: router.is_idle)
        assert set(kernel.seen()) == set(OLD)
        clock.time += 1.0
        router.work()
        await until(lambda: set(kernel.seen()) == {"10.1.0.0/16", "10.9.0.0/16"})
        assert peer_at(router, 12).name in town.said.of("recovered")[0]["sentence"]


@on_both_loops
async def test_an_edit_shortens_the_wait_that_is_under_way() -> None:
    async with Town() as town:
        router, kernel = await started(town)
        one = await town.join(11, hold_time=0, more=GRACEFUL)
        one.announce(OLD[0], next_hop="10.0.2.11")
        one.send(end_of_rib())
        await until(lambda: len(best(router)) == 1)
        assert set(kernel.seen()) == set(OLD)
        await router.apply(replace(router.plan, selection_deferral=0.1))
        await until(lambda: set(kernel.seen()) == {OLD[0]})
        assert router.recovery.is_over


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
        await town.join(12, hold_time=0)
        peer.announce("10.9.0.0/16", next_hop="10.0.2.11")
        await until(lambda: "10.9.0.0/16" in kernel.seen())
        await router.stop(withdraw=withdraw)
        await peer.until_closed()
        assert kernel.withdrawn is withdraw
        assert ("10.9.0.0/16" in kernel.seen()) is not withdraw
        assert best(router) == {"10.9.0.0/16": peer_at(router, 11).name}


def restart_of(peer: ScriptedPeer) -> GracefulRestart:
    """Give what a router said of its restarts in its OPEN."""
    assert peer.open is not None
    return restart_in(peer.open.capabilities)


GRACEFUL = tlv(GracefulRestart(False, False, 60, ((V4, False),)))
RESTARTED = tlv(GracefulRestart(True, False, 60, ((V4, True),)))


HELPER = tlv(GracefulRestart(False, False, 120, ()))
"""It does not restart gracefully itself, and marks the end of what it tells all the same."""


@on_both_loops
@pytest.mark.parametrize("offer", [GRACEFUL, HELPER])
async def test_nothing_is_told_before_routes_are_chosen_and_the_open_says_that_we_restart(
    offer: bytes,
) -> None:
    async with Town() as town:
        router, kernel = await started(town)
        one = await town.join(11, hold_time=0, more=offer)
        two = await town.join(12, hold_time=0, more=offer)
        assert restart_of(one) == GracefulRestart(True, True, 120, ((V4, True),))
        one.announce("10.1.0.0/16", next_hop="10.0.2.11")
        one.send(end_of_rib())
        await until(lambda: len(best(router)) == 1)
        await until(lambda: router.is_idle)
        assert kernel.seen()["10.1.0.0/16"] == "blackhole"
        assert (two.table, two.ended) == ({}, set())
        two.send(end_of_rib())
        await two.until_ended()
        assert set(two.table) == {"10.1.0.0/16"}
        await until(lambda: set(kernel.seen()) == {"10.1.0.0/16"})
        # What is forwarded by was never interrupted, so the next session may say so.
        one.close()
        await until(lambda: peer_at(router, 11).session.would_accept())
        again = await town.join(11, hold_time=0, more=GRACEFUL)
        assert restart_of(again) == GracefulRestart(False, True, 120, ((V4, True),))


@on_both_loops
async def test_who_cannot_restart_gracefully_himself_but_keeps_our_routes_is_waited_for() -> None:
    """RFC 4724 §3: the capability without a family says that End-of-RIB will come."""
    async with Town() as town:
        await started(town)
        aware = tlv(GracefulRestart(False, False, 0, ()))
        one, two = await town.join(11, hold_time=0, more=aware), await town.join(12, hold_time=0)
        two.send(end_of_rib())
        one.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: len(best(town.routers[0])) == 1)
        await until(lambda: town.routers[0].is_idle)
        assert two.table == {}
        one.send(end_of_rib())
        await two.until(lambda: set(two.table) == {"10.1.0.0/16"})


@on_both_loops
async def test_who_alone_is_missing_and_has_restarted_too_is_told_first() -> None:
    async with Town() as town:
        router, kernel = await started(town)
        one = await town.join(11, hold_time=0, more=GRACEFUL)
        two = await town.join(12, hold_time=0, more=RESTARTED)
        one.announce(OLD[0], next_hop="10.0.2.11")
        one.send(end_of_rib())
        await two.until(lambda: set(two.table) == {OLD[0]})
        await two.until_ended()
        assert one.ended == set()
        assert set(kernel.seen()) == set(OLD)
        two.announce(OLD[1], next_hop="10.0.2.12")
        two.send(end_of_rib())
        await one.until_ended()
        assert set(one.table) == {OLD[1]}
        await until(lambda: set(kernel.seen()) == set(OLD[:2]))
        assert router.recovery.is_over


@on_both_loops
async def test_a_first_start_says_nothing_of_a_restart_and_waits_for_nobody() -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(2, keys={"holdTime": "0"})
        router = TabletopSpeaker(plan, TabletopKernel())
        await town.start(router)
        one = await town.join(11, hold_time=0, more=GRACEFUL)
        assert restart_of(one) == GracefulRestart(False, True, 120, ((V4, False),))
        await one.until_ended()
        assert router.recovery.is_over


@on_both_loops
@pytest.mark.parametrize("known", [False, True])
async def test_a_peer_that_was_not_up_before_is_not_waited_for(known: bool) -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(2, keys={"holdTime": "0"})
        [name] = [peer.name for peer in plan.peers.values() if peer.address == home(11)]
        before = {name: {V4: True}, "somebody else": {V4: True}} if known else None
        router = TabletopSpeaker(plan, TabletopKernel(adopted=OLD), before=before)
        await town.start(router)
        one = await town.join(11, hold_time=0, more=GRACEFUL)
        # Who has not come back by the next restart is waited for then.
        assert peers_up(router).keys() == ({name} if known else set(plan.peers))
        one.send(end_of_rib())
        if known:
            await one.until_ended()
        else:
            await until(lambda: peer_at(router, 12).name in router.recovery.waiting()[V4])
            assert not one.ended


@on_both_loops
@pytest.mark.parametrize("restart", [False, True])
async def test_a_planned_restart_is_no_news_to_those_who_keep_our_routes(restart: bool) -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11, more=GRACEFUL), await town.join(12)
        expected = {peer_at(router, 11).name: {V4: True}, peer_at(router, 12).name: {V4: False}}
        assert peers_up(router) == expected
        await router.stop(restart=restart)
        await one.until_closed()
        await two.until_closed()
        assert (one.notification is None) == restart
        assert len(town.said.of("session_left")) == restart
        assert len(town.said.of("session_down")) == 2 - restart
        assert not town.said.of("routes_ordered")
        assert two.notification is not None
