"""What listening and dialled sockets ask of peers: signatures and distances, by a real kernel."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from speaker.config.secrets import Secret
from speaker.net import sockopts
from speaker.net.admission import ANY, Admission, Terms
from speaker.net.dialer import dial
from speaker.net.drops import read
from speaker.net.held_keys import held_places
from speaker.net.listener import Listener
from speaker.net.transport import ReadBuffer, Transport
from tests.support.netns import in_namespace
from tests.support.routers import free_port, home, on_both_loops, on_uvloop, until

OLD, NEW = Secret(b"old-key"), Secret(b"new-key")
PAIRS = [(home(1), home(7)), ("::1", "::1")]
BOTH_FAMILIES = pytest.mark.parametrize(("own", "other"), PAIRS, ids=["ipv4", "ipv6"])


class Entrance:
    """A listener that asks what it is told of those who connect."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.came: list[Transport] = []
        self.listener = Listener(ReadBuffer(), self.came.append, self.admission.prepare)
        self.port = free_port()

    def ask(self, terms: Mapping[str, Terms]) -> None:
        self.admission.follow(terms, self.listener.doors.values())

    async def call(self, own: str, other: str, terms: Terms = ANY) -> Transport:
        """Have a peer dial."""
        async with asyncio.timeout(1.0):
            return await dial(ReadBuffer(), own, self.port, source=other, terms=terms)

    async def is_reached(self, own: str, other: str, terms: Terms = ANY) -> bool:
        """Tell whether a peer gets through, and what it says."""
        self.came.clear()
        try:
            dialled = await self.call(own, other, terms)
        except TimeoutError:
            return False
        await until(lambda: self.came)
        dialled.abort()
        self.came[0].abort()
        return True


@asynccontextmanager
async def entrance(own: str, terms: Mapping[str, Terms]) -> AsyncIterator[Entrance]:
    opened = Entrance()
    opened.ask(terms)
    await opened.listener.open([own], opened.port)
    try:
        yield opened
    finally:
        await opened.listener.close()


def sock_of(transport: Transport) -> socket.socket:
    assert transport.socket is not None
    return transport.socket


@on_both_loops
@BOTH_FAMILIES
async def test_only_the_right_key_gets_through_to_the_address_that_has_one(
    own: str, other: str
) -> None:
    async with entrance(own, {other: Terms(OLD)}) as opened:
        before = read().signature
        assert await opened.is_reached(own, other, Terms(OLD))
        assert not await opened.is_reached(own, other, Terms(NEW))
        assert not await opened.is_reached(own, other)
        assert read().signature > before
        if own != other:
            assert await opened.is_reached(own, home(8))
            assert not await opened.is_reached(own, home(8), Terms(OLD))


@on_both_loops
@BOTH_FAMILIES
async def test_a_key_that_goes_or_changes_leaves_the_connection_that_stands_alone(
    own: str, other: str
) -> None:
    async with entrance(own, {other: Terms(OLD)}) as opened:
        stands = await opened.call(own, other, Terms(OLD))
        await until(lambda: opened.came)
        here = opened.came[0]
        for terms in (Terms(NEW), ANY):
            opened.ask({other: terms})
            assert await opened.is_reached(own, other, terms)
            assert not await opened.is_reached(own, other, Terms(OLD))
            await passes(stands, here)
        stands.abort()
        here.abort()
        opened.ask({})
        assert await opened.is_reached(own, other)


async def passes(sender: Transport, receiver: Transport) -> None:
    """Octets go from one end to the other."""
    heard = Heard()
    receiver.attach(heard)
    sender.write([b"still here"])
    await until(lambda: heard.octets == b"still here")


class Heard:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.octets = b""
        self.end = ""

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        self.octets += chunk

    def on_lost(self, transport: Transport, error: str) -> None:
        self.end = error

    def on_blocked(self, transport: Transport) -> None:
        pass

    def on_room(self, transport: Transport) -> None:
        pass


