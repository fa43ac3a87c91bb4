"""Settings that say which routes of a peer are taken, and how patient a session is."""

from __future__ import annotations

import pytest

from fsm.family import IPV4_UNICAST
from policy.path import Path
from policy.prefix import parse_prefix
from speaker.speaker import Speaker
from tests.support.routers import (
    AS,
    Town,
    best,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
)
from tests.support.scripted_peer import attribute, capability, keepalive, prefix, update


def best_path(router: Speaker, prefix: str) -> Path:
    return router.loc_ribs[IPV4_UNICAST].best[parse_prefix(prefix)[1]]


# The first AS of a path.


@on_uvloop
@pytest.mark.parametrize(
    ("policy", "keys", "enforced"),
    [
        ("plain", {}, True),
        ("plain", {"enforceFirstAS": "off"}, False),
        ("plain", {"role": "rs-client"}, False),
        ("calico", {}, False),
        ("calico", {"enforceFirstAS": "on"}, True),
    ],
)
async def test_a_path_begins_with_the_peers_as_where_that_is_enforced(
    policy: str, keys: dict[str, str], enforced: bool
) -> None:
    """RFC 4271 §6.3, RFC 7606 §3 e; a route server leaves itself out (RFC 7947 §2.2.2.1)."""
    async with Town() as town:
        router = await town.run_for_strangers(keys=keys, settings={"policy": policy})
        peer = await town.join()
        peer.announce("10.1.0.0/16", "10.2.0.0/16")
        await until(lambda: len(best(router)) == 2)
        peer.announce("10.1.0.0/16", path=(65500, 65011))
        peer.announce("10.3.0.0/16", path=())
        peer.announce("10.4.0.0/16")
        await until(lambda: "10.4.0.0/16" in best(router))
        gone = {"10.1.0.0/16", "10.3.0.0/16"}
        assert gone.isdisjoint(best(router)) if enforced else gone <= set(best(router))
        assert is_up(router)


@on_uvloop
async def test_paths_within_an_as_begin_with_anything() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(asn=AS, keys={"enforceFirstAS": "on"})
        peer = await town.join(asn=AS)
        peer.announce("10.1.0.0/16", path=(65500,), local_pref=100)
        await until(lambda: best(router))


@on_both_loops
async def test_a_route_that_was_refused_comes_in_once_the_rule_is_off() -> None:
    """No reset: the peer is asked to tell its routes again."""
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.announce("10.1.0.0/16", path=(65500,))
        peer.announce("10.2.0.0/16")
        await until(lambda: set(best(router)) == {"10.2.0.0/16"})
        await router.apply(town.plan_for_strangers(keys={"enforceFirstAS": "off"}))
        await peer.until(lambda: "refresh 0" in peer.story)
        peer.announce("10.1.0.0/16", path=(65500,))
        await until(lambda: len(best(router)) == 2)


# Sets of AS numbers.


@on_uvloop
@pytest.mark.parametrize(
    ("policy", "keys", "taken"),
    [
        ("plain", {}, False),
        ("plain", {"asSets": "on"}, True),
        ("calico", {}, True),
        ("calico", {"asSets": "off"}, False),
    ],
)
async def test_a_path_with_a_set_is_taken_where_the_operator_says_so(
    policy: str, keys: dict[str, str], taken: bool
) -> None:
    """RFC 9774 §3."""
    async with Town() as town:
        router = await town.run_for_strangers(keys=keys, settings={"policy": policy})
        peer = await town.join()
        peer.announce("10.1.0.0/16")
        await until(lambda: best(router))
        peer.announce("10.1.0.0/16", as_set=(7, 8))
        peer.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in best(router))
        assert ("10.1.0.0/16" in best(router)) == taken
        assert is_up(router)


# The accumulated metric.


@on_both_loops
@pytest.mark.parametrize(
    ("asn", "word", "travels"),
    [(None, None, False), (None, "on", True), (AS, None, True), (AS, "off", False)],
)
async def test_the_metric_goes_both_ways_where_the_session_has_it(
    asn: int | None, word: str | None, travels: bool
) -> None:
    """RFC 7311 §3.3: by default within the AS. 11 and 12 are alike, 13 reads and tells it."""
    async with Town() as town:
        keys = {"passive": "on", "routeReflectorClient": "on"} if asn else {"passive": "on"}
        mine = keys | ({} if word is None else {"aigp": word})
        plan = town.plan(
            "r1",
            town.settings(),
            town.node("r1", 1),
            *(town.peer(f"p{n}", n, asn or 65000 + n, node="r1", keys=mine) for n in (11, 12)),
            town.peer("p13", 13, 65013, node="r1", keys={"passive": "on", "aigp": "on"}),
        )
        await town.run(plan)
        one, two = [await town.join(n, asn=asn or 65000 + n) for n in (11, 12)]
        reader = await town.join(13)
        path, local_pref = ((), 100) if asn else (None, None)
        one.announce("10.1.0.0/16", aigp=77, path=path, local_pref=local_pref)
        reader.announce("10.3.0.0/16", aigp=5)
        await two.until(lambda: len(two.table) == 2)
        await reader.until(lambda: "10.1.0.0/16" in reader.table)
        assert (two.table["10.1.0.0/16"].aigp is not None) == travels
        assert (two.table["10.3.0.0/16"].aigp is not None) == travels
        assert (reader.table["10.1.0.0/16"].aigp is not None) == travels


