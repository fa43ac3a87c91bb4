"""Sends BFD packets that are no good, from spoofed sources, so many a second.

Run as a program in a namespace, as root, until its input ends; then it prints how many were sent.

    python -m tests.support.bfd_junk RATE TO PEER DISCRIMINATOR INTERFACE

Most of them claim to be PEER's, at whose end a session with this discriminator of ours is Up.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

from fsm.bfd import BfdState, ControlPacket
from fsm.bfd.packet import encode

SLICE = 0.005
"""Seconds between bursts."""


def payloads(chance: random.Random, discriminator: int) -> Iterator[tuple[bytes, int, int]]:
    """Give packets that are no good, each with its source port and TTL."""
    down = ControlPacket(BfdState.DOWN, chance.getrandbits(31) + 1)
    good, port = encode(replace(down, your_discriminator=discriminator)), 50_000
    yield chance.randbytes(24), port, 255
    yield chance.randbytes(chance.randrange(60)), port, 255
    yield b"\x40" + good[1:], port, 255  # version 2
    yield good[: chance.randrange(24)], port, 255
    yield good[:2] + b"\0" + good[3:], port, 255  # no multiplier
    yield good[:1] + b"\x41" + good[2:], port, 255  # multipoint
    yield encode(replace(down, your_discriminator=chance.getrandbits(32) | 1)), port, 255
    # The first packet of somebody else, and one of the peer's that cannot be.
    yield encode(down), port, 255
    yield encode(replace(down, state=BfdState.UP)), port, 255
    # All is right, but it comes from beyond the link, or is signed by nobody.
    yield good, port, 64
    yield good[:1] + b"\x44" + good[2:3] + b"\x28" + good[4:] + chance.randbytes(16), port, 255


def packet(source: str, target: str, port: int, ttl: int, octets: bytes) -> bytes:
    """Put IPv4 and UDP headers before octets; UDP's checksum may be 0."""
    udp = struct.pack("!HHHH", port, 3784, 8 + len(octets), 0) + octets
    head = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(udp), 0, 0, ttl, socket.IPPROTO_UDP, 0)
    return head + IPv4Address(source).packed + IPv4Address(target).packed + udp


def main(rate: int, target: str, peer: str, discriminator: int, interface: str) -> None:
    """Send."""
    chance = random.Random(3784)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    mine = [
        packet(source, target, port, ttl, octets)
        for source in (peer, peer, peer, str(IPv4Address(chance.getrandbits(29) + (11 << 24))))
        for octets, port, ttl in (p for _ in range(20) for p in payloads(chance, discriminator))
    ]
    chance.shuffle(mine)
    sent, due = 0, time.monotonic()
    print("sends", flush=True)  # noqa: T201 - this is what it is run for
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        for _ in range(int(rate * SLICE)):
            raw.sendto(mine[sent % len(mine)], (target, 0))
            sent += 1
        due = max(due + SLICE, time.monotonic() - 0.1)
    print(sent, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
