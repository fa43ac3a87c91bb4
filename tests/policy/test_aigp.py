"""The accumulated metric."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy.aigp import accumulate, aigp_value, metric

metrics = st.integers(0, (1 << 64) - 1)


@given(metrics, st.integers(0, 0xFFFFFFFF), st.binary(max_size=6))
def test_distances_add_up_and_other_tlvs_stay(total: int, distance: int, other: bytes) -> None:
    before = b"\x07" + (3 + len(other)).to_bytes(2, "big") + other
    grown = accumulate(before + aigp_value(total) + before, distance)
    assert metric(grown) == min(total + max(distance, 1), (1 << 64) - 1)
    assert (grown[: len(before)], grown[-len(before) :]) == (before, before)


@given(st.binary(max_size=40))
def test_octets_without_a_metric_are_left_alone(octets: bytes) -> None:
    if metric(octets) is None:
        assert accumulate(octets, 9) is octets
