"""Rules of the operator as plain values, and when one holds.

A `Rule` is what the resources say of one rule: conditions, an action, operations. `holds` answers
for a path whether all conditions hold but those on the prefix, as said in a `Scope`: on which
session, and which way. A `Verdict` is what has become of a route: accepted or not, the operations
to apply, and the words for people; `NO_MATCH` where no rule decided. How a list of rules is asked
about many routes is for `policy.filters`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from policy.as_path_regex import AsPathRegex
from policy.communities import Wanted
from policy.matching import (
    MatchOperator,
    Network,
    Range,
    match_address,
    match_as_path_prefix,
    match_as_path_regex,
    match_communities,
    match_interface,
    match_peer_type,
    match_priority,
    match_range,
    match_source,
)
from policy.operations import (
    NO_ENDS,
    Ends,
    Operation,
    local_pref_of,
)
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.ranking import DEFAULT_LOCAL_PREF
from policy.vrps import Origins, Validity


class Action(StrEnum):
    """What a rule does with what it matches."""

    ACCEPT = "Accept"
    REJECT = "Reject"


class Direction(StrEnum):
    """Which way routes pass a filter."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; None or empty means that the condition is absent.

    Attributes:
        cidr: canonical, of the family of the filter; comes with ``operator``.
        has_prefix_length: a ``prefixLength`` stands there, even an empty one.
        communities: of which the route carries one; a number is a standard community, three are a
            large one.
        every_community: it carries all of them.
        med: the least and the most; a route without MED is not within.
        local_pref: the same for LOCAL_PREF, which every route has (`effective_local_pref`).
        next_hops: networks in one of which the next hop lies.
        neighbors: networks in one of which the peer is that told the route.
        rpki: what origin validation says of the route (RFC 6811).
        reason: why it rejects, in the operator's words.
        origin: where the rule is written, for explanations; rules that differ in this alone are
            equal.
    """

    action: Action
    cidr: Nlri | None = None
    operator: MatchOperator | None = None
    min_length: int | None = None
    max_length: int | None = None
    has_prefix_length: bool = False
    source_remote_peers: bool = False
    interface: str | None = None
    peer_type: PeerType | None = None
    communities: tuple[Wanted, ...] = ()
    every_community: bool = False
    as_path_prefix: tuple[int, ...] = ()
    as_path_regex: AsPathRegex | None = None
    med: Range | None = None
    local_pref: Range | None = None
    next_hops: tuple[Network, ...] = ()
    neighbors: tuple[Network, ...] = ()
    priority: int | None = None
    rpki: Validity | None = None
    operations: tuple[Operation, ...] = ()
    reason: str = ""
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What becomes of a route. Made once and shared; compared by identity.

    Attributes:
        accepted: whether the route passes.
        operations: what to apply to its attributes if it does.
        reason: who decided, in words: the origin of a rule, or a sentence of the built-in policy.
    """

    accepted: bool
    operations: tuple[Operation, ...] = ()
    reason: str = ""


NO_MATCH = Verdict(accepted=False, reason="no rule matches")
"""No rule decided; what that means is the caller's affair."""


ACCEPTED = Verdict(accepted=True, reason="nothing speaks against it")
"""Accepted because there is no policy that could say otherwise."""


Partition: TypeAlias = list[tuple[Verdict, list[Nlri]]]


@dataclass(frozen=True, slots=True)
class Scope:
    """On which session and which way a filter is asked.

    Attributes:
        peer_type: of the session, by its effective local AS.
        direction: import or export.
        normal_priority: the metric of routes made here that have none, where LOCAL_PREF carries
            priorities (`policy.calico`); None for plain BGP.
        origins: what knows the validity of routes; None: every one is NotFound.
        ends: of the session, on export, where operations ask for them.
    """

    peer_type: PeerType
    direction: Direction
    normal_priority: int | None = None
    origins: Origins | None = None
    ends: Ends = NO_ENDS

    def __hash__(self) -> int:
        # Asked for with every path; there are few scopes.
        return 0 if self.normal_priority is None else self.normal_priority


def effective_local_pref(path: Path, normal_priority: int | None = None) -> int:
    """Give the LOCAL_PREF that a path has or, being without one, stands for.

    A route of ours carries its kernel metric where LOCAL_PREF carries priorities; every other one
    is given the default (RFC 4271 §9.1.1).
    """
    if normal_priority is not None and not path.source.is_bgp:
        return local_pref_of(normal_priority if path.metric is None else path.metric)
    local_pref = path.attributes.local_pref
    return DEFAULT_LOCAL_PREF if local_pref is None else local_pref


# hot: per batch
def by_verdict(decided: list[Verdict], nlris: list[Nlri]) -> Partition:
    """Group prefixes by what is decided for each; one verdict for all keeps the list itself."""
    if not decided:
        return []
    first = decided[0]
    if decided.count(first) == len(decided):
        return [(first, nlris)]
    groups: dict[Verdict, list[Nlri]] = {}
    for verdict, nlri in zip(decided, nlris, strict=True):
        if verdict in groups:
            groups[verdict].append(nlri)
        else:
            groups[verdict] = [nlri]
    return list(groups.items())


def holds(rule: Rule, path: Path, scope: Scope) -> bool:
    """Tell whether all conditions of a rule hold but those on the prefix."""
    if rule.peer_type is not None and not match_peer_type(scope.peer_type, rule.peer_type):
        return False
    if rule.source_remote_peers and not match_source(path.source):
        return False
    if rule.interface is not None and not match_interface(path.next_hop.interface, rule.interface):
        return False
    if rule.neighbors and not match_address(path.source.address, rule.neighbors):
        return False
    if rule.next_hops and not match_address(path.attributes.next_hop, rule.next_hops):
        return False
    return _attributes_hold(rule, path, scope)


def _attributes_hold(rule: Rule, path: Path, scope: Scope) -> bool:
    attributes = path.attributes
    if rule.priority is not None or rule.local_pref is not None:
        local_pref = effective_local_pref(path, scope.normal_priority)
        if rule.priority is not None and not match_priority(local_pref, rule.priority):
            return False
        if rule.local_pref is not None and not match_range(local_pref, rule.local_pref):
            return False
    if rule.med is not None and not match_range(attributes.med, rule.med):
        return False
    if rule.communities and not match_communities(
        attributes, rule.communities, every=rule.every_community
    ):
        return False
    if rule.as_path_prefix and not match_as_path_prefix(attributes, rule.as_path_prefix):
        return False
    return rule.as_path_regex is None or match_as_path_regex(attributes, rule.as_path_regex)
