"""A router on loopback between peers that break rules, a witness and a listener.

The listener hears from outside what the router makes of a message; the witness has a route that
nothing may touch. Senders announce two prefixes of each family that they keep up, and are connected
anew when a message has cost them their session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from fsm.family import NAMES
from policy.attributes import tlvs
from policy.path import Path
from speaker.rib.attribute_table import AttributeTable, Intake
from speaker.speaker import Speaker
from speaker.wire.framing import MAX_EXTENDED_LENGTH
from speaker.wire.update import sections
from tests.support.builders import body, reach
from tests.support.malformed import FIRST, SENDERS, Sender, framed, packed
from tests.support.relayed import multiprotocol
from tests.support.resources import node
from tests.support.routers import AS, Town, home, peer_at
from tests.support.scripted_peer import (
    IPV4,
    IPV6,
    KEEPALIVE,
    OPEN,
    ScriptedPeer,
    keepalive,
    message,
    open_message,
    prefixes_of,
)

WITNESS, LISTENER = 14, 15
WITNESSED = "192.0.2.0/24"
_NEXT_HOP_6 = bytes.fromhex("20010db8000000000000000000000011")
WITHIN = 10.0


class Talker(ScriptedPeer):
    """A peer that speaks and does not listen to routes."""

    def _take_update(self, body: bytes) -> None:
        """Let it be: a session of two-octet AS numbers has paths that nobody here reads."""


class Listener(ScriptedPeer):
    """A peer that keeps the attributes of each prefix as they came: flags and value by type."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.attributes: dict[str, dict[int, tuple[int, bytes]]] = {}

    def _take_update(self, body: bytes) -> None:
        super()._take_update(body)
        withdrawn, octets, nlri = sections(body)
        assert len(withdrawn) + len(octets) + len(nlri) + 4 == len(body)
        found = {code: (flags, value) for flags, code, value in tlvs(octets)}
        for prefix in prefixes_of(nlri, IPV4):
            self.attributes[prefix] = found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message has led to.

    Attributes:
        last: the end of the AS_PATH with which the listener holds the affected prefix; 0: not.
        unrelated: whether it still holds the other prefixes of the sender.
        notification: what the sender was told, if its session ended.
    """

    last: int
    unrelated: bool
    notification: tuple[int, int, bytes] | None


class Bench:
    """The router and everybody around it."""

    def __init__(self, town: Town, router: Speaker, listener: Listener) -> None:
        self.town = town
        self.router = router
        self.listener = listener
        self.talkers: dict[Sender, Talker] = {}
        self._sentinels = count(1)

    @classmethod
    async def build(cls, town: Town) -> Bench:
        """Start the router and connect everybody."""
        numbers = {sender.number: sender.internal for sender in SENDERS}
        numbers |= {WITNESS: False, LISTENER: False}
        keys = {"passive": "on", "families": "ipv4,ipv6,l2vpn-evpn"}
        peers = [
            town.peer(f"p{n}", n, AS if internal else 65000 + n, node="r1", keys=keys)
            for n, internal in numbers.items()
        ]
        me = node("r1", f"{home(1)}/8", "2001:db8::1/64")
        plan = town.plan("r1", town.settings(), me, *peers)
        router = await town.run(replace(plan, listen_addresses=(home(1),)))
        listener = await Listener.connect(
            home(1), town.port, source=home(LISTENER), asn=65000 + LISTENER
        )
        await listener.establish(families=(IPV4, IPV6))
        witness = await town.join(WITNESS)
        witness.announce(WITNESSED)
        await listener.until(lambda: WITNESSED in listener.table)
        return cls(town, router, listener)

    async def close(self) -> None:
        """Hang up those whom the town does not know."""
        for peer in (self.listener, *self.talkers.values()):
            peer.close()
            await peer.until_closed()

    async def talker(self, sender: Sender) -> Talker:
        """Give the connection of a sender, anew if it was lost, with its routes in place."""
        talker = self.talkers.get(sender)
        if talker is None or not talker.is_open:
            talker = self.talkers[sender] = await self._connect(sender)
        base, base6 = sender.base(last=FIRST), sender.base(last=FIRST, classic=False)
        four = packed(sender.affected) + packed(sender.unrelated)
        six = packed(sender.affected6) + packed(sender.unrelated6)
        talker.send(
            framed(body(b"", base, four)), framed(body(b"", reach(six, _NEXT_HOP_6) + base6))
        )
        await self._until(lambda: self._holds_all(sender))
        return talker

    def _holds_all(self, sender: Sender) -> bool:
        prefixes = sender.affected, sender.unrelated, sender.affected6, sender.unrelated6
        return all(self.last(prefix) == FIRST for prefix in prefixes)

    def last(self, prefix: str) -> int:
        """Give the end of the AS_PATH that the listener has for a prefix."""
        heard = self.listener.table.get(prefix)
        return heard.as_path[-1] if heard is not None else 0

    async def _connect(self, sender: Sender) -> Talker:
        """Dial until the router lets us in; after an error it holds back for a moment."""
        asn = AS if sender.internal else 65000 + sender.number
        async with asyncio.timeout(WITHIN):
            while True:
                talker = await Talker.connect(
                    home(1), self.town.port, source=home(sender.number), asn=asn
                )
                talker.send(_open(talker, sender))
                if await _establish(talker):
                    return talker
                await asyncio.sleep(0.02)

    async def _until(self, condition: Callable[[], object]) -> None:
        await self.listener.until(condition, WITHIN)

    async def say(
        self,
        sender: Sender,
        octets: bytes,
        expected: Callable[[Answer], bool],
        *,
        six: bool = False,
        setting: Callable[[Intake], Intake] | None = None,
        extended: bool = False,
    ) -> Answer:
        """Have a sender say something, and wait for an expected answer.

        Returns:
            What came of it in the end: after the answer, and after a later route of the sender.
        """
        talker = await self.talker(sender)
        inbound = self._inbound(sender)
        before = inbound.table
        if setting is not None:
            inbound.table = self._attribute_table(setting(before.intake))
        if extended:
            self._connection(sender).framer.max_length = MAX_EXTENDED_LENGTH
        talker.send(octets)
        async with asyncio.timeout(WITHIN):
            while not expected(self.answer(sender, talker, six=six)):  # noqa: ASYNC110 - plain values ring no bell
                await asyncio.sleep(0.001)
        inbound.table = before
        if talker.is_open:
            await self._pass_sentinel(sender, talker)
        else:
            self.talkers.pop(sender)
            await self._until(lambda: not self.last(sender.unrelated))
        return self.answer(sender, talker, six=six)

    def _attribute_table(self, intake: Intake) -> AttributeTable:
        def notice(path: Path) -> None:
            for loc_rib in self.router.loc_ribs.values():
                loc_rib.note(path)

        return AttributeTable(intake, self.router.next_hops, notice)

    async def _pass_sentinel(self, sender: Sender, talker: Talker) -> None:
        number = next(self._sentinels)
        prefix = f"10.{number >> 8}.{number & 255}.0/24"
        talker.send(framed(body(b"", sender.base(), packed(prefix))))
        await self._until(lambda: prefix in self.listener.table or not talker.is_open)
        talker.send(framed(body(packed(prefix))))

    def answer(self, sender: Sender, talker: Talker, *, six: bool) -> Answer:
        """Say what can be seen from outside now."""
        held = {self.last(sender.unrelated), self.last(sender.unrelated6)}
        return Answer(
            self.last(sender.affected6 if six else sender.affected),
            held == {FIRST},
            None if talker.is_open else talker.notification or (0, 0, b""),
        )

    def _inbound(self, sender: Sender) -> Any:
        exchange = peer_at(self.router, sender.number).exchange
        assert exchange is not None
        return exchange.inbound

    def _connection(self, sender: Sender) -> Any:
        exchange = peer_at(self.router, sender.number).exchange
        assert exchange is not None
        [connection] = peer_at(self.router, sender.number).connections
        return connection

    @property
    def is_calm(self) -> bool:
        """Whether the others have noticed nothing."""
        others = [peer_at(self.router, number) for number in (WITNESS, LISTENER)]
        return (
            all(peer.is_established for peer in others)
            and self.listener.is_open
            and WITNESSED in self.listener.table
        )


async def _establish(talker: Talker) -> bool:
    await talker.until(lambda: talker.open is not None or not talker.is_open)
    talker.send(keepalive())
    await talker.until(lambda: KEEPALIVE in talker.messages or not talker.is_open)
    return talker.is_open


def _open(talker: Talker, sender: Sender) -> bytes:
    """Write the OPEN of a sender; one of two octets does not know the capability for four."""
    evpn = multiprotocol(NAMES["l2vpn-evpn"]) if sender.as_octets == 4 else b""
    octets = open_message(
        talker.asn, router_id=home(sender.number), families=(IPV4, IPV6), refresh=True, more=evpn
    )
    if sender.as_octets == 4:
        return octets
    capabilities = octets[19 + 12 : -6]
    parameter = bytes((2, len(capabilities))) + capabilities
    return message(OPEN, octets[19:28] + bytes((len(parameter),)) + parameter)
