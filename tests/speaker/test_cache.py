"""A cache and the connection to it, against one that does what a test has it do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from policy.vrps import Vrp
from speaker.cache import LINES, Cache
from speaker.clock import Clock
from speaker.config.caches import CachePlan
from speaker.rpki.effects import Altered, ClientState, Replaced
from speaker.rpki.intervals import Wishes
from speaker.rpki.pdus import CacheResponse, ErrorCode, PduType, PrefixPdu, SerialNotify, encode
from tests.support.routers import Town, on_both_loops, on_uvloop, until
from tests.support.scripted_cache import ScriptedCache, vrp

ONE, TWO, SIX = vrp("192.0.2.0/24", 64500), vrp("10.0.0.0/8", 1), vrp("2001:db8::/32", 2)
RESET, SERIAL = PduType.RESET_QUERY, PduType.SERIAL_QUERY


class Asked:
    """A `Cache` under test, and what it has told."""

    def __init__(self, port: int, *, address: str = "127.0.0.1", **wishes: int) -> None:
        plan = CachePlan("c", address, port, Wishes(**{"retry": 1, **wishes}))
        self.told: list[Replaced | Altered] = []
        self.notes: list[str] = []
        self.cache = Cache(
            plan,
            Clock(),
            lambda _, said: self.told.append(said),
            lambda _, trouble: self.notes.append(trouble),
        )

    @property
    def vrps(self) -> set[Vrp]:
        return {vrp for table in self.cache.client.tables.values() for vrp in table}

    @property
    def is_up(self) -> bool:
        return self.cache.client.state is ClientState.UP


@asynccontextmanager
async def asking(port: int, **options: int | str) -> AsyncIterator[Asked]:
    asked = Asked(port, **options)  # type: ignore[arg-type]  # as they are given
    asked.cache.start()
    try:
        yield asked
    finally:
        asked.cache.close()


@on_both_loops
async def test_it_follows_what_a_cache_says() -> None:
    async with Town(), ScriptedCache(ONE, SIX) as said, asking(said.port) as asked:
        await until(lambda: asked.is_up)
        assert asked.vrps == {ONE, SIX}
        said.say(ONE, TWO)
        await until(lambda: asked.vrps == {ONE, TWO})
        assert [type(each) for each in asked.told] == [Replaced, Altered]
        assert said.queries == [(1, RESET, None), (1, SERIAL, 1)]
        assert asked.notes == [""]


@on_uvloop
async def test_the_system_finds_out_that_a_cache_is_gone_without_a_word() -> None:
    """RFC 8210 §9 wants TCP to look after idle connections."""
    async with Town(), ScriptedCache(ONE) as said, asking(said.port) as asked:
        await until(lambda: asked.is_up)
        assert asked.cache._transport is not None
        sock = asked.cache._transport.socket
        assert sock is not None
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


@on_both_loops
async def test_a_cache_is_found_by_its_name() -> None:
    async with (
        Town(),
        ScriptedCache(ONE) as said,
        asking(said.port, address="localhost") as asked,
    ):
        await until(lambda: asked.vrps == {ONE})


@on_both_loops
async def test_a_name_that_nobody_has_is_said_in_words() -> None:
    async with Town() as town, asking(323, address="no.such.host.invalid") as asked:
        await until(lambda: asked.notes)
        assert asked.notes[0].startswith("its name is not found: ")
        assert len(town.said.of("cache_failed")) == 1


@on_both_loops
async def test_a_cache_of_version_0_is_followed_too() -> None:
    """RFC 8210 §7."""
    async with Town(), ScriptedCache(ONE, version=0) as said, asking(said.port) as asked:
        await until(lambda: asked.is_up)
        assert asked.vrps == {ONE}
        said.say(TWO)
        await until(lambda: asked.vrps == {TWO})
        assert said.queries == [(1, RESET, None), (0, RESET, None), (0, SERIAL, 1)]


@on_both_loops
async def test_a_cache_that_returns_with_the_same_data_is_no_news() -> None:
    async with Town() as town, ScriptedCache(ONE) as said, asking(said.port) as asked:
        await until(lambda: asked.is_up)
        await said.close()
        await until(lambda: not asked.is_up)
        assert asked.vrps == {ONE}
        await said.open()
        await until(lambda: asked.is_up)
        assert said.queries[-1] == (1, SERIAL, 1)
        assert len(asked.told) == 1
        assert [bool(note) for note in asked.notes] == [False, True, False]
        assert len(town.said.of("cache_failed")) == len(town.said.of("cache_synced")) - 1 == 1


@on_both_loops
async def test_another_address_is_turned_to_while_the_data_stays() -> None:
    async with (
        Town(),
        ScriptedCache(ONE) as first,
        ScriptedCache(TWO) as second,
        asking(first.port) as asked,
    ):
        await until(lambda: asked.is_up)
        second.silent = True
        asked.cache.take_plan(CachePlan("c", "127.0.0.1", second.port, Wishes(retry=1)))
        await until(lambda: second.queries)
        assert asked.vrps == {ONE}
        second.silent = False
        await second.close()
        await second.open()
        await until(lambda: asked.vrps == {TWO})


@on_both_loops
async def test_other_intervals_cost_no_connection() -> None:
    async with Town(), ScriptedCache(ONE) as said, asking(said.port) as asked:
        await until(lambda: asked.is_up)
        plan = CachePlan("c", "127.0.0.1", said.port, Wishes(refresh=1, retry=1, expire=600))
        asked.cache.take_plan(plan)
        await until(lambda: len(said.queries) > 1)
        assert said.connections == 1


@on_both_loops
async def test_a_cache_that_fails_again_and_again_fills_no_log() -> None:
    async with Town() as town, ScriptedCache(ONE) as said, asking(said.port) as asked:
        for _ in range(LINES):
            await until(lambda: asked.is_up)
            said.send(b"\x01\xff\0\0\0\0\0\x08")
            await until(lambda: not asked.is_up)
            asked.cache._perform(asked.cache.client.turn())
        lines = town.said.of("cache_failed") + town.said.of("cache_synced")
        assert len(lines) == LINES
        assert set(said.errors) == {ErrorCode.UNSUPPORTED_PDU_TYPE}


FLOODS = {
    "notifies": encode(SerialNotify(7, 1), 1) * 1000,
    "junk": b"\x01\x04\0\0\xff\xff\xff\xff" + bytes(60_000),
    "answers nobody asked for": encode(CacheResponse(7), 1) * 1000,
}


@pytest.mark.parametrize("octets", FLOODS.values(), ids=FLOODS)
@on_both_loops
async def test_a_flood_is_read_in_small_pieces_with_pauses(octets: bytes) -> None:
    async with Town(), ScriptedCache(ONE) as said, asking(said.port) as asked:
        await until(lambda: asked.is_up)
        flood = asyncio.create_task(said.flood(octets))
        slept = asyncio.get_running_loop().time()
        for _ in range(20):
            await asyncio.sleep(0.005)
        slept = asyncio.get_running_loop().time() - slept
        assert slept < 2.0
        assert asked.vrps == {ONE}
        asked.cache.close()
        await until(flood.done)


@on_both_loops
async def test_an_answer_without_end_is_cut_off_at_the_limit() -> None:
    async with Town(), ScriptedCache(ONE) as said, asking(said.port, max_vrps=3000) as asked:
        await until(lambda: asked.is_up)
        said.silent = True
        said.send(SerialNotify(7, 2))
        await until(lambda: len(said.queries) > 1)
        said.send(CacheResponse(7))
        for n in range(4000):
            said.send(PrefixPdu(True, *vrp(f"10.{n >> 8}.{n & 255}.0/24", n)))
        await until(lambda: said.errors == [ErrorCode.INTERNAL_ERROR])
        assert asked.vrps == {ONE}
        assert "more than 3000 VRPs are not taken" in asked.cache.client.last_error
