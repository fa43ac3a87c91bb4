"""A session counts and does the same whether its usual packets take the short way or not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from fsm.bfd import BfdState, ControlPacket
from speaker.bfd.datagrams import Raw
from speaker.bfd.watched import session_as_json
from speaker.bfd.words import Watch
from tests.speaker.bfd.test_watching import PEER, WATCH, World

SETTINGS = WATCH.settings

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(BfdState),
        "my_discriminator": st.sampled_from((9, 10)),
        "your_discriminator": st.sampled_from((0, 5)),
        "desired_min_tx_us": st.sampled_from((50_000, 400_000)),
        "detect_mult": st.integers(1, 5),
        "poll": st.booleans(),
        "final": st.booleans(),
        "demand": st.booleans(),
        "authenticated": st.just(True),
    },
)
USUAL: st.SearchStrategy[dict[str, Any]] = st.just({})
WAYS = st.sampled_from(({}, {}, {}, {"ttl": 254}, {"source": "127.0.0.8"}, {"interface": 77}))

Step = Callable[[World], None]


def hear(changes: dict[str, Any], way: dict[str, Any]) -> Step:
    def step(world: World) -> None:
        packet = replace(world.up(world.of("a")), **{"final": False, **changes})
        world.hear(packet, **way)

    return step


def wait(seconds: float) -> Step:
    return lambda world: world.wait(seconds)


def sleep(seconds: float) -> Step:
    """Let time pass in which the process does not run."""

    def step(world: World) -> None:
        world.now += seconds

    return step


def configure(tx: int, rx: int) -> Step:
    settings = replace(SETTINGS, desired_min_tx_us=tx, required_min_rx_us=rx)
    return lambda world: world.watching.watch(replace(WATCH, settings=settings))


INTERVAL = st.sampled_from((50_000, 100_000, 250_000))
STEPS = st.one_of(
    st.builds(hear, USUAL, st.just({})),
    st.builds(hear, st.one_of(USUAL, CHANGES), WAYS),
    st.builds(wait, st.sampled_from((0.01, 0.1, 0.4))),
    st.builds(sleep, st.sampled_from((0.05, 0.5))),
    st.builds(configure, INTERVAL, INTERVAL),
)


class LongWay(World):
    """Looks at every packet."""

    def __init__(self, *watches: Watch) -> None:
        super().__init__(*watches)
        self.watching.take_again = _never  # type: ignore[method-assign]


def _never(raw: Raw) -> bool:
    return not raw


def seen(world: World) -> dict[str, Any]:
    session = world.of("a").session
    return {
        **session_as_json(world.of("a")),
        "due": (session.tx_due, session.detect_due),
        "told": world.told,
        "spared": world.watching.spared,
        "nobodys": world.watching.discards,
    }


@mock.patch("speaker.bfd.watching.random.random", mock.Mock(return_value=0.5))
@given(st.lists(STEPS, max_size=30))
def test_the_short_way_counts_and_does_the_same(steps: list[Step]) -> None:
    worlds: list[World] = []
    for kind in (World, LongWay):
        # Discriminators are by chance, and are to be the same.
        random.seed(5880)
        worlds.append(kind(WATCH))
    try:
        for world in worlds:
            world.come_up()
        for step in steps:
            for world in worlds:
                step(world)
            short, long = map(seen, worlds)
            assert short == long
    finally:
        for world in worlds:
            world.watching.close()


def test_usual_packets_take_it() -> None:
    world = World(WATCH)
    try:
        world.come_up()
        usual = hear({}, {})
        usual(world)
        before = world.long
        for _ in range(20):
            wait(0.09)(world)
            usual(world)
        assert world.long == before
    finally:
        world.watching.close()


def test_packets_of_another_session_are_not_taken_for_its_own() -> None:
    other = replace(WATCH, name="b", peer="127.0.0.10")
    world = World(WATCH, other)
    try:
        mine = world.come_up()
        packet = ControlPacket(BfdState.UP, 9, world.of("b").session.discriminator)
        for state in (BfdState.DOWN, BfdState.UP, BfdState.UP, BfdState.UP):
            world.hear(replace(packet, state=state), source=other.peer)
        received = world.of("b").received
        world.hear(packet, source=PEER)
        assert (world.of("b").received, mine.received) == (received, 2)
    finally:
        world.watching.close()