@on_both_loops
async def test_sockets_that_are_opened_later_ask_for_the_keys_too() -> None:
    own, other = PAIRS[0]
    async with entrance(own, {other: Terms(OLD)}) as opened:
        opened.port = free_port()
        await opened.listener.open([home(2)], opened.port)
        assert not await opened.is_reached(home(2), other)
        assert await opened.is_reached(home(2), other, Terms(OLD))


@on_both_loops
async def test_an_inherited_socket_asks_for_todays_keys_and_no_others() -> None:
    own, other = PAIRS[0]
    opened = Entrance()
    door = socket.create_server((own, opened.port))
    sockopts.sign(door, other, OLD)
    sockopts.sign(door, home(8), OLD)
    opened.listener.inherited = {(own, opened.port): door}
    opened.ask({other: Terms(NEW), home(8): ANY})
    await opened.listener.open([own], opened.port)
    assert await opened.is_reached(own, other, Terms(NEW))
    assert not await opened.is_reached(own, other, Terms(OLD))
    assert await opened.is_reached(own, home(8))
    await opened.listener.close()


@on_both_loops
@BOTH_FAMILIES
async def test_a_connection_that_is_older_than_the_key_is_not_talked_to(
    own: str, other: str
) -> None:
    async with entrance(own, {}) as opened:
        unsigned = await opened.call(own, other)
        await until(lambda: opened.came)
        opened.ask({other: Terms(OLD)})
        here = opened.came[0]
        assert opened.admission.admit(sock_of(here), other, Terms(OLD))
        heard = Heard()
        unsigned.attach(heard)
        before = read().signature
        here.write([b"not for you"])
        await until(lambda: read().signature > before)
        assert heard.octets == b""
        unsigned.abort()
        here.abort()


@on_both_loops
@BOTH_FAMILIES
async def test_ttl_is_255_both_ways_from_the_first_segment_on(own: str, other: str) -> None:
    """Else neither would take the other's SYN, or the answer to it (RFC 5082 §3)."""
    async with entrance(own, {other: Terms(hops=1)}) as opened:
        near = await opened.call(own, other, Terms(hops=1))
        await until(lambda: opened.came)
        here = sock_of(opened.came[0])
        assert opened.admission.admit(here, other, Terms(hops=1))
        assert sent_and_least(here) == sent_and_least(sock_of(near)) == (255, 255)
        near.abort()
        opened.came.pop().abort()

        usual = await opened.call(own, other)
        await until(lambda: opened.came)
        before = read().too_far
        assert not opened.admission.admit(sock_of(opened.came[0]), other, Terms(hops=1))
        usual.write([b"from too far, by its TTL"])
        await until(lambda: read().too_far > before)
        assert opened.admission.admit(sock_of(opened.came[0]), other, ANY)
        assert sent_and_least(sock_of(opened.came[0])) == (64, 0)
        usual.abort()
        opened.came.pop().abort()

        opened.ask({})
        [door] = opened.listener.doors.values()
        assert sent_and_least(door) == (64, 0)


def sent_and_least(sock: socket.socket) -> tuple[int, int]:
    """Give the TTL that is sent, and the least that is taken."""
    if sock.family == socket.AF_INET6:
        names = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS), (socket.IPPROTO_IPV6, 73)
    else:
        names = (socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IP, 21)
    sent, least = (sock.getsockopt(*name) for name in names)
    return sent, least


@contextmanager
def doors(*addresses: str) -> Iterator[list[socket.socket]]:
    opened = [
        socket.create_server((address, 0), family=family_of(address)) for address in addresses
    ]
    try:
        yield opened
    finally:
        for sock in opened:
            sock.close()


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@on_uvloop
async def test_an_inherited_socket_keeps_no_key_of_a_range_that_nobody_wants() -> None:
    """Else a longer prefix that was left over would have the say."""
    own, other = home(1), home(9)
    for terms, key in (({"127.0.0.8/29": Terms(NEW)}, NEW), ({}, None)):
        opened = Entrance()
        door = socket.create_server((own, opened.port))
        for place in ("127.0.0.8/30", "127.0.0.8/31", other, "127.0.0.0/8"):
            sockopts.sign(door, place, OLD)
        opened.listener.inherited = {(own, opened.port): door}
        opened.ask(terms)
        await opened.listener.open([own], opened.port)
        try:
            assert await opened.is_reached(own, other, Terms(key))
        finally:
            await opened.listener.close()


