"""What a kernel with TCP-AO does with its options, for kernels that have none.

`AoKernel` takes the octets that would go to ``setsockopt`` apart by the offsets of the C structs in
``include/uapi/linux/tcp.h``, and does with them what ``net/ipv4/tcp_ao.c`` does: keys by socket,
ids that must not overlap where the ranges of addresses do, connections that have the keys of the
socket that accepted them, and a peer that signs by what it is asked for. Nothing is signed: only
the bookkeeping is the kernel's.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from unittest.mock import patch

from speaker.net import tcp_ao

ADD_SIZE, DEL_SIZE, INFO_SIZE, KEPT_SIZE = 288, 144, 48, 304
"""Of the four structs, by a C compiler."""


class Kept(NamedTuple):
    """A key as the kernel has it; for an address, or for a range."""

    place: str
    send_id: int
    receive_id: int
    algorithm: str
    mac: int
    octets: bytes


@dataclass
class Socket:
    """What the kernel keeps of a socket."""

    sock: socket.socket
    keys: list[Kept] = field(default_factory=list)
    current: int | None = None
    asked: int | None = None


class AoKernel:
    """Keeps the keys of the sockets of a process.

    Attributes:
        said: each option that was set, with its octets.
    """

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes]] = []
        self._sockets: dict[tuple[int, int], Socket] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand in for the kernel."""
        with (
            patch.object(tcp_ao, "set_option", self.set_option),
            patch.object(tcp_ao, "get_info", self.get_info),
            patch.object(tcp_ao, "list_keys", self.list_keys),
        ):
            yield

    def of(self, sock: socket.socket) -> Socket:
        """Give what is kept of a socket; one that was accepted has the keys of its peer."""
        status = os.fstat(sock.fileno())
        kept = self._sockets.get((status.st_dev, status.st_ino))
        if kept is None:
            kept = Socket(sock, self._inherited(sock))
            if kept.keys:
                kept.current, kept.asked = kept.keys[0].send_id, kept.keys[0].receive_id
            self._sockets[status.st_dev, status.st_ino] = kept
        return kept

    def _other_end(self, sock: socket.socket) -> Socket | None:
        ends = _ends(sock)
        if ends is None:
            return None
        return next((s for s in self._sockets.values() if _ends(s.sock) == ends[::-1]), None)

    def _inherited(self, sock: socket.socket) -> list[Kept]:
        ends = _ends(sock)
        if ends is None:
            return []
        peer = self._other_end(sock)
        keys = [
            key
            for door in self._sockets.values()
            for key in door.keys
            if door.current is None and ip_address(ends[1][0]) in ip_network(key.place)
        ]
        # The peer's SYN was signed by the key that it uses.
        used = peer.current if peer is not None else None
        return sorted(dict.fromkeys(keys), key=lambda key: key.receive_id != used)

    def set_option(self, sock: socket.socket, option: int, data: bytes) -> None:
        """Do what ``setsockopt`` does."""
        self.said.append((option, data))
        if option == tcp_ao.ADD_KEY:
            self._add(self.of(sock), data)
        elif option == tcp_ao.DEL_KEY:
            self._remove(self.of(sock), data)
        else:
            self._inform(sock, data)

    def _add(self, kept: Socket, data: bytes) -> None:
        assert len(data) == ADD_SIZE
        if not any(data[:2]):
            raise _error(errno.EINVAL)
        place = _place(data, data[202])
        assert data[192:196] + data[200:202] == bytes(6)
        send_id, receive_id, mac, flags, size = data[203:208]
        assert flags == 0
        algorithm = data[128:192].rstrip(b"\0").decode()
        for key in kept.keys:
            same = key.send_id == send_id or key.receive_id == receive_id
            if same and _overlap(key.place, place):
                raise _error(errno.EEXIST)
        kept.keys.append(Kept(place, send_id, receive_id, algorithm, mac, data[208 : 208 + size]))
        if data[196] & 1:
            kept.current = send_id
        if data[196] & 2:
            kept.asked = receive_id

    def _remove(self, kept: Socket, data: bytes) -> None:
        assert len(data) == DEL_SIZE
        place, ids = _place(data, data[138]), (data[139], data[140])
        for key in kept.keys:
            if key.place == place and (key.send_id, key.receive_id) == ids:
                if kept.current == key.send_id or kept.asked == key.receive_id:
                    raise _error(errno.EBUSY)
                kept.keys.remove(key)
                return
        raise _error(errno.ENOENT)

    def _inform(self, sock: socket.socket, data: bytes) -> None:
        assert len(data) == INFO_SIZE
        kept = self.of(sock)
        assert data[0] == 2
        asked = data[7]
        if asked not in [key.receive_id for key in kept.keys]:
            raise _error(errno.ENOENT)
        kept.asked = asked
        peer = self._other_end(sock)
        if peer is not None and asked in [key.send_id for key in peer.keys]:
            peer.current = asked

    def get_info(self, sock: socket.socket) -> bytes | None:
        """Do what ``getsockopt`` does."""
        kept = self.of(sock)
        if not kept.keys:
            return None
        info = bytearray(INFO_SIZE)
        info[6], info[7] = kept.current or 0, kept.asked or 0
        info[8:16] = (7).to_bytes(8, "little")
        return bytes(info)

    def list_keys(self, door: socket.socket, room: int) -> bytes | None:
        """Do what ``getsockopt`` does for all keys; the first entry has their number."""
        keys = self.of(door).keys
        if not keys:
            return None
        told = [_entry(key, len(keys) if not number else 0) for number, key in enumerate(keys)]
        return b"".join(told[:room]).ljust(room * KEPT_SIZE, b"\0")


def _entry(key: Kept, matched: int) -> bytes:
    entry, network = bytearray(KEPT_SIZE), ip_network(key.place)
    is_ipv4 = network.version == 4
    entry[0] = socket.AF_INET if is_ipv4 else socket.AF_INET6
    packed = network.network_address.packed
    start = 4 if is_ipv4 else 8
    entry[start : start + len(packed)] = packed
    entry[272:276] = matched.to_bytes(4, "little")
    entry[278:281] = key.send_id, key.receive_id, network.prefixlen
    return bytes(entry)


def _place(data: bytes, prefix: int) -> str:
    family = int.from_bytes(data[:2], "little")
    whole = 32 if family == socket.AF_INET else 128
    address = ip_address(data[4:8] if family == socket.AF_INET else data[8:24])
    if prefix > whole or address.is_unspecified != (prefix == 0):
        raise _error(errno.EINVAL)
    # Raises ValueError where the kernel says EINVAL: bits are set beyond the prefix.
    network = ip_network((address, prefix))
    return str(address if prefix == whole else network)


def _overlap(one: str, other: str) -> bool:
    left, right = ip_network(one), ip_network(other)
    return left.version == right.version and left.overlaps(right)


def _ends(sock: socket.socket) -> tuple[tuple[str, int], tuple[str, int]] | None:
    try:
        here, there = sock.getsockname(), sock.getpeername()
    except OSError:
        return None
    return (here[0], here[1]), (there[0], there[1])


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
