"""Why a route is there, or is not told, while somebody restarts or leaves."""

from __future__ import annotations

from dataclasses import replace

from fsm.capabilities import GracefulRestart, LongLivedGracefulRestart, tlv
from fsm.family import IPV4_UNICAST, Afi
from policy.outbound import Leaving
from policy.propagation import Withheld
from speaker.config.plan import RestartMode
from speaker.inquiry.reasons import InKernel, Note, Telling
from speaker.inquiry.way_out import DEMOTED
from speaker.inquiry.words import forwarding_text
from speaker.kernel.routes import Forwarding
from tests.support.routers import AS, Town, best, home, on_uvloop, peer_at, until
from tests.support.stories import Line, ask, check, tell
from tests.support.tabletop import TabletopKernel, TabletopSpeaker

ROUTE = "10.1.0.0/16"
GRACEFUL = tlv(GracefulRestart(False, False, 60, ((IPV4_UNICAST, True),)))
AT_ONCE = tlv(GracefulRestart(False, False, 0, ((IPV4_UNICAST, True),)))
LONG = tlv(LongLivedGracefulRestart(((IPV4_UNICAST, True, 90),)))

GONE = Line(
    Note.RESTARTING, ROUTE, "its session fell, and the peer restarts: it stays for 60 s at the most"
)
LAST = Line(
    Note.LAST_RESORT, ROUTE, "its peer is gone for long: a last resort, for 90 s at the most"
)
STALE = Line(
    Withheld.LLGR_STALE,
    ROUTE,
    "p12: community LLGR_STALE, and the peer does not know what that means",
)


@on_uvloop
async def test_a_route_of_a_peer_that_restarts_says_for_how_long_it_stays() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join(more=GRACEFUL)
        peer.announce(ROUTE)
        await until(lambda: best(router))
        peer.reset()
        await until(lambda: not peer_at(router, 11).is_established)
        check(router, [GONE])


@on_uvloop
async def test_a_last_resort_is_called_so_and_is_not_told_to_everybody() -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(2)
        peers = {
            name: replace(each, restart_mode=RestartMode.LONG_LIVED)
            for name, each in plan.peers.items()
        }
        router = await town.run(replace(plan, peers=peers))
        peer, other = await town.join(11, more=AT_ONCE + LONG), await town.join(12)
        peer.announce(ROUTE)
        await other.until(lambda: other.table)
        peer.reset()
        await other.until(lambda: not other.table)
        check(router, [LAST, STALE])


@on_uvloop
async def test_a_last_resort_that_is_told_as_a_last_choice_says_by_which_key() -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(2)
        peers = {
            name: replace(each, restart_mode=RestartMode.LONG_LIVED)
            for name, each in plan.peers.items()
        }
        [name] = [name for name, each in peers.items() if each.address == home(12)]
        peers[name] = replace(peers[name], peer_asn=AS, llgr_partial_deployment=True)
        router = await town.run(replace(plan, peers=peers))
        peer, other = await town.join(11, more=AT_ONCE + LONG), await town.join(12, asn=AS)
        peer.announce(ROUTE)
        await other.until(lambda: other.table)
        peer.reset()
        await other.until(lambda: other.table[ROUTE].local_pref == 0)
        check(router, [LAST])
        [told] = [each for each in ask(router, ROUTE).told if each.source and each.told]
        assert told.judged.operations == (DEMOTED,)
        assert dict(told.attributes)["LOCAL_PREF"] == "0"
        assert DEMOTED in tell(ask(router, ROUTE))


WAITING = "after End-of-RIB of p11"
DEFERRED = [
    Line(InKernel.DEFERRED, ROUTE, f"we have restarted: routes are installed {WAITING}"),
    Line(Telling.DEFERRED, ROUTE, f"p12: we have restarted: routes are told {WAITING}"),
]


@on_uvloop
async def test_before_routes_are_chosen_it_is_said_for_whom_they_wait() -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(2)
        [name] = [each.name for each in plan.peers.values() if each.address.endswith(".11")]
        before = {name: {IPV4_UNICAST: True}}
        router = TabletopSpeaker(plan, TabletopKernel(), before=before)
        await town.start(router)
        peer, _ = await town.join(11, more=GRACEFUL), await town.join(12)
        peer.announce(ROUTE, next_hop="10.0.2.11")
        await until(lambda: best(router))
        check(router, DEFERRED)


@on_uvloop
async def test_what_only_an_earlier_run_has_left_is_not_called_somebody_elses() -> None:
    async with Town() as town:
        router = TabletopSpeaker(town.plan_for_strangers(1), TabletopKernel(adopted=[ROUTE]))
        await town.start(router)
        assert "the kernel has it from an earlier run, and no peer" in tell(ask(router, ROUTE))
    by_object = Forwarding(nexthop=1340342272)
    assert forwarding_text(Afi.IPV4, by_object) == "nhid 1340342272"


LEAVING = Line(Withheld.LEAVING, ROUTE, "p12: this node is being taken out of service")


@on_uvloop
async def test_a_node_that_leaves_says_so() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peer, other = await town.join(11), await town.join(12)
        peer.announce(ROUTE)
        await other.until(lambda: other.table)
        router.service.tell(Leaving.SILENTLY)
        await other.until(lambda: not other.table)
        check(router, [LEAVING])


COVERED = [line.reason for line in (GONE, LAST, STALE, LEAVING, *DEFERRED)]
"""Reasons that are looked for here."""
