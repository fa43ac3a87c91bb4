"""What a negotiated capability does, seen by peers that have it and peers that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.family import IPV4_UNICAST
from policy.roles import Role
from speaker import __version__
from speaker import exchange as exchanges
from speaker.config.limits import LimitAction, PrefixLimit
from speaker.config.plan import Plan
from speaker.status import Status
from tests.support.routers import (
    AS,
    Town,
    best,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    table_of,
    until,
)
from tests.support.scripted_peer import (
    IPV4,
    IPV6,
    ScriptedPeer,
    capability,
    end_of_rib,
    keepalive,
    path_attributes,
    prefix,
    route_refresh,
    update,
)

MARKS, LONG = capability(70), capability(6)
REQUEST, BEGIN, END = range(3)


# Enhanced route refresh.


@on_both_loops
async def test_a_refresh_is_put_between_its_markers() -> None:
    """RFC 7313 §4."""
    async with Town() as town:
        await town.run_for_strangers(1, settings={"networks": "10.7.0.0/16,10.8.0.0/16"})
        peer = await town.join(more=MARKS)
        await peer.until_ended()
        assert (70, b"") in (peer.open.capabilities if peer.open else [])
        first = len(peer.story)
        peer.send(route_refresh(IPV4))
        await peer.until(lambda: "refresh 2" in peer.story)
        told = peer.story[first:]
        assert (told[0], told[-1]) == ("refresh 1", "refresh 2")
        assert sorted(told[1:-1]) == ["10.7.0.0/16", "10.8.0.0/16"]


@on_both_loops
async def test_an_empty_table_is_refreshed_by_its_markers_alone() -> None:
    async with Town() as town:
        await town.run_for_strangers()
        peer = await town.join(more=MARKS)
        await peer.until_ended()
        peer.send(route_refresh(IPV4), route_refresh(IPV6))
        await peer.until(lambda: len(peer.story) == 2)
        assert peer.story == ["refresh 1", "refresh 2"]


@on_both_loops
@pytest.mark.parametrize("marks", [MARKS, b""])
async def test_a_flood_of_requests_is_answered_by_few_refreshes(marks: bytes) -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        teller, peer = await town.join(12), await town.join(11, more=marks)
        teller.announce(*table_of(5000))
        await peer.until(lambda: len(peer.table) == 5000)
        await peer.until_ended()
        told = peer.announced
        peer.send(*[route_refresh(IPV4)] * 1000)
        peer.announce("10.200.0.0/16")
        await until(lambda: "10.200.0.0/16" in best(router))
        await peer.until(lambda: peer.announced >= told + 5000)
        # One for each round of the loop at the most, of which a busy machine needs more.
        assert peer.story.count("refresh 1") <= 100
        assert peer.announced <= told + 500_000
        assert is_up(router)


@on_both_loops
async def test_no_refresh_begins_before_end_of_rib() -> None:
    """RFC 7313 §4: what is asked for too early waits."""
    async with Town() as town:
        await town.run_for_strangers(2)
        teller = await town.join(12)
        teller.announce(*table_of(9000))
        peer = await town.call(11)
        peer.send_open(more=MARKS)
        await peer.until(lambda: peer.open)
        peer.send(keepalive(), route_refresh(IPV4))
        await peer.until(lambda: "refresh 2" in peer.story)
        begin = peer.story.index("refresh 1")
        assert IPV4 in peer.ended
        assert set(peer.story[:begin]) == set(table_of(9000))
        assert set(peer.story[begin + 1 : -1]) == set(table_of(9000))


@on_both_loops
async def test_what_is_not_told_again_goes_when_the_refresh_ends() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11, more=MARKS), await town.join(12)
        prefixes = table_of(6000)
        one.announce(*prefixes)
        await two.until(lambda: len(two.table) == 6000)
        one.send(route_refresh(IPV4, BEGIN))
        one.announce(*prefixes[:100], "10.200.0.0/16")
        await two.until(lambda: len(two.table) == 6001)
        assert two.withdrawn == 0
        one.send(route_refresh(IPV4, END))
        await two.until(lambda: len(two.table) == 101)
        assert set(two.table) == set(best(router)) == {*prefixes[:100], "10.200.0.0/16"}
        [rib] = [r for r in exchange_of(town).inbound.ribs.values() if r.received]
        assert not rib.is_marked
        assert len(rib.received) == 101


@on_both_loops
async def test_a_refresh_that_begins_anew_loses_nothing_that_is_told_in_the_end() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11, more=MARKS), await town.join(12)
        one.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
        await two.until(lambda: len(two.table) == 3)
        one.send(route_refresh(IPV4, BEGIN))
        one.announce("10.1.0.0/16")
        one.send(route_refresh(IPV4, BEGIN))
        one.announce("10.2.0.0/16")
        one.send(route_refresh(IPV4, END))
        await two.until(lambda: set(two.table) == {"10.2.0.0/16"})
        assert two.withdrawn == 2
        one.send(route_refresh(IPV4, END), route_refresh(IPV6, BEGIN), route_refresh(IPV6, END))
        one.announce("10.4.0.0/16")
        await two.until(lambda: set(two.table) == {"10.2.0.0/16", "10.4.0.0/16"})
        assert is_up(router)


@on_both_loops
async def test_a_refresh_without_an_end_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "STALE_TIME", 0.05)
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join(more=MARKS)
        peer.announce("10.1.0.0/16", "10.2.0.0/16")
        await until(lambda: len(best(router)) == 2)
        peer.send(route_refresh(IPV4, BEGIN))
        peer.announce("10.1.0.0/16")
        await until(lambda: set(best(router)) == {"10.1.0.0/16"})
        assert is_up(router)


@on_both_loops
async def test_markers_of_a_peer_that_did_not_offer_them_mean_nothing() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(1, settings={"networks": "10.7.0.0/16"})
        peer = await town.join()
        peer.announce("10.1.0.0/16")
        peer.send(route_refresh(IPV4, BEGIN), route_refresh(IPV4, END), end_of_rib())
        await until(lambda: exchange_of(town).inbound.ended)
        assert set(best(router)) == {"10.1.0.0/16", "10.7.0.0/16"}
        peer.send(route_refresh(IPV4))
        await peer.until(lambda: peer.announced == 2)
        peer.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in best(router))
        assert not any(word.startswith("refresh") for word in peer.story)


@on_uvloop
async def test_enhanced_refresh_can_be_switched_off() -> None:
    async with Town() as town:
        await town.run_for_strangers(keys={"enhancedRefresh": "off"})
        peer = await town.join(more=MARKS)
        assert peer.open is not None
        assert 70 not in dict(peer.open.capabilities)


def exchange_of(town: Town) -> exchanges.Exchange:
    """Give the tables of the session with the peer at `home` 11."""
    exchange = peer_at(town.routers[0], 11).exchange
    assert exchange is not None
    return exchange


# Extended messages.


@on_both_loops
async def test_messages_of_full_size_go_both_ways_between_those_who_take_them() -> None:
    """RFC 8654 §4: nobody else gets a route whose attributes fill more than a small message."""
    async with Town() as town:
        router = await town.run_for_strangers(3, keys={"extendedMessages": "on"})
        one, two = await town.join(11, more=LONG), await town.join(12, more=LONG)
        small = await town.join(13)
        assert (6, b"") in (one.open.capabilities if one.open else [])
        octets = path_attributes(
            (65011,), next_hop=home(11), communities=[(1, n) for n in range(15_000)]
        )
        room = (65535 - 23 - len(octets)) // 4
        one.send(update(b"", octets, b"".join(map(prefix, table_of(room)))))
        one.announce(*table_of(2000, 1))
        await two.until(lambda: len(two.table) == room + 2000)
        assert 60_000 < two.longest <= 65535
        await small.until(lambda: len(small.table) == 2000)
        assert small.longest <= 4096
        assert set(small.table) == set(table_of(2000, 1))
        assert is_up(router)


@on_both_loops
async def test_a_long_message_may_come_in_one_breath_with_the_keepalive() -> None:
    """RFC 8654 §4: who offers long messages takes them from the first one on."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"extendedMessages": "on"})
        peer = await town.call()
        peer.send_open(more=LONG)
        await peer.until(lambda: peer.open)
        octets = path_attributes((65011,), next_hop=home(11))
        block = b"".join(map(prefix, table_of(16_000)))
        peer.send(keepalive() + update(b"", octets, block))
        await until(lambda: len(best(router)) == 16_000)
        assert is_up(router)


