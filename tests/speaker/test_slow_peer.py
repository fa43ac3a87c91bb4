"""A peer that reads slowly: its session lives, and it costs memory for prefixes, not for messages.

The peer takes about 50 kB a second, and the hold time is the shortest that there is. What it is to
be told is a hundred times what it takes in a hold time, and changes all the time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fsm.family import IPV4_UNICAST
from speaker.speaker import Speaker
from tests.support.routers import (
    Town,
    home,
    is_up,
    narrow,
    on_both_loops,
    peer_at,
    table_of,
    transport_to,
    until,
    uptimes,
)
from tests.support.routes import nlri
from tests.support.scripted_peer import (
    KEEPALIVE,
    NOTIFICATION,
    ScriptedPeer,
    keepalive,
    open_message,
    path_attributes,
    update,
)

SLOW, TELLER = 11, 12
HOLD_TIME = 3
SIP, PAUSE = 2500, 0.05
PREFIXES = 15_000
LAST = nlri(table_of(PREFIXES)[-1])
UNSENT = 1 << 20
"""Octets: the transport's high-water mark, and what one step of work makes beyond it."""


class Sipper:
    """A peer that reads a little at a time, and keeps its end of the session."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.kinds: set[int] = set()
        self.longest = 0.0
        self._rest = b""
        self._heard_at = 0.0

    async def run(self) -> None:
        """Sip for ever; note how long there was no message at all."""
        loop = asyncio.get_running_loop()
        self._heard_at = told = loop.time()
        while True:
            self._hear(await loop.sock_recv(self.sock, SIP), loop.time())
            if loop.time() > told + HOLD_TIME / 3:
                told = loop.time()
                await loop.sock_sendall(self.sock, keepalive())
            await asyncio.sleep(PAUSE)

    def _hear(self, chunk: bytes, now: float) -> None:
        self._rest += chunk
        while len(self._rest) >= 19:
            length = int.from_bytes(self._rest[16:18], "big")
            if len(self._rest) < length:
                return
            self.kinds.add(self._rest[18])
            self._rest = self._rest[length:]
            self.longest, self._heard_at = max(self.longest, now - self._heard_at), now


@asynccontextmanager
async def sipping(town: Town) -> AsyncIterator[Sipper]:
    """Let the slow peer come up, and sip until the end of the block."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((home(SLOW), 0))
    await loop.sock_connect(sock, (home(1), town.port))
    said = open_message(65000 + SLOW, router_id=home(SLOW), hold_time=HOLD_TIME) + keepalive()
    await loop.sock_sendall(sock, said)
    peer = Sipper(sock)
    running = asyncio.create_task(peer.run())
    try:
        await until(lambda: KEEPALIVE in peer.kinds)
        yield peer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        sock.close()


ROUND = 0x0BADCAFE
"""The AS number that stands for the round's."""


def everything() -> bytes:
    """Announce all prefixes; each has a large attribute set of its own."""
    messages = []
    for n, prefix in enumerate(table_of(PREFIXES)):
        communities = [(n, m) for m in range(50)]
        octets = path_attributes(
            (65000 + TELLER, ROUND), next_hop=home(TELLER), communities=communities
        )
        messages.append(update(b"", octets, nlri(prefix)))
    return b"".join(messages)


def change_all(teller: ScriptedPeer, octets: bytes, number: int) -> None:
    """Announce everything anew, at once: whoever shares this process is not kept waiting."""
    teller.send(octets.replace(ROUND.to_bytes(4), number.to_bytes(4)))


def ends_by(router: Speaker, path: tuple[int, ...]) -> bool:
    """Tell whether the last prefix is there by this path."""
    last = router.loc_ribs[IPV4_UNICAST].best.get(LAST)
    return last is not None and last.attributes.as_sequence == path


@on_both_loops
async def test_a_slow_peer_keeps_its_session_and_is_not_remembered_by_the_message() -> None:
    octets = everything()
    async with Town() as town:
        router = await town.run_for_strangers(2)
        teller = await town.join(TELLER)
        async with sipping(town) as slow:
            await until(lambda: is_up(router))
            narrow(router, SLOW)
            before, most, rounds = uptimes(router), 0, 0
            exchange = peer_at(router, SLOW).exchange
            assert exchange is not None
            member = exchange.shares[IPV4_UNICAST].member
            until_then = router.clock.now() + 2 * HOLD_TIME
            while router.clock.now() < until_then or rounds < 3:
                rounds += 1
                change_all(teller, octets, rounds)
                await until(partial(ends_by, router, (65000 + TELLER, rounds)), 60)
                most = max(most, transport_to(router, SLOW).unsent + sum(map(len, member.queue)))
                assert member.debt <= PREFIXES
                await asyncio.sleep(PAUSE)
            assert member.debt > PREFIXES / 2
            assert most < UNSENT
            assert uptimes(router) == before
            assert NOTIFICATION not in slow.kinds
            assert slow.longest < HOLD_TIME
