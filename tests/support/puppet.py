"""A BGP speaker in a node of a lab that says what a test has it say, octet by octet.

Run as a program it does what each line of its standard input asks: ``meet HEX`` connects to port
179, says so much and gives the OPEN that answers, on that connection; ``say HEX`` sends octets,
``hang up`` closes; each is answered by a line. What comes later is read and thrown away:
`tests.support.wiretap` is there to hear it. `Puppet` is a test's end of it.
"""

from __future__ import annotations

import contextlib
import io
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lab import RunningNode

PATIENCE = 20.0
HEADER, OPEN = 19, 1


class Puppet:
    """A speaker that is pulled by strings, in a node of a lab.

    Args:
        node: where it stands.
        source: its address.
        target: whom it connects to.
    """

    def __init__(self, node: RunningNode, source: str, target: str) -> None:
        self._argv = node.inside([sys.executable, __file__, source, target])

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        done, _, octets = self._process.stdout.readline().strip().partition(" ")
        assert done == "done", line[:40]
        return octets

    def meet(self, *messages: bytes) -> bytes:
        """Connect and send messages, as often as it takes to be answered by an OPEN.

        A speaker that waits after a failure closes connections, or says a NOTIFICATION first.

        Returns:
            the body of that OPEN.
        """
        return bytes.fromhex(self._ask(f"meet {b''.join(messages).hex()}"))

    def say(self, *messages: bytes) -> None:
        """Send messages on the connection that was answered."""
        self._ask(f"say {b''.join(messages).hex()}")

    def hang_up(self) -> None:
        """Close the connection."""
        self._ask("hang up")


def meet(source: str, target: str, octets: bytes) -> tuple[socket.socket, bytes]:
    """Connect, as often as it takes, and give the connection with the OPEN that came on it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            connection = socket.create_connection((target, 179), 5.0, (source, 0))
            with contextlib.suppress(OSError):
                connection.sendall(octets)
                answer = connection.makefile("rb", buffering=0)
                header = exactly(answer, HEADER)
                body = exactly(answer, int.from_bytes(header[16:18], "big") - HEADER)
                if header[18] == OPEN:
                    connection.settimeout(None)
                    return connection, body
            connection.close()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{target} says no OPEN within {PATIENCE:g} s")
        time.sleep(0.05)


def exactly(stream: io.RawIOBase, count: int) -> bytes:
    """Read so many octets."""
    octets = b""
    while len(octets) < count:
        more = stream.read(count - len(octets))
        if not more:
            raise ConnectionResetError
        octets += more
    return octets


def drain(connection: socket.socket) -> None:
    """Read until the end."""
    with contextlib.suppress(OSError):
        while connection.recv(1 << 16):
            pass


def hang_up(connection: socket.socket) -> None:
    """Close a connection, which the other end may have closed before."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def main(source: str, target: str) -> None:
    """Do what each line asks."""
    connection: socket.socket | None = None
    for line in sys.stdin:
        verb, _, octets = line.strip().partition(" ")
        answer = b""
        if verb in ("meet", "hang") and connection is not None:
            hang_up(connection)
        if verb == "meet":
            connection, answer = meet(source, target, bytes.fromhex(octets))
            threading.Thread(target=drain, args=(connection,), daemon=True).start()
        elif verb == "say" and connection is not None:
            connection.sendall(bytes.fromhex(octets))
        sys.stdout.write(f"done {answer.hex()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
