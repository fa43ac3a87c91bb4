"""Attributes in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.attributes import FLAGS, Attribute, PathAttributes, WellKnown, tlv
from speaker.wire.attributes import ScanContext, scan
from speaker.wire.describe import as_path_text, describe
from tests.support.builders import Facts, facts
from tests.support.routes import address, as_path, attribute, attributes, u32


def test_a_usual_set_reads_in_ascending_order() -> None:
    made = attributes(
        as_path([65001], {65002, 65003}),
        med=5,
        local_pref=100,
        communities=(65000 << 16 | 1, WellKnown.NO_EXPORT),
        originator_id=0x0A000001,
        clusters=(0x0A000002, 0x0A000003),
        large=((65000, 1, 2), (65000, 3, 4)),
    )
    assert list(describe(made).items()) == [
        ("ORIGIN", "IGP"),
        ("AS_PATH", "65001 {65002 65003}"),
        ("NEXT_HOP", "192.0.2.1"),
        ("MULTI_EXIT_DISC", "5"),
        ("LOCAL_PREF", "100"),
        ("COMMUNITIES", "65000:1 no-export"),
        ("ORIGINATOR_ID", "10.0.0.1"),
        ("CLUSTER_LIST", "10.0.0.2 10.0.0.3"),
        ("LARGE_COMMUNITIES", "65000:1:2 65000:3:4"),
    ]


def test_a_next_hop_of_ipv6_reads_with_its_link_local_address() -> None:
    """RFC 2545 §3."""
    made = attributes(next_hop="2001:db8::1", link_local="fe80::1")
    assert describe(made)["NEXT_HOP"] == "2001:db8::1 fe80::1"


def test_a_route_made_here_has_no_next_hop_to_read() -> None:
    assert describe(attributes((), next_hop="")) == {"ORIGIN": "IGP", "AS_PATH": ""}


CONFEDERATION = b"\x03\x02" + u32(65101, 65102) + b"\x04\x01" + u32(65103)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"", ""),
        (as_path([4200000000]), "4200000000"),
        (as_path([1, 1, 2], {3}), "1 1 2 {3}"),
        (CONFEDERATION + as_path([1]), "(65101 65102) [65103] 1"),
    ],
)
def test_a_path_reads_by_kinds_of_segment(path: bytes, text: str) -> None:
    assert as_path_text(attributes(path)) == text


EXTENDED = bytes.fromhex(
    "00 02 fde8 00000064"  # route target of a two-octet AS
    "02 02 00011170 0001"  # route target of a four-octet AS
    "43 63 010203040506"  # unknown
)
ONE_BY_ONE = [
    (Attribute.ATOMIC_AGGREGATE, b"", "yes"),
    (Attribute.AGGREGATOR, u32(70000) + address("192.0.2.9"), "70000:192.0.2.9"),
    (
        Attribute.EXTENDED_COMMUNITIES,
        EXTENDED,
        "target:65000:100 target:70000:1 0x4363010203040506",
    ),
    (Attribute.ONLY_TO_CUSTOMER, u32(65001), "65001"),
    (Attribute.AIGP, bytes.fromhex("01 000b 0000000000000007"), "0x0000000000000007"),
]


@pytest.mark.parametrize(
    ("code", "value", "text"), ONE_BY_ONE, ids=[Attribute(row[0]).name for row in ONE_BY_ONE]
)
def test_other_attributes_read_one_by_one(code: int, value: bytes, text: str) -> None:
    made = PathAttributes(attribute(code, value))
    assert describe(made) == {Attribute(code).name: text}


def test_the_partial_bit_and_a_long_value_do_not_hide_the_words() -> None:
    made = PathAttributes(tlv(0xE0, Attribute.EXTENDED_COMMUNITIES, EXTENDED[:8] * 33))
    assert describe(made)["EXTENDED_COMMUNITIES"].startswith("target:65000:100")


def test_what_nobody_knows_stands_in_hexadecimal() -> None:
    assert describe(PathAttributes(tlv(0xC0, 99, b"\x01\xab"))) == {"attribute 99": "01 ab"}


def test_what_exabgp_cannot_decode_stands_in_hexadecimal() -> None:
    assert describe(PathAttributes(attribute(Attribute.AIGP, b"\x07"))) == {"AIGP": "07"}


@given(facts())
def test_every_attribute_of_a_set_has_words(drawn: Facts) -> None:
    scanned = scan(drawn.encode(), ScanContext(internal=True))
    words = describe(PathAttributes(scanned.raw, scanned.next_hop))
    assert words.keys() == {Attribute(code).name for code in scanned.codes}


@given(st.sampled_from([7, 16, 18, 26, 77]), st.binary(max_size=24))
def test_nothing_that_passes_the_scan_is_without_words(code: int, value: bytes) -> None:
    scanned = scan(tlv(FLAGS.get(code, 0xC0), code, value), ScanContext(internal=True))
    words = describe(PathAttributes(scanned.raw))
    assert len(words) == len(scanned.codes)


def test_attributes_of_relayed_routes_have_names() -> None:
    tunnel = tlv(0xC0, 22, b"\0\6\0\6\x41\x0a\0\0\1")
    # A service TLV, of which ExaBGP says that it does not know it.
    sid = tlv(0xC0, 40, b"\5\0\1x")
    raw = tunnel + tlv(0xC0, 23, b"\0\0") + sid
    words = describe(PathAttributes(raw, bytes(8) + b"\x0a\0\0\1"))
    assert words == {
        "NEXT_HOP": "00000000000000000a000001",
        "PMSI_TUNNEL": "pmsi:ingressreplication:0:100(1601):10.0.0.1",
        "TUNNEL_ENCAPSULATION": "00 00",
        "PREFIX_SID": "05 00 01 78",
    }
