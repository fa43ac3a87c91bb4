"""One peer: sessions come up, end, come back, and garbage costs nobody else anything."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fsm.capabilities import GracefulRestart
from fsm.events import Side
from fsm.notifications import Cease
from fsm.session import Session
from fsm.timers import Timer
from speaker.config.plan import Plan
from speaker.net import transport as transport_module
from speaker.speaker import Speaker
from tests.support.routers import (
    AS,
    Town,
    best,
    fill,
    home,
    is_up,
    narrow,
    on_both_loops,
    on_uvloop,
    peer_at,
    transport_to,
    until,
    uptimes,
)
from tests.support.scripted_peer import (
    MARKER,
    NOTIFICATION,
    ROUTE_REFRESH,
    Doorkeeper,
    ScriptedPeer,
    attribute,
    capability,
    keepalive,
    message,
    notification,
    open_message,
    path_attributes,
    prefix,
    update,
)


def active(plan: Plan, **fields: Any) -> Plan:
    """Give a plan whose peers are dialled."""
    peers = {name: replace(peer, passive=False, **fields) for name, peer in plan.peers.items()}
    return replace(plan, peers=peers)


# Coming up.


@on_both_loops
async def test_a_passive_session_comes_up_when_the_peer_connects() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        await until(lambda: is_up(router))
        assert peer.open is not None
        assert (peer.open.version, peer.open.asn, peer.open.hold_time) == (4, AS, 90)
        assert peer.open.router_id == home(1)
        assert town.said.of("session_established")[0]["peerAS"] == 65011


@on_both_loops
async def test_an_active_session_comes_up_from_our_own_address() -> None:
    async with Town() as town, Doorkeeper(home(11), town.port, 65011) as door:
        router = await town.run(active(town.plan_for_strangers()))
        await until(lambda: door.peers and door.peers[0].open)
        await door.peers[0].establish()
        await until(lambda: is_up(router))
        [connection] = peer_at(router, 11).connections
        assert connection.transport.endpoints is not None
        assert connection.transport.endpoints.local == home(1)
        assert connection.transport.endpoints.remote_port == town.port


@on_both_loops
async def test_a_peer_that_does_not_listen_yet_is_dialled_again() -> None:
    async with Town() as town:
        router = await town.run(active(town.plan_for_strangers()))
        await until(lambda: town.said.of("attempt_failed"))
        assert "refused" in town.said.of("attempt_failed")[0]["reason"].lower()
        async with Doorkeeper(home(11), town.port, 65011) as door:
            await until(lambda: door.peers)
            await door.peers[-1].establish()
            await until(lambda: is_up(router))


@on_both_loops
async def test_of_two_connections_the_one_of_the_greater_identifier_stays() -> None:
    """RFC 4271 §6.8: both ends dial; ours is 127.0.0.1, the peer's is greater."""
    async with Town() as town, Doorkeeper(home(11), town.port, 65011) as door:
        router = await town.run(active(town.plan_for_strangers()))
        await until(lambda: door.peers and door.peers[0].open)
        theirs = await town.call()
        await theirs.until(lambda: theirs.open)
        door.peers[0].send_open()
        await door.peers[0].until(lambda: 4 in door.peers[0].messages)
        theirs.send_open()
        await door.peers[0].until_closed()
        assert door.peers[0].notification == (6, 7, b"")
        theirs.send(keepalive())
        await until(lambda: is_up(router))
        assert theirs.notification is None


@on_both_loops
async def test_of_two_connections_ours_stays_if_our_identifier_is_greater() -> None:
    """RFC 4271 §6.8."""
    async with Town() as town, Doorkeeper(home(11), town.port, 65011) as door:
        router = await town.run(active(town.plan_for_strangers()))
        await until(lambda: door.peers and door.peers[0].open)
        theirs = await town.call(router_id="1.1.1.1")
        theirs.send_open()
        await theirs.until(lambda: 4 in theirs.messages)
        door.peers[0].router_id = "1.1.1.1"
        door.peers[0].send_open()
        await theirs.until_closed()
        assert theirs.notification == (6, 7, b"")
        door.peers[0].send(keepalive())
        await until(lambda: is_up(router))


