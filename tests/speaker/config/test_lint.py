"""What is found in policies: each finding, and the policy beside it in which there is none."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import pytest

from policy.operations import Operation
from speaker.config.lint import lint
from speaker.config.plan import resolve
from speaker.config.rule_lint import OPERATIONS
from tests.support.resources import document, node, peer, resources, settings

NODE = node("r1", "10.0.0.1/24", "2001:db8::1/64", asn=64512)


def rule(action: str = "Accept", cidr: str = "", **more: Any) -> dict[str, Any]:
    prefix = {"cidr": cidr, "matchOperator": more.pop("operator", "In")} if cidr else {}
    return {"action": action, **prefix, **more}


def chain(name: str, **rules: Any) -> dict[str, Any]:
    return document("BGPFilter", name, rules)


def tor(*filters: str, asn: int = 65001, name: str = "tor", **spec: Any) -> dict[str, Any]:
    given = {"node": "r1", "peerIP": "10.0.0.254", "asNumber": asn, **spec}
    return peer(name, **given, filters=list(filters))


REJECT = rule("Reject")
IMPORT = [rule(cidr="192.0.2.0/24"), REJECT]


def found(*documents: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Give severity, rule and place of what is found."""
    known = resources(*documents)
    plans = [resolve(known, name) for name in known.nodes]
    return [
        (each.severity.value, each.rule, f"{each.name} {'.'.join(map(str, each.path))}")
        for each in lint(known, plans)
    ]


def of_rules(*rules: Any, asn: int = 65001, field: str = "importV4") -> list[tuple[str, str, str]]:
    """Lint a filter whose every direction is taken care of but for the rules given."""
    both: dict[str, Any] = {"importV4": IMPORT, "exportV4": [REJECT]}
    return found(NODE, tor("f", asn=asn), chain("f", **both | {field: list(rules)}))


def test_nothing_is_found_where_all_decides() -> None:
    assert of_rules(*IMPORT) == []


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (
            [rule(cidr="10.0.0.0/8", prefixLength={"min": 9, "max": 8}), REJECT],
            ("error", "never-matches", "f spec.importV4.0.prefixLength"),
        ),
        (
            [rule(priority=7), REJECT],
            ("error", "never-matches", "f spec.importV4.0.priority"),
        ),
        (
            [rule(peerType="iBGP"), REJECT],
            ("error", "never-matches", "f spec.importV4.0.peerType"),
        ),
        (
            [rule(asPathPrefix=[65001, 64512]), REJECT],
            ("error", "never-matches", "f spec.importV4.0.asPathPrefix"),
        ),
        (
            [REJECT, rule(cidr="10.0.0.0/8")],
            ("error", "unreachable", "f spec.importV4.1"),
        ),
        (
            [rule(cidr="10.0.0.0/8"), rule("Reject", "10.1.0.0/16"), REJECT],
            ("error", "shadowed", "f spec.importV4.1"),
        ),
        (
            [rule(cidr="10.0.0.0/8"), rule(cidr="10.1.0.0/16"), REJECT],
            ("warning", "shadowed", "f spec.importV4.1"),
        ),
        (
            [rule(cidr="10.0.0.0/8"), rule("Reject", "10.0.0.0/8"), REJECT],
            ("error", "duplicate", "f spec.importV4.1"),
        ),
        (
            [rule("Reject", "10.0.0.0/8", operator="NotEqual", prefixLength={"min": 9})],
            ("warning", "always-matches", "f spec.importV4.0.prefixLength"),
        ),
        (
            [rule(interface="eth0"), REJECT],
            ("note", "interface-on-import", "f spec.importV4.0.interface"),
        ),
        (
            [rule(cidr="10.0.0.0/8")],
            ("warning", "allows-only", "f spec.importV4.0"),
        ),
    ],
)
def test_import_rules(rules: list[Any], wanted: tuple[str, str, str]) -> None:
    assert of_rules(*rules) == [wanted]


