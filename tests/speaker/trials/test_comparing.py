"""Two versions held against each other: what differs is found, what does not is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.path import SourceKind
from policy.rules import Direction
from speaker.trials import comparing
from speaker.trials.comparing import FEW, Comparison, Told
from speaker.trials.inventing import invented
from speaker.trials.node import Heard, TrialNode
from tests.support.resources import block, document, node, peer, plan
from tests.support.routes import attributes, nlri

NODE = node("r1", "10.0.0.1/24", asn=65000)
POOL = document("IPPool", "p", {"cidr": "10.0.0.0/9"})


def inside(cidr: str, action: str = "Accept", **more: Any) -> dict[str, Any]:
    return {"action": action, "matchOperator": "In", "cidr": cidr, **more}


def version(*more: Mapping[str, Any], **rules: Any) -> TrialNode:
    """Make a node with two peers; the rules are those of the first one's filter."""
    first = peer("a", peerIP="10.0.0.11", asNumber=65011, filters=["f"])
    second = peer("b", peerIP="10.0.0.12", asNumber=65012)
    return TrialNode(
        plan("r1", NODE, POOL, first, second, document("BGPFilter", "f", rules), *more)
    )


def told(*prefixes: str, source: str = "a", asn: int = 65011) -> Told:
    made = attributes([asn], next_hop="10.0.0.11")
    return Told(source, IPV4_UNICAST, Heard(made.raw, made.next_hop), list(map(nlri, prefixes)))


def compared(old: TrialNode, new: TrialNode, *routes: Told, **how: Any) -> Comparison:
    found = Comparison(old, new, **how)
    for each in routes:
        found.take(each)
    return found


def brief(comparison: Comparison) -> list[tuple[Any, ...]]:
    return [
        (group.peers, group.direction.value, group.old, group.new, group.count, group.examples)
        for group in comparison.groups
    ]


A, B = "Global_10_0_0_11", "Global_10_0_0_12"


def test_a_new_rule_is_found_on_the_way_in_and_in_what_others_hear() -> None:
    old, new = version(), version(importV4=[inside("10.1.0.0/16", "Reject")])
    found = compared(old, new, told("10.1.0.0/24", "10.1.1.0/24", "10.2.0.0/24", "192.0.2.0/24"))
    rule = "reject: bgpfilter/f importV4[0] (test.json:1)"
    gone = ["10.1.0.0/24", "10.1.1.0/24"]
    assert brief(found) == [
        ((A,), "import", "accept: there is no import filter", rule, 2, gone),
        (
            (B,),
            "export",
            "accept: inside an IP pool",
            f"not there: {rule.removeprefix('reject: ')}",
            2,
            gone,
        ),
    ]
    assert found.routes == 4


def test_other_attributes_are_a_difference_and_another_rule_alone_is_none() -> None:
    def adding(value: str) -> list[Any]:
        return [inside("10.0.0.0/8", operations=[{"addCommunity": {"value": value}}])]

    old, new = version(importV4=adding("1:1")), version(importV4=adding("1:2"))
    assert [group.direction for group in compared(old, new, told("10.1.0.0/24")).groups] == [
        Direction.IMPORT,
        Direction.EXPORT,
    ]
    moved = version(importV4=[inside("192.0.2.0/24", "Reject"), *adding("1:1")])
    assert compared(old, moved, told("10.1.0.0/24")).groups == []


def test_what_is_told_may_differ_alone() -> None:
    old, new = version(), version(exportV4=[inside("10.1.0.0/16", "Reject")])
    found = compared(old, new, told("10.1.0.0/24", "10.2.0.0/24", source="b", asn=65012))
    rule = "reject: bgpfilter/f exportV4[0] (test.json:1)"
    assert brief(found) == [((A,), "export", "accept: inside an IP pool", rule, 1, ["10.1.0.0/24"])]


def test_own_routes_are_compared() -> None:
    found = Comparison(version(), version(block("10.65.0.0/26", "r1")))
    found.take_own()
    [group] = found.groups
    assert (group.peers, group.old, group.new) == (
        (A, B),
        "not there: not announced by this node",
        "accept: a block of this node",
    )


def test_routes_of_the_kernel_are_compared() -> None:
    old, new = version(), version(exportV4=[inside("192.0.2.0/24")])
    heard = Heard(b"", b"", interface="eth0")
    route = Told("kernel1", IPV4_UNICAST, heard, [nlri("192.0.2.0/24")], SourceKind.KERNEL)
    [group] = compared(old, new, route).groups
    assert (group.peers, group.old) == (
        (A,),
        "reject: in no IP pool, block or service range",
    )


