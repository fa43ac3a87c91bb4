"""Rules made ready to be asked: a `Step` each, with its verdict and what can be known beforehand.

Of a rule it is known whether it asks for more than the prefix, and which octets stand in the
attributes of every route for which it holds: a community's, an AS number's. Where they are missing
nothing need be taken apart; `marks_of` chooses few of them that tell for many rules at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from policy.dispatch import PrefixCondition
from policy.matching import prefix_condition
from policy.rules import Action, Rule, Verdict


@dataclass(frozen=True, slots=True)
class Step:
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


def compile_rules(rules: Sequence[Rule]) -> Iterator[Step]:
    """Compile rules up to one that always holds: behind it they are dead."""
    for rule in rules:
        step = compile_rule(rule)
        yield step
        if step.condition is None and not step.asks:
            return


def compile_rule(rule: Rule) -> Step:
    """Compile one rule."""
    accepted = rule.action is Action.ACCEPT
    # Operations stand only in accepting rules; a rejected route has no attributes to change.
    reason = rule.origin or "a filter rule"
    if rule.reason:
        reason += f": {rule.reason}"
    verdict = Verdict(accepted, rule.operations if accepted else (), reason)
    asks = _but_for_the_prefix(rule) != Rule(rule.action)
    if rule.cidr is None or rule.operator is None:
        return Step(rule, verdict, None, asks, tuple(_traces(rule)))
    is_set = rule.has_prefix_length or rule.min_length is not None or rule.max_length is not None
    condition = prefix_condition(
        rule.cidr,
        rule.operator,
        min_length=rule.min_length,
        max_length=rule.max_length,
        is_set=is_set,
    )
    return Step(rule, verdict, condition, asks, tuple(_traces(rule)))


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


def marks_of(traces: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...] | None:
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
