"""The short way through a session does what the long one does, whatever happens on the cable."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.bfd import Authentication, AuthType, BfdState
from fsm.bfd.session import BfdSession
from fsm.bfd.settings import Settings
from tests.support.bfd_cable import Cable

KEYS = Authentication(AuthType.KEYED_SHA1, {1: b"secret"}, 1)

INTERVALS = st.sampled_from((10_000, 50_000, 300_000, 1_500_000))
SETTINGS = st.builds(
    Settings,
    INTERVALS,
    INTERVALS,
    st.integers(1, 4),
    authentication=st.sampled_from((None, None, None, KEYS)),
)
END = st.integers(0, 1)

Step = Callable[[Cable], None]


def cut(end: int, is_cut: bool) -> Step:
    def step(cable: Cable) -> None:
        cable.cut[end] = is_cut

    return step


def lose(seed: int, part: float) -> Step:
    def step(cable: Cable) -> None:
        chance = Random(seed)
        cable.loses = lambda: chance.random() < part

    return step


def run(seconds: float) -> Step:
    return lambda cable: cable.run(seconds)


def configure(end: int, settings: Settings) -> Step:
    return lambda cable: cable.ends[end].configure(settings, cable.now, 5)


def switch(end: int, word: str) -> Step:
    return lambda cable: cable.perform(end, getattr(cable.ends[end], word)(cable.now))


def restart(end: int) -> Step:
    def step(cable: Cable) -> None:
        old = cable.ends[end]
        ends = list(cable.ends)
        ends[end] = BfdSession(old.settings, old.discriminator, 7)
        cable.ends = (ends[0], ends[1])

    return step


STEP = st.one_of(
    st.builds(run, st.sampled_from((0.05, 0.5, 3.0))),
    st.builds(cut, END, st.booleans()),
    st.builds(lose, st.integers(0, 9), st.sampled_from((0.0, 0.2, 0.6))),
    st.builds(configure, END, SETTINGS),
    st.builds(switch, END, st.sampled_from(("disable", "enable"))),
    st.builds(restart, END),
)


def seen(cable: Cable) -> dict[str, Any]:
    """Give all that can be told from outside."""
    sessions = cable.ends
    return {
        "sent": cable.sent,
        "moves": cable.moves,
        "remote": [s.remote for s in sessions],
        "due": [(s.tx_due, s.detect_due) for s in sessions],
        "discards": [s.discards for s in sessions],
        "polling": [s.is_polling for s in sessions],
    }


@given(SETTINGS, SETTINGS, st.floats(0, 0.99), st.lists(STEP, max_size=25))
def test_the_short_way_is_the_long_way(
    left: Settings, right: Settings, chance: float, steps: list[Step]
) -> None:
    long, short = Cable(left, right, chance), Cable(left, right, chance, is_short=True)
    for step in [run(3.0), *steps, run(1.0)]:
        step(long)
        step(short)
        assert seen(short) == seen(long)


def test_nearly_all_packets_of_a_quiet_session_take_it() -> None:
    settings = Settings(100_000, 100_000, 3)
    cable = Cable(settings, settings, is_short=True)
    cable.run(5.0)
    assert cable.states == (BfdState.UP, BfdState.UP)
    before, sent = cable.shortcuts, sum(map(len, cable.sent))
    cable.run(10.0)
    assert cable.shortcuts - before >= 2 * (sum(map(len, cable.sent)) - sent) - 2


@pytest.mark.parametrize("key", [None, KEYS])
def test_packets_that_are_authenticated_never_take_it(key: Authentication | None) -> None:
    settings = Settings(100_000, 100_000, 3, authentication=key)
    cable = Cable(settings, settings, is_short=True)
    cable.run(5.0)
    assert cable.states == (BfdState.UP, BfdState.UP)
    assert (cable.shortcuts == 0) is (key is not None)
