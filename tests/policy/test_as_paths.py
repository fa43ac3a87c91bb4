"""AS_PATHs with another AS in the place of one, and without private ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.as_paths import is_private, overridden, without_private
from policy.attributes import segments
from tests.support.routes import as_path

Segment: TypeAlias = Sequence[int] | set[int]
PUBLIC, OTHER, PRIVATE, WIDE = 3333, 1299, 64600, 4200000001


@pytest.mark.parametrize(
    ("asn", "wanted"),
    [
        (64511, False),
        (64512, True),
        (65534, True),
        (65535, False),
        (4199999999, False),
        (4200000000, True),
        (4294967294, True),
        (4294967295, False),
    ],
)
def test_which_numbers_are_private(asn: int, wanted: bool) -> None:
    assert is_private(asn) is wanted


def test_an_as_gives_way_wherever_it_stands() -> None:
    value = as_path([1, 2, 1], {1, 9, 3}, [1])
    assert overridden(value, 1, 9) == as_path([9, 2, 9]) + as_path([9, 3]).replace(
        b"\2", b"\1", 1
    ) + as_path([9])
    assert overridden(value, 7, 9) == value


@pytest.mark.parametrize(
    ("path", "leading", "all_of_them"),
    [
        ([[PRIVATE, PUBLIC]], [[PUBLIC]], [[PUBLIC]]),
        ([[PUBLIC, PRIVATE]], [[PUBLIC, PRIVATE]], [[PUBLIC]]),
        ([[PRIVATE, WIDE, PUBLIC, PRIVATE]], [[PUBLIC, PRIVATE]], [[PUBLIC]]),
        ([[PRIVATE, WIDE]], [], []),
        ([[PUBLIC, OTHER]], [[PUBLIC, OTHER]], [[PUBLIC, OTHER]]),
        ([[PRIVATE], {PRIVATE}, [WIDE, PUBLIC]], [[PUBLIC]], [[PUBLIC]]),
        ([], [], []),
    ],
)
def test_private_numbers_are_left_out(
    path: list[Segment], leading: list[Segment], all_of_them: list[Segment]
) -> None:
    value = as_path(*path)
    assert without_private(value, everywhere=False) == as_path(*leading)
    assert without_private(value, everywhere=True) == as_path(*all_of_them)


def test_ours_may_stand_in_their_place() -> None:
    value = as_path([PRIVATE, WIDE, PUBLIC, PRIVATE])
    assert without_private(value, everywhere=True, replacement=OTHER) == as_path(
        [OTHER, OTHER, PUBLIC, OTHER]
    )
    assert without_private(value, everywhere=False, replacement=OTHER) == as_path(
        [OTHER, OTHER, PUBLIC, PRIVATE]
    )
    assert without_private(as_path({PRIVATE, WIDE}), everywhere=True, replacement=OTHER) == as_path(
        {OTHER}
    )


def test_the_peers_own_number_is_spared() -> None:
    value = as_path([PRIVATE, WIDE, PUBLIC])
    assert without_private(value, everywhere=True, spared=WIDE) == as_path([WIDE, PUBLIC])
    assert without_private(value, everywhere=False, spared=PRIVATE) == as_path([PRIVATE, PUBLIC])


def test_confederations_keep_their_numbers() -> None:
    confederation = bytes.fromhex("0301") + PRIVATE.to_bytes(4, "big")
    value = confederation + as_path([PRIVATE, PUBLIC])
    assert without_private(value, everywhere=True) == confederation + as_path([PUBLIC])
    assert overridden(value, PRIVATE, OTHER) == confederation + as_path([OTHER, PUBLIC])


@given(st.lists(st.sampled_from([PUBLIC, OTHER, PRIVATE, WIDE]), max_size=8), st.booleans())
def test_public_numbers_stay_in_their_order(numbers: list[int], everywhere: bool) -> None:
    value = as_path(numbers) if numbers else b""
    parts = segments(without_private(value, everywhere=everywhere))
    left = [number for _, found in parts for number in found]
    public = [number for number in numbers if not is_private(number)]
    assert [number for number in left if not is_private(number)] == public
    if everywhere:
        assert left == public
    elif public:
        assert left == numbers[numbers.index(public[0]) :]
    else:
        assert left == []
