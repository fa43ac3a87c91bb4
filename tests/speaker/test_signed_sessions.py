"""Signed sessions and near peers (RFC 2385, RFC 5082): routers on real sockets."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from speaker.config.plan import PeerPlan, Plan, Secret
from speaker.net import sockopts
from speaker.speaker import Speaker
from speaker.status import Status
from tests.support.routers import (
    Town,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
    uptimes,
)

OLD, NEW = Secret(b"old-key", "tor/old"), Secret(b"new-key", "tor/new")
ROOM = Path("/proc/sys/net/core/optmem_max").read_text(encoding="ascii").strip()


def asking(plan: Plan, **values: Any) -> Plan:
    """Give a plan whose peers all have other values."""
    peers = {name: replace(peer, **values) for name, peer in plan.peers.items()}
    return replace(plan, peers=peers)


def asking_one(plan: Plan, number: int, **values: Any) -> Plan:
    """Give a plan in which the peer at an address has other values."""

    def changed(peer: PeerPlan) -> PeerPlan:
        return replace(peer, **values) if peer.address == home(number) else peer

    return replace(plan, peers={name: changed(peer) for name, peer in plan.peers.items()})


def two(town: Town) -> tuple[Plan, Plan]:
    """Make the plans of two routers with a session."""
    return hub(town, 1), spoke(town, 2)


def hub(town: Town, count: int) -> Plan:
    """Make the plan of a router in the middle."""
    others = [town.peer(f"r{n}", n, node="r1") for n in range(2, 2 + count)]
    return town.plan("r1", town.settings(), town.node("r1", 1), *others)


def spoke(town: Town, number: int) -> Plan:
    """Make the plan of a router that peers with the one in the middle."""
    name = f"r{number}"
    return town.plan(name, town.settings(), town.node(name, number), town.peer("r1", 1, node=name))


def view(router: Speaker, number: int) -> dict[str, Any]:
    """Tell what is told of a peer."""
    return dict(Status(router, 1).peer(peer_at(router, number)))


@on_both_loops
async def test_a_session_comes_up_by_the_same_password_and_by_no_other() -> None:
    async with Town() as town:
        here, there = two(town)
        one = await town.run(asking(here, password=OLD))
        other = await town.run(asking(there, password=NEW))
        await until(lambda: "MD5 mismatch suspected" in view(one, 2)["why"])
        await until(lambda: "MD5 mismatch suspected" in view(other, 1)["why"])
        assert view(one, 2)["password"] == {
            "configured": True,
            "inUseSince": None,
            "changes": False,
            "secret": "tor/old",
        }
        await other.apply(asking(there, password=OLD))
        await until(lambda: is_up(one) and is_up(other))
        assert view(one, 2)["password"]["inUseSince"] is not None
        assert view(one, 2)["why"] == ""


@on_both_loops
async def test_a_peer_without_the_password_is_neither_heard_nor_spoken_to() -> None:
    async with Town() as town:
        here, there = two(town)
        one, other = await town.run(asking(here, password=OLD)), await town.run(there)
        await until(lambda: "MD5 mismatch suspected" in view(one, 2)["why"])
        await until(lambda: "MD5 mismatch suspected" in view(other, 1)["why"])
        assert not town.said.of("session_established")
        assert [
            str(event) for event in peer_at(other, 1).session.history if "Open" in str(event)
        ] == []


@on_both_loops
async def test_who_only_waits_suspects_a_wrong_password_of_who_dials() -> None:
    async with Town() as town:
        here, there = two(town)
        one = await town.run(asking(here, password=OLD, passive=True))
        await town.run(asking(there, password=NEW))
        await until(lambda: "MD5 mismatch suspected" in view(one, 2)["why"])
        assert "have the same one at both ends" in view(one, 2)["why"]
        assert view(one, 2)["bgpState"] == "Passive"


@on_both_loops
async def test_who_connects_unsigned_hears_nothing_and_tells_nothing() -> None:
    """By a bare socket from the peer's address: no connection comes about at all."""
    async with Town() as town:
        here, _ = two(town)
        one = await town.run(asking(here, password=OLD, passive=True))
        loop = asyncio.get_running_loop()
        with socket.socket() as bare:
            bare.setblocking(False)
            bare.bind((home(2), 0))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await loop.sock_connect(bare, (home(1), town.port))
        assert "MD5 mismatch suspected" in view(one, 2)["why"]


