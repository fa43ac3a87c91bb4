"""Listens on the wire inside a namespace, and tells the BGP messages that pass.

Run as a program it captures TCP port 179 on all interfaces, puts the streams together again and
prints each message as a line of JSON; it needs the standard library only. `Tap` runs it on a node
of a lab and keeps what it told, so that a test can ask what really travelled, whatever the two
ends say of it.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.scripted_peer import MARKER, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE

if TYPE_CHECKING:
    from lab import RunningNode

ROOT = Path(__file__).parents[2]
BUFFER, RCVBUFFORCE = 1 << 25, 33  # asm/socket.h
HEADER = 19


@dataclass(frozen=True, slots=True)
class Message:
    """One BGP message that passed."""

    sender: str
    receiver: str
    kind: int
    body: bytes

    @property
    def length(self) -> int:
        """Octets of the whole message."""
        return HEADER + len(self.body)

    @property
    def refresh(self) -> tuple[int, int]:
        """AFI and subtype of a ROUTE-REFRESH (RFC 2918 §3, RFC 7313 §3.2)."""
        afi, subtype, _ = struct.unpack("!HBB", self.body)
        return afi, subtype

    @property
    def notification(self) -> tuple[int, int, bytes]:
        """Code, subcode and data of a NOTIFICATION."""
        return self.body[0], self.body[1], self.body[2:]

    @property
    def parameters(self) -> bytes:
        """The optional parameters of an OPEN with their length, as they stand there."""
        return self.body[9:]

    @property
    def capabilities(self) -> list[tuple[int, bytes]]:
        """What an OPEN offers."""
        return capabilities(self.body)

    @property
    def attributes(self) -> dict[int, bytes]:
        """The path attributes of an UPDATE, by type."""
        start = 2 + int.from_bytes(self.body[:2], "big")
        end = start + 2 + int.from_bytes(self.body[start : start + 2], "big")
        rest, found = self.body[start + 2 : end], {}
        while rest:
            size = 2 if rest[0] & 0x10 else 1
            length = int.from_bytes(rest[2 : 2 + size], "big")
            found[rest[1]] = rest[2 + size : 2 + size + length]
            rest = rest[2 + size + length :]
        return found


def capabilities(body: bytes) -> list[tuple[int, bytes]]:
    """Take the capabilities out of an OPEN's body (RFC 5492 §4, RFC 9072 §2)."""
    head, rest = body[:10], body[10:]
    is_long = head[9] == 255 and rest[:1] == b"\xff"
    rest, size = (rest[3:], 2) if is_long else (rest, 1)
    found = []
    while rest:
        kind, length = rest[0], int.from_bytes(rest[1 : 1 + size], "big")
        value, rest = rest[1 + size : 1 + size + length], rest[1 + size + length :]
        while kind == 2 and value:
            found.append((value[0], value[2 : 2 + value[1]]))
            value = value[2 + value[1] :]
    return found


class Tap:
    """What passes at a node of a lab while in the ``with`` block.

    Args:
        node: in whose namespace to listen.
    """

    def __init__(self, node: RunningNode) -> None:
        self._argv = node.inside([sys.executable, "-m", __name__])
        self._heard: list[Message] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._reader.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            sender, receiver, kind, body = json.loads(line)
            self._heard.append(Message(sender, receiver, kind, bytes.fromhex(body)))

    def heard(self, kind: int, sender: str = "", receiver: str = "") -> list[Message]:
        """Give the messages of a kind, of one sender, to one receiver."""
        return [
            message
            for message in list(self._heard)
            if message.kind == kind
            and sender in ("", message.sender)
            and receiver in ("", message.receiver)
        ]

    def refreshes(self, sender: str, receiver: str = "") -> list[tuple[int, int]]:
        """Give AFI and subtype of each ROUTE-REFRESH of a sender."""
        return [each.refresh for each in self.heard(ROUTE_REFRESH, sender, receiver)]

    def longest(self, sender: str, receiver: str = "") -> int:
        """Give the octets of a sender's longest UPDATE."""
        return max((each.length for each in self.heard(UPDATE, sender, receiver)), default=0)

    def notifications(self, sender: str, receiver: str = "") -> list[tuple[int, int, bytes]]:
        """Give the NOTIFICATIONs of a sender."""
        return [each.notification for each in self.heard(NOTIFICATION, sender, receiver)]

    def reasons(self, sender: str, receiver: str = "") -> list[tuple[int, int, bytes]]:
        """Give what the NOTIFICATIONs of a sender say: of a Hard Reset what is in it (RFC 8538)."""
        return [
            (data[0], data[1], data[2:]) if (code, subcode) == (6, 9) else (code, subcode, data)
            for code, subcode, data in self.notifications(sender, receiver)
        ]

    def opens(self, sender: str, receiver: str = "") -> list[Message]:
        """Give the OPENs of a sender."""
        return self.heard(OPEN, sender, receiver)


