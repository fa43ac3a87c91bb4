"""What the rules of the operator said of a route, on either way, with those that did not match.

Peers with equal rules share one compiled filter, and a rule that has only moved to another line is
the same rule: where it is written is therefore read from the plan that is in force, as long as its
rules are those that the table goes by.
"""

from __future__ import annotations

from enum import StrEnum

from fsm.family import Family
from policy.filters import Filter, compile_filter
from policy.rules import Action, Rule
from policy.tracing import Asked, Trace, operation_text, trace
from speaker.config.plan import PeerPlan
from speaker.inquiry.answer import Because, Judged
from speaker.speaker import Speaker


def plan_of(router: Speaker, standing: PeerPlan) -> PeerPlan:
    """Give the plan of a peer that is in force, or that by which its session stands."""
    return router.plan.peers.get(standing.name, standing)


def as_written(
    chain: Filter | None, rules: tuple[tuple[Family, tuple[Rule, ...]], ...], family: Family
) -> Filter | None:
    """Give the rules of a filter with the places where they are written now."""
    if chain is None:
        return None
    found = next((some for of, some in rules if of == family), ())
    if found is chain.rules:
        return chain
    written = compile_filter(found)
    return written if written == chain else chain


def judged(
    chain: Filter | None, asked: Asked, accepts: StrEnum, rejects: StrEnum, otherwise: Because
) -> tuple[Trace, Judged]:
    """Ask the rules.

    Args:
        chain: the rules; None for none.
        asked: about which route.
        accepts: the reason where a rule accepts it; its words take the rule.
        rejects: the same where one rejects it.
        otherwise: the reason where none matches.
    """
    found = trace(chain, asked)
    misses = tuple(f"{miss.origin}: {miss.words}" for miss in found.misses)
    rule = found.decided
    if rule is None:
        return found, Judged(otherwise, misses=misses)
    accepted = rule.action is Action.ACCEPT
    reason = accepts if accepted else rejects
    operations = tuple(map(operation_text, rule.operations)) if accepted else ()
    name = rule.origin or "a filter rule"
    because = Because.of(reason, rule=name)
    if rule.reason:
        because = Because(reason, f"{because}: {rule.reason}")
    return found, Judged(because, name, rule.reason, operations, misses)
