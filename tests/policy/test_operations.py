"""Operations of accepting rules, and priorities as LOCAL_PREF."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.attributes import Attribute
from policy.operations import (
    NORMAL_PRIORITY,
    AddCommunity,
    PrependAsPath,
    SetPriority,
    apply,
    local_pref_of,
    priority_of,
)
from tests.support.routes import as_path, attributes


def test_without_operations_the_attributes_stay_the_same_object() -> None:
    made = attributes()
    assert apply(made, ()) is made


def test_add_community_keeps_what_is_there() -> None:
    made = attributes(communities=[1], large=[(1, 1, 1)])
    changed = apply(made, (AddCommunity(2), AddCommunity((2, 2, 2)), AddCommunity(1)))
    assert changed.communities == {1, 2}
    assert changed.large_communities == {(1, 1, 1), (2, 2, 2)}


def test_prepending_makes_the_path_begin_with_the_list_in_its_order() -> None:
    changed = apply(attributes([65001]), (PrependAsPath((7, 8)), PrependAsPath((6,))))
    assert changed.value(Attribute.AS_PATH) == as_path([6, 7, 8, 65001])
    assert changed.as_path_length == 4


def test_set_priority_sets_the_local_pref_that_carries_it() -> None:
    assert apply(attributes(), (SetPriority(512),)).local_pref == 2147483647 - 512


def test_next_hops_stay_as_they_are() -> None:
    made = attributes(next_hop="2001:db8::1", link_local="fe80::1")
    changed = apply(made, (SetPriority(1),))
    assert (changed.next_hop, changed.link_local) == (made.next_hop, made.link_local)


def test_operations_are_values() -> None:
    assert hash((AddCommunity(1), PrependAsPath((1,)))) == hash(
        (AddCommunity(1), PrependAsPath((1,)))
    )


@pytest.mark.parametrize(
    ("priority", "local_pref"),
    [(NORMAL_PRIORITY, 2147482623), (2147483547, 100), (1, 2147483646), (2147483648, 0xFFFFFFFF)],
)
def test_local_pref_and_priority_add_up(priority: int, local_pref: int) -> None:
    assert local_pref_of(priority) == local_pref
    assert priority_of(local_pref) == priority


@given(st.integers(0, 0xFFFFFFFF))
def test_every_local_pref_carries_one_priority(local_pref: int) -> None:
    assert local_pref_of(priority_of(local_pref)) == local_pref
