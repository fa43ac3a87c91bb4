"""Filters: ordered rules, compiled, and asked about batches of prefixes.

A `Rule` is a plain value as the resources say it; `compile_filter` makes a `Filter` of all rules of
a session's direction and family in their order. The first rule whose conditions all hold decides,
for the whole chain; a rule without conditions holds always. The answer is a `Verdict`: accepted or
not, the operations to apply, and the words for people. Where no rule holds it is `NO_MATCH`, and
the caller goes on: import accepts, export asks the built-in policy.

`Filter.partition` takes the prefixes of one path and gives them back grouped by verdict. What
depends on the path alone is decided once for each path and remembered, in a bounded table; what is
left of the rules after that are prefix conditions, up to the first rule that needs none, and paths
that leave the same share it. If none is left the answer is the list that came in, untouched, so a
filter that looks only at attributes costs nothing per prefix; more than a few are not tried one by
one but looked up (`policy.dispatch`). Most paths are none of a filter's business, and mostly that
can be told at a glance (`Filter.passes_over`): a community or an AS that a rule asks for is nowhere
in their octets. What RPKI says is a condition on prefix and path together: it
is asked for each prefix, where the path leaves the rule standing, and never remembered, since VRPs
come and go. On export it is asked of the route as it would be announced (RFC 8893 §3): of a rule
that accepts, with what its own operations make of the AS_PATH; of one that rejects, with those of
the rule that would accept the route if none rejected it for what RPKI says.

Two filters of equal rules are equal and hash alike, whatever the resources that the rules came from
are called: peers with equal filters share an export group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from typing import TypeAlias

from policy.as_path_regex import AsPathRegex
from policy.communities import Wanted
from policy.dispatch import Dispatch, PrefixCondition
from policy.matching import (
    MatchOperator,
    Network,
    PrefixTest,
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
    prefix_condition,
    prefix_test,
)
from policy.operations import (
    NO_ENDS,
    Ends,
    Operation,
    as_path_edited,
    asks_for_peers_as,
    changes_as_path,
    local_pref_of,
)
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.ranking import DEFAULT_LOCAL_PREF
from policy.vrps import Origins, Validity, origin_of


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


@dataclass(frozen=True, slots=True)
class _Step:
    """A rule with its verdict and its prefix condition.

    Attributes:
        asks: it has a condition on something else than the prefix.
        traces: octets that stand in the attributes of every route for which the rule holds.
    """

    rule: Rule
    verdict: Verdict
    condition: PrefixCondition | None
    asks: bool
    traces: tuple[bytes, ...]


FEW = 3
"""So many conditions on the prefix are sooner tried one by one than looked up."""


class _Residue:
    """What a path leaves of the rules: prefix conditions, and the verdict behind them.

    Attributes:
        asks: there are any conditions.
        otherwise: the verdict where none holds.
    """

    __slots__ = ("_dispatch", "_tests", "asks", "otherwise")

    def __init__(
        self,
        tests: Sequence[tuple[PrefixTest, Verdict]],
        otherwise: Verdict,
        dispatch: Dispatch[Verdict] | None = None,
    ) -> None:
        self.otherwise = otherwise
        self.asks = bool(tests)
        self._tests = tests
        self._dispatch = dispatch

    @classmethod
    def of(
        cls, conditions: Sequence[tuple[PrefixCondition, Verdict]], otherwise: Verdict
    ) -> _Residue:
        """Compile conditions on the prefix alone."""
        tests = [(prefix_test(each), verdict) for each, verdict in conditions]
        dispatch = None if len(conditions) <= FEW else Dispatch(conditions, otherwise)
        return cls(tests, otherwise, dispatch)

    # hot: per prefix
    def partition(self, nlris: list[Nlri]) -> Partition:
        """Group prefixes by verdict."""
        if self._dispatch is not None:
            return by_verdict(self._dispatch.decide(nlris), nlris)
        tests, otherwise = self._tests, self.otherwise
        decided = []
        for nlri in nlris:
            for test, verdict in tests:
                if test(nlri):
                    decided.append(verdict)
                    break
            else:
                decided.append(otherwise)
        return by_verdict(decided, nlris)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A rule whose conditions on the path hold.

    Attributes:
        test: of the prefix; None where every one will do.
        wanted: what RPKI must say; None for anything.
    """

    test: PrefixTest | None
    wanted: Validity | None
    verdict: Verdict


