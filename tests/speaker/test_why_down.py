"""Why a session is not up: `wren peer` names each cause, and when the next try is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from fsm.notifications import shutdown_communication
from speaker.cli.peer import show_peer
from speaker.config.secrets import Secret
from speaker.control.views import PeerView
from speaker.speaker import Speaker
from speaker.status import Status
from tests.support.routers import Town, home, is_up, on_uvloop, peer_at, until
from tests.support.scripted_peer import Doorkeeper, notification


async def dialling(town: Town, **fields: Any) -> Speaker:
    """Run a router that dials its only peer, with other fields in the peer's plan."""
    plan = town.plan_for_strangers()
    [(name, peer)] = plan.peers.items()
    changed = replace(peer, passive=False, **fields)
    return await town.run(replace(plan, peers={name: changed}))


def why(router: Speaker) -> str:
    return Status(router, 1).peer(next(iter(router.peers.values())))["why"]


def shown(router: Speaker) -> PeerView:
    """Give the view of the only peer, and see to it that the command prints the sentence."""
    [peer] = router.peers.values()
    detail = Status(router, 1).peer_detail(peer.name)
    [line] = [line for line in show_peer(detail) if line.startswith("  why ")]
    assert line.endswith(detail["peer"]["why"])
    return detail["peer"]


