"""A peer falls and comes back: what others hear of it, and what the tables hold meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.capabilities import (
    EnhancedRouteRefresh,
    GracefulRestart,
    LongLivedGracefulRestart,
    tlv,
)
from fsm.family import IPV4_UNICAST
from fsm.messages import RefreshSubtype
from fsm.notifications import Cease, Code, Notification, hard_reset
from policy.operations import SetLocalPref
from policy.rules import Action, Rule
from speaker.config.plan import RestartMode
from speaker.inquiry.inquiry import why
from speaker.speaker import Speaker
from tests.support.routers import AS, Town, best, home, is_up, on_uvloop, peer_at, until
from tests.support.scripted_peer import ScriptedPeer, end_of_rib, notification, route_refresh

ROUTES = ("10.1.0.0/16", "10.2.0.0/16")
LLGR_STALE, NO_LLGR, NO_EXPORT = (65535, 6), (65535, 7), (65535, 65281)


def capability(seconds: int = 60, *, forwards: bool = True, notified: bool = False) -> bytes:
    return tlv(GracefulRestart(False, notified, seconds, ((IPV4_UNICAST, forwards),)))


def last_resort(seconds: int, *, forwards: bool = True) -> bytes:
    return tlv(LongLivedGracefulRestart(((IPV4_UNICAST, forwards, seconds),)))


GRACEFUL = capability()


async def settled(town: Town, more: bytes = GRACEFUL) -> tuple[ScriptedPeer, ...]:
    """Let a peer tell two routes to another."""
    one, two = await town.join(11, more=more), await town.join(12, more=last_resort(60) + GRACEFUL)
    one.announce(*ROUTES)
    await two.until(lambda: len(two.table) == 2)
    await grown_up(town.routers[0])
    return one, two


async def grown_up(router: Speaker) -> None:
    """Wait until the first peer's session has lived: else there is a back-off when it falls."""
    since = peer_at(router, 11).session.established_since
    assert since is not None
    await until(lambda: router.clock.now() - since > 0.1)


async def lose(router: Speaker, one: ScriptedPeer) -> None:
    """Cut the connection of the first peer."""
    await grown_up(router)
    one.reset()
    await until(lambda: not peer_at(router, 11).is_established)


async def router_for_two(town: Town, **fields: object) -> Speaker:
    plan = town.plan_for_strangers(2)
    peers = {name: replace(peer, **fields) for name, peer in plan.peers.items()}  # type: ignore[arg-type]
    return await town.run(replace(plan, peers=peers))


async def edit(router: Speaker, number: int = 11, **fields: object) -> None:
    """Edit a peer, by default the first."""
    plan = replace(peer_at(router, number).plan, **fields)  # type: ignore[arg-type]
    await router.apply(replace(router.plan, peers={**router.plan.peers, plan.name: plan}))


def tellers(router: Speaker) -> dict[str, str]:
    """Tell who told the best path of each prefix, by address."""
    return {prefix: router.peers[name].plan.address for prefix, name in best(router).items()}


@on_uvloop
async def test_what_a_peer_tells_again_unchanged_is_no_change_to_anybody() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town)
        heard = two.announced
        await lose(router, one)
        assert set(best(router)) == set(ROUTES)
        one = await town.join(11, more=GRACEFUL)
        one.announce(ROUTES[0])
        one.send(end_of_rib())
        await two.until(lambda: len(two.table) == 1)
        assert set(two.table) == {ROUTES[0]}
        assert (two.announced, two.withdrawn) == (heard, 1)


FIRST, MIDDLE, LAST = "1.1.1.1", "2.2.2.2", "3.3.3.3"