class _Announced(_Residue):
    """What a path leaves of export rules that ask for validity and change the AS_PATH."""

    __slots__ = ("_path", "_said", "_scope", "_standing")

    def __init__(self, standing: Sequence[_Standing], path: Path, scope: Scope) -> None:
        super().__init__((), NO_MATCH)
        self.asks = True
        self._standing = standing
        self._path = path
        self._scope = scope
        self._said: dict[tuple[Operation, ...], int | None] = {}

    def partition(self, nlris: list[Nlri]) -> Partition:
        """Group prefixes by verdict."""
        return by_verdict([self._decide(nlri) for nlri in nlris], nlris)

    def announcing(self, nlri: Nlri) -> Verdict:
        """Give what decides for a prefix if no rule rejects it for what RPKI says."""
        return self._without_rejections(nlri)[0]

    def _decide(self, nlri: Nlri) -> Verdict:
        announcing, rejecting = self._without_rejections(nlri)
        for each in rejecting:
            if self._says(nlri, announcing) is each.wanted:
                return each.verdict
        return announcing

    def _without_rejections(self, nlri: Nlri) -> tuple[Verdict, list[_Standing]]:
        """Give also the rules before that would reject it for that."""
        rejecting: list[_Standing] = []
        for each in self._standing:
            if each.test is not None and not each.test(nlri):
                continue
            if each.wanted is not None and not each.verdict.accepted:
                rejecting.append(each)
            elif each.wanted is None or self._says(nlri, each.verdict) is each.wanted:
                return each.verdict, rejecting
        return NO_MATCH, rejecting

    def _says(self, nlri: Nlri, verdict: Verdict) -> Validity:
        origins, operations = self._scope.origins, verdict.operations
        if origins is None:
            return Validity.NOT_FOUND
        if operations not in self._said:
            self._said[operations] = announced_origin(self._path, operations, self._scope, origins)
        return origins.vrps.validate(nlri, self._said[operations])


def announced_origin(
    path: Path, operations: tuple[Operation, ...], scope: Scope, origins: Origins
) -> int | None:
    """Give the AS from which a route comes; on export as the peer will see it (RFC 8893 §3)."""
    attributes = path.attributes
    if scope.direction is Direction.EXPORT:
        attributes = as_path_edited(attributes, operations, scope.ends)
    return origin_of(attributes, origins.local_asn)