@BOTH_FAMILIES
def test_a_socket_tells_for_which_places_it_has_keys(own: str, other: str) -> None:
    with doors(own, own) as (door, beside):
        sockopts.sign(beside, other, OLD)
        assert held_places(door) == []
        places = {other, "10.0.0.0/8", "10.1.0.0/16"} if ":" not in own else {other, "fd00::/16"}
        for place in places:
            sockopts.sign(door, place, OLD)
        assert set(held_places(door)) == places
        assert held_places(beside) == [other]
        sockopts.sign(door, other, None)
        assert set(held_places(door)) == places - {other}


RANGES = {home(1): "127.0.0.8/29", "::1": "::/64"}


@on_uvloop
@BOTH_FAMILIES
async def test_a_range_has_a_key_and_a_longer_prefix_another(own: str, other: str) -> None:
    """That of an address among them; the connection goes on by the key that it came by."""
    whole = RANGES[own]
    other = home(9) if own != "::1" else other
    async with entrance(own, {whole: Terms(OLD)}) as opened:
        stands = await opened.call(own, other, Terms(OLD))
        await until(lambda: opened.came)
        here = opened.came[0]
        assert not await opened.is_reached(own, other, Terms(NEW))
        if own != "::1":
            assert await opened.is_reached(own, home(7))
        opened.ask({whole: Terms(OLD), other: Terms(NEW)})
        assert await opened.is_reached(own, other, Terms(NEW))
        assert not await opened.is_reached(own, other, Terms(OLD))
        opened.ask({whole: Terms(NEW)})
        assert await opened.is_reached(own, other, Terms(NEW))
        await passes(stands, here)
        stands.abort()
        here.abort()
        opened.ask({})
        assert await opened.is_reached(own, other)


MANY = {f"10.{n >> 8}.{n & 255}.1": Terms(OLD) for n in range(1000)}
MANY |= {f"fd00::{n:x}": Terms(OLD) for n in range(1, 1001)}


def set_room(octets: int) -> None:
    Path("/proc/sys/net/core/optmem_max").write_text(str(octets))


@in_namespace
def test_a_thousand_keys_fit_where_the_system_gives_the_room_that_we_name() -> None:
    set_room(20480)
    admission = Admission()
    with doors("127.0.0.1", "::1") as opened:
        admission.follow(MANY, opened)
        # Those that came first have one; the others are named with what they need.
        assert 1600 < len(admission.refused) < 1800
        assert "10.0.0.1" not in admission.refused
        why = admission.refused["10.3.231.1"]
        assert "net.core.optmem_max is 20480, 1000 passwords need 144000" in why
        set_room(144000)
        admission.follow(MANY, opened)
        assert not admission.refused
        # Others may have the room that is given back.
        fresh = {f"11.{n >> 8}.{n & 255}.1": Terms(NEW) for n in range(1000)}
        admission.follow(fresh, opened)
        assert not admission.refused


@in_namespace
def test_who_is_refused_a_key_is_not_admitted() -> None:
    set_room(4608)
    admission = Admission()
    with doors("127.0.0.1") as [door], socket.socket() as caller:
        filled = {f"10.0.0.{n}": Terms(OLD) for n in range(1, 200)}
        admission.follow({**filled, "127.0.0.1": Terms(OLD), "127.0.0.2": ANY}, [door])
        assert "127.0.0.1" in admission.refused
        caller.connect(door.getsockname())
        accepted, _ = door.accept()
        with accepted:
            assert not admission.admit(accepted, "127.0.0.1", Terms(OLD))
            assert admission.admit(accepted, "127.0.0.2", ANY)
