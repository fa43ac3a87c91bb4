"""Filters: ordered rules, compiled, and asked about batches of prefixes.

`compile_filter` makes a `Filter` of all rules (`policy.rules`) of a session's direction and family,
in their order. The first rule whose conditions all hold decides, for the whole chain; a rule
without conditions holds always. Where no rule holds the verdict is `NO_MATCH`, and the caller goes
on: import accepts, export asks the built-in policy.

`Filter.partition` takes the prefixes of one path and gives them back grouped by verdict. What
depends on the path alone is decided once for each path and remembered, in a bounded table; what is
left of the rules after that (`policy.residues`) are prefix conditions, up to the first rule that
needs none, and paths that leave the same share it. If none is left the answer is the list that came
in, untouched, so a filter that looks only at attributes costs nothing per prefix. Most paths are
none of a filter's business, and mostly that can be told at a glance (`Filter.passes_over`): a
community or an AS that a rule asks for is nowhere in their octets (`policy.steps`).

What RPKI says is a condition on prefix and path together: it is asked for each prefix, where the
path leaves the rule standing, and never remembered, since VRPs come and go. On export it is asked
of the route as it would be announced (RFC 8893 §3): of a rule that accepts, with what its own
operations make of the AS_PATH; of one that rejects, with those of the rule that would accept the
route if none rejected it for what RPKI says.

Two filters of equal rules are equal and hash alike, whatever the resources that the rules came from
are called: peers with equal filters share an export group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy

from policy.dispatch import PrefixCondition
from policy.matching import (
    PrefixTest,
    prefix_test,
)
from policy.operations import (
    Operation,
    asks_for_peers_as,
    changes_as_path,
)
from policy.path import Path
from policy.prefix import Nlri
from policy.residues import Announced, Residue, Standing, announced_origin
from policy.rules import NO_MATCH, Action, Direction, Partition, Rule, Scope, Verdict, holds
from policy.steps import Step, compile_rule, compile_rules, marks_of
from policy.vrps import Validity


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
        self._steps = tuple(compile_rules(self.rules))
        self._asking = tuple(pair for pair in enumerate(self._steps) if pair[1].asks)
        self._hash = hash(self.rules)
        # By scope, and of the scope that asked last: what paths leave of the rules.
        self._remembered: dict[Scope, dict[Path | tuple[Path, str], Residue]] = {}
        self._residues: dict[Path | tuple[Path, str], Residue] = {}
        self._scope: Scope | None = None
        # What is left where these of the rules that ask for more than the prefix hold.
        self._shapes: dict[tuple[int, ...], Residue] = {}
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
            self._marks = marks_of([step.traces for _, step in self._asking])

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
        step = compile_rule(self.rules[number])
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
        rest = [
            each for each in compile_rules(self.rules[number:]) if holds(each.rule, path, scope)
        ]
        return Announced(_standing(rest), path, scope).announcing(nlri).operations

    # hot: per batch
    def _residue(self, path: Path, scope: Scope) -> Residue:
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
    def _left_by(self, path: Path, scope: Scope) -> Residue:
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

    def _shape(self, holding: tuple[int, ...]) -> Residue:
        """Say what is left of the rules where of those that ask these hold: paths share it."""
        shape = self._shapes.get(holding)
        if shape is None:
            if len(self._shapes) >= self.REMEMBERED:
                self._shapes.clear()
            shape = self._shapes[holding] = self._reduce(set(holding))
        return shape

    def _reduce(self, holding: set[int]) -> Residue:
        conditions: list[tuple[PrefixCondition, Verdict]] = []
        for number, step in enumerate(self._steps):
            if step.asks and number not in holding:
                continue
            if step.condition is None:
                return Residue.of(conditions, step.verdict)
            conditions.append((step.condition, step.verdict))
        return Residue.of(conditions, NO_MATCH)

    def _reduce_with(self, holding: set[int], path: Path, scope: Scope) -> Residue:
        tests: list[tuple[PrefixTest, Verdict]] = []
        left = [
            step for number, step in enumerate(self._steps) if not step.asks or number in holding
        ]
        if self._changes_origins and scope.direction is Direction.EXPORT:
            return Announced(_standing(left), path, scope)
        for step in left:
            test = _prefix_test(step, path, scope)
            if test is None:
                return Residue(tests, step.verdict)
            tests.append((test, step.verdict))
        return Residue(tests, NO_MATCH)


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


def _standing(steps: Iterable[Step]) -> list[Standing]:
    return [
        Standing(
            None if step.condition is None else prefix_test(step.condition),
            step.rule.rpki,
            step.verdict,
        )
        for step in steps
    ]


def _prefix_test(
    step: Step, path: Path, scope: Scope, announced_with: tuple[Operation, ...] = ()
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
