"""What Established sessions exchange: routes both ways, refresh, and peers that do not read."""

from __future__ import annotations

import gc
import socket
import weakref
from dataclasses import replace

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.matching import MatchOperator
from policy.rules import Action, Rule
from speaker.config.plan import NextHopMode, Plan
from tests.support.resources import node
from tests.support.routers import (
    AS,
    Town,
    best,
    fill,
    home,
    is_up,
    narrow,
    on_both_loops,
    on_uvloop,
    peer_at,
    table_of,
    until,
    uptimes,
)
from tests.support.routes import nlri
from tests.support.scripted_peer import (
    IPV4,
    IPV6,
    end_of_rib,
    message,
    path_attributes,
    prefix,
    route_refresh,
    update,
)


def only(number: int, plan: Plan, **fields: object) -> Plan:
    """Give a plan with other fields for the peer at one address."""
    peers = {
        name: replace(peer, **fields) if peer.address == home(number) else peer  # type: ignore[arg-type]
        for name, peer in plan.peers.items()
    }
    return replace(plan, peers=peers)


@on_both_loops
async def test_routes_go_both_ways_and_are_withdrawn_again() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16", "10.2.0.0/16", med=7, communities=[(65011, 5)])
        two.announce("10.3.0.0/16", path=(65012, 4200000000))
        await two.until(lambda: len(two.table) == 2)
        await one.until(lambda: len(one.table) == 1)
        heard = two.table["10.1.0.0/16"]
        assert heard.as_path == (AS, 65011)
        assert heard.next_hop == home(1)
        assert heard.communities == {(65011, 5)}
        assert heard.med is None
        assert one.table["10.3.0.0/16"].as_path == (AS, 65012, 4200000000)
        one.withdraw("10.1.0.0/16")
        await two.until(lambda: set(two.table) == {"10.2.0.0/16"})
        assert set(best(router)) == {"10.2.0.0/16", "10.3.0.0/16"}


@on_both_loops
async def test_a_route_is_not_sent_back_to_where_it_came_from() -> None:
    async with Town() as town:
        await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16")
        await two.until(lambda: two.table)
        two.announce("10.2.0.0/16")
        await one.until(lambda: one.table)
        assert set(one.table) == {"10.2.0.0/16"}
        assert set(two.table) == {"10.1.0.0/16"}


@on_both_loops
async def test_when_the_best_path_moves_its_new_source_loses_the_old_one() -> None:
    async with Town() as town:
        await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16", path=(65011, 1, 2))
        await two.until(lambda: two.table)
        two.announce("10.1.0.0/16", path=(65012,))
        await one.until(lambda: one.table)
        await two.until(lambda: not two.table)
        two.withdraw("10.1.0.0/16")
        await two.until(lambda: two.table)
        await one.until(lambda: not one.table)


@on_both_loops
async def test_a_new_peer_hears_all_there_is_and_then_end_of_rib() -> None:
    """RFC 4724 §2."""
    async with Town() as town:
        await town.run_for_strangers(2)
        one = await town.join(11)
        await one.until_ended()
        one.announce(*table_of(3000))
        two = await town.join(12)
        await two.until_ended()
        await two.until(lambda: len(two.table) == 3000)
        assert two.withdrawn == 0


@on_both_loops
async def test_a_peer_that_comes_while_others_are_told_hears_each_prefix_once() -> None:
    """Also where its group holds a part already, and more comes all the time."""
    async with Town() as town:
        router = await town.run_for_strangers(3)
        teller, early = await town.join(11), await town.join(12)
        fill(teller, 6_000)
        await until(lambda: best(router))
        late = await town.join(13)
        await early.until(lambda: len(early.table) == 6_000)
        await late.until(lambda: len(late.table) == 6_000)
        await late.until_ended()
        assert (late.announced, late.withdrawn) == (6_000, 0)
        assert (early.announced, early.withdrawn) == (6_000, 0)


@on_both_loops
async def test_end_of_rib_of_the_peer_is_remembered() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        peer.send(end_of_rib())
        await until(lambda: exchange.inbound.ended == {IPV4_UNICAST})


