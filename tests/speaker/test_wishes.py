"""What well-known communities of a peer's routes do, seen by its neighbours and in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST
from policy.path import Path
from policy.prefix import parse_prefix
from speaker.speaker import Speaker
from tests.support.routers import (
    AS,
    Town,
    best,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    until,
)
from tests.support.scripted_peer import ScriptedPeer

NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED, NOPEER = ((0xFFFF, 0xFF01 + n) for n in range(4))
GRACEFUL_SHUTDOWN, BLACKHOLE = (0xFFFF, 0), (0xFFFF, 666)
INSIDE, OUTSIDE = 21, 31


async def around(
    town: Town, keys: Mapping[str, str] | None = None, **settings: Any
) -> tuple[Speaker, ScriptedPeer, ScriptedPeer, ScriptedPeer]:
    """Start a router between two external peers, with an internal one; the first has the keys."""
    passive = {"passive": "on"}
    plan = town.plan(
        "r1",
        town.settings(**settings),
        town.node("r1", 1),
        town.peer("p11", 11, 65011, node="r1", keys=passive | dict(keys or {})),
        town.peer("p31", OUTSIDE, 65031, node="r1", keys=passive),
        town.peer("p21", INSIDE, node="r1", keys=passive),
    )
    router = await town.run(plan)
    teller, outside = await town.join(11), await town.join(OUTSIDE)
    return router, teller, outside, await town.join(INSIDE, asn=AS)


def path_to(router: Speaker, prefix: str) -> Path:
    return router.loc_ribs[IPV4_UNICAST].best[parse_prefix(prefix)[1]]


@on_both_loops
@pytest.mark.parametrize(
    ("community", "inside", "outside"),
    [
        (NO_EXPORT, True, False),
        (NO_EXPORT_SUBCONFED, True, False),
        (NO_ADVERTISE, False, False),
        (NOPEER, True, True),
    ],
)
async def test_a_community_keeps_a_route_from_whom_it_names(
    community: tuple[int, int], inside: bool, outside: bool
) -> None:
    """RFC 1997; NOPEER of RFC 3765 means those whose role is that of a peer."""
    async with Town() as town:
        router, teller, other, internal = await around(town)
        teller.announce("10.1.0.0/16")
        await other.until(lambda: other.table)
        await internal.until(lambda: internal.table)
        teller.announce("10.1.0.0/16", communities=[(1, 1), community])
        teller.announce("10.2.0.0/16")
        await other.until(lambda: "10.2.0.0/16" in other.table)
        await internal.until(lambda: "10.2.0.0/16" in internal.table)
        assert set(best(router)) == {"10.1.0.0/16", "10.2.0.0/16"}
        assert ("10.1.0.0/16" in other.table) == outside
        assert ("10.1.0.0/16" in internal.table) == inside
        for peer in (other, internal):
            if "10.1.0.0/16" in peer.table:
                assert community in peer.table["10.1.0.0/16"].communities


@on_both_loops
async def test_nopeer_keeps_a_route_from_a_peer_that_pays_nobody() -> None:
    """RFC 3765 §2: 12 is our peer by its role, 13 our customer."""
    async with Town() as town:
        customer, peering = {"role": "provider"}, {"role": "peer"}
        plan = town.plan(
            "r1",
            town.settings(),
            town.node("r1", 1),
            *(
                town.peer(f"p{n}", n, 65000 + n, node="r1", keys={"passive": "on", **keys})
                for n, keys in ((11, customer), (12, peering), (13, customer))
            ),
        )
        await town.run(plan)
        teller, beside, below = [await town.join(n) for n in (11, 12, 13)]
        teller.announce("10.1.0.0/16", communities=[NOPEER])
        teller.announce("10.2.0.0/16")
        await below.until(lambda: len(below.table) == 2)
        await beside.until(lambda: beside.table)
        assert set(beside.table) == {"10.2.0.0/16"}


@on_both_loops
async def test_a_link_that_goes_down_is_left_before_it_does() -> None:
    """RFC 8326 §4: another way is taken, and our AS is told of the low preference."""
    async with Town() as town:
        router, teller, other, internal = await around(town)
        teller.announce("10.1.0.0/16", "10.2.0.0/16")
        other.announce("10.1.0.0/16", path=(65031, 1, 2, 3))
        await until(lambda: len(best(router)) == 2)
        teller.announce("10.1.0.0/16", "10.2.0.0/16", communities=[GRACEFUL_SHUTDOWN])
        await until(lambda: best(router)["10.1.0.0/16"] == "Node_127_0_0_31_port_" + str(town.port))
        await internal.until(lambda: len(internal.table) == 2)
        await internal.until(lambda: internal.table["10.2.0.0/16"].local_pref == 0)
        assert internal.table["10.1.0.0/16"].local_pref == 100
        assert GRACEFUL_SHUTDOWN in internal.table["10.2.0.0/16"].communities
        await other.until(lambda: "10.2.0.0/16" in other.table)
        assert GRACEFUL_SHUTDOWN in other.table["10.2.0.0/16"].communities


@on_uvloop
@pytest.mark.parametrize(
    ("policy", "keys", "local_pref"),
    [
        ("plain", {}, 0),
        ("plain", {"gracefulShutdown": "off"}, None),
        ("calico", {}, None),
        ("calico", {"gracefulShutdown": "on"}, 0),
    ],
)
async def test_the_wish_for_a_graceful_shutdown_can_be_left_to_filters(
    policy: str, keys: dict[str, str], local_pref: int | None
) -> None:
    async with Town() as town:
        router, teller, *_ = await around(town, keys, policy=policy)
        teller.announce("10.1.0.0/16", communities=[GRACEFUL_SHUTDOWN])
        await until(lambda: best(router))
        assert path_to(router, "10.1.0.0/16").attributes.local_pref == local_pref


@on_uvloop
async def test_an_internal_peer_says_itself_what_it_prefers() -> None:
    """RFC 8326 §4: the border of the AS has set LOCAL_PREF already."""
    async with Town() as town:
        router, _, outside, internal = await around(town)
        wish = [GRACEFUL_SHUTDOWN]
        internal.announce("10.1.0.0/16", path=(), local_pref=70, communities=wish)
        await outside.until(lambda: outside.table)
        assert path_to(router, "10.1.0.0/16").attributes.local_pref == 70


HOSTS = {"10.1.0.1/32": True, "10.1.1.0/24": False}
ALL = dict.fromkeys(HOSTS, True)
NONE = dict.fromkeys(HOSTS, False)


@on_both_loops
@pytest.mark.parametrize(("word", "dropped"), [("on", HOSTS), ("any", ALL), ("off", NONE)])
async def test_packets_are_dropped_where_the_operator_agreed_to_it(
    word: str, dropped: dict[str, bool]
) -> None:
    """RFC 7999 §3.2, §3.3: and then the wish stays in our AS."""
    async with Town() as town:
        router, teller, other, internal = await around(town, {"blackhole": word})
        teller.announce(*dropped, communities=[BLACKHOLE])
        teller.announce("10.2.0.1/32")
        await until(lambda: len(best(router)) == 3)
        assert {prefix: path_to(router, prefix).blackhole for prefix in dropped} == dropped
        await other.until(lambda: "10.2.0.1/32" in other.table)
        await internal.until(lambda: len(internal.table) == 3)
        assert not path_to(router, "10.2.0.1/32").blackhole
        assert len(other.table) == (3 if word == "off" else 1)
        assert (NO_EXPORT in internal.table["10.1.0.1/32"].communities) == (word != "off")
        assert BLACKHOLE in internal.table["10.1.0.1/32"].communities
        teller.withdraw(*dropped)
        await internal.until(lambda: set(internal.table) == {"10.2.0.1/32"})


@on_uvloop
async def test_a_wish_of_one_peer_is_not_granted_to_another() -> None:
    """RFC 7999 §3.3: it is agreed on for each session."""
    async with Town() as town:
        router, _, outside, _ = await around(town, {"blackhole": "any"})
        outside.announce("10.1.0.1/32", communities=[BLACKHOLE])
        await until(lambda: best(router))
        assert not path_to(router, "10.1.0.1/32").blackhole
        assert is_up(router)


@on_uvloop
async def test_a_blackhole_of_another_length_is_a_route_like_any_other() -> None:
    """It is used, filtered and given up as one, while single addresses beside it are dropped."""
    async with Town() as town:
        router, teller, _, internal = await around(town, {"blackhole": "on"})
        teller.announce("10.1.0.1/32", "10.1.1.0/24", communities=[BLACKHOLE])
        await internal.until(lambda: len(internal.table) == 2)
        assert internal.table["10.1.1.0/24"].next_hop == home(11)
        teller.announce("10.1.0.1/32", "10.1.1.0/24", communities=[BLACKHOLE])
        teller.announce("10.1.1.0/24")
        await internal.until(lambda: BLACKHOLE not in internal.table["10.1.1.0/24"].communities)
        assert not path_to(router, "10.1.1.0/24").blackhole
        assert path_to(router, "10.1.0.1/32").blackhole
