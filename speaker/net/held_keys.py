"""For which places a listening socket has passwords (RFC 2385): asked of the system, by netlink.

A socket that the run before has left us may have keys that nobody wants any more. Of those for
whole prefixes the longest has the say, so one that is left over could shut out whoever is in it.
The system tells the keys too; they are not looked at.

Linux's ``include/uapi/linux/inet_diag.h``.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

_SOCK_DIAG, _BY_FAMILY, _MD5SIG = 4, 20, 18
_REQUEST_AND_DUMP: Final = 0x301
_DONE, _ERROR = 3, 2
_LISTENING: Final = 1 << 10
_WITH_KEYS: Final = 1 << 1
"""INET_DIAG_INFO, with which keys come too."""

_HEADER: Final = struct.Struct("=IHHII")
_ASK: Final = struct.Struct("=BBBBI48x")
"""struct inet_diag_req_v2: family, protocol, extensions, states, and no socket in particular."""
_TOLD: Final = 72
"""Octets of struct inet_diag_msg; the last four are the inode."""
_KEY: Final = struct.Struct("=BBH16s80x")
"""struct tcp_diag_md5sig: family, length of the prefix, length of the key, address, and the key."""

_PATIENCE: Final = 1.0
"""Seconds; the system answers at once."""


def held_places(door: socket.socket) -> list[str]:
    """Give the addresses and prefixes for which a socket has a password.

    Args:
        door: listening.

    Returns:
        As text, an address without a length; nothing where the system does not tell.
    """
    inode = os.fstat(door.fileno()).st_ino
    try:
        own = [told for told in _dump(door.family) if _inode(told) == inode]
        return [place for told in own for place in _places(told)]
    except (OSError, struct.error):
        return []


def _dump(family: int) -> Iterator[bytes]:
    """Ask for all listening sockets of TCP in a family."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asking:
        asking.settimeout(_PATIENCE)
        body = _ASK.pack(family, socket.IPPROTO_TCP, _WITH_KEYS, 0, _LISTENING)
        head = _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_AND_DUMP, 1, 0)
        asking.send(head + body)
        while True:
            for kind, told in _messages(asking.recv(1 << 20)):
                if kind in (_DONE, _ERROR):
                    return
                yield told


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _inode(told: bytes) -> int:
    return int.from_bytes(told[_TOLD - 4 : _TOLD], sys.byteorder)


def _places(told: bytes) -> Iterator[str]:
    at = _TOLD
    while at + 4 <= len(told):
        length, kind = struct.unpack_from("=HH", told, at)
        if kind == _MD5SIG:
            for family, bits, _, octets in _KEY.iter_unpack(told[at + 4 : at + length]):
                is_ipv4 = family == socket.AF_INET
                address = ip_address(octets[:4] if is_ipv4 else octets)
                whole = bits == address.max_prefixlen
                yield str(address) if whole else f"{address}/{bits}"
        at += max(4, (length + 3) & ~3)
