"""Which of a set of prefixes cover a given one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.covering import Covering
from policy.prefix import Nlri, covers
from tests.support.routes import nlri, nlris


def gathered(pairs: list[tuple[Nlri, int]]) -> Covering[int, tuple[int, ...]]:
    return Covering(pairs, lambda _, values: values)


@given(st.data(), st.sampled_from([Afi.IPV4, Afi.IPV6]))
def test_the_result_has_the_values_of_all_that_cover_in_their_order(
    data: st.DataObject, afi: Afi
) -> None:
    prefixes = data.draw(st.lists(nlris(afi, within=3), max_size=20))
    asked = data.draw(nlris(afi, within=3))
    expected = tuple(i for i, prefix in enumerate(prefixes) if covers(prefix, asked))
    found = gathered([(prefix, i) for i, prefix in enumerate(prefixes)]).find(asked)
    assert (found or ()) == expected


def test_what_nothing_covers_has_no_result() -> None:
    assert gathered([(nlri("10.0.0.0/8"), 1)]).find(nlri("11.0.0.0/8")) is None
    assert gathered([]).find(nlri("0.0.0.0/0")) is None


def test_the_result_knows_the_longest_prefix_that_covers() -> None:
    names: Covering[int, Nlri] = Covering(
        [(nlri("10.0.0.0/8"), 1), (nlri("10.1.0.0/16"), 2)], lambda prefix, _: prefix
    )
    assert names.find(nlri("10.1.2.0/24")) == nlri("10.1.0.0/16")
    assert names.find(nlri("10.2.0.0/24")) == nlri("10.0.0.0/8")
