"""What operators get bitten by in how peers use filters: what stays open.

A filter that is named and is not there is left out, as in Calico, and so are the rules of a family
or direction for which a chain has none. What no rule decides is accepted on import, and falls to
Calico's policy (or, in plain mode, is told) on export. So a list of what is allowed needs a last
rule that rejects, and a filter with rules for one direction leaves the other open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fsm.family import Afi
from policy.path import PeerType
from policy.reach import conditions_of
from policy.rules import Action, Direction
from speaker.config.chains import AnyFilter, Chains, PlacedRule, Use, users
from speaker.config.filters import chain_field
from speaker.config.findings import Finding, Severity
from speaker.config.kinds import Kind
from speaker.config.problems import FieldPath, did_you_mean
from speaker.config.resources import BGPPeer
from speaker.config.store import Resources


def lint_peers(resources: Resources, uses: Sequence[Use], chains: Chains) -> Iterator[Finding]:
    """Look at all BGPPeers, and at filters that none of them names."""
    named: set[str] = set()
    of_peer: dict[str, list[Use]] = {}
    for use in uses:
        of_peer.setdefault(use.peer, []).append(use)
    for peer in resources.peers.values():
        named.update(peer.spec.filters)
        yield from _missing(chains.filters, peer)
        yield from _twice(peer)
        yield from _open(chains, peer, of_peer.get(peer.name, []))
    yield from _unused(chains.filters, named)
    yield from _allow_lists(chains, uses)


def _missing(known: Mapping[str, AnyFilter], peer: BGPPeer) -> Iterator[Finding]:
    for number, name in enumerate(peer.spec.filters):
        if name in known:
            continue
        is_alone = not any(other in known for other in peer.spec.filters)
        left = "no filter at all" if is_alone else "the other filters alone"
        yield _at_peer(
            Severity.ERROR,
            peer,
            ("spec", "filters", number),
            "missing-filter",
            f"there is no filter {name}",
            f"it is left out, as in Calico, and the session comes up with {left}: on import what no"
            " rule decides is accepted",
            f"create it, or correct the name{did_you_mean(name, known)}",
        )


def _twice(peer: BGPPeer) -> Iterator[Finding]:
    names = peer.spec.filters
    for number, name in enumerate(names):
        if name in names[:number]:
            yield _at_peer(
                Severity.WARNING,
                peer,
                ("spec", "filters", number),
                "duplicate",
                f"{name} is named twice",
                "its rules have decided at the first place",
                "remove one of the two",
            )


def _open(chains: Chains, peer: BGPPeer, uses: Sequence[Use]) -> Iterator[Finding]:
    """Find directions and families of a peer's sessions for which no rule is there."""
    field = ("spec", "filters") if peer.spec.filters else ("spec",)
    told: set[str] = set()
    for use in uses:
        chain = chains.of(use.filters, use.setting)
        where = chain_field(use.setting.direction, use.setting.afi)
        if where in told:
            continue
        if not chain:
            found = _without_rules(peer, use, where, field)
        else:
            found = _behind_another(peer, use, chains)
        if found is not None:
            told.add(where)
            yield found


def _without_rules(peer: BGPPeer, use: Use, where: str, field: FieldPath) -> Finding | None:
    setting, has_filters = use.setting, bool(use.filters)
    family = "IPv4" if setting.afi is Afi.IPV4 else "IPv6"
    lacks = f"no filter of this peer has {where} rules" if has_filters else "it has no filter"
    if setting.direction is Direction.IMPORT:
        if setting.peer_type is PeerType.INTERNAL and not has_filters:
            return None
        return _at_peer(
            Severity.WARNING if has_filters else Severity.NOTE,
            peer,
            field,
            "open-import",
            f"every {family} route that AS {use.peer_asn} tells is accepted: {lacks}",
            "what no rule decides is accepted on import",
            f"give a filter {where} rules, if only one that rejects what is not expected",
        )
    advice = f"give a filter {where} rules that end with Reject"
    if use.is_plain and setting.peer_type is PeerType.EXTERNAL:
        return _at_peer(
            Severity.WARNING,
            peer,
            field,
            "open-export",
            f"every best {family} route is told to AS {use.peer_asn}: {lacks}",
            "in plain mode no policy stands behind the filters (RFC 8212 asks for one)",
            advice,
        )
    if not has_filters or use.is_plain:
        return None
    return _at_peer(
        Severity.NOTE,
        peer,
        field,
        "export-by-default",
        f"Calico's policy alone says which {family} routes leave: {lacks}",
        "pools, own blocks and services are told, and nothing else",
        f"{advice} if that is not what is wanted",
    )


def _behind_another(peer: BGPPeer, use: Use, chains: Chains) -> Finding | None:
    """Find a filter whose rules are all dead because of the filters before it."""
    for name, deciding in chains.overtaken(use.filters, use.setting).items():
        words = " and ".join(map(str, deciding))
        return _at_peer(
            Severity.WARNING,
            peer,
            ("spec", "filters", peer.spec.filters.index(name)),
            "unreachable-filter",
            f"no {deciding[0].field} rule of {name} is ever reached",
            f"{words} of a filter before it leaves nothing to decide",
            "put it before that filter, or remove it",
        )
    return None


def _unused(known: Mapping[str, AnyFilter], named: set[str]) -> Iterator[Finding]:
    for name, bgp_filter in known.items():
        if name not in named:
            yield Finding(
                Severity.WARNING,
                Kind(bgp_filter.kind),
                name,
                ("metadata", "name"),
                "unused",
                "no BGPPeer names this filter",
                "its rules are asked about nothing",
                "name it in spec.filters of a BGPPeer, or delete it",
            )


@dataclass(slots=True)
class _Seen:
    """Chains that end in one rule."""

    uses: list[Use]
    is_open: bool = True


def _allow_lists(chains: Chains, uses: Sequence[Use]) -> Iterator[Finding]:
    """Find import rules that accept what would be accepted without them."""
    last: dict[PlacedRule, _Seen] = {}
    for use in uses:
        chain = chains.of(use.filters, use.setting)
        if use.setting.direction is not Direction.IMPORT or not chain:
            continue
        seen = last.setdefault(chain[-1], _Seen([]))
        seen.uses.append(use)
        seen.is_open = seen.is_open and _allows_only(chain)
    for placed, seen in last.items():
        if seen.is_open:
            yield Finding(
                Severity.WARNING,
                placed.kind,
                placed.name,
                placed.path,
                "allows-only",
                f"no {placed.field} rule rejects anything from {users(seen.uses)}",
                "what no rule decides is accepted on import, so these rules allow nothing that is"
                " not allowed anyhow",
                "end with a rule that has action Reject and no condition",
            )


def _allows_only(chain: Sequence[PlacedRule]) -> bool:
    """Tell whether a chain accepts some things by name, unchanged, and rejects nothing."""
    rules = [placed.rule for placed in chain]
    if any(rule.action is Action.REJECT or rule.operations for rule in rules):
        return False
    return any(map(conditions_of, rules))


def _at_peer(
    severity: Severity, peer: BGPPeer, path: FieldPath, rule: str, what: str, why: str, advice: str
) -> Finding:
    return Finding(severity, Kind.BGP_PEER, peer.name, path, rule, what, why, advice)
