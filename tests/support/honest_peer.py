"""A BGP peer that behaves, and measures how long a router keeps it waiting; run as a program.

It announces its prefixes, keeps the session alive, and asks for the router's routes again and
again, one question after the other (RFC 2918). For each answer it looks how much processor time the
router's main thread has spent since the question: what others cost, whatever the machine is busy
with besides. It ends when its input does, and tells the longest and the number of answers; if the
session ends before, it fails.

    python -m tests.support.honest_peer FROM TO ASN PID PREFIX...
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path

from tests.support.scripted_peer import (
    KEEPALIVE,
    NOTIFICATION,
    OPEN,
    UPDATE,
    keepalive,
    open_message,
    packed,
    path_attributes,
    route_refresh,
    update,
)

HOLD_TIME = 9
PAUSE = 0.01


class Honest:
    """The session, and the question that is open."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock = sock
        self.pid = pid
        self.longest = 0.0
        self.answers = 0
        self.asked: float | None = None
        self._rest = b""

    def spent(self) -> float:
        """Give the seconds of processor time that the router's main thread has had."""
        words = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text(encoding="ascii")
        return int(words.split()[0]) / 1e9

    def ask(self) -> None:
        """Ask for all routes, unless an answer is awaited."""
        if self.asked is None:
            self.asked = self.spent()
            self.sock.sendall(route_refresh())

    def hear(self) -> list[int]:
        """Take what came; give the types of the messages.

        Raises:
            EOFError: the session has ended.
        """
        chunk = self.sock.recv(1 << 16)
        self._rest += chunk
        kinds = []
        while len(self._rest) >= 19:
            length = int.from_bytes(self._rest[16:18], "big")
            if len(self._rest) < length:
                break
            kinds.append(self._rest[18])
            self._rest = self._rest[length:]
        if not chunk or NOTIFICATION in kinds:
            raise EOFError(f"the session ended: {kinds}")
        if UPDATE in kinds and self.asked is not None:
            self.longest = max(self.longest, self.spent() - self.asked)
            self.answers += 1
            self.asked = None
        return kinds

    def until(self, kind: int) -> None:
        """Wait for a message of a type."""
        while kind not in self.hear():
            pass


def main(source: str, target: str, asn: int, pid: int, prefixes: list[str]) -> None:
    """Be a good peer until the input ends."""
    sock = _connected(source, target)
    peer = Honest(sock, pid)
    sock.sendall(open_message(asn, router_id=source, hold_time=HOLD_TIME))
    peer.until(OPEN)
    sock.sendall(keepalive())
    peer.until(KEEPALIVE)
    octets = path_attributes((asn,), next_hop=source)
    sock.sendall(b"".join(update(b"", octets, part) for part in packed(prefixes, 3900)) + update())
    _stay(peer)
    told = {"longest": peer.longest, "answers": peer.answers}
    print(json.dumps(told))  # noqa: T201 - this is what it is run for


def _connected(source: str, target: str) -> socket.socket:
    while True:
        try:
            return socket.create_connection((target, 179), 5.0, (source, 0))
        except OSError:
            time.sleep(0.1)


def _stay(peer: Honest) -> None:
    told = 0.0
    while True:
        ready, _, _ = select.select([peer.sock, sys.stdin], [], [], PAUSE)
        if sys.stdin in ready:
            return
        if peer.sock in ready:
            peer.hear()
        if time.monotonic() > told + HOLD_TIME / 3:
            told = time.monotonic()
            peer.sock.sendall(keepalive())
        if not ready:
            peer.ask()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