class Filter:
    """Compiled rules; equal rules make equal filters.

    Args:
        rules: in the order in which they are tried.

    Attributes:
        asks_paths_alone: no prefix makes a difference to what it says of a path, nor any time.
        asks_for_peers_as: what its rules do depends on the peer's AS.
        asks_for_validity: what its rules do depends on what RPKI says.
    """

    REMEMBERED = 1024
    """So many paths are remembered before all are forgotten."""

    __slots__ = (
        "_asking",
        "_bare",
        "_changes_origins",
        "_hash",
        "_marks",
        "_remembered",
        "_residues",
        "_scope",
        "_shapes",
        "_steps",
        "_uses_interface",
        "asks_for_peers_as",
        "asks_for_validity",
        "asks_paths_alone",
        "rules",
    )

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._steps = tuple(_reached(self.rules))
        self._asking = tuple(pair for pair in enumerate(self._steps) if pair[1].asks)
        self._hash = hash(self.rules)
        # By scope, and of the scope that asked last: what paths leave of the rules.
        self._remembered: dict[Scope, dict[Path | tuple[Path, str], _Residue]] = {}
        self._residues: dict[Path | tuple[Path, str], _Residue] = {}
        self._scope: Scope | None = None
        # What is left where these of the rules that ask for more than the prefix hold.
        self._shapes: dict[tuple[int, ...], _Residue] = {}
        self._bare = self._reduce(set())
        self.asks_for_peers_as = any(
            asks_for_peers_as(operation) for rule in self.rules for operation in rule.operations
        )
        self.asks_for_validity = any(rule.rpki is not None for rule in self.rules)
        self._changes_origins = self.asks_for_validity and any(
            changes_as_path(operation) for rule in self.rules for operation in rule.operations
        )
        # A next hop's interface may change under a path; the other conditions cannot.
        self._uses_interface = any(rule.interface is not None for rule in self.rules)
        self.asks_paths_alone = (
            not self.asks_for_validity
            and not self._uses_interface
            and all(step.condition is None for step in self._steps)
        )
        # None: octets alone do not tell.
        self._marks: tuple[bytes, ...] | None = None
        if self._bare.otherwise is NO_MATCH and not self._bare.asks:
            self._marks = _marks([step.traces for _, step in self._asking])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self.rules == other.rules

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Filter({len(self.rules)} rules)"

    def sibling(self) -> Filter:
        """Give an equal filter that remembers paths of its own; nothing is compiled again."""
        other = copy(self)
        other._remembered, other._residues, other._scope = {}, {}, None
        return other

    # hot: per batch
    def partition(self, nlris: list[Nlri], path: Path, scope: Scope) -> Partition:
        """Group the prefixes of one path by what is decided for them.

        Returns:
            (verdict, prefixes) in the order in which the verdicts first occur, prefixes in the
            order given. Where one verdict stands for all, its list is ``nlris`` itself.
        """
        residue = self._residue(path, scope) if self._asking else self._bare
        if not residue.asks:
            return [(residue.otherwise, nlris)]
        return residue.partition(nlris)

    # hot: per attribute set
    def passes_over(self, path: Path) -> bool:
        """Tell at a glance that no rule holds, whatever the prefix; False: it has to be asked."""
        marks = self._marks
        if marks is None:
            return False
        raw = path.attributes.raw
        for mark in marks:  # noqa: SIM110 - a generator costs more than the searches
            if mark in raw:
                return False
        return True

    def matches(self, number: int, nlri: Nlri, path: Path, scope: Scope) -> bool:
        """Tell whether one of the rules, by its place, matches a prefix of a path."""
        step = _compile(self.rules[number])
        if not holds(step.rule, path, scope):
            return False
        test = _prefix_test(step, path, scope, self.announced_with(number, nlri, path, scope))
        return test is None or test(nlri)

    def announced_with(
        self, number: int, nlri: Nlri, path: Path, scope: Scope
    ) -> tuple[Operation, ...]:
        """Give the operations with which a rule's question about validity takes a route to leave.

        The rule is given by its place.
        """
        rule = self.rules[number]
        if rule.rpki is None or scope.direction is not Direction.EXPORT:
            return ()
        if rule.action is Action.ACCEPT:
            return rule.operations
        rest = [each for each in _reached(self.rules[number:]) if holds(each.rule, path, scope)]
        return _Announced(_standing(rest), path, scope).announcing(nlri).operations

    # hot: per batch
    def _residue(self, path: Path, scope: Scope) -> _Residue:
        """Look up or work out what the path leaves of the rules."""
        if scope is not self._scope:
            self._scope = scope
            self._residues = self._remembered.setdefault(scope, {})
        residues = self._residues
        key = (path, path.next_hop.interface) if self._uses_interface else path
        residue = residues.get(key)
        if residue is None:
            if len(residues) >= self.REMEMBERED:
                residues.clear()
            residue = residues[key] = self._left_by(path, scope)
        return residue

    # hot: per attribute set
    def _left_by(self, path: Path, scope: Scope) -> _Residue:
        """Work out what a path leaves of the rules."""
        holding = self._holding(path, scope)
        if self.asks_for_validity:
            # What is asked of each prefix depends on the origin of this very path.
            return self._reduce_with(set(holding), path, scope)
        return self._shape(holding) if holding else self._bare

    # hot: per attribute set
    def _holding(self, path: Path, scope: Scope) -> tuple[int, ...]:
        """Give the rules that ask for more than the prefix and hold, as far as it matters."""
        raw = path.attributes.raw
        holding: list[int] | None = None
        for number, step in self._asking:
            for trace in step.traces:
                # Nearly always it stands nowhere, and nothing need be taken apart.
                if trace not in raw:
                    break
            else:
                if holds(step.rule, path, scope):
                    holding = holding or []
                    holding.append(number)
                    if step.condition is None and step.rule.rpki is None:
                        break
        return tuple(holding) if holding else ()

    def _shape(self, holding: tuple[int, ...]) -> _Residue:
        """Say what is left of the rules where of those that ask these hold: paths share it."""
        shape = self._shapes.get(holding)
        if shape is None:
            if len(self._shapes) >= self.REMEMBERED:
                self._shapes.clear()
            shape = self._shapes[holding] = self._reduce(set(holding))
        return shape

    def _reduce(self, holding: set[int]) -> _Residue:
        conditions: list[tuple[PrefixCondition, Verdict]] = []
        for number, step in enumerate(self._steps):
            if step.asks and number not in holding:
                continue
            if step.condition is None:
                return _Residue.of(conditions, step.verdict)
            conditions.append((step.condition, step.verdict))
        return _Residue.of(conditions, NO_MATCH)

    def _reduce_with(self, holding: set[int], path: Path, scope: Scope) -> _Residue:
        tests: list[tuple[PrefixTest, Verdict]] = []
        left = [
            step for number, step in enumerate(self._steps) if not step.asks or number in holding
        ]
        if self._changes_origins and scope.direction is Direction.EXPORT:
            return _Announced(_standing(left), path, scope)
        for step in left:
            test = _prefix_test(step, path, scope)
            if test is None:
                return _Residue(tests, step.verdict)
            tests.append((test, step.verdict))
        return _Residue(tests, NO_MATCH)


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


