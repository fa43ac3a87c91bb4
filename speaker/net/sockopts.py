"""Socket options of a BGP connection.

DSCP CS6 marks routing traffic (RFC 4271 §4.2 wants precedence; RFC 4594 §3.1 names the class).
Nagle's algorithm is off: KEEPALIVEs are small and must go at once. A session may lead over several
hops, so TTL is the usual 64.
"""

from __future__ import annotations

import socket

_DSCP_CS6 = 0xC0


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


def make(address: str) -> socket.socket:
    """Make a non-blocking TCP socket of an address's family."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock
