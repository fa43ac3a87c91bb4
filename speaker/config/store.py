"""The set of resources by kind and name.

`Resources` is a frozen value: what the plan is computed from, and what a datastore hands on
whole. Two sets are equal when their resources are; where each stands in a file is remembered
beside them and does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self, TypeVar

from speaker.config.bfd_resources import BFDConfiguration
from speaker.config.cache_resources import RPKICache
from speaker.config.filter_resources import BGPFilter
from speaker.config.kinds import Kind, name_space
from speaker.config.models import Resource
from speaker.config.policy_resources import RoutePolicy
from speaker.config.problems import Problem
from speaker.config.report import Report, RuleLines
from speaker.config.resources import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    IPPool,
    Node,
    SecretResource,
)
from speaker.config.status_resources import CalicoNodeStatus
from speaker.errors import ConfigError

_R = TypeVar("_R", bound=Resource)
_NOTHING: Mapping[tuple[Kind, str], str] = MappingProxyType({})
_NO_LINES: Mapping[tuple[Kind, str], RuleLines] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources there are, by name; each mapping is sorted."""

    peers: Mapping[str, BGPPeer] = field(default_factory=dict)
    configurations: Mapping[str, BGPConfiguration] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    pools: Mapping[str, IPPool] = field(default_factory=dict)
    affinities: Mapping[str, BlockAffinity] = field(default_factory=dict)
    filters: Mapping[str, BGPFilter] = field(default_factory=dict)
    policies: Mapping[str, RoutePolicy] = field(default_factory=dict)
    secrets: Mapping[str, SecretResource] = field(default_factory=dict)
    statuses: Mapping[str, CalicoNodeStatus] = field(default_factory=dict)
    caches: Mapping[str, RPKICache] = field(default_factory=dict)
    bfd: Mapping[str, BFDConfiguration] = field(default_factory=dict)
    places: Mapping[tuple[Kind, str], str] = field(default_factory=dict, compare=False)
    """``file:line`` of each."""
    rule_lines: Mapping[tuple[Kind, str], RuleLines] = field(default_factory=dict, compare=False)
    """Of the filters whose places are known."""

    @classmethod
    def of(
        cls,
        resources: Iterable[Resource],
        places: Mapping[tuple[Kind, str], str] = _NOTHING,
        rule_lines: Mapping[tuple[Kind, str], RuleLines] = _NO_LINES,
    ) -> Self:
        """Make a set of resources whose names are unique within their kind.

        Raises:
            ConfigError: a BGPFilter and a RoutePolicy have one name.
        """
        ordered = sorted(resources, key=lambda resource: resource.name)
        filters, policies = _by_name(BGPFilter, ordered), _by_name(RoutePolicy, ordered)
        if both := filters.keys() & policies.keys():
            raise ConfigError(
                f"both a BGPFilter and a RoutePolicy are called {', '.join(sorted(both))}",
                hint="a peer's filters name one of them; give the other another name",
            )
        return cls(
            peers=_by_name(BGPPeer, ordered),
            configurations=_by_name(BGPConfiguration, ordered),
            nodes=_by_name(Node, ordered),
            pools=_by_name(IPPool, ordered),
            affinities=_by_name(BlockAffinity, ordered),
            filters=filters,
            policies=policies,
            secrets=_by_name(SecretResource, ordered),
            statuses=_by_name(CalicoNodeStatus, ordered),
            caches=_by_name(RPKICache, ordered),
            bfd=_by_name(BFDConfiguration, ordered),
            places=places,
            rule_lines=rule_lines,
        )

    def place(self, kind: Kind, name: str) -> str:
        """Tell where a resource is written, empty when that is not known."""
        return self.places.get((kind, name), "")

    def rule_place(self, kind: Kind, name: str, chain: str, number: int) -> str:
        """Tell where a rule of a filter is written, or at least the filter; else empty.

        Args:
            kind: of the filter.
            name: of the filter.
            chain: the field, ``importV4``.
            number: the rule's, from 0.
        """
        place = self.place(kind, name)
        lines = self.rule_lines.get((kind, name), {}).get(chain, ())
        if not place or number >= len(lines):
            return place
        file, _, _ = place.rpartition(":")
        return f"{file}:{lines[number]}"

    def rules_stand_as_in(self, other: Resources) -> bool:
        """Tell whether the rules of all filters are written in the same places as in another set.

        For sets that are equal.
        """
        return self.rule_lines == other.rule_lines and all(
            self.places.get(key) == other.places.get(key) for key in self.rule_lines
        )

    def filter(self, name: str) -> BGPFilter | RoutePolicy | None:
        """Find what a peer's ``filters`` name."""
        return self.filters.get(name) or self.policies.get(name)

    def by_kind(self) -> dict[Kind, Mapping[str, Resource]]:
        """Give all resources of each kind, by name."""
        return {
            Kind.BGP_PEER: self.peers,
            Kind.BGP_CONFIGURATION: self.configurations,
            Kind.NODE: self.nodes,
            Kind.IP_POOL: self.pools,
            Kind.BLOCK_AFFINITY: self.affinities,
            Kind.BGP_FILTER: self.filters,
            Kind.ROUTE_POLICY: self.policies,
            Kind.SECRET: self.secrets,
            Kind.CALICO_NODE_STATUS: self.statuses,
            Kind.RPKI_CACHE: self.caches,
            Kind.BFD_CONFIGURATION: self.bfd,
        }

    def amended(self, put: Iterable[Resource], gone: Iterable[tuple[Kind, str]]) -> Self:
        """Give the set with these resources in it, each in the place of one of its name, or new.

        Args:
            put: resources that come, or take the place of others.
            gone: kinds and names of those that go.
        """
        found = {
            (kind, name): resource
            for kind, resources in self.by_kind().items()
            for name, resource in resources.items()
        }
        for key in gone:
            found.pop(key, None)
        amended = {(Kind(resource.kind), resource.name): resource for resource in put}
        lines = {key: each for key, each in self.rule_lines.items() if key not in amended}
        return type(self).of({**found, **amended}.values(), self.places, lines)

    def __len__(self) -> int:
        return sum(map(len, self.by_kind().values()))


