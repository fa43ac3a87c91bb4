"""Which next hops share traffic, and in which proportions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.path import Hop, NextHop
from speaker.kernel.nexthops import MAX_WEIGHT
from speaker.sharing import Members


def next_hop(number: int, *weights: int) -> NextHop:
    """Make a next hop behind as many hops as there are weights."""
    hops = tuple(
        Hop(2, bytes((10, 0, number, place)), "eth2", weight)
        for place, weight in enumerate(weights)
    )
    return NextHop(bytes((192, 0, 2, number)), hops=hops)


A, B, C = next_hop(1, 1), next_hop(2, 1), next_hop(3, 1)


def sharing(*shares: tuple[NextHop, int]) -> Members:
    return Members.of(Afi.IPV4, False, dict(shares))


def told(members: Members) -> dict[bytes, int]:
    return {hop.gateway[2:]: hop.weight for hop in members.hops()}


def test_only_what_weights_are_to_each_other_matters() -> None:
    assert sharing((A, 7), (B, 7)) == sharing((A, 1), (B, 1))
    assert sharing((A, 4), (B, 6)) == sharing((A, 2), (B, 3))
    assert sharing((A, 9)) == sharing((A, 1))
    assert sharing((A, 2), (B, 1)) != sharing((A, 1), (B, 2))


def test_whoever_is_left_keeps_its_proportion() -> None:
    three = sharing((A, 2), (B, 6), (C, 3))
    assert three.without([C]) == sharing((A, 1), (B, 3))
    assert three.without([A, B]) == sharing((C, 1))
    assert three.without([A, B, C]) is three


def test_hops_bring_their_own_weights_and_meet() -> None:
    recursive = next_hop(4, 1, 3)
    assert told(sharing((recursive, 2), (A, 5))) == {b"\4\0": 2, b"\4\1": 6, b"\1\0": 5}
    twice = NextHop(b"\xc0\x00\x02\x63", hops=A.hops)
    assert told(sharing((twice, 2), (A, 1), (B, 4))) == {b"\1\0": 3, b"\2\0": 4}


@given(st.lists(st.integers(1, 256), min_size=2, max_size=16))
def test_what_the_kernel_is_given_fits_and_keeps_the_proportions(weights: list[int]) -> None:
    members = sharing(*((next_hop(n, 1, 2), weight) for n, weight in enumerate(weights)))
    given_out = [hop.weight for hop in members.hops()]
    assert all(1 <= weight <= MAX_WEIGHT for weight in given_out)
    if not members.weights:
        return
    exact = {bytes((n, place)): w * (place + 1) for n, w in enumerate(weights) for place in (0, 1)}
    scale = Fraction(max(given_out), max(exact.values()))
    for gateway, weight in told(members).items():
        assert weight == pytest.approx(float(exact[gateway] * scale), abs=1.0)