@on_both_loops
@pytest.mark.parametrize("offers", ["on", "off"])
async def test_long_messages_break_a_session_on_which_we_did_not_offer_them(offers: str) -> None:
    """RFC 8654 §4: Bad Message Length, with the length."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"extendedMessages": offers})
        peer = await town.join(more=LONG)
        octets = path_attributes((65011,), next_hop=home(11))
        peer.send(update(b"", octets, b"".join(map(prefix, table_of(1200)))))
        if offers == "on":
            await until(lambda: len(best(router)) == 1200)
            return
        await peer.until_closed()
        assert peer.notification is not None
        assert peer.notification[:2] == (1, 2)


# Maximum prefixes.


@on_both_loops
@pytest.mark.parametrize("action", ["down", "restart 1"])
async def test_a_peer_beyond_its_limit_is_told_so_and_its_routes_go(action: str) -> None:
    """RFC 4486 §4: the Cease has the family and the limit."""
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"maxPrefixes": f"ipv4 3 {action}"})
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
        one.announce("10.1.0.0/16", med=5)
        one.withdraw("10.3.0.0/16")
        one.announce("10.4.0.0/16")
        await two.until(lambda: len(two.table) == 3)
        one.announce("10.5.0.0/16")
        await one.until_closed()
        assert one.notification == (6, 1, b"\0\1\1\0\0\0\3")
        await two.until(lambda: two.table == {})
        shell = peer_at(router, 11)
        assert "Maximum Number Of Prefixes Reached" in shell.last_error
        assert is_up(router, peer_at(router, 12).name)
        if action == "down":
            assert shell.session.deadline is None
            await router.apply(limited(router.plan, PrefixLimit(10)))
        again = await until_welcome(town)
        again.announce("10.1.0.0/16")
        await two.until(lambda: two.table)


@on_both_loops
async def test_what_comes_beyond_the_limit_is_dropped_until_there_is_more_room() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"maxPrefixes": "2 drop"})
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16")
        one.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", med=1)
        one.announce("10.4.0.0/16")
        await two.until(lambda: len(two.table) == 2)
        await until(lambda: exchange_of(town).limits.dropped)
        assert set(best(router)) == {"10.1.0.0/16", "10.2.0.0/16"}
        [condition] = Status(router, 1).status()["conditions"]
        assert (condition["severity"], condition["reason"]) == ("error", "PrefixesDropped")
        one.withdraw("10.1.0.0/16")
        one.announce("10.5.0.0/16")
        await two.until(lambda: set(two.table) == {"10.2.0.0/16", "10.5.0.0/16"})
        await router.apply(limited(router.plan, PrefixLimit(9, action=LimitAction.DROP)))
        await one.until(lambda: "refresh 0" in one.story)
        one.announce("10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16")
        await two.until(lambda: len(two.table) == 4)
        assert Status(router, 1).status()["conditions"] == []
        assert is_up(router)


@on_both_loops
async def test_a_share_of_the_limit_is_warned_of_once() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(keys={"maxPrefixes": "ipv4 10 70% down"})
        peer = await town.join()
        peer.announce(*table_of(6))
        await until(lambda: len(best(router)) == 6)
        assert Status(router, 1).status()["conditions"] == []
        for count in (7, 8, 10):
            peer.announce(*table_of(count))
            await until(lambda count=count: len(best(router)) == count)  # type: ignore[misc]
        [condition] = Status(router, 1).status()["conditions"]
        assert condition["reason"] == "PrefixLimitNear"
        assert "70%" in condition["message"]
        assert len(town.said.of("condition")) == 1
        assert is_up(router)


@on_both_loops
async def test_a_limit_that_is_lowered_below_what_is_there_closes_the_session() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce(*table_of(5))
        await two.until(lambda: len(two.table) == 5)
        await router.apply(limited(router.plan, PrefixLimit(4)))
        await one.until_closed()
        assert one.notification == (6, 1, b"\0\1\1\0\0\0\4")
        await two.until(lambda: two.table == {})


def limited(plan: Plan, limit: PrefixLimit) -> Plan:
    """Give a plan with another limit for the peer at `home` 11."""
    limits = ((IPV4_UNICAST, limit),)
    peers = {
        name: replace(peer, max_prefixes=limits) if peer.address == home(11) else peer
        for name, peer in plan.peers.items()
    }
    return replace(plan, peers=peers)


async def until_welcome(town: Town) -> ScriptedPeer:
    """Join as the peer at `home` 11 as soon as the router would have it."""
    shell = peer_at(town.routers[0], 11)
    await until(lambda: shell.session.would_accept())
    return await town.join(11)


# Roles.


@on_both_loops
async def test_what_comes_from_above_or_beside_goes_to_customers_alone() -> None:
    """RFC 9234 §5: 11 is our provider, 12 our peer, 13 our customer."""
    async with Town() as town:
        await town.run(with_roles(town, Role.CUSTOMER, Role.PEER, Role.PROVIDER))
        above, beside, below = [await town.join(n) for n in (11, 12, 13)]
        above.announce("10.1.0.0/16")
        above.announce("10.2.0.0/16", otc=65500)
        beside.announce("10.3.0.0/16")
        below.announce("10.4.0.0/16")
        await below.until(lambda: len(below.table) == 3)
        assert {name: heard.otc for name, heard in below.table.items()} == {
            "10.1.0.0/16": 65011,
            "10.2.0.0/16": 65500,
            "10.3.0.0/16": 65012,
        }
        await above.until(lambda: set(above.table) == {"10.4.0.0/16"})
        await beside.until(lambda: set(beside.table) == {"10.4.0.0/16"})
        assert above.table["10.4.0.0/16"].otc is None
        assert beside.table["10.4.0.0/16"].otc == AS


@on_both_loops
async def test_a_route_that_leaks_is_not_taken() -> None:
    """RFC 9234 §5: a customer passes on what is for customers, a peer what is another's."""
    async with Town() as town:
        router = await town.run(with_roles(town, Role.PROVIDER, Role.PEER))
        below, beside = await town.join(11), await town.join(12)
        below.announce("10.1.0.0/16")
        beside.announce("10.3.0.0/16", otc=65012)
        await until(lambda: len(best(router)) == 2)
        below.announce("10.1.0.0/16", otc=65500)
        beside.announce("10.2.0.0/16", otc=65500)
        beside.announce("10.4.0.0/16", otc=65012)
        await until(lambda: set(best(router)) == {"10.3.0.0/16", "10.4.0.0/16"})
        assert is_up(router)


