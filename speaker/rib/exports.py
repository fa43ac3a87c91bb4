"""All export groups of the router, found by key.

Peers come and go by `join` and `leave`; a group is made for the first member of its key and dropped
with the last. `apply` lets every group of a family follow the Loc-RIB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fsm.family import Family
from policy.outbound import GroupKey
from speaker.rib.export_group import ExportGroup, Member
from speaker.rib.loc_rib import Delta, LocRib


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

    def __iter__(self) -> Iterator[ExportGroup]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return len(self._groups)

    def join(self, key: GroupKey, member: Member) -> ExportGroup:
        """Put a member into the group of a key."""
        group = self._groups.get(key)
        if group is None:
            group = ExportGroup(key.family, key, self._loc_ribs[key.family], self._wake)
            self._groups[key] = group
        group.join(member)
        return group

    def leave(self, group: ExportGroup, member: Member) -> None:
        """Take a member out of its group."""
        group.leave(member)
        if not group.members:
            del self._groups[group.key]

    def apply(self, delta: Delta) -> None:
        """Follow one Loc-RIB."""
        for group in list(self._groups.values()):
            if group.family == delta.family:
                group.apply(delta)
