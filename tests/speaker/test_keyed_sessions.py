"""Sessions by TCP-AO (RFC 5925): routers on real sockets, beside the bookkeeping of a kernel.

Where the kernel has none, the peer is held down, and nobody else.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fsm.notifications import Cease
from speaker.cli.peer import show_peer
from speaker.config.plan import Plan, Secret
from speaker.config.tcp_ao import Algorithm, MasterKey
from speaker.net import tcp_ao
from speaker.speaker import Speaker
from speaker.status import Status
from tests.support.ao_kernel import AoKernel
from tests.support.routers import Town, home, is_up, on_uvloop, peer_at, until, uptimes

ONE = MasterKey(1, 1, Algorithm.HMAC_SHA_1_96, Secret(b"hush-one", "tor/one"))
TWO = MasterKey(2, 2, Algorithm.AES_128_CMAC_96, Secret(b"hush-two", "tor/two"))


@pytest.fixture
def kernel() -> Iterator[AoKernel]:
    kernel = AoKernel()
    with kernel.installed():
        yield kernel


def keyed(plan: Plan, *keys: MasterKey, **values: Any) -> Plan:
    peers = {
        name: replace(peer, tcp_ao=keys, **values) if peer.address != home(3) else peer
        for name, peer in plan.peers.items()
    }
    return replace(plan, peers=peers)


def pair(town: Town) -> tuple[Plan, Plan]:
    """Make the plans of two routers with a session; the first has one more peer."""
    others = [town.peer(f"r{n}", n, node="r1") for n in (2, 3)]
    here = town.plan("r1", town.settings(), town.node("r1", 1), *others)
    there = town.plan("r2", town.settings(), town.node("r2", 2), town.peer("r1", 1, node="r2"))
    return here, there


def view(router: Speaker, number: int) -> dict[str, Any]:
    return dict(Status(router, 1).peer(peer_at(router, number)))


def used(router: Speaker, number: int) -> tuple[int, int, bool]:
    """Give the key that we sign by, the one that we ask for, and whether others are to come."""
    told = view(router, number)["tcpAO"]
    return told["signsBy"], told["asksFor"], told["changes"]


@on_uvloop
async def test_keys_roll_over_on_a_session_that_stands(kernel: AoKernel) -> None:
    async with Town() as town:
        here, there = pair(town)
        one = await town.run(keyed(here, ONE))
        other = await town.run(keyed(there, ONE))
        await until(lambda: peer_at(one, 2).is_established and is_up(other))
        before = uptimes(one)
        for router, plan in ((one, here), (other, there)):
            await router.apply(keyed(plan, ONE, TWO))
        assert (used(one, 2), used(other, 1)) == ((1, 1, False), (1, 1, False))
        await one.apply(keyed(here, TWO, ONE))
        assert (used(one, 2), used(other, 1)) == ((1, 2, False), (2, 1, False))
        await one.apply(keyed(here, TWO))
        # The other end still asks for the old one: it stays until that has followed.
        assert used(one, 2) == (1, 2, True)
        await other.apply(keyed(there, TWO))
        assert used(other, 1) == (2, 2, False)
        one.doorkeeper.follow()
        assert used(one, 2) == (2, 2, False)
        assert uptimes(one) == before

        peer_at(one, 2).stop()
        peer_at(one, 2).start()
        await until(lambda: peer_at(one, 2).is_established and is_up(other))
        assert used(one, 2) == (2, 2, False)


@on_uvloop
async def test_keys_that_find_no_room_on_a_session_are_said_once_and_tried_again(
    kernel: AoKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Town() as town:
        here, there = pair(town)
        one, other = await town.run(keyed(here, ONE)), await town.run(keyed(there, ONE))
        await until(lambda: peer_at(one, 2).is_established and is_up(other))
        add = tcp_ao.add

        def full(sock: Any, address: str, key: MasterKey, *, first: bool = False) -> None:
            if key == TWO and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            add(sock, address, key, first=first)

        monkeypatch.setattr(tcp_ao, "add", full)
        await one.apply(keyed(here, ONE, TWO))
        one.doorkeeper.follow()
        assert len(town.said.of("keys_kept")) == 1
        assert used(one, 2) == (1, 1, True)

        monkeypatch.setattr(tcp_ao, "add", add)
        one.doorkeeper.follow()
        assert used(one, 2) == (1, 1, False)


def of_range(town: Town, *keys: MasterKey) -> Plan:
    """Make the plan of a router that is dialled by whoever is near."""
    range_of_peers = town.peer(
        "rack", 1, node="r1", keys={"listenRange": "127.0.0.0/8", "asRange": "external"}
    )
    for field in ("peerIP", "asNumber"):
        del range_of_peers["spec"][field]
    named = town.peer("r3", 3, 65003, node="r1", keys={"passive": "on"})
    plan = town.plan("r1", town.settings(), town.node("r1", 1), range_of_peers, named)
    ranges = {
        name: replace(
            each, templates=tuple(replace(template, tcp_ao=keys) for template in each.templates)
        )
        for name, each in plan.ranges.items()
    }
    return replace(plan, ranges=ranges)


@on_uvloop
async def test_peers_of_a_range_are_signed_and_their_keys_roll_over(kernel: AoKernel) -> None:
    async with Town() as town:
        node, far = town.node("r2", 2, asn=65002), town.peer("r1", 1, 64512, node="r2")
        there = town.plan("r2", town.settings(), node, far)
        one, other = await town.run(of_range(town, ONE)), await town.run(keyed(there, ONE))
        await until(lambda: is_up(other) and len(one.peers) == 2)
        await until(lambda: peer_at(one, 2).is_established)
        assert (used(one, 2), used(other, 1)) == ((1, 1, False), (1, 1, False))
        # Who is named in it has no key, and is asked for none.
        await town.join(3)
        before = uptimes(one)
        for keys in ((TWO, ONE), (TWO,)):
            await one.apply(of_range(town, *keys))
            await other.apply(keyed(there, *keys))
        one.doorkeeper.follow()
        other.doorkeeper.follow()
        assert (used(one, 2), used(other, 1)) == ((2, 2, False), (2, 2, False))
        assert uptimes(one) == before


@on_uvloop
async def test_what_is_told_of_keys_is_their_names_and_numbers(kernel: AoKernel) -> None:
    async with Town() as town:
        here, there = pair(town)
        one, other = await town.run(keyed(here, ONE, TWO)), await town.run(keyed(there, ONE))
        await until(lambda: peer_at(one, 2).is_established)
        await until(lambda: is_up(other))
        told = view(one, 2)
        first = {"sendID": 1, "receiveID": 1, "algorithm": "hmac-sha-1-96", "secret": "tor/one"}
        assert told["tcpAO"]["keys"][0] == first
        [line] = [
            line for line in show_peer(Status(one, 1).peer_detail(home(2))) if "TCP-AO" in line
        ]
        assert "keys 1 (tor/one, hmac-sha-1-96), 2 (tor/two, aes-128-cmac-96)" in line
        assert "signs by 1, asks the peer for 1" in line
        said = [record.getMessage() for record in town.said.records]
        assert "hush" not in f"{told} {line} {said}"


@on_uvloop
async def test_the_first_keys_end_an_unsigned_session_and_the_last_ones_do_not(
    kernel: AoKernel,
) -> None:
    async with Town() as town:
        here, there = pair(town)
        one, other = await town.run(here), await town.run(there)
        await until(lambda: peer_at(one, 2).is_established and is_up(other))
        await one.apply(keyed(here, ONE))
        assert not peer_at(one, 2).is_established
        await other.apply(keyed(there, ONE))
        await until(lambda: peer_at(one, 2).is_established and is_up(other))
        before = uptimes(one)
        await one.apply(here)
        await other.apply(there)
        assert used(one, 2) == (1, 1, True)
        assert uptimes(one) == before


@on_uvloop
async def test_without_the_kernel_nobody_is_a_peer_of_a_range_with_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_ao, "lacking", lambda: "this kernel has no TCP-AO")
    async with Town() as town:
        one = await town.run(of_range(town, ONE))
        [condition] = [c for c in Status(one, 1).conditions() if c.reason == "KeysRefused"]
        assert condition.resource == "BGPPeer/rack"
        assert condition.message == (
            "peers from 127.0.0.0/8 are turned away: this kernel has no TCP-AO"
        )
        await (await town.call(4)).until_closed()
        assert [peer.plan.address for peer in one.peers.values()] == [home(3)]


@on_uvloop
async def test_without_the_kernel_the_peer_is_held_down_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacks = tcp_ao.lacking() or "this kernel (Linux 6.1) has no TCP-AO: it needs CONFIG_TCP_AO"
    monkeypatch.setattr(tcp_ao, "lacking", lambda: lacks)
    async with Town() as town:
        here, there = pair(town)
        third = town.plan("r3", town.settings(), town.node("r3", 3), town.peer("r1", 1, node="r3"))
        one = await town.run(keyed(here, ONE))
        unsigned, usual = await town.run(there), await town.run(third)
        await until(lambda: is_up(usual))
        assert not peer_at(one, 2).session.is_started
        assert view(one, 2)["info"] == "Keys cannot be set"
        assert lacks in view(one, 2)["why"]
        [condition] = [c for c in Status(one, 1).conditions() if c.reason == "KeysRefused"]
        assert (condition.resource, lacks in condition.message) == ("BGPPeer/r2", True)
        # Nobody lets it up, and whoever knocks unsigned is turned away.
        peer_at(one, 2).start()
        assert not peer_at(one, 2).session.is_started
        await until(lambda: "broke the connection" in view(unsigned, 1)["why"])
        stop = peer_at(one, 2).session.stop
        assert stop is not None
        assert stop.subcode == Cease.OUT_OF_RESOURCES

        await one.apply(here)
        await until(lambda: is_up(one) and is_up(unsigned))
