"""TCP-AO by Linux: keys on sockets, which of them is used, and what came signed wrongly.

A socket has any number of keys. On a listening one they go by the peer's address, or by a range of
addresses, and what is accepted has those of its peer; a segment of a peer that has keys is dropped
when it is not signed by one of them. All keys for an address count, whatever the range that they
are of, and no two of them may have an identifier in common (`speaker.net.places` sees to that).

Of the keys of a connection one signs what we send (Current_key), and of one the peer is asked to
sign by it (RNext_key): it goes on with that as soon as it has it. So a key is rolled over without a
loss: add it at both ends, put it first at both, then take the old one away.

The kernel has it from Linux 6.7 on where it is built with CONFIG_TCP_AO; `lacking` tries that out.

Standards: RFC 5925 §3.1, §3.3, §6.1, §7.5.2; Linux's ``include/uapi/linux/tcp.h``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from speaker.config.tcp_ao import Algorithm, MasterKey
from speaker.net.sockopts import storage

ADD_KEY, DEL_KEY, INFO, GET_KEYS = 38, 39, 40, 41
"""TCP_AO_ADD_KEY, TCP_AO_DEL_KEY, TCP_AO_INFO, TCP_AO_GET_KEYS."""

_ADD: Final = struct.Struct("=128s64siIHBBBBBB80s")
"""struct tcp_ao_add: address, algorithm, interface, flags, reserved, prefix length, send id,
receive id, octets of the MAC, flags of the key, octets of the key, the key."""
_DEL: Final = struct.Struct("=128siIHBBBBBB")
"""struct tcp_ao_del: address, interface, flags, reserved, prefix length, send id, receive id,
Current_key, RNext_key, flags of the key."""
_INFO: Final = struct.Struct("=IHBBQQQQQ")
"""struct tcp_ao_info_opt: flags, reserved, Current_key, RNext_key, and five counters of segments:
good, bad, by an unknown key, unsigned, ICMP ignored."""

_KEPT: Final = struct.Struct("=128s64x80xIHBBBBBBiQQ")
"""struct tcp_ao_getsockopt: address, and without the algorithm and the key: how many keys, flags,
send id, receive id, prefix length, octets of the MAC, flags of the key, octets of the key,
interface, segments that came signed well, and badly."""

_SET_CURRENT, _SET_RNEXT, _GET_ALL = 1, 2, 4
"""Bits of the flags, the first of the bit field being the lowest as on all that Wren runs on."""

_BY_LINUX: Final = {
    Algorithm.HMAC_SHA_1_96: (b"hmac(sha1)", 12),
    Algorithm.AES_128_CMAC_96: (b"cmac(aes128)", 12),
    Algorithm.HMAC_SHA_256_128: (b"hmac(sha256)", 16),
}
"""Linux's name of the MAC, and how many octets of it are sent."""


_SECRET, _SECRET_SIZE = 192, 80
"""Where the key stands in struct tcp_ao_getsockopt."""


class Signing(NamedTuple):
    """How a connection is signed.

    Attributes:
        current: send id of the key by which we sign.
        asked: receive id of the key that the peer is asked to sign by.
        good: segments that came signed well.
        bad: segments that were dropped for their signature, the key that they name, or the lack of
            both.
    """

    current: int
    asked: int
    good: int
    bad: int


def add(sock: socket.socket, place: str, key: MasterKey, *, first: bool = False) -> None:
    """Give a socket a key.

    Args:
        sock: listening, or not connected yet, or connected by TCP-AO.
        place: the peer's address, as text, whose zone does not count; or a range. One that begins
            with the unspecified address has to be of all addresses.
        key: any.
        first: sign by it, and ask the peer to; not on a listening socket.

    Raises:
        OSError: EEXIST if it has one with these ids; ENOPROTOOPT without TCP-AO in the kernel.
    """
    algorithm, length = _BY_LINUX[key.algorithm]
    octets = key.octets.reveal()
    flags = _SET_CURRENT | _SET_RNEXT if first else 0
    ids = (key.send_id, key.receive_id)
    data = _ADD.pack(
        *(storage(place), algorithm, 0, flags, 0, _bits(place)),
        *(*ids, length, 0, len(octets), octets),
    )
    set_option(sock, ADD_KEY, data)


