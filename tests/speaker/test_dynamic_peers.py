"""Peers that nobody names: how they come from a range, what they have, and when they go."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fsm.notifications import Cease, Code, OpenSubcode
from speaker import dynamic_peers
from speaker.bfd.client import Verdict
from speaker.config.plan import Plan, Secret
from speaker.config.ranges import PeerRange
from speaker.control.protocol import ControlError
from speaker.control.views import PeerView, RangeView
from speaker.dynamic_peers import Refusal
from speaker.notices import SessionDown, SessionEstablished
from speaker.orders import disable
from speaker.speaker import Speaker
from speaker.status import Status, find_peer
from speaker.watches import Watches
from tests.speaker.test_watches import Witness
from tests.support.routers import Document, Town, best, home, is_up, on_both_loops, on_uvloop, until
from tests.support.scripted_peer import capability, end_of_rib, keepalive, notification

RACK = {"listenRange": "127.0.0.8/29, 127.0.0.16/28", "asRange": "65000-65100"}
RESTARTS = capability(64, b"\x00\x78\x00\x01\x01\x80")


def rack(town: Town, name: str = "rack", **keys: str) -> dict[str, Any]:
    """Make a BGPPeer for a range of loopback addresses."""
    return ranged(town, name, {**RACK, **keys})


def ranged(town: Town, name: str, keys: Mapping[str, str], **spec: Any) -> dict[str, Any]:
    document = dict(town.peer(name, 1, node="r1", keys=keys, **spec))
    del document["spec"]["peerIP"]
    if "asRange" in keys:
        del document["spec"]["asNumber"]
    return document


def plan_of(town: Town, *peers: Document) -> Plan:
    plan = town.plan("r1", town.settings(), town.node("r1", 1), *peers)
    ranges = {
        name: replace(
            each,
            templates=tuple(replace(template, idle_hold=(0.2, 0.2)) for template in each.templates),
        )
        for name, each in plan.ranges.items()
    }
    return replace(plan, ranges=ranges)


def names(router: Speaker) -> list[str]:
    return sorted(router.peers)


def shown(router: Speaker) -> list[RangeView]:
    return Status(router, 1).status()["ranges"]


def shown_peer(router: Speaker, name: str) -> PeerView:
    return Status(router, 1).peer_detail(name)["peer"]


@on_both_loops
async def test_who_connects_from_a_range_is_a_peer_until_his_session_is_over() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        assert names(router) == []
        peers = {number: await town.join(number) for number in (11, 12, 17)}
        assert names(router) == [f"Dynamic_rack_127_0_0_{n}" for n in peers]
        assert names(router) == list(router.plan.peers)
        view = shown_peer(router, home(12))
        assert (view["resource"], view["range"], view["remoteAS"], view["type"]) == (
            "rack",
            "127.0.0.8/29",
            65012,
            "node specific",
        )
        assert shown_peer(router, home(17))["range"] == "127.0.0.16/28"
        peers[11].announce("10.0.0.0/8")
        await until(lambda: best(router) == {"10.0.0.0/8": "Dynamic_rack_127_0_0_11"})
        await peers[12].until(lambda: "10.0.0.0/8" in peers[12].table)
        peers[11].close()
        await until(lambda: len(router.peers) == 2)
        await until(lambda: best(router) == {})
        await peers[12].until(lambda: peers[12].withdrawn)
        assert names(router) == list(router.plan.peers)
        [left] = town.said.of("peer_left")
        assert left["peer"] == "Dynamic_rack_127_0_0_11"
        with pytest.raises(ControlError, match=r"nobody is there from 127.0.0.11, .* gone: the co"):
            shown_peer(router, home(11))
        # And comes again.
        await town.join(11)
        assert len(router.peers) == 3


@on_uvloop
async def test_an_as_that_may_not_be_is_refused_and_told_to_the_operator() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        visitor = await town.call(11, asn=65101)
        visitor.send_open()
        await visitor.until_closed()
        assert visitor.notification == (Code.OPEN_MESSAGE_ERROR, OpenSubcode.BAD_PEER_AS, b"")
        assert names(router) == []
        [told] = town.said.of("range_refused")
        assert told["reason"] == "it says it is AS 65101, and may have 65000-65100"
        assert shown(router)[0]["refused"] == {"as": 1}
        with pytest.raises(ControlError, match="turned away: it says it is AS 65101"):
            shown_peer(router, home(11))


@on_uvloop
async def test_there_are_no_more_than_the_limit_says_and_who_leaves_makes_room() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town, maxDynamicPeers="2")))
        first = await town.join(11)
        await town.join(12)
        for number in (13, 13, 14):
            visitor = await town.call(number)
            await visitor.until_closed()
            if visitor.notification is not None:
                assert visitor.notification[:2] == (Code.CEASE, Cease.CONNECTION_REJECTED)
        # Each address is told, and said, once in a while; all are counted.
        assert [told["address"] for told in town.said.of("range_refused")] == [home(13), home(14)]
        assert (
            "2 peers are there already (wren.bgp/maxDynamicPeers)"
            in town.said.of("range_refused")[0]["sentence"]
        )
        [view] = shown(router)
        assert (view["peers"], view["limit"], view["refused"]) == (2, 2, {"limit": 3})
        conditions = Status(router, 1).status()["conditions"]
        assert [each["reason"] for each in conditions] == ["PeerLimitReached"]
        first.close()
        await until(lambda: len(router.peers) == 1)
        await town.join(13)
        assert names(router) == ["Dynamic_rack_127_0_0_12", "Dynamic_rack_127_0_0_13"]


@on_uvloop
async def test_a_crowd_that_comes_at_once_stays_within_the_limit() -> None:
    """All are let in before any has said its OPEN."""
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town, maxDynamicPeers="3")))
        crowd = [await town.call(number) for number in range(8, 16)]
        await until(lambda: shown(router)[0]["waiting"] == len(crowd))
        for each in crowd:
            each.send_open()
        await until(lambda: shown(router)[0]["refused"] == {"limit": 5})
        assert len(router.peers) == 3


@on_uvloop
async def test_who_is_named_comes_first_and_then_the_longest_prefix() -> None:
    async with Town() as town:
        named = town.peer("named", 11, 65011, node="r1", keys={"passive": "on"})
        narrow = ranged(town, "a", {"listenRange": "127.0.0.12/31"}, asn=65012)
        router = await town.run(plan_of(town, named, rack(town), narrow))
        await town.join(11)
        await town.join(12)
        await town.join(14)
        assert names(router) == [
            "Dynamic_a_127_0_0_12",
            "Dynamic_rack_127_0_0_14",
            next(name for name in router.peers if name.startswith("Node_127_0_0_11")),
        ]
        # The narrow range has the say, whatever the wide one would allow.
        visitor = await town.call(13)
        visitor.send_open()
        await visitor.until_closed()
        assert visitor.notification == (Code.OPEN_MESSAGE_ERROR, OpenSubcode.BAD_PEER_AS, b"")
        strangers = await town.call(99)
        await strangers.until_closed()
        assert [told["address"] for told in town.said.of("stranger")] == [home(99)]


@on_both_loops
async def test_routes_of_one_that_restarts_gracefully_stay_and_so_does_the_peer() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        peer = await town.join(11, more=RESTARTS)
        peer.announce("10.0.0.0/8")
        await until(lambda: best(router))
        name = "Dynamic_rack_127_0_0_11"
        peer.reset()
        await until(lambda: not is_up(router, name))
        assert best(router) == {"10.0.0.0/8": name}
        phase = shown_peer(router, name)["families"]["ipv4 unicast"]["restart"]["phase"]
        assert phase == "restarting"
        # A session that had hardly come up waits for a moment.
        await until(router.peers[name].session.would_accept)
        back = await town.join(11, more=RESTARTS)
        assert best(router) == {"10.0.0.0/8": name}
        back.announce("10.1.0.0/16")
        back.send(end_of_rib())
        await until(lambda: best(router) == {"10.1.0.0/16": name})
        # The end of the wait is the end of the peer.
        back.reset()
        await until(lambda: not is_up(router, name))
        router.peers[name].restarts.give_up()
        await until(lambda: names(router) == [])
        assert best(router) == {}


@on_uvloop
async def test_who_is_held_down_stays_to_be_let_up_again() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        peer = await town.join(11)
        name = "Dynamic_rack_127_0_0_11"
        router.peers[name].stop(Cease.ADMINISTRATIVE_SHUTDOWN, "maintenance")
        await peer.until_closed()
        again = await town.call(11)
        await again.until_closed()
        assert again.notification is not None
        assert names(router) == [name]
        router.peers[name].start()
        await until(lambda: names(router) == [])
        await town.join(11)


@on_uvloop
async def test_one_that_tells_too_much_waits_as_long_as_its_limit_says() -> None:
    async with Town() as town:
        keys = {"maxPrefixes": "1 restart 1"}
        router = await town.run(plan_of(town, rack(town, **keys)))
        peer = await town.join(11)
        peer.announce("10.0.0.0/8", "11.0.0.0/8")
        await peer.until_closed()
        again = await town.call(11)
        await again.until_closed()
        assert again.notification is not None
        assert "too many prefixes" in shown_peer(router, home(11))["why"]
        await until(lambda: names(router) == [])
        await town.join(11)


@on_uvloop
async def test_what_we_end_for_a_fault_waits_out_the_idle_hold() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        peer = await town.join(11)
        peer.send(b"\0" * 19)
        await peer.until_closed()
        assert names(router) == ["Dynamic_rack_127_0_0_11"]
        await until(lambda: names(router) == [])


@on_uvloop
async def test_an_open_that_leads_to_nothing_leaves_nothing() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        visitor = await town.call(11)
        visitor.send_open(families=(2,))
        await visitor.until_closed()
        await until(lambda: names(router) == [])
        assert "no family in common" in town.said.of("peer_left")[0]["reason"]


@on_uvloop
async def test_what_is_no_open_is_answered_by_the_error_that_it_is() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        cases = {
            11: (keepalive(), (Code.FINITE_STATE_MACHINE_ERROR, 1)),
            12: (b"\0" * 19, (Code.MESSAGE_HEADER_ERROR, 1)),
        }
        for number, (octets, answer) in cases.items():
            visitor = await town.call(number)
            visitor.send(octets)
            await visitor.until_closed()
            assert visitor.notification is not None
            assert visitor.notification[:2] == answer
        silent = await town.call(13)
        silent.send(notification(Code.CEASE, 2))
        await silent.until_closed()
        assert silent.notification is None
        leaves = await town.call(14)
        leaves.close()
        await until(lambda: shown(router)[0]["refused"] == {"open": 2, "silent": 2})
        assert names(router) == []


@on_uvloop
async def test_a_node_out_of_service_takes_in_nobody() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        router.service.hold_down(Cease.ADMINISTRATIVE_SHUTDOWN, "maintenance")
        visitor = await town.call(11)
        visitor.send_open()
        await visitor.until_closed()
        assert visitor.notification is not None
        assert visitor.notification[:2] == (Code.CEASE, Cease.CONNECTION_REJECTED)
        assert names(router) == []
        assert shown(router)[0]["refused"] == {Refusal.SERVICE: 1}
        router.service.let_up()
        await town.join(11)


SECRET, OTHER = Secret(b"rack-key"), Secret(b"another-key")


def signed(plan: Plan, password: Secret | None, hops: int = 0) -> Plan:
    ranges = {
        name: replace(
            each,
            templates=tuple(
                replace(template, password=password, ttl_security=hops)
                for template in each.templates
            ),
        )
        for name, each in plan.ranges.items()
    }
    return replace(plan, ranges=ranges)


@on_both_loops
async def test_a_signed_range_hears_only_who_has_its_key() -> None:
    async with Town() as town:
        named = town.peer("named", 12, 65012, node="r1", keys={"passive": "on"})
        plan = plan_of(town, rack(town), named)
        router = await town.run(signed(plan, SECRET))
        right = await town.join(11, password=SECRET)
        for password in (OTHER, None):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await town.call(13, password=password)
        # Who is named in it has no key, and needs none.
        await town.join(12)
        view = shown_peer(router, home(11))["password"]
        assert view["configured"]
        assert view["inUseSince"] is not None
        assert not view["changes"]

        await router.apply(signed(plan, OTHER))
        assert shown_peer(router, home(11))["password"]["changes"]
        right.announce("10.0.0.0/8")
        await until(lambda: best(router))
        await town.join(14, password=OTHER)
        assert is_up(router)
        right.close()
        await until(lambda: len(router.peers) == 2)
        await town.join(11, password=OTHER)


@on_uvloop
async def test_who_comes_from_too_far_for_a_range_is_turned_away() -> None:
    async with Town() as town:
        router = await town.run(signed(plan_of(town, rack(town)), None, hops=1))
        visitor = await town.call(11)
        await visitor.until_closed()
        assert shown(router)[0]["refused"] == {"terms": 1}
        near = await town.call(12, ttl=255)
        await near.establish()
        await until(lambda: is_up(router, "Dynamic_rack_127_0_0_12"))


@on_uvloop
async def test_an_embedder_makes_a_range_of_a_peer_and_hears_of_each_session() -> None:
    async with Town() as town:
        like = town.plan_for_strangers()
        [model] = like.peers.values()
        whoever = PeerRange.like(replace(model, name="Guests"), "127.0.0.0/24", "external", 2)
        router = await town.run(replace(like, peers={}, ranges={"Guests": whoever}))
        notices = router.listen_to_notices()
        peer = await town.join(11)
        up = await anext(notices)
        assert isinstance(up, SessionEstablished)
        assert (up.peer, up.address, up.negotiated.peer_asn) == (
            "Guests_127_0_0_11",
            home(11),
            65011,
        )
        peer.close()
        down = await anext(notices)
        assert isinstance(down, SessionDown)
        assert down.peer == "Guests_127_0_0_11"


def watching(plan: Plan, **values: Any) -> Plan:
    """Give a plan in whose ranges BFD watches everybody."""
    ranges = {
        name: replace(
            each, templates=tuple(replace(plan, bfd=True, **values) for plan in each.templates)
        )
        for name, each in plan.ranges.items()
    }
    return replace(plan, ranges=ranges)


async def watched(town: Town, **values: Any) -> tuple[Speaker, Witness]:
    witness = Witness()
    router = Speaker(watching(plan_of(town, rack(town)), **values))
    router.watches = Watches(router, lambda heed: witness)
    return await town.start(router), witness


@on_uvloop
async def test_bfd_watches_a_dynamic_peer_as_long_as_it_is_there() -> None:
    async with Town() as town:
        router, witness = await watched(town)
        peer, other = await town.join(11), await town.join(12)
        assert witness.names == {home(11), home(12)}
        router.watches.heed(Verdict(home(11), is_up=False, failed=True, diagnostic=1))
        await peer.until_closed()
        assert peer.notification is not None
        assert peer.notification[:2] == (Code.CEASE, Cease.BFD_DOWN)
        await until(lambda: names(router) == ["Dynamic_rack_127_0_0_12"])
        assert witness.names == {home(12)}
        other.close()
        await until(lambda: not router.peers)
        assert witness.names == set()


@on_uvloop
async def test_in_strict_mode_the_second_connection_finds_bfd_up() -> None:
    async with Town() as town:
        router, witness = await watched(town, bfd_strict=0.0)
        first = await town.call(11)
        first.send_open()
        await first.until_closed()
        assert witness.names == {home(11)}
        router.watches.heed(Verdict(home(11), is_up=True, failed=False, diagnostic=0))
        # It stays while BFD is up, with a session or without.
        peer = await town.join(11)
        peer.close()
        await until(lambda: not is_up(router))
        [there] = router.peers.values()
        await until(there.session.would_accept)
        await town.join(11)


@on_uvloop
async def test_in_strict_mode_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_peers, "PATIENCE", 0.3)
    async with Town() as town:
        router, witness = await watched(town, bfd_strict=0.0)
        first = await town.call(11)
        first.send_open()
        await first.until_closed()
        assert names(router) == ["Dynamic_rack_127_0_0_11"]
        await until(lambda: not router.peers)
        assert witness.names == set()
        assert town.said.of("peer_left")[0]["reason"] == "BFD did not come up"


@on_uvloop
@pytest.mark.parametrize("client", ["on", "off"])
async def test_peers_of_a_range_in_our_as_may_be_clients_of_a_reflector(client: str) -> None:
    async with Town() as town:
        inside = rack(town, asRange="64512, 65013", routeReflectorClient=client)
        router = await town.run(plan_of(town, inside))
        first, second = await town.join(11, asn=64512), await town.join(12, asn=64512)
        outside = await town.join(13, asn=65013)
        first.announce("10.0.0.0/8", path=[], local_pref=100)
        await outside.until(lambda: "10.0.0.0/8" in outside.table)
        await until(lambda: router.is_idle)
        await second.until(lambda: client == "off" or "10.0.0.0/8" in second.table)
        assert ("10.0.0.0/8" in second.table) is (client == "on")
        assert outside.table["10.0.0.0/8"].as_path == (64512,)


@on_uvloop
async def test_a_bgppeer_stands_for_its_peer_while_it_has_no_more_than_one() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        await town.join(11)
        one = "Dynamic_rack_127_0_0_11"
        assert find_peer(router, "rack").plan.name == one
        await town.join(12)
        several = "BGPPeer/rack has 2 peers here: Dynamic_rack_127_0_0_11, Dynamic_rack_127_0_0_12"
        with pytest.raises(ControlError, match=re.escape(f"{several}; name one of them")):
            disable(router, {"name": "rack"})
        assert router.peers[one].is_established
        assert find_peer(router, one).plan.name == one
