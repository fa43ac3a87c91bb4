"""The first of many rules about prefixes that holds: looked up as tried one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.dispatch import Dispatch, PrefixCondition
from policy.matching import MatchOperator, prefix_condition, prefix_test
from policy.prefix import Nlri
from tests.support.routes import nlri, nlris


@st.composite
def conditions(draw: st.DrawFn, afi: Afi) -> PrefixCondition:
    length = st.none() | st.integers(0, 32 if afi is Afi.IPV4 else 128)
    return prefix_condition(
        draw(nlris(afi, within=3)),
        draw(st.sampled_from(MatchOperator)),
        min_length=draw(length),
        max_length=draw(length),
        is_set=draw(st.booleans()),
    )


def one_by_one(rules: list[tuple[PrefixCondition, int]], prefix: Nlri) -> int:
    return next((decided for condition, decided in rules if prefix_test(condition)(prefix)), -1)


@given(st.data(), st.sampled_from([Afi.IPV4, Afi.IPV6]))
def test_a_look_up_finds_what_trying_one_by_one_finds(data: st.DataObject, afi: Afi) -> None:
    drawn = data.draw(st.lists(conditions(afi), max_size=20))
    # Alike decisions of several rules are one group.
    rules = [(condition, number % 7) for number, condition in enumerate(drawn)]
    prefixes = data.draw(st.lists(nlris(afi, within=3), max_size=20))
    prefixes += [condition.cidr for condition in drawn]
    expected = [one_by_one(rules, prefix) for prefix in prefixes]
    assert Dispatch(rules, -1).decide(prefixes) == expected


def test_rules_before_one_that_holds_elsewhere_come_first() -> None:
    inside, elsewhere = (
        PrefixCondition(nlri("10.0.0.0/8"), 8, 128, holds) for holds in (True, False)
    )
    longer = PrefixCondition(nlri("10.1.0.0/16"), 24, 24)
    prefixes = [nlri(text) for text in ("10.1.1.0/24", "10.1.0.0/16", "192.0.2.0/24")]
    rules = [(longer, "longer"), (elsewhere, "elsewhere"), (inside, "inside")]
    assert Dispatch(rules, "none").decide(prefixes) == ["longer", "inside", "elsewhere"]
    assert Dispatch(rules[:1], "none").decide(prefixes[1:]) == ["none", "none"]
