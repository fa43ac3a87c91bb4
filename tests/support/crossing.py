"""A router with tellers of each kind on one side and hearers of each kind on the other.

Tellers and hearers are external or internal, with AS numbers of four octets or of two; one hearer
meets the router in an AS whose number does not fit two octets. What a hearer is told is kept as it
came: flags and value of each attribute, in the order of the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policy.attributes import tlvs
from speaker.wire.update import sections
from tests.support.builders import body
from tests.support.malformed import framed, packed
from tests.support.resources import node
from tests.support.routers import AS, Town, home, peer_at, until
from tests.support.scripted_peer import (
    IPV4,
    KEEPALIVE,
    OPEN,
    ScriptedPeer,
    keepalive,
    message,
    open_message,
    prefixes_of,
)

PREFIX, LAST = "198.18.0.0/24", "198.18.255.0/24"
WIDE_AS = 70_000
AS_TRANS = 23456

Told = dict[int, tuple[int, bytes]]


@dataclass(frozen=True)
class End:
    """One peer of the router.

    Attributes:
        number: of its loopback address.
        asn: its own.
        as_octets: of AS numbers on its session.
        local_asn: ours on its session.
    """

    number: int
    asn: int
    as_octets: int = 4
    local_asn: int = AS

    @property
    def internal(self) -> bool:
        return self.asn == AS

    @property
    def address(self) -> bytes:
        return bytes((127, 0, 0, self.number))

    def path(self, *numbers: int) -> bytes:
        """Write an AS_PATH of one sequence as it stands on this session."""
        octets = [number.to_bytes(self.as_octets, "big") for number in numbers]
        return bytes((2, len(numbers))) + b"".join(octets) if numbers else b""


EXTERNAL, INTERNAL, OLD = End(11, 65011), End(12, AS), End(13, 65013, as_octets=2)
TO_EXTERNAL, TO_INTERNAL = End(21, 65021), End(22, AS)
TO_OLD, TO_WIDE = End(23, 65023, as_octets=2), End(24, 65024, as_octets=2, local_asn=WIDE_AS)
TELLERS = (EXTERNAL, INTERNAL, OLD)
HEARERS = (TO_EXTERNAL, TO_INTERNAL, TO_OLD, TO_WIDE)


class Ear(ScriptedPeer):
    """A peer that keeps what it is told as it came."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.told: dict[str, Told] = {}

    def _take_update(self, body: bytes) -> None:
        withdrawn, octets, nlri = sections(body)
        for prefix in prefixes_of(withdrawn, IPV4):
            self.told.pop(prefix, None)
        found = {code: (flags, value) for flags, code, value in tlvs(octets)}
        for prefix in prefixes_of(nlri, IPV4):
            self.told[prefix] = found


class Crossing:
    """The router and everybody around it."""

    def __init__(self, peers: dict[End, Ear]) -> None:
        self.peers = peers

    @classmethod
    async def build(cls, town: Town) -> Crossing:
        """Start the router and connect everybody."""
        keys = {"passive": "on", "families": "ipv4", "routeReflectorClient": "on"}
        documents = []
        for end in (*TELLERS, *HEARERS):
            mine = keys if end.internal else {**keys, "asSets": "on", "enforceFirstAS": "off"}
            if not end.internal:
                del mine["routeReflectorClient"]
            more = {} if end.local_asn == AS else {"localASNumber": end.local_asn}
            documents.append(
                town.peer(f"p{end.number}", end.number, end.asn, node="r1", keys=mine, **more)
            )
        plan = town.plan("r1", town.settings(), node("r1", f"{home(1)}/8"), *documents)
        router = await town.run(plan)
        peers = {end: await _join(town, end) for end in (*TELLERS, *HEARERS)}
        for end in peers:
            await until(lambda end=end: peer_at(router, end.number).is_established)  # type: ignore[misc]
        return cls(peers)

    async def close(self) -> None:
        """Hang up."""
        for peer in self.peers.values():
            peer.close()
            await peer.until_closed()

    async def carry(self, teller: End, attributes: bytes) -> dict[End, Told | None]:
        """Announce a route, and give what each hearer is told of it, if it is."""
        says = self.peers[teller]
        says.send(framed(body(b"", attributes, packed(PREFIX))))
        plain = b"\x40\x01\x01\0" + _attribute(2, b"" if teller.internal else teller.path(7))
        plain += _attribute(3, teller.address)
        if teller.internal:
            plain += _attribute(5, bytes(4))
        says.send(framed(body(b"", plain, packed(LAST))))
        found: dict[End, Told | None] = {}
        for end in HEARERS:
            ear = self.peers[end]
            await ear.until(lambda ear=ear: LAST in ear.told)  # type: ignore[misc]
            found[end] = ear.told.get(PREFIX)
        says.send(framed(body(packed(PREFIX) + packed(LAST))))
        for end in HEARERS:
            ear = self.peers[end]
            await ear.until(lambda ear=ear: not ear.told)  # type: ignore[misc]
        return found


def _attribute(code: int, value: bytes) -> bytes:
    return bytes((0x40, code, len(value))) + value


async def _join(town: Town, end: End) -> Ear:
    peer = await Ear.connect(home(1), town.port, source=home(end.number), asn=end.asn)
    octets = open_message(end.asn, router_id=home(end.number))
    if end.as_octets == 2:
        capabilities = octets[19 + 12 : -6]
        parameter = bytes((2, len(capabilities))) + capabilities
        octets = message(OPEN, octets[19:28] + bytes((len(parameter),)) + parameter)
    peer.send(octets)
    await peer.until(lambda: peer.open)
    peer.send(keepalive())
    await peer.until(lambda: KEEPALIVE in peer.messages)
    return peer
