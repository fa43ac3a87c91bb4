"""What operators get bitten by in the rules of a filter.

A rule is looked at by itself, in its own filter, and in every chain that some session has of it.
What is reported of a chain is what holds in all of them: a rule that is dead for one peer and
decides for another is no mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fsm.family import Afi
from policy.communities import is_meant
from policy.matching import MatchOperator
from policy.operations import (
    AddCommunity,
    AsOverride,
    Blackhole,
    Operation,
    PrependAsPath,
    RemoveCommunities,
    RemovePrivateAs,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
)
from policy.path import PeerType
from policy.prefix import WIDTH
from policy.prefix_sets import EVERYTHING, first_outside
from policy.reach import Dead, Death, Setting, conditions_of, prefixes_of
from policy.rules import Action, Direction, Rule
from speaker.config.chains import (
    Chains,
    PlacedRule,
    Use,
    users,
)
from speaker.config.findings import Finding, Severity
from speaker.config.scalars import show_community


def lint_rules(uses: Sequence[Use], chains: Chains) -> Iterator[Finding]:
    """Look at the rules of all filters."""
    in_chains = _dead_in_all(uses, chains)
    for name in chains.filters:
        for direction in Direction:
            for afi in (Afi.IPV4, Afi.IPV6):
                own = [
                    use
                    for use in uses
                    if name in use.filters
                    and (use.setting.direction, use.setting.afi) == (direction, afi)
                ]
                yield from _lint_chain(name, Setting(direction, afi), own, in_chains, chains)


def _lint_chain(
    name: str,
    setting: Setting,
    uses: Sequence[Use],
    in_chains: Mapping[PlacedRule, Finding | None],
    chains: Chains,
) -> Iterator[Finding]:
    rules = chains.rules(name, setting.direction, setting.afi)
    dead = chains.dead((name,), setting)
    for placed in rules:
        if placed in in_chains:
            found = in_chains[placed]
            if found is not None:
                yield found
        elif placed in dead:
            yield _dead(placed, dead[placed], rules)
        else:
            yield from _lint_rule(placed, setting, uses)


def _dead_in_all(uses: Sequence[Use], chains: Chains) -> dict[PlacedRule, Finding | None]:
    """Find the rules that are dead in every chain that they are part of.

    Nothing is said of one whose whole filter is (`speaker.config.peer_lint`).
    """
    found: dict[PlacedRule, Finding | None] = {}
    living: set[PlacedRule] = set()
    for filters, setting in dict.fromkeys((use.filters, use.setting) for use in uses):
        chain, dead = chains.of(filters, setting), chains.dead(filters, setting)
        silent = chains.overtaken(filters, setting)
        living.update(placed for placed in chain if placed not in dead)
        for placed, each in dead.items():
            if found.get(placed) is None:
                is_told = placed.name in silent and each.death is not Death.NEVER
                found[placed] = None if is_told else _dead(placed, each, chain)
    return {placed: finding for placed, finding in found.items() if placed not in living}


def _dead(placed: PlacedRule, dead: Dead, chain: Sequence[PlacedRule]) -> Finding:
    """Say why a rule never decides, and how bad that is."""
    path = (*placed.path, dead.field) if dead.field else placed.path
    if dead.death is Death.NEVER:
        return _finding(
            Severity.ERROR,
            placed,
            dead.death,
            f"this {placed.rule.action} rule can hold for no route: {dead.why}",
            "what it was written for falls to the rules behind it, or to what no rule decides",
            "correct the condition, or remove the rule",
            path,
        )
    earlier = [chain[number] for number in dead.by]
    words = " and ".join(f"{each.rule.origin} ({each.rule.action})" for each in earlier)
    changes = any(_outcome(each.rule) != _outcome(placed.rule) for each in earlier)
    what = {
        Death.UNREACHED: f"never reached: {words} matches everything",
        Death.DUPLICATE: f"the same conditions as {words}, which comes first",
        Death.SHADOWED: f"never decides: all that it matches is decided by {words} before",
    }[dead.death]
    why = (
        "what is written here does not happen"
        if changes
        else "it is without effect, and whoever edits it believes otherwise"
    )
    advice = "move it before that rule, or remove it" if changes else "remove it"
    severity = Severity.ERROR if changes else Severity.WARNING
    return _finding(severity, placed, dead.death, what, why, advice, path)


def _outcome(rule: Rule) -> tuple[Action, tuple[Operation, ...]]:
    return rule.action, rule.operations


def _lint_rule(placed: PlacedRule, setting: Setting, uses: Sequence[Use]) -> Iterator[Finding]:
    """Look at a rule that decides."""
    yield from _prefix_that_is_none(placed, setting)
    yield from _interface_on_import(placed, setting)
    yield from _tells_everything(placed, setting)
    for number, operation in enumerate(placed.rule.operations):
        found = OPERATIONS[type(operation)](placed, number, operation, setting, uses)
        if found is not None:
            yield found


def _prefix_that_is_none(placed: PlacedRule, setting: Setting) -> Iterator[Finding]:
    rule = placed.rule
    if rule.cidr is None or (rule.operator is MatchOperator.IN and rule.cidr[0] == 0):
        return
    if first_outside(EVERYTHING, [prefixes_of(rule)], WIDTH[setting.afi]) is None:
        field = "prefixLength" if rule.has_prefix_length else "cidr"
        yield _finding(
            Severity.WARNING,
            placed,
            "always-matches",
            f"{rule.operator} with this cidr and prefixLength holds for every prefix",
            "as in Calico's BIRD, where a prefix never equals a set of prefixes",
            "use NotIn, or leave prefixLength out",
            (*placed.path, field),
        )


def _interface_on_import(placed: PlacedRule, setting: Setting) -> Iterator[Finding]:
    if placed.rule.interface is not None and setting.direction is Direction.IMPORT:
        yield _finding(
            Severity.NOTE,
            placed,
            "interface-on-import",
            "the interface is that of the next hop at the moment when the route comes",
            "when the next hop leads elsewhere later, or was not reachable then, the route is not"
            " judged again",
            "match the peer, a community or the prefix where that says the same",
            (*placed.path, "interface"),
        )


def _tells_everything(placed: PlacedRule, setting: Setting) -> Iterator[Finding]:
    rule = placed.rule
    if rule.action is not Action.ACCEPT or setting.direction is not Direction.EXPORT:
        return
    if set(conditions_of(rule)) - {"cidr", "peer_type"}:
        return
    if first_outside(EVERYTHING, [prefixes_of(rule)], WIDTH[setting.afi]) is None:
        yield _finding(
            Severity.WARNING,
            placed,
            "tells-everything",
            "Accept without a condition tells the peer every best route",
            "also the default route, single workloads and what other peers told; Calico's own"
            " policy (pools, blocks, services) is not asked behind an accepting rule",
            "name the prefixes, or leave the rule out and let Calico's policy decide",
            placed.path,
        )


def _finding(
    severity: Severity,
    placed: PlacedRule,
    rule: str,
    what: str,
    why: str,
    advice: str,
    path: tuple[str | int, ...],
) -> Finding:
    return Finding(severity, placed.kind, placed.name, path, str(rule), what, why, advice)


# Operations that do nothing, or too much


def _without_effect(
    placed: PlacedRule, number: int, what: str, why: str, advice: str = "remove it"
) -> Finding:
    path = (*placed.path, "operations", number)
    return _finding(Severity.WARNING, placed, "no-effect", what, why, advice, path)


def _types(placed: PlacedRule, uses: Sequence[Use]) -> set[PeerType | None]:
    """Give the types of the sessions on which a rule may decide; None is unknown."""
    if placed.rule.peer_type is not None:
        return {placed.rule.peer_type}
    return {use.setting.peer_type for use in uses} or {None}


def _add_community(
    placed: PlacedRule,
    number: int,
    operation: AddCommunity,
    setting: Setting,
    uses: Sequence[Use],
) -> Finding | None:
    shown = show_community(operation.community)
    if operation in placed.rule.operations[:number]:
        return _without_effect(placed, number, f"{shown} is added twice", "a route has it once")
    asked = placed.rule.communities
    if asked == (operation.community,):
        why = "a route has each community once"
        return _without_effect(placed, number, f"the rule asks for {shown} itself", why)
    return None


def _set_preference(
    placed: PlacedRule,
    number: int,
    operation: SetPriority | SetLocalPref,
    setting: Setting,
    uses: Sequence[Use],
) -> Finding | None:
    name = "setPriority" if isinstance(operation, SetPriority) else "setLocalPreference"
    later = placed.rule.operations[number + 1 :]
    if any(isinstance(each, SetPriority | SetLocalPref) for each in later):
        why = "a route has one LOCAL_PREF"
        return _without_effect(placed, number, "a later operation of the rule sets it again", why)
    if setting.direction is Direction.EXPORT and _types(placed, uses) == {PeerType.EXTERNAL}:
        return _without_effect(
            placed,
            number,
            f"{name} does nothing for external peers",
            "it sets LOCAL_PREF, which is not sent to them (RFC 4271 §5.1.5)",
            "use prependASPath, or a community that the peer's AS acts on",
        )
    return None


def _set_once(
    placed: PlacedRule,
    number: int,
    operation: SetMed | SetNextHop | Blackhole,
    setting: Setting,
    uses: Sequence[Use],
) -> Finding | None:
    later = placed.rule.operations[number + 1 :]
    if any(type(each) is type(operation) for each in later):
        why = "the last one wins"
        return _without_effect(placed, number, "a later operation of the rule sets it again", why)
    return None


def _remove_communities(
    placed: PlacedRule,
    number: int,
    operation: RemoveCommunities,
    setting: Setting,
    uses: Sequence[Use],
) -> Finding | None:
    added = [
        each.community
        for each in placed.rule.operations[:number]
        if isinstance(each, AddCommunity)
        and any(is_meant(wanted, each.community) for wanted in operation.wanted)
    ]
    if not added:
        return None
    what = f"it removes {show_community(added[0])}, which the rule has added before"
    return _without_effect(
        placed, number, what, "operations are done in their order", "remove first, then add"
    )


def _on_as_numbers(
    placed: PlacedRule,
    number: int,
    operation: AsOverride | RemovePrivateAs,
    setting: Setting,
    uses: Sequence[Use],
) -> Finding | None:
    if _types(placed, uses) != {PeerType.INTERNAL}:
        return None
    why = "within the AS the path passes as it is"
    return _without_effect(placed, number, "it does nothing for internal peers", why)


def _prepend(
    placed: PlacedRule,
    number: int,
    operation: PrependAsPath,
    setting: Setting,
    uses: Sequence[Use],
) -> Finding | None:
    if setting.direction is not Direction.EXPORT:
        return None
    refusing = [
        use
        for use in uses
        if use.peer_asn in operation.numbers
        and placed.rule.peer_type in (None, use.setting.peer_type)
    ]
    if not refusing:
        return None
    asn = refusing[0].peer_asn
    return _finding(
        Severity.WARNING,
        placed,
        "refused-by-peer",
        f"it prepends AS {asn}, which is the AS of {users(refusing)}",
        "a router refuses paths with its own AS in them as loops (RFC 4271 §9.1.2)",
        "prepend the AS of this end, and to external peers only",
        (*placed.path, "operations", number),
    )


OPERATIONS: Mapping[
    type, Callable[[PlacedRule, int, Any, Setting, Sequence[Use]], Finding | None]
] = {
    AddCommunity: _add_community,
    PrependAsPath: _prepend,
    SetPriority: _set_preference,
    SetLocalPref: _set_preference,
    RemoveCommunities: _remove_communities,
    SetMed: _set_once,
    SetNextHop: _set_once,
    Blackhole: _set_once,
    AsOverride: _on_as_numbers,
    RemovePrivateAs: _on_as_numbers,
}
"""What may be wrong with each kind of operation."""
