"""Keys that change while a session is Up (RFC 5880 §6.7)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from fsm.bfd.authentication import Authentication, AuthType
from fsm.bfd.guard import Guard
from fsm.bfd.packet import BfdState, ControlPacket, Discard
from fsm.bfd.settings import Settings
from tests.support.bfd_cable import Cable

FAST = Settings(desired_min_tx_us=100_000, required_min_rx_us=50_000, detect_mult=3)
DETECTION = 0.3
UP_BOTH = (BfdState.UP, BfdState.UP)
PACKET = ControlPacket(BfdState.UP, 7, 9, authenticated=True)

KEYS: dict[str, Authentication | None] = {
    "none": None,
    "password": Authentication(AuthType.SIMPLE_PASSWORD, {1: b"secret"}, 1),
    "md5": Authentication(AuthType.METICULOUS_KEYED_MD5, {1: b"secret"}, 1),
    "sha1": Authentication(AuthType.METICULOUS_KEYED_SHA1, {1: b"secret"}, 1),
    "other key": Authentication(AuthType.METICULOUS_KEYED_SHA1, {2: b"changed"}, 2),
    "same number": Authentication(AuthType.METICULOUS_KEYED_SHA1, {1: b"changed"}, 1),
}
CHANGES = [pair for pair in product(KEYS, KEYS) if pair[0] != pair[1]]


def line_under(name: str) -> Cable:
    settings = replace(FAST, authentication=KEYS[name])
    made = Cable(settings, settings)
    made.run(5)
    assert made.states == UP_BOTH
    return made


def change(line: Cable, end: int, name: str) -> None:
    line.ends[end].configure(replace(FAST, authentication=KEYS[name]), line.now, 77)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_who_changes_within_the_detection_time_keeps_the_session(
    before: str, after: str, first: int
) -> None:
    line = line_under(before)
    change(line, first, after)
    line.run(DETECTION * 0.6)
    change(line, 1 - first, after)
    line.run(30)
    assert line.states == UP_BOTH
    assert [len(moves) for moves in line.moves] == [2, 2]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_who_changes_later_loses_it_and_gets_it_back(before: str, after: str) -> None:
    line = line_under(before)
    change(line, 0, after)
    line.run(DETECTION * 4)
    assert BfdState.UP not in line.states
    change(line, 1, after)
    line.run(5)
    assert line.states == UP_BOTH


@pytest.mark.parametrize("kind", list(AuthType))
def test_a_second_key_lets_both_ends_change_at_leisure(kind: AuthType) -> None:
    """Each end accepts both keys before any end signs with the other."""
    before = replace(FAST, authentication=Authentication(kind, {1: b"old"}, 1))
    line = Cable(before, before)
    line.run(5)
    steps = [
        Authentication(kind, {1: b"old", 2: b"new"}, 1),
        Authentication(kind, {1: b"old", 2: b"new"}, 2),
        Authentication(kind, {2: b"new"}, 2),
    ]
    for auth in steps:
        for end in line.ends:
            end.configure(replace(FAST, authentication=auth), line.now, 77)
            line.run(60)
    assert line.states == UP_BOTH
    assert [end.discards for end in line.ends] == [{}, {}]


def test_the_former_key_is_good_until_the_new_one_is_used() -> None:
    old, ours, new = (Guard(KEYS[name], 5) for name in ("sha1", "sha1", "other key"))
    ours.change(KEYS["other key"], 0, until=10.0)
    assert ours.refuse(PACKET, old.sign(PACKET), 1.0) is None
    assert ours.refuse(PACKET, new.sign(PACKET), 2.0) is Discard.BAD_AUTH  # of the past
    new.sign(PACKET)
    assert ours.refuse(PACKET, new.sign(PACKET), 2.0) is None
    assert ours.refuse(PACKET, old.sign(PACKET), 3.0) is Discard.BAD_AUTH


def test_the_former_key_is_good_for_a_while_only() -> None:
    old, ours = Guard(KEYS["sha1"], 5), Guard(KEYS["sha1"], 5)
    ours.change(KEYS["other key"], 0, until=10.0)
    assert ours.refuse(PACKET, old.sign(PACKET), 10.0) is Discard.BAD_AUTH


def test_a_packet_under_the_former_key_is_taken_once() -> None:
    old, ours = Guard(KEYS["sha1"], 5), Guard(KEYS["sha1"], 5)
    ours.change(KEYS["other key"], 0, until=10.0)
    octets = old.sign(PACKET)
    assert ours.refuse(PACKET, octets, 1.0) is None
    assert ours.refuse(PACKET, octets, 1.0) is Discard.BAD_AUTH
