"""Listening sockets: opened, moved without a gap, and closed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from speaker.errors import TransportError
from speaker.net.listener import Listener
from speaker.net.transport import ReadBuffer, Transport
from tests.support.routers import free_port, home, on_both_loops, until


def listener() -> tuple[Listener, list[Transport]]:
    came: list[Transport] = []
    return Listener(ReadBuffer(), came.append), came


@contextmanager
def taken(address: str, port: int) -> Iterator[None]:
    """Let somebody else listen there."""
    with socket.create_server((address, port)):
        yield


def answers(address: str, port: int) -> bool:
    """Tell whether somebody listens there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((address, port)) == 0


@on_both_loops
async def test_a_connection_is_handed_up_with_its_endpoints() -> None:
    opened, came = listener()
    port = free_port()
    assert await opened.open([home(1), home(2)], port) == [home(1), home(2)]
    reader, writer = await asyncio.open_connection(home(2), port, local_addr=(home(7), 0))
    await until(lambda: came)
    endpoints = came[0].endpoints
    assert endpoints is not None
    assert (endpoints.local, endpoints.local_port) == (home(2), port)
    assert endpoints.remote == home(7)
    came[0].abort()
    assert await reader.read() == b""
    writer.close()
    await opened.close()
    assert not answers(home(1), port)


@on_both_loops
async def test_a_port_that_is_taken_is_said_in_words() -> None:
    opened, _ = listener()
    port = free_port()
    with taken(home(1), port), pytest.raises(TransportError) as caught:
        await opened.open([home(1)], port)
    assert "in use" in str(caught.value)
    assert f"sport = :{port}" in caught.value.hint


@on_both_loops
async def test_of_several_addresses_none_is_opened_if_one_is_taken() -> None:
    opened, _ = listener()
    port = free_port()
    with taken(home(2), port), pytest.raises(TransportError):
        await opened.open([home(1), home(2)], port)
    assert not answers(home(1), port)


@on_both_loops
async def test_moving_to_a_port_that_is_taken_leaves_the_old_one_open() -> None:
    opened, _ = listener()
    old, new = free_port(), free_port()
    await opened.open([home(1)], old)
    with taken(home(1), new), pytest.raises(TransportError):
        await opened.open([home(1)], new)
    assert answers(home(1), old)
    await opened.open([home(1)], new)
    assert answers(home(1), new)
    assert not answers(home(1), old)
    await opened.close()


@on_both_loops
async def test_moving_between_one_address_and_all_of_a_port_works_both_ways() -> None:
    """The two exclude each other, so the old socket has to go first."""
    opened, _ = listener()
    port = free_port()
    await opened.open([home(1)], port)
    await opened.open(["0.0.0.0"], port)
    assert answers(home(5), port)
    await opened.open([home(1)], port)
    assert answers(home(1), port)
    assert not answers(home(5), port)
    await opened.close()


@on_both_loops
async def test_when_the_wider_address_cannot_be_had_the_narrow_one_comes_back() -> None:
    opened, _ = listener()
    port = free_port()
    await opened.open([home(1)], port)
    with taken(home(2), port), pytest.raises(TransportError):
        await opened.open(["0.0.0.0"], port)
    assert answers(home(1), port)
    await opened.close()


@on_both_loops
async def test_staying_where_we_are_keeps_the_socket() -> None:
    opened, _ = listener()
    port = free_port()
    await opened.open([home(1)], port)
    [before] = opened._listening.values()
    await opened.open([home(1), home(2)], port)
    assert opened._listening[home(1), port] is before
    await opened.close()


@on_both_loops
async def test_an_address_that_is_not_ours_is_said_in_words() -> None:
    opened, _ = listener()
    with pytest.raises(TransportError) as caught:
        await opened.open(["192.0.2.77"], free_port())
    assert "not on this node" in str(caught.value)
