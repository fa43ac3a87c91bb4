"""Many BGP speakers in one node of a lab, each saying octets and keeping what it hears.

Run as a program it takes orders on its standard input and answers on its standard output, both
pickled: a `Chorus` is a test's end of it. What a `Voice` holds is a table from prefix to the
attributes as they came, so that two daemons can be compared attribute by attribute without a
decoder between them.

Standards: RFC 4271 §4.3; RFC 4724 §2 (End-of-RIB).
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.scripted_peer import (
    IPV6,
    KEEPALIVE,
    ROUTE_REFRESH,
    ScriptedPeer,
    attribute,
    capability,
    keepalive,
    mp_reach,
    route_refresh,
    update,
)

if TYPE_CHECKING:
    from lab import RunningNode

ROOT = Path(__file__).parents[2]
PORT = 179
PATIENCE = 40.0

ROOM = 3500
"""Octets of NLRI in a message that leave room for the attributes."""

RESTART = capability(64, b"\0\x78")
"""Graceful restart without families: the sender of a table marks its end."""
ENHANCED = capability(70)

Table = dict[bytes, tuple[bytes, bytes]]
"""Attributes by NLRI: those of the message, and the next hop where MP_REACH_NLRI carries it."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One session.

    Attributes:
        name: of the session, within its chorus.
        source: its address.
        target: whom it connects to.
        asn: its AS.
        router_id: its BGP Identifier.
        afi: of the one family that it speaks.
    """

    name: str
    source: str
    target: str
    asn: int
    router_id: str
    afi: int


class Singer(ScriptedPeer):
    """A connection that keeps attributes as octets.

    Attributes:
        raw: what is held.
        refreshed: how many times a demanded table has come to its end (RFC 7313).
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.raw: Table = {}
        self.refreshed = 0

    def _take(self, kind: int, body: bytes) -> None:
        if kind == ROUTE_REFRESH:
            self.refreshed += body[2] == 2
            self.messages.append(kind)
        else:
            super()._take(kind, body)

    def _take_update(self, body: bytes) -> None:
        if len(body) == 4:
            self.ended.add(1)
            return
        size = int.from_bytes(body[:2], "big")
        for nlri in split(body[2 : 2 + size]):
            self.raw.pop(nlri, None)
        end = 4 + size + int.from_bytes(body[2 + size : 4 + size], "big")
        self._take_attributes(body[4 + size : end], body[end:])

    def _take_attributes(self, attributes: bytes, block: bytes) -> None:
        kept, next_hop = b"", b""
        for code, whole, value in attributes_of(attributes):
            if code == 14:
                next_hop, block = value[4 : 4 + value[3]], value[5 + value[3] :]
            elif code == 15:
                if len(value) == 3:
                    self.ended.add(IPV6)
                for nlri in split(value[3:]):
                    self.raw.pop(nlri, None)
            else:
                kept += whole
        held = (kept, next_hop)
        for nlri in split(block):
            self.raw[nlri] = held


def split(block: bytes) -> Iterable[bytes]:
    """Take a block of NLRI apart."""
    at = 0
    while at < len(block):
        end = at + 1 + (block[at] + 7) // 8
        yield block[at:end]
        at = end


def attributes_of(octets: bytes) -> Iterable[tuple[int, bytes, bytes]]:
    """Give the type, the whole and the value of each path attribute."""
    at = 0
    while at < len(octets):
        wide = octets[at] & 0x10
        start = at + (4 if wide else 3)
        end = start + int.from_bytes(octets[at + 2 : start], "big")
        yield octets[at + 1], octets[at:end], octets[start:end]
        at = end


# What peers say.


@dataclass(frozen=True)
class Said:
    """Attributes with which a peer announces routes."""

    path: tuple[int, ...] = ()
    as_set: tuple[int, ...] = ()
    origin: int = 0
    next_hop: str = ""
    med: int | None = None
    local_pref: int | None = None
    communities: tuple[str, ...] = ()
    originator: str = ""
    clusters: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """Write them without the next hop."""
        segments = b""
        if self.path:
            segments += struct.pack(f"!BB{len(self.path)}I", 2, len(self.path), *self.path)
        if self.as_set:
            segments += struct.pack(f"!BB{len(self.as_set)}I", 1, len(self.as_set), *self.as_set)
        octets = attribute(0x40, 1, bytes((self.origin,))) + attribute(0x40, 2, segments)
        if self.med is not None:
            octets += attribute(0x80, 4, struct.pack("!I", self.med))
        if self.local_pref is not None:
            octets += attribute(0x40, 5, struct.pack("!I", self.local_pref))
        values = [tuple(map(int, text.split(":"))) for text in self.communities]
        standard = b"".join(struct.pack("!HH", *value) for value in values if len(value) == 2)
        large = b"".join(struct.pack("!III", *value) for value in values if len(value) == 3)
        if standard:
            octets += attribute(0xC0, 8, standard)
        if self.originator:
            octets += attribute(0x80, 9, IPv4Address(self.originator).packed)
        if self.clusters:
            packed = b"".join(IPv4Address(each).packed for each in self.clusters)
            octets += attribute(0x80, 10, packed)
        if large:
            octets += attribute(0xC0, 32, large)
        return octets