@pytest.mark.parametrize(
    ("operations", "asn", "wanted"),
    [
        ([{"setPriority": {"value": 7}}], 65001, "no-effect"),
        ([{"setPriority": {"value": 7}}], 64512, ""),
        ([{"setPriority": {"value": 7}}, {"setPriority": {"value": 8}}], 64512, "no-effect"),
        ([{"prependASPath": {"prefix": [64512, 64512]}}], 65001, ""),
        ([{"prependASPath": {"prefix": [65001]}}], 65001, "refused-by-peer"),
        ([{"prependASPath": {"prefix": [64512]}}], 64512, "refused-by-peer"),
        ([{"addCommunity": {"value": "1:2"}}], 65001, ""),
        ([{"addCommunity": {"value": "1:2"}}] * 2, 65001, "no-effect"),
        ([{"addCommunity": {"value": "65000:1"}}], 65001, "no-effect"),
    ],
)
def test_operations(operations: list[Any], asn: int, wanted: str) -> None:
    given = rule(communities={"values": ["65000:1"]}, operations=operations)
    assert [each[1] for each in of_rules(given, asn=asn, field="exportV4")] == (
        [wanted] if wanted else []
    )


@pytest.mark.parametrize(
    ("operations", "asn", "wanted"),
    [
        ([{"setLocalPreference": {"value": 7}}], 65001, "no-effect"),
        ([{"setLocalPreference": {"value": 7}}, {"setPriority": {"value": 7}}], 64512, "no-effect"),
        ([{"setMED": {"value": 7}}, {"setMED": {"value": 8}}], 65001, "no-effect"),
        ([{"setNextHop": {"value": "Self"}}], 65001, ""),
        ([{"asOverride": {}}], 65001, ""),
        ([{"asOverride": {}}], 64512, "no-effect"),
        ([{"removePrivateAS": {}}], 64512, "no-effect"),
        (
            [{"addCommunity": {"value": "1:2"}}, {"removeCommunities": {"values": ["1:*"]}}],
            65001,
            "no-effect",
        ),
        (
            [{"removeCommunities": {"values": ["1:*"]}}, {"addCommunity": {"value": "1:2"}}],
            65001,
            "",
        ),
    ],
)
def test_operations_of_a_route_policy(operations: list[Any], asn: int, wanted: str) -> None:
    given = {"action": "Accept", "neighbors": ["192.0.2.1"], "operations": operations}
    policy = document("RoutePolicy", "g", {"exportV4": [given]})
    whole = chain("f", importV4=IMPORT, exportV4=[REJECT])
    both = [whole, {**policy, "apiVersion": "wren.bgp/v1"}]
    assert [each[1] for each in found(NODE, tor("g", "f", asn=asn), *both)] == (
        [wanted] if wanted else []
    )


def test_a_neighbor_that_no_session_has() -> None:
    given = {"action": "Accept", "neighbors": ["192.0.2.1"]}
    policy = document("RoutePolicy", "g", {"importV4": [given]})
    whole = chain("f", importV4=IMPORT, exportV4=[REJECT])
    assert found(NODE, tor("g", "f"), whole, {**policy, "apiVersion": "wren.bgp/v1"}) == [
        ("error", "never-matches", "g spec.importV4.0.neighbors")
    ]


def test_every_operation_is_looked_at() -> None:
    assert set(OPERATIONS) == set(typing.get_args(Operation))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (rule(), ["tells-everything"]),
        (rule(cidr="0.0.0.0/0"), ["tells-everything"]),
        (rule(peerType="eBGP"), ["tells-everything"]),
        (rule(cidr="0.0.0.0/0", prefixLength={"min": 1}), []),
        (rule(source="RemotePeers"), []),
        (REJECT, []),
    ],
)
def test_export_rules_that_tell_everything(given: Any, wanted: list[str]) -> None:
    assert [each[1] for each in of_rules(given, field="exportV4")] == wanted


