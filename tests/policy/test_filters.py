"""Chains of rules: first match decides, in batches as for one prefix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.as_path_regex import AsPathRegex
from policy.communities import CommunityPattern
from policy.filters import KEPT, Filter, compile_filter
from policy.matching import MatchOperator, match_prefix
from policy.operations import (
    AddCommunity,
    AsOverride,
    Ends,
    PrependAsPath,
    RemovePrivateAs,
    SetMed,
)
from policy.path import Hop, Path, PeerType
from policy.prefix import Nlri
from policy.rules import (
    NO_MATCH,
    Action,
    Direction,
    Rule,
    Scope,
    Verdict,
    effective_local_pref,
    holds,
)
from policy.tracing import Asked, trace
from policy.vrps import Origins, Validity, Vrps, VrpTable
from tests.support.routes import EXTERNAL_PEER, INTERNAL_PEER, local, next_hop, nlri, nlris, route

EXPORT = Scope(PeerType.EXTERNAL, Direction.EXPORT)
INTERNAL_EXPORT = Scope(PeerType.INTERNAL, Direction.EXPORT, normal_priority=1024)
PREFIXES = [nlri("10.0.0.0/24"), nlri("10.0.1.0/24"), nlri("192.0.2.0/24")]


def accept(**conditions: Any) -> Rule:
    return Rule(Action.ACCEPT, **conditions)


def reject(**conditions: Any) -> Rule:
    return Rule(Action.REJECT, **conditions)


def inside(text: str, **more: Any) -> dict[str, Any]:
    return {"cidr": nlri(text), "operator": MatchOperator.IN, **more}


def decide(
    rules: list[Rule], path: Path, prefix: str = "10.0.0.0/24", scope: Scope = EXPORT
) -> Verdict:
    [(verdict, _)] = Filter(rules).partition([nlri(prefix)], path, scope)
    return verdict


def test_no_rules_make_no_filter() -> None:
    assert compile_filter([]) is None
    assert compile_filter([accept()]) == Filter([accept()])


def test_the_first_rule_that_holds_decides() -> None:
    rules = [reject(communities=(9,)), accept(origin="here"), reject()]
    verdict = decide(rules, route())
    assert (verdict.accepted, verdict.reason) == (True, "here")


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = accept(source_remote_peers=True, communities=(9,))
    assert decide([rule], route(communities=[9])).accepted
    assert decide([rule], route(communities=[8])) is NO_MATCH
    assert decide([rule], route(local(), communities=[9])) is NO_MATCH


def knowing(**said: int) -> Scope:
    """Make a scope in which the tens of a prefix's second octet say who may originate it."""
    vrps, table = Vrps(Afi.IPV4), VrpTable(Afi.IPV4)
    for word, asn in said.items():
        table.add(nlri(f"10.{word.removeprefix('net')}.0.0/16"), 24, asn)
    vrps.put("cache", table)
    return Scope(PeerType.EXTERNAL, Direction.IMPORT, origins=Origins(vrps, 64512))


VALID, INVALID, NOT_FOUND = "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"


@pytest.mark.parametrize("wanted", Validity)
def test_what_rpki_says_is_asked_for_each_prefix(wanted: Validity) -> None:
    """RFC 6811 §2."""
    prefixes = [nlri(text) for text in (VALID, INVALID, NOT_FOUND)]
    path = route(path=(65001, 7))
    parts = Filter([accept(rpki=wanted)]).partition(prefixes, path, knowing(net1=7, net2=8))
    [(verdict, found)] = [part for part in parts if part[0] is not NO_MATCH]
    assert verdict.accepted
    assert found == [prefixes[list(Validity).index(wanted)]]


def test_validity_is_asked_where_all_else_holds_and_by_the_vrps_of_the_moment() -> None:
    rules = [
        reject(rpki=Validity.INVALID, communities=(9,), origin="marked"),
        reject(rpki=Validity.INVALID, **inside("10.2.0.0/16"), origin="inside"),
    ]
    scope = knowing(net1=8, net2=8)
    assert decide(rules, route(communities=[9]), VALID, scope).reason == "marked"
    assert decide(rules, route(), VALID, scope) is NO_MATCH
    assert decide(rules, route(), INVALID, scope).reason == "inside"
    filter_, path = Filter(rules), route()
    assert filter_.partition([nlri(INVALID)], path, scope)[0][0] is not NO_MATCH
    assert scope.origins is not None
    scope.origins.vrps.put("cache", None)
    assert filter_.partition([nlri(INVALID)], path, scope)[0][0] is NO_MATCH


