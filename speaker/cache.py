"""One cache of the RPKI-to-Router protocol: its machine, and the connection to it.

A `Cache` is the shell around one `speaker.rpki.client.Client`. What happens (octets, a lost
connection, an alarm) goes in, and what comes out is done here: dialling, sending, hanging up; what
the cache says otherwise than before is told upwards. A host name is resolved by the loop, in a
thread, whenever a connection is made.

A cache may send as much as it likes: it is read from in small pieces with pauses between them, so
that it takes a part of the loop's time at the most, and hurts no session. What goes wrong is logged
once for each time that it begins, and not more often than `LINES` times in `PERIOD` seconds.

Standards: RFC 8210 §9.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress

from speaker import log
from speaker.clock import Alarm, Clock
from speaker.config.caches import CachePlan
from speaker.net import sockopts
from speaker.net.dialer import CONNECT_TIMEOUT, dial, explain
from speaker.net.transport import ReadBuffer, Transport
from speaker.rpki.client import Client
from speaker.rpki.effects import Altered, ClientState, Dial, Effect, HangUp, Replaced, Send

PIECE = 16 * 1024
"""Octets that are read at once: 800 VRPs, some milliseconds."""

PAUSE = 0.005
"""Seconds between two pieces."""

ADDRESSES = 8
"""So many addresses of a name are tried."""

LINES, PERIOD = 10, 600.0
"""So many lines are logged of a cache in so many seconds."""


class Cache:
    """A configured cache.

    Args:
        plan: what is configured.
        clock: the reader of time.
        tell: called with what the cache says otherwise than before.
        note: called when it becomes well, with empty words, or begins to fail, with the reason.

    Attributes:
        since: when it became what it is, well or not; seconds since the epoch.
    """

    def __init__(
        self,
        plan: CachePlan,
        clock: Clock,
        tell: Callable[[Cache, Replaced | Altered], None],
        note: Callable[[Cache, str], None],
    ) -> None:
        self.plan = plan
        self.client = Client(plan.wishes)
        self.since = clock.wall()
        self._clock = clock
        self._tell = tell
        self._note = note
        self._alarm = Alarm(clock, self._ring)
        self._buffer = ReadBuffer(PIECE)
        self._dialling: asyncio.Task[None] | None = None
        self._transport: Transport | None = None
        self._reads_on: asyncio.TimerHandle | None = None
        # Why it fails, as far as it was told; None before it was well or failed at all.
        self._trouble: str | None = None
        self._told_expiry = False
        self._lines = 0
        self._lines_until = 0.0

    def start(self) -> None:
        """Connect, and stay connected."""
        self._perform(self.client.start())

    def close(self) -> None:
        """End the session for good, and tell nobody."""
        self._tell = _nobody
        self._perform(self.client.stop())
        self._alarm.end()

    def take_plan(self, plan: CachePlan) -> None:
        """Go on under another plan; what another cache said stays until this one has answered."""
        before, self.plan = self.plan, plan
        now = self._clock.now()
        self.client.wish(plan.wishes, now)
        moved = (before.address, before.port) != (plan.address, plan.port)
        self._perform(self.client.turn() if moved else [])

    def _ring(self) -> None:
        self._perform(self.client.tick(self._clock.now()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Dial():
                    self._dialling = asyncio.get_running_loop().create_task(self._connect())
                case Send(octets):
                    if self._transport is not None:
                        self._transport.write([octets])
                case HangUp():
                    self._hang_up()
                case Replaced() | Altered():
                    self._tell(self, effect)
        self._say()
        self._alarm.set(self.client.deadline)

    async def _connect(self) -> None:
        try:
            transport = await self._dial()
        except OSError as error:
            self._perform(self.client.lost(_words(error), self._clock.now()))
            return
        self._transport = transport
        if transport.socket is not None:
            sockopts.keep_alive(transport.socket)
        transport.attach(self)
        self._perform(self.client.connected(self._clock.now()))

    async def _dial(self) -> Transport:
        """Connect to the first address that answers.

        Raises:
            OSError: none does.
        """
        plan = self.plan
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            found = await loop.getaddrinfo(plan.address, plan.port, type=socket.SOCK_STREAM)
        *others, last = list(dict.fromkeys(str(info[4][0]) for info in found))[:ADDRESSES]
        for address in others:
            with suppress(OSError):
                return await dial(self._buffer, address, plan.port)
        return await dial(self._buffer, last, plan.port)

    def _hang_up(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        if self._reads_on is not None:
            self._reads_on.cancel()
        transport, self._transport = self._transport, None
        self._dialling = self._reads_on = None
        if transport is not None:
            transport.close()

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        """Octets came: heed them, and let others have their turn before more is read."""
        if transport is not self._transport:
            return
        if len(chunk) > PIECE // 2:
            transport.pause()
            self._reads_on = asyncio.get_running_loop().call_later(PAUSE, transport.resume)
        self._perform(self.client.received(chunk, self._clock.now()))

    def on_lost(self, transport: Transport, error: str) -> None:
        """The connection is gone."""
        if transport is self._transport:
            self._hang_up()
            self._perform(self.client.lost(error, self._clock.now()))

    def on_blocked(self, transport: Transport) -> None:
        """A cache does not read; whether it answers is asked elsewhere."""

    def on_room(self, transport: Transport) -> None:
        """There is room to write again; nothing ever waits for it."""

    def _say(self) -> None:
        """Log what has become of the cache since, once."""
        client, plan = self.client, self.plan
        if client.has_expired and not self._told_expiry and self._may_say():
            log.cache_expired(plan.name, plan.place)
        self._told_expiry = client.has_expired
        trouble = client.last_error
        if client.state is not ClientState.UP and not trouble:
            # On its way, after a start or to the next answer.
            return
        if self._trouble is not None and bool(trouble) == bool(self._trouble):
            return
        self._trouble, self.since = trouble, self._clock.wall()
        self._note(self, trouble)
        if not self._may_say():
            return
        if trouble:
            log.cache_failed(plan.name, plan.place, trouble, client.size)
        else:
            log.cache_synced(plan.name, plan.place, client.version, client.size)

    def _may_say(self) -> bool:
        now = self._clock.now()
        if now >= self._lines_until:
            self._lines, self._lines_until = 0, now + PERIOD
        self._lines += 1
        return self._lines <= LINES


def _words(error: OSError) -> str:
    """Say why no connection came about."""
    if isinstance(error, socket.gaierror):
        return f"its name is not found: {error.strerror}"
    return explain(error)


def _nobody(cache: Cache, said: Replaced | Altered) -> None:
    """Be told in vain."""