def remove(sock: socket.socket, place: str, key: MasterKey) -> None:
    """Take a key away.

    Args:
        sock: that has it.
        place: for which it has it.
        key: whose identifiers count.

    Raises:
        OSError: EBUSY while the connection uses it, ENOENT if it is not there.
    """
    _remove(sock, place, key.send_id, key.receive_id)


def _remove(sock: socket.socket, place: str, send_id: int, receive_id: int) -> None:
    ids = (send_id, receive_id)
    data = _DEL.pack(storage(place), 0, 0, 0, _bits(place), *ids, 0, 0, 0)
    set_option(sock, DEL_KEY, data)


def _remove_somewhere(sock: socket.socket, address: str, key: MasterKey) -> None:
    """Take a key away from a connection, which has it for what its listening socket had it for."""
    host = ip_network(address.partition("%")[0])
    for bits in range(host.prefixlen, -1, -1):
        try:
            remove(sock, str(host.supernet(new_prefix=bits)), key)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        else:
            return


def _bits(place: str) -> int:
    return ip_network(place.partition("%")[0]).prefixlen


def ask_for(sock: socket.socket, key: MasterKey) -> None:
    """Ask the peer to sign by a key that the connection has (RFC 5925 §6.1, RNext_key)."""
    data = _INFO.pack(_SET_RNEXT, 0, 0, key.receive_id, 0, 0, 0, 0, 0)
    set_option(sock, INFO, data)


def signing(sock: socket.socket) -> Signing | None:
    """Tell how a connection is signed; None if it is not signed by TCP-AO."""
    data = get_info(sock)
    if data is None:
        return None
    _, _, current, asked, good, *bad, _ = _INFO.unpack(data)
    return Signing(current, asked, good, sum(bad))


def set_option(sock: socket.socket, option: int, data: bytes) -> None:
    """Set an option of TCP; a place of its own, because not every kernel has these."""
    sock.setsockopt(socket.IPPROTO_TCP, option, data)


def get_info(sock: socket.socket) -> bytes | None:
    """Give TCP_AO_INFO of a socket, None where it has no keys.

    The kernel wants to find zeroes where it writes, which `socket.getsockopt` does not promise.
    """
    buffer = ctypes.create_string_buffer(_INFO.size)
    size = ctypes.c_uint32(_INFO.size)
    level = socket.IPPROTO_TCP
    failed = _libc.getsockopt(sock.fileno(), level, INFO, buffer, ctypes.byref(size))
    return None if failed else buffer.raw


_libc: Final = ctypes.CDLL(None, use_errno=True)


class Held(NamedTuple):
    """A key that a listening socket has.

    Attributes:
        place: whose key it is, an address or a range as text.
        send_id, receive_id: its identifiers.
    """

    place: str
    send_id: int
    receive_id: int


def held(door: socket.socket) -> list[Held]:
    """Tell which keys a socket has; the octets, which the system tells too, are not kept."""
    room = 1
    while (told := list_keys(door, room)) is not None:
        entries = [*_KEPT.iter_unpack(told)]
        number = entries[0][1]
        if number <= room:
            return [_held(entry) for entry in entries[:number]]
        room = number
    return []


def _held(entry: tuple[Any, ...]) -> Held:
    address, _, _, send_id, receive_id, bits, *_ = entry
    family = int.from_bytes(address[:2], sys.byteorder)
    packed = address[4:8] if family == socket.AF_INET else address[8:24]
    network = ip_network((packed, bits))
    whole = bits == network.max_prefixlen
    return Held(str(network.network_address if whole else network), send_id, receive_id)


def list_keys(door: socket.socket, room: int) -> bytes | None:
    """Give TCP_AO_GET_KEYS of a socket without the keys' octets, None where it has no keys.

    Args:
        door: listening.
        room: for how many keys.
    """
    buffer = ctypes.create_string_buffer(_KEPT.size * room)
    _KEPT.pack_into(buffer, 0, b"", room, _GET_ALL, *bytes(6), 0, 0, 0)
    size, level = ctypes.c_uint32(_KEPT.size), socket.IPPROTO_TCP
    failed = _libc.getsockopt(door.fileno(), level, GET_KEYS, buffer, ctypes.byref(size))
    for number in range(room):
        ctypes.memset(ctypes.addressof(buffer) + number * _KEPT.size + _SECRET, 0, _SECRET_SIZE)
    return None if failed else buffer.raw


