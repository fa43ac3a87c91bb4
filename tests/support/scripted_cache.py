"""A cache of the RPKI-to-Router protocol that says what a test has it say.

It answers queries by itself, in the version that it is asked in, with whatever VRPs a test gives
it; what it is asked is remembered. A test may have it keep silent, or send any octets at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Self

from policy.prefix import parse_prefix
from policy.vrps import Vrp
from speaker.rpki.intervals import Intervals
from speaker.rpki.pdus import (
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorCode,
    ErrorReport,
    Pdu,
    PduType,
    PrefixPdu,
    SerialNotify,
    encode,
)


def vrp(text: str, asn: int, *, up_to: int | None = None) -> Vrp:
    """Make a VRP, by default for no longer prefixes."""
    afi, nlri = parse_prefix(text)
    return Vrp(afi, nlri, nlri[0] if up_to is None else up_to, asn)


class ScriptedCache:
    """Listens at a port of 127.0.0.1.

    Args:
        *vrps: what it says at first.
        version: the newest that it speaks.
        intervals: that it tells.

    Attributes:
        queries: that came: version, type, and the serial number where there is one.
        errors: codes of Error Reports that came.
        silent: it answers no queries.
        connections: how many were made.
    """

    def __init__(
        self,
        *vrps: Vrp,
        version: int = 1,
        intervals: Intervals = Intervals(3600, 600, 7200),  # noqa: B008 - a frozen value
    ) -> None:
        self.version = version
        self.intervals = intervals
        self.session = 7
        self.queries: list[tuple[int, int, int | None]] = []
        self.errors: list[int] = []
        self.silent = False
        self.connections = 0
        self.port = 0
        # Of the last query.
        self._spoken = version
        self._history: list[set[Vrp]] = [set(), set(vrps)]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Hang up on everybody and listen no more."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def serial(self) -> int:
        """The present serial number."""
        return len(self._history) - 1

    def say(self, *vrps: Vrp) -> None:
        """Have these VRPs from now on and no others, and let routers know that there is news."""
        self._history.append(set(vrps))
        self.send(SerialNotify(self.session, self.serial))

    def send(self, *said: Pdu | bytes) -> None:
        """Send PDUs, or any octets, to everybody who is connected."""
        for each in said:
            octets = each if isinstance(each, bytes) else encode(each, self._spoken)
            for writer in self._writers:
                writer.write(octets)

    async def flood(self, octets: bytes) -> None:
        """Send the same octets again and again, as fast as they are read, until nobody is left."""
        while self._writers:
            for writer in list(self._writers):
                writer.write(octets)
                try:
                    await writer.drain()
                except ConnectionError:
                    self._writers.discard(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            while await self._hear(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readexactly(8)
        rest = await reader.readexactly(int.from_bytes(head[4:], "big") - 8)
        version, kind = head[0], head[1]
        if kind == PduType.ERROR_REPORT:
            self.errors.append(int.from_bytes(head[2:4], "big"))
            return True
        serial = int.from_bytes(rest, "big") if kind == PduType.SERIAL_QUERY else None
        self.queries.append((version, kind, serial))
        if version > self.version:
            refusal = ErrorReport(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, "")
            writer.write(encode(refusal, self.version))
            return False
        self._spoken = version
        if not self.silent:
            asked = int.from_bytes(head[2:4], "big")
            pdus = self._answer(serial if asked == self.session else None, serial is not None)
            writer.write(b"".join(encode(pdu, version) for pdu in pdus))
        return True

    def _answer(self, since: int | None, is_serial: bool) -> Iterable[Pdu]:
        if is_serial and (since is None or since >= len(self._history)):
            return [CacheReset()]
        before, now = self._history[since or 0], self._history[-1]
        intervals = self.intervals if self._spoken else None
        return [
            CacheResponse(self.session),
            *(PrefixPdu(False, *each) for each in sorted(before - now)),
            *(PrefixPdu(True, *each) for each in sorted(now - before)),
            EndOfData(self.session, self.serial, intervals),
        ]
