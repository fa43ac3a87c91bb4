"""Which rules of a chain can decide about anything, and why the others cannot.

The first rule that holds decides, so a rule behind another one that holds wherever it does is dead.
`dead_rules` finds such rules: those that can hold for no route at all, those behind a rule without
a condition, those that say again what an earlier one says, and those that are shadowed, by one
earlier rule or by several together. Prefixes are compared exactly (`policy.prefix_sets`), all other
conditions one by one: where each condition of an earlier rule follows from those of a later one,
the earlier rule holds wherever the later does (subsumption). What is called dead is dead; that some
dead rule is not found is possible, as where two rules together leave nothing to a third and differ
in something else than prefixes.

What is known of the session makes conditions needless or impossible: on import every route was
learned over BGP, and from an external peer none has a LOCAL_PREF (RFC 4271 §5.1.5).

Every field of `policy.rules.Rule` has its place here, as a condition (`CONDITIONS`), as part of
the prefix condition (`PREFIX`), or as something that does not decide whether a rule holds
(`EFFECTS`); a test sees to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum

from fsm.family import Afi
from policy.communities import CommunityPattern, Wanted, is_meant
from policy.matching import (
    WIDEST,
    MatchOperator,
    Network,
    Range,
    interface_pattern,
    match_address,
)
from policy.operations import Operation, changes_as_path, local_pref_of, priority_of
from policy.path import PeerType
from policy.prefix import WIDTH, covers, show_address
from policy.prefix_sets import (
    EVERYTHING,
    NOTHING,
    Box,
    Nearby,
    PrefixSet,
    first_outside,
    is_empty,
)
from policy.ranking import DEFAULT_LOCAL_PREF
from policy.rules import Direction, Rule

PREFIX = frozenset({"cidr", "operator", "min_length", "max_length", "has_prefix_length"})
"""Fields of a rule that make up the condition on the prefix."""

EFFECTS = frozenset({"action", "operations", "reason", "origin"})
"""Fields that say what happens where a rule holds."""

WITHOUT_LOCAL_PREF = priority_of(DEFAULT_LOCAL_PREF)
"""The priority of a route that carries none."""


class Death(StrEnum):
    """Why a rule never decides."""

    NEVER = "never-matches"
    UNREACHED = "unreachable"
    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"


@dataclass(frozen=True, slots=True)
class Dead:
    """A rule that never decides.

    Attributes:
        number: which of the chain.
        field: of the rule that makes it so; empty where it is the rule as a whole.
        by: the earlier rules that decide in its place.
        why: a sentence, for a rule that can hold for no route.
    """

    number: int
    death: Death
    field: str = ""
    by: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a chain is asked.

    Attributes:
        peer_type: of the session; None where several use the chain, or nobody knows.
        local_asn: ours on the session, 0 where it is not known.
        allow_local_as: how often it may stand in what is received.
        first_asn: with which every received AS_PATH begins; 0 for anything.
        peer_address: of the peer, 4 or 16 octets; empty where it does not matter.
    """

    direction: Direction
    afi: Afi
    peer_type: PeerType | None = None
    local_asn: int = 0
    allow_local_as: int = 0
    first_asn: int = 0
    peer_address: bytes = b""


def prefixes_of(rule: Rule) -> PrefixSet:
    """Give the prefixes that a rule's condition takes (`policy.matching.prefix_test`)."""
    if rule.cidr is None or rule.operator is None:
        return EVERYTHING
    is_exact = rule.operator in (MatchOperator.EQUAL, MatchOperator.NOT_EQUAL)
    if not is_exact:
        low = rule.cidr[0] if rule.min_length is None else rule.min_length
        high = WIDEST if rule.max_length is None else rule.max_length
        found = PrefixSet((Box(rule.cidr, low, high),))
    elif rule.has_prefix_length or rule.min_length is not None or rule.max_length is not None:
        found = NOTHING
    else:
        found = PrefixSet((Box(rule.cidr, rule.cidr[0], rule.cidr[0]),))
    inverts = rule.operator in (MatchOperator.NOT_EQUAL, MatchOperator.NOT_IN)
    return found.complement if inverts else found


