"""What fields of a BGPFilter demand of each other; see `speaker.config.rules`.

A RoutePolicy has the same shape, and most of it is asked here too; what it has of its own is in
`speaker.config.policy_rules`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from speaker.config.filter_resources import FilterOperation
from speaker.config.kinds import Kind, find_kind
from speaker.config.models import fields_of
from speaker.config.policy_resources import PolicyOperation
from speaker.config.problems import FieldPath, Violation
from speaker.config.trees import list_at, map_at, network_of, spec_of

_WIDTHS = {"importV4": 4, "exportV4": 4, "importV6": 6, "exportV6": 6}
_CONDITIONS = (
    *("cidr", "source", "interface", "peerType", "communities", "asPathPrefix", "priority"),
    *("asPathRegex", "med", "localPreference", "nextHops", "neighbors", "rpki"),
)


def filter_rules(tree: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Mapping[str, Any], int]]:
    """Give every rule with its path and the IP version of its routes."""
    for field, version in _WIDTHS.items():
        for number, rule in enumerate(list_at(spec_of(tree), field)):
            if isinstance(rule, Mapping):
                yield ("spec", field, number), rule, version


def cidr_with_operator(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: cidr and matchOperator come both or not at all; prefixLength requires cidr."""
    for path, rule, _ in filter_rules(tree):
        if bool(rule.get("cidr")) != bool(rule.get("matchOperator")):
            missing = "matchOperator" if rule.get("cidr") else "cidr"
            yield Violation((*path, missing), "required", "cidr and matchOperator come together")
        if rule.get("prefixLength") is not None and not rule.get("cidr"):
            yield Violation((*path, "prefixLength"), "required", "prefixLength needs a cidr")


def cidr_family(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: the cidr of a rule is of the rule's family."""
    for path, rule, version in filter_rules(tree):
        network = network_of(rule.get("cidr"))
        if network is not None and network.version != version:
            yield Violation((*path, "cidr"), "family", f"{rule['cidr']} is not IPv{version}")


def operations(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: operations go with Accept only, and each does exactly one thing."""
    is_policy = find_kind(str(tree.get("kind"))) is Kind.ROUTE_POLICY
    names = fields_of(PolicyOperation if is_policy else FilterOperation)
    for path, rule, _ in filter_rules(tree):
        found = list_at(rule, "operations")
        if found and rule.get("action") == "Reject":
            yield Violation((*path, "operations"), "exclusive", "operations need action Accept")
        for number, operation in enumerate(found):
            if isinstance(operation, Mapping) and not _does_one_thing(operation, names):
                message = f"exactly one of {', '.join(sorted(names))}"
                if list(operation.values()) == [None]:
                    (name,) = operation
                    message = f"{name} without a value is no operation; write {name}: {{}}"
                yield Violation((*path, "operations", number), "exclusive", message)


def _does_one_thing(operation: Mapping[str, Any], names: Collection[str]) -> bool:
    given = [name for name, value in operation.items() if value is not None]
    known = [name for name in given if name in names]
    # Of an unknown name the model has said so, with the one that was perhaps meant.
    return len(known) == 1 or (not known and bool(given))


def surprising_rules(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: rules that Calico accepts and that never, or always, match."""
    for path, rule, _ in filter_rules(tree):
        length = rule.get("prefixLength")
        if length is not None and rule.get("matchOperator") in ("Equal", "NotEqual"):
            often = "never" if rule["matchOperator"] == "Equal" else "always"
            message = f"{rule['matchOperator']} with prefixLength {often} matches; use In or NotIn"
            yield Violation((*path, "prefixLength"), "never-matches", message)
        low, high = map_at(rule, "prefixLength").get("min"), map_at(rule, "prefixLength").get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield Violation((*path, "prefixLength"), "never-matches", "min is above max")


def _has_condition(rule: Mapping[str, Any]) -> bool:
    return any(rule.get(name) not in (None, "", []) for name in _CONDITIONS)


def dead_rules(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: behind a rule without condition, and in a filter chain, nothing is reached."""
    for field in _WIDTHS:
        rules = list_at(spec_of(tree), field)
        for number, rule in enumerate(rules[:-1]):
            if isinstance(rule, Mapping) and not _has_condition(rule):
                path = ("spec", field, number + 1)
                message = f"never reached: rule {number} matches everything"
                yield Violation(path, "never-matches", message)
                break
