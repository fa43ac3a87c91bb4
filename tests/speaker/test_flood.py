"""Floods: those who only connect, and those who only talk nonsense, cost nobody else anything."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

from fsm.session import Session
from speaker.speaker import Speaker
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
    MARKER,
    ScriptedPeer,
    attribute,
    message,
    open_message,
    path_attributes,
    prefix,
    update,
)

ATTACKED, HONEST, STRANGER = 11, 12, 99

LONGEST_STALL = 0.5
"""Seconds; ten times what the router promises, for the test's own work runs in its loop."""

GROWTH = 32 << 20
"""Octets of memory."""


class Heartbeat:
    """Notices how long the loop does not come round."""

    BEAT = 0.005

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            before = monotonic()
            await asyncio.sleep(self.BEAT)
            self.longest = max(self.longest, monotonic() - before - self.BEAT)


def resident() -> int:
    """Give the octets of memory that this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def unharmed(town: Town, router: Speaker) -> AsyncIterator[None]:
    """See to it that the honest peer notices nothing of what happens meanwhile."""
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
            assert len(shell._connections) <= 1
            await until(lambda: not any(peer.is_open for peer in flood))
            await dribbling
            assert all(peer.open is None for peer in flood if peer.address == home(STRANGER))
        await until(shell.session.would_accept)
        await town.join(ATTACKED)


def survivable(chance: random.Random) -> bytes:
    """Make an UPDATE that costs its own routes only (RFC 7606), and that is like no other."""
    path = attribute(0x40, 2, b"\x02\x01" + struct.pack("!I", 65000 + ATTACKED))
    origin, hop = attribute(0x40, 1, b"\0"), attribute(0x40, 3, bytes((127, 0, 0, ATTACKED)))
    other = attribute(0xC0, 8, chance.randbytes(4 * chance.randrange(1, 20)))
    bad = chance.choice(
        [
            [attribute(0x40, 1, bytes((chance.randrange(3, 256),))), path, hop, other],
            [origin, attribute(0x40, 2, b"\x09\x07" + chance.randbytes(5)), hop, other],
            [origin, path, attribute(0x40, 3, chance.randbytes(3)), other],
            [origin, path, hop, attribute(0xC0, 8, chance.randbytes(7))],
            [origin, path, other],
        ]
    )
    nlri = prefix(f"10.{chance.randrange(2, 255)}.{chance.randrange(256)}.0/24")
    return update(b"", b"".join(bad), nlri)


def fatal(chance: random.Random) -> bytes:
    """Make octets that end a session."""
    good = path_attributes((65000 + ATTACKED,), next_hop=home(ATTACKED))
    return chance.choice(
        [
            chance.randbytes(64),
            MARKER + b"\x00\x12\x04",
            message(chance.randrange(6, 256), chance.randbytes(20)),
            message(2, b"\xff\xff" + chance.randbytes(40)),
            update(b"", good, b"\x21" + chance.randbytes(5)),
        ]
    )


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
                    peer.send(*(survivable(chance) for _ in range(27)))
                    await asyncio.sleep(0)
                peer.send(fatal(chance))
                await peer.until_closed()
                assert peer.notification is not None
                assert set(best(router)) == {"10.1.0.0/16"}
            assert shell.faults >= 20 * 37 * 27
            assert len(town.said.of("garbage")) == 20
        assert len(town.said.of("update_fault")) < 100
