from __future__ import annotations

import pytest

from fsm import events
from fsm.events import Event, Side

NUMBERED = {
    1: "ManualStart",
    2: "ManualStop",
    8: "AutomaticStop",
    13: "IdleHoldTimerExpires",
    18: "TcpConnectionFails",
    19: "BgpOpen",
    25: "NotifMsg",
    28: "UpdateMsgErr",
    29: "SendHoldTimerExpires",
}


def kinds() -> list[type[Event]]:
    return [k for k in vars(events).values() if isinstance(k, type) and issubclass(k, Event)]


def test_each_number_of_the_standards_belongs_to_one_event() -> None:
    """RFC 4271 §8.1.2-8.1.5, RFC 9687 §4."""
    assert sorted(kind.number for kind in kinds() if kind.number) == list(range(1, 30))


@pytest.mark.parametrize(("number", "name"), NUMBERED.items())
def test_an_event_has_the_number_of_the_standard(number: int, name: str) -> None:
    assert [kind.__name__ for kind in kinds() if kind.number == number] == [name]


def test_what_concerns_a_connection_says_which() -> None:
    for kind in kinds():
        concerns = 9 <= kind.number <= 29 and kind.number != 13
        assert not concerns or issubclass(kind, events.ConnectionEvent), kind


def test_there_are_two_sides() -> None:
    assert Side.OUTGOING.other is Side.INCOMING
    assert Side.INCOMING.other is Side.OUTGOING