@on_both_loops
async def test_a_second_connection_of_an_established_peer_is_refused() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        await town.join()
        before = uptimes(router)
        second = await town.call()
        await second.until_closed()
        assert second.notification == (6, 7, b"")
        assert is_up(router)
        assert uptimes(router) == before


@on_uvloop
async def test_two_routers_that_both_dial_end_with_one_session_each() -> None:
    async with Town() as town:
        documents = [
            town.settings(),
            town.node("r1", 1),
            town.node("r2", 2),
            town.peer("to-r2", 2, node="r1"),
            town.peer("to-r1", 1, node="r2"),
        ]
        one = await town.run(town.plan("r1", *documents))
        two = await town.run(town.plan("r2", *documents))
        await until(lambda: is_up(one) and is_up(two))
        # A collision may cost an attempt; in the end there is one connection, the same for both.
        await until(
            lambda: [len(peer_at(r, n).connections) for r, n in ((one, 2), (two, 1))] == [1, 1]
        )


# Ending.


@on_both_loops
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_peer_that_vanishes_takes_its_routes_along_and_may_come_back(how: str) -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peer, other = await town.join(11), await town.join(12)
        peer.announce("10.1.0.0/16")
        await other.until(lambda: "10.1.0.0/16" in other.table)
        before = uptimes(router)
        getattr(peer, how)()
        await other.until(lambda: other.table == {})
        await until(lambda: town.said.of("session_down"))
        assert town.said.of("session_down")[0]["prefixes"] == 1
        await until(lambda: peer_at(router, 11).session.would_accept())
        again = await town.join(11)
        again.announce("10.1.0.0/16")
        await other.until(lambda: "10.1.0.0/16" in other.table)
        assert uptimes(router)[peer_at(router, 12).name] == before[peer_at(router, 12).name]


@on_both_loops
async def test_a_peer_that_dies_while_much_waits_for_it_is_noticed_at_once() -> None:
    """What cannot be written any more must not hide the FIN."""
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"holdTime": "0"})
        peer, teller = await town.join(11, hold_time=0), await town.join(12, hold_time=0)
        peer.stop_reading()
        narrow(router, 11)
        fill(teller, 20_000)
        await until(lambda: transport_to(router, 11).is_full)
        peer.close()
        await until(lambda: not peer_at(router, 11).is_established)
        assert peer_at(router, 12).is_established


@on_both_loops
async def test_a_silent_peer_is_given_up_when_the_hold_timer_expires() -> None:
    """RFC 4271 §6.5."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        silent, other = await town.call(11), await town.join(12)
        silent.answers = False
        await silent.establish(hold_time=3)
        silent.announce("10.1.0.0/16")
        await other.until(lambda: "10.1.0.0/16" in other.table)
        await silent.until_closed()
        assert silent.notification == (4, 0, b"")
        assert silent.messages.count(4) >= 3
        await other.until(lambda: other.table == {})
        assert is_up(router, peer_at(router, 12).name)


async def short_of_patience(town: Town) -> Speaker:
    """Run a router that gives up a peer that takes nothing for a second."""
    return await town.run_for_strangers(2, keys={"holdTime": "0", "sendHoldTime": "1"})


@on_both_loops
async def test_a_peer_that_never_reads_is_given_up_when_the_send_hold_timer_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 9687 §4."""
    monkeypatch.setattr(transport_module, "MOMENT", 0.05)
    async with Town() as town:
        router = await short_of_patience(town)
        deaf, teller = await town.join(11, hold_time=0), await town.join(12, hold_time=0)
        deaf.stop_reading()
        narrow(router, 11)
        fill(teller, 20_000)
        await until(lambda: town.said.of("session_down"))
        [down] = town.said.of("session_down")
        assert down["peer"] == peer_at(router, 11).name
        assert "Send Hold Timer Expired" in down["reason"]
        deaf.read_on()
        await deaf.until_closed()
        assert deaf.notification == (8, 0, b"")
        assert is_up(router, peer_at(router, 12).name)


