"""Connections from a range without an OPEN: who is silent for long, and who makes room."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from time import thread_time

import pytest

from speaker import newcomers
from tests.speaker.test_dynamic_peers import plan_of, rack, shown
from tests.support.routers import Town, best, home, is_up, on_both_loops, on_uvloop, until
from tests.support.scripted_peer import keepalive, open_message


@on_both_loops
async def test_who_says_nothing_has_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "ACCEPTED_HOLD_TIME", 0.5)
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        silent = await town.call(11)
        await silent.until_closed()
        assert silent.messages == []
        assert shown(router)[0]["refused"] == {"silent": 1}
        assert "said nothing for 0.5 s" in town.said.of("range_refused")[0]["reason"]
        assert shown(router)[0]["waiting"] == 0


@on_uvloop
async def test_the_oldest_silence_makes_room_for_who_comes() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town, listenRange="127.0.0.0/24")))
        crowd = [await town.call(number) for number in range(100, 100 + newcomers.ROOM)]
        await until(lambda: shown(router)[0]["waiting"] == newcomers.ROOM)
        last = await town.join(11)
        await crowd[0].until_closed()
        assert last.is_open
        assert all(each.is_open for each in crowd[1:])
        assert list(router.peers) == ["Dynamic_rack_127_0_0_11"]


@on_uvloop
async def test_an_address_has_one_place_and_the_later_connection_has_it() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        first, second = await town.call(11), await town.call(11)
        await first.until_closed()
        await second.establish()
        await until(lambda: router.peers and is_up(router))


@on_uvloop
async def test_an_open_may_come_in_pieces_and_with_more_behind_it() -> None:
    async with Town() as town:
        router = await town.run(plan_of(town, rack(town)))
        peer = await town.call(11)
        octets = open_message(65011, router_id="192.0.2.11")
        for octet in octets[:40]:
            peer.send(bytes((octet,)))
            await asyncio.sleep(0)
        peer.send(octets[40:], keepalive())
        peer.announce("10.0.0.0/8")
        await until(lambda: best(router) == {"10.0.0.0/8": "Dynamic_rack_127_0_0_11"})


@on_uvloop
async def test_a_flood_from_a_range_costs_little_and_leaves_nothing() -> None:
    """Each of the connections costs less than a millisecond, and none of them a peer."""
    async with Town() as town:
        wide = rack(town, listenRange="127.0.0.0/24", maxDynamicPeers="2")
        router = await town.run(plan_of(town, wide))
        honest = await town.join(11)
        before, count = thread_time(), 3000
        for number in range(count):
            with socket.socket() as sock, suppress(OSError):
                sock.setblocking(False)
                sock.bind((home(20 + number % 200), 0))
                sock.connect_ex((home(1), town.port))
                await asyncio.sleep(0)
        await until(lambda: shown(router)[0]["waiting"] == 0)
        assert thread_time() - before < count * 0.001
        assert shown(router)[0]["refused"]["silent"] > count // 10
        assert list(router.peers) == ["Dynamic_rack_127_0_0_11"]
        assert len(town.said.of("range_refused")) <= 10
        assert honest.is_open
        await town.join(12)