@contextmanager
def deaf(address: str, port: int) -> Iterator[None]:
    """Let SYNs to an address be lost: its queue of connections is full."""
    with socket.create_server((address, port), backlog=0):
        callers = [socket.socket() for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex((address, port))
        try:
            yield
        finally:
            for caller in callers:
                caller.close()


@on_uvloop
async def test_no_route_to_it() -> None:
    async with Town() as town:
        # Nobody has a TCP route to a group.
        router = await dialling(town, address="224.0.0.1", source_address=None)
        await until(lambda: "no way" in why(router))
        view = shown(router)
        assert "there is no way to the peer (Network is unreachable)" in view["why"]
        assert view["info"] == "Socket: Network is unreachable"
        assert view["nextTry"] is not None


@on_uvloop
async def test_its_system_refuses_the_syn() -> None:
    async with Town() as town:
        router = await dialling(town)
        await until(lambda: "refuses" in why(router) and "dialling" not in why(router))
        view = shown(router)
        assert "nothing listens there" in view["why"]
        assert "try is in 0 s" in view["why"]
        assert view["info"] == "Socket: Connection refused"
        assert view["nextTry"] is not None


@on_uvloop
@pytest.mark.parametrize("password", ["", "secret"])
async def test_no_answer_and_where_there_is_a_password_it_is_suspected(password: str) -> None:
    """RFC 2385: a segment with a wrong digest is dropped without a word."""
    async with Town() as town:
        with deaf(home(11), town.port):
            router = await dialling(town, password=Secret(password.encode()) if password else None)
            await until(lambda: "no answer" in why(router))
            view = shown(router)
            assert ("passwords of the two ends differ" in view["why"]) is bool(password)
            assert password == "" or password not in view["why"]
            assert view["info"] == "Socket: no answer within 0.3 s"
            assert "dialling" in view["why"]
            assert view["nextTry"] is not None


@on_uvloop
async def test_the_wrong_as_with_both_numbers() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.call(asn=65099)
        peer.send_open()
        await peer.until_closed()
        view = shown(router)
        assert view["why"].startswith("wrong AS: ")
        assert "AS 65099" in view["why"]
        assert "AS 65011" in view["why"]
        assert view["info"] == "BGP Error: Bad Peer AS"


@on_uvloop
async def test_the_peer_takes_us_for_another_as() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.call()
        peer.send(notification(2, 2))
        await until(lambda: "wrong AS" in why(router))
        assert "AS 64512" in shown(router)["why"]
        assert shown(router)["info"] == "Received: Bad Peer AS"


@on_uvloop
async def test_the_hold_timer() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.call()
        peer.answers = False
        await peer.establish(hold_time=3)
        await peer.until_closed()
        view = shown(router)
        assert view["why"].startswith("hold timer: no message came for 3 s")
        assert view["info"] == "BGP Error: Hold Timer Expired"


@on_uvloop
async def test_a_collision() -> None:
    """RFC 4271 §6.8: the peer's identifier is greater, so its connection is kept."""
    async with Town() as town, Doorkeeper(home(11), town.port, 65011) as door:
        router = await dialling(town)
        await until(lambda: door.peers and door.peers[0].open)
        theirs = await town.call()
        await theirs.until(lambda: theirs.open)
        door.peers[0].send_open()
        await door.peers[0].until(lambda: 4 in door.peers[0].messages)
        theirs.send_open()
        await door.peers[0].until_closed()
        view = shown(router)
        assert view["why"].startswith("collision: another connection was kept")
        assert view["info"] == "Automatic shutdown: Connection Collision Resolution"
        assert view["nextTry"] is None


@on_uvloop
@pytest.mark.parametrize(
    ("action", "state", "present"),
    [
        ("restart 60", "start", "back-off, the next try is in"),
        ("down", "down", "it stays down until it is started"),
    ],
)
async def test_too_many_prefixes_of_the_peer(action: str, state: str, present: str) -> None:
    """RFC 4486 §4."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"maxPrefixes": f"ipv4 2 {action}"})
        peer = await town.join()
        peer.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
        await peer.until_closed()
        view = shown(router)
        assert view["why"].startswith("the peer sent too many prefixes")
        assert present in view["why"]
        assert view["info"] == "Automatic shutdown: Maximum Number Of Prefixes Reached"
        assert view["state"] == state
        assert (view["nextTry"] is None) is (state == "down")
        assert view["nextTry"] is None or 50 < view["nextTry"] <= 60


@on_uvloop
async def test_too_many_prefixes_for_the_peer() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.send(notification(6, 1))
        await until(lambda: "takes no more prefixes" in why(router))
        assert shown(router)["info"] == "Received: Maximum Number Of Prefixes Reached"


@on_uvloop
async def test_administratively_down_here() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer_at(router, 11).stop(message="lunch")
        await peer.until_closed()
        assert peer.notification == (6, 2, shutdown_communication("lunch"))
        view = shown(router)
        assert view["why"] == 'administratively down "lunch"'
        assert (view["state"], view["info"]) == ("down", "Administratively down")
        assert view["nextTry"] is None


@on_uvloop
async def test_administratively_down_there_with_the_words_of_its_operator() -> None:
    """RFC 9003 §2: shown and logged, and harmless to a terminal."""
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.send(notification(6, 2, shutdown_communication("Mittag\x1b[2J, zurück um 1")))
        await until(lambda: not is_up(router))
        view = shown(router)
        words = r'"Mittag\x1b[2J, zurück um 1"'
        assert view["why"].startswith(f"the peer is administratively down: {words}")
        assert view["info"] == "Received: Administrative Shutdown"
        [down] = town.said.of("session_down")
        assert words in down["reason"]


@on_uvloop
async def test_a_hard_reset_is_told_by_what_is_inside() -> None:
    """RFC 8538 §3."""
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.send(notification(6, 9, bytes((6, 2)) + shutdown_communication("moving house")))
        await until(lambda: not is_up(router))
        assert 'the peer is administratively down: "moving house"' in shown(router)["why"]
        assert shown(router)["info"] == "Received: Administrative Shutdown"
        assert "moving house" in town.said.of("session_down")[0]["reason"]


@on_uvloop
async def test_a_session_that_is_up_has_nothing_to_explain() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        await until(lambda: "waiting for the peer to connect" in why(router))
        await town.join()
        [peer] = router.peers.values()
        view = Status(router, 1).peer(peer)
        assert (view["why"], view["info"], view["nextTry"]) == ("", "", None)
