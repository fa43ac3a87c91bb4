"""Calico's BGPFilter as a model: ordered rules, what a route must be like and what becomes of it.

`RuleBase` is what its rules have in common with those of a RoutePolicy
(`speaker.config.policy_resources`).

As in `speaker.config.resources`, what one field accepts is said by its type. What a rule means is
worked out in `speaker.config.filters`, once per plan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from policy.matching import MatchOperator
from policy.path import PeerType
from policy.rules import Action
from speaker.config.models import (
    AsNumber,
    CommunityText,
    InterfacePattern,
    MaskedNetwork,
    Model,
    Priority,
    Resource,
    word_of,
)


class PrefixLengthV4(Model):
    """Bounds on the length of a prefix."""

    min: int | None = Field(default=None, ge=0, le=32)
    max: int | None = Field(default=None, ge=0, le=32)


class PrefixLengthV6(Model):
    """Bounds on the length of a prefix."""

    min: int | None = Field(default=None, ge=0, le=128)
    max: int | None = Field(default=None, ge=0, le=128)


class RouteSource(StrEnum):
    """Where a route was learnt."""

    REMOTE_PEERS = "RemotePeers"


class CommunityMatch(Model):
    """A community the route must carry; the list has exactly one member."""

    values: list[CommunityText] = Field(min_length=1, max_length=1)


class AddCommunityOperation(Model):
    """Add a community."""

    value: CommunityText


class PrependASPathOperation(Model):
    """Prepend AS numbers."""

    prefix: list[AsNumber] = Field(min_length=1, max_length=10)


class SetPriorityOperation(Model):
    """Set the priority."""

    value: Priority


class FilterOperation(Model):
    """Exactly one thing to do with an accepted route."""

    add_community: AddCommunityOperation | None = None
    prepend_as_path: PrependASPathOperation | None = None
    set_priority: SetPriorityOperation | None = None


class RuleBase(Model):
    """What rules of every kind of filter can say alike."""

    action: Annotated[Action, word_of(Action)]
    cidr: MaskedNetwork | None = None
    match_operator: Annotated[MatchOperator, word_of(MatchOperator)] | None = None
    source: Annotated[RouteSource, word_of(RouteSource)] | None = None
    interface: InterfacePattern | None = None
    peer_type: Annotated[PeerType, word_of(PeerType)] | None = None
    as_path_prefix: list[AsNumber] = Field(default_factory=list)
    priority: Priority | None = None


class FilterRule(RuleBase):
    """One rule: what a route must be like, and what becomes of it."""

    communities: CommunityMatch | None = None
    operations: list[FilterOperation] | None = Field(default=None, min_length=1, max_length=10)


class FilterRuleV4(FilterRule):
    """A rule for IPv4 routes."""

    prefix_length: PrefixLengthV4 | None = None


class FilterRuleV6(FilterRule):
    """A rule for IPv6 routes."""

    prefix_length: PrefixLengthV6 | None = None


class BGPFilterSpec(Model):
    """Rules by direction and family."""

    export_v4: list[FilterRuleV4] = Field(default_factory=list)
    import_v4: list[FilterRuleV4] = Field(default_factory=list)
    export_v6: list[FilterRuleV6] = Field(default_factory=list)
    import_v6: list[FilterRuleV6] = Field(default_factory=list)


class BGPFilter(Resource):
    """Ordered rules that a BGPPeer may name."""

    spec: BGPFilterSpec = BGPFilterSpec()
