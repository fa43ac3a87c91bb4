"""Entering a state; the rules that lead there are tested with `fsm.bgp`."""

from __future__ import annotations

import pytest

from fsm.effects import CancelDial, Close, Dial, Effect, Send
from fsm.events import Side
from fsm.machine import Machine
from fsm.state import State
from fsm.timers import Timer
from tests.support.duet import config


class Bare(Machine):
    """A machine whose states are entered by hand."""

    def enter(self, state: State) -> list[Effect]:
        self._effects = []
        self._enter(state)
        return self._effects


def test_a_new_machine_has_nothing() -> None:
    machine = Bare(config(), Side.OUTGOING)
    assert (machine.state, machine.timers.running) == (State.IDLE, [])
    held = (machine.is_dialing, machine.is_connected, machine.negotiated)
    assert held == (False, False, None)


def test_entering_connect_dials_and_leaving_it_cancels_the_dial() -> None:
    machine = Bare(config(), Side.OUTGOING)
    assert machine.enter(State.CONNECT) == [Dial()]
    assert machine.enter(State.ACTIVE) == [CancelDial()]


@pytest.mark.parametrize(
    ("side", "running"), [(Side.OUTGOING, [Timer.CONNECT_RETRY]), (Side.INCOMING, [])]
)
def test_only_the_side_that_dials_is_reminded_to(side: Side, running: list[Timer]) -> None:
    machine = Bare(config(), side)
    machine.enter(State.ACTIVE)
    assert machine.timers.running == running


def test_entering_idle_lets_go_of_a_connection_and_of_all_timers() -> None:
    machine = Bare(config(), Side.INCOMING)
    machine.is_connected = True
    assert machine.enter(State.OPEN_SENT) == [Send(Side.INCOMING, config().open_message())]
    assert machine.timers.running == [Timer.HOLD]
    assert machine.enter(State.IDLE) == [Close(Side.INCOMING)]
    assert (machine.timers.running, machine.is_connected) == ([], False)
