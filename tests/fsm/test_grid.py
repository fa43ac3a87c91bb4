"""The document docs/fsm-grid.txt says what the machine does, cell by cell."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fsm import Event, Side, State
from tests.support import fsm_grid
from tests.support.duet import config

DOCUMENT = Path(__file__).parents[2] / "docs" / "fsm-grid.txt"


def test_the_document_is_what_the_machine_does() -> None:
    """Write it anew with `python -m tests.support.fsm_grid > docs/fsm-grid.txt`, and review it."""
    assert DOCUMENT.read_text(encoding="utf-8") == fsm_grid.grid()


def test_the_grid_walks_every_numbered_event() -> None:
    walked = fsm_grid.events(Side.OUTGOING, fsm_grid.peer_open(config()))
    assert [event.number for event in walked if event.number] == list(range(1, 30))


def test_the_grid_walks_every_state_of_every_kind_of_machine() -> None:
    """With and without a delayed OPEN, dialled and passive, with and without a hold time."""
    variants = fsm_grid.variants().values()
    kinds = {
        (variant.side, bool(variant.config.delay_open_time), bool(variant.config.hold_time))
        for variant in variants
    }
    assert kinds == set(product(Side, (False, True), (False, True)))
    for variant in variants:
        states = set(State) if variant.side is Side.OUTGOING else set(State) - {State.CONNECT}
        assert set(fsm_grid.recipes(variant)) == states


@pytest.mark.parametrize("title", fsm_grid.variants())
def test_whatever_leads_to_idle_leaves_no_timer_and_no_connection(title: str) -> None:
    """RFC 4271 §8.2.2: each way to Idle releases all BGP resources."""
    variant = fsm_grid.variants()[title]
    ways: list[tuple[State, Event]] = [
        (state, event)
        for state in fsm_grid.recipes(variant)
        for event in fsm_grid.events(variant.side, fsm_grid.peer_open(variant.config))
    ]
    for state, event in ways:
        machine = fsm_grid.machine_in(state, variant)
        machine.handle(event, 1.0)
        if machine.state is State.IDLE:
            held = (machine.timers.running, machine.is_connected, machine.is_dialing)
            assert held == ([], False, False), (state, event)