@on_both_loops
@pytest.mark.parametrize("strict", ["on", "off"])
@pytest.mark.parametrize("told", [None, Role.PROVIDER, Role.CUSTOMER])
async def test_roles_have_to_be_opposites(strict: str, told: Role | None) -> None:
    """RFC 9234 §4.2; one that is silent is refused by the strict alone."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"role": "provider", "strictRole": strict})
        peer = await town.call()
        peer.send_open(more=b"" if told is None else capability(9, bytes((told,))))
        await peer.until(lambda: peer.open)
        assert (9, b"\0") in (peer.open.capabilities if peer.open else [])
        if told is Role.CUSTOMER or (told is None and strict == "off"):
            peer.send(keepalive())
            await until(lambda: is_up(router))
            return
        await peer.until_closed()
        assert peer.notification is not None
        assert peer.notification[:2] == (2, 11)


@on_uvloop
async def test_there_are_no_roles_within_an_as() -> None:
    async with Town() as town:
        plan = town.plan_for_strangers(asn=AS, keys={"role": "peer", "strictRole": "on"})
        assert [condition.reason for condition in plan.conditions] == ["NotExternal"]
        await town.run(plan)
        peer = await town.join(asn=AS)
        assert peer.open is not None
        assert 9 not in dict(peer.open.capabilities)


def with_roles(town: Town, *roles: Role) -> Plan:
    """Give a plan with our role towards 11, 12 …."""
    plan = town.plan_for_strangers(len(roles))
    ours = dict(zip(map(home, range(11, 20)), roles, strict=False))
    peers = {name: replace(peer, role=ours[peer.address]) for name, peer in plan.peers.items()}
    return replace(plan, peers=peers)


# Names, for people.


@on_uvloop
async def test_names_are_told_where_a_key_asks_for_it() -> None:
    async with Town() as town:
        await town.run_for_strangers(keys={"fqdn": "edge1.example.net", "softwareVersion": "on"})
        peer = await town.join()
        assert peer.open is not None
        told = dict(peer.open.capabilities)
        assert told[73] == b"\x05edge1\x0bexample.net"
        assert told[75][1:] == f"Wren/{__version__}".encode()


@on_uvloop
async def test_the_name_of_the_node_is_told_or_none() -> None:
    async with Town() as town:
        await town.run(town.plan_for_strangers(keys={"fqdn": "on"}))
        peer = await town.join()
        assert peer.open is not None
        assert dict(peer.open.capabilities)[73] == b"\x02r1\0"
        assert 75 not in dict(peer.open.capabilities)


@on_uvloop
async def test_the_names_that_a_peer_tells_are_shown() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        name = capability(73, b"\x03tor\x07example")
        await town.join(more=name + capability(75, b"\x05x/1\x1b2"))
        [shell] = router.peers.values()
        shown = Status(router, 1).peer(shell)["negotiated"]
        assert shown is not None
        assert (shown["peerName"], shown["peerSoftware"]) == ("tor.example", "x/1\\x1b2")


@on_uvloop
async def test_what_a_peer_offers_and_nobody_knows_is_kept_and_shown() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        await town.join(more=capability(222, b"\1\xff") + capability(221, b""))
        [shell] = router.peers.values()
        shown = Status(router, 1).peer(shell)["negotiated"]
        assert shown is not None
        assert shown["unknown"] == ["222 01ff", "221"]
        assert (shown["enhancedRefresh"], shown["extendedMessages"]) == (False, False)