def test_a_rule_that_decides_for_some_peer_is_alive() -> None:
    shared = chain("f", importV4=[rule(priority=7), REJECT], exportV4=[REJECT])
    internal = tor("f", asn=64512, name="inside", peerIP="10.0.0.253")
    assert found(NODE, tor("f"), internal, shared) == []
    assert [each[1] for each in found(NODE, tor("f"), shared)] == ["never-matches"]


def test_without_nodes_a_filter_is_looked_at_by_itself() -> None:
    lonely = chain("f", importV4=[REJECT, rule(cidr="10.0.0.0/8"), rule(priority=7)])
    assert [each[1] for each in found(tor("f"), lonely)] == ["unreachable", "unreachable"]


def test_a_filter_behind_one_that_decides_all() -> None:
    first = chain("a", importV4=[REJECT], exportV4=[REJECT])
    second = chain("b", importV4=[rule(cidr="10.0.0.0/8"), rule(cidr="10.1.0.0/16")])
    assert found(NODE, tor("a", "b"), first, second) == [
        ("warning", "unreachable-filter", "tor spec.filters.1")
    ]
    other = tor("b", asn=65002, name="other", peerIP="10.0.0.253")
    assert ("warning", "shadowed", "b spec.importV4.1") in found(
        NODE, tor("a", "b"), other, first, second
    )


def test_filters_that_are_missing_unused_or_named_twice() -> None:
    whole = chain("f", importV4=IMPORT, exportV4=[REJECT])
    assert found(NODE, tor("f", "g"), whole) == [("error", "missing-filter", "tor spec.filters.1")]
    assert found(NODE, tor("f", "f"), whole) == [("warning", "duplicate", "tor spec.filters.1")]
    assert found(NODE, tor("f"), whole, chain("g")) == [("warning", "unused", "g metadata.name")]


@pytest.mark.parametrize(
    ("mode", "filters", "asn", "wanted"),
    [
        ("calico", [], 65001, [("note", "open-import")]),
        ("calico", [], 64512, []),
        ("plain", [], 65001, [("note", "open-import"), ("warning", "open-export")]),
        ("plain", [], 64512, []),
        ("calico", ["in"], 65001, [("note", "export-by-default")]),
        ("calico", ["out"], 65001, [("warning", "open-import")]),
        ("plain", ["in"], 65001, [("warning", "open-export")]),
        ("calico", ["in", "out"], 65001, []),
    ],
)
def test_what_stays_open(
    mode: str, filters: list[str], asn: int, wanted: list[tuple[str, str]]
) -> None:
    both = [chain("in", importV4=IMPORT), chain("out", exportV4=[REJECT])]
    how = settings(annotations={"wren.bgp/policy": mode})
    all_of_them = [each[:2] for each in found(NODE, how, tor(*filters, asn=asn), *both)]
    assert [each for each in all_of_them if each[1] != "unused"] == wanted


def test_another_family_of_a_session_stays_open() -> None:
    whole = chain("f", importV4=IMPORT, exportV4=[REJECT])
    both = {"wren.bgp/families": "ipv4,ipv6"}
    assert found(NODE, tor("f", extensions=both), whole) == [
        ("warning", "open-import", "tor spec.filters"),
        ("note", "export-by-default", "tor spec.filters"),
    ]


def test_many_peers_with_one_long_chain_take_seconds_and_not_minutes() -> None:
    rules = [
        rule("Reject", f"{20 + n % 100}.{n // 100}.0.0/16", communities={"values": [f"65000:{n}"]})
        for n in range(1000)
    ]
    plain = settings(annotations={"wren.bgp/policy": "plain"})
    peers = [tor("f", asn=65001 + n, name=f"p{n}", peerIP=f"10.0.0.{n + 2}") for n in range(200)]
    whole = chain("f", importV4=[*rules, rules[7], REJECT], exportV4=[*rules, REJECT])
    assert found(NODE, plain, *peers, whole) == [("warning", "duplicate", "f spec.importV4.1000")]