@on_uvloop
async def test_a_peer_with_another_identifier_tells_its_routes_again_as_ever() -> None:
    """RFC 4724 §4.2 does not ask for the BGP Identifier; which of two routes is better does."""
    async with Town() as town:
        router = await router_for_two(town)
        one = await town.join(11, more=GRACEFUL, router_id=FIRST)
        two = await town.join(12, router_id=MIDDLE)
        one.announce(*ROUTES)
        await two.until(lambda: len(two.table) == 2)
        two.announce(ROUTES[0], "10.3.0.0/16")
        await until(lambda: len(best(router)) == 3)
        await lose(router, one)
        one = await town.join(11, more=GRACEFUL, router_id=LAST)
        # Nothing was told yet, and a route that comes meanwhile changes nothing of it.
        two.announce("10.4.0.0/16")
        await until(lambda: "10.4.0.0/16" in best(router))
        assert tellers(router)[ROUTES[0]] == tellers(router)[ROUTES[1]] == home(11)
        assert f"({MIDDLE} against {FIRST})" in str(why(router, ROUTES[0]))
        assert two.withdrawn == 0
        one.announce(ROUTES[0])
        await until(lambda: tellers(router)[ROUTES[0]] == home(12))
        assert f"({LAST} against {MIDDLE})" in str(why(router, ROUTES[0]))
        one.send(end_of_rib())
        await until(lambda: ROUTES[1] not in best(router))
        assert tellers(router)[ROUTES[0]] == home(12)


@on_uvloop
async def test_a_peer_whose_identifier_loses_no_tie_keeps_its_place() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one = await town.join(11, more=GRACEFUL, router_id=LAST)
        two = await town.join(12, router_id=MIDDLE)
        two.announce(ROUTES[0])
        one.announce(*ROUTES)
        await two.until(lambda: ROUTES[1] in two.table)
        assert tellers(router)[ROUTES[0]] == home(12)
        await lose(router, one)
        one = await town.join(11, more=GRACEFUL, router_id=FIRST)
        one.announce(*ROUTES)
        one.send(end_of_rib())
        await until(lambda: tellers(router)[ROUTES[0]] == home(11))
        await until(lambda: not peer_at(router, 11).restarts.helper.waits)
        assert two.withdrawn == 0
        assert set(best(router)) == set(ROUTES)


@on_uvloop
async def test_a_route_that_is_reflected_names_the_identifier_under_which_it_was_told() -> None:
    """RFC 4456 §8."""
    async with Town() as town:
        plan = town.plan_for_strangers(2, asn=AS, keys={"routeReflectorClient": "on"})
        router = await town.run(plan)
        one = await town.join(11, asn=AS, more=GRACEFUL, router_id=FIRST)
        two = await town.join(12, asn=AS)
        one.announce(*ROUTES, path=(), local_pref=100)
        await two.until(lambda: {each.originator_id for each in two.table.values()} == {FIRST})
        assert len(two.table) == 2
        await lose(router, one)
        one = await town.join(11, asn=AS, more=GRACEFUL, router_id=LAST)
        one.announce(ROUTES[0], path=(), local_pref=100)
        await two.until(lambda: two.table[ROUTES[0]].originator_id == LAST)
        assert two.table[ROUTES[1]].originator_id == FIRST
        one.announce(ROUTES[1], path=(), local_pref=100)
        one.send(end_of_rib())
        await two.until(lambda: two.table[ROUTES[1]].originator_id == LAST)
        await until(lambda: not peer_at(router, 11).restarts.helper.waits)
        assert two.withdrawn == 0


@on_uvloop
async def test_routes_of_a_peer_that_stays_away_go_after_the_restart_time() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town, capability(1))
        before = router.clock.now()
        await lose(router, one)
        assert two.withdrawn == 0
        await two.until(lambda: not two.table)
        assert 0.9 < router.clock.now() - before < 5.0
        assert best(router) == {}


@on_uvloop
async def test_without_the_capability_routes_go_at_once() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town, b"")
        await lose(router, one)
        await two.until(lambda: not two.table)


@on_uvloop
async def test_a_peer_that_did_not_forward_meanwhile_is_not_believed() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town)
        await lose(router, one)
        await town.join(11, more=capability(forwards=False))
        await two.until(lambda: not two.table)


@on_uvloop
async def test_a_peer_that_restarted_is_heard_although_the_old_connection_seems_alive() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        _, two = await settled(town)
        again = await town.join(11, more=GRACEFUL)
        again.announce(*ROUTES)
        again.send(end_of_rib())
        await until(lambda: not peer_at(router, 11).restarts.helper.waits)
        assert two.withdrawn == 0
        assert "the peer opened another" in str(peer_at(router, 11).session.last_down)