def test_our_own_routes_come_from_our_as() -> None:
    scope = knowing(net1=64512, net2=8)
    rules = [accept(rpki=Validity.VALID)]
    assert decide(rules, route(local(), path=()), VALID, scope).accepted
    assert decide(rules, route(local(), path=()), INVALID, scope) is NO_MATCH


def leaving(peer_asn: int, **said: int) -> Scope:
    """Make a scope of the way out to an external peer; our own AS is 64512."""
    return replace(
        knowing(**said), direction=Direction.EXPORT, ends=Ends(local_asn=64512, peer_asn=peer_asn)
    )


PRIVATE = {"operations": (RemovePrivateAs(everywhere=True),)}
INVALID_GO = reject(rpki=Validity.INVALID, origin="invalid")


@pytest.mark.parametrize(
    ("rules", "decides"),
    [
        # The customer's private AS is not in any VRP, ours is: what leaves without it is Valid.
        ([INVALID_GO, accept(**PRIVATE, origin="all")], "all"),
        ([INVALID_GO, accept(origin="all")], "invalid"),
        ([INVALID_GO, accept(**inside("10.1.0.0/16"), **PRIVATE, origin="some")], "some"),
        ([INVALID_GO, accept(**inside("10.2.0.0/16"), **PRIVATE, origin="some")], "invalid"),
        ([INVALID_GO, reject(origin="rest"), accept(**PRIVATE)], "invalid"),
        ([accept(rpki=Validity.VALID, **PRIVATE, origin="valid"), accept()], "valid"),
        ([accept(rpki=Validity.VALID, origin="valid"), accept(**PRIVATE, origin="all")], "all"),
        ([accept(rpki=Validity.INVALID, **PRIVATE), accept(origin="all")], "all"),
        # Another rule of that kind says nothing about what would be announced.
        ([reject(rpki=Validity.VALID, origin="valid"), INVALID_GO, accept(**PRIVATE)], "valid"),
    ],
)
def test_on_export_the_origin_counts_that_the_peer_would_see(
    rules: list[Rule], decides: str
) -> None:
    """RFC 8893 §3."""
    scope, path = leaving(7, net1=64512), route(path=(64600,))
    assert decide(rules, path, VALID, scope).reason == decides
    found = trace(Filter(rules), Asked(Afi.IPV4, nlri(VALID), path, scope))
    assert found.decided is not None
    assert found.decided.origin == decides


def test_other_operations_on_the_path_count_for_its_origin_too() -> None:
    ours, theirs = leaving(64600, net1=64512), leaving(64600, net1=7)
    override, prepend = (
        accept(operations=(AsOverride(),)),
        accept(operations=(PrependAsPath((7,)),)),
    )
    for rule, path, scope in (
        (override, route(path=(8, 64600)), ours),
        (prepend, route(local(), path=()), theirs),
    ):
        assert decide([INVALID_GO, rule], path, VALID, scope).accepted
        assert not decide([INVALID_GO, accept()], path, VALID, scope).accepted
    # Towards our own AS private numbers stay, and on import nothing has been changed yet.
    for scope in (leaving(64512, net1=64512), knowing(net1=64512)):
        rules = [INVALID_GO, accept(**PRIVATE)]
        assert not decide(rules, route(path=(64600,)), VALID, scope).accepted


def test_a_miss_says_of_which_origin_rpki_has_spoken() -> None:
    rules = [INVALID_GO, accept(**PRIVATE)]
    asked = Asked(Afi.IPV4, nlri(VALID), route(path=(64600,)), leaving(7, net1=64512))
    [miss] = trace(Filter(rules), asked).misses
    assert miss.words == "RPKI says Valid of 10.1.0.0/24 from AS 64512, not Invalid"


def test_without_anybody_who_knows_every_route_is_not_found() -> None:
    """RFC 6811 §2."""
    assert decide([accept(rpki=Validity.NOT_FOUND)], route()).accepted
    assert decide([accept(rpki=Validity.NOT_FOUND, **inside("11.0.0.0/8"))], route()) is NO_MATCH
    assert decide([accept(rpki=Validity.VALID)], route()) is NO_MATCH
    assert decide([accept(rpki=Validity.INVALID)], route()) is NO_MATCH