def updates(said: Mapping[Said, Sequence[bytes]], version: int) -> bytes:
    """Write the messages that announce prefixes."""
    messages = []
    for facts, nlris in said.items():
        block = b""
        blocks = []
        for nlri in nlris:
            if len(block) + len(nlri) > ROOM:
                blocks.append(block)
                block = b""
            block += nlri
        for part in (*blocks, block):
            octets = facts.encoded()
            if version == 6:
                messages.append(update(b"", mp_reach(part, facts.next_hop) + octets))
            else:
                hop = attribute(0x40, 3, ip_address(facts.next_hop).packed)
                # NEXT_HOP stands behind ORIGIN and AS_PATH, in the order of the types.
                kept = b"".join(w for c, w, _ in sorted(attributes_of(hop + octets)))
                messages.append(update(b"", kept, part))
    return b"".join(messages)


# Both ends.


class Chorus:
    """A test's end of the program, which runs in a node for the time of a ``with`` block."""

    def __init__(self, node: RunningNode) -> None:
        self._argv = node.inside([sys.executable, "-m", "tests.support.chorus"])

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _ask(self, *order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(order, self._process.stdin)
        self._process.stdin.flush()
        answer = pickle.load(self._process.stdout)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def meet(self, voices: Iterable[Voice]) -> None:
        """Establish sessions, those of before under the same names being closed."""
        self._ask("meet", list(voices))

    def say(self, said: Mapping[str, bytes]) -> None:
        """Send octets on sessions."""
        self._ask("say", dict(said))

    def hold(self, names: Iterable[str], nlris: Iterable[bytes]) -> None:
        """Wait until sessions hold routes to these prefixes."""
        self._ask("hold", list(names), list(nlris))

    def end(self, names: Iterable[str]) -> None:
        """Wait until sessions have heard their first End-of-RIB."""
        self._ask("end", list(names))

    def refresh(self, names: Iterable[str]) -> None:
        """Have sessions demand their tables anew, and wait for the ends of them."""
        self._ask("refresh", list(names))

    def tables(self, names: Iterable[str]) -> dict[str, Table]:
        """Give what sessions hold."""
        found: dict[str, Table] = self._ask("tables", list(names))
        return found


class _Program:
    """The other end."""

    def __init__(self) -> None:
        self._singers: dict[str, tuple[Voice, Singer]] = {}

    async def meet(self, voices: list[Voice]) -> None:
        await asyncio.gather(*map(self._meet, voices))

    async def _meet(self, voice: Voice) -> None:
        if voice.name in self._singers:
            self._singers.pop(voice.name)[1].close()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    singer = await Singer.connect(
                        voice.target,
                        PORT,
                        source=voice.source,
                        asn=voice.asn,
                        router_id=voice.router_id,
                    )
                except OSError:
                    pass
                else:
                    if await _is_established(singer, voice.afi):
                        self._singers[voice.name] = (voice, singer)
                        return
                # A daemon that has just started, or holds back, refuses.
                await asyncio.sleep(0.1)

    async def say(self, said: dict[str, bytes]) -> None:
        for name, octets in said.items():
            self._singers[name][1].send(octets)

    async def hold(self, names: list[str], nlris: list[bytes]) -> None:
        for name in names:
            singer = self._singers[name][1]
            await singer.until(lambda table=singer.raw: all(n in table for n in nlris), PATIENCE)  # type: ignore[misc]  # the default binds

    async def end(self, names: list[str]) -> None:
        for name in names:
            voice, singer = self._singers[name]
            await singer.until(lambda s=singer, afi=voice.afi: afi in s.ended, PATIENCE)  # type: ignore[misc]  # the defaults bind

    async def refresh(self, names: list[str]) -> None:
        before = {name: self._singers[name][1].refreshed for name in names}
        for name in names:
            voice, singer = self._singers[name]
            singer.send(route_refresh(voice.afi))
        for name, count in before.items():
            singer = self._singers[name][1]
            await singer.until(lambda s=singer, n=count: s.refreshed > n, PATIENCE)  # type: ignore[misc]  # the defaults bind

    async def tables(self, names: list[str]) -> dict[str, Table]:
        for name in names:
            singer = self._singers[name][1]
            assert singer.is_open, f"{name} has lost its session: {singer.notification}"
        return {name: self._singers[name][1].raw for name in names}


async def _is_established(singer: Singer, afi: int) -> bool:
    """Shake hands; the other end may hang up instead."""
    singer.send_open(families=(afi,), hold_time=0, more=RESTART + ENHANCED)
    await singer.until(lambda: singer.open is not None or not singer.is_open, PATIENCE)
    if singer.is_open:
        singer.send(keepalive())
        await singer.until(lambda: KEEPALIVE in singer.messages or not singer.is_open, PATIENCE)
    return singer.is_open


async def _serve() -> None:
    program = _Program()
    loop = asyncio.get_running_loop()
    while True:
        try:
            verb, *arguments = await loop.run_in_executor(None, pickle.load, sys.stdin.buffer)
        except EOFError:
            return
        answer: Any
        try:
            answer = await getattr(program, verb)(*arguments)
        except Exception as error:
            answer = error
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve())