@on_uvloop
async def test_fifty_sessions_go_on_while_the_password_changes_at_both_ends() -> None:
    async with Town() as town:
        # All dial each other at once on one loop: what is accepted late is no restart.
        plan = asking(hub(town, 50), idle_hold=(5.0, 30.0))
        middle = await town.run(asking(plan, password=OLD))
        others = {n: await town.run(asking(spoke(town, n), password=OLD)) for n in range(2, 52)}
        await until(
            lambda: is_up(middle) and all(is_up(router) for router in others.values()), 60.0
        )
        before = uptimes(middle), [uptimes(router) for router in others.values()]

        await middle.apply(asking(plan, password=NEW))
        assert view(middle, 7)["password"]["changes"]
        for number, router in others.items():
            await router.apply(asking(spoke(town, number), password=NEW))
        assert before == (uptimes(middle), [uptimes(router) for router in others.values()])
        # What is said on them arrives, by the old password.
        middle.originate("10.0.0.0/8")
        await until(lambda: all(knows(router) for router in others.values()))

        # Those that fall come up by the new one; one that never learnt of it does not.
        await others[2].apply(asking(spoke(town, 2), password=OLD))
        for number in (2, 3, 4):
            peer_at(others[number], 1).stop()
            peer_at(others[number], 1).start()
        await until(lambda: is_up(others[3]) and is_up(others[4]))
        await until(lambda: "MD5 mismatch suspected" in view(middle, 2)["why"])
        for number in (3, 4):
            await until(partial(has, middle, number))
            assert not view(middle, number)["password"]["changes"]
        kept = {name: at for name, at in uptimes(middle).items() if at in before[0].values()}
        assert len(kept) == 47

        # And so do all others, a few at a time: who is late would wait for five seconds.
        for first in range(5, 52, 6):
            some = range(first, min(first + 6, 52))
            for number in some:
                peer_at(middle, number).stop()
                peer_at(middle, number).start()
            await until(lambda some=some: all(has(middle, n) for n in some), 60.0)  # type: ignore[misc]
        for number in range(3, 52):
            told = view(middle, number)["password"]
            assert (told["changes"], told["secret"]) == (False, "tor/new")


def has(router: Speaker, number: int) -> bool:
    return peer_at(router, number).is_established


def knows(router: Speaker) -> bool:
    return any(loc_rib.best for loc_rib in router.loc_ribs.values())


@on_both_loops
async def test_a_first_password_ends_the_session_that_has_none_and_a_last_one_does_not() -> None:
    async with Town() as town:
        here, there = two(town)
        one, other = await town.run(here), await town.run(there)
        await until(lambda: is_up(one) and is_up(other))
        await one.apply(asking(here, password=OLD))
        assert not is_up(one)
        await other.apply(asking(there, password=OLD))
        await until(lambda: is_up(one) and is_up(other))
        before = uptimes(one)
        await one.apply(here)
        await other.apply(there)
        told = view(one, 2)["password"]
        assert (told["configured"], told["changes"]) == (False, True)
        assert told["inUseSince"] is not None
        assert uptimes(one) == before
        peer_at(one, 2).stop()
        peer_at(one, 2).start()
        await until(lambda: is_up(one) and is_up(other))
        assert view(one, 2)["password"]["inUseSince"] is None


@on_uvloop
async def test_only_whose_password_finds_no_room_is_held_down(monkeypatch: Any) -> None:
    """As where net.core.optmem_max is too small; here the second key is the one too many."""
    sign, full = sockopts.sign, [True]

    def without_room(sock: Any, address: str, password: Secret | None) -> None:
        if full[0] and address == home(3) and password is not None:
            raise OSError(12, "Cannot allocate memory")
        sign(sock, address, password)

    monkeypatch.setattr(sockopts, "sign", without_room)
    async with Town() as town:
        plan = asking(hub(town, 2), password=OLD)
        middle = await town.run(plan)
        await town.run(asking(spoke(town, 2), password=OLD))
        unsigned = await town.run(spoke(town, 3))
        await until(lambda: peer_at(middle, 2).is_established)
        lacks = f"net.core.optmem_max is {ROOM}, 2 passwords need 288"
        [condition] = [c for c in Status(middle, 1).conditions() if c.reason == "PasswordRefused"]
        assert lacks in condition.message
        assert condition.resource == "BGPPeer/r3"
        assert lacks in view(middle, 3)["why"]
        assert view(middle, 3)["info"] == "Password cannot be set"
        # Nobody lets it up meanwhile, and nothing is said to who knocks.
        peer_at(middle, 3).start()
        assert not peer_at(middle, 3).session.is_started
        await until(lambda: "broke the connection" in view(unsigned, 1)["why"])

        full[0] = False
        since = uptimes(middle)[peer_at(middle, 2).name]
        await unsigned.apply(asking(spoke(town, 3), password=OLD))
        await middle.apply(plan)
        await until(lambda: is_up(middle))
        assert uptimes(middle)[peer_at(middle, 2).name] == since
        assert not list(middle.doorkeeper.conditions())


@on_both_loops
async def test_near_peers_come_up_and_others_are_not_bound_to_it() -> None:
    async with Town() as town:
        plan = asking_one(hub(town, 2), 2, ttl_security=1)
        middle = await town.run(plan)
        near = await town.run(asking(spoke(town, 2), ttl_security=1))
        usual = await town.run(spoke(town, 3))
        await until(lambda: is_up(middle) and is_up(near) and is_up(usual))
        assert view(middle, 2)["ttlSecurity"] == 1


@on_both_loops
async def test_who_sends_with_another_ttl_than_255_is_suspected_of_being_far() -> None:
    async with Town() as town:
        here, there = two(town)
        one, other = await town.run(asking(here, ttl_security=1)), await town.run(there)
        await until(lambda: "farther away than 1 hop (ttlSecurity)" in view(one, 2)["why"])
        assert not town.said.of("session_established")
        await other.apply(asking(there, ttl_security=3))
        await until(lambda: is_up(one) and is_up(other))
