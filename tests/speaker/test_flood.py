"""Floods: those who only connect, and those who only talk nonsense, cost nobody else anything.

Here in one process and quick to look into; `tests/netns/test_floods.py` does the same to a daemon.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import thread_time

import pytest

from fsm.session import Session
from speaker.log.output import logger
from speaker.speaker import Speaker
from tests.support.flooder import fatal, survivable
from tests.support.routers import (
    Town,
    best,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
    uptimes,
)
from tests.support.scripted_peer import (
    ScriptedPeer,
    keepalive,
    open_message,
    path_attributes,
    prefix,
    route_refresh,
    update,
)

ATTACKED, HONEST, STRANGER = 11, 12, 99

LONGEST_STALL = 0.1
"""Seconds of processor time; twice what the router promises, as the test runs in its loop."""

GROWTH = 32 << 20
"""Octets of memory."""


class Heartbeat:
    """Notices how much time this thread spends until the loop comes round.

    Processor time: that others use the machine is no fault of ours.
    """

    BEAT = 0.005

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            before = thread_time()
            await asyncio.sleep(self.BEAT)
            self.longest = max(self.longest, thread_time() - before)


def resident() -> int:
    """Give the octets of memory that this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def unharmed(town: Town, router: Speaker) -> AsyncIterator[None]:
    """See to it that the honest peer notices nothing of what happens meanwhile.

    The log is as a router has it by default: what is kept here of each line is memory of the test.
    """
    logger.setLevel(logging.INFO)
    honest = await town.join(HONEST, hold_time=3)
    honest.announce("10.1.0.0/16")
    await until(lambda: "10.1.0.0/16" in best(router))
    name = peer_at(router, HONEST).name
    since, before, heartbeat = uptimes(router)[name], resident(), Heartbeat()
    beating = asyncio.create_task(heartbeat.run())
    yield
    beating.cancel()
    assert is_up(router, name)
    assert honest.is_open
    assert honest.notification is None
    assert uptimes(router)[name] == since
    assert best(router)["10.1.0.0/16"] == name
    assert resident() - before < GROWTH
    assert heartbeat.longest < LONGEST_STALL


async def call(town: Town, number: int) -> ScriptedPeer | None:
    """Connect; None where the connection is gone before it was any use."""
    try:
        return await town.call(number)
    except OSError:
        return None


async def dribble(peers: list[ScriptedPeer]) -> None:
    """Let each say its OPEN, one octet after the other, all but the last."""
    for octet in open_message(65000 + ATTACKED)[:-1]:
        for peer in peers:
            if peer.is_open:
                peer.send(bytes((octet,)))
        await asyncio.sleep(0.01)


@on_both_loops
async def test_connections_without_an_open_are_few_and_short() -> None:
    """300 say nothing and 100 never come to the end of their OPEN; half are the peer's address."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        shell = peer_at(router, ATTACKED)
        shell.stop()
        shell.session = Session(replace(shell.session.config, accepted_open_hold_time=2.0))
        shell.start()
        async with unharmed(town, router):
            came = [await call(town, (ATTACKED, STRANGER)[n % 2]) for n in range(400)]
            flood = [peer for peer in came if peer is not None]
            assert len(flood) > 100
            dribbling = asyncio.create_task(dribble(flood[::4]))
            await until(lambda: sum(peer.is_open for peer in flood) <= 1)
            assert len(shell.connections) <= 1
            await until(lambda: not any(peer.is_open for peer in flood))
            await dribbling
            assert all(peer.open is None for peer in flood if peer.address == home(STRANGER))
        await until(shell.session.would_accept)
        await town.join(ATTACKED)


@on_uvloop
async def test_a_peer_that_talks_nonsense_for_twenty_thousand_messages() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        shell, chance = peer_at(router, ATTACKED), random.Random(7606)
        async with unharmed(town, router):
            for _ in range(20):
                await until(shell.session.would_accept)
                peer = await town.join(ATTACKED)
                for _ in range(37):
                    peer.send(
                        *(survivable(chance, home(ATTACKED), 65000 + ATTACKED) for _ in range(27))
                    )
                    await asyncio.sleep(0)
                peer.send(fatal(chance, home(ATTACKED), 65000 + ATTACKED))
                await peer.until_closed()
                assert peer.notification is not None
                assert set(best(router)) == {"10.1.0.0/16"}
            assert shell.faults >= 20 * 37 * 27
            assert len(town.said.of("garbage")) == 20
        assert len(town.said.of("update_fault")) < 100


CHATTER = {
    "KEEPALIVEs": keepalive() * 40_000,
    "requests for a refresh": route_refresh() * 20_000,
    "UPDATEs that say nothing": update() * 40_000,
    "one prefix, again and again": update(
        b"", path_attributes((65000 + ATTACKED,), next_hop=home(ATTACKED)), prefix("10.9.0.0/24")
    )
    * 10_000,
    "withdrawals of what was never told": update(prefix("10.9.0.0/24")) * 20_000,
}


@on_uvloop
@pytest.mark.parametrize("what", CHATTER)
async def test_a_peer_that_says_the_same_for_ever_keeps_nobody_waiting(what: str) -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peer = await town.join(ATTACKED)
        async with unharmed(town, router):
            peer.send(CHATTER[what])
            peer.announce("10.8.0.0/16")
            await until(lambda: "10.8.0.0/16" in best(router))


@on_uvloop
async def test_attribute_sets_that_are_all_different_keep_nobody_waiting() -> None:
    """Each prefix has a set of its own, and all of them are told to others."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        chance = random.Random(8)
        # Made before anybody counts: to make a batch holds up the loop that the router shares.
        batches = [b"".join(distinct(chance) for _ in range(1500)) for _ in range(10)]
        peer = await town.join(ATTACKED)
        async with unharmed(town, router):
            for batch in batches:
                peer.send(batch)
                await asyncio.sleep(0)
            peer.announce("10.8.0.0/16")
            await until(lambda: "10.8.0.0/16" in best(router))


def distinct(chance: random.Random) -> bytes:
    """Make an UPDATE that is like no other."""
    octets = path_attributes(
        (65000 + ATTACKED,),
        next_hop=home(ATTACKED),
        communities=[(chance.randrange(65536), chance.randrange(65536)) for _ in range(3)],
    )
    return update(b"", octets, prefix(f"10.200.{chance.randrange(256)}.0/24"))