def _by_name(kind: type[_R], resources: Iterable[Resource]) -> dict[str, _R]:
    return {item.name: item for item in resources if isinstance(item, kind)}


def build(
    reports: Iterable[Report], incumbents: Mapping[tuple[Kind, str], str] = _NOTHING
) -> tuple[Resources, list[Problem]]:
    """Put the valid documents together; of a name used twice one stays and the other is a problem.

    Args:
        reports: in the order of files and documents; the first of a name wins …
        incumbents: … unless this mapping says which file held the name before.
    """
    chosen: dict[tuple[str, str], Report] = {}
    problems: list[Problem] = []

    def held_it(report: Report) -> bool:
        return incumbents.get((Kind(report.kind), report.name)) == report.file

    for report in reports:
        if report.resource is None:
            continue
        key = (name_space(report.kind), report.name)
        if key not in chosen:
            chosen[key] = report
            continue
        stays, goes = chosen[key], report
        if held_it(goes) and not held_it(stays):
            stays, goes = goes, stays
            chosen[key] = stays
        problems.append(duplicate(stays, goes))
    places = {
        (Kind(report.kind), report.name): f"{report.file}:{report.line}"
        for report in chosen.values()
    }
    lines = {
        (Kind(report.kind), report.name): report.rule_lines
        for report in chosen.values()
        if report.rule_lines
    }
    resources = [report.resource for report in chosen.values() if report.resource is not None]
    return Resources.of(resources, places, lines), problems


def duplicate(stays: Report, goes: Report) -> Problem:
    """Say that a name is used twice, naming both places."""
    message = f"{goes.kind} {goes.name} is already defined in {stays.file}:{stays.line}"
    if goes.kind != stays.kind:
        message = (
            f"{stays.kind} {goes.name} in {stays.file}:{stays.line} has that name already; filters "
            "of both kinds stand in one list, so give this one another name"
        )
    return goes.problem("metadata.name", "duplicate-name", message)
