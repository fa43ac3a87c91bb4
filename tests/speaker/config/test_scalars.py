"""The scalars of Calico's resources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.config.documents import YamlFloat
from speaker.config.scalars import (
    Endpoint,
    ScalarError,
    as_text,
    parse_asn,
    parse_community,
    parse_duration,
    parse_ipv6,
    parse_ipv6_interface,
    parse_name,
    parse_peer_ip,
    show_community,
    whole_seconds,
)


@pytest.mark.parametrize(
    ("value", "asn"),
    [
        (0, 0),
        (64512, 64512),
        (4294967295, 4294967295),
        ("65001", 65001),
        ("1.10", 65546),
        ("00.01", 1),
        ("65535.65535", 4294967295),
        ("0", 0),
    ],
)
def test_an_as_number(value: object, asn: int) -> None:
    assert parse_asn(value) == asn


@pytest.mark.parametrize(
    "value",
    [
        -1,
        2**32,
        True,
        None,
        1.5,
        YamlFloat("1.10"),
        "",
        " 1",
        "+1",
        "-1",
        "0x10",
        "1.2.3",
        ".1",
        "1.",
        "65536.0",
        "0.65536",
        "4294967296",
        "1_0",
        "１",
        [1],
    ],
)
def test_no_as_number(value: object) -> None:
    with pytest.raises(ScalarError):
        parse_asn(value)


def test_an_unquoted_dotted_as_number_is_told_to_be_quoted() -> None:
    with pytest.raises(ScalarError, match=r'quote a dotted AS number: "1\.10"'):
        parse_asn(YamlFloat("1.10"))


@given(st.integers(0, 2**32 - 1))
def test_both_spellings_of_an_as_number_agree(asn: int) -> None:
    assert parse_asn(str(asn)) == parse_asn(f"{asn >> 16}.{asn & 0xFFFF}") == asn


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.1", Endpoint("10.0.0.1")),
        ("10.0.0.1:179", Endpoint("10.0.0.1", 179)),
        ("10.0.0.1:65535", Endpoint("10.0.0.1", 65535)),
        ("2001:DB8::1", Endpoint("2001:db8::1")),
        ("2001:db8:0:0::1", Endpoint("2001:db8::1")),
        ("[2001:db8::1]:1790", Endpoint("2001:db8::1", 1790)),
        ("::1", Endpoint("::1")),
        ("::ffff:10.0.0.1", Endpoint("10.0.0.1")),
        ("[::FFFF:a00:1]:1790", Endpoint("10.0.0.1", 1790)),
    ],
)
def test_a_peer_address(text: str, endpoint: Endpoint) -> None:
    assert parse_peer_ip(text) == endpoint


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1:179", "fd00::1", "[fd00::1]:179"])
def test_a_peer_address_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse_peer_ip(text)) == text


def test_an_ipv4_address_within_ipv6_is_no_ipv6_address() -> None:
    with pytest.raises(ScalarError, match="no IPv6 address"):
        parse_ipv6("::ffff:10.0.0.1")
    with pytest.raises(ScalarError, match="no IPv6 address"):
        parse_ipv6_interface("::ffff:10.0.0.1/96")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true is no AS number"),
        (None, "null is no AS number"),
        ([65001], "a list is no AS number"),
        ({"a": 1}, "a mapping is no AS number"),
        (-1, "-1 is no AS number"),
        ("9" * 5000, f"'{'9' * 64}'… is no AS number"),
    ],
)
def test_a_value_is_quoted_as_it_is_written_and_in_short(value: object, words: str) -> None:
    with pytest.raises(ScalarError) as refusal:
        parse_asn(value)
    assert str(refusal.value).startswith(words)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "a name is text; quote it"),
        (True, "a name is text; quote it"),
        ("x" * 254, f"'{'x' * 64}'… is no name: more than 253 characters"),
        ("a_b", "'a_b' is no name (lower-case letters"),
    ],
)
def test_what_is_no_name_is_told_why(value: object, words: str) -> None:
    with pytest.raises(ScalarError) as refusal:
        parse_name(value)
    assert str(refusal.value).startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0",
        "10.0.0.01",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:",
        "10.0.0.1:x",
        "[::1]",
        "[::1]:0",
        "[10.0.0.1]:179",
        "fe80::1%eth0",
        "[fe80::1%eth0]:179",
        " 10.0.0.1",
        "router.example",
        "10.0.0.1/32",
        "10.0.0.1:1:1",
        "[::ffff:10.0.0.1]",
        "::ffff:10.0.0.1:179:x",
        None,
        5,
    ],
)
def test_no_peer_address(text: object) -> None:
    with pytest.raises(ScalarError):
        parse_peer_ip(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("2m", 120),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("0", 0),
        ("+3s", 3),
        (".5m", 30),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["10", 10, "s", "-5s", "1 m", "1d", "", "1h30", None, 0])
def test_no_duration(value: object) -> None:
    with pytest.raises(ScalarError):
        parse_duration(value)


def test_seconds_are_rounded_half_away_from_zero() -> None:
    assert [whole_seconds(value) for value in (0.4, 0.5, 1.5, 2.5)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "community"),
    [
        ("65000:10", 65000 << 16 | 10),
        ("0:0", 0),
        ("65535:65535", 0xFFFFFFFF),
        ("4294967295:0:1", (4294967295, 0, 1)),
    ],
)
def test_a_community_and_back(text: str, community: object) -> None:
    found = parse_community(text)
    assert found == community
    assert show_community(found) == text


@pytest.mark.parametrize(
    "text", ["65536:1", "1", "1:2:3:4", "01:2", "1:", "a:b", "1:4294967296:0", "-1:2", 5]
)
def test_no_community(text: object) -> None:
    with pytest.raises(ScalarError):
        parse_community(text)


def test_scalars_become_the_text_that_go_makes_of_them() -> None:
    values = [True, False, 1, YamlFloat("1.10"), None, "x"]
    assert [as_text(value) for value in values] == ["true", "false", "1", "1.1", "", "x"]
