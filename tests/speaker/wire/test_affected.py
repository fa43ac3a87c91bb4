"""Prefixes of an UPDATE in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, NAMES
from speaker.wire.affected import affected
from tests.support import relayed
from tests.support.builders import body, reach, unreach
from tests.support.malformed import packed

FOUR, SIX = packed("10.1.0.0/16"), packed("2001:db8::/32")
GONE, GONE6 = packed("10.2.0.0/16"), packed("2001:db8:1::/48")
HOP = bytes.fromhex("20010db8000000000000000000000001")
BAD = b"\x40\x01\x01\x09"


def test_what_is_announced_stands_before_what_is_withdrawn() -> None:
    attributes = reach(SIX, HOP) + unreach(GONE6) + BAD
    assert affected(body(GONE, attributes, FOUR)) == [
        *("10.1.0.0/16", "2001:db8::/32", "10.2.0.0/16", "2001:db8:1::/48"),
    ]
    assert affected(body(b"", BAD)) == []


def test_identifiers_are_left_out() -> None:
    one = b"\0\0\0\7"
    found = affected(body(one + GONE, reach(SIX, HOP), one + FOUR), {IPV4_UNICAST})
    assert found == ["10.1.0.0/16", "2001:db8::/32", "10.2.0.0/16"]
    assert affected(body(b"", reach(one + SIX, HOP)), {IPV6_UNICAST}) == ["2001:db8::/32"]


def test_prefixes_that_lead_nowhere_stand_first() -> None:
    assert affected(body(b"", BAD, FOUR + packed("224.0.0.0/8"))) == ["224.0.0.0/8", "10.1.0.0/16"]


def test_relayed_routes_are_named_in_words() -> None:
    vpn = NAMES["ipv4-vpn"]
    block = relayed.vpn(FOUR) + relayed.vpn(GONE)
    names = ["10.1.0.0/16 label 100 rd 65000:1", "10.2.0.0/16 label 100 rd 65000:1"]
    assert affected(body(b"", relayed.reach(vpn, block, bytes(12)))) == names
    many = affected(body(b"", relayed.unreach(vpn, block * 30)))
    assert (len(many), many[0], many[-1]) == (60, names[0], relayed.vpn(GONE).hex())


def test_families_that_cannot_be_cut_are_named_as_a_whole() -> None:
    evpn = b"\x80\x0f\x05\0\x19\x46\x01\x02"
    assert affected(body(b"", evpn)) == ["some of l2vpn evpn"]
    nobody = b"\x80\x0f\x05\0\x19\x01\x01\x02"
    assert affected(body(b"", nobody)) == ["some of l2vpn unicast"]


@given(
    st.binary(min_size=4, max_size=80), st.sampled_from([frozenset(), frozenset({IPV4_UNICAST})])
)
def test_what_cannot_be_read_is_left_out(octets: bytes, with_ids: frozenset[object]) -> None:
    assert isinstance(affected(octets, with_ids), list)  # type: ignore[arg-type]
    kept = affected(body(b"", reach(b"\xff", HOP) + BAD, FOUR))
    assert kept == ["10.1.0.0/16"]
