"""All export groups of the router, found by key.

Peers come and go by `join` and `leave`; a group is made for the first member of its key and dropped
with the last. `apply` lets every group of a family follow the Loc-RIB, which says what becomes of
the paths that are not best only while some group sends them. What takes a walk of a table (a group
that is made, routes that others may hear from now on, or not any more, routes whose validity has
changed) is done in slices by `read_on`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from fsm.family import Family
from policy.outbound import GroupKey
from policy.path import Path
from policy.prefix import Nlri
from policy.vrps import Covered
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import ExportGroup
from speaker.rib.export_paths import PathsGroup
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.member import Member
from speaker.rib.rationed_group import RationedGroup, RationedPathsGroup


class Exports:
    """The Adj-RIBs-Out of all peers.

    Args:
        loc_ribs: where the routes come from.
        wake: called when a member that had nothing to send has something.
    """

    def __init__(self, loc_ribs: Mapping[Family, LocRib], wake: Callable[[Member], None]) -> None:
        self._loc_ribs = loc_ribs
        self._wake = wake
        self._groups: dict[GroupKey, ExportGroup] = {}
        self._reconsidered: list[_Walk] = []

    def __iter__(self) -> Iterator[ExportGroup]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return len(self._groups)

    def join(self, key: GroupKey, member: Member) -> ExportGroup:
        """Put a member into the group of a key."""
        group = self._groups.get(key)
        if group is None:
            loc_rib = self._loc_ribs[key.family]
            if key.add_path:
                loc_rib.follows_all = True
            group = self._groups[key] = _kind(key)(key.family, key, loc_rib, self._wake)
        group.join(member)
        return group

    def leave(self, group: ExportGroup, member: Member) -> None:
        """Take a member out of its group."""
        group.leave(member)
        if not group.members:
            del self._groups[group.key]
            self._loc_ribs[group.family].follows_all = any(
                key.add_path for key in self._groups if key.family == group.family
            )

    def remake(self, paths: Collection[Path]) -> None:
        """Make anew what these paths become, as soon as they are applied again."""
        for group in self._groups.values():
            group.remake(paths)

    def apply(self, delta: Delta) -> None:
        """Follow one Loc-RIB."""
        for group in self._of(delta.family):
            group.apply(delta)

    def reconsider(self, told: AdjRibIn) -> None:
        """Who may hear what a source told is another question now: judge it anew, by `read_on`."""
        for group in self._of(told.family):
            # What is told meanwhile is not told by what was right before.
            group.forget(told.source)
        self._reconsidered.append(_Walk(told.family, list(told.paths)))

    def revalidate(self, family: Family, covered: Covered) -> None:
        """VRPs of these prefixes are others: judge what they cover anew, by `read_on`."""
        if self.asks_for_validity:
            walk = _Walk(family, list(self._loc_ribs[family].best), covered)
            self._reconsidered.append(walk)

    @property
    def asks_for_validity(self) -> bool:
        """Whether it matters to what any group is told what RPKI says."""
        return any(map(_asks_for_validity, self._groups.values()))

    @property
    def is_revalidating(self) -> bool:
        """Whether that is under way."""
        return any(walk.covered is not None for walk in self._reconsidered)

    def _of(self, family: Family) -> list[ExportGroup]:
        return [group for group in self._groups.values() if group.family == family]

    def read_on(self, limit: int) -> bool:
        """Do a slice of what takes a walk of a table; False when there is nothing of the kind."""
        for group in self._groups.values():
            if group.is_unread:
                group.read_on(limit)
                return True
        if not self._reconsidered:
            return False
        walk = self._reconsidered[0]
        part = walk.nlris[-limit:]
        del walk.nlris[-limit:]
        if not walk.nlris:
            self._reconsidered.pop(0)
        self._judge_again(walk, part)
        return True

    def _judge_again(self, walk: _Walk, nlris: list[Nlri]) -> None:
        by_path: dict[Path | None, list[Nlri]] = {}
        best = self._loc_ribs[walk.family].best
        for nlri in nlris if walk.covered is None else walk.covered.among(nlris):
            path = best.get(nlri)
            if path is not None:
                by_path.setdefault(path, []).append(nlri)
        for group in self._of(walk.family):
            if walk.covered is None or _asks_for_validity(group):
                group.apply(Delta(walk.family, by_path))


@dataclass(slots=True)
class _Walk:
    """Prefixes that are judged anew for the groups.

    Attributes:
        nlris: what is left of them.
        covered: of these, what it is about, and then for groups that ask for validity alone; None:
            all of them, for all groups.
    """

    family: Family
    nlris: list[Nlri]
    covered: Covered | None = None


def _asks_for_validity(group: ExportGroup) -> bool:
    return group.key.vrps is not None


def _kind(key: GroupKey) -> type[ExportGroup]:
    if key.quota is None:
        return PathsGroup if key.add_path else ExportGroup
    return RationedPathsGroup if key.add_path else RationedGroup
