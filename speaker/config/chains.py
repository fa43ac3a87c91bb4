"""Chains of filters as sessions have them, each rule with the place where it is written.

`PlacedRule` is a rule of a resource, `Use` a chain that a session asks for one direction and family
together with what is known of the session (`policy.reach.Setting`). `uses_of` gathers them from the
plans of nodes; sessions that are alike use a chain once. `Chains` answers for chains that many use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias

from fsm.family import RELAYED, Afi
from policy.path import PeerType
from policy.reach import Dead, Setting, dead_rules
from policy.roles import Role
from policy.rules import Direction, Rule
from speaker.config.filter_resources import BGPFilter
from speaker.config.filters import chain_field, rules_of
from speaker.config.kinds import Kind, find_kind
from speaker.config.peerplan import PeerPlan
from speaker.config.plan import Plan, PolicyMode
from speaker.config.policy_resources import RoutePolicy
from speaker.config.problems import FieldPath
from speaker.config.store import Resources

AnyFilter: TypeAlias = BGPFilter | RoutePolicy


@dataclass(frozen=True, slots=True, eq=False)
class PlacedRule:
    """A rule and where it is written; `Chains` makes it once, and it is compared by identity.

    Attributes:
        field: the chain of the resource, ``importV4``.
        number: its place in that.
    """

    rule: Rule
    kind: Kind
    name: str
    field: str
    number: int

    @property
    def path(self) -> FieldPath:
        """Its place in the document."""
        return ("spec", self.field, self.number)

    def __str__(self) -> str:
        return self.rule.origin


def filters_of(resources: Resources) -> dict[str, AnyFilter]:
    """Give all that a peer's ``filters`` may name."""
    return {**resources.filters, **resources.policies}


def placed_rules(bgp_filter: AnyFilter, direction: Direction, afi: Afi) -> list[PlacedRule]:
    """Give the rules of one filter."""
    field = chain_field(direction, afi)
    return [
        PlacedRule(rule, Kind(bgp_filter.kind), bgp_filter.name, field, number)
        for number, rule in enumerate(rules_of([bgp_filter], direction, afi, _unplaced))
    ]


def _unplaced(kind: Kind, name: str, chain: str, number: int) -> str:
    """Leave places out: `PlacedRule` has them."""
    return ""


@dataclass(frozen=True, slots=True)
class Use:
    """A chain of filters that sessions of one BGPPeer ask.

    Attributes:
        peer: name of the BGPPeer.
        filters: names of the filters that are there, in their order.
        peer_asn: of the other end.
        is_plain: Calico's policy is not asked behind the chain.
    """

    peer: str
    filters: tuple[str, ...]
    setting: Setting
    peer_asn: int
    is_plain: bool


def uses_of(plans: Iterable[Plan]) -> list[Use]:
    """Gather the chains of all sessions that come from a BGPPeer, each kind once."""
    found: dict[Use, None] = {}
    for plan in plans:
        for peer in plan.all_peers:
            if peer.resource:
                found |= dict.fromkeys(_uses(peer, is_plain=plan.mode is PolicyMode.PLAIN))
    return list(found)


def _uses(peer: PeerPlan, *, is_plain: bool) -> Iterable[Use]:
    begins_with_peer = (
        peer.enforce_first_as
        and any(rule.as_path_prefix for _, rules in peer.import_rules for rule in rules)
        and not (peer.is_internal or peer.range)
        and peer.role is not Role.ROUTE_SERVER_CLIENT
    )
    for family in peer.families:
        for direction in () if family in RELAYED else Direction:
            setting = Setting(
                direction,
                family.afi,
                PeerType.INTERNAL if peer.is_internal else PeerType.EXTERNAL,
                peer.local_asn,
                peer.allow_local_as,
                peer.peer_asn if begins_with_peer else 0,
                _address_that_matters(peer),
            )
            yield Use(peer.resource, peer.filters, setting, peer.peer_asn, is_plain)


def _address_that_matters(peer: PeerPlan) -> bytes:
    """Give the address of a peer, where an import rule asks for it; else all peers are alike.

    One from a range stands for all of it.
    """
    asks = any(rule.neighbors for _, rules in peer.import_rules for rule in rules)
    return ip_address(peer.address).packed if asks and not peer.range else b""


