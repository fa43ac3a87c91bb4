"""Whatever comes out of a socket ends in a verdict or in an error of BGP, and in nothing else."""

from __future__ import annotations

from itertools import product

import pytest

from tests.support.fuzzing import Mutator, Target, captured, corpus
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.heavy

CASES = 100_000
"""Of each kind of session; together more than 200 000."""

KINDS = list(product((False, True), (True, False)))


@pytest.mark.parametrize(("internal", "four_octet_as"), KINDS)
def test_messages_that_went_wrong_are_judged_and_nothing_else(
    internal: bool, four_octet_as: bool
) -> None:
    target = Target(internal=internal, four_octet_as=four_octet_as)
    kept = sum(
        target.take(octets) for octets in Mutator(2 * internal + four_octet_as).messages(CASES)
    )
    # Both must be met often, or the mutations are too wild or too tame to find anything.
    assert CASES * 0.2 < kept < CASES * 0.9


def test_messages_with_path_identifiers_are_judged_and_nothing_else() -> None:
    """RFC 7911, and RFC 8950 on the same session."""
    target = Target(internal=False, four_octet_as=True, several=True)
    messages = Mutator(4, several=True).messages(CASES)
    assert CASES * 0.2 < sum(map(target.take, messages)) < CASES * 0.9


def test_there_are_enough_of_them() -> None:
    assert CASES * len(KINDS) >= 200_000


def test_messages_of_other_daemons_are_among_the_seeds_and_are_understood() -> None:
    found = captured()
    assert set(found.values()) == {"bird", "frr", "gobgp", "openbgpd"}
    assert {octets[18] for octets in found} == {1, 2, 3, 4}
    assert set(found) <= set(corpus())
    for octets in found:
        heard = Pipeline()
        heard.feed(octets)
        assert not heard.is_over, octets.hex()


def test_a_seed_gives_the_same_messages_again() -> None:
    assert list(Mutator(7).messages(50)) == list(Mutator(7).messages(50))
    assert list(Mutator(7).messages(50)) != list(Mutator(8).messages(50))
