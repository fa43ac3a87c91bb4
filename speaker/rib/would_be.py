"""What tables would say under other policies, beside what they say.

A `WayIn` runs another import policy over what one source has told, a `WayOut` other export rules
over paths for one peer, and a `Prospect` chooses among the paths to a prefix that there would be.
Each answers for single prefixes, and changes nothing: paths that a policy makes here stand in no
table.

Standards: RFC 4271 §9.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from fsm.family import Family
from policy.outbound import GroupKey, Outbound, export_partition
from policy.path import Path, Source, SourceKind
from policy.prefix import Nlri
from policy.rewriter import Rewriter
from policy.rules import Verdict
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import ExportGroup
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from speaker.wire.update import Packer

Told: TypeAlias = tuple[bytes, bytes]
"""Attributes and next hop, as they would be sent."""


@dataclass(slots=True)
class WayIn:
    """What a source has told, and what would be used of it.

    Attributes:
        peer: the name it would have.
        policy: the way in that there would be.
        gone: nothing would be used of it.
        competes: whether its routes are among those of the main table.
    """

    peer: str
    rib: AdjRibIn
    policy: ImportPolicy | None
    gone: bool
    competes: bool

    def used(self, nlri: Nlri) -> tuple[Path, ...]:
        """Give what would be used of a prefix."""
        told = () if self.gone else self.rib.told(nlri)
        if self.policy is None:
            return told
        parts = (used for path in told for used, _ in self.policy.apply(path, [nlri]))
        return tuple(dict.fromkeys(used for used in parts if used is not None))


class Unsent(StrEnum):
    """Why a peer is not sent what the export rules accept."""

    OWN_NEXT_HOP = "its next hop is the peer itself"
    TOO_LARGE = "its attributes leave no room for a prefix in a message"


class Sending:
    """What a peer is sent of paths that it may hear; worked out once for each.

    Args:
        key: what decides.
        address: the peer's; empty where nobody is the peer yet.
    """

    def __init__(self, key: GroupKey, address: bytes) -> None:
        self._key = key
        self._address = address
        self._rewrite = Rewriter(key)
        self._packer = Packer(key.family, key.max_message)
        self._made: dict[tuple[Path, Verdict], Outbound | Unsent] = {}

    def make(self, path: Path, verdict: Verdict) -> Outbound | Unsent:
        """Give what is sent by an accepting verdict."""
        known = self._made.get((path, verdict))
        if known is None:
            known = self._made[path, verdict] = self._make_anew(path, verdict)
        return known

    def _make_anew(self, path: Path, verdict: Verdict) -> Outbound | Unsent:
        out = self._rewrite(path, verdict.operations)
        if out.next_hop != self._key.local_address and out.next_hop == self._address:
            return Unsent.OWN_NEXT_HOP
        if not self._packer.room(out.raw, out.next_hop + out.link_local):
            return Unsent.TOO_LARGE
        return out

    def forget(self) -> None:
        """Let go of all that was made."""
        self._made.clear()


class WayOut:
    """What a peer is told, and what it would be told.

    Args:
        peer: the name it would have.
        place: its export group, and itself in it; None for one that is not there yet.
        key: what would decide; None for one that goes.
    """

    def __init__(
        self, peer: str, place: tuple[ExportGroup, Member] | None, key: GroupKey | None
    ) -> None:
        self.peer = peer
        self.key = key
        self.anew = place is None or place[0].key != key
        self._place = place
        address = b"" if place is None else place[1].address
        self._sending = None if key is None else Sending(key, address)

    def now(self, nlri: Nlri) -> set[Told]:
        """Give what the peer is told of a prefix."""
        if self._place is None:
            return set()
        group, member = self._place
        return {(out.attributes, out.next_hop) for out in group.told(member, nlri)}

    def then(self, nlri: Nlri, paths: Iterable[Path]) -> set[Told]:
        """Give what it would be told, if these were the paths on offer."""
        if self.key is None or self._sending is None:
            return set()
        found: set[Told] = set()
        for path in paths:
            if self._place is not None and path.source is self._place[1].source:
                continue
            for verdict, _ in export_partition([nlri], path, self.key):
                told = self._sending.make(path, verdict) if verdict.accepted else None
                if isinstance(told, Outbound):
                    found.add((told.raw, told.next_hop + told.link_local))
        return found


@dataclass(slots=True)
class Prospect:
    """One family: its table, and all ways in and out that an edit concerns.

    Attributes:
        loc_rib: the table as it is.
        keeps_unreachable: what `LocRib.keep_unreachable` would be.
        ways_in: of sources of which something else would be used.
        ways_out: of all peers.
        static: our own routes that would come, or come otherwise; None for those that would go.
    """

    family: Family
    loc_rib: LocRib
    keeps_unreachable: bool
    ways_in: list[WayIn] = field(default_factory=list)
    ways_out: list[WayOut] = field(default_factory=list)
    static: dict[Nlri, Path | None] = field(default_factory=dict)
    _others: set[Source] = field(default_factory=set, init=False)

    def add(self, way: WayIn) -> None:
        """Take a way in into account."""
        self.ways_in.append(way)
        self._others.add(way.rib.source)

    @property
    def sources(self) -> list[Collection[Nlri]]:
        """The prefixes that may fare otherwise; several may hold the same."""
        found = [part for way in self.ways_in for part in way.rib.prefixes()]
        found.append(self.static.keys())
        if any(way.anew for way in self.ways_out):
            found.append(self.loc_rib.best.keys())
        return found

    def prefixes(self) -> Iterator[Nlri]:
        """Give each prefix that may fare otherwise once."""
        before: list[Collection[Nlri]] = []
        for source in self.sources:
            for nlri in list(source):
                if not any(nlri in other for other in before):
                    yield nlri
            before.append(source)

    def candidates(self, nlri: Nlri) -> list[Path]:
        """Give the paths to a prefix that there would be."""
        others, is_local = self._others, nlri in self.static
        found = [
            path
            for path in self.loc_rib.candidates(nlri)
            if path.source not in others
            and not (is_local and path.source.kind is SourceKind.STATIC)
        ]
        for way in self.ways_in:
            if way.competes:
                found += way.used(nlri)
        own = self.static.get(nlri)
        return found if own is None else [*found, own]
