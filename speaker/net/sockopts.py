"""Socket options of a BGP connection.

What a listening socket has is inherited by the connections that it accepts.

DSCP CS6 marks routing traffic (RFC 4271 §4.2 wants precedence; RFC 4594 §3.1 names the class).
Nagle's algorithm is off: KEEPALIVEs are small and must go at once. A session may lead over several
hops, so TTL is the usual 64, unless the peer must be near (RFC 5082).

Signatures (RFC 2385) go by the peer's address: on a listening socket each signed peer has a key,
and so has each signed range; of several the longest prefix counts. Linux hands it on to what is
accepted, and drops whatever has no signature by it, or a wrong one.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, ip_network

from speaker.config.secrets import Secret

_DSCP_CS6 = 0xC0
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
_IP_MINTTL, _IPV6_MINHOPCOUNT = 21, 73
_TCP_MD5SIG, _TCP_SAVE_SYN, _TCP_SAVED_SYN, _TCP_MD5SIG_EXT = 14, 27, 28, 32
"""Linux's; the socket module has no names for them."""

_MD5SIG_FLAG_PREFIX = 1
_FULL_TTL, _USUAL_TTL = 255, -1
_SYN_SIZE = 512
"""Octets of the headers of a SYN, at the most: 100 of IPv4, and IPv6 has extension headers."""


def prepare(sock: socket.socket) -> None:
    """Set what every BGP connection has; an option that the system lacks is not missed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _DSCP_CS6)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _DSCP_CS6)
    except OSError:
        # A mark on the packets; no reason to do without the session.
        return


def bind_freely(sock: socket.socket) -> None:
    """Let a socket be bound to an address that is not there yet (ip(7), ipv6(7))."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def sign(sock: socket.socket, place: str, password: Secret | None) -> None:
    """Sign what goes to an address, and take nothing else from there (RFC 2385 §2.0).

    Args:
        sock: listening, or not connected yet, or connected with this address.
        place: the peer's address, as text, whose zone does not count; or a prefix, for all in it
            that have none of their own with more bits.
        password: the key; None for no signatures any more.

    Raises:
        OSError: the system has no room for the key, or no signatures at all.
    """
    key = b"" if password is None else password.reveal()
    option, flags, length = _TCP_MD5SIG, 0, 0
    if "/" in place:
        option, flags, length = _TCP_MD5SIG_EXT, _MD5SIG_FLAG_PREFIX, ip_network(place).prefixlen
    # struct tcp_md5sig (tcp(7)).
    data = storage(place) + struct.pack("=BBHi80s", flags, length, len(key), 0, key)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, option, data)
    except OSError as error:
        if key or error.errno not in (errno.ENOENT, errno.ENOPROTOOPT):
            raise


def storage(place: str) -> bytes:
    """Write an address as struct sockaddr_storage, without a port; a zone does not count.

    Of a prefix it is the first address.
    """
    peer = ip_network(place.partition("%")[0]).network_address
    if isinstance(peer, IPv4Address):
        return struct.pack("=H2x4s120x", socket.AF_INET, peer.packed)
    return struct.pack("=H6x16s104x", socket.AF_INET6, peer.packed)


def limit_hops(sock: socket.socket, hops: int) -> None:
    """Take nothing from farther away than so many hops, and send so that the peer may do alike.

    RFC 5082 §3: what is sent has TTL 255, and what comes must have ``256 - hops``.

    Args:
        sock: not connected yet, or accepted.
        hops: 1 to 255; 0 for any.
    """
    ttl, least = (_FULL_TTL, 256 - hops) if hops else (_USUAL_TTL, 0)
    _set_ttl(sock, ttl)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, least)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, least)


def expect_near(sock: socket.socket, *, near: bool) -> None:
    """Let a listening socket answer so that peers that must be near take it, and keep their SYNs.

    It has no minimum itself: other peers may be far away.
    """
    _set_ttl(sock, _FULL_TTL if near else _USUAL_TTL)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_SAVE_SYN, int(near))


def ttl_of_syn(sock: socket.socket) -> int | None:
    """Give the TTL with which an accepted connection's SYN came, once; None where nobody knows.

    The system keeps none where the listening socket does not `expect_near`, or of a connection
    that it took by a SYN cookie.
    """
    syn = sock.getsockopt(socket.IPPROTO_TCP, _TCP_SAVED_SYN, _SYN_SIZE)
    if len(syn) < 20:
        return None
    return syn[7] if syn[0] >> 4 == 6 else syn[8]


def _set_ttl(sock: socket.socket, ttl: int) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)


def keep_alive(sock: socket.socket) -> None:
    """Let the system find out within a minute that the other end has gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def forget_at_close(sock: socket.socket) -> None:
    """Have the connection closed by a RST, so that nothing of it is left in the system."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def make(address: str) -> socket.socket:
    """Make a non-blocking TCP socket of an address's family."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock
