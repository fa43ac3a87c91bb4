"""RoutePolicy as a model: Calico's BGPFilter, and what a router's policy has to say beyond it.

It has the shape of a BGPFilter, stands in the same ``filters`` of a BGPPeer, in one chain with
BGPFilters, and is read in the same way: what one field accepts is said by its type, what fields
demand of each other by `speaker.config.policy_rules`, and what a rule means by
`speaker.config.filters`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from policy.vrps import Validity
from speaker.config.filter_resources import (
    AddCommunityOperation,
    PrefixLengthV4,
    PrefixLengthV6,
    PrependASPathOperation,
    RuleBase,
    SetPriorityOperation,
)
from speaker.config.models import (
    AsPathRegexText,
    CommunityPatternText,
    Model,
    Network,
    NextHopText,
    Resource,
    Unsigned,
    word_of,
)


class CommunityQuantity(StrEnum):
    """How many of the communities a route must carry."""

    ANY = "Any"
    ALL = "All"


class PolicyCommunityMatch(Model):
    """Communities that the route must carry, one of them or all; ``*`` stands for any number."""

    values: list[CommunityPatternText] = Field(min_length=1, max_length=64)
    match: Annotated[CommunityQuantity, word_of(CommunityQuantity)] = CommunityQuantity.ANY


class Bounds(Model):
    """The least and the most that a number may be."""

    min: Unsigned | None = None
    max: Unsigned | None = None


class RemoveCommunitiesOperation(Model):
    """Remove communities; ``*`` stands for any number."""

    values: list[CommunityPatternText] = Field(min_length=1, max_length=64)


class SetNumberOperation(Model):
    """Set LOCAL_PREF or MED."""

    value: Unsigned


class SetNextHopOperation(Model):
    """Set the next hop: an address of the family, or a word."""

    value: NextHopText


class BlackholeOperation(Model):
    """Drop packets."""


class ASOverrideOperation(Model):
    """Put our AS in the place of the peer's."""


class PrivateNumbers(StrEnum):
    """Which private AS numbers are meant: those before the first public one, or all."""

    LEADING = "Leading"
    ALL = "All"


class RemovePrivateASOperation(Model):
    """Leave out private AS numbers, or put our AS in their place."""

    mode: Annotated[PrivateNumbers, word_of(PrivateNumbers)] = PrivateNumbers.LEADING
    replace_as: bool = False


class PolicyOperation(Model):
    """Exactly one thing to do with an accepted route."""

    add_community: AddCommunityOperation | None = None
    remove_communities: RemoveCommunitiesOperation | None = None
    prepend_as_path: PrependASPathOperation | None = None
    set_priority: SetPriorityOperation | None = None
    set_local_preference: SetNumberOperation | None = None
    set_med: SetNumberOperation | None = None
    set_next_hop: SetNextHopOperation | None = None
    blackhole: BlackholeOperation | None = None
    as_override: ASOverrideOperation | None = None
    remove_private_as: RemovePrivateASOperation | None = None


class PolicyRule(RuleBase):
    """One rule: what a route must be like, and what becomes of it."""

    communities: PolicyCommunityMatch | None = None
    as_path_regex: AsPathRegexText | None = None
    med: Bounds | None = None
    local_preference: Bounds | None = None
    next_hops: list[Network] = Field(default_factory=list, max_length=64)
    neighbors: list[Network] = Field(default_factory=list, max_length=64)
    rpki: Annotated[Validity, word_of(Validity)] | None = None
    reason: Annotated[str, Field(max_length=128)] | None = None
    operations: list[PolicyOperation] | None = Field(default=None, min_length=1, max_length=32)


class PolicyRuleV4(PolicyRule):
    """A rule for IPv4 routes."""

    prefix_length: PrefixLengthV4 | None = None


class PolicyRuleV6(PolicyRule):
    """A rule for IPv6 routes."""

    prefix_length: PrefixLengthV6 | None = None


class RoutePolicySpec(Model):
    """Rules by direction and family."""

    export_v4: list[PolicyRuleV4] = Field(default_factory=list)
    import_v4: list[PolicyRuleV4] = Field(default_factory=list)
    export_v6: list[PolicyRuleV6] = Field(default_factory=list)
    import_v6: list[PolicyRuleV6] = Field(default_factory=list)


class RoutePolicy(Resource):
    """Ordered rules that a BGPPeer may name, beside BGPFilters."""

    spec: RoutePolicySpec = RoutePolicySpec()
