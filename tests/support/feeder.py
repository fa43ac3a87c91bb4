"""Announces a large table to a BGP speaker and withdraws it, again and again, as fast as it goes.

Run as a program in a namespace, until its input ends; then it prints how often it has begun.

    python -m tests.support.feeder FROM TO ASN COUNT
"""

from __future__ import annotations

import select
import socket
import sys
import time
from contextlib import suppress

from benchmarks.table import blob
from tests.support.scripted_peer import keepalive, open_message

PIECE = 1 << 16


def main(source: str, target: str, asn: int, count: int) -> None:
    """Feed."""
    table = blob.ensure(count)
    octets = blob.retarget(table.path.read_bytes(), 4, asn, source)
    both = octets, table.withdrawals.read_bytes()
    with _established(source, target, asn) as connection:
        _say("established")
        rounds = 0
        while not _is_over():
            rounds += 1
            for said in both:
                _send(connection, memoryview(said))
    _say(str(rounds))


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - this is what it is run for


def _is_over() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _established(source: str, target: str, asn: int) -> socket.socket:
    while True:
        with suppress(OSError):
            connection = socket.create_connection((target, 179), 5.0, (source, 0))
            connection.sendall(open_message(asn, router_id=source, hold_time=0) + keepalive())
            if connection.recv(PIECE):
                connection.setblocking(False)
                return connection
        time.sleep(0.2)


def _send(connection: socket.socket, said: memoryview) -> None:
    """Send, and read away what comes, until all is sent or all is over."""
    while said and not _is_over():
        readable, writable, _ = select.select([connection], [connection], [], 0.5)
        if readable and not connection.recv(PIECE):
            raise ConnectionError("the speaker has hung up")
        if writable:
            said = said[connection.send(said[:PIECE]) :]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