@on_uvloop
async def test_routes_of_the_node_get_a_metric_where_that_is_asked_for() -> None:
    """RFC 7311 §3.4.1: it is off by default."""
    async with Town() as town:
        networks = {"networks": "10.7.0.0/16"}
        router = await town.run_for_strangers(keys={"aigp": "on"}, settings=networks)
        peer = await town.join()
        await peer.until(lambda: peer.table)
        assert peer.table["10.7.0.0/16"].aigp is None
        plan = town.plan_for_strangers(keys={"aigp": "originate"}, settings=networks)
        await router.apply(plan)
        await peer.until(lambda: peer.table["10.7.0.0/16"].aigp == 0)
        assert is_up(router)


@on_uvloop
async def test_the_smaller_metric_wins_over_the_shorter_path() -> None:
    """RFC 7311 §4.1: and a route that has one over a route that has none."""
    async with Town() as town:
        router = await town.run_for_strangers(3, keys={"aigp": "on"})
        one, two, three = [await town.join(n) for n in (11, 12, 13)]
        names = {n: peer_at(router, n).name for n in (11, 12, 13)}
        three.announce("10.1.0.0/16")
        await until(lambda: best(router) == {"10.1.0.0/16": names[13]})
        one.announce("10.1.0.0/16", path=(65011, 1, 2), aigp=30)
        await until(lambda: best(router) == {"10.1.0.0/16": names[11]})
        two.announce("10.1.0.0/16", path=(65012, 1, 2, 3), aigp=29)
        await until(lambda: best(router) == {"10.1.0.0/16": names[12]})
        two.announce("10.1.0.0/16", path=(65012, 1, 2, 3), aigp=31)
        await until(lambda: best(router) == {"10.1.0.0/16": names[11]})


# What a peer must have.


@on_both_loops
@pytest.mark.parametrize("has", [True, False])
async def test_a_peer_must_have_what_is_required(has: bool) -> None:
    """RFC 5492 §5: the error has the capability in it."""
    async with Town() as town:
        keys = {"require": "families, enhancedRefresh"}
        router = await town.run_for_strangers(keys=keys)
        peer = await town.call()
        peer.send_open(more=capability(70) if has else b"")
        await peer.until(lambda: peer.open)
        peer.send(keepalive())
        if has:
            await until(lambda: is_up(router))
            return
        await peer.until_closed()
        assert peer.notification == (2, 7, capability(70))
        assert "EnhancedRouteRefresh" in str(peer_at(router, 11).explanation)


@on_uvloop
async def test_what_is_not_offered_is_not_required() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(keys={"require": "extendedMessages,addPath"})
        reasons = [c.reason for c in router.plan.conditions]
        assert reasons == ["NotOffered", "NotOffered"]
        await town.join()
        assert is_up(router)


@on_uvloop
async def test_numbers_of_four_octets_need_not_be_offered() -> None:
    """RFC 6793 §4.1: then paths travel in two octets, whatever the peer could do."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"fourOctetAS": "off"})
        peer = await town.join()
        assert peer.open is not None
        assert 65 not in dict(peer.open.capabilities)
        path = b"\x02\x02" + (65011).to_bytes(2, "big") + (7).to_bytes(2, "big")
        octets = attribute(0x40, 1, b"\0") + attribute(0x40, 2, path)
        octets += attribute(0x40, 3, bytes((127, 0, 0, 11)))
        peer.send(update(b"", octets, prefix("10.1.0.0/16")))
        await until(lambda: best(router))
        assert best_path(router, "10.1.0.0/16").attributes.as_sequence == (65011, 7)


# Patience.


@on_both_loops
async def test_a_peer_may_speak_first() -> None:
    """RFC 4271 §8.2.1.3: our OPEN waits for the peer's, or for its time."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"delayOpen": "60"})
        peer = await town.call()
        shell = peer_at(router, 11)
        await until(lambda: shell.connections)
        assert peer.messages == []
        peer.send_open()
        await peer.until(lambda: peer.open)
        peer.send(keepalive())
        await until(lambda: is_up(router))


@on_uvloop
async def test_a_peer_that_says_nothing_hears_our_open_in_the_end() -> None:
    async with Town() as town:
        await town.run_for_strangers(keys={"delayOpen": "0.1"})
        peer = await town.call()
        await peer.until(lambda: peer.open)