@on_both_loops
async def test_a_peer_that_reads_slowly_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9687 §4: what counts is that the peer takes octets at all."""
    monkeypatch.setattr(transport_module, "MOMENT", 0.05)
    async with Town() as town:
        router = await short_of_patience(town)
        slow, teller = await town.join(11, hold_time=0), await town.join(12, hold_time=0)
        slow.stop_reading()
        narrow(router, 11)
        fill(teller, 20_000)
        shell = peer_at(router, 11)
        await until(lambda: (Side.INCOMING, Timer.SEND_HOLD) in shell.session.timers)
        began = router.clock.now()
        while router.clock.now() < began + 2.0:
            taken = transport_to(router, 11).taken
            slow.read_on()
            await until(lambda: transport_to(router, 11).taken > taken)  # noqa: B023 - awaited here
            slow.stop_reading()
        slow.read_on()
        await slow.until(lambda: len(slow.table) == 20_000)
        assert shell.is_established
        await until(lambda: transport_to(router, 11).unsent == 0)


@on_both_loops
async def test_a_notification_ends_the_session_and_is_told_in_words() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.send(notification(6, 2, bytes((5,)) + b"lunch"))
        await peer.until_closed()
        await until(lambda: not is_up(router))
        assert peer.notification is None
        [down] = town.said.of("session_down")
        assert "lunch" in down["reason"]
        assert "lunch" in peer_at(router, 11).last_error


@on_both_loops
async def test_hold_time_zero_is_a_session_without_keepalives() -> None:
    """RFC 4271 §4.4."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"holdTime": "0"})
        peer = await town.join(hold_time=0)
        await until(lambda: is_up(router))
        assert {timer for _, timer in peer_at(router, 11).session.timers} == set()
        assert peer.open is not None
        assert peer.open.hold_time == 0


