"""Looking at the kernel's routing table from outside, cheaply.

Counting a full table takes longer than many daemons take to fill it. So `Probe` asks for a few
hundred sentinels by netlink until all are there, and only then `count` reads the kernel's own
number of prefixes.

Standards: RFC 3549 §3.1 (route messages).
"""

from __future__ import annotations

import ctypes
import os
import random
import socket
import struct
from typing import Final

from benchmarks.peers.processes import read
from benchmarks.table.blob import Blob
from benchmarks.table.messages import bodies, fields

SENTINELS: Final = 300
_CLONE_NEWNET = 0x40000000
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_FIB_MATCH = 0x2000
"""RTM_F_FIB_MATCH: give the route itself, not what an address would take."""


def count(pid: int, family: int = 4) -> int:
    """Tell how many prefixes the main table of a process's namespace has."""
    if family == 6:
        numbers = read(f"/proc/{pid}/net/rt6_stats").split()
        return int(numbers[3], 16) if len(numbers) > 3 else 0
    text = read(f"/proc/{pid}/net/fib_triestat")
    at = text.find(b"Prefixes:")
    return int(text[at + 9 : at + 30].split()[0]) if at >= 0 else 0


def _socket_in(pid: int) -> socket.socket:
    """Open a netlink socket in the namespace of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(theirs, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        finally:
            libc.setns(ours, _CLONE_NEWNET)
    finally:
        os.close(ours)
        os.close(theirs)


class Probe:
    """Asks for sentinels: /24s of the table that is sent.

    Args:
        pid: of a process in the namespace.
        blob: the table.
    """

    def __init__(self, pid: int, blob: Blob) -> None:
        self._socket = _socket_in(pid)
        self._socket.settimeout(5)
        firsts = [nlri for body in bodies(blob.path.read_bytes()) if (nlri := fields(body)[2])]
        fit = [nlri[1:4] + b"\0" for nlri in firsts if nlri[0] == 24]
        self._sentinels = random.Random(7).sample(fit, min(SENTINELS, len(fit)))
        self.left: list[bytes] = []

    def reset(self) -> None:
        """Look for all of them again."""
        self.left = list(self._sentinels)

    def look(self, *, present: bool) -> bool:
        """Tell whether all are there, or none; as soon as one is not so, the rest can wait."""
        while self.left:
            if self._has(self.left[-1]) is not present:
                self.left.insert(0, self.left.pop())
                return False
            self.left.pop()
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _has(self, address: bytes) -> bool:
        header = struct.pack("=IHHII", 36, _RTM_GETROUTE, 1, 0, 0)
        route = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 0, 0, 0, 0, _FIB_MATCH)
        self._socket.send(header + route + struct.pack("=HH", 8, 1) + address)
        answer = self._socket.recv(4096)
        # The second octet of the route header is the prefix length.
        return struct.unpack_from("=H", answer, 4)[0] == _RTM_NEWROUTE and answer[17] == 24