def test_filters_that_ask_what_rpki_says_are_equal_by_their_rules() -> None:
    asks, other = Filter([accept(rpki=Validity.VALID)]), Filter([accept(rpki=Validity.INVALID)])
    assert asks == Filter([accept(rpki=Validity.VALID, origin="elsewhere")])
    assert asks != other
    assert asks != Filter([accept()])
    assert [each.asks_for_validity for each in (asks, Filter([accept()]))] == [True, False]


def test_behind_a_rule_without_conditions_all_rules_are_dead() -> None:
    rules = [reject(**inside("192.0.2.0/24")), accept(), reject(), reject(communities=(9,))]
    assert decide(rules, route()).accepted
    assert decide(rules, route(communities=[9])).accepted
    assert not decide(rules, route(), "192.0.2.0/25").accepted


def test_where_no_rule_holds_there_is_no_match() -> None:
    assert decide([reject(**inside("192.0.2.0/24"))], route()) is NO_MATCH


def test_a_verdict_carries_the_operations_of_an_accepting_rule_only() -> None:
    operations = (AddCommunity(7),)
    assert decide([accept(operations=operations)], route()).operations == operations
    assert decide([reject(operations=operations)], route()).operations == ()


@pytest.mark.parametrize(
    ("rule", "matching", "other"),
    [
        (accept(source_remote_peers=True), route(), route(local())),
        (accept(communities=((1, 2, 3),)), route(large=[(1, 2, 3)]), route()),
        (
            accept(communities=(1, 2), every_community=True),
            route(communities=[1, 2]),
            route(communities=[1]),
        ),
        (accept(as_path_regex=AsPathRegex("_7$")), route(path=[65001, 7]), route(path=[7, 1])),
        (accept(med=(5, 9)), route(med=9), route()),
        (accept(local_pref=(100, 100)), route(), route(local_pref=101)),
        (accept(next_hops=((4, nlri("192.0.2.0/24")),)), route(), route(next_hop="192.0.3.1")),
        (accept(neighbors=((4, nlri("192.0.2.1/32")),)), route(), route(local())),
        (accept(as_path_prefix=(65001,)), route(path=[65001, 2]), route(path=[2, 65001])),
        (accept(priority=2147483547), route(), route(local_pref=200)),
        (accept(interface="eth*"), route(via=next_hop(interface="eth3")), route()),
    ],
)
def test_conditions_on_the_path(rule: Rule, matching: Path, other: Path) -> None:
    assert decide([rule], matching).accepted
    assert decide([rule], other) is NO_MATCH


def test_peer_type_asks_the_session_and_not_the_source() -> None:
    rule = accept(peer_type=PeerType.EXTERNAL)
    assert decide([rule], route(INTERNAL_PEER), scope=EXPORT).accepted
    assert decide([rule], route(EXTERNAL_PEER), scope=INTERNAL_EXPORT) is NO_MATCH


def test_priority_of_a_route_made_here_is_its_metric_or_the_normal_one() -> None:
    rule = accept(priority=1024)
    assert decide([rule], route(local()), scope=INTERNAL_EXPORT).accepted
    assert decide([rule], route(local(), metric=5), scope=INTERNAL_EXPORT) is NO_MATCH
    assert decide([accept(priority=5)], route(local(), metric=5), scope=INTERNAL_EXPORT).accepted
    assert decide([rule], route(local()), scope=EXPORT) is NO_MATCH


def test_effective_local_pref_is_the_default_where_none_came() -> None:
    """RFC 4271 §9.1.1."""
    assert effective_local_pref(route()) == 100
    assert effective_local_pref(route(), 1024) == 100
    assert effective_local_pref(route(local_pref=7), 1024) == 7
    assert effective_local_pref(route(local()), 1024) == 2147482623
    assert effective_local_pref(route(local(), metric=0), 1024) == 2147483647


def test_one_verdict_for_all_gives_back_the_list_itself() -> None:
    chain = Filter([reject(communities=(9,)), accept()])
    [(verdict, prefixes)] = chain.partition(PREFIXES, route(), EXPORT)
    assert verdict.accepted
    assert prefixes is PREFIXES
    [(_, prefixes)] = Filter([accept(**inside("0.0.0.0/0"))]).partition(PREFIXES, route(), EXPORT)
    assert prefixes is PREFIXES