@on_both_loops
async def test_stopping_the_router_says_so_to_every_peer() -> None:
    """RFC 4486 §4: Administrative Shutdown."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peers = [await town.join(11), await town.join(12)]
        await router.stop()
        for peer in peers:
            await peer.until_closed()
            assert peer.notification is not None
            assert peer.notification[:2] == (6, 2)


GRACEFUL = b"\x40\x02\x40\x78"
"""The capability to restart gracefully, after a NOTIFICATION too (RFC 8538 §2)."""


@on_uvloop
@pytest.mark.parametrize(
    ("subcode", "words", "offered", "expected"),
    [
        (Cease.ADMINISTRATIVE_SHUTDOWN, "lunch", GRACEFUL, (6, 9, b"\x06\x02\x05lunch")),
        (Cease.PEER_DECONFIGURED, "", GRACEFUL, (6, 9, b"\x06\x03")),
        (Cease.ADMINISTRATIVE_RESET, "lunch", GRACEFUL, (6, 4, b"\x05lunch")),
        (Cease.OTHER_CONFIGURATION_CHANGE, "", GRACEFUL, (6, 6, b"")),
        (Cease.ADMINISTRATIVE_SHUTDOWN, "lunch", b"", (6, 2, b"\x05lunch")),
    ],
)
async def test_an_end_for_good_is_a_hard_reset_for_a_peer_that_would_keep_our_routes(
    subcode: Cease, words: str, offered: bytes, expected: tuple[int, int, bytes]
) -> None:
    """RFC 8538 §3, §4; RFC 9003 §2."""
    async with Town() as town:
        router = await town.run_for_strangers()
        shell = peer_at(router, 11)
        shell.stop()
        restart = GracefulRestart(False, True, 120, ())
        shell.session = Session(replace(shell.session.config, graceful_restart=restart))
        shell.start()
        peer = await town.call()
        await peer.establish(more=offered)
        await until(lambda: is_up(router))
        shell.stop(subcode, words)
        await peer.until_closed()
        assert peer.notification == expected


@on_both_loops
async def test_a_peer_that_is_closed_in_silence_hears_nothing() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer_at(router, 11).close(None)
        await peer.until_closed()
        assert peer.notification is None


@on_both_loops
async def test_a_removed_peer_stays_down_even_if_a_renewal_was_due() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        [(name, plan)] = router.plan.peers.items()
        later = replace(router.plan, peers={name: replace(plan, connect_retry=7.0)})
        await router.apply(later)
        gone = peer_at(router, 11)
        await router.apply(replace(later, peers={}))
        await peer.until_closed()
        assert peer.notification == (6, 3, b"")
        assert gone.session.deadline is None
        assert not gone.session.would_accept()


# Garbage.


def _with_attributes(*octets: bytes) -> bytes:
    return update(b"", b"".join(octets), prefix("10.9.0.0/16"))


GOOD = path_attributes((65011,), next_hop=home(11))

GARBAGE: list[tuple[str, bytes, tuple[int, int, bytes]]] = [
    ("bad marker", b"\xff" * 15 + b"\xfe" + keepalive()[16:], (1, 1, b"")),
    ("a web browser", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", (1, 1, b"")),
    ("length below the header", MARKER + b"\x00\x12\x04", (1, 2, b"\x00\x12")),
    ("length above the maximum", MARKER + b"\x10\x01\x02", (1, 2, b"\x10\x01")),
    ("a KEEPALIVE with a body", message(4, b"x"), (1, 2, b"\x00\x14")),
    ("an UPDATE too short", message(2, b"\0\0\0"), (1, 2, b"\x00\x16")),
    ("unknown type", message(9), (1, 3, b"\x09")),
    ("a second OPEN", open_message(65011), (5, 3, b"\x01")),
    ("fields longer than the message", message(2, b"\x00\x00\x00\x09AB"), (3, 1, b"")),
    ("withdrawn longer than the message", message(2, b"\x00\x09\x00\x00"), (3, 1, b"")),
    ("a prefix of 33 bits", update(b"", GOOD, b"\x21\x0a\x00\x00\x00\x00"), (3, 10, b"")),
    ("a prefix cut short", update(b"", GOOD, b"\x18\x0a\x00"), (3, 10, b"")),
    ("withdrawn prefix of 99 bits", update(b"\x63" + bytes(13)), (3, 10, b"")),
    (
        "two MP_REACH_NLRI",
        _with_attributes(*[attribute(0x80, 14, b"\0\x01\x01\x04\x7f\0\0\x0b\0")] * 2),
        (3, 1, b""),
    ),
    ("a ROUTE-REFRESH too long", message(5, b"\0\x01\0\x01\0"), (7, 1, b"")),
]


@on_both_loops
@pytest.mark.parametrize(("what", "octets", "expected"), GARBAGE, ids=[g[0] for g in GARBAGE])
async def test_garbage_costs_its_sender_alone(
    what: str, octets: bytes, expected: tuple[int, int, bytes]
) -> None:
    """RFC 4271 §6.1, §6.3, §6.6; RFC 7606 §5; RFC 7313 §5."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        bad, good = await town.join(11), await town.join(12)
        bad.announce("10.1.0.0/16")
        await good.until(lambda: "10.1.0.0/16" in good.table)
        before = uptimes(router)[peer_at(router, 12).name]
        bad.send(octets)
        await bad.until_closed()
        assert bad.notification is not None
        assert bad.notification[:2] == expected[:2]
        if expected[0] in (1, 5):
            assert bad.notification[2] == expected[2]
        await good.until(lambda: good.table == {})
        assert uptimes(router)[peer_at(router, 12).name] == before
        assert good.notification is None


