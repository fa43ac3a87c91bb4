"""Which nodes a selector chooses: sets of nodes, with `Selector.matches` as the referee."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from speaker.config.census import Census, members_of
from speaker.config.selectors import All, And, Compare, Has, InSet, Not, Operator, Or, Selector

names = st.sampled_from(["a", "b", "rack"])
values = st.sampled_from(["", "x", "xy", "y", "zxy"])
labels = st.lists(st.dictionaries(names, values), max_size=70)
leaves = st.one_of(
    st.builds(All, st.sampled_from(["all", "global"])),
    st.builds(Has, names),
    st.builds(Compare, names, st.sampled_from(Operator), values),
    st.builds(InSet, names, st.lists(values, max_size=3).map(tuple), st.booleans()),
)
selectors = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=6,
).map(Selector)


@given(labels, selectors)
def test_a_census_chooses_whom_the_selector_matches(
    nodes: list[dict[str, str]], selector: Selector
) -> None:
    census = Census(nodes)
    chosen = [number for number, node in enumerate(nodes) if selector.matches(node)]
    assert list(members_of(census.chosen(selector))) == chosen
    assert list(members_of(census.chosen(selector))) == chosen
