"""The set of resources."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from speaker.config.kinds import Kind
from speaker.config.reading import read_file
from speaker.config.store import Resources, build
from speaker.errors import ConfigError
from tests.support.resources import document, node, peer, resources, settings

TOR = {"peerIP": "10.9.0.1", "asNumber": 65000}


def test_sets_are_equal_by_their_resources_and_not_by_their_places() -> None:
    text = json.dumps([node("a"), settings()])
    first, _ = build(read_file(text, "one.json"))
    second, _ = build(read_file("\n\n" + text, "two.json"))
    assert first == second
    assert first.place(Kind.NODE, "a") == "one.json:1"
    assert second.place(Kind.NODE, "a") == "two.json:3"
    assert first.place(Kind.NODE, "b") == ""
    assert len(first) == 2


def test_resources_are_sorted_by_name() -> None:
    assert list(resources(node("c"), node("a"), node("b")).nodes) == ["a", "b", "c"]


def test_one_name_may_be_used_by_several_kinds() -> None:
    assert len(resources(node("default"), settings("default"))) == 2


def test_of_a_name_used_twice_the_first_stays_and_both_places_are_named() -> None:
    first = read_file(json.dumps(peer("p", **TOR)), "a.json")
    second = read_file(json.dumps(peer("p", **TOR, filters=["f"])), "b.json")
    built, (problem,) = build([*first, *second])
    assert built.peers["p"].spec.filters == []
    assert (problem.file, problem.rule) == ("b.json", "duplicate-name")
    assert "a.json:1" in problem.message


def test_a_name_in_force_is_not_taken_over_by_a_newcomer() -> None:
    newcomer = read_file(json.dumps(peer("p", **TOR, filters=["f"])), "a.json")
    holder = read_file(json.dumps(peer("p", **TOR)), "b.json")
    built, (problem,) = build([*newcomer, *holder], {(Kind.BGP_PEER, "p"): "b.json"})
    assert built.peers["p"].spec.filters == []
    assert problem.file == "a.json"


FILTER = json.dumps(document("BGPFilter", "f", {}))
POLICY = json.dumps(document("RoutePolicy", "f", {}))


def test_of_a_filter_and_a_policy_of_one_name_the_first_stays() -> None:
    built, (problem,) = build([*read_file(FILTER, "a.json"), *read_file(POLICY, "b.json")])
    assert (list(built.filters), list(built.policies)) == (["f"], [])
    assert (problem.file, problem.field, problem.rule) == (
        "b.json",
        "metadata.name",
        "duplicate-name",
    )
    assert "BGPFilter f in a.json:1" in problem.message
    assert "another name" in problem.message


def test_a_name_in_force_is_not_taken_over_by_the_other_kind() -> None:
    both = [*read_file(POLICY, "a.json"), *read_file(FILTER, "a.json")]
    built, (problem,) = build(both, {(Kind.BGP_FILTER, "f"): "a.json"})
    assert (list(built.filters), list(built.policies)) == (["f"], [])
    assert "RoutePolicy" not in problem.message


def test_whoever_makes_a_set_of_both_is_told() -> None:
    policies = resources(document("RoutePolicy", "f", {}))
    with pytest.raises(ConfigError, match="both a BGPFilter and a RoutePolicy are called f"):
        resources(document("BGPFilter", "f", {})).amended(policies.policies.values(), ())
    assert resources(document("RoutePolicy", "f", {})).filter("f") == policies.policies["f"]
    assert policies.filter("g") is None


def test_the_place_of_a_rule_is_its_own_line() -> None:
    text = dedent(
        """\
        # Two rules of one chain, none of the other.
        apiVersion: wren.bgp/v1
        kind: RoutePolicy
        metadata: {name: p}
        spec:
          exportV6:
          - {action: Reject, reason: one}

          -
            action: Accept
        """
    )
    built, _ = build(read_file("---\n" + text, "p.yaml"))

    def place(chain: str, number: int, in_: Resources = built) -> str:
        return in_.rule_place(Kind.ROUTE_POLICY, "p", chain, number)

    assert [place("exportV6", number) for number in (0, 1)] == ["p.yaml:8", "p.yaml:11"]
    # Of a rule that is not in the file the document is known, and of what came otherwise nothing.
    assert place("exportV6", 2) == place("importV4", 0) == "p.yaml:3"
    assert built.rule_place(Kind.BGP_FILTER, "p", "exportV6", 0) == ""
    amended = built.amended(built.policies.values(), [])
    assert place("exportV6", 1, amended) == "p.yaml:3"
