"""Dials a BGP speaker with signed segments (RFC 2385), and never gets through; run as a program.

python -m tests.support.signed_peer FROM TO
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

_TCP_MD5SIG = 14
_PASSWORD = b"secret"


def main(source: str, target: str) -> None:
    """Dial for ever, and answer nothing that is not signed."""
    with socket.create_server((source, 179)) as server:
        _sign(server, target)
        while True:
            with socket.socket() as sock, contextlib.suppress(OSError):
                _sign(sock, target)
                sock.settimeout(0.5)
                sock.bind((source, 0))
                sock.connect((target, 179))
            time.sleep(0.1)


def _sign(sock: socket.socket, peer: str) -> None:
    address = struct.pack("!HH4s120x", socket.AF_INET, 0, socket.inet_aton(peer))
    address = struct.pack("=H", socket.AF_INET) + address[2:]
    key = struct.pack("=BBHi80s", 0, 0, len(_PASSWORD), 0, _PASSWORD)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, address + key)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