@on_uvloop
@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"\xff" * 15 + b"\xfe\x00\x13\x04", b"\xff" * 15 + b"\xfe\x00\x13\x04"),
        (update(b"", GOOD, b"\x21\x0a\x00\x00\x00\x00"), b"\x21\x0a\x00\x00\x00\x00"),
        (message(5, b"\0\x01\0\x01\0"), b"\0\x01\0\x01\0"),
    ],
    ids=["header", "update", "route refresh"],
)
async def test_garbage_is_logged_with_the_peer_and_its_octets(octets: bytes, shown: bytes) -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.send(octets)
        await peer.until_closed()
        [told] = town.said.of("garbage")
        assert told["peer"] == peer_at(router, 11).name
        assert told["address"] == home(11)
        assert shown.hex() in told["octets"]
        assert "\n" not in told["sentence"]


OPENS: list[tuple[str, bytes, tuple[int, int, bytes]]] = [
    ("version 3", open_message(65011, version=3), (2, 1, b"\x00\x04")),
    ("another AS", open_message(65099), (2, 2, b"")),
    ("router id 0", open_message(65011, router_id="0.0.0.0"), (2, 3, b"")),
    ("hold time 1", open_message(65011, hold_time=1), (2, 6, b"")),
    ("no family in common", open_message(65011, families=(2,)), (2, 7, b"\x01\x04\0\x01\0\x01")),
    (
        "parameters cut short",
        message(1, b"\x04\xfd\xf3\0\x5a\x0b\0\0\x01\x05\x02\x06"),
        (2, 0, b""),
    ),
    ("a truncated OPEN", message(1, b"\x04\xfd\xf3"), (1, 2, b"\x00\x16")),
    ("an UPDATE first", update(), (5, 1, b"\x02")),
    ("a KEEPALIVE first", keepalive(), (5, 1, b"\x04")),
    ("not BGP at all", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", (1, 1, b"")),
]


@on_both_loops
@pytest.mark.parametrize(("what", "octets", "expected"), OPENS, ids=[case[0] for case in OPENS])
async def test_a_bad_start_gets_the_right_notification(
    what: str, octets: bytes, expected: tuple[int, int, bytes]
) -> None:
    """RFC 4271 §6.2; RFC 5492 §5; RFC 6608 §3."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        good = await town.join(12)
        before = uptimes(router)[peer_at(router, 12).name]
        bad = await town.call(11)
        bad.send(octets)
        await bad.until_closed()
        assert bad.notification == expected
        assert not peer_at(router, 11).is_established
        assert peer_at(router, 11).last_error
        assert uptimes(router)[peer_at(router, 12).name] == before
        assert good.is_open


@on_both_loops
async def test_garbage_in_small_pieces_is_found_all_the_same() -> None:
    async with Town() as town:
        await town.run_for_strangers()
        peer = await town.join()
        for octet in update(b"", GOOD, b"\x18\x0a\x01\x00") + message(9):
            peer.send(bytes((octet,)))
        await peer.until_closed()
        assert peer.notification == (1, 3, b"\x09")


@on_uvloop
async def test_what_came_before_the_garbage_in_one_chunk_is_heard() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        inbound = peer_at(router, 11).exchange
        assert inbound is not None
        peer.send(update(b"", GOOD, prefix("10.1.0.0/16")), message(9))
        await peer.until_closed()
        assert inbound.inbound.updates == 1


@on_both_loops
async def test_a_fault_that_can_be_lived_with_keeps_the_session() -> None:
    """RFC 7606 §7.1: a bad ORIGIN withdraws the routes that came with it."""
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.announce("10.9.0.0/16", "10.8.0.0/16")
        await until(lambda: len(best(router)) == 2)
        path = attribute(0x40, 2, b"\x02\x01" + struct.pack("!I", 65011))
        hop = attribute(0x40, 3, bytes((127, 0, 0, 11)))
        peer.send(_with_attributes(attribute(0x40, 1, b"\x09"), path, hop))
        await until(lambda: set(best(router)) == {"10.8.0.0/16"})
        assert is_up(router)
        [fault] = town.said.of("update_fault")
        assert fault["peer"] == peer_at(router, 11).name
        # RFC 7606 §6: the NLRI involved, and the whole message.
        assert fault["prefixes"] == ["10.9.0.0/16"]
        assert "in an UPDATE about 10.9.0.0/16" in fault["sentence"]
        assert path.hex() in fault["octets"]


@on_uvloop
async def test_many_faults_are_not_logged_one_by_one() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        octets = path_attributes((65011,), next_hop=home(11), origin=9)
        peer.send(*[update(b"", octets, prefix("10.9.0.0/16"))] * 500)
        await until(lambda: peer_at(router, 11).faults == 500)
        assert len(town.said.of("update_fault")) == 10


@on_uvloop
async def test_a_fault_of_ours_resets_that_peer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Town() as town:
        town.faulty = True
        router = await town.run_for_strangers(2)
        struck, other = await town.join(11), await town.join(12)
        before = uptimes(router)[peer_at(router, 12).name]
        exchange = peer_at(router, 11).exchange
        assert exchange is not None

        def fail(body: bytes) -> tuple[()]:
            raise ZeroDivisionError

        monkeypatch.setattr(exchange.inbound, "learn", fail)
        struck.announce("10.1.0.0/16")
        await struck.until_closed()
        assert struck.notification == (6, 8, b"")
        assert town.said.of("peer_failed")[0]["peer"] == peer_at(router, 11).name
        again = await town.join(11)
        again.announce("10.1.0.0/16")
        await other.until(lambda: "10.1.0.0/16" in other.table)
        assert uptimes(router)[peer_at(router, 12).name] == before


@on_uvloop
async def test_a_fault_of_ours_in_ending_a_session_leaves_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Town() as town:
        town.faulty = True
        router = await town.run_for_strangers(2)
        struck, other = await town.join(11), await town.join(12)
        struck.announce("10.1.0.0/16")
        await other.until(lambda: "10.1.0.0/16" in other.table)
        send = peer_at(router, 11).connections.send

        def fail_once(*_: object) -> bool:
            monkeypatch.setattr(peer_at(router, 11).connections, "send", send)
            raise ZeroDivisionError

        monkeypatch.setattr(peer_at(router, 11).connections, "send", fail_once)
        struck.send(message(9))
        await struck.until_closed()
        assert struck.notification == (6, 8, b"")
        await other.until(lambda: "10.1.0.0/16" not in other.table)
        await town.join(11)


@on_uvloop
async def test_a_refresh_as_long_as_a_message_can_be_is_answered_by_its_error() -> None:
    """RFC 7313 §5: the data is the whole message, as far as a NOTIFICATION holds it."""
    async with Town() as town:
        router = await town.run_for_strangers(keys={"extendedMessages": "on"})
        peer = await town.join(more=capability(6))
        refresh = message(ROUTE_REFRESH, bytes((0, 1, 1, 1)) + bytes(65535 - 23))
        peer.send(refresh)
        await peer.until_closed()
        assert peer.notification == (7, 1, refresh[: 4096 - 21])
        assert not peer_at(router, 11).is_established


@on_uvloop
@pytest.mark.parametrize("body", ["7777 00 01", "0001 09 01", "0001 01 01 00"])
async def test_a_refresh_before_the_open_is_unexpected_whatever_it_asks_for(body: str) -> None:
    """RFC 6608 §4."""
    async with Town() as town:
        await town.run_for_strangers()
        peer = await town.call()
        peer.send(message(ROUTE_REFRESH, bytes.fromhex(body)))
        await peer.until_closed()
        assert peer.notification == (5, 1, bytes((ROUTE_REFRESH,)))


def _count(kind: int) -> Callable[[ScriptedPeer], int]:
    return lambda peer: peer.messages.count(kind)


@on_uvloop
async def test_nothing_is_sent_after_a_notification() -> None:
    async with Town() as town:
        await town.run_for_strangers()
        peer = await town.join()
        peer.send(message(9), keepalive(), message(9))
        await peer.until_closed()
        assert peer.messages[-1] == NOTIFICATION
        assert _count(NOTIFICATION)(peer) == 1
