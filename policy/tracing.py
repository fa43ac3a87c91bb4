"""Which rule of a filter decides for a route, and what those before it ask for in vain.

`Filter.partition` answers in batches and keeps no record. `trace` asks the same rules about one
prefix of one path and writes down, for each that does not match, the first of its conditions that
does not hold, in words. Whether a rule matches is not decided here a second time
(`policy.filters.Filter.matches`); here are only the words. `CONDITIONS` has some for every field of
a `Rule` that is a condition.

It is for people and slow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never

from fsm.family import Afi
from policy.as_path_regex import matched_text
from policy.communities import CommunityPattern, Wanted
from policy.filters import Filter
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
    local_pref_of,
    priority_of,
)
from policy.path import Path
from policy.prefix import Nlri, covers, show, show_address
from policy.residues import announced_origin
from policy.rules import Rule, Scope, effective_local_pref
from policy.vrps import Validity


class Asked(NamedTuple):
    """A route that a filter is asked about.

    Attributes:
        announced_with: operations of the rule that would announce it, for what RPKI says.
    """

    afi: Afi
    nlri: Nlri
    path: Path
    scope: Scope
    announced_with: tuple[Operation, ...] = ()


Check: TypeAlias = Callable[[Rule, Asked], str]
"""Gives words for a condition that does not hold; empty where it does, or where there is none."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule that does not match.

    Attributes:
        number: its place among the rules of the chain, from 0.
        origin: where it is written.
        words: of the first condition that does not hold.
    """

    number: int
    origin: str
    words: str


@dataclass(frozen=True, slots=True)
class Trace:
    """What a chain of rules says of a route.

    Attributes:
        decided: the rule that matches; None where none does.
        misses: those that were asked before it.
    """

    decided: Rule | None
    misses: tuple[Miss, ...]


def trace(chain: Filter | None, asked: Asked) -> Trace:
    """Ask the rules one after the other."""
    misses: list[Miss] = []
    for number, rule in enumerate(() if chain is None else chain.rules):
        assert chain is not None
        if chain.matches(number, asked.nlri, asked.path, asked.scope):
            return Trace(rule, tuple(misses))
        operations = chain.announced_with(number, asked.nlri, asked.path, asked.scope)
        words = first_miss(rule, asked._replace(announced_with=operations))
        misses.append(Miss(number, rule.origin, words))
    return Trace(None, tuple(misses))


def first_miss(rule: Rule, asked: Asked) -> str:
    """Say which condition of a rule does not hold."""
    found = (check(rule, asked) for check in CONDITIONS.values())
    return next(filter(None, found), "a condition does not hold")


def _prefix(rule: Rule, asked: Asked) -> str:
    if rule.cidr is None or rule.operator is None:
        return ""
    cidr, prefix = show(asked.afi, rule.cidr), show(asked.afi, asked.nlri)
    is_equal, inside = rule.cidr == asked.nlri, covers(rule.cidr, asked.nlri)
    is_set = rule.has_prefix_length or rule.min_length is not None or rule.max_length is not None
    match rule.operator:
        case MatchOperator.EQUAL if is_set:
            return "Equal with a prefixLength never matches"
        case MatchOperator.EQUAL:
            return "" if is_equal else f"{prefix} is not {cidr}"
        case MatchOperator.NOT_EQUAL:
            return f"it is {cidr}" if is_equal and not is_set else ""
        case MatchOperator.IN if not inside:
            return f"{prefix} is not in {cidr}"
        case MatchOperator.IN:
            return _length(rule, asked)
        case MatchOperator.NOT_IN:
            return f"{prefix} is in {cidr}" if inside and not _length(rule, asked) else ""
        case _:
            assert_never(rule.operator)


def _length(rule: Rule, asked: Asked) -> str:
    length, low, high = asked.nlri[0], rule.min_length, rule.max_length
    if low is not None and length < low:
        return f"its length {length} is below {low}"
    if high is not None and length > high:
        return f"its length {length} is above {high}"
    return ""


def _source(rule: Rule, asked: Asked) -> str:
    if not rule.source_remote_peers or match_source(asked.path.source):
        return ""
    return "it does not come from a peer"


def _interface(rule: Rule, asked: Asked) -> str:
    name = asked.path.next_hop.interface
    if rule.interface is None or match_interface(name, rule.interface):
        return ""
    found = f"its interface is {name}" if name else "it has no interface"
    return f"{found}, not {rule.interface}"


def _peer_type(rule: Rule, asked: Asked) -> str:
    session = asked.scope.peer_type
    if rule.peer_type is None or match_peer_type(session, rule.peer_type):
        return ""
    return f"the session is {session.value}, not {rule.peer_type.value}"


def _communities(rule: Rule, asked: Asked) -> str:
    wanted, attributes = rule.communities, asked.path.attributes
    if not wanted or match_communities(attributes, wanted, every=rule.every_community):
        return ""
    if rule.every_community:
        wanted = tuple(each for each in wanted if not match_communities(attributes, (each,)))[:1]
    if len(wanted) == 1:
        return f"community {community_text(wanted[0])} is not there"
    return f"none of the communities {', '.join(map(community_text, wanted))} is there"


def _as_path(rule: Rule, asked: Asked) -> str:
    wanted = rule.as_path_prefix
    if not wanted or match_as_path_prefix(asked.path.attributes, wanted):
        return ""
    there = asked.path.attributes.as_sequence[: len(wanted)]
    begins = f"begins with {_numbers(there)}" if there else "is empty"
    return f"the AS_PATH {begins}, not with {_numbers(wanted)}"


def _as_path_regex(rule: Rule, asked: Asked) -> str:
    wanted = rule.as_path_regex
    if wanted is None or match_as_path_regex(asked.path.attributes, wanted):
        return ""
    text = matched_text(asked.path.attributes)
    path = f"the AS_PATH {text}" if text else "the empty AS_PATH"
    return f"{path} does not match {wanted.pattern}"


def _med(rule: Rule, asked: Asked) -> str:
    return "" if rule.med is None else _outside("MED", asked.path.attributes.med, rule.med)


def _local_pref(rule: Rule, asked: Asked) -> str:
    if rule.local_pref is None:
        return ""
    local_pref = effective_local_pref(asked.path, asked.scope.normal_priority)
    return _outside("LOCAL_PREF", local_pref, rule.local_pref)


def _outside(name: str, value: int | None, wanted: Range) -> str:
    if match_range(value, wanted):
        return ""
    if value is None:
        return f"it has no {name}"
    low, high = wanted
    return f"its {name} {value} is {f'below {low}' if value < low else f'above {high}'}"


def _next_hop(rule: Rule, asked: Asked) -> str:
    address = asked.path.attributes.next_hop
    if not rule.next_hops or match_address(address, rule.next_hops):
        return ""
    found = f"its next hop {show_address(address)} is" if address else "it has no next hop, and is"
    return f"{found} not in {_networks(rule.next_hops)}"


def _neighbor(rule: Rule, asked: Asked) -> str:
    address = asked.path.source.address
    if not rule.neighbors or match_address(address, rule.neighbors):
        return ""
    if not address:
        return "it does not come from a peer"
    return f"it comes from {show_address(address)}, not from {_networks(rule.neighbors)}"


def _networks(networks: tuple[Network, ...]) -> str:
    afis = {4: Afi.IPV4, 16: Afi.IPV6}
    return ", ".join(show(afis[width], network) for width, network in networks)


def _priority(rule: Rule, asked: Asked) -> str:
    local_pref = effective_local_pref(asked.path, asked.scope.normal_priority)
    if rule.priority is None or match_priority(local_pref, rule.priority):
        return ""
    return (
        f"its priority is {priority_of(local_pref)} (LOCAL_PREF {local_pref}), not {rule.priority}"
    )


def _rpki(rule: Rule, asked: Asked) -> str:
    if rule.rpki is None:
        return ""
    origins, found, whence = asked.scope.origins, Validity.NOT_FOUND, ""
    if origins is not None:
        origin = announced_origin(asked.path, asked.announced_with, asked.scope, origins)
        found = origins.vrps.validate(asked.nlri, origin)
        whence = " from an AS_SET" if origin is None else f" from AS {origin}"
    if found is rule.rpki:
        return ""
    prefix = show(asked.afi, asked.nlri)
    return f"RPKI says {found.value} of {prefix}{whence}, not {rule.rpki.value}"


CONDITIONS: dict[tuple[str, ...], Check] = {
    ("cidr", "operator", "has_prefix_length", "min_length", "max_length"): _prefix,
    ("peer_type",): _peer_type,
    ("source_remote_peers",): _source,
    ("interface",): _interface,
    ("priority",): _priority,
    ("local_pref",): _local_pref,
    ("med",): _med,
    ("next_hops",): _next_hop,
    ("neighbors",): _neighbor,
    ("communities", "every_community"): _communities,
    ("as_path_prefix",): _as_path,
    ("as_path_regex",): _as_path_regex,
    ("rpki",): _rpki,
}
"""What says why a condition does not hold, by the fields of a `Rule` that make it."""


def operation_text(operation: Operation) -> str:
    """Say what an operation does."""
    match operation:
        case AddCommunity(community):
            return f"adds community {community_text(community)}"
        case PrependAsPath(numbers):
            return f"prepends {_numbers(numbers)}"
        case SetPriority(priority):
            return f"sets priority {priority} (LOCAL_PREF {local_pref_of(priority)})"
        case RemoveCommunities(wanted):
            return f"removes communities {', '.join(map(community_text, wanted))}"
        case SetLocalPref(value):
            return f"sets LOCAL_PREF {value}"
        case SetMed(value):
            return f"sets MED {value}"
        case SetNextHop(told):
            named = told if isinstance(told, NextHopWord) else show_address(told)
            return f"sets the next hop {named}"
        case Blackhole():
            return "drops packets"
        case AsOverride() | RemovePrivateAs():
            return _as_path_text(operation)
        case _:
            assert_never(operation)


def _as_path_text(operation: AsOverride | RemovePrivateAs) -> str:
    if isinstance(operation, AsOverride):
        return "puts our AS in the place of the peer's"
    which = f"{'all' if operation.everywhere else 'leading'} private AS numbers"
    return f"puts our AS in the place of {which}" if operation.replace else f"leaves out {which}"


def community_text(community: Wanted) -> str:
    """Write a community as its halves, or its three numbers; in a pattern * is any number."""
    if isinstance(community, CommunityPattern):
        return ":".join("*" if part is None else str(part) for part in community.parts)
    if isinstance(community, int):
        return f"{community >> 16}:{community & 0xFFFF}"
    return ":".join(map(str, community))


def _numbers(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