def _interfaces(later: Rule, earlier: Rule) -> bool:
    """Tell whether a pattern fits every name that another one fits."""
    if later.interface is None or earlier.interface is None:
        return False
    if "?" in earlier.interface and "*" in later.interface:
        # The star of the one stands for nothing, or for several: the other's ? for neither.
        return earlier.interface == later.interface
    return interface_pattern(earlier.interface).fullmatch(later.interface) is not None


def _communities(later: Rule, earlier: Rule) -> bool:
    """Tell whether communities that are there make up for those that are asked for."""

    def made_up(wanted: Wanted) -> bool:
        any_or_all = any if later.every_community else all
        return any_or_all(_is_within(each, wanted) for each in later.communities)

    if not later.communities:
        return False
    if earlier.every_community:
        return all(map(made_up, earlier.communities))
    some = any if later.every_community else all
    return some(
        any(_is_within(each, wanted) for wanted in earlier.communities)
        for each in later.communities
    )


def _is_within(one: Wanted, other: Wanted) -> bool:
    """Tell whether all that one community or pattern stands for, another stands for as well."""
    if isinstance(one, CommunityPattern):
        return isinstance(other, CommunityPattern) and (
            len(one.parts) == len(other.parts)
            and all(
                wanted in (None, part) for part, wanted in zip(one.parts, other.parts, strict=True)
            )
        )
    return is_meant(other, one)


def _within(later: Range | None, earlier: Range | None) -> bool:
    if later is None or earlier is None:
        return False
    return earlier[0] <= later[0] and later[1] <= earlier[1]


def _networks(later: tuple[Network, ...], earlier: tuple[Network, ...]) -> bool:
    """Tell whether each network is inside one of some others."""
    return bool(later) and all(
        any(width == of and covers(outer, inner) for of, outer in earlier) for width, inner in later
    )


def _begins(later: Rule, earlier: Rule) -> bool:
    return later.as_path_prefix[: len(earlier.as_path_prefix)] == earlier.as_path_prefix


CONDITIONS: Mapping[tuple[str, ...], Callable[[Rule, Rule], bool]] = {
    ("source_remote_peers",): lambda later, _: later.source_remote_peers,
    ("interface",): _interfaces,
    ("peer_type",): lambda later, earlier: later.peer_type is earlier.peer_type,
    ("communities", "every_community"): _communities,
    ("as_path_prefix",): _begins,
    ("as_path_regex",): lambda later, earlier: later.as_path_regex == earlier.as_path_regex,
    ("med",): lambda later, earlier: _within(later.med, earlier.med),
    ("local_pref",): lambda later, earlier: _within(later.local_pref, earlier.local_pref),
    ("priority",): lambda later, earlier: later.priority == earlier.priority,
    ("rpki",): lambda later, earlier: later.rpki is earlier.rpki,
    ("next_hops",): lambda later, earlier: _networks(later.next_hops, earlier.next_hops),
    ("neighbors",): lambda later, earlier: _networks(later.neighbors, earlier.neighbors),
}
"""By the fields of a condition, of which the first says whether it is there: whether those of a
later rule make the condition of an earlier one hold."""

_ABSENT = {field.name: field.default for field in fields(Rule) if field.default is not MISSING}


def _has(rule: Rule, name: str) -> bool:
    return bool(getattr(rule, name) != _ABSENT[name])


def conditions_of(rule: Rule) -> list[str]:
    """Name the fields of the conditions that a rule has."""
    found = [names[0] for names in CONDITIONS if _has(rule, names[0])]
    return (["cidr"] if rule.cidr is not None else []) + found


def implies(later: Rule, earlier: Rule) -> bool:
    """Tell whether all conditions of an earlier rule but that on the prefix hold wherever those of
    a later one do.
    """
    return all(follows(later, earlier) for follows in _checks(earlier))