def test_whatever_asks_about_the_path_alone_costs_nothing_per_prefix() -> None:
    rules = [
        reject(as_path_regex=AsPathRegex("_7_"), reason="a detour"),
        reject(communities=(1, CommunityPattern((9, None))), every_community=True),
        reject(med=(5, 9), neighbors=((4, nlri("192.0.2.0/24")),)),
        accept(local_pref=(0, 99), next_hops=((4, nlri("192.0.2.0/24")),)),
        accept(operations=(SetMed(5), RemovePrivateAs())),
    ]
    for path in (route(), route(path=[7]), route(med=6), route(local_pref=5)):
        ((_, found),) = Filter(rules).partition(PREFIXES, path, EXPORT)
        assert found is PREFIXES


MARKED = route(communities=[1], path=[7, 8])


@pytest.mark.parametrize(
    ("rules", "others", "marked"),
    [
        ([reject(communities=(1,)), accept(as_path_prefix=(7, 9))], True, False),
        ([reject(communities=(1, 2), every_community=True, **inside("10.0.0.0/8"))], True, False),
        ([reject(communities=(1, 2))], False, False),
        ([reject(communities=(1,)), reject(med=(5, 9))], False, False),
        ([reject(communities=(1,)), reject(**inside("10.0.0.0/8"))], False, False),
        ([reject(communities=(1,)), accept()], False, False),
    ],
)
def test_that_no_rule_holds_is_told_at_a_glance_where_every_rule_leaves_a_trace(
    rules: list[Rule], others: bool, marked: bool
) -> None:
    chain = Filter(rules)
    assert (chain.passes_over(route()), chain.passes_over(MARKED)) == (others, marked)


@pytest.mark.parametrize(
    ("rule", "alone"),
    [
        (reject(communities=(1,), med=(5, 9)), True),
        (reject(**inside("10.0.0.0/8")), False),
        (reject(interface="eth*"), False),
        (reject(rpki=Validity.INVALID), False),
    ],
)
def test_a_filter_tells_whether_it_asks_for_paths_alone(rule: Rule, alone: bool) -> None:
    assert Filter([accept(communities=(5,)), rule]).asks_paths_alone is alone


def test_prefixes_are_grouped_by_verdict_in_their_order() -> None:
    rules = [reject(**inside("10.0.1.0/24"), origin="no"), accept(**inside("10.0.0.0/8"))]
    parts = Filter(rules).partition(PREFIXES, route(), EXPORT)
    assert [(verdict.accepted, prefixes) for verdict, prefixes in parts] == [
        (True, [PREFIXES[0]]),
        (False, [PREFIXES[1]]),
        (False, [PREFIXES[2]]),
    ]
    assert parts[1][0].reason == "no"
    assert parts[2][0] is NO_MATCH


def test_equal_with_a_prefix_length_never_matches_in_a_rule_either() -> None:
    equal = {"cidr": nlri("10.0.0.0/24"), "operator": MatchOperator.EQUAL}
    assert decide([accept(**equal)], route()).accepted
    assert decide([accept(**equal, has_prefix_length=True)], route()) is NO_MATCH
    assert decide([accept(**equal, min_length=24)], route()) is NO_MATCH


def test_a_changed_interface_is_seen_though_the_path_is_remembered() -> None:
    via = next_hop(interface="eth0")
    path, chain = route(via=via), Filter([reject(interface="eth0")])
    assert chain.partition(PREFIXES, path, EXPORT)[0][0] is not NO_MATCH
    via.hops = (Hop(3, b"", "eth1"),)
    assert chain.partition(PREFIXES, path, EXPORT)[0][0] is NO_MATCH


def test_a_path_is_decided_alike_when_it_comes_again() -> None:
    chain, path = Filter([accept(**inside("10.0.0.0/8"))]), route()
    first = chain.partition(PREFIXES, path, EXPORT)
    assert chain.partition(PREFIXES, path, EXPORT) == first


def test_more_paths_than_are_remembered_do_no_harm() -> None:
    chain = Filter([accept(communities=(1,))])
    paths = [route(communities=[number % 2]) for number in range(Filter.REMEMBERED + 2)]
    verdicts = [chain.partition(PREFIXES, path, EXPORT)[0][0].accepted for path in paths]
    assert verdicts == [number % 2 == 1 for number in range(len(paths))]


