"""What each row of the table of privileges is about, tried for real; a program of its own.

It prints a JSON object: by the rows' keys, whether the kernel let it. The options' numbers are
written out here once more on purpose.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

NEXTHOP_COMPAT = "/proc/sys/net/ipv4/nexthop_compat_mode"


def tcp(level: int, option: int, value: int | bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setsockopt(level, option, value)


def udp_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))


def signature(flags: int, length: int) -> bytes:
    place = struct.pack("=H2x4s120x", socket.AF_INET, socket.inet_aton("192.0.2.0"))
    return place + struct.pack("=BBHi80s", flags, length, 3, 0, b"key")


def passwords() -> None:
    tcp(socket.IPPROTO_TCP, 14, signature(0, 0))
    tcp(socket.IPPROTO_TCP, 32, signature(1, 24))


def leftovers() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from speaker.net.held_keys import held_places

    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, 14, signature(0, 0))
        if held_places(sock) != ["192.0.2.0"]:
            raise PermissionError


def hops() -> None:
    for option in (socket.IP_TTL, 21):
        tcp(socket.IPPROTO_IP, option, 255)
    tcp(socket.IPPROTO_TCP, 27, 1)


def routes() -> None:
    words = ["ip", "route", "add", "blackhole", "192.0.2.0/24"]
    if subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode:
        raise PermissionError
    subprocess.run(["ip", "route", "del", "blackhole", "192.0.2.0/24"], check=True)


def buffers() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)


def compat() -> None:
    with open(NEXTHOP_COMPAT, "r+") as file:
        file.write("1")


def bfd() -> None:
    udp_port(3784)
    udp_port(4784)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "routes": routes,
    "compat": compat,
    "buffers": buffers,
    "leftovers": leftovers,
    "port": lambda: socket.create_server(("127.0.0.1", 179)).close(),
    "priority": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2)),
    "md5": passwords,
    "ttl": hops,
    "dscp": lambda: tcp(socket.IPPROTO_IP, socket.IP_TOS, 0xC0),
    "absent": lambda: tcp(socket.IPPROTO_IP, 15, 1),
    "bfd": bfd,
    "tables": lambda: subprocess.run(["ip", "route"], check=True, stdout=subprocess.DEVNULL),
    "device": lambda: tcp(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"),
    "user": lambda: os.setresuid(1, 1, 1),
}


def allowed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    json.dump({key: allowed(attempt) for key, attempt in ATTEMPTS.items()}, sys.stdout)
