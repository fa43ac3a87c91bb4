"""From BGPFilter resources to the plain rules that `policy.filters` compiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network

from fsm.family import Afi
from policy.filters import Direction, Rule
from policy.operations import AddCommunity, Operation, PrependAsPath, SetPriority
from policy.prefix import Nlri, pack
from speaker.config.resources import BGPFilter, FilterOperation, FilterRuleV4, FilterRuleV6


def packed(network: IPv4Network | IPv6Network) -> Nlri:
    """Give a network as NLRI."""
    return pack(afi_of(network), network.network_address.packed, network.prefixlen)


def afi_of(network: IPv4Network | IPv6Network) -> Afi:
    """Tell a network's family."""
    return Afi.IPV4 if network.version == 4 else Afi.IPV6


def rules_of(
    filters: Sequence[BGPFilter], direction: Direction, afi: Afi, places: Mapping[str, str]
) -> tuple[Rule, ...]:
    """Give the rules of several filters, one after the other.

    Args:
        filters: in the order of evaluation.
        direction: import or export.
        afi: the family whose rules are wanted.
        places: ``file:line`` of filters, by name, for explanations.
    """
    found: list[Rule] = []
    for bgp_filter in filters:
        field, rules = _chain(bgp_filter, direction, afi)
        place = places.get(bgp_filter.name)
        for number, rule in enumerate(rules):
            origin = f"bgpfilter/{bgp_filter.name} {field}[{number}]"
            found.append(_rule(rule, f"{origin} ({place})" if place else origin))
    return tuple(found)


def _chain(
    bgp_filter: BGPFilter, direction: Direction, afi: Afi
) -> tuple[str, Sequence[FilterRuleV4 | FilterRuleV6]]:
    spec = bgp_filter.spec
    match direction, afi:
        case Direction.IMPORT, Afi.IPV4:
            return "importV4", spec.import_v4
        case Direction.IMPORT, _:
            return "importV6", spec.import_v6
        case Direction.EXPORT, Afi.IPV4:
            return "exportV4", spec.export_v4
        case _:
            return "exportV6", spec.export_v6


def _rule(rule: FilterRuleV4 | FilterRuleV6, origin: str) -> Rule:
    length = rule.prefix_length
    return Rule(
        action=rule.action,
        cidr=packed(rule.cidr) if rule.cidr else None,
        operator=rule.match_operator,
        min_length=length.min if length else None,
        max_length=length.max if length else None,
        has_prefix_length=length is not None,
        source_remote_peers=rule.source is not None,
        interface=rule.interface,
        peer_type=rule.peer_type,
        community=rule.communities.values[0] if rule.communities else None,
        as_path_prefix=tuple(rule.as_path_prefix),
        priority=rule.priority,
        operations=tuple(map(_operation, rule.operations or ())),
        origin=origin,
    )


def _operation(operation: FilterOperation) -> Operation:
    if operation.add_community:
        return AddCommunity(operation.add_community.value)
    if operation.prepend_as_path:
        return PrependAsPath(tuple(operation.prepend_as_path.prefix))
    assert operation.set_priority is not None
    return SetPriority(operation.set_priority.value)