def _checks(earlier: Rule) -> tuple[Callable[[Rule, Rule], bool], ...]:
    """Give what a later rule must make hold."""
    return tuple(follows for names, follows in CONDITIONS.items() if _has(earlier, names[0]))


def why_never(rule: Rule, setting: Setting) -> tuple[str, str] | None:
    """Say why a rule can hold for no route: the field that says so, and a sentence.

    None where it can, or where nobody can tell.
    """
    for found in _impossible(rule, setting):
        return found
    return None


def _impossible(rule: Rule, setting: Setting) -> Iterator[tuple[str, str]]:
    width = WIDTH[setting.afi]
    if is_empty(prefixes_of(rule), width):
        yield "prefixLength", _why_no_prefix(rule, width)
    if None not in (rule.peer_type, setting.peer_type) and rule.peer_type != setting.peer_type:
        yield "peerType", f"no session that uses it is {rule.peer_type}"
    for name, bounds in (("med", rule.med), ("localPreference", rule.local_pref)):
        if bounds is not None and bounds[0] > bounds[1]:
            yield name, f"min {bounds[0]} is above max {bounds[1]}"
    if rule.priority is not None and rule.local_pref is not None:
        carried = local_pref_of(rule.priority)
        if not _holds(rule.local_pref, carried):
            yield "localPreference", f"priority {rule.priority} is LOCAL_PREF {carried}"
    if setting.direction is Direction.IMPORT:
        peer_type = setting.peer_type or rule.peer_type
        yield from _not_received(rule, setting, peer_type)


def _not_received(
    rule: Rule, setting: Setting, peer_type: PeerType | None
) -> Iterator[tuple[str, str]]:
    """Find what no peer of the session's type can tell."""
    external = peer_type is PeerType.EXTERNAL
    if external and rule.priority not in (None, WITHOUT_LOCAL_PREF):
        yield "priority", f"{_NO_LOCAL_PREF}: their routes have priority {WITHOUT_LOCAL_PREF}"
    # GRACEFUL_SHUTDOWN, where it is honoured, makes it 0 before any rule is asked.
    known = (DEFAULT_LOCAL_PREF, 0)
    wanted = rule.local_pref
    if external and wanted is not None and not any(_holds(wanted, each) for each in known):
        yield "localPreference", f"{_NO_LOCAL_PREF}: their routes have {DEFAULT_LOCAL_PREF}"
    address = setting.peer_address
    if rule.neighbors and address and not match_address(address, rule.neighbors):
        yield "neighbors", f"the peer's address, {show_address(address)}, is in none of them"
    path, ours = rule.as_path_prefix, setting.local_asn
    seen = path.count(ours) if ours else 0
    if seen > setting.allow_local_as:
        yield (
            "asPathPrefix",
            f"our own AS {ours} stands in it, and such a path is refused as a loop",
        )
    if path and setting.first_asn and path[0] != setting.first_asn:
        yield (
            "asPathPrefix",
            f"each path from the peer begins with its AS {setting.first_asn}, not with {path[0]}",
        )


_NO_LOCAL_PREF = "external peers send no LOCAL_PREF"


def _holds(bounds: Range, number: int) -> bool:
    return bounds[0] <= number <= bounds[1]


def _why_no_prefix(rule: Rule, width: int) -> str:
    if rule.operator is MatchOperator.EQUAL:
        return "Equal with prefixLength compares a prefix with a set, which is never equal"
    if rule.operator is MatchOperator.NOT_IN:
        return "NotIn of all prefixes leaves none"
    low, high = rule.min_length, width if rule.max_length is None else rule.max_length
    if low is not None and low > high:
        return f"min {low} is above max {high}"
    assert rule.cidr is not None
    return f"no prefix inside the cidr is shorter than {rule.cidr[0]}, and max is {high}"


