"""Which rule decides, and why the others do not, in words."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.as_path_regex import AsPathRegex
from policy.communities import CommunityPattern
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import (
    AddCommunity,
    AsOverride,
    Blackhole,
    Ends,
    NextHopWord,
    Operation,
    PrependAsPath,
    RemoveCommunities,
    RemovePrivateAs,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
)
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.rules import NO_MATCH, Action, Direction, Rule, Scope
from policy.tracing import CONDITIONS, Asked, first_miss, operation_text, trace
from policy.vrps import Origins, Validity, Vrps, VrpTable
from tests.support.routes import as_path, local, next_hop, nlri, nlris, route


def knowing(*said: str) -> Origins:
    """Let RPKI say that AS 1 may originate prefixes and what is inside."""
    table, vrps = VrpTable(Afi.IPV4), Vrps(Afi.IPV4)
    for prefix in said:
        table.add(nlri(prefix), 32, 1)
    vrps.put("cache", table)
    return Origins(vrps, 64512)


NOBODY_KNOWS = Scope(PeerType.EXTERNAL, Direction.IMPORT, normal_priority=1024)
IMPORT = replace(NOBODY_KNOWS, origins=knowing("0.0.0.0/2", "192.0.0.0/3"))

EXPORT = replace(IMPORT, direction=Direction.EXPORT, ends=Ends(1, 65002))

NO_CONDITIONS = {"action", "operations", "origin", "reason"}
"""What else stands in a rule."""


def inside(text: str, operator: MatchOperator = MatchOperator.IN, **more: Any) -> Rule:
    return Rule(Action.ACCEPT, cidr=nlri(text), operator=operator, **more)


def rule(**conditions: Any) -> Rule:
    return Rule(Action.ACCEPT, **conditions)


def miss(asked_rule: Rule, path: Path | None = None, prefix: str = "10.1.0.0/16") -> str:
    asked = Asked(Afi.IPV4, nlri(prefix), path or route(), IMPORT)
    return first_miss(asked_rule, asked)


def test_there_are_words_for_every_condition_of_a_rule() -> None:
    named = [name for names in CONDITIONS for name in names]
    assert len(named) == len(set(named))
    assert {each.name for each in fields(Rule)} - NO_CONDITIONS == set(named)


@pytest.mark.parametrize(
    ("missing", "path", "words"),
    [
        (inside("10.2.0.0/16"), None, "10.1.0.0/16 is not in 10.2.0.0/16"),
        (inside("10.0.0.0/8", min_length=24), None, "its length 16 is below 24"),
        (inside("10.0.0.0/8", max_length=12), None, "its length 16 is above 12"),
        (inside("10.0.0.0/8", MatchOperator.EQUAL), None, "10.1.0.0/16 is not 10.0.0.0/8"),
        (
            inside("10.1.0.0/16", MatchOperator.EQUAL, has_prefix_length=True),
            None,
            "Equal with a prefixLength never matches",
        ),
        (inside("10.1.0.0/16", MatchOperator.NOT_EQUAL), None, "it is 10.1.0.0/16"),
        (inside("10.0.0.0/8", MatchOperator.NOT_IN), None, "10.1.0.0/16 is in 10.0.0.0/8"),
        (rule(source_remote_peers=True), route(local()), "it does not come from a peer"),
        (rule(interface="eth*"), None, "it has no interface, not eth*"),
        (
            rule(interface="eth*"),
            route(via=next_hop(interface="bond0")),
            "its interface is bond0, not eth*",
        ),
        (rule(peer_type=PeerType.INTERNAL), None, "the session is eBGP, not iBGP"),
        (rule(communities=((65000 << 16) + 1,)), None, "community 65000:1 is not there"),
        (rule(communities=((65000, 1, 2),)), None, "community 65000:1:2 is not there"),
        (
            rule(communities=(7, (65000, 1, 2))),
            None,
            "none of the communities 0:7, 65000:1:2 is there",
        ),
        (
            rule(communities=(CommunityPattern((65000, None)),)),
            None,
            "community 65000:* is not there",
        ),
        (
            rule(communities=(1, CommunityPattern((None, 7)), 2), every_community=True),
            route(communities=[1, 2]),
            "community *:7 is not there",
        ),
        (
            rule(as_path_regex=AsPathRegex("_7$")),
            route(path=(65001, 8)),
            "the AS_PATH 65001 8 does not match _7$",
        ),
        (
            rule(as_path_regex=AsPathRegex("1")),
            route(path=()),
            "the empty AS_PATH does not match 1",
        ),
        (rule(med=(5, 9)), None, "it has no MED"),
        (
            rule(rpki=Validity.VALID),
            None,
            "RPKI says Invalid of 10.1.0.0/16 from AS 65001, not Valid",
        ),
        (
            rule(rpki=Validity.NOT_FOUND),
            route(path=(65001, 1)),
            "RPKI says Valid of 10.1.0.0/16 from AS 1, not NotFound",
        ),
        (
            rule(rpki=Validity.VALID),
            route(path=as_path([65001], {1})),
            "RPKI says Invalid of 10.1.0.0/16 from an AS_SET, not Valid",
        ),
        (rule(med=(5, 9)), route(med=4), "its MED 4 is below 5"),
        (rule(med=(5, 9)), route(med=10), "its MED 10 is above 9"),
        (rule(local_pref=(200, 300)), None, "its LOCAL_PREF 100 is below 200"),
        (
            rule(next_hops=((4, nlri("10.0.0.0/8")), (16, b"\x08\xfd"))),
            None,
            "its next hop 192.0.2.1 is not in 10.0.0.0/8, fd00::/8",
        ),
        (
            rule(next_hops=((4, nlri("10.0.0.0/8")),)),
            route(local(), next_hop=""),
            "it has no next hop, and is not in 10.0.0.0/8",
        ),
        (
            rule(neighbors=((4, nlri("10.0.0.1/32")),)),
            None,
            "it comes from 192.0.2.1, not from 10.0.0.1/32",
        ),
        (
            rule(neighbors=((4, nlri("10.0.0.1/32")),)),
            route(local()),
            "it does not come from a peer",
        ),
        (
            rule(as_path_prefix=(65002, 65003)),
            route(path=(65001, 7, 8)),
            "the AS_PATH begins with 65001 7, not with 65002 65003",
        ),
        (rule(as_path_prefix=(65002,)), route(path=()), "the AS_PATH is empty, not with 65002"),
        (
            rule(priority=512),
            route(local_pref=100),
            "its priority is 2147483547 (LOCAL_PREF 100), not 512",
        ),
    ],
)
def test_a_condition_that_does_not_hold(missing: Rule, path: Path | None, words: str) -> None:
    assert miss(missing, path) == words


def test_a_trace_ends_at_the_rule_that_matches() -> None:
    rules = [rule(communities=(1,), origin="first"), rule(origin="second"), rule(origin="third")]
    found = trace(Filter(rules), Asked(Afi.IPV4, nlri("10.0.0.0/8"), route(), IMPORT))
    assert found.decided is rules[1]
    [only] = found.misses
    assert (only.number, only.origin, only.words) == (0, "first", "community 0:1 is not there")


def test_what_nobody_knows_is_not_found() -> None:
    asked = Asked(Afi.IPV4, nlri("10.1.0.0/16"), route(), NOBODY_KNOWS)
    words = "RPKI says NotFound of 10.1.0.0/16, not Valid"
    assert first_miss(rule(rpki=Validity.VALID), asked) == words
    assert trace(Filter([rule(rpki=Validity.NOT_FOUND)]), asked).decided is not None


def test_without_a_filter_nothing_is_asked() -> None:
    found = trace(None, Asked(Afi.IPV4, nlri("10.0.0.0/8"), route(), IMPORT))
    assert (found.decided, found.misses) == (None, ())


OPERATIONS = {
    AddCommunity((65000 << 16) + 7): "adds community 65000:7",
    PrependAsPath((65001, 65001)): "prepends 65001 65001",
    SetPriority(512): "sets priority 512 (LOCAL_PREF 2147483135)",
    RemoveCommunities((7, CommunityPattern((1, None, 2)))): "removes communities 0:7, 1:*:2",
    SetLocalPref(200): "sets LOCAL_PREF 200",
    SetMed(5): "sets MED 5",
    SetNextHop(bytes((10, 0, 0, 1))): "sets the next hop 10.0.0.1",
    SetNextHop(NextHopWord.PEER_ADDRESS): "sets the next hop PeerAddress",
    Blackhole(): "drops packets",
    AsOverride(): "puts our AS in the place of the peer's",
    RemovePrivateAs(): "leaves out leading private AS numbers",
    RemovePrivateAs(everywhere=True): "leaves out all private AS numbers",
    RemovePrivateAs(replace=True): "puts our AS in the place of leading private AS numbers",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_words(operation: Operation) -> None:
    assert operation_text(operation) == OPERATIONS[operation]
    assert {type(each) for each in OPERATIONS} == set(get_args(Operation))


RULES = st.lists(
    st.builds(
        Rule,
        action=st.sampled_from(Action),
        cidr=nlris(within=1),
        operator=st.none() | st.sampled_from(MatchOperator),
        min_length=st.none() | st.integers(0, 32),
        max_length=st.none() | st.integers(0, 32),
        has_prefix_length=st.booleans(),
        source_remote_peers=st.booleans(),
        interface=st.sampled_from([None, None, "eth*"]),
        peer_type=st.sampled_from([None, None, *PeerType]),
        communities=st.sampled_from([(), (), (1,), (2, (1, 1, 1))]),
        every_community=st.booleans(),
        as_path_prefix=st.sampled_from([(), (), (65001,), (65001, 1)]),
        as_path_regex=st.sampled_from([None, None, AsPathRegex("_1$"), AsPathRegex("^65001$")]),
        med=st.sampled_from([None, None, (0, 5)]),
        local_pref=st.sampled_from([None, None, (100, 100), (0, 5)]),
        next_hops=st.sampled_from([(), (), ((4, nlri("192.0.2.0/24")),)]),
        neighbors=st.sampled_from([(), (), ((4, nlri("192.0.2.1/32")),)]),
        priority=st.sampled_from([None, None, 1024, 2147483547]),
        rpki=st.sampled_from([None, None, *Validity]),
        operations=st.sampled_from([(), (), (PrependAsPath((64513,)),), (RemovePrivateAs(),)]),
        origin=st.uuids().map(str),
    ),
    max_size=5,
)


@given(
    RULES,
    nlris(within=1),
    st.sampled_from([IMPORT, NOBODY_KNOWS, EXPORT]),
    st.sampled_from(
        [
            route(),
            route(local()),
            route(communities=[1], via=next_hop(interface="eth0")),
            route(path=(65001, 1), large=[(1, 1, 1)], med=5),
        ]
    ),
)
def test_a_trace_agrees_with_the_filter_and_names_a_condition_for_each_miss(
    rules: list[Rule], prefix: Nlri, scope: Scope, path: Path
) -> None:
    found = trace(Filter(rules), Asked(Afi.IPV4, prefix, path, scope))
    [(verdict, _)] = Filter(rules).partition([prefix], path, scope)
    if found.decided is None:
        assert verdict is NO_MATCH
        assert len(found.misses) == len(rules)
    else:
        assert verdict.reason == found.decided.origin
    assert all(each.words != "a condition does not hold" for each in found.misses)
