"""The control packet both ways, and each check that needs no session (RFC 5880 §4.1, §6.8.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.bfd.packet import BfdState, ControlPacket, Diagnostic, Discard, decode, encode

OCTETS = bytes.fromhex(
    "21"  # version 1, diagnostic 1
    "e8"  # Up, Poll, control plane independent
    "05 18"  # detect multiplier, length
    "00000007 00000009"  # discriminators
    "000186a0 00002710 00000000"  # intervals: 100 ms, 10 ms, no echo
)
PACKET = ControlPacket(
    BfdState.UP,
    7,
    9,
    Diagnostic.DETECTION_TIME_EXPIRED,
    5,
    100_000,
    10_000,
    0,
    poll=True,
    independent=True,
)


def test_a_packet_is_written_and_read() -> None:
    assert encode(PACKET) == OCTETS
    assert decode(OCTETS) == PACKET


def with_octet(place: int, value: int) -> bytes:
    return OCTETS[:place] + bytes((value,)) + OCTETS[place + 1 :]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", Discard.LENGTH),
        (OCTETS[:23], Discard.LENGTH),
        (with_octet(0, 0x01), Discard.VERSION),
        (with_octet(0, 0x41), Discard.VERSION),
        (with_octet(3, 23), Discard.LENGTH),
        (with_octet(3, 25), Discard.LENGTH),
        (with_octet(1, 0xEC), Discard.LENGTH),
        (with_octet(2, 0), Discard.DETECT_MULT),
        (with_octet(1, 0xE9), Discard.MULTIPOINT),
        (OCTETS[:4] + bytes(4) + OCTETS[8:], Discard.MY_DISCRIMINATOR),
        (OCTETS[:8] + bytes(4) + OCTETS[12:], Discard.STATE),
    ],
)
def test_what_is_wrong_is_dropped(octets: bytes, reason: Discard) -> None:
    assert decode(octets) is reason


@pytest.mark.parametrize("state", [BfdState.DOWN, BfdState.ADMIN_DOWN])
def test_a_first_packet_may_be_down(state: BfdState) -> None:
    first = ControlPacket(state, 7)
    assert decode(encode(first)) == first


def test_octets_behind_the_packet_are_passed_over() -> None:
    assert decode(OCTETS + b"more") == PACKET


@given(
    st.builds(
        ControlPacket,
        state=st.sampled_from(BfdState),
        my_discriminator=st.integers(1, 2**32 - 1),
        your_discriminator=st.integers(1, 2**32 - 1),
        diagnostic=st.integers(0, 31),
        detect_mult=st.integers(1, 255),
        desired_min_tx_us=st.integers(0, 2**32 - 1),
        required_min_rx_us=st.integers(0, 2**32 - 1),
        required_min_echo_rx_us=st.integers(0, 2**32 - 1),
        poll=st.booleans(),
        final=st.booleans(),
        independent=st.booleans(),
        demand=st.booleans(),
    )
)
def test_every_packet_survives_the_way(packet: ControlPacket) -> None:
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=80))
def test_no_octets_raise(octets: bytes) -> None:
    assert isinstance(decode(octets), ControlPacket | Discard)


def test_words_are_those_of_the_standard() -> None:
    assert str(BfdState.ADMIN_DOWN) == "AdminDown"
    assert [str(d) for d in Diagnostic][1] == "Control Detection Time Expired"
