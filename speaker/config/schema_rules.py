"""What fields demand of each other, as far as JSON Schema can say it.

By the name of the model; `speaker.config.schema` puts the rules beside the fields. The rules
themselves, with their sources and sentences, are `speaker.config.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speaker.config.filter_resources import FilterOperation
from speaker.config.models import Model, fields_of
from speaker.config.policy_resources import PolicyOperation

_GIVEN: dict[str, Any] = {"not": {"enum": [None, "", 0, []]}}
"""A field that says something: what is empty is as good as absent."""


def _given(*names: str) -> dict[str, Any]:
    return {"required": list(names), "properties": dict.fromkeys(names, _GIVEN)}


def _excludes(first: str, second: str) -> dict[str, Any]:
    return {"not": _given(first, second)}


def _demands(first: str, *others: str) -> dict[str, Any]:
    return {"if": _given(first), "then": _given(*others)}


def _with(name: str, value: object, **then: Any) -> dict[str, Any]:
    """Say what holds where a field has a value."""
    return {"if": {"required": [name], "properties": {name: {"const": value}}}, "then": then}


def _one_of(model: type[Model]) -> dict[str, Any]:
    """Say that exactly one of a model's fields is given."""
    return {"oneOf": [_given(name) for name in sorted(fields_of(model))]}


_ENCAPSULATED = {"not": {"enum": [None, "", "Never"]}}
_FILTER_RULE = [
    _demands("cidr", "matchOperator"),
    _demands("matchOperator", "cidr"),
    _demands("prefixLength", "cidr"),
    _with("action", "Reject", **{"not": _given("operations")}),
]
_POLICY_RULE = [*_FILTER_RULE, _with("action", "Accept", **{"not": _given("reason")})]

RULES: Mapping[str, list[dict[str, Any]]] = {
    "BGPPeerSpec": [
        _excludes("node", "nodeSelector"),
        _excludes("peerSelector", "peerIP"),
        _excludes("localWorkloadSelector", "peerIP"),
        _excludes("localWorkloadSelector", "peerSelector"),
        _demands("localWorkloadSelector", "asNumber"),
        _demands("reachableBy", "peerIP"),
        _with("keepOriginalNextHop", True, **{"not": _given("nextHopMode")}),
    ],
    "BGPConfigurationSpec": [
        _demands("communities", "prefixAdvertisements"),
        _with("nodeToNodeMeshEnabled", False, **{"not": _given("nodeMeshPassword")}),
        _with("nodeToNodeMeshEnabled", False, **{"not": _given("nodeMeshMaxRestartTime")}),
    ],
    "IPPoolSpec": [
        {
            "not": {
                "required": ["ipipMode", "vxlanMode"],
                "properties": {"ipipMode": _ENCAPSULATED, "vxlanMode": _ENCAPSULATED},
            }
        }
    ],
    "NodeSpec": [{"not": {"required": ["bgp"], "properties": {"bgp": {"const": {}}}}}],
    "BlockAffinitySpec": [
        {"not": {"required": ["deleted"], "properties": {"deleted": {"enum": [True, "true"]}}}}
    ],
    "FilterRuleV4": _FILTER_RULE,
    "FilterRuleV6": _FILTER_RULE,
    "PolicyRuleV4": _POLICY_RULE,
    "PolicyRuleV6": _POLICY_RULE,
    "FilterOperation": [_one_of(FilterOperation)],
    "PolicyOperation": [_one_of(PolicyOperation)],
}
"""The rules of a model, by its name."""
