"""Opening connections to peers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from speaker.net import sockopts
from speaker.net.admission import ANY, Terms
from speaker.net.transport import ReadBuffer, Transport

CONNECT_TIMEOUT = 30.0
"""Seconds after which an unanswered SYN is given up; the session's own timer may be shorter."""


async def dial(
    buffer: ReadBuffer,
    address: str,
    port: int,
    *,
    source: str | None = None,
    terms: Terms = ANY,
) -> Transport:
    """Connect to a peer.

    Args:
        buffer: into which the connection will read.
        address: the peer's, as text, a link-local one with its zone.
        port: the peer's.
        source: our own address to come from, or None to let the system choose.
        terms: that the connection is made on, from its first segment on.

    Raises:
        OSError: what the system said; a timeout included.
    """
    loop = asyncio.get_running_loop()
    sock = sockopts.make(address)
    _, _, zone = address.partition("%")
    try:
        if zone:
            _check_interface(zone)
        sockopts.prepare(sock)
        terms.ask(sock, address)
        if source is not None:
            sock.bind((source, 0))
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await loop.sock_connect(sock, (address, port))
        factory: Callable[[], Transport] = lambda: Transport(buffer)  # noqa: E731 - names the type
        _, transport = await loop.create_connection(factory, sock=sock)
    except BaseException:
        sock.close()
        raise
    transport.password, transport.keys = terms.password, terms.keys
    return transport


def _check_interface(name: str) -> None:
    """Say what is missing: the resolver has no good word for it."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        raise OSError(f"there is no interface {name}") from None


def explain(error: OSError) -> str:
    """Say in the system's words why a connection did not come about."""
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {CONNECT_TIMEOUT:.0f} s"
    if error.errno:
        # The loops put their own sentence with address and port into strerror.
        return os.strerror(error.errno)
    return str(error)
