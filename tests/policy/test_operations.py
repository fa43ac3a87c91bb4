"""Operations of accepting rules, and priorities as LOCAL_PREF."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.attributes import Attribute
from policy.communities import CommunityPattern
from policy.operations import (
    NORMAL_PRIORITY,
    AddCommunity,
    AsOverride,
    Blackhole,
    NextHopWord,
    Operation,
    PrependAsPath,
    RemoveCommunities,
    RemovePrivateAs,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
    apply,
    asks_for_peers_as,
    drops_packets,
    local_pref_of,
    priority_of,
)
from tests.support.routes import address, as_path, attributes

EVERY: tuple[Operation, ...] = (
    AddCommunity(1),
    PrependAsPath((1,)),
    SetPriority(1),
    RemoveCommunities((1,)),
    SetLocalPref(1),
    SetMed(1),
    SetNextHop(NextHopWord.SELF),
    Blackhole(),
    AsOverride(),
    RemovePrivateAs(),
)


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


def test_operations_are_applied_in_their_order() -> None:
    changed = apply(attributes([65001]), (SetPriority(7), PrependAsPath((8,)), SetPriority(512)))
    assert changed.local_pref == local_pref_of(512)
    changed = apply(attributes([65001]), (PrependAsPath((8,)), PrependAsPath((9,))))
    assert changed.value(Attribute.AS_PATH) == as_path([9, 8, 65001])


def test_set_priority_sets_the_local_pref_that_carries_it() -> None:
    assert apply(attributes(), (SetPriority(512),)).local_pref == 2147483647 - 512


def test_next_hops_stay_as_they_are() -> None:
    made = attributes(next_hop="2001:db8::1", link_local="fe80::1")
    changed = apply(made, (SetPriority(1),))
    assert (changed.next_hop, changed.link_local) == (made.next_hop, made.link_local)


def test_med_and_local_pref_are_set_to_what_the_rule_says() -> None:
    changed = apply(attributes(med=7, local_pref=7), (SetMed(0), SetLocalPref(0xFFFFFFFF)))
    assert (changed.med, changed.local_pref) == (0, 0xFFFFFFFF)
    assert apply(attributes(), (SetLocalPref(1), SetPriority(2))).local_pref == local_pref_of(2)
    assert apply(attributes(), (SetPriority(2), SetLocalPref(1))).local_pref == 1


def test_communities_are_removed_by_name_and_by_pattern() -> None:
    made = attributes(communities=[1 << 16 | 1, 1 << 16 | 2, 2 << 16], large=[(1, 1, 1), (2, 1, 1)])
    named = apply(made, (RemoveCommunities((1 << 16 | 1, (2, 1, 1))),))
    assert named.communities == {1 << 16 | 2, 2 << 16}
    assert named.large_communities == {(1, 1, 1)}
    fitting = apply(made, (RemoveCommunities((CommunityPattern((1, None)),)),))
    assert fitting.communities == {2 << 16}
    assert fitting.large_communities == made.large_communities
    every = (CommunityPattern((None, None)), CommunityPattern((None, None, None)))
    bare = apply(made, (RemoveCommunities(every),))
    assert bare.value(Attribute.COMMUNITIES) is None
    assert bare.value(Attribute.LARGE_COMMUNITIES) is None


def test_what_is_added_may_be_removed_by_what_stands_behind() -> None:
    made, every = attributes(communities=[1]), RemoveCommunities((CommunityPattern((None, None)),))
    assert apply(made, (AddCommunity(2), every)).communities == set()
    assert apply(made, (every, AddCommunity(2))).communities == {2}


@pytest.mark.parametrize(
    "operation",
    [
        AddCommunity(1),
        RemoveCommunities((2, (1, 1, 1), CommunityPattern((9, None)))),
        SetMed(5),
        SetLocalPref(100),
        SetNextHop(address("192.0.2.1")),
        SetNextHop(NextHopWord.UNCHANGED),
        Blackhole(),
    ],
    ids=repr,
)
def test_what_changes_nothing_leaves_the_same_object(operation: Operation) -> None:
    made = attributes(communities=[1], med=5, local_pref=100)
    assert apply(made, (operation,)) is made


def test_a_next_hop_is_set_with_all_that_says_it() -> None:
    made = attributes(next_hop="192.0.2.1")
    changed = apply(made, (SetNextHop(address("192.0.2.7")),))
    assert changed.next_hop == changed.value(Attribute.NEXT_HOP) == address("192.0.2.7")
    wide = attributes(next_hop="2001:db8::1", link_local="fe80::1")
    changed = apply(wide, (SetNextHop(address("2001:db8::7")),))
    assert (changed.next_hop, changed.link_local) == (address("2001:db8::7"), b"")
    assert changed.value(Attribute.NEXT_HOP) is None
    peers = apply(made, (SetNextHop(NextHopWord.PEER_ADDRESS),), address("192.0.2.9"))
    assert peers.next_hop == address("192.0.2.9")
    last = (SetNextHop(address("192.0.2.7")), SetNextHop(address("192.0.2.8")))
    assert apply(made, last).next_hop == address("192.0.2.8")


def test_some_operations_ask_for_the_peers_as() -> None:
    asking = {type(each) for each in EVERY if asks_for_peers_as(each)}
    assert asking == {AsOverride, RemovePrivateAs}


def test_a_blackhole_is_told() -> None:
    assert drops_packets((SetMed(1), Blackhole()))
    assert not drops_packets((SetMed(1),))


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