def test_the_same_rules_are_compiled_once_and_each_filter_remembers_its_own_paths() -> None:
    rules = (accept(**inside("10.0.0.0/16"), as_path_prefix=(7,)), reject())
    one, other = compile_filter(rules), compile_filter(rules)
    assert one is not None
    assert other is not None
    assert one is not other
    assert one == other == Filter(rules)
    # The verdicts are those that were compiled, whoever is asked.
    for path in (route(path=[7]), route(path=[8])):
        answers = [each.partition(PREFIXES, path, EXPORT) for each in (one, other, one)]
        assert answers[0] == answers[1] == answers[2]
    for _ in range(KEPT + 1):
        compile_filter((*rules,))
    assert compile_filter(rules) == one


def test_filters_compare_by_the_content_of_their_rules() -> None:
    """Peers with equal filters share an export group, whatever the resources are called."""
    one, two = (
        Filter([accept(communities=(1,), origin="a")]),
        Filter([accept(communities=(1,), origin="b")]),
    )
    assert one == two
    assert hash(one) == hash(two)
    assert one != Filter([reject(communities=(1,))])
    assert one != "a filter"
    assert repr(one) == "Filter(1 rules)"


RULES = st.lists(
    st.builds(
        Rule,
        action=st.sampled_from(Action),
        communities=st.sampled_from([(), (), (1,), ((1, 1, 1),)]),
        as_path_regex=st.sampled_from([None, None, AsPathRegex("_65001_"), AsPathRegex("^$")]),
        med=st.sampled_from([None, None, (0, 5)]),
        next_hops=st.sampled_from([(), (), ((4, nlri("192.0.2.0/24")),)]),
        peer_type=st.sampled_from([None, None, *PeerType]),
        source_remote_peers=st.booleans(),
        origin=st.uuids().map(str),
    )
    | st.builds(
        Rule,
        action=st.sampled_from(Action),
        cidr=nlris(within=1),
        operator=st.sampled_from(MatchOperator),
        min_length=st.none() | st.integers(0, 32),
        max_length=st.none() | st.integers(0, 32),
        has_prefix_length=st.just(value=True),
        communities=st.sampled_from([(), (), (1,)]),
        origin=st.uuids().map(str),
    )
    | st.builds(
        Rule,
        action=st.sampled_from(Action),
        communities=st.sampled_from([(1,), (2,), ((1, 1, 1),)]),
        as_path_prefix=st.sampled_from([(), (65001,), (7, 8)]),
        origin=st.uuids().map(str),
    ),
    max_size=8,
)


def naive(rules: list[Rule], prefix: Nlri, path: Path, scope: Scope) -> str:
    """Try the rules one by one, as the documents say it."""
    for rule in rules:
        if not holds(rule, path, scope):
            continue
        if rule.cidr is None or rule.operator is None:
            return rule.origin
        if match_prefix(
            prefix,
            rule.cidr,
            rule.operator,
            min_length=rule.min_length,
            max_length=rule.max_length,
            is_set=rule.has_prefix_length,
        ):
            return rule.origin
    return NO_MATCH.reason


@given(
    RULES,
    st.lists(nlris(within=1), min_size=1),
    st.sampled_from([EXPORT, INTERNAL_EXPORT]),
    st.sampled_from(
        [route(), route(local(), path=[]), route(communities=[1], large=[(1, 1, 1)], med=3)]
    ),
)
def test_a_batch_is_decided_as_its_prefixes_one_by_one(
    rules: list[Rule], prefixes: list[Nlri], scope: Scope, path: Path
) -> None:
    chain = Filter(rules)
    parts = chain.partition(prefixes, path, scope)
    if chain.passes_over(path):
        assert parts == [(NO_MATCH, prefixes)]
    decided = [(verdict.reason, prefix) for verdict, some in parts for prefix in some]
    expected = [(naive(rules, prefix, path, scope), prefix) for prefix in prefixes]
    assert sorted(decided) == sorted(expected)
    for verdict, some in parts:
        assert some == [prefix for reason, prefix in expected if reason == verdict.reason]


def test_a_verdict_says_in_the_operators_words_why_a_route_is_rejected() -> None:
    ((verdict, _),) = Filter([reject(origin="here", reason="a bogon")]).partition(
        PREFIXES, route(), EXPORT
    )
    assert (verdict.accepted, verdict.reason) == (False, "here: a bogon")
    assert Filter([reject(reason="one")]) != Filter([reject(reason="another")])
