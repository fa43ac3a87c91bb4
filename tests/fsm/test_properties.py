"""What holds whatever happens, in whatever order."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.bgp import BgpFsm
from fsm.capabilities import GracefulRestart, Role
from fsm.effects import CancelDial, Close, Dial, Send, SessionDown, SessionUp, StateChanged
from fsm.events import (
    BfdDown,
    BfdUp,
    Event,
    ManualStart,
    ManualStop,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    Tick,
)
from fsm.explanation import explain_down
from fsm.session import Session, SessionConfig
from fsm.state import State
from fsm.timers import Timer
from tests.support.duet import Duet, config, mirrored
from tests.support.fsm_grid import events, peer_open

configs = st.builds(
    lambda **changes: config(**changes),
    hold_time=st.sampled_from([0, 3, 90]),
    delay_open_time=st.sampled_from([0.0, 2.0]),
    passive=st.booleans(),
    router_id=st.sampled_from([1, 0x0A000009]),
    connect_retry_time=st.sampled_from([1.0, 120.0]),
    open_hold_time=st.sampled_from([4.0, 240.0]),
    send_hold_time=st.sampled_from([None, 0.0, 2.0]),
    allow_automatic_start=st.booleans(),
    allow_automatic_stop=st.booleans(),
    damp_peer_oscillations=st.booleans(),
    notify_without_open=st.booleans(),
    role=st.sampled_from([None, Role.PEER]),
    bfd_strict=st.booleans(),
    bfd_hold_down=st.sampled_from([0.0, 3.0]),
    graceful_restart=st.sampled_from([None, GracefulRestart(False, True, 120, ())]),
)
steps = st.lists(
    st.tuples(
        st.integers(0, 70),  # Tick, what BFD says, and every event of each side
        st.floats(0, 10, allow_nan=False),
        st.floats(0, 1, exclude_max=True),
    ),
    max_size=60,
)


BFD = (BfdUp(), BfdUp(), BfdUp(), BfdDown())
"""More often up than not, or a strict session would never come far."""


class Shell:
    """The bookkeeping of a shell, to see that what a session asks for makes sense."""

    def __init__(self, of: SessionConfig) -> None:
        self.session = Session(of)
        self.connections: set[Side] = set()
        self.is_dialing = False
        self.is_up = False
        self.state = State.IDLE

    def handle(self, event: Event, now: float, chance: float) -> None:
        match event:
            case TcpCrAcked(side=Side.OUTGOING) if self.is_dialing:
                self.is_dialing = False
                self.connections.add(Side.OUTGOING)
            case TcpConnectionConfirmed(side=Side.INCOMING) if self.session.would_accept():
                self.connections.add(Side.INCOMING)
            case TcpConnectionFails(side=side):
                self.is_dialing = self.is_dialing and side is not Side.OUTGOING
            case _:
                pass
        for effect in self.session.handle(event, now, chance):
            self.perform(effect)

    def perform(self, effect: object) -> None:
        match effect:
            case Dial():
                assert not self.is_dialing
                assert Side.OUTGOING not in self.connections
                self.is_dialing = True
            case CancelDial():
                assert self.is_dialing
                self.is_dialing = False
            case Send(side=side):
                assert side in self.connections
            case Close(side=side):
                self.connections.discard(side)
            case SessionUp(side=side):
                assert side in self.connections
                assert not self.is_up
                self.is_up = True
            case SessionDown():
                assert self.is_up
                self.is_up = False
            case StateChanged(old=old, new=new):
                assert old is self.state
                assert old is not new
                self.state = new
            case _:
                pass

    def check(self) -> None:
        one = self.session
        assert one.state is self.state
        assert self.is_up == (one.state is State.ESTABLISHED) == (one.negotiated is not None)
        assert (one.established_since is not None) == self.is_up
        if self.is_up:
            assert len(self.connections) == 1
        if one.waits_for_bfd:
            assert not self.connections
            assert not self.is_dialing
        assert one.is_started == (
            one.state is not State.IDLE or one.is_holding or one.waits_for_bfd
        )
        for side in set() if self.is_up else self.connections:
            timers = {timer for owner, timer in one.timers if owner is side}
            assert timers & {Timer.HOLD, Timer.DELAY_OPEN}, "half-open without end"
        self.check_explanation()
        if one.state is State.IDLE and not one.is_holding:
            assert not [key for key in one.timers if key[0] is Side.OUTGOING]

    def check_explanation(self) -> None:
        explanation = explain_down(self.session, 0.0)
        assert (explanation is None) == self.is_up
        if explanation is not None:
            assert str(explanation).isprintable()
            assert explanation.next_try is None or explanation.next_try >= 0


@settings(max_examples=300, deadline=None)
@given(configs, steps)
def test_a_session_bears_any_events_and_asks_for_nothing_absurd(
    of: SessionConfig, script: list[tuple[int, float, float]]
) -> None:
    shell, now, peer = Shell(of), 0.0, peer_open(of)
    choices = [Tick(), *BFD, *events(Side.OUTGOING, peer), *events(Side.INCOMING, peer)]
    for index, pause, chance in script:
        now += pause
        shell.handle(choices[index], now, chance)
        shell.check()


@settings(max_examples=300, deadline=None)
@given(configs, st.sampled_from(Side), steps)
def test_a_machine_bears_any_events_and_holds_nothing_in_idle(
    of: SessionConfig, side: Side, script: list[tuple[int, float, float]]
) -> None:
    machine, now, choices = BgpFsm(of, side), 0.0, events(side, peer_open(of))
    for index, pause, chance in script:
        now += pause
        machine.expire(now, chance)
        machine.handle(choices[index % len(choices)], now, chance)
        if machine.state is State.IDLE:
            assert machine.timers.running == []
            assert not machine.is_dialing
            assert not machine.is_connected
        assert (machine.negotiated is not None) == (machine.state >= State.OPEN_CONFIRM)


@settings(max_examples=300, deadline=None)
@given(configs, steps)
def test_a_stopped_session_has_no_deadline(
    of: SessionConfig, script: list[tuple[int, float, float]]
) -> None:
    shell, now, peer = Shell(of), 0.0, peer_open(of)
    choices = [Tick(), *BFD, *events(Side.OUTGOING, peer), *events(Side.INCOMING, peer)]
    for index, pause, chance in script:
        now += pause
        shell.handle(choices[index], now, chance)
    shell.handle(ManualStop(), now, 0.0)
    assert (shell.session.state, shell.session.deadline) == (State.IDLE, None)
    assert (shell.connections, shell.is_dialing) == (set(), False)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    delay=st.floats(0.0001, 0.5),
    starts=st.tuples(st.floats(0, 3), st.floats(0, 3)),
    falls=st.lists(st.floats(0, 40), max_size=4),
    passive=st.sampled_from(["left", "right", "neither"]),
    delay_open=st.sampled_from([0.0, 1.0]),
    router_ids=st.sampled_from([(1, 2), (2, 1), (7, 7)]),
)
def test_two_ends_of_a_sound_cable_always_end_established_on_one_connection(
    seed: int,
    delay: float,
    starts: tuple[float, float],
    falls: list[float],
    passive: str,
    delay_open: float,
    router_ids: tuple[int, int],
) -> None:
    chance = random.Random(seed).random
    ours, theirs = router_ids
    of = config(
        router_id=ours,
        passive=passive == "left",
        delay_open_time=delay_open,
        idle_hold=(1, 8),
        connect_retry_time=10,
        hold_time=9,
    )
    other = mirrored(of, router_id=theirs, passive=passive == "right", idle_hold=(1, 8))
    duet = Duet(of, other, delay, chance)
    for name, moment in sorted(zip(("left", "right"), starts, strict=True), key=lambda s: s[1]):
        duet.run(until=moment)
        duet.tell(name, ManualStart())
    for fall in sorted(falls):
        duet.run(until=3 + fall)
        duet.sever()
    duet.run(until=400)
    assert duet.left.state is duet.right.state is State.ESTABLISHED
    assert duet.wires("left") == duet.wires("right")
    assert len(duet.wires("left")) == 1
