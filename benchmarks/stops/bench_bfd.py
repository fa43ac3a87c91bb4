"""What a BFD packet takes in the process that sends and hears them, without the system's part."""

from __future__ import annotations

from benchmarks.stops.conftest import Measure
from fsm.bfd import BfdState, ControlPacket, Settings
from fsm.bfd.packet import encode
from speaker.bfd.datagrams import Datagram, Raw
from speaker.bfd.watched import Watched
from speaker.bfd.watching import Watching
from speaker.bfd.words import Watch

SESSIONS, ROUNDS = 220, 20
TIMERS = Settings(100_000, 100_000, 3)


class Mute:
    """Sends nothing, at once."""

    trouble = ""

    def send(self, octets: bytes) -> bool:
        return bool(octets)

    def close(self) -> None:
        """There is nothing to close."""


class World:
    """Sessions that are Up, and the usual packet of each peer."""

    def __init__(self) -> None:
        self.now = 1.0
        self.watching = Watching(lambda: self.now, lambda: 0.0, lambda watched: None)
        self.usual = []
        for number in range(SESSIONS):
            peer = f"127.1.{number}.1"
            # No packet goes out: there is no such interface.
            self.watching.watch(Watch(peer, peer, interface="nosuch0", settings=TIMERS))
            *_, watched = self.watching
            self.usual.append(self._come_up(watched))

    def _come_up(self, watched: Watched) -> Datagram:
        watched.sender = Mute()  # type: ignore[assignment]
        mine, peer = watched.session.discriminator, watched.watch.peer
        for state, final in ((BfdState.DOWN, False), (BfdState.UP, True), (BfdState.UP, False)):
            octets = encode(ControlPacket(state, mine ^ 1, mine, final=final))
            datagram = Datagram(octets, peer, "127.0.0.1", 1, 255, multihop=False, way=(peer,))
            self.watching.take(datagram)
        assert watched.session.steady == datagram.octets
        return datagram


def bench_bfd_hear(measure: Measure) -> None:
    """The usual packets of peers."""

    def work(world: World) -> None:
        usual: list[Raw] = [(each.octets, each.way) for each in world.usual]
        for _ in range(ROUNDS):
            for raw in usual:
                world.watching.take_again(raw)

    measure(SESSIONS * ROUNDS, "packet", work, World)


def bench_bfd_hear_others(measure: Measure) -> None:
    """Packets that have to be looked at."""

    def work(world: World) -> None:
        for _ in range(ROUNDS):
            for datagram in world.usual:
                world.watching.take(datagram)

    measure(SESSIONS * ROUNDS, "packet", work, World)


def bench_bfd_send(measure: Measure) -> None:
    """Packets that are due."""

    def work(world: World) -> None:
        before = sum(watched.sent for watched in world.watching)
        for _ in range(ROUNDS):
            # Less than the detection time, and more than any interval.
            world.now += 1.0
            world.watching.tick(world.now, lambda: None)
            for watched in world.watching:
                watched.session.heard_again(world.now)
        after = sum(watched.sent for watched in world.watching)
        assert after - before == SESSIONS * ROUNDS

    measure(SESSIONS * ROUNDS, "packet", work, World)
