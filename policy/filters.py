"""Filters: ordered rules, compiled, and asked about batches of prefixes.

A `Rule` is a plain value as the resources say it; `compile_filter` makes a `Filter` of all rules of
a session's direction and family in their order. The first rule whose conditions all hold decides,
for the whole chain; a rule without conditions holds always. The answer is a `Verdict`: accepted or
not, the operations to apply, and the words for people. Where no rule holds it is `NO_MATCH`, and
the caller goes on: import accepts, export asks the built-in policy.

`Filter.partition` takes the prefixes of one path and gives them back grouped by verdict. What
depends on the path alone is decided once for each path and remembered, in a bounded table; what is
left of the rules after that are prefix conditions, up to the first rule that needs none. If none is
left the answer is the list that came in, untouched, so a filter that looks only at attributes costs
nothing per prefix.

Two filters of equal rules are equal and hash alike, whatever the resources that the rules came from
are called: peers with equal filters share an export group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from policy.attributes import LargeCommunity
from policy.decision import DEFAULT_LOCAL_PREF
from policy.matching import (
    MatchOperator,
    PrefixTest,
    match_as_path_prefix,
    match_community,
    match_interface,
    match_peer_type,
    match_priority,
    match_source,
    prefix_test,
)
from policy.operations import Operation, local_pref_of
from policy.path import Path, PeerType
from policy.prefix import Nlri


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
        community: a number is a standard community, three are a large one.
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
    community: int | LargeCommunity | None = None
    as_path_prefix: tuple[int, ...] = ()
    priority: int | None = None
    operations: tuple[Operation, ...] = ()
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
    """

    peer_type: PeerType
    direction: Direction
    normal_priority: int | None = None


def effective_local_pref(path: Path, normal_priority: int | None = None) -> int:
    """Give the LOCAL_PREF that a path has or, being without one, stands for.

    A route of ours carries its kernel metric where LOCAL_PREF carries priorities; every other one
    is given the default (RFC 4271 §9.1.1).
    """
    if normal_priority is not None and not path.source.is_bgp:
        return local_pref_of(normal_priority if path.metric is None else path.metric)
    local_pref = path.attributes.local_pref
    return DEFAULT_LOCAL_PREF if local_pref is None else local_pref


@dataclass(frozen=True, slots=True)
class _Step:
    """A rule with its verdict, and its prefix condition compiled."""

    rule: Rule
    verdict: Verdict
    test: PrefixTest | None


@dataclass(frozen=True, slots=True)
class _Residue:
    """What a path leaves of the rules: prefix conditions, and the verdict behind them."""

    tests: tuple[tuple[PrefixTest, Verdict], ...]
    otherwise: Verdict


class Filter:
    """Compiled rules; equal rules make equal filters.

    Args:
        rules: in the order in which they are tried.
    """

    REMEMBERED = 1024
    """So many paths are remembered before all are forgotten."""

    __slots__ = ("_hash", "_residues", "_steps", "_uses_interface", "rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._steps = tuple(_compile(rule) for rule in self.rules)
        self._hash = hash(self.rules)
        self._residues: dict[tuple[Path, Scope, str], _Residue] = {}
        # A next hop's interface may change under a path; the other conditions cannot.
        self._uses_interface = any(rule.interface is not None for rule in self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self.rules == other.rules

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Filter({len(self.rules)} rules)"

    # hot: per prefix
    def partition(self, nlris: list[Nlri], path: Path, scope: Scope) -> Partition:
        """Group the prefixes of one path by what is decided for them.

        Returns:
            (verdict, prefixes) in the order in which the verdicts first occur, prefixes in the
            order given. Where one verdict stands for all, its list is ``nlris`` itself.
        """
        residue = self._residue(path, scope)
        tests, otherwise = residue.tests, residue.otherwise
        if not tests:
            return [(otherwise, nlris)]
        groups: dict[Verdict, list[Nlri]] = {}
        for nlri in nlris:
            decided = otherwise
            for test, verdict in tests:
                if test(nlri):
                    decided = verdict
                    break
            if decided in groups:
                groups[decided].append(nlri)
            else:
                groups[decided] = [nlri]
        return grouped(groups, nlris)

    def _residue(self, path: Path, scope: Scope) -> _Residue:
        """Look up or work out what the path leaves of the rules."""
        key = (path, scope, path.next_hop.interface if self._uses_interface else "")
        residue = self._residues.get(key)
        if residue is None:
            if len(self._residues) >= self.REMEMBERED:
                self._residues.clear()
            residue = self._residues[key] = self._reduce(path, scope)
        return residue

    def _reduce(self, path: Path, scope: Scope) -> _Residue:
        tests: list[tuple[PrefixTest, Verdict]] = []
        for step in self._steps:
            if holds(step.rule, path, scope):
                if step.test is None:
                    return _Residue(tuple(tests), step.verdict)
                tests.append((step.test, step.verdict))
        return _Residue(tuple(tests), NO_MATCH)


def grouped(groups: dict[Verdict, list[Nlri]], nlris: list[Nlri]) -> Partition:
    """Finish a partition: where one verdict stands for all, give the list that came in."""
    if len(groups) == 1:
        return [(verdict, nlris) for verdict in groups]
    return list(groups.items())


def compile_filter(rules: Sequence[Rule]) -> Filter | None:
    """Make a filter of rules; None where there are none, so that callers skip the question."""
    return Filter(rules) if rules else None


def _compile(rule: Rule) -> _Step:
    accepted = rule.action is Action.ACCEPT
    # Operations stand only in accepting rules; a rejected route has no attributes to change.
    verdict = Verdict(accepted, rule.operations if accepted else (), rule.origin or "a filter rule")
    if rule.cidr is None or rule.operator is None:
        return _Step(rule, verdict, None)
    is_set = rule.has_prefix_length or rule.min_length is not None or rule.max_length is not None
    test = prefix_test(
        rule.cidr,
        rule.operator,
        min_length=rule.min_length,
        max_length=rule.max_length,
        is_set=is_set,
    )
    return _Step(rule, verdict, test)


def holds(rule: Rule, path: Path, scope: Scope) -> bool:
    """Tell whether all conditions of a rule hold but the one on the prefix."""
    if rule.peer_type is not None and not match_peer_type(scope.peer_type, rule.peer_type):
        return False
    if rule.source_remote_peers and not match_source(path.source):
        return False
    if rule.interface is not None and not match_interface(path.next_hop.interface, rule.interface):
        return False
    return _attributes_hold(rule, path, scope)


def _attributes_hold(rule: Rule, path: Path, scope: Scope) -> bool:
    if rule.priority is not None:
        local_pref = effective_local_pref(path, scope.normal_priority)
        if not match_priority(local_pref, rule.priority):
            return False
    if rule.community is not None and not match_community(path.attributes, rule.community):
        return False
    return not rule.as_path_prefix or match_as_path_prefix(path.attributes, rule.as_path_prefix)
