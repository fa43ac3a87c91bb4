"""Which packet is for which session, and what is counted, on a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

import pytest

from fsm.bfd import BfdState, ControlPacket, Discard, Settings
from fsm.bfd.packet import encode
from speaker.bfd.datagrams import Datagram
from speaker.bfd.watched import Former, Watched, former_of, session_as_json, state_as_json
from speaker.bfd.watching import LINGER, Watching
from speaker.bfd.words import Watch

PEER, LOCAL, LOOPBACK = "127.0.0.9", "127.0.0.1", 1
WATCH = Watch("a", PEER, LOCAL, "lo", settings=Settings(100_000, 100_000, 3))


@pytest.fixture(autouse=True)
def _sockets_are_closed() -> Iterator[None]:
    yield
    while WORLDS:
        WORLDS.pop().close()


WORLDS: list[Watching] = []


class World:
    """Sessions on loopback, where nobody answers but the test."""

    def __init__(self, *watches: Watch) -> None:
        self.now = 100.0
        self.told: list[tuple[str, BfdState]] = []
        # Packets that did not take the short way.
        self.long = 0
        self.watching = Watching(lambda: self.now, lambda: 1e9 + self.now, self._tell)
        WORLDS.append(self.watching)
        for watch in watches:
            self.watching.watch(watch)

    def _tell(self, watched: Watched) -> None:
        self.told.append((watched.watch.name, watched.session.state))

    def of(self, name: str) -> Watched:
        [found] = [w for w in self.watching if w.watch.name == name and w.ends_at is None]
        return found

    def hear(self, packet: ControlPacket, **way: Any) -> None:
        usual = Datagram(encode(packet), PEER, LOCAL, LOOPBACK, 255, multihop=False)
        datagram = replace(usual, **way)
        datagram = replace(datagram, way=astuple(datagram)[1:-1])
        if not self.watching.take_again((datagram.octets, datagram.way)):
            self.watching.take(datagram)
            self.long += 1

    def come_up(self, name: str = "a") -> Watched:
        self.hear(ControlPacket(BfdState.DOWN, 9))
        watched = self.of(name)
        self.hear(self.up(watched))
        assert watched.session.state is BfdState.UP
        return watched

    def up(self, watched: Watched) -> ControlPacket:
        mine = watched.session.discriminator
        return ControlPacket(BfdState.UP, 9, mine, final=True, desired_min_tx_us=100_000)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.watching.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.watching.tick(self.now, lambda: None)
        self.now = until


def test_a_first_packet_finds_its_session_by_where_it_came_from() -> None:
    world = World(WATCH)
    world.hear(ControlPacket(BfdState.DOWN, 9))
    assert world.told == [("a", BfdState.INIT)]
    assert world.of("a").received == 1


@pytest.mark.parametrize(
    "way",
    [
        {"source": "127.0.0.8"},
        {"destination": "127.0.0.2"},
        {"interface": 77},
        {"multihop": True},
    ],
)
def test_a_first_packet_by_another_way_is_nobodys(way: dict[str, Any]) -> None:
    world = World(WATCH)
    world.hear(ControlPacket(BfdState.DOWN, 9), **way)
    assert world.told == []
    assert world.watching.discards == {Discard.NO_SESSION: 1}


def test_a_later_packet_is_found_by_its_discriminator() -> None:
    world = World(WATCH, replace(WATCH, name="b", local="127.0.0.2"))
    mine = world.of("b").session.discriminator
    world.hear(ControlPacket(BfdState.DOWN, 9, mine))
    assert world.told == [("b", BfdState.INIT)]
    world.hear(ControlPacket(BfdState.DOWN, 9, mine ^ 1))
    assert world.watching.discards == {Discard.NO_SESSION: 1}


def test_a_packet_that_has_made_a_hop_is_not_taken_for_a_neighbours() -> None:
    """RFC 5881 §5; whoever it is for."""
    world = World(WATCH)
    watched = world.come_up()
    world.hear(replace(world.up(watched), state=BfdState.DOWN), ttl=254)
    assert watched.session.state is BfdState.UP
    [watched] = world.watching
    assert watched.session.discards == {Discard.TTL: 1}


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ({"ttl": 254}, Discard.TTL),
        ({"source": "127.0.0.8"}, Discard.SOURCE),
        ({"interface": 77}, Discard.INTERFACE),
    ],
)
def test_a_later_packet_by_another_way_changes_nothing(way: dict[str, Any], why: Discard) -> None:
    """Though it has our discriminator, and says that the peer is Down."""
    world = World(WATCH)
    watched = world.come_up()
    world.hear(ControlPacket(BfdState.DOWN, 9, watched.session.discriminator), **way)
    assert world.told[-1] == ("a", BfdState.UP)
    assert watched.session.discards == {why: 1}
    world.hear(ControlPacket(BfdState.DOWN, 9, watched.session.discriminator))
    assert world.told[-1] == ("a", BfdState.DOWN)


def test_over_several_hops_a_packet_may_come_by_any_interface() -> None:
    world = World(Watch("m", PEER, multihop=True))
    world.hear(ControlPacket(BfdState.DOWN, 9), multihop=True)
    mine = world.of("m").session.discriminator
    world.hear(ControlPacket(BfdState.UP, 9, mine), multihop=True, interface=77)
    assert world.told[-1] == ("m", BfdState.UP)


def test_several_hops_may_cost_so_much_ttl() -> None:
    world = World(Watch("m", PEER, multihop=True, least_ttl=250))
    world.hear(ControlPacket(BfdState.DOWN, 9), multihop=True, ttl=249)
    [watched] = world.watching
    assert watched.session.discards == {Discard.TTL: 1}
    world.hear(ControlPacket(BfdState.DOWN, 9), multihop=True, ttl=250)
    assert world.told == [("m", BfdState.INIT)]


def test_who_may_be_less_far_from_now_on_is_judged_anew() -> None:
    """Also by a packet that has come before, and is taken at first sight otherwise."""
    far = Watch("m", PEER, multihop=True, least_ttl=250)
    world = World(far)
    world.hear(ControlPacket(BfdState.DOWN, 9), multihop=True, ttl=250)
    [watched] = world.watching
    usual = replace(world.up(watched), final=False)
    for _ in range(3):
        world.hear(usual, multihop=True, ttl=250)
    assert watched.session.discards == {}
    world.watching.watch(replace(far, least_ttl=251))
    world.hear(usual, multihop=True, ttl=250)
    assert watched.session.discards == {Discard.TTL: 1}


def test_a_first_packet_of_somebody_else_takes_no_session_down() -> None:
    """It may be spoofed, or the peer has begun anew: then it is missed, and heard at once."""
    world = World(WATCH)
    watched = world.come_up()
    world.hear(ControlPacket(BfdState.DOWN, 8))
    assert watched.session.state is BfdState.UP
    assert watched.session.discards == {Discard.ANOTHER: 1}
    world.wait(0.4)
    world.hear(ControlPacket(BfdState.DOWN, 8))
    assert world.told[-2:] == [("a", BfdState.DOWN), ("a", BfdState.INIT)]


def test_a_peer_that_hears_nothing_takes_its_session_down() -> None:
    """RFC 5880 §6.8.1: it has forgotten our discriminator, and says so by its own."""
    world = World(WATCH)
    world.come_up()
    world.hear(ControlPacket(BfdState.DOWN, 9))
    assert world.told[-1] == ("a", BfdState.DOWN)


def test_octets_that_are_no_packet_are_counted() -> None:
    world = World(WATCH)
    world.hear(ControlPacket(BfdState.DOWN, 9), octets=b"x")
    assert world.watching.discards == {Discard.LENGTH: 1}


@pytest.mark.parametrize(("ours", "theirs"), [(True, True), (True, False), (False, True)])
def test_a_fate_is_shared_unless_both_ends_say_that_it_is_not(ours: bool, theirs: bool) -> None:
    """RFC 5882 §4.3; told with what is no longer heard, too."""
    world = World()
    world.watching = Watching(
        lambda: world.now, lambda: 1e9 + world.now, world._tell, independent=ours
    )
    WORLDS.append(world.watching)
    world.watching.watch(WATCH)
    watched = world.come_up()
    world.hear(replace(world.up(watched), independent=theirs))
    world.wait(0.4)
    assert watched.session.remote is None
    assert state_as_json(watched, 1e9 + world.now, world.now)["independent"] is (ours and theirs)
    assert session_as_json(watched)["independent"] is theirs


def kept_world(keep: float | None) -> tuple[World, Watched]:
    """Give a process that outlives its speaker, and a session that is Up."""
    world = World()
    world.watching = Watching(
        lambda: world.now, lambda: 1e9 + world.now, world._tell, independent=True
    )
    WORLDS.append(world.watching)
    world.watching.watch(replace(WATCH, keep=keep))
    return world, world.come_up()


def hear_for(world: World, watched: Watched, seconds: float) -> None:
    until = world.now + seconds
    while world.now < until:
        world.hear(world.up(watched))
        world.wait(0.1)


def state_of(watched: Watched) -> str:
    return str(watched.session.state)


def test_without_a_speaker_a_session_goes_on_for_so_long_and_takes_leave_then() -> None:
    world, watched = kept_world(5.0)
    world.watching.orphan()
    hear_for(world, watched, 4.5)
    assert state_of(watched) == "Up"
    hear_for(world, watched, 1.0)
    assert state_of(watched) == "AdminDown"
    world.wait(LINGER + 0.1)
    assert len(world.watching) == 0


@pytest.mark.parametrize("keep", [None, 0.0])
def test_without_a_speaker_a_session_that_is_of_no_use_takes_leave_at_once(
    keep: float | None,
) -> None:
    world, watched = kept_world(keep)
    world.watching.orphan()
    assert state_of(watched) == "AdminDown"


def test_the_next_speaker_is_told_how_a_session_is_and_it_stays() -> None:
    world, watched = kept_world(5.0)
    world.watching.orphan()
    hear_for(world, watched, 4.0)
    world.told.clear()
    assert state_as_json(watched, 1e9 + world.now, world.now)["lasted"] >= 3.9
    # What was said stays said, until somebody has agreed on something else.
    world.watching.watch(WATCH)
    assert world.told == [("a", BfdState.UP)]
    hear_for(world, watched, 4.0)
    assert state_of(watched) == "Up"
    world.watching.orphan()
    hear_for(world, watched, 4.0)
    assert state_of(watched) == "Up"


def test_the_next_speaker_may_watch_a_session_no_more() -> None:
    world, watched = kept_world(1.0)
    world.watching.orphan()
    world.watching.unwatch("a")
    assert state_of(watched) == "AdminDown"
    world.wait(LINGER + 0.1)
    assert len(world.watching) == 0


def test_silence_is_told() -> None:
    world = World(WATCH)
    watched = world.come_up()
    world.hear(world.up(watched))
    world.wait(0.4)
    assert world.told[-1] == ("a", BfdState.DOWN)
    assert watched.downs == 1
    assert watched.silence == pytest.approx(0.3)


def test_a_peer_that_says_so_itself_was_not_silent() -> None:
    world = World(WATCH)
    watched = world.come_up()
    world.hear(replace(world.up(watched), state=BfdState.DOWN))
    assert (watched.downs, watched.silence) == (1, None)


@pytest.mark.parametrize("halted", ["asleep", "awake"])
def test_a_packet_that_waited_to_be_read_spares_the_session(halted: str) -> None:
    world = World(WATCH)
    watched = world.come_up()
    world.hear(world.up(watched))
    # The process does not run for a second, and then reads before it judges. It is halted before
    # it wakes up, or between that and its reading.
    woke = world.now + (1.0 if halted == "asleep" else 0.0)
    world.now += 1.0
    world.hear(world.up(watched))
    world.watching.tick(woke, lambda: None)
    assert watched.session.state is BfdState.UP
    assert world.watching.spared == 1
    assert watched.late == 1
    assert sum(watched.gaps) == 2


def test_the_usual_packet_is_known_at_first_sight_and_counts_as_any_other() -> None:
    world = World(WATCH)
    watched = world.come_up()
    packet = replace(world.up(watched), final=False)
    world.hear(packet)
    before = world.long, watched.received
    for pause in (0.09, 0.1, 0.19):
        world.now += pause
        world.hear(packet)
        assert watched.session.detect_due == world.now + 0.3
    assert (world.long, watched.received) == (before[0], before[1] + 3)
    assert sum(watched.gaps) == 4
    assert watched.late == 1
    # And no longer when something has happened in between.
    world.hear(replace(packet, state=BfdState.INIT))
    world.hear(packet)
    assert world.long == before[0] + 2


@pytest.mark.parametrize("way", [{"ttl": 254}, {"multihop": True}, {"source": "127.0.0.8"}])
def test_the_usual_packet_by_another_way_is_looked_at(way: dict[str, Any]) -> None:
    world = World(WATCH)
    watched = world.come_up()
    packet = replace(world.up(watched), final=False)
    world.hear(packet)
    before = world.long
    world.hear(packet, **way)
    assert world.long == before + 1


def test_nobody_is_missed_before_everything_was_read() -> None:
    world = World(WATCH)
    watched = world.come_up()
    packet = replace(world.up(watched), final=False)
    world.hear(packet)
    world.now += 1.0
    received = watched.received
    world.watching.tick(world.now, lambda: world.hear(packet))
    assert watched.received == received + 1
    assert watched.session.state is BfdState.UP
    assert world.watching.spared == 1


def test_a_session_that_is_forgotten_is_known_no_more() -> None:
    world = World(WATCH)
    watched = world.come_up()
    packet = replace(world.up(watched), final=False)
    world.hear(packet)
    world.watching.unwatch("a")
    world.wait(LINGER + 0.1)
    before = world.long
    world.hear(packet)
    assert world.long == before + 1
    assert world.watching.discards == {Discard.NO_SESSION: 1}


def test_a_session_taken_away_says_so_for_a_while() -> None:
    world = World(WATCH)
    watched = world.come_up()
    told = list(world.told)
    world.watching.unwatch("a")
    assert watched.session.state is BfdState.ADMIN_DOWN
    assert len(world.watching) == 1
    world.wait(LINGER + 0.1)
    assert len(world.watching) == 0
    assert world.told == told


def test_a_session_that_comes_back_replaces_the_one_that_leaves() -> None:
    world = World(WATCH)
    leaving = world.come_up()
    world.watching.unwatch("a")
    world.watching.watch(WATCH)
    assert list(world.watching) == [world.of("a")]
    assert world.of("a") is not leaving


def test_nobody_is_told_of_one_who_was_never_heard() -> None:
    world = World(WATCH)
    world.watching.unwatch("a")
    assert len(world.watching) == 0


def test_another_interval_is_for_the_same_session() -> None:
    world = World(WATCH)
    watched = world.come_up()
    world.watching.watch(replace(WATCH, settings=Settings(50_000, 100_000, 3)))
    assert world.of("a") is watched
    assert watched.session.is_polling


def test_another_place_is_another_session() -> None:
    world = World(WATCH)
    watched = world.come_up()
    world.watching.watch(replace(WATCH, local="127.0.0.2"))
    assert world.of("a") is not watched


def test_one_that_was_up_before_goes_on_and_is_told_of_when_the_peer_is_heard() -> None:
    world = World()
    remote = ControlPacket(BfdState.UP, 9, 77, desired_min_tx_us=100_000)
    world.watching.watch(WATCH, Former(77, remote, 1e9))
    watched = world.of("a")
    assert (watched.session.discriminator, watched.session.state) == (77, BfdState.UP)
    assert watched.sent == 1
    assert world.told == []
    world.hear(world.up(watched))
    assert world.told == [("a", BfdState.UP)]


def test_one_that_was_up_before_and_is_not_heard_is_down() -> None:
    world = World()
    remote = ControlPacket(BfdState.UP, 9, 77, desired_min_tx_us=100_000)
    world.watching.watch(WATCH, Former(77, remote, 1e9))
    world.wait(0.4)
    assert world.told == [("a", BfdState.DOWN)]


def test_what_another_process_needs_is_told_and_read() -> None:
    world = World(WATCH)
    watched = world.come_up()
    former = former_of(state_as_json(watched, 1e9 + world.now, world.now)["former"])
    remote = watched.session.remote
    assert remote is not None
    assert former == Former(watched.session.discriminator, remote, watched.since)


def test_what_keeps_packets_from_going_out_is_shown() -> None:
    world = World(replace(WATCH, interface="nosuch0"))
    shown = session_as_json(world.of("a"))
    assert shown["trouble"] == "no interface with this name"
    assert shown["sent"] == 0


ECHO = replace(WATCH, settings=replace(WATCH.settings, required_min_echo_rx_us=100_000))
ECHOED = Datagram(b"any", PEER, LOCAL, LOOPBACK, 255, multihop=False)


def test_echo_packets_of_a_peer_go_back_as_often_as_it_was_told() -> None:
    """RFC 5880 §6.8.9: a quarter less than the interval is jitter."""
    world = World(ECHO)
    watched = world.come_up()
    for _ in range(100):
        assert world.watching.may_echo(ECHOED)
        world.wait(0.08)
        world.hear(world.up(watched))
    # Five at once may be those that the network has held up; no more.
    assert sum(world.watching.may_echo(ECHOED) for _ in range(20)) in (5, 6)
    assert watched.session.discards[Discard.ECHO] >= 14


@pytest.mark.parametrize(
    "way",
    [{"source": "127.0.0.8"}, {"interface": 77}, {"ttl": 254}],
    ids=lambda way: next(iter(way)),
)
def test_echo_packets_of_others_do_not_go_back(way: dict[str, Any]) -> None:
    world = World(ECHO)
    world.come_up()
    assert not world.watching.may_echo(replace(ECHOED, **way))
    assert world.watching.discards == {Discard.ECHO: 1}


def test_echo_packets_of_a_session_that_is_not_up_or_has_not_agreed_do_not_go_back() -> None:
    world = World(ECHO)
    assert not world.watching.may_echo(ECHOED)
    world = World(WATCH)
    world.come_up()
    assert not world.watching.may_echo(ECHOED)


def test_what_cannot_be_looped_back_is_not_agreed_on() -> None:
    world = World()
    world.watching = Watching(
        lambda: world.now, lambda: 1e9, world._tell, refuses_echo=lambda watch: "no"
    )
    WORLDS.append(world.watching)
    world.watching.watch(ECHO)
    shown = session_as_json(world.of("a"))
    assert (shown["echoIntervalUs"], shown["echoTrouble"]) == (0, "no")