@on_both_loops
async def test_both_families_go_over_one_session() -> None:
    """RFC 4760: IPv6 prefixes over an IPv4 session, with our own IPv6 address as next hop."""
    async with Town() as town:
        me = node("r1", f"{home(1)}/8", "2001:db8::1/64")
        peers = [
            town.peer(f"p{n}", n, 65000 + n, keys={"passive": "on", "families": "ipv4,ipv6"})
            for n in (11, 12)
        ]
        settings = town.settings(networks="2001:db8:a::/48")
        plan = town.plan("r1", settings, me, *peers)
        router = await town.run(replace(plan, listen_addresses=(home(1),)))
        one = await town.join(11, families=(IPV4, IPV6))
        two = await town.join(12, families=(IPV4, IPV6))
        one.announce_ipv6("2001:db8:b::/48", next_hop="2001:db8::11")
        one.announce("10.1.0.0/16")
        await two.until(lambda: len(two.table) == 3)
        await two.until_ended(IPV4)
        await two.until_ended(IPV6)
        assert two.table["2001:db8:b::/48"].next_hop == "2001:db8::1"
        assert two.table["2001:db8:b::/48"].as_path == (AS, 65011)
        assert set(best(router, IPV6_UNICAST)) == {"2001:db8:a::/48", "2001:db8:b::/48"}
        one.withdraw_ipv6("2001:db8:b::/48")
        await two.until(lambda: len(two.table) == 2)


@on_both_loops
async def test_a_family_that_was_not_negotiated_is_neither_heard_nor_told() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(1, settings={"networks": "2001:db8:a::/48"})
        peer = await town.join()
        peer.announce_ipv6("2001:db8:b::/48", next_hop="2001:db8::11")
        peer.announce("10.1.0.0/16")
        await until(lambda: best(router))
        await peer.until_ended()
        assert peer.table == {}
        assert set(best(router, IPV6_UNICAST)) == {"2001:db8:a::/48"}
        assert is_up(router)


@on_both_loops
async def test_a_path_with_our_own_as_is_not_used_and_replaces_what_was_there() -> None:
    """RFC 4271 §9.1.2."""
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.announce("10.1.0.0/16", "10.2.0.0/16")
        await until(lambda: len(best(router)) == 2)
        peer.announce("10.1.0.0/16", path=(65011, AS, 7))
        await until(lambda: set(best(router)) == {"10.2.0.0/16"})
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        assert any("AS loop" in why for why in exchange.inbound.refusals)


@on_both_loops
async def test_our_own_address_is_no_next_hop_also_without_a_kernel() -> None:
    """RFC 4271 §6.3."""
    async with Town() as town:
        router = await town.run_for_strangers(1)
        peer = await town.join()
        [own] = router.plan.own_addresses
        peer.announce("10.8.0.0/16", next_hop=own)
        peer.announce("10.9.0.0/16")
        await until(lambda: "10.9.0.0/16" in best(router))
        assert "10.8.0.0/16" not in best(router)


@on_both_loops
async def test_a_route_refresh_is_answered_with_everything() -> None:
    """RFC 2918 §4."""
    async with Town() as town:
        router = await town.run_for_strangers(1, settings={"networks": "10.7.0.0/16,10.8.0.0/16"})
        peer = await town.join()
        await peer.until_ended()
        assert peer.announced == 2
        peer.send(route_refresh(IPV4))
        await peer.until(lambda: peer.announced == 4)
        assert peer.withdrawn == 0
        peer.send(route_refresh(IPV6), message(5, b"\x40\x04\0\x47"))
        peer.send(route_refresh(IPV4))
        await peer.until(lambda: peer.announced == 6)
        assert is_up(router)