@dataclass(slots=True)
class Stream:
    """One direction of a TCP connection, put together as far as it came."""

    at: int
    ready: bytes = b""
    ahead: dict[int, bytes] = field(default_factory=dict)

    def take(self, seq: int, data: bytes) -> None:
        """Take a segment, also one that came before or is too early."""
        self.ahead[seq] = max(self.ahead.get(seq, b""), data, key=len)
        while True:
            found = next((s for s in self.ahead if (self.at - s) % 2**32 < 2**31), None)
            if found is None:
                return
            old = (self.at - found) % 2**32
            fresh = self.ahead.pop(found)[old:]
            self.ready += fresh
            self.at = (self.at + len(fresh)) % 2**32

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Cut off the messages that are whole; what was under way when we came is left out."""
        self.ready = self.ready[max(0, self.ready.find(MARKER)) :]
        while len(self.ready) >= HEADER:
            length = int.from_bytes(self.ready[16:18], "big")
            if length < HEADER or len(self.ready) < length:
                return
            whole, self.ready = self.ready[:length], self.ready[length:]
            yield whole[18], whole[HEADER:]


def segment(packet: bytes) -> tuple[str, str, bytes] | None:
    """Find source, target and TCP segment of a packet; None if it has none."""
    if packet[0] >> 4 == 4:
        size = (packet[0] & 15) * 4
        total = int.from_bytes(packet[2:4], "big")
        family, protocol, ends = socket.AF_INET, packet[9], (packet[12:16], packet[16:20])
    else:
        size, total = 40, 40 + int.from_bytes(packet[4:6], "big")
        family, protocol, ends = socket.AF_INET6, packet[6], (packet[8:24], packet[24:40])
    if protocol != socket.IPPROTO_TCP:
        return None
    source, target = (socket.inet_ntop(family, end) for end in ends)
    return source, target, packet[size:total]


def listen() -> None:
    """Print the messages that pass, until somebody ends it."""
    everything = 3  # ETH_P_ALL
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(everything))
    tap.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, BUFFER)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    streams: dict[tuple[str, int, str, int], Stream] = {}
    while True:
        packet, (_, protocol, *_) = tap.recvfrom(1 << 17)
        found = segment(packet) if protocol in (0x0800, 0x86DD) else None
        if found is None or len(found[2]) < 20:
            continue
        source, target, tcp = found
        ports = struct.unpack("!HH", tcp[:4])
        if 179 not in ports:
            continue
        (seq,) = struct.unpack("!I", tcp[4:8])
        key = (source, ports[0], target, ports[1])
        data = tcp[(tcp[12] >> 4) * 4 :]
        if tcp[13] & 2:  # SYN
            streams[key] = Stream((seq + 1) % 2**32)
        elif data:
            stream = streams.setdefault(key, Stream(seq))
            stream.take(seq, data)
            for kind, body in stream.messages():
                sys.stdout.write(json.dumps([source, target, kind, body.hex()]) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    listen()
