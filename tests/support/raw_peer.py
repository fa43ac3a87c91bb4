"""Says given octets to a BGP speaker and tells what it answered; run as a program in a namespace.

It connects to port 179 until it is answered with an OPEN, sends what it was given, and prints all
octets that came, in hex, once the other end has closed. Standard library only.

    raw_peer.py FROM TO HEX
"""

from __future__ import annotations

import socket
import sys
import time

_OPEN_TYPE = 1
_PATIENCE = 20.0


def main(source: str, target: str, octets: bytes) -> None:
    """Talk until the other end closes."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            heard = _once(source, target, octets)
        except OSError:
            heard = b""
        # A speaker that backs off refuses the connection, or answers without an OPEN.
        if len(heard) > 18 and heard[18] == _OPEN_TYPE:
            print(heard.hex())  # noqa: T201 - this is what it is run for
            return
        time.sleep(0.1)


def _once(source: str, target: str, octets: bytes) -> bytes:
    with socket.create_connection((target, 179), 5.0, (source, 0)) as connection:
        heard = connection.recv(4096)
        if len(heard) > 18 and heard[18] == _OPEN_TYPE:
            connection.sendall(octets)
        while chunk := connection.recv(4096):
            heard += chunk
        return heard


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))