@on_both_loops
async def test_well_known_communities_are_obeyed() -> None:
    """RFC 1997: NO_ADVERTISE and NO_EXPORT stay here."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16", communities=[(0xFFFF, 0xFF02)])
        one.announce("10.2.0.0/16", communities=[(0xFFFF, 0xFF01)])
        one.announce("10.3.0.0/16")
        await two.until(lambda: two.table)
        assert set(two.table) == {"10.3.0.0/16"}
        assert len(best(router)) == 3


@on_both_loops
async def test_attributes_that_leave_no_room_are_not_told_and_hurt_nobody() -> None:
    """RFC 4271 §9.2: our own AS makes the message too long."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        octets = path_attributes((65011,), next_hop=home(11))
        room = 4096 - 23 - len(octets) - 4 - 3
        octets += path_attributes((), communities=[(1, n) for n in range(room // 4)])[7:]
        one.send(update(b"", octets, prefix("10.0.0.0/8")))
        one.announce("10.1.0.0/16")
        await two.until(lambda: two.table)
        assert set(two.table) == {"10.1.0.0/16"}
        assert set(best(router)) == {"10.0.0.0/8", "10.1.0.0/16"}


# A peer that does not read.


@on_both_loops
async def test_a_peer_that_does_not_read_costs_prefixes_and_no_messages() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(3)
        slow = await town.join(11, receive_buffer=4096)
        teller, quick = await town.join(12), await town.join(13)
        slow.stop_reading()
        transport = narrow(router, 11)
        fill(teller, 10_000)
        await quick.until(lambda: len(quick.table) == 10_000)
        await until(lambda: transport.is_full)
        teller.withdraw(*table_of(10_000)[:5000])
        teller.announce(*table_of(10_000)[9000:], path=(65012, 1))
        await quick.until(lambda: len(quick.table) == 5000)
        await quick.until(lambda: quick.table["10.39.15.0/24"].as_path == (AS, 65012, 1))
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        [share] = exchange.shares.values()
        assert share.member.queue == []
        assert share.member.debt <= 10_000
        waiting = transport._transport.get_write_buffer_size()  # type: ignore[union-attr]
        assert waiting < 3 * 256 * 1024
        slow.read_on()
        await slow.until(lambda: slow.table == quick.table)
        assert is_up(router)


@on_uvloop
async def test_a_peer_that_does_not_read_is_given_up_by_its_own_silence_alone() -> None:
    """It answers no KEEPALIVEs, so its hold timer runs out; the others go on."""
    async with Town() as town:
        router = await town.run_for_strangers(3, keys={"holdTime": "3"})
        slow = await town.join(11, receive_buffer=4096)
        teller, quick = await town.join(12), await town.join(13)
        before = uptimes(router)
        slow.stop_reading()
        narrow(router, 11)
        fill(teller, 5_000)
        await quick.until(lambda: len(quick.table) == 5_000)
        await until(lambda: not peer_at(router, 11).is_established)
        for number in (12, 13):
            name = peer_at(router, number).name
            assert uptimes(router)[name] == before[name]


@on_both_loops
async def test_many_prefixes_arrive_whole() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(3)
        one, two, three = [await town.join(n) for n in (11, 12, 13)]
        one.announce(*table_of(20_000))
        two.announce(*table_of(20_000), path=(65012, 1))
        await three.until(lambda: len(three.table) == 20_000)
        await two.until(lambda: len(two.table) == 20_000)
        one.reset()
        expected = (AS, 65012, 1)
        await three.until(
            lambda: (
                len(three.table) == 20_000
                and all(heard.as_path == expected for heard in three.table.values())
            )
        )
        await two.until(lambda: two.table == {})
        assert set(best(router).values()) == {peer_at(router, 12).name}


# Another group.


@on_both_loops
async def test_debts_are_kept_when_the_peer_moves_to_another_group() -> None:
    """Withdrawals that were owed must not be forgotten with the old group."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        slow = await town.join(11, receive_buffer=4096)
        teller = await town.join(12)
        fill(teller, 5_000)
        await slow.until(lambda: len(slow.table) == 5_000)
        slow.stop_reading()
        transport = narrow(router, 11)
        fill(teller, 5_000, each=2)
        await until(lambda: transport.is_full)
        teller.withdraw(*table_of(5_000)[:2_000])
        await until(lambda: len(best(router)) == 3_000)
        refuse = Rule(Action.REJECT, nlri("10.19.135.0/24"), MatchOperator.EQUAL)
        await router.apply(only(11, router.plan, export_rules=((IPV4_UNICAST, (refuse,)),)))
        slow.read_on()
        expected = set(table_of(5_000)[2_000:]) - {"10.19.135.0/24"}
        await slow.until(lambda: set(slow.table) == expected)
        assert is_up(router)


@on_both_loops
async def test_end_of_rib_still_comes_after_a_move_in_the_middle_of_the_first_dump() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        teller = await town.join(12)
        fill(teller, 5_000)
        await until(lambda: len(best(router)) == 5_000)
        slow = await town.call(11, receive_buffer=4096)
        slow.send_open()
        await slow.until(lambda: slow.open)
        slow.stop_reading()
        [connection] = peer_at(router, 11).connections
        sock = connection.transport.socket
        assert sock is not None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        slow.send(message(4))
        await until(lambda: connection.transport.is_full)
        await router.apply(only(11, router.plan, next_hop_mode=NextHopMode.KEEP))
        slow.read_on()
        await slow.until_ended()
        await slow.until(lambda: len(slow.table) == 5_000)
        assert {heard.next_hop for heard in slow.table.values()} == {home(12)}


@on_both_loops
async def test_the_tables_of_a_dead_session_go_without_the_collector() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce(*table_of(100))
        await two.until(lambda: len(two.table) == 100)
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        inbound = exchange.inbound
        remains = [weakref.ref(each) for each in (exchange, inbound, inbound.table)]
        del exchange, inbound
        gc.collect()
        gc.disable()
        try:
            one.close()
            await two.until(lambda: not two.table)
            await until(lambda: not any(each() for each in remains))
        finally:
            gc.enable()
