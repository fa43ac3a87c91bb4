"""How the kernel sorts packets, asked of the kernel itself."""

from __future__ import annotations

import select
import socket
from dataclasses import replace
from random import Random

import pytest

from fsm.bfd import BfdState, ControlPacket, Discard
from fsm.bfd.packet import decode, encode
from speaker.bfd.datagrams import MULTIHOP, SINGLE_HOP, understand
from speaker.bfd.ears import Ear
from speaker.bfd.sorting import MOST_TAGS, TAG_BITS, Kind, sort
from tests.support.netns import needs_namespaces, run_in_namespace

pytestmark = [pytest.mark.netns, needs_namespaces]

TAG = 0x1234
OURS = ControlPacket(BfdState.UP, 9, TAG << TAG_BITS | 77)
FIRST = ControlPacket(BfdState.DOWN, 9)
FAMILIES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Port:
    """The sockets of a port, and somebody who sends to them."""

    def __init__(self, family: socket.AddressFamily, *, multihop: bool = False) -> None:
        first = Ear(family, Kind.OURS, None, multihop=multihop)
        rest = [Ear(family, kind, first, multihop=multihop) for kind in (Kind.FIRST, Kind.JUNK)]
        self.ears = [first, *rest]
        self._multihop = multihop
        self._family = family
        self._to = (FAMILIES[family], MULTIHOP if multihop else SINGLE_HOP)
        self._sender = socket.socket(family, socket.SOCK_DGRAM)
        self.sort(TAG)

    def sort(self, *tags: int) -> None:
        sort(self.ears[0].socket, self._family, tags, multihop=self._multihop)

    def kind(self, octets: bytes, ttl: int = 255) -> Kind:
        """Send a packet, and tell to which socket it came, with its TTL."""
        if self._family == socket.AF_INET:
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            self._sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        self._sender.sendto(octets, self._to)
        [ready], _, _ = select.select(self.ears, [], [], 10)
        assert isinstance(ready, Ear)
        raw = ready.receive()
        assert raw is not None
        datagram = understand(raw)
        assert (datagram.octets, datagram.ttl) == (octets, ttl)
        assert datagram.source == datagram.destination == FAMILIES[self._family]
        return ready.kind

    def close(self) -> None:
        self._sender.close()
        for ear in self.ears:
            ear.socket.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_packets_from_beyond_the_link_are_junk(family: socket.AddressFamily) -> None:
    """RFC 5881 §5."""

    def found() -> list[Kind]:
        port = Port(family)
        kinds = [port.kind(encode(packet), ttl) for packet in (OURS, FIRST) for ttl in (255, 254)]
        port.close()
        far = Port(family, multihop=True)
        kinds += [far.kind(encode(OURS), 64), far.kind(encode(FIRST), 64)]
        far.close()
        return kinds

    assert run_in_namespace(found) == [
        *(Kind.OURS, Kind.JUNK, Kind.FIRST, Kind.JUNK, Kind.OURS, Kind.FIRST)
    ]


def test_a_discriminator_of_nobodys_is_junk() -> None:
    def found() -> list[Kind]:
        port = Port(socket.AF_INET)
        other = encode(replace(OURS, your_discriminator=0x4321 << TAG_BITS | 77))
        kinds = [port.kind(other)]
        port.sort(TAG, 0x4321)
        kinds += [port.kind(other), port.kind(encode(OURS))]
        port.sort(*range(1, MOST_TAGS + 2))
        kinds += [port.kind(other), port.kind(b"junk")]
        port.close()
        return kinds

    assert run_in_namespace(found) == [Kind.JUNK, Kind.OURS, Kind.OURS, Kind.OURS, Kind.JUNK]


def spoilt(chance: Random) -> bytes:
    """Make a packet with a few octets that are by chance, or with an end too soon."""
    octets = bytearray(encode(chance.choice((OURS, FIRST))))
    for _ in range(chance.randrange(4)):
        at = chance.choice((0, 1, 2, 3, chance.randrange(len(octets))))
        octets[at] = chance.choice(
            (0, octets[at] ^ 1 << chance.randrange(8), chance.randrange(256))
        )
    if chance.random() < 0.1:
        return bytes(octets[: chance.randrange(1, 24)])
    return bytes(octets) + chance.randbytes(chance.choice((0, 0, 8)))


def expected(octets: bytes) -> Kind:
    """Say the same as the program by other means."""
    # The kernel does not look at the length that a packet tells of itself.
    packet = decode(octets[:3] + bytes((len(octets),)) + octets[4:])
    if isinstance(packet, Discard):
        return Kind.JUNK
    if not packet.your_discriminator:
        return Kind.FIRST
    return Kind.OURS if packet.your_discriminator >> TAG_BITS == TAG else Kind.JUNK


def test_no_good_packet_is_taken_for_junk_and_no_other_way_round() -> None:
    """RFC 5880 §6.8.6, for packets that are spoilt by chance."""

    def found() -> list[tuple[bytes, Kind]]:
        port, chance = Port(socket.AF_INET), Random(5880)
        kinds = [(octets, port.kind(octets)) for octets in (spoilt(chance) for _ in range(2000))]
        port.close()
        return kinds

    kinds = run_in_namespace(found)
    wrong = [(o.hex(), kind, expected(o)) for o, kind in kinds if kind is not expected(o)]
    # An A bit without room for authentication is found out later.
    assert [each for each in wrong if not bytes.fromhex(each[0])[1] & 0x04] == []
    assert {kind for _, kind in kinds} == set(Kind)
    assert len(wrong) < 100