@on_uvloop
@pytest.mark.parametrize(("notified", "hard", "stays"), [(1, 0, 1), (1, 1, 0), (0, 0, 0)])
async def test_a_notification_lets_routes_stay_where_both_agreed(
    notified: bool, hard: bool, stays: bool
) -> None:
    """RFC 8538 §4."""
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town, capability(notified=bool(notified)))
        said = Notification(Code.CEASE, Cease.ADMINISTRATIVE_RESET)
        if hard:
            said = hard_reset(said)
        one.send(notification(said.code, said.subcode, said.data))
        await until(lambda: not peer_at(router, 11).is_established)
        if stays:
            assert set(best(router)) == set(ROUTES)
        else:
            await two.until(lambda: not two.table)


@on_uvloop
async def test_a_session_that_an_operator_ends_leaves_nothing() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town)
        await lose(router, one)
        peer_at(router, 11).stop()
        await two.until(lambda: not two.table)


@on_uvloop
async def test_a_filter_that_is_edited_meanwhile_holds_for_what_stays() -> None:
    async with Town() as town:
        router = await router_for_two(town)
        one, two = await settled(town)
        await lose(router, one)
        await edit(router, import_rules=((IPV4_UNICAST, (Rule(Action.REJECT),)),))
        await two.until(lambda: not two.table)
        await edit(router, import_rules=())
        await two.until(lambda: len(two.table) == 2)


@on_uvloop
async def test_a_peer_that_is_gone_for_long_leaves_its_routes_as_a_last_resort() -> None:
    """RFC 9494 §4.2-4.3."""
    async with Town() as town:
        router = await router_for_two(town, restart_mode=RestartMode.LONG_LIVED, restart_time=9)
        one, two = await settled(town, capability(0) + last_resort(2))
        one.announce("10.3.0.0/16", communities=[NO_LLGR])
        await two.until(lambda: len(two.table) == 3)
        await lose(router, one)
        await two.until(lambda: len(two.table) == 2)
        await two.until(lambda: two.table[ROUTES[0]].communities == {LLGR_STALE})
        # Whatever else there is, is better.
        two.announce(ROUTES[0], path=(65012, 1, 2, 3, 4))
        await until(lambda: tellers(router).get(ROUTES[0]) == home(12))
        assert tellers(router)[ROUTES[1]] == home(11)
        await two.until(lambda: not two.table)
        assert tellers(router) == {ROUTES[0]: home(12)}


@on_uvloop
@pytest.mark.parametrize("partial", [False, True])
async def test_a_last_resort_is_not_told_to_those_who_would_take_it_for_fresh(
    partial: bool,
) -> None:
    """RFC 9494 §4.3; partial deployment means nothing to an external peer (§4.6)."""
    async with Town() as town:
        router = await router_for_two(
            town,
            restart_mode=RestartMode.LONG_LIVED,
            restart_time=9,
            llgr_partial_deployment=partial,
        )
        one, two = await town.join(11, more=capability(0) + last_resort(60)), await town.join(12)
        one.announce(*ROUTES)
        await two.until(lambda: len(two.table) == 2)
        await lose(router, one)
        await two.until(lambda: not two.table)
        assert set(best(router)) == set(ROUTES)
        again = await town.join(11, more=capability(0) + last_resort(60))
        again.announce(*ROUTES)
        again.send(end_of_rib())
        await two.until(lambda: len(two.table) == 2)
        assert not two.table[ROUTES[0]].communities


