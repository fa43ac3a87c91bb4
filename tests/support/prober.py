"""Connects to a node's BGP port again and again, and tells what became of each connection.

Run as a program it opens a connection every millisecond or so, waits for the first octets that
come, and at the end of its input prints how many connections were *served* (octets came),
*refused*, *closed* or *reset* before an octet came, or *waited* in vain. `Prober` runs it on a node
of a lab for the time of a ``with`` block.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lab import RunningNode

EVERY = 0.001
"""Seconds between two connections."""

LAST = 40.0
"""Seconds that connections have to be served after the last one was opened.

Where a queue was full, TCP tries again after 1, 3, 7, 15 and 31 seconds."""


class Prober:
    """Probes from a node.

    Args:
        node: on which it runs.
        address: that is connected to.
        port: that is connected to.
    """

    def __init__(self, node: RunningNode, address: str, port: int = 179) -> None:
        self._argv = node.inside([sys.executable, __file__, address, str(port)])
        self.found: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "probing\n"
        return self

    def __exit__(self, *_: object) -> None:
        told, _nothing = self._process.communicate()
        self.found.update(json.loads(told))


def main(address: str, port: int) -> None:
    """Probe until the input ends."""
    found: Counter[str] = Counter()
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    _say("probing")
    while _wait(waiting, EVERY, found):
        _open(address, port, waiting, found)
    end = time.monotonic() + LAST
    while waiting.get_map() and time.monotonic() < end:
        _wait(waiting, EVERY, found)
    if left := len(waiting.get_map()):
        found["waited"] = left
    _say(json.dumps(found))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _wait(waiting: selectors.BaseSelector, seconds: float, found: Counter[str]) -> bool:
    """Take what comes within a time; False when the input has ended."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in waiting.select(left):
            if key.fileobj is sys.stdin:
                waiting.unregister(sys.stdin)
                return False
            _heard(key.fileobj, waiting, found)
    return True


def _open(address: str, port: int, waiting: selectors.BaseSelector, found: Counter[str]) -> None:
    sock = socket.socket()
    sock.setblocking(False)
    number = sock.connect_ex((address, port))
    if number != errno.EINPROGRESS:
        found[errno.errorcode.get(number, str(number))] += 1
        sock.close()
        return
    waiting.register(sock, selectors.EVENT_READ)


def _heard(sock: object, waiting: selectors.BaseSelector, found: Counter[str]) -> None:
    assert isinstance(sock, socket.socket)
    try:
        word = "served" if sock.recv(19) else "closed"
    except OSError as error:
        names = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}
        word = names.get(error.errno or 0, str(error))
    found[word] += 1
    waiting.unregister(sock)
    sock.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
