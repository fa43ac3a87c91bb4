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

from speaker.config.kinds import Kind
from speaker.config.models import Resource
from speaker.config.problems import Problem
from speaker.config.report import Report
from speaker.config.resources import (
    BGPConfiguration,
    BGPFilter,
    BGPPeer,
    BlockAffinity,
    IPPool,
    Node,
    SecretResource,
)

_R = TypeVar("_R", bound=Resource)
_NOTHING: Mapping[tuple[Kind, str], str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources there are, by name; each mapping is sorted."""

    peers: Mapping[str, BGPPeer] = field(default_factory=dict)
    configurations: Mapping[str, BGPConfiguration] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    pools: Mapping[str, IPPool] = field(default_factory=dict)
    affinities: Mapping[str, BlockAffinity] = field(default_factory=dict)
    filters: Mapping[str, BGPFilter] = field(default_factory=dict)
    secrets: Mapping[str, SecretResource] = field(default_factory=dict)
    places: Mapping[tuple[Kind, str], str] = field(default_factory=dict, compare=False)
    """``file:line`` of each."""

    @classmethod
    def of(
        cls, resources: Iterable[Resource], places: Mapping[tuple[Kind, str], str] = _NOTHING
    ) -> Self:
        """Make a set of resources whose names are unique within their kind."""
        ordered = sorted(resources, key=lambda resource: resource.name)

        return cls(
            peers=_by_name(BGPPeer, ordered),
            configurations=_by_name(BGPConfiguration, ordered),
            nodes=_by_name(Node, ordered),
            pools=_by_name(IPPool, ordered),
            affinities=_by_name(BlockAffinity, ordered),
            filters=_by_name(BGPFilter, ordered),
            secrets=_by_name(SecretResource, ordered),
            places=places,
        )

    def place(self, kind: Kind, name: str) -> str:
        """Tell where a resource is written, empty when that is not known."""
        return self.places.get((kind, name), "")

    def __len__(self) -> int:
        return sum(
            map(
                len,
                (
                    self.peers,
                    self.configurations,
                    self.nodes,
                    self.pools,
                    self.affinities,
                    self.filters,
                    self.secrets,
                ),
            )
        )


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
    chosen: dict[tuple[Kind, str], Report] = {}
    problems: list[Problem] = []
    for report in reports:
        if report.resource is None:
            continue
        key = (Kind(report.kind), report.resource.name)
        if key not in chosen:
            chosen[key] = report
            continue
        stays, goes = chosen[key], report
        if incumbents.get(key) == goes.file != stays.file:
            stays, goes = goes, stays
            chosen[key] = stays
        problems.append(duplicate(stays, goes))
    places = {key: f"{report.file}:{report.line}" for key, report in chosen.items()}
    resources = [report.resource for report in chosen.values() if report.resource is not None]
    return Resources.of(resources, places), problems


def duplicate(stays: Report, goes: Report) -> Problem:
    """Say that a name is used twice, naming both places."""
    message = f"{goes.kind} {goes.name} is already defined in {stays.file}:{stays.line}"
    return Problem(goes.file, goes.line, 1, "metadata.name", "duplicate-name", message)