async def last_resort_within_the_as(
    town: Town, rules: tuple[Rule, ...] = (), **fields: object
) -> tuple[Speaker, ScriptedPeer]:
    """Have an internal peer hear routes of an external one, which goes; the peer knows no LLGR."""
    plan = town.plan_for_strangers(2)
    long_lived = {"restart_mode": RestartMode.LONG_LIVED, "restart_time": 9}
    inside = {"peer_asn": AS, **fields}
    outside = {"import_rules": ((IPV4_UNICAST, rules),) if rules else ()}
    peers = {
        name: replace(peer, **long_lived, **(inside if peer.address == home(12) else outside))  # type: ignore[arg-type]
        for name, peer in plan.peers.items()
    }
    router = await town.run(replace(plan, peers=peers))
    one = await town.join(11, more=capability(0) + last_resort(60))
    two = await town.join(12, asn=AS)
    one.announce(*ROUTES)
    await two.until(lambda: len(two.table) == 2)
    await lose(router, one)
    return router, two


@on_uvloop
async def test_where_the_operator_says_so_an_internal_peer_takes_it_for_a_last_choice() -> None:
    """RFC 9494 §4.6; what is told again is fresh, in one UPDATE each."""
    async with Town() as town:
        router, two = await last_resort_within_the_as(town, llgr_partial_deployment=True)
        await two.until(
            lambda: {each.local_pref for each in two.table.values()} == {0} and len(two.table) == 2
        )
        assert {each.communities for each in two.table.values()} == {
            frozenset({LLGR_STALE, NO_EXPORT})
        }
        again = await town.join(11, more=capability(0) + last_resort(60))
        again.announce(*ROUTES)
        again.send(end_of_rib())
        await two.until(lambda: {each.local_pref for each in two.table.values()} == {100})
        assert not any(each.communities for each in two.table.values())
        assert two.withdrawn == 0
        assert is_up(router)


@on_uvloop
async def test_the_word_of_the_operator_may_come_and_go_meanwhile() -> None:
    async with Town() as town:
        router, two = await last_resort_within_the_as(town)
        await two.until(lambda: not two.table)
        await edit(router, 12, llgr_partial_deployment=True)
        await two.until(lambda: len(two.table) == 2)
        assert {each.local_pref for each in two.table.values()} == {0}
        await edit(router, 12, llgr_partial_deployment=False)
        await two.until(lambda: not two.table)
        assert two.notification is None


@on_uvloop
async def test_a_peer_that_knows_a_last_resort_is_told_it_as_it_is() -> None:
    async with Town() as town:
        router = await router_for_two(
            town, restart_mode=RestartMode.LONG_LIVED, llgr_partial_deployment=True
        )
        one, two = await settled(town, capability(0) + last_resort(60))
        await lose(router, one)
        await two.until(lambda: two.table[ROUTES[0]].communities == {LLGR_STALE})


@on_uvloop
async def test_a_rule_makes_all_last_resorts_alike_here_and_for_others() -> None:
    """RFC 9494 §4.6: LOCAL_PREF 0 throughout the AS is for an import rule of the operator."""
    async with Town() as town:
        zero = Rule(
            Action.ACCEPT,
            communities=(LLGR_STALE[0] << 16 | LLGR_STALE[1],),
            operations=(SetLocalPref(0),),
        )
        router, two = await last_resort_within_the_as(town, (zero,), llgr_partial_deployment=True)
        await two.until(lambda: {each.local_pref for each in two.table.values()} == {0})
        best_paths = router.loc_ribs[IPV4_UNICAST].best.values()
        assert {path.attributes.local_pref for path in best_paths} == {0}


@on_uvloop
async def test_a_refresh_before_end_of_rib_makes_nothing_stale_again() -> None:
    """RFC 7313 §4: a BoRR is ignored until then."""
    async with Town() as town:
        router = await router_for_two(town)
        marked = GRACEFUL + tlv(EnhancedRouteRefresh())
        one, two = await settled(town, marked)
        await lose(router, one)
        one = await town.join(11, more=marked)
        one.send(route_refresh(subtype=RefreshSubtype.BEGIN))
        one.announce(ROUTES[0])
        one.send(route_refresh(subtype=RefreshSubtype.END))
        one.announce("10.3.0.0/16")
        await two.until(lambda: "10.3.0.0/16" in two.table)
        assert ROUTES[1] in two.table
        one.send(end_of_rib())
        await two.until(lambda: ROUTES[1] not in two.table)
        assert set(two.table) == {ROUTES[0], "10.3.0.0/16"}
