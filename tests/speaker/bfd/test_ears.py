"""The sockets that packets come in by: who may have the port, and what a flood costs."""

from __future__ import annotations

import errno
import selectors
import socket
from collections import Counter

import pytest

from fsm.bfd import BfdState, ControlPacket
from fsm.bfd.packet import encode
from speaker.bfd import ears as module
from speaker.bfd.datagrams import SINGLE_HOP, Raw
from speaker.bfd.ears import AGAIN, BUDGETS, DEAF, REST, Ears
from speaker.bfd.sorting import TAG_BITS, Kind
from tests.support.netns import needs_namespaces, run_in_namespace

pytestmark = [pytest.mark.netns, needs_namespaces]

TAG = 7
HERE = ("127.0.0.1", SINGLE_HOP)
OURS = encode(ControlPacket(BfdState.UP, 9, TAG << TAG_BITS | 1))
FIRST = encode(ControlPacket(BfdState.DOWN, 9))
JUNK = b"junk" * 6


class House:
    """Ears, and what they have heard."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.heard: Counter[bytes] = Counter()
        self.ears = Ears(self.selector, self._take)
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)

    def _take(self, raw: Raw) -> None:
        self.heard[raw[0]] += 1

    def turn(self, now: float) -> bool:
        """Let it hear once; tell whether it would have woken up."""
        ready = self.selector.select(0)
        self.ears.hear(ready, now)
        return bool(ready)

    def close(self) -> None:
        self.ears.close()
        self.sender.close()
        self.selector.close()


def test_strangers_are_listened_to_for_a_while_and_then_again() -> None:
    def body() -> None:
        house = House()
        house.ears.open({TAG}, 0.0)
        for octets in (JUNK, FIRST, OURS):
            for _ in range(300):
                house.sender.sendto(octets, HERE)
        house.turn(1.0)
        assert house.heard == {OURS: 300, FIRST: BUDGETS[Kind.FIRST], JUNK: BUDGETS[Kind.JUNK]}
        # They wait, and wake nobody.
        assert not house.turn(1.0 + REST / 2)
        assert house.ears.deadline == 1.0 + REST
        house.turn(1.0 + REST)
        assert house.turn(1.0 + REST)
        assert house.heard[FIRST] == 2 * BUDGETS[Kind.FIRST]
        unread = house.ears.unread()
        # Their buffer is small.
        assert unread["junk"] > 100
        assert (unread["ours"], unread["first"]) == (0, 0)
        house.close()

    run_in_namespace(body)


def test_what_waits_is_read_also_when_nobody_has_told_of_it() -> None:
    def body() -> None:
        house = House()
        house.ears.open({TAG}, 0.0)
        many = BUDGETS[Kind.OURS] + 10
        for _ in range(many):
            house.sender.sendto(OURS, HERE)
        house.turn(1.0)
        assert house.heard == {OURS: BUDGETS[Kind.OURS]}
        house.ears.hear_all()
        assert house.heard == {OURS: many}
        house.close()

    run_in_namespace(body)


def test_a_port_that_another_has_is_tried_again() -> None:
    def body() -> None:
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(HERE)
        house = House()
        house.ears.open({TAG}, 5.0)
        assert house.ears.trouble == f"{DEAF}: address already in use"
        assert house.ears.deadline == 5.0 + AGAIN
        other.close()
        house.turn(5.0 + AGAIN)
        assert house.ears.trouble == ""
        assert house.ears.deadline is None
        house.sender.sendto(OURS, HERE)
        house.turn(6.0)
        assert house.heard == {OURS: 1}
        house.close()

    run_in_namespace(body)


def test_nobody_shares_the_port() -> None:
    """Another process of ours, which would take half of the packets."""

    def body() -> None:
        house, other = House(), House()
        house.ears.open({TAG}, 0.0)
        other.ears.open({TAG}, 0.0)
        assert other.ears.trouble.startswith(DEAF)
        for each in (house, other):
            each.close()

    run_in_namespace(body)


def test_without_sorting_one_socket_hears_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOPROTOOPT, "no such option")

    def body() -> None:
        house = House()
        house.ears.open({TAG}, 0.0)
        for octets in (JUNK, FIRST, OURS):
            house.sender.sendto(octets, HERE)
        house.turn(1.0)
        assert house.heard == {JUNK: 1, FIRST: 1, OURS: 1}
        assert house.ears.unread() == {"ours": 0, "first": 0, "junk": 0}
        house.close()

    monkeypatch.setattr(module, "sort", refused)
    run_in_namespace(body)
