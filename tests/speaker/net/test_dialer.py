"""Opening connections: from the right address, and errors that are told."""

from __future__ import annotations

import asyncio
import socket

import pytest

from speaker.net import dialer
from speaker.net.dialer import dial
from speaker.net.transport import ReadBuffer
from tests.support.routers import free_port, home, on_both_loops


@on_both_loops
async def test_the_connection_comes_from_the_source_address() -> None:
    port = free_port()
    with socket.create_server((home(2), port)) as server:
        transport = await dial(ReadBuffer(), home(2), port, source=home(9))
        other, where = server.accept()
        other.close()
        transport.abort()
    assert where[0] == home(9)


@on_both_loops
async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        await dial(ReadBuffer(), home(2), free_port())


@on_both_loops
async def test_a_source_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        await dial(ReadBuffer(), home(2), free_port(), source="192.0.2.77")


@on_both_loops
async def test_no_answer_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog does not answer."""
    monkeypatch.setattr(dialer, "CONNECT_TIMEOUT", 0.05)
    port = free_port()
    with socket.socket() as server:
        server.bind((home(2), port))
        server.listen(0)
        with socket.create_connection((home(2), port)), pytest.raises(TimeoutError):
            await dial(ReadBuffer(), home(2), port)


@on_both_loops
async def test_a_cancelled_attempt_leaves_no_socket_behind() -> None:
    port = free_port()
    with socket.socket() as server:
        server.bind((home(2), port))
        server.listen(0)
        with socket.create_connection((home(2), port)):
            dialling = asyncio.ensure_future(dial(ReadBuffer(), home(2), port))
            await asyncio.sleep(0)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling


@on_both_loops
async def test_a_link_local_peer_on_no_interface_of_ours_is_an_error() -> None:
    """RFC 4007 §11: the zone is an interface's name."""
    with pytest.raises(OSError, match="no interface nowhere") as caught:
        await dial(ReadBuffer(), "fe80::1%nowhere", 179)
    assert dialer.explain(caught.value) == "there is no interface nowhere"
