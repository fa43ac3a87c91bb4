"""Listening sockets: where they are bound, and those that somebody else has bound for us.

A socket that listens outlasts the process that opened it as long as any process has it: whoever
connects meanwhile waits in its queue, and is neither refused nor reset. So it may be handed from
one run to the next, or be opened by a service manager.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from speaker.errors import TransportError
from speaker.net import sockopts
from speaker.privileges.needs import first_free_port

BACKLOG = 4096
"""Connections that may wait to be taken: all peers of a node may come back at once, and while one
run follows another nobody takes them. Who finds no room may wait for ever (SYN cookies)."""

Place: TypeAlias = tuple[str, int]
"""An address of ours, or all of a family (``0.0.0.0``, ``::``), and a port."""

Doors: TypeAlias = dict[Place, socket.socket]
"""Listening sockets by where they are bound."""


def places(
    addresses: Iterable[str], port: int, *, absent: Collection[str] = ()
) -> dict[Place, bool]:
    """Write down where to listen, and whether the address may come later."""
    return {(address, port): address in absent for address in (*addresses, *absent)}


def bind(place: Place, *, free: bool) -> socket.socket | None:
    """Make a listening socket; None where the system has no such family at all.

    Args:
        place: where.
        free: the address may come later.

    Raises:
        TransportError: the place is taken, or we may not have it.
    """
    address, _ = place
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        if free:
            sockopts.bind_freely(sock)
        # What is accepted here has the options too, and so has the answer to the first segment.
        sockopts.prepare(sock)
        sock.bind(place)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL and address == "::":
            return None
        raise _explained(error, *place) from None
    return sock


def inherited(sockets: Iterable[socket.socket]) -> tuple[Doors, list[str]]:
    """Sort sockets that others have opened by where they listen; what is of no use is closed.

    Returns:
        The listening ones, and what the others are, in words.
    """
    doors: Doors = {}
    useless = []
    for sock in sockets:
        place = _place_of(sock)
        if isinstance(place, str):
            useless.append(place)
            sock.close()
            continue
        sock.setblocking(False)
        sockopts.prepare(sock)
        doors = merged(doors, {place: sock})
    return doors, useless


def merged(first: Doors, second: Doors) -> Doors:
    """Put two sets of sockets together; of two at one place the second is closed."""
    for place in first.keys() & second.keys():
        second[place].close()
    return {**second, **first}


def serves(doors: Doors, place: Place) -> bool:
    """Tell whether a place is served by one of these sockets already.

    A socket for all IPv6 addresses that takes IPv4 as well serves all of IPv4.
    """
    if place in doors:
        return True
    both = doors.get(("::", place[1])) if place[0] == "0.0.0.0" else None
    return both is not None and not both.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def complete(doors: Doors, wanted: Mapping[Place, bool]) -> Doors:
    """Bind what is wanted besides sockets that are there; all of it or nothing.

    Args:
        doors: that are there.
        wanted: places, and whether their address may come later.

    Returns:
        The new ones.

    Raises:
        TransportError: a place is taken, or we may not have it.
    """
    bound: Doors = {}
    try:
        for place, free in wanted.items():
            sock = None if serves(doors, place) else bind(place, free=free)
            if sock is not None:
                bound[place] = sock
    except TransportError:
        for sock in bound.values():
            sock.close()
        raise
    return bound


def _place_of(sock: socket.socket) -> Place | str:
    """Find out where a socket listens; if it does not, say what it is."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return f"a socket of family {sock.family}"
    if sock.type != socket.SOCK_STREAM:
        return "a socket that is not TCP's"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "a connection that does not listen"
    address, port = sock.getsockname()[:2]
    return str(address), int(port)


def _explained(error: OSError, address: str, port: int) -> TransportError:
    where = f"cannot listen on {address} port {port}"
    if error.errno == errno.EADDRINUSE:
        return TransportError(
            f"{where}: it is in use",
            f"find the other BGP speaker with 'ss -ltnp sport = :{port}', or set listenPort in"
            " BGPConfiguration",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return TransportError(
            f"{where}: ports below {first_free_port()} need CAP_NET_BIND_SERVICE",
            "start as root or grant it; or set net.ipv4.ip_unprivileged_port_start to"
            f" {port}, or another listenPort in BGPConfiguration",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return TransportError(f"{where}: the address is not on this node", "check bindMode")
    return TransportError(f"{where}: {error.strerror}")
