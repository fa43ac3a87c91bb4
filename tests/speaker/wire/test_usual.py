"""The usual attribute set: `scan` is the referee of what is recognised at one look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.errors import UpdateMessageError
from policy.attributes import Attribute, tlv
from speaker.wire.attributes import ScanContext, missing, scan
from speaker.wire.usual import usual_parts
from tests.support.builders import Facts, facts

EXTERNAL, INTERNAL = ScanContext(internal=False), ScanContext(internal=True)
NEXT_HOP = bytes((192, 0, 2, 1))
USUAL = (
    tlv(0x40, Attribute.ORIGIN, b"\0"),
    tlv(0x40, Attribute.AS_PATH, bytes.fromhex("0202 0000fde8 0000fde9")),
    tlv(0x40, Attribute.NEXT_HOP, NEXT_HOP),
    tlv(0x80, Attribute.MULTI_EXIT_DISC, bytes(4)),
    tlv(0xC0, Attribute.COMMUNITIES, bytes(8)),
)


def usual_next_hop(data: bytes, context: ScanContext) -> bytes | None:
    """Give NEXT_HOP of a usual set that has one."""
    parts = usual_parts(data, context)
    return None if parts is None else parts[1]


def referee(data: bytes, context: ScanContext) -> None:
    """What is usual must come back from `scan` unchanged and without a fault."""
    next_hop = usual_next_hop(data, context)
    if next_hop is None:
        return
    scanned = scan(data, context)
    assert scanned.raw == data
    assert scanned.next_hop == next_hop
    assert (scanned.reach, scanned.unreach, scanned.faults) == (None, None, ())
    assert not scanned.withdraw
    assert missing(scanned.codes, internal=context.internal, classic=True) is None


def test_a_usual_set_is_recognised() -> None:
    assert usual_next_hop(b"".join(USUAL), EXTERNAL) == NEXT_HOP


def test_an_internal_peer_must_send_local_pref() -> None:
    local_pref = tlv(0x40, Attribute.LOCAL_PREF, bytes(4))
    assert usual_next_hop(b"".join(USUAL), INTERNAL) is None
    assert usual_next_hop(b"".join((*USUAL[:4], local_pref, USUAL[4])), INTERNAL) == NEXT_HOP
    assert usual_next_hop(b"".join((*USUAL[:4], local_pref, USUAL[4])), EXTERNAL) is None


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_set_without_a_mandatory_attribute_is_unusual(left_out: int) -> None:
    kept = [part for index, part in enumerate(USUAL) if index != left_out]
    assert usual_next_hop(b"".join(kept), EXTERNAL) is None


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(b"".join(reversed(USUAL)), id="descending types"),
        pytest.param(b"".join((*USUAL, USUAL[4])), id="twice the same"),
        pytest.param(b"".join(USUAL)[:-1], id="cut off"),
        pytest.param(b"".join(USUAL) + b"\xc0", id="a stray octet"),
        pytest.param(b"".join((*USUAL[:4], tlv(0xE0, 8, bytes(4)))), id="partial"),
        pytest.param(b"".join((*USUAL, tlv(0xC0, 99, b""))), id="unknown type"),
        pytest.param(b"".join((tlv(0x40, 1, b"\x03"), *USUAL[1:])), id="undefined origin"),
        pytest.param(
            b"".join((USUAL[0], tlv(0x40, 2, b"\x02\x01\0\0\0\0"), *USUAL[2:])), id="AS 0"
        ),
        pytest.param(
            b"".join((USUAL[0], tlv(0x40, 2, b"\x01\x01\0\0\0\x01"), *USUAL[2:])), id="AS_SET"
        ),
    ],
)
def test_an_odd_set_is_left_to_the_scanner(odd: bytes) -> None:
    assert usual_next_hop(odd, EXTERNAL) is None


def test_two_octet_as_numbers_are_left_to_the_scanner() -> None:
    assert usual_next_hop(b"".join(USUAL), ScanContext(four_octet_as=False)) is None


@given(facts(), st.sampled_from([EXTERNAL, INTERNAL]))
def test_what_is_usual_is_its_own_normal_form(drawn: Facts, context: ScanContext) -> None:
    referee(drawn.encode(), context)
    referee(replace(drawn, order=()).encode(), context)


@given(st.data(), st.sampled_from([EXTERNAL, INTERNAL]))
def test_a_garbled_set_is_never_taken_for_usual(data: st.DataObject, context: ScanContext) -> None:
    octets = bytearray(b"".join(USUAL))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        scan(bytes(octets), context)
    except UpdateMessageError:
        assert usual_next_hop(bytes(octets), context) is None
    else:
        referee(bytes(octets), context)