class Chains:
    """The chains of uses, each put together and looked at once, however many sessions ask it.

    Args:
        resources: in which the filters are.
    """

    def __init__(self, resources: Resources) -> None:
        self.filters = filters_of(resources)
        self._placed: dict[tuple[str, Direction, Afi], list[PlacedRule]] = {}
        self._chains: dict[tuple[tuple[str, ...], Direction, Afi], list[PlacedRule]] = {}
        self._dead: dict[tuple[tuple[str, ...], Setting], dict[PlacedRule, Dead]] = {}
        self._overtaken: dict[tuple[tuple[str, ...], Setting], dict[str, list[PlacedRule]]] = {}

    def rules(self, name: str, direction: Direction, afi: Afi) -> list[PlacedRule]:
        """Give the rules of one filter."""
        key = name, direction, afi
        if key not in self._placed:
            self._placed[key] = placed_rules(self.filters[name], direction, afi)
        return self._placed[key]

    def of(self, filters: tuple[str, ...], setting: Setting) -> list[PlacedRule]:
        """Give all rules, in the order in which they are tried; of a filter named twice once."""
        key = filters, setting.direction, setting.afi
        if key not in self._chains:
            self._chains[key] = [
                rule
                for name in dict.fromkeys(filters)
                for rule in self.rules(name, setting.direction, setting.afi)
            ]
        return self._chains[key]

    def dead(self, filters: tuple[str, ...], setting: Setting) -> dict[PlacedRule, Dead]:
        """Find the rules of a chain that never decide."""
        key = filters, setting
        if key not in self._dead:
            chain = self.of(filters, setting)
            found = dead_rules([placed.rule for placed in chain], setting)
            self._dead[key] = {chain[dead.number]: dead for dead in found}
        return self._dead[key]

    def overtaken(self, filters: tuple[str, ...], setting: Setting) -> dict[str, list[PlacedRule]]:
        """Give the filters of which no rule decides because of filters before, with what does."""
        key = filters, setting
        if key not in self._overtaken:
            chain, dead = self.of(filters, setting), self.dead(filters, setting)
            self._overtaken[key] = dict(_overtaken(chain, dead))
        return self._overtaken[key]


def _overtaken(
    chain: Sequence[PlacedRule], dead: Mapping[PlacedRule, Dead]
) -> Iterator[tuple[str, list[PlacedRule]]]:
    for name in dict.fromkeys(placed.name for placed in chain):
        own = [placed for placed in chain if placed.name == name]
        deciding = {chain[by] for placed in own if placed in dead for by in dead[placed].by}
        others = sorted((each for each in deciding if each.name != name), key=str)
        if others and all(placed in dead for placed in own):
            yield name, others


def users(uses: Sequence[Use]) -> str:
    """Name the BGPPeers that use something, a few of them."""
    return names(dict.fromkeys(use.peer for use in uses))


def names(found: Iterable[str]) -> str:
    """Name a few of many."""
    every = list(found)
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")


@dataclass(frozen=True, slots=True, order=True)
class RuleName:
    """Which rule of which resource.

    Attributes:
        kind: in lower case, as explanations have it.
        field: the chain of the resource, ``importV4``.
        number: its place in that.
    """

    kind: str
    name: str
    field: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} {self.field}[{self.number}]"

    def place(self, resources: Resources) -> str:
        """Give ``file:line``; empty where it is not known."""
        kind = find_kind(self.kind)
        if kind is None:
            return ""
        return resources.rule_place(kind, self.name, self.field, self.number)


_ORIGIN = re.compile(r"(\w+)/(\S+) (\w+)\[(\d+)\]")


def rule_name(origin: str) -> RuleName | None:
    """Read the origin of a rule (`speaker.config.filters.rules_of`), or a reason that begins so."""
    found = _ORIGIN.match(origin)
    return None if found is None else RuleName(found[1], found[2], found[3], int(found[4]))


def all_rules(resources: Resources) -> list[RuleName]:
    """Name every rule of every filter."""
    return [
        RuleName(placed.kind.lower(), placed.name, placed.field, placed.number)
        for bgp_filter in filters_of(resources).values()
        for direction in Direction
        for afi in (Afi.IPV4, Afi.IPV6)
        for placed in placed_rules(bgp_filter, direction, afi)
    ]
