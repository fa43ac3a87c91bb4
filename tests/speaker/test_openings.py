"""Openings on real connections, octet by octet: the RFCs that a session begins with."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from fsm.capabilities import UnknownCapability
from fsm.session import Session
from speaker.speaker import Speaker
from tests.support.routers import Town, home, is_up, on_uvloop, peer_at, until
from tests.support.scripted_peer import (
    NOTIFICATION,
    OPEN,
    capability,
    keepalive,
    message,
    notification,
    open_message,
    route_refresh,
    update,
)

BARE = 10
"""Octets of an OPEN's body without optional parameters."""


def extended(octets: bytes) -> bytes:
    """Write an OPEN of one parameter in the form of RFC 9072 §2."""
    body = octets[19:]
    parameter = body[12:]
    field = b"\x02" + len(parameter).to_bytes(2, "big") + parameter
    return message(OPEN, body[:9] + b"\xff\xff" + len(field).to_bytes(2, "big") + field)


async def said(town: Town, octets: bytes = b"") -> list[tuple[int, bytes]]:
    """Connect, say something, and give the messages that came until the end of the connection.

    Without anything said, the first message ends it.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.bind((home(11), 0))
        await loop.sock_connect(sock, (home(1), town.port))
        if octets:
            await loop.sock_sendall(sock, octets)
        heard, found = b"", []
        while chunk := await loop.sock_recv(sock, 1 << 16):
            heard += chunk
            while len(heard) >= 19 and len(heard) >= (size := int.from_bytes(heard[16:18], "big")):
                found.append((heard[18], heard[19:size]))
                heard = heard[size:]
            if found and not octets:
                break
        return found


def other_session(router: Speaker, **changes: object) -> None:
    """Give the first peer a session that is configured otherwise."""
    shell = peer_at(router, 11)
    shell.stop()
    shell.session = Session(replace(shell.session.config, **changes))  # type: ignore[arg-type]  # any field
    shell.start()


ESTABLISHED = open_message(65011) + keepalive()

UNEXPECTED = [
    pytest.param(keepalive(), b"\x05\x01\x04", id="KEEPALIVE in OpenSent"),
    pytest.param(route_refresh(), b"\x05\x01\x05", id="ROUTE-REFRESH in OpenSent"),
    pytest.param(open_message(65011) + update(), b"\x05\x02\x02", id="UPDATE in OpenConfirm"),
    pytest.param(open_message(65011) * 2, b"\x05\x02\x01", id="OPEN in OpenConfirm"),
    pytest.param(ESTABLISHED + open_message(65011), b"\x05\x03\x01", id="OPEN in Established"),
]


@on_uvloop
@pytest.mark.parametrize(("octets", "body"), UNEXPECTED)
async def test_an_unexpected_message_is_named_with_the_state(octets: bytes, body: bytes) -> None:
    """RFC 6608 §3, §4."""
    async with Town() as town:
        await town.run_for_strangers()
        assert (await said(town, octets))[-1] == (NOTIFICATION, body)


@on_uvloop
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(open_message(0), id="in the capability"),
        pytest.param(message(OPEN, b"\x04\0\0\0\x5a\xc0\0\x02\x01\0"), id="without capabilities"),
    ],
)
async def test_as_0_is_a_bad_peer_as(octets: bytes) -> None:
    """RFC 7607 §2."""
    async with Town() as town:
        await town.run_for_strangers()
        assert (await said(town, octets))[-1] == (NOTIFICATION, b"\x02\x02")


@on_uvloop
async def test_our_own_identifier_is_refused_within_our_as_and_nowhere_else() -> None:
    """RFC 6286 §2.2."""
    async with Town() as town:
        router = await town.run_for_strangers(asn=64512)
        octets = open_message(64512, router_id=home(1))
        assert (await said(town, octets))[-1] == (NOTIFICATION, b"\x02\x03")
        assert router.router_id == int.from_bytes(socket.inet_aton(home(1)), "big")
    async with Town() as town:
        router = await town.run_for_strangers()
        await town.join(router_id=home(1))
        assert is_up(router)


@on_uvloop
async def test_a_peer_that_cannot_bear_optional_parameters_gets_an_open_without() -> None:
    """RFC 5492 §3: and a session, in which nothing of them is in force."""
    async with Town() as town:
        router = await town.run_for_strangers()
        [(kind, first), *_] = await said(town, notification(2, 4))
        assert kind == OPEN
        assert len(first) > BARE
        await until(peer_at(router, 11).session.would_accept)
        [(kind, second)] = await said(town)
        assert kind == OPEN
        assert second == first[: BARE - 1] + b"\0"
        await until(peer_at(router, 11).session.would_accept)
        peer = await town.call()
        peer.send(message(OPEN, b"\x04\xfd\xf3\0\x5a\xc0\0\x02\x01\0"), keepalive())
        await until(lambda: is_up(router))
        negotiated = peer_at(router, 11).session.negotiated
        assert negotiated is not None
        assert not negotiated.route_refresh


@on_uvloop
async def test_an_open_in_the_extended_form_is_understood() -> None:
    """RFC 9072 §2."""
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.call()
        peer.send(extended(open_message(65011, more=capability(200, bytes(150)))), keepalive())
        await until(lambda: is_up(router))
        negotiated = peer_at(router, 11).session.negotiated
        assert negotiated is not None
        assert UnknownCapability(200, bytes(150)) in negotiated.peer_capabilities


@on_uvloop
async def test_an_open_with_much_to_offer_is_sent_in_the_extended_form() -> None:
    """RFC 9072 §2: length and type of 255, and lengths of two octets from there on."""
    async with Town() as town:
        router = await town.run_for_strangers()
        many = tuple(UnknownCapability(200 + n, bytes(100)) for n in range(3))
        other_session(router, extra_capabilities=many)
        [(kind, body)] = await said(town)
        assert kind == OPEN
        assert body[9:11] == b"\xff\xff"
        assert int.from_bytes(body[11:13], "big") == len(body) - 13
        assert body[13] == 2
        assert all(capability(each.code, each.data) in body for each in many)
