"""From BGPFilter and RoutePolicy resources to the plain rules that `policy.filters` compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from fsm.family import Afi
from policy.matching import Network, Range
from policy.operations import (
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
)
from policy.prefix import Nlri, pack
from policy.rules import Direction, Rule
from speaker.config.filter_resources import (
    BGPFilter,
    BGPFilterSpec,
    FilterOperation,
    FilterRuleV4,
    FilterRuleV6,
)
from speaker.config.kinds import Kind
from speaker.config.policy_resources import (
    Bounds,
    CommunityQuantity,
    PolicyOperation,
    PolicyRule,
    PolicyRuleV4,
    PolicyRuleV6,
    PrivateNumbers,
    RoutePolicy,
    RoutePolicySpec,
)

MAX_U32 = 2**32 - 1

AnyRule: TypeAlias = FilterRuleV4 | FilterRuleV6 | PolicyRuleV4 | PolicyRuleV6

PlaceOf: TypeAlias = Callable[[Kind, str, str, int], str]
"""Gives ``file:line`` of a filter's rule, by chain and number; empty where it is not known."""


def packed(network: IPv4Network | IPv6Network) -> Nlri:
    """Give a network as NLRI."""
    return pack(afi_of(network), network.network_address.packed, network.prefixlen)


def afi_of(network: IPv4Network | IPv6Network) -> Afi:
    """Tell a network's family."""
    return Afi.IPV4 if network.version == 4 else Afi.IPV6


def rules_of(
    filters: Sequence[BGPFilter | RoutePolicy],
    direction: Direction,
    afi: Afi,
    place_of: PlaceOf,
) -> tuple[Rule, ...]:
    """Give the rules of several filters, one after the other.

    Args:
        filters: in the order of evaluation.
        direction: import or export.
        afi: the family whose rules are wanted.
        place_of: tells where a rule is written, for explanations.
    """
    found: list[Rule] = []
    for each in filters:
        field, rules = _chain(each.spec, direction, afi)
        for number, rule in enumerate(rules):
            place = place_of(Kind(each.kind), each.name, field, number)
            origin = f"{each.kind.lower()}/{each.name} {field}[{number}]"
            found.append(_rule(rule, f"{origin} ({place})" if place else origin))
    return tuple(found)


def chain_field(direction: Direction, afi: Afi) -> str:
    """Name the field of a filter that holds the rules of a direction and family."""
    return f"{direction.value}V{4 if afi is Afi.IPV4 else 6}"


def _chain(
    spec: BGPFilterSpec | RoutePolicySpec, direction: Direction, afi: Afi
) -> tuple[str, Sequence[AnyRule]]:
    match direction, afi:
        case Direction.IMPORT, Afi.IPV4:
            return "importV4", spec.import_v4
        case Direction.IMPORT, _:
            return "importV6", spec.import_v6
        case Direction.EXPORT, Afi.IPV4:
            return "exportV4", spec.export_v4
        case _:
            return "exportV6", spec.export_v6


def _rule(rule: AnyRule, origin: str) -> Rule:
    length = rule.prefix_length
    plain = Rule(
        action=rule.action,
        cidr=packed(rule.cidr) if rule.cidr else None,
        operator=rule.match_operator,
        min_length=length.min if length else None,
        max_length=length.max if length else None,
        has_prefix_length=length is not None,
        source_remote_peers=rule.source is not None,
        interface=rule.interface,
        peer_type=rule.peer_type,
        communities=tuple(rule.communities.values) if rule.communities else (),
        as_path_prefix=tuple(rule.as_path_prefix),
        priority=rule.priority,
        operations=tuple(map(_operation, rule.operations or ())),
        origin=origin,
    )
    if not isinstance(rule, PolicyRule):
        return plain
    return replace(
        plain,
        every_community=bool(rule.communities and rule.communities.match is CommunityQuantity.ALL),
        as_path_regex=rule.as_path_regex,
        med=_range(rule.med),
        local_pref=_range(rule.local_preference),
        next_hops=tuple(map(_network, rule.next_hops)),
        neighbors=tuple(map(_network, rule.neighbors)),
        rpki=rule.rpki,
        reason=rule.reason or "",
    )


def _range(bounds: Bounds | None) -> Range | None:
    if bounds is None:
        return None
    low, high = bounds.min, bounds.max
    return (0 if low is None else low, MAX_U32 if high is None else high)


def _network(network: IPv4Network | IPv6Network) -> Network:
    return len(network.network_address.packed), packed(network)


def _operation(operation: FilterOperation | PolicyOperation) -> Operation:
    own = _operation_of_policy(operation) if isinstance(operation, PolicyOperation) else None
    if own is not None:
        return own
    if operation.add_community:
        return AddCommunity(operation.add_community.value)
    if operation.prepend_as_path:
        return PrependAsPath(tuple(operation.prepend_as_path.prefix))
    assert operation.set_priority is not None
    return SetPriority(operation.set_priority.value)


def _operation_of_policy(operation: PolicyOperation) -> Operation | None:
    """Give what a RoutePolicy alone can do; None for what a BGPFilter can do as well."""
    if operation.remove_communities:
        return RemoveCommunities(tuple(operation.remove_communities.values))
    if operation.set_local_preference:
        return SetLocalPref(operation.set_local_preference.value)
    if operation.set_med:
        return SetMed(operation.set_med.value)
    if operation.set_next_hop:
        value = operation.set_next_hop.value
        return SetNextHop(value if isinstance(value, NextHopWord) else value.packed)
    if operation.blackhole:
        return Blackhole()
    if operation.as_override:
        return AsOverride()
    if operation.remove_private_as:
        wanted = operation.remove_private_as
        return RemovePrivateAs(wanted.mode is PrivateNumbers.ALL, wanted.replace_as)
    return None