def test_examples_are_few_unless_all_are_kept_and_each_is_told() -> None:
    old, new = version(), version(importV4=[{"action": "Reject"}])
    routes = told(*(f"192.0.{n}.0/24" for n in range(9)))
    said: list[str] = []
    found = compared(old, new, routes, tell=lambda _, prefix: said.append(prefix))
    assert [len(group.examples) for group in found.groups] == [FEW]
    assert len(said) == 9
    found = compared(old, new, routes, keeps_all=True)
    assert [len(group.examples) for group in found.groups] == [9]


def test_what_cannot_be_compared_is_counted() -> None:
    old, new = version(), version(peer("c", peerIP="10.0.0.13", asNumber=65013))
    found = compared(old, new, told("10.1.0.0/24", source="nobody"), told("10.2.0.0/24", asn=65000))
    assert found.unknown == {"nobody": 1}
    [(why, count)] = found.unread.items()
    assert "AS loop" in why
    assert count == 1
    assert found.only == ([], ["Global_10_0_0_13"])


def test_a_session_of_another_name_is_found_by_its_address() -> None:
    renamed = TrialNode(plan("r1", NODE, peer("x", node="r1", peerIP="10.0.0.11", asNumber=65011)))
    assert compared(version(), renamed, told("192.0.2.0/24")).unknown == {}


LINES = st.lists(
    st.sampled_from(
        [
            inside("10.1.0.0/16", "Reject"),
            inside("10.1.0.0/16", prefixLength={"max": 24}),
            inside("10.0.0.0/8", "Reject", prefixLength={"min": 25}),
            inside("10.1.0.0/16", communities={"values": ["1:1"]}, action_="x"),
            {"action": "Reject", "asPathPrefix": [65011, 7]},
            {"action": "Accept", "interface": "eth*"},
            {"action": "Reject", "source": "RemotePeers"},
        ]
    ).map(lambda rule: {key: value for key, value in rule.items() if key != "action_"}),
    max_size=3,
)


@settings(max_examples=40)
@given(LINES, LINES, st.integers(0, 5))
def test_differences_are_those_of_single_routes(old: list[Any], new: list[Any], seed: int) -> None:
    """Batches and caches say what each route says when it is asked alone."""
    before, after = version(importV4=old, exportV4=new), version(importV4=new, exportV4=old)
    routes = list(invented(before, after, 60, seed))
    together = compared(before, after, *routes)
    alone = [compared(before, after, route) for route in routes]
    assert sum(group.count for group in together.groups) == sum(
        group.count for each in alone for group in each.groups
    )
    assert compared(before, before, *routes).groups == []


def test_what_is_let_go_of_meanwhile_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = version(), version(importV4=[inside("10.1.0.0/16", "Reject")])
    routes = list(invented(before, after, 200, 1))
    whole = brief(compared(before, after, *routes))
    monkeypatch.setattr(comparing, "KEPT", 3)
    assert whole
    assert brief(compared(before, after, *routes)) == whole


def test_a_route_policy_is_compared_as_well() -> None:
    def policed(**operation: Any) -> TrialNode:
        rules = {"importV4": [{"action": "Accept", "operations": [operation]}]}
        policy = {**document("RoutePolicy", "g", rules), "apiVersion": "wren.bgp/v1"}
        first = peer("a", peerIP="10.0.0.11", asNumber=65011, filters=["g"])
        return TrialNode(plan("r1", NODE, POOL, first, policy))

    near = policed(setNextHop={"value": "10.0.0.7"})
    far = policed(setNextHop={"value": "10.0.0.8"})
    dropping = policed(blackhole={})
    for old, new in ((near, far), (near, dropping)):
        [group] = compared(old, new, told("10.1.0.0/24")).groups
        assert group.direction is Direction.IMPORT
    assert compared(near, near, told("10.1.0.0/24")).groups == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            inside("10.1.0.0/16", "Reject"),
            inside("10.1.0.0/16", "Reject", prefixLength={"max": 24}),
        ),
        (
            inside("10.0.0.0/8", "Reject", communities={"values": ["1:1"]}),
            inside("10.0.0.0/8", "Reject", communities={"values": ["1:2"]}),
        ),
        (
            {"action": "Reject", "asPathPrefix": [65011, 7]},
            {"action": "Reject", "asPathPrefix": [7]},
        ),
        ({"action": "Reject", "interface": "eth7"}, {"action": "Reject", "interface": "e*"}),
    ],
)
def test_made_up_routes_find_small_differences(old: Any, new: Any) -> None:
    before, after = version(importV4=[old]), version(importV4=[new])
    found = compared(before, after, *invented(before, after, 500, 1))
    assert any(group.direction is Direction.IMPORT for group in found.groups)


def test_a_seed_makes_the_same_routes_again() -> None:
    on_trial = version()
    first, again = (list(invented(on_trial, on_trial, 50, 7)) for _ in range(2))
    assert first == again
    assert first != list(invented(on_trial, on_trial, 50, 8))
