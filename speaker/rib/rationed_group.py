"""Adj-RIB-Out of one peer that is not to be told too much.

A `RationedGroup` is an export group with one member, for a peer that has a limit on the prefixes it
is told. Routes that are withheld from the member do not count, so the table is exactly what it
holds or is to hold, and its length is the number that limits are about.

Where the limit says so (`policy.outbound.Quota`), what exceeds it waits: prefixes that are told
stay told, changes of theirs go out, and new ones are told in the order in which they came as soon
as others have gone. The peer never holds more than the number, not even for a moment: while it is
behind with its debts, all withdrawals go before the first announcement.
"""

from __future__ import annotations

from itertools import islice

from policy.prefix import Nlri
from speaker.rib.export_group import ExportGroup
from speaker.rib.export_paths import PathsGroup
from speaker.rib.member import Member
from speaker.rib.out_routes import OutRoute


class RationedGroup(ExportGroup):
    """The Adj-RIB-Out of the one member with a key that has a quota.

    Attributes:
        waiting: prefixes for which there is no room.
    """

    _maximum: int | None = None
    _has_lost = True
    waiting: dict[Nlri, OutRoute]

    def _fill(self) -> None:
        self.waiting = {}
        super()._fill()

    def join(self, member: Member) -> None:
        """Take the member in, and into the table what it may be told."""
        assert not self.members
        assert self.key.quota is not None
        self._maximum = self.key.quota.maximum
        table = self.table
        for nlri in [nlri for nlri, out in table.items() if member.misses(out)]:
            del table[nlri]
        if self._maximum is not None:
            for nlri in list(islice(table, self._maximum, None)):
                self.waiting[nlri] = table.pop(nlri)
        super().join(member)

    def _advertise(self, out: OutRoute, nlris: list[Nlri]) -> None:
        if any(member.misses(out) for member in self.members):
            self._retract(nlris)
            return
        if self.members and self._maximum is not None:
            nlris = self._within(out, nlris, self._maximum)
        if nlris:
            super()._advertise(out, nlris)

    def _within(self, out: OutRoute, nlris: list[Nlri], maximum: int) -> list[Nlri]:
        """Let new prefixes wait that are too many."""
        table = self.table
        room = maximum - len(table)
        if len(nlris) <= room:
            return nlris
        told = [nlri for nlri in nlris if nlri in table]
        new = list(dict.fromkeys(nlri for nlri in nlris if nlri not in table))
        self.waiting.update(dict.fromkeys(new[room:], out))
        return told + new[:room]

    def _retract(self, nlris: list[Nlri]) -> None:
        self._has_lost = True
        for nlri in nlris if self.waiting else ():
            self.waiting.pop(nlri, None)
        super()._retract(nlris)
        if self.waiting and self._maximum is not None:
            self._admit(self._maximum - len(self.table))

    def _admit(self, room: int) -> None:
        """Tell so many of those that wait, the oldest first."""
        parts: dict[OutRoute, list[Nlri]] = {}
        for nlri, out in list(islice(self.waiting.items(), room)):
            del self.waiting[nlri]
            parts.setdefault(out, []).append(nlri)
        for out, nlris in parts.items():
            super()._advertise(out, nlris)

    def waits(self, nlri: Nlri) -> bool:
        """Tell whether there is no room for a prefix, or for a path to it."""
        return any(key in self.waiting for key in self._keys_of(nlri))

    def pull(self, member: Member, limit: int = 4096) -> list[bytes]:
        """Encode part of what the member owes, and before it everything that it has lost."""
        if member.former is not None:
            return super().pull(member, limit)
        if self._unread:
            # Before all is read nothing is known to be lost, nor to be too much.
            self.read_on(limit)
            return []
        lost: list[Nlri] = []
        if self._has_lost:
            self._has_lost = False
            lost = [nlri for nlri in member.owes if nlri not in self.table]
        for nlri in lost:
            del member.owes[nlri]
        messages = self.routes.withdrawals(lost) if lost else []
        return messages + super().pull(member, limit)


class RationedPathsGroup(RationedGroup, PathsGroup):
    """The same for a member that is told several paths to a prefix; each of them counts."""

    def _look_up(self, key: Nlri) -> OutRoute | None:
        return super()._look_up(key) or self.waiting.get(key)
