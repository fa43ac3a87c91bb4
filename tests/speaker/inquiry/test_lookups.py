"""What covers a prefix and what is inside it, without a walk of a large table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.prefix import Nlri, address_of, covers
from speaker.inquiry import lookups
from speaker.inquiry.lookups import Inside, covering, inside, longest
from tests.support.routes import nlri, nlris

TABLE = [nlri(text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24")]


def test_the_longest_that_covers() -> None:
    has = TABLE.__contains__
    address = bytes((10, 1, 2, 3))
    assert longest(Afi.IPV4, address, 32, has) == nlri("10.1.2.0/24")
    assert longest(Afi.IPV4, address, 23, has) == nlri("10.1.0.0/16")
    assert covering(Afi.IPV4, nlri("10.1.2.0/24"), has) == nlri("10.1.0.0/16")
    assert covering(Afi.IPV4, nlri("0.0.0.0/0"), has) is None
    assert longest(Afi.IPV4, address, 32, set().__contains__) is None


def test_what_is_inside() -> None:
    found = inside(Afi.IPV4, nlri("10.0.0.0/8"), TABLE)
    assert found == Inside([nlri("10.1.0.0/16"), nlri("10.1.2.0/24")], True)


def test_of_a_large_table_the_next_lengths_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKED_THROUGH", 0)
    table = dict.fromkeys([*TABLE, nlri("10.1.2.128/25")])
    # Down to /19, and not as far as /24.
    assert inside(Afi.IPV4, nlri("10.0.0.0/8"), table) == Inside([nlri("10.1.0.0/16")], False)
    below = inside(Afi.IPV4, nlri("10.1.0.0/22"), table)
    assert below == Inside([nlri("10.1.2.0/24"), nlri("10.1.2.128/25")], True)
    monkeypatch.setattr(lookups, "LOOKED_THROUGH", 4)
    assert len(inside(Afi.IPV4, nlri("10.0.0.0/8"), table).found) == 2


@given(st.lists(nlris(within=2), max_size=30, unique=True), nlris(within=2))
def test_they_agree_with_a_walk(table: list[Nlri], prefix: Nlri) -> None:
    above = [each for each in table if each != prefix and covers(each, prefix)]
    expected = max(above, key=lambda each: each[0], default=None)
    assert covering(Afi.IPV4, prefix, table.__contains__) == expected
    below = sorted(each for each in table if each != prefix and covers(prefix, each))
    assert inside(Afi.IPV4, prefix, table) == Inside(below, True)
    assert longest(Afi.IPV4, address_of(Afi.IPV4, prefix), prefix[0], table.__contains__) == (
        prefix if prefix in table else expected
    )
