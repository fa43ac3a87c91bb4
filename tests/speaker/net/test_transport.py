"""One connection: chunks up, messages down, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from speaker.net import transport as module
from speaker.net.dialer import dial
from speaker.net.transport import ReadBuffer, Transport
from tests.support.routers import free_port, home, on_both_loops, until


class Diary:
    """What a connection told."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.lost: list[str] = []
        self.rooms = 0
        self.blocked = 0

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        self.chunks.append(chunk)

    def on_lost(self, transport: Transport, error: str) -> None:
        self.lost.append(error)

    def on_blocked(self, transport: Transport) -> None:
        self.blocked += 1

    def on_room(self, transport: Transport) -> None:
        self.rooms += 1


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Transport, Diary, socket.socket]]:
    """Dial a plain socket of the test; give our end, what it tells, and the other end."""
    port = free_port()
    with socket.create_server((home(2), port)) as server:
        server.setblocking(False)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport = await dial(ReadBuffer(), home(2), port, source=home(1))
        other, _ = await asyncio.get_running_loop().sock_accept(server)
    other.setblocking(False)
    diary = Diary()
    transport.handlers = diary
    try:
        yield transport, diary, other
    finally:
        transport.abort()
        other.close()
        await until(lambda: transport._transport.is_closing())  # type: ignore[union-attr]


async def receive(sock: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(sock, 1 << 20)


@on_both_loops
async def test_chunks_come_up_and_messages_go_down() -> None:
    async with connected() as (transport, diary, other):
        assert transport.endpoints is not None
        assert (transport.endpoints.local, transport.endpoints.remote) == (home(1), home(2))
        other.send(b"abc")
        await until(lambda: diary.chunks == [b"abc"])
        transport.write([b"1", b"23"])
        assert await receive(other) == b"123"


@on_both_loops
async def test_the_socket_is_marked_as_routing_traffic_and_sends_at_once() -> None:
    async with connected() as (transport, _, _):
        sock = transport.socket
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0xC0


@on_both_loops
async def test_a_connection_that_is_reset_leaves_nothing_in_the_system() -> None:
    async with connected() as (transport, diary, other):
        other.setblocking(True)
        transport.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(other.recv, 1)
        assert diary.lost == []


@on_both_loops
async def test_a_fin_is_told_once() -> None:
    async with connected() as (transport, diary, other):
        other.send(b"last")
        other.shutdown(socket.SHUT_WR)
        await until(lambda: diary.lost)
        assert diary.chunks == [b"last"]
        assert diary.lost == ["the peer closed the connection"]
        transport.write([b"into the void"])


@on_both_loops
async def test_a_fin_is_told_although_much_waits_to_be_written() -> None:
    async with connected() as (transport, diary, other):
        fill(transport)
        other.shutdown(socket.SHUT_WR)
        await until(lambda: diary.lost)


@on_both_loops
async def test_a_reset_is_told_in_the_systems_words() -> None:
    async with connected() as (_, diary, other):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        other.close()
        await until(lambda: diary.lost)
        assert "reset" in diary.lost[0]


@on_both_loops
async def test_a_full_socket_is_told_and_so_is_room() -> None:
    async with connected() as (transport, diary, other):
        fill(transport)
        assert transport.is_full
        assert diary.rooms == 0
        while transport.is_full:
            await receive(other)
        await until(lambda: diary.rooms == 1)


@on_both_loops
async def test_octets_that_the_other_end_does_not_take_are_told_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOMENT", 0.05)
    async with connected() as (transport, diary, other):
        transport.write([b"few"])
        assert await receive(other) == b"few"
        await until(lambda: (transport.unsent, transport.taken) == (0, 3))
        fill(transport)
        await until(lambda: diary.blocked)
        before = transport.taken
        assert before + transport.unsent == 3 + (8 << 20)
        while transport.unsent:
            await receive(other)
        assert transport.taken == 3 + (8 << 20)


def fill(transport: Transport) -> None:
    assert transport.socket is not None
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    transport.write([bytes(1 << 20)] * 8)


@on_both_loops
async def test_what_was_written_before_the_close_arrives() -> None:
    async with connected() as (transport, diary, other):
        transport.write([b"farewell"])
        transport.close()
        assert await receive(other) == b"farewell"
        assert await receive(other) == b""
        assert diary.lost == []


@on_both_loops
async def test_a_close_does_not_wait_for_ever_for_a_peer_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.05)
    async with connected() as (transport, _, other):
        fill(transport)
        sock = transport.socket
        assert sock is not None
        transport.close()
        await until(lambda: sock.fileno() < 0 or is_dead(other))


def is_dead(sock: socket.socket) -> bool:
    """Tell whether the other end of a connection was given up."""
    try:
        return not sock.recv(1 << 20, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@on_both_loops
async def test_reading_is_paused_and_resumed_and_what_waits_is_known() -> None:
    async with connected() as (transport, diary, other):
        transport.pause()
        transport.pause()
        other.send(b"abc")
        await until(lambda: transport.has_unread)
        assert diary.chunks == []
        transport.resume()
        transport.resume()
        await until(lambda: diary.chunks == [b"abc"])
        assert not transport.has_unread


@on_both_loops
async def test_a_transport_without_connection_is_harmless() -> None:
    transport = Transport(ReadBuffer())
    transport.write([b"x"])
    transport.pause()
    transport.resume()
    assert not transport.has_unread
    transport.close()
    transport.abort()
    assert transport.socket is None
