"""The conditions of a rule, one by one."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.as_path_regex import AsPathRegex
from policy.matching import (
    MatchOperator,
    match_address,
    match_as_path_prefix,
    match_as_path_regex,
    match_communities,
    match_interface,
    match_peer_type,
    match_prefix,
    match_priority,
    match_range,
    match_source,
)
from policy.path import PeerType
from policy.prefix import show
from tests.support.routes import EXTERNAL_PEER, address, as_path, attributes, local, nlri, nlris

IN, NOT_IN = MatchOperator.IN, MatchOperator.NOT_IN
EQUAL, NOT_EQUAL = MatchOperator.EQUAL, MatchOperator.NOT_EQUAL


@pytest.mark.parametrize(
    ("prefix", "operator", "expected"),
    [
        ("10.0.0.0/16", IN, True),
        ("10.0.1.0/24", IN, True),
        ("10.0.0.0/8", IN, False),
        ("10.1.0.0/24", IN, False),
        ("10.0.0.0/16", NOT_IN, False),
        ("10.0.1.0/24", NOT_IN, False),
        ("10.0.0.0/8", NOT_IN, True),
        ("10.0.0.0/16", EQUAL, True),
        ("10.0.1.0/24", EQUAL, False),
        ("10.0.0.0/16", NOT_EQUAL, False),
        ("10.0.1.0/24", NOT_EQUAL, True),
    ],
)
def test_prefix_operators(prefix: str, operator: MatchOperator, expected: bool) -> None:
    assert match_prefix(nlri(prefix), nlri("10.0.0.0/16"), operator) is expected


@pytest.mark.parametrize(
    ("prefix", "low", "high", "expected"),
    [
        ("10.0.0.0/16", None, 24, True),
        ("10.0.0.0/24", None, 24, True),
        ("10.0.0.0/25", None, 24, False),
        ("10.0.0.0/16", 20, None, False),
        ("10.0.0.0/32", 20, None, True),
        ("10.0.0.0/20", 20, 20, True),
        ("10.0.0.0/15", 8, 24, False),  # min below the network's own length does not widen it
        ("10.1.0.0/20", 20, 20, False),
        ("10.0.0.0/20", 21, 20, False),  # min above max never matches
    ],
)
def test_prefix_length_bounds_what_is_in(
    prefix: str, low: int | None, high: int | None, expected: bool
) -> None:
    bounds = {"min_length": low, "max_length": high}
    args = nlri(prefix), nlri("10.0.0.0/16")
    assert match_prefix(*args, IN, **bounds, is_set=True) is expected  # type: ignore[arg-type]  # keywords
    assert match_prefix(*args, NOT_IN, **bounds, is_set=True) is not expected  # type: ignore[arg-type]  # keywords


@pytest.mark.parametrize("prefix", ["10.0.0.0/16", "10.0.0.0/24", "192.0.2.0/24"])
def test_equal_with_a_prefix_length_never_matches_and_not_equal_always_does(prefix: str) -> None:
    """BIRD compares a prefix with a set of prefixes, which are never equal."""
    args = nlri(prefix), nlri("10.0.0.0/16")
    assert not match_prefix(*args, EQUAL, min_length=16, max_length=16, is_set=True)
    assert not match_prefix(*args, EQUAL, is_set=True)
    assert match_prefix(*args, NOT_EQUAL, min_length=16, is_set=True)


@given(nlris(within=3), nlris(within=3), st.integers(0, 32), st.integers(0, 32))
def test_in_agrees_with_the_standard_library(
    prefix: bytes, cidr: bytes, low: int, high: int
) -> None:
    inner, outer = (IPv4Network(show(Afi.IPV4, each)) for each in (prefix, cidr))
    inside = inner.subnet_of(outer)
    bounded = inside and max(outer.prefixlen, low) <= inner.prefixlen <= high
    assert match_prefix(prefix, cidr, IN) is inside
    assert match_prefix(prefix, cidr, IN, min_length=low, max_length=high) is bounded
    assert match_prefix(prefix, cidr, NOT_IN, min_length=low, max_length=high) is not bounded


def test_source_remote_peers_means_learned_over_bgp() -> None:
    assert match_source(EXTERNAL_PEER)
    assert not match_source(local())


@pytest.mark.parametrize(
    ("interface", "pattern", "expected"),
    [
        ("eth0", "eth0", True),
        ("eth0", "*", True),
        ("eth10", "eth*", True),
        ("vxlan.calico", "*.calico", True),
        ("vxlanxcalico", "*.calico", False),  # a dot is a dot
        ("eth0", "eth?", True),
        ("eth10", "eth?", False),
        ("eth0", "th*", False),  # the whole name
        ("eth0", "eth", False),
        ("", "*", True),  # a route without an interface has one without a name
        ("", "**", True),
        ("", "?", False),
        ("", "eth*", False),
    ],
)
def test_interface_wildcards(interface: str, pattern: str, expected: bool) -> None:
    assert match_interface(interface, pattern) is expected


def test_peer_type_is_that_of_the_session() -> None:
    assert match_peer_type(PeerType.INTERNAL, PeerType.INTERNAL)
    assert not match_peer_type(PeerType.INTERNAL, PeerType.EXTERNAL)


def test_a_community_matches_by_membership() -> None:
    made = attributes(communities=[1, 2], large=[(1, 2, 3)])
    assert match_communities(made, (2,))
    assert not match_communities(made, (3,))
    assert match_communities(made, ((1, 2, 3),))
    assert not match_communities(made, ((3, 2, 1),))
    assert match_communities(made, (3, (1, 2, 3)))


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [
        ([1, 2, 3], (1, 2), True),
        ([1, 2, 3], (1, 2, 3), True),
        ([1, 2, 3], (2,), False),
        ([1, 2], (1, 2, 3), False),
        ([], (1,), False),
        (as_path([1], {2, 3}, [4]), (1, 3, 4), True),
        (as_path([1], {2, 3}), (1, 2, 3), True),  # a set is any sequence of its members
        (as_path([1], {2, 3}), (1, 3, 3, 2), True),
        (as_path([1], {2, 3}, [4]), (1, 4), True),  # even an empty one
        (as_path([1], {2, 3}, {5}, [4]), (1, 4), True),
        (as_path([1], {2, 3}, [4]), (1, 2, 5), False),
        (as_path({2, 3}, [4]), (4,), True),
        (as_path({2, 3}), (3,), True),
    ],
)
def test_an_as_path_begins_with_the_sequence(
    path: list[int] | bytes, wanted: tuple[int, ...], expected: bool
) -> None:
    assert match_as_path_prefix(attributes(path), wanted) is expected


def test_a_priority_matches_the_local_pref_that_carries_it() -> None:
    assert match_priority(2147483647 - 512, 512)
    assert not match_priority(512, 512)


def test_an_expression_is_asked_about_the_whole_path() -> None:
    made = attributes(as_path([65001, 7], {8, 9}))
    assert match_as_path_regex(made, AsPathRegex("_7_"))
    assert match_as_path_regex(made, AsPathRegex(r"^65001 7 \{[89],[89]\}$"))
    assert not match_as_path_regex(made, AsPathRegex("_6500_"))


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), (9, False), (10, True), (20, True), (21, False)]
)
def test_a_number_within_bounds(value: int | None, expected: bool) -> None:
    assert match_range(value, (10, 20)) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("c000:200::", False),
        ("", False),
    ],
)
def test_an_address_lies_in_a_network_of_its_family(at: str, expected: bool) -> None:
    networks = ((4, nlri("192.0.2.0/24")), (16, nlri("2001:db8::1/128")))
    assert match_address(address(at), networks) is expected
