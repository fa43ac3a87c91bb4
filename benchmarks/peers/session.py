"""One end of one BGP session: it can say OPEN and KEEPALIVE, push octets, and hand over what comes.

There is no state machine to speak of, since what is measured is at the other end: a `Session`
connects until it is up, and one that was up and goes down stays down and says why. It does as
little as possible per octet.

Standards: RFC 4271 §4.2, §4.4; RFC 5492; RFC 6793; RFC 2918.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address
from typing import Final

from benchmarks.table.messages import MARKER

PORT: Final = 179
KEEPALIVE: Final = MARKER + b"\x00\x13\x04"
_OPEN_KIND, _NOTIFICATION_KIND, _KEEPALIVE_KIND = 1, 3, 4
_AS_TRANS = 23456
_SIOCOUTQ = 0x5411
_TAIL = 4200
"""Octets that are remembered, to find a NOTIFICATION in."""

CHUNK: Final = 1 << 20
RETRY: Final = 0.3
SMALL_BUFFER: Final = 1 << 16
"""Octets that wait in the socket of a session that reads slowly."""
HANDSHAKE: Final = 5.0
"""Seconds after which a handshake begins anew: a full accept queue leaves half-open sessions."""


@dataclass(frozen=True, slots=True)
class Line:
    """A session as it is ordered.

    Attributes:
        name: by which it is spoken of.
        local: our address.
        remote: the daemon's.
        asn: ours.
        router_id: our BGP Identifier, as an address.
        family: 4 or 6.
        hold: seconds of hold time that are offered.
        blob: path of the table to send, or empty.
        next_hop: to send it with.
        octets_s: a second that are read at the most; 0: all that come.
        listens: the other end connects, and is not a daemon but another session of ours.
    """

    name: str
    local: str
    remote: str
    asn: int
    router_id: str
    family: int = 4
    hold: int = 90
    blob: str = ""
    next_hop: str = ""
    octets_s: int = 0
    listens: bool = False


class State(Enum):
    """How far a session is."""

    IDLE = auto()
    CONNECTING = auto()
    OPEN = auto()
    UP = auto()
    DOWN = auto()
    """It was up; it stays so."""
    CLOSED = auto()
    """We have closed it."""


def open_message(line: Line) -> bytes:
    """Make the OPEN of a session: its family, route refresh, four-octet AS numbers."""
    capabilities = struct.pack("!BBHBB", 1, 4, 1 if line.family == 4 else 2, 0, 1)
    capabilities += b"\x02\x00" + struct.pack("!BBI", 65, 4, line.asn)
    parameters = bytes((2, len(capabilities))) + capabilities
    asn = line.asn if line.asn < 1 << 16 else _AS_TRANS
    body = struct.pack("!BHH", 4, asn, line.hold) + ip_address(line.router_id).packed
    body += bytes((len(parameters),)) + parameters
    return MARKER + struct.pack("!HB", 19 + len(body), _OPEN_KIND) + body


class Session:
    """See the head of the module.

    Attributes:
        state: how far it is.
        hold: hold time, negotiated once it is up.
        why: why it went down last.
        silence: the longest time between two arrivals.
        room: octets that may be read now.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.state = State.IDLE
        self.hold = line.hold
        self.why = ""
        self.silence = 0.0
        self.pushed = 0
        self.room = CHUNK
        self._refilled = 0.0
        self.socket: socket.socket | None = None
        self._retry_at = 0.0
        self._since = 0.0
        self._keepalive_at = 0.0
        self._heard_at: float | None = None
        self._tail = b""
        self._handshake = b""
        self._waiting: deque[memoryview] = deque()

    @property
    def is_opening(self) -> bool:
        """Whether a handshake is under way."""
        return self.state in (State.CONNECTING, State.OPEN)

    @property
    def wants_to_write(self) -> bool:
        """Whether octets wait, or the connection is not made yet."""
        return bool(self._waiting) or self.state is State.CONNECTING

    @property
    def is_due(self) -> bool:
        """Whether it is time to connect."""
        return (
            self.state is State.IDLE
            and not self.line.listens
            and time.monotonic() >= self._retry_at
        )

    @property
    def is_stuck(self) -> bool:
        """Whether a handshake takes too long."""
        return self.is_opening and time.monotonic() - self._since > HANDSHAKE

    def refill(self, now: float) -> bool:
        """Let more be read, as time has passed; tell whether nothing could be."""
        was_empty = self.room <= 0
        if self.line.octets_s:
            passed = min(1.0, now - self._refilled)
            self.room = min(self.line.octets_s, self.room + int(passed * self.line.octets_s))
            self._refilled = now
        return was_empty and self.room > 0

    def connect(self) -> socket.socket | None:
        """Begin to connect; None where that fails at once."""
        line = self.line
        kind = socket.AF_INET6 if ":" in line.remote else socket.AF_INET
        made = socket.socket(kind, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if line.octets_s:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        made.setblocking(False)
        made.bind((line.local, 0))
        error = made.connect_ex((line.remote, PORT))
        if error not in (0, errno.EINPROGRESS):
            made.close()
            self._retry_at = time.monotonic() + RETRY
            return None
        return self.adopt(made)

    def accept(self) -> socket.socket:
        """Wait for the other end, for so long at the most as a handshake may take."""
        kind = socket.AF_INET6 if ":" in self.line.local else socket.AF_INET
        with socket.create_server((self.line.local, PORT), family=kind) as server:
            server.settimeout(HANDSHAKE)
            made, _ = server.accept()
        made.setblocking(False)
        return self.adopt(made)

    def adopt(self, made: socket.socket) -> socket.socket:
        """Go on with a connection."""
        self.socket, self.state, self._since = made, State.CONNECTING, time.monotonic()
        return made

    def connected(self) -> str:
        """Say OPEN once the connection is made; tell why it is not, or nothing."""
        assert self.socket is not None
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            return errno.errorcode.get(error, str(error))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.state = State.OPEN
        self.push(open_message(self.line))
        return ""

    def push(self, octets: bytes) -> None:
        """Have octets sent."""
        self._waiting.append(memoryview(octets))

    def take(self, now: float, data: bytes) -> bytes:
        """Take what came; give what came of it after the handshake."""
        if self.line.octets_s:
            self.room -= len(data)
        if self.state is not State.UP:
            self._tail = data[-_TAIL:]
            data = self._shake(data)
            if not data:
                return b""
        elif self._heard_at is not None:
            self.silence = max(self.silence, now - self._heard_at)
        self._heard_at = now
        self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
        return data

    def _shake(self, data: bytes) -> bytes:
        buffer = self._handshake = self._handshake + data
        while len(buffer) >= 19:
            size = buffer[16] << 8 | buffer[17]
            if len(buffer) < size:
                break
            message, buffer = buffer[:size], buffer[size:]
            self._handshake = buffer
            if message[18] == _OPEN_KIND:
                self.hold = min(self.hold, message[22] << 8 | message[23])
                self.push(KEEPALIVE)
            elif message[18] == _KEEPALIVE_KIND:
                self.state = State.UP
                self._heard_at = time.monotonic()
                self._keepalive_at = self._heard_at + self.hold / 3
                self._handshake = b""
                return buffer
        return b""

    def keep_alive(self, now: float) -> bool:
        """Say that we live, if it is time and nothing else is being said; tell whether it is."""
        if self.state is not State.UP or not self.hold or now < self._keepalive_at:
            return False
        self._keepalive_at = now + self.hold / 3
        if not self._waiting:
            self.push(KEEPALIVE)
        return bool(self._waiting)

    def write(self) -> None:
        """Send as much as the socket takes.

        Raises:
            OSError: the connection is no more.
        """
        assert self.socket is not None
        while self._waiting:
            part = self._waiting[0][:CHUNK]
            try:
                sent = self.socket.send(part)
            except BlockingIOError:
                return
            if sent == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][sent:]
                if sent < len(part):
                    return

    @property
    def unsent(self) -> int:
        """How many octets wait for the socket."""
        return sum(map(len, self._waiting))

    @property
    def is_drained(self) -> bool:
        """Whether the other end has acknowledged all that was pushed."""
        if self.socket is None:
            return True
        if self._waiting:
            return False
        answer = fcntl.ioctl(self.socket, _SIOCOUTQ, bytes(4))
        return not int(struct.unpack("i", answer)[0])

    def lose(self, why: str) -> bool:
        """Let the connection go; tell whether the session was up."""
        at = self._tail.rfind(MARKER)
        if at >= 0 and self._tail[at + 18 : at + 19] == bytes((_NOTIFICATION_KIND,)):
            why += " NOTIFICATION {}/{}".format(*self._tail[at + 19 : at + 21])
        was_up = self.state is State.UP
        self._close()
        self.state = State.DOWN if was_up else State.IDLE
        self._retry_at = time.monotonic() + RETRY
        self.why = why
        return was_up

    def close(self, *, abruptly: bool = False) -> None:
        """End the connection, with FIN or with RST."""
        if self.socket is not None and abruptly:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._close()
        self.state = State.CLOSED

    def reopen(self) -> None:
        """Connect again after `close`."""
        self.state = State.IDLE
        self._tail = b""
        self._heard_at = None

    def _close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self._waiting.clear()
        self._handshake = b""
