"""Listening sockets: opened, moved without a gap, and closed."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from speaker.errors import TransportError
from speaker.net.listener import Listener
from speaker.net.listening import BACKLOG, Place, inherited
from speaker.net.transport import ReadBuffer, Transport
from tests.support.routers import free_port, home, on_both_loops, until

SOMAXCONN = int(Path("/proc/sys/net/core/somaxconn").read_text())


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
@pytest.mark.parametrize(("own", "absent"), [(home(1), "192.0.2.77"), ("::1", "2001:db8::77")])
async def test_an_address_that_may_come_later_is_listened_on_already(own: str, absent: str) -> None:
    opened, _ = listener()
    port = free_port()
    with pytest.raises(TransportError, match="not on this node"):
        await opened.open([own, absent], port)
    assert await opened.open([own], port, absent=[absent, own]) == [own, absent]
    assert await opened.open([own], port) == [own]
    await opened.close()


@on_both_loops
@pytest.mark.parametrize(
    ("address", "level", "option"),
    [
        (home(1), socket.IPPROTO_IP, socket.IP_TOS),
        ("::1", socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    ],
)
async def test_what_is_accepted_is_marked_as_routing_traffic_and_sends_at_once(
    address: str, level: int, option: int
) -> None:
    opened, came = listener()
    port = free_port()
    await opened.open([address], port)
    _, writer = await asyncio.open_connection(address, port)
    await until(lambda: came)
    sock = came[0].socket
    assert sock is not None
    assert sock.getsockopt(level, option) == 0xC0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    came[0].abort()
    writer.close()
    await opened.close()


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


@on_both_loops
async def test_many_may_wait_until_they_are_taken() -> None:
    opened, _ = listener()
    port = free_port()
    await opened.open([home(1)], port)
    info = opened.doors[(home(1), port)].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    # Of a socket that listens tcpi_sacked is the length of its queue.
    length = int.from_bytes(info[28:32], sys.byteorder)
    assert length == min(BACKLOG, SOMAXCONN)
    await opened.close()


# Sockets that others have opened.


def opened_elsewhere(address: str, port: int) -> socket.socket:
    """Listen as a process does that is about to hand its socket over."""
    with socket.create_server((address, port)) as sock:
        return sock.dup()


@on_both_loops
async def test_who_waits_in_an_inherited_queue_is_taken_and_the_rest_is_closed() -> None:
    opened, came = listener()
    port, other = free_port(), free_port()
    with socket.socket() as early:
        doors, useless = inherited(
            [opened_elsewhere(home(1), port), opened_elsewhere(home(1), other)]
        )
        early.connect((home(1), port))
        opened.inherited = doors
        assert await opened.open([home(1), home(2)], port) == [home(2), home(1)]
        assert useless == []
        await until(lambda: came)
        assert answers(home(2), port)
        assert not answers(home(1), other)
        assert opened.doors[(home(1), port)] is doors[(home(1), port)]
    await opened.close()
    assert not answers(home(1), port)


@on_both_loops
async def test_an_inherited_socket_that_is_in_the_way_goes() -> None:
    opened, _ = listener()
    port = free_port()
    opened.inherited, _ = inherited([opened_elsewhere("0.0.0.0", port)])
    assert await opened.open([home(1)], port) == [home(1)]
    assert answers(home(1), port)
    assert not answers(home(2), port)
    await opened.close()


@on_both_loops
async def test_an_inherited_socket_of_both_families_serves_both() -> None:
    opened, came = listener()
    port = free_port()
    both = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    opened.inherited, _ = inherited([both])
    assert await opened.open(["0.0.0.0", "::"], port) == ["::"]
    with socket.create_connection((home(3), port), source_address=(home(7), 0)):
        await until(lambda: came)
    endpoints = came[0].endpoints
    assert endpoints is not None
    assert (endpoints.local, endpoints.remote) == (home(3), home(7))
    await opened.close()


@on_both_loops
async def test_others_let_go_of_a_socket_before_its_place_is_taken() -> None:
    opened, _ = listener()
    port = free_port()
    await opened.open(["0.0.0.0"], port)
    held = opened.doors[("0.0.0.0", port)].dup()

    async def release(places: Collection[Place]) -> None:
        assert list(places) == [("0.0.0.0", port)]
        held.close()

    opened.release = release
    assert await opened.open([home(1)], port) == [home(1)]
    await opened.close()


def test_what_does_not_listen_is_of_no_use_and_closed() -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    idle, unix = socket.socket(), socket.socket(socket.AF_UNIX)
    doors, useless = inherited([datagrams, idle, unix])
    assert doors == {}
    assert useless == [
        "a socket that is not TCP's",
        "a connection that does not listen",
        "a socket of family 1",
    ]
    assert {each.fileno() for each in (datagrams, idle, unix)} == {-1}


def test_of_two_sockets_at_one_place_the_first_is_kept() -> None:
    first = opened_elsewhere(home(1), free_port())
    second = first.dup()
    doors, _ = inherited([first, second])
    assert list(doors.values()) == [first]
    assert second.fileno() == -1
    first.close()