def compile_filter(rules: Sequence[Rule]) -> Filter | None:
    """Make a filter of rules; None where there are none, so that callers skip the question.

    Hundreds of sessions may have one chain of a thousand rules: those of one tuple are compiled
    once, as long as they are among the last `KEPT`.
    """
    if not rules:
        return None
    known = _recent.get(id(rules))
    if known is not None and known.rules is rules:
        return known.sibling()
    made = Filter(rules)
    if made.rules is rules:  # a tuple
        _recent[id(rules)] = made
        if len(_recent) > KEPT:
            _recent.pop(next(iter(_recent)))
    return made


KEPT = 64
"""So many chains are kept compiled for the next session that has the very same."""

_recent: dict[int, Filter] = {}


def _reached(rules: Sequence[Rule]) -> Iterator[_Step]:
    """Compile rules up to one that always holds: behind it they are dead."""
    for rule in rules:
        step = _compile(rule)
        yield step
        if step.condition is None and not step.asks:
            return


def _compile(rule: Rule) -> _Step:
    accepted = rule.action is Action.ACCEPT
    # Operations stand only in accepting rules; a rejected route has no attributes to change.
    reason = rule.origin or "a filter rule"
    if rule.reason:
        reason += f": {rule.reason}"
    verdict = Verdict(accepted, rule.operations if accepted else (), reason)
    asks = _but_for_the_prefix(rule) != Rule(rule.action)
    if rule.cidr is None or rule.operator is None:
        return _Step(rule, verdict, None, asks, tuple(_traces(rule)))
    is_set = rule.has_prefix_length or rule.min_length is not None or rule.max_length is not None
    condition = prefix_condition(
        rule.cidr,
        rule.operator,
        min_length=rule.min_length,
        max_length=rule.max_length,
        is_set=is_set,
    )
    return _Step(rule, verdict, condition, asks, tuple(_traces(rule)))


def _traces(rule: Rule) -> Iterator[bytes]:
    """Give octets without which a rule cannot hold."""
    for number in rule.as_path_prefix:
        yield number.to_bytes(4, "big")
    if len(rule.communities) == 1 or rule.every_community:
        for wanted in rule.communities:
            match wanted:
                case int(community):
                    yield community.to_bytes(4, "big")
                case (int(), int(), int()) as community:
                    yield b"".join(part.to_bytes(4, "big") for part in community)
                case _:  # a pattern leaves no octets that must be there
                    pass


def _marks(traces: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...] | None:
    """Choose few octets of which some are there wherever a rule holds; None where one leaves none.

    Args:
        traces: of each rule.
    """
    if not all(traces):
        return None
    marks: list[bytes] = []
    left = list(traces)
    while left:
        commonest = Counter(chain.from_iterable(map(dict.fromkeys, left))).most_common(1)[0][0]
        marks.append(commonest)
        left = [each for each in left if commonest not in each]
    return tuple(marks)


def _but_for_the_prefix(rule: Rule) -> Rule:
    """Give a rule's conditions without the one on the prefix."""
    return replace(
        rule,
        cidr=None,
        operator=None,
        min_length=None,
        max_length=None,
        has_prefix_length=False,
        operations=(),
        reason="",
    )


def _standing(steps: Iterable[_Step]) -> list[_Standing]:
    return [
        _Standing(
            None if step.condition is None else prefix_test(step.condition),
            step.rule.rpki,
            step.verdict,
        )
        for step in steps
    ]


def _prefix_test(
    step: _Step, path: Path, scope: Scope, announced_with: tuple[Operation, ...] = ()
) -> PrefixTest | None:
    """Give what a rule asks of each prefix of a path: validity last, for it costs most."""
    wanted = step.rule.rpki
    test = None if step.condition is None else prefix_test(step.condition)
    if wanted is None:
        return test
    if scope.origins is None:
        found = wanted is Validity.NOT_FOUND
        return lambda nlri: found and (test is None or test(nlri))
    validate = scope.origins.vrps.validate
    origin = announced_origin(path, announced_with, scope, scope.origins)
    if test is None:
        return lambda nlri: validate(nlri, origin) is wanted
    return lambda nlri: test(nlri) and validate(nlri, origin) is wanted


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
