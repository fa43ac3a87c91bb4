"""The way in for one peer: the filter first, the node's own policy for what it leaves undecided."""

from __future__ import annotations

import pytest

from policy.attributes import PathAttributes
from policy.calico import URGENT_PREFERENCE, BuiltinPolicy
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import (
    AddCommunity,
    Blackhole,
    NextHopWord,
    Operation,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
    local_pref_of,
)
from policy.path import NextHop, Path, PeerType
from policy.ranking import rank
from policy.rules import Action, Direction, Rule, Scope
from speaker.rib.import_policy import ImportPolicy
from tests.support.builders import few_prefixes
from tests.support.routes import address, peer, route

ONE, TWO, THREE = few_prefixes(3)
IMPORT = Scope(PeerType.EXTERNAL, Direction.IMPORT)
URGENT = route(local_pref=local_pref_of(512))
PLAIN = route()


def policy(*rules: Rule, builtin: bool = False) -> ImportPolicy:
    chain = Filter(rules) if rules else None
    return ImportPolicy(chain, BuiltinPolicy() if builtin else None, IMPORT)


def test_without_rules_a_path_is_used_as_it_is() -> None:
    assert policy().apply(PLAIN, [ONE, TWO]) == [(PLAIN, [ONE, TWO])]


@pytest.mark.parametrize("builtin", [False, True])
def test_where_no_rule_decides_a_path_is_accepted(builtin: bool) -> None:
    made = policy(Rule(Action.REJECT, communities=(9,)), builtin=builtin)
    assert made.apply(PLAIN, [ONE, TWO]) == [(PLAIN, [ONE, TWO])]


def test_prefixes_are_sorted_by_what_becomes_of_the_path() -> None:
    mark = Rule(Action.ACCEPT, ONE, MatchOperator.EQUAL, operations=(AddCommunity(9),))
    refuse = Rule(Action.REJECT, TWO, MatchOperator.EQUAL)
    (marked, first), (refused, second), (plain, third) = policy(mark, refuse).apply(
        PLAIN, [ONE, TWO, THREE]
    )
    assert (first, second, third) == ([ONE], [TWO], [THREE])
    assert (refused, plain) == (None, PLAIN)
    assert marked is not None
    assert marked.attributes.communities == {9}
    assert (marked.source, marked.next_hop) == (PLAIN.source, PLAIN.next_hop)


def test_one_path_becomes_one_path_however_often_it_is_asked() -> None:
    made = policy(Rule(Action.ACCEPT, operations=(AddCommunity(9),)))
    ((first, _),) = made.apply(PLAIN, [ONE])
    ((second, _),) = made.apply(PLAIN, [TWO])
    assert first is second
    assert list(made.paths()) == [first]


def test_sweeping_keeps_what_stands_in_a_table_received_or_used() -> None:
    made = policy(Rule(Action.ACCEPT, operations=(AddCommunity(9),)))
    other = route()
    ((used, _),) = made.apply(PLAIN, [ONE])
    made.apply(other, [TWO])
    assert used is not None
    assert made.sweep({used}) == {PLAIN}
    assert list(made.paths()) == [used]
    assert made.sweep({PLAIN}) == {PLAIN}
    assert made.sweep(set()) == set()
    assert len(made) == 0


def test_a_changed_path_is_ranked_anew() -> None:
    ((used, _),) = policy(Rule(Action.ACCEPT, operations=(SetPriority(7),))).apply(PLAIN, [ONE])
    assert used is not None
    assert used.rank == rank(used) < PLAIN.rank


def test_the_node_prefers_urgent_routes_that_no_rule_decided() -> None:
    elsewhere = Rule(Action.REJECT, TWO, MatchOperator.EQUAL)
    for made in (policy(builtin=True), policy(elsewhere, builtin=True)):
        ((used, _),) = made.apply(URGENT, [ONE])
        assert used is not None
        assert used.preference == URGENT_PREFERENCE
        assert made.apply(PLAIN, [ONE]) == [(PLAIN, [ONE])]


def test_a_rule_that_accepts_comes_before_the_nodes_own_policy() -> None:
    assert policy(Rule(Action.ACCEPT), builtin=True).apply(URGENT, [ONE]) == [(URGENT, [ONE])]


def leading(*operations: Operation) -> ImportPolicy:
    """Make a policy with next hops that are found by their addresses."""
    chain = Filter([Rule(Action.ACCEPT, operations=operations)])
    found: dict[bytes, NextHop] = {}

    def resolve(attributes: PathAttributes) -> NextHop:
        return found.setdefault(attributes.next_hop, NextHop(attributes.next_hop, cost=7))

    return ImportPolicy(chain, None, IMPORT, resolve=resolve)


def used(made: ImportPolicy, path: Path = PLAIN) -> Path:
    ((found, _),) = made.apply(path, [ONE])
    assert found is not None
    return found


def test_a_next_hop_that_is_set_is_resolved_like_one_that_came() -> None:
    found = used(leading(SetNextHop(address("192.0.2.7"))))
    assert (found.next_hop.address, found.next_hop.cost) == (address("192.0.2.7"), 7)
    assert found.attributes.next_hop == address("192.0.2.7")
    peers = route(peer(at="192.0.2.9"), next_hop="192.0.2.200")
    found = used(leading(SetNextHop(NextHopWord.PEER_ADDRESS)), peers)
    assert found.next_hop.address == address("192.0.2.9")


def test_a_next_hop_that_is_the_same_is_not_resolved_again() -> None:
    assert used(leading(SetNextHop(PLAIN.attributes.next_hop))) is PLAIN


def test_a_blackhole_drops_packets_and_says_nothing_to_others() -> None:
    found = used(leading(Blackhole()))
    assert found.blackhole
    assert found.attributes is PLAIN.attributes


def test_other_operations_with_the_same_outcome_leave_the_path_in_use() -> None:
    first = leading(SetMed(9))
    before = used(first)
    second = leading(SetMed(7), SetMed(9))
    second.succeed(first)
    assert used(second) is before
    second.forget_former()
    third = leading(SetMed(9), SetLocalPref(300))
    third.succeed(second)
    assert used(third) is not before
    fourth = leading(SetMed(9), Blackhole())
    fourth.succeed(second)
    assert used(fourth) is not before