def drop_left_over(door: socket.socket, wanted: Mapping[str, Iterable[MasterKey]]) -> None:
    """Take away what the run before has left on a socket and nobody wants.

    Args:
        door: listening.
        wanted: the keys of each place.
    """
    keep = {(place, key.send_id, key.receive_id) for place, keys in wanted.items() for key in keys}
    for each in held(door):
        if each not in keep:
            with contextlib.suppress(OSError):
                _remove(door, *each)


def replace(
    door: socket.socket, place: str, before: Iterable[MasterKey], after: Iterable[MasterKey]
) -> None:
    """Give a listening socket other keys for a place; whatever has the same ids gives way.

    Raises:
        OSError: there is no room for them.
    """
    gone, came = _minus(before, after), _minus(after, before)
    for key in gone:
        try:
            remove(door, place, key)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    for key in came:
        try:
            add(door, place, key)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            _make_way(door, place, key)
            add(door, place, key)


def _make_way(door: socket.socket, place: str, key: MasterKey) -> None:
    """Take away what the run before has left on a socket under the same ids.

    Their octets may be others.
    """
    for other in range(256):
        for ids in ((key.send_id, other), (other, key.receive_id)):
            with contextlib.suppress(OSError):
                _remove(door, place, *ids)


def adopt(sock: socket.socket, address: str, keys: tuple[MasterKey, ...]) -> None:
    """See to the keys of an accepted connection: they may have changed since its SYN.

    Raises:
        OSError: it is not signed, or by a key that is none of these.
    """
    now = signing(sock)
    if now is None or now.current not in {key.send_id for key in keys}:
        raise OSError(errno.EKEYREJECTED, os.strerror(errno.EKEYREJECTED))
    for key in keys:
        _add_once(sock, address, key)
    ask_for(sock, keys[0])


def _add_once(sock: socket.socket, address: str, key: MasterKey) -> None:
    try:
        add(sock, address, key)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def roll_over(
    sock: socket.socket, address: str, before: tuple[MasterKey, ...], after: tuple[MasterKey, ...]
) -> tuple[MasterKey, ...]:
    """Give a connection that stands other keys, as far as it goes without a loss.

    What comes anew is added, the first is asked for, and what goes is taken away unless the
    connection uses it: the peer has not followed yet. A key whose octets have changed stays as it
    is, because the ids are taken.

    Args:
        sock: connected by TCP-AO.
        address: of the peer.
        before: the keys that it has.
        after: those that it is to have; none for no others.

    Returns:
        The keys that it has now.

    Raises:
        OSError: there is no room for them; it may be tried again.
    """
    if not after:
        return before
    has = [*before]
    for key in _minus(after, before):
        if not any(_same_ids(key, other) for other in has):
            _add_once(sock, address, key)
            has.append(key)
    if after[0] in has:
        ask_for(sock, after[0])
    for key in _minus(before, after):
        if any(_same_ids(key, other) for other in after):
            continue
        try:
            _remove_somewhere(sock, address, key)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            has.remove(key)
    return tuple(has)


def _same_ids(one: MasterKey, other: MasterKey) -> bool:
    return one.send_id == other.send_id or one.receive_id == other.receive_id


def _minus(these: Iterable[MasterKey], those: Iterable[MasterKey]) -> list[MasterKey]:
    taken = set(those)
    return [key for key in these if key not in taken]


def lacking() -> str:
    """Say what the kernel lacks for TCP-AO, and what to do; empty if it has all.

    It is tried out by a key on a socket of our own.
    """
    with socket.socket() as sock:
        try:
            set_option(sock, ADD_KEY, bytes(_ADD.size))
        except OSError as error:
            if error.errno == errno.ENOPROTOOPT:
                return (
                    f"this kernel (Linux {platform.release()}) has no TCP-AO: it needs 6.7 or later"
                    " with CONFIG_TCP_AO; boot such a kernel, or have a password (TCP MD5) at both"
                    " ends instead"
                )
            # It knows the option, and dislikes the key without an address that it was shown.
    return ""


def explained(error: OSError) -> str:
    """Say why keys could not be set; the caller knows about room."""
    if error.errno == errno.ENOENT:
        return "the kernel lacks the algorithm of a TCP-AO key (CONFIG_CRYPTO_HMAC, CRYPTO_CMAC)"
    return f"its TCP-AO keys cannot be set: {os.strerror(error.errno or 0)}"