def settled(rule: Rule, setting: Setting) -> Rule:
    """Leave out the conditions that always hold where a chain is asked; say alike what is alike.

    A priority is a LOCAL_PREF, and a route that a neighbor told was learned over BGP.
    """
    is_import = setting.direction is Direction.IMPORT
    remote = not is_import and (rule.source_remote_peers or bool(rule.neighbors))
    rule = replace(rule, source_remote_peers=remote)
    if rule.priority is not None:
        carried = local_pref_of(rule.priority)
        rule = replace(rule, priority=None, local_pref=(carried, carried))
    if setting.peer_type is not None and rule.peer_type is setting.peer_type:
        rule = replace(rule, peer_type=None)
    if is_import and setting.peer_address:
        rule = replace(rule, neighbors=())
    return rule


class _Living:
    """The rules before another one that may decide in its place.

    Args:
        by_origin: rules change AS_PATHs on export, so what RPKI says may differ from rule to rule.
    """

    def __init__(self, *, by_origin: bool) -> None:
        self._by_origin = by_origin
        self._rules: dict[
            int, tuple[Rule, PrefixSet, tuple[Callable[[Rule, Rule], bool], ...]]
        ] = {}
        self._nearby = Nearby()

    def add(self, number: int, rule: Rule, prefixes: PrefixSet) -> None:
        """Take the next rule in."""
        self._rules[number] = rule, prefixes, _checks(rule)
        self._nearby.add(number, prefixes)

    def holding(self, rule: Rule, prefixes: PrefixSet) -> list[tuple[int, Rule, PrefixSet]]:
        """Give those whose conditions but the one on the prefix hold wherever a rule does."""
        found = []
        for number in self._nearby.to(prefixes):
            each, taken, checks = self._rules[number]
            for follows in checks:
                if not follows(rule, each):
                    break
            else:
                if not self._by_origin or _asks_of_the_same(rule, each):
                    found.append((number, each, taken))
        return found


def _asks_of_the_same(later: Rule, earlier: Rule) -> bool:
    """Tell whether two rules ask of the same origin what RPKI says (`policy.filters`)."""
    if earlier.rpki is None:
        return True
    return later.action is earlier.action and _path_edits(later) == _path_edits(earlier)


def _path_edits(rule: Rule) -> tuple[Operation, ...]:
    return tuple(filter(changes_as_path, rule.operations))


def dead_rules(rules: Sequence[Rule], setting: Setting) -> list[Dead]:
    """Find the rules of a chain that never decide, in their order."""
    found: list[Dead] = []
    is_export = setting.direction is Direction.EXPORT
    living = _Living(by_origin=is_export and any(map(_path_edits, rules)))
    for number, written in enumerate(rules):
        never = why_never(written, setting)
        if never is not None:
            found.append(Dead(number, Death.NEVER, never[0], why=never[1]))
            continue
        rule, prefixes = settled(written, setting), prefixes_of(written)
        dead = _dead(number, rule, prefixes, living, WIDTH[setting.afi])
        if dead is None:
            living.add(number, rule, prefixes)
        else:
            found.append(dead)
    return found


def _dead(
    number: int,
    rule: Rule,
    prefixes: PrefixSet,
    living: _Living,
    width: int,
) -> Dead | None:
    """Find what decides in the place of a rule, if something always does."""
    holding = living.holding(rule, prefixes)
    if first_outside(prefixes, [taken for _, _, taken in holding], width) is not None:
        return None
    for n, each, taken in holding:
        if first_outside(prefixes, [taken], width) is None:
            return Dead(number, _kind(rule, prefixes, each, taken, width), by=(n,))
    overlapping = [
        n
        for n, _, taken in holding
        if first_outside(prefixes, [taken.complement], width) is not None
    ]
    return Dead(number, Death.SHADOWED, by=tuple(overlapping))


def _kind(rule: Rule, prefixes: PrefixSet, earlier: Rule, taken: PrefixSet, width: int) -> Death:
    if implies(earlier, rule) and first_outside(taken, [prefixes], width) is None:
        return Death.DUPLICATE
    is_open = not any(name != "cidr" for name in conditions_of(earlier))
    if is_open and first_outside(EVERYTHING, [taken], width) is None:
        return Death.UNREACHED
    return Death.SHADOWED
