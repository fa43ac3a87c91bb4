"""Does to a BGP speaker what nobody should; run as a program in a namespace.

    python -m tests.support.flooder syn TO COUNT FROM...        half-open: SYNs, and nothing more
    python -m tests.support.flooder silent TO COUNT FROM...     connections without a word
    python -m tests.support.flooder dribble TO COUNT FROM...    OPENs that never come to their end
    python -m tests.support.flooder nonsense TO COUNT FROM      malformed messages on sessions
    python -m tests.support.flooder chatter TO COUNT FROM       messages that say nothing, on one

`syn` may use addresses that nobody has. Each prints a line once its flood stands, and goes on with
it until its input ends; the last two end when everything was said.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

from tests.support.scripted_peer import (
    MARKER,
    attribute,
    keepalive,
    message,
    open_message,
    path_attributes,
    prefix,
    route_refresh,
    update,
)

ASN = 65003
SESSIONS = 5


def main(kind: str, target: str, count: int, sources: list[str]) -> None:
    """Flood."""
    if kind == "nonsense":
        nonsense(target, count, sources[0])
        _say("said")
        return
    if kind == "chatter":
        chatter(target, count, sources[0])
        _say("said")
        return
    if kind == "syn":
        syn(target, count, sources)
        return
    sockets = [s for n in range(count) if (s := _connect(target, sources[n % len(sources)]))]
    _say(f"{len(sockets)} stand")
    octets = open_message(ASN)[:-1] if kind == "dribble" else b""
    for at in range(len(octets)):
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.send(octets[at : at + 1], socket.MSG_NOSIGNAL)
        if _is_over(0.1):
            return
    while not _is_over(1.0):
        pass


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - this is what it is run for


def _is_over(seconds: float) -> bool:
    """Wait a while; tell whether the input has ended."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _connect(target: str, source: str) -> socket.socket | None:
    try:
        return socket.create_connection((target, 179), 1.0, (source, 0))
    except OSError:
        return None


def syn(target: str, count: int, sources: list[str]) -> None:
    """Send the first segments of so many connections, again and again."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
    told = False
    while True:
        for number in range(count):
            raw.sendto(_syn(sources[number % len(sources)], target, 20_000 + number), (target, 0))
        if not told:
            _say("sent")
            told = True
        if _is_over(0.5):
            return


def _syn(source: str, target: str, port: int) -> bytes:
    addresses = IPv4Address(source).packed + IPv4Address(target).packed
    tcp = struct.pack("!HHIIBBHHH", port, 179, port, 0, 5 << 4, 2, 65535, 0, 0)
    checksum = _checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", checksum) + tcp[18:]
    # The system writes the checksum and the length of the IP header.
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, port, 0, 64, socket.IPPROTO_TCP, 0)
    return head + addresses + tcp


def _checksum(octets: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def nonsense(target: str, count: int, source: str) -> None:
    """Say so many malformed messages on a few sessions, each of which ends by something fatal."""
    chance = random.Random(7606)
    for _ in range(SESSIONS):
        sock = _established(target, source)
        with contextlib.suppress(OSError):
            for _ in range(count // SESSIONS):
                sock.sendall(survivable(chance, source))
            sock.sendall(fatal(chance, source))
            while sock.recv(1 << 16):
                pass
        sock.close()


def chatter(target: str, count: int, source: str) -> None:
    """Say nothing, often, in each way that there is."""
    with _established(target, source) as sock:
        for octets in (keepalive(), route_refresh(), update(), keepalive() + update()):
            sock.sendall(octets * count)
        # It has read everything when it says something about this.
        sock.sendall(message(9))
        while sock.recv(1 << 16):
            pass


def _established(target: str, source: str) -> socket.socket:
    while True:
        with contextlib.suppress(OSError):
            sock = socket.create_connection((target, 179), 5.0, (source, 0))
            sock.sendall(open_message(ASN, router_id=source) + keepalive())
            heard = b""
            # The OPEN and the KEEPALIVE of the other end; or a refusal, and the end.
            while len(heard) < 19 or len(heard) < int.from_bytes(heard[16:18], "big") + 19:
                if not (chunk := sock.recv(4096)):
                    raise OSError
                heard += chunk
            sock.settimeout(None)
            return sock
        time.sleep(0.2)


def survivable(chance: random.Random, source: str, asn: int = ASN) -> bytes:
    """Make an UPDATE that costs its own routes only (RFC 7606), and that is like no other."""
    path = attribute(0x40, 2, b"\x02\x01" + struct.pack("!I", asn))
    origin, hop = attribute(0x40, 1, b"\0"), attribute(0x40, 3, IPv4Address(source).packed)
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
    nlri = prefix(f"10.{chance.randrange(100, 255)}.{chance.randrange(256)}.0/24")
    return update(b"", b"".join(bad), nlri)


def fatal(chance: random.Random, source: str, asn: int = ASN) -> bytes:
    """Make octets that end a session."""
    return chance.choice(
        [
            chance.randbytes(64),
            MARKER + b"\x00\x12\x04",
            message(chance.randrange(6, 256), chance.randbytes(20)),
            message(2, b"\xff\xff" + chance.randbytes(40)),
            update(b"", path_attributes((asn,), next_hop=source), b"\x21" + chance.randbytes(5)),
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
