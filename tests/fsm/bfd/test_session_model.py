"""Two sessions over a cable that loses, cuts and restarts: they agree in the end."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fsm.bfd.packet import BfdState
from fsm.bfd.session import BfdSession
from fsm.bfd.settings import Settings
from tests.support.bfd_cable import DELAY, Cable

END = st.sampled_from((0, 1))
INTERVAL = st.sampled_from((10_000, 50_000, 300_000, 1_500_000))
MOST = 20.0
"""Seconds in which sessions agree: some slow intervals, and the longest detection time twice."""


class TwoEnds(RuleBasedStateMachine):
    """What may happen to a pair of sessions."""

    @initialize(left=INTERVAL, right=INTERVAL, mult=st.integers(1, 5), chance=st.floats(0, 0.99))
    def begin(self, left: int, right: int, mult: int, chance: float) -> None:
        self.cable = Cable(Settings(left, right, mult), Settings(right, left, 3), chance)
        self.number = 30

    @rule(end=END, cut=st.booleans())
    def cut(self, end: int, cut: bool) -> None:
        self.cable.cut[end] = cut

    @rule(seed=st.integers(0, 99), part=st.sampled_from((0.0, 0.1, 0.5)))
    def lose(self, seed: int, part: float) -> None:
        chance = Random(seed)
        self.cable.loses = lambda: chance.random() < part

    @rule(seconds=st.sampled_from((0.01, 0.2, 1.0, 5.0)))
    def wait(self, seconds: float) -> None:
        self.cable.run(seconds)

    @rule(end=END, tx=INTERVAL, rx=INTERVAL, mult=st.integers(1, 5))
    def configure(self, end: int, tx: int, rx: int, mult: int) -> None:
        self.cable.ends[end].configure(Settings(tx, rx, mult), self.cable.now)

    @rule(end=END)
    def disable(self, end: int) -> None:
        self.cable.perform(end, self.cable.ends[end].disable(self.cable.now))

    @rule(end=END)
    def enable(self, end: int) -> None:
        self.cable.perform(end, self.cable.ends[end].enable(self.cable.now))

    @rule(end=END)
    def restart(self, end: int) -> None:
        cable, old = self.cable, self.cable.ends[end]
        # The discriminator is kept, so that what flies still has somebody to come to.
        new = BfdSession(old.settings, old.discriminator)
        cable.ends = (new, cable.ends[1]) if end == 0 else (cable.ends[0], new)

    @rule()
    def one_end_is_not_up_for_long_without_the_other(self) -> None:
        cable = self.cable
        cable.run(0.0)
        for end in (0, 1):
            other = cable.ends[1 - end]
            if cable.ends[end].state is BfdState.UP and other.state is not BfdState.UP:
                patience = cable.ends[end].detection_time_us / 1e6
                cable.cut[1 - end] = True
                # What flies may still be heard.
                cable.run(patience + 2 * DELAY)
                assert cable.ends[end].state is not BfdState.UP
                return

    @rule()
    def they_agree_in_the_end(self) -> None:
        cable = self.cable
        cable.cut = [False, False]
        cable.loses = lambda: False
        cable.run(MOST)
        if BfdState.ADMIN_DOWN not in cable.states:
            assert cable.states == (BfdState.UP, BfdState.UP)
            left, right = cable.ends
            assert not left.is_polling
            assert not right.is_polling
            for one, other in ((left, right), (right, left)):
                wish = one.settings.desired_min_tx_us, other.settings.required_min_rx_us
                assert one.tx_interval_us == max(wish)
                patience = one.tx_interval_us * one.settings.detect_mult
                assert other.detection_time_us == patience
        else:
            assert BfdState.UP not in cable.states

    @invariant()
    def deadlines_are_ahead(self) -> None:
        if hasattr(self, "cable"):
            for end in self.cable.ends:
                if end.state in (BfdState.INIT, BfdState.UP):
                    assert end.detect_due is not None


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_lost_packet_or_two_hurt_nobody() -> None:
    cable = Cable(Settings(50_000, 50_000, 3), Settings(50_000, 50_000, 3))
    cable.run(5)
    moves = [len(m) for m in cable.moves]
    for _ in range(30):
        cable.cut = [True, True]
        cable.run(0.08)
        cable.cut = [False, False]
        cable.run(0.1)
    assert [len(m) for m in cable.moves] == moves
