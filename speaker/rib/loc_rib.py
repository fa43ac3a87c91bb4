"""Loc-RIB: the best path of every prefix, and what has changed since somebody last asked.

The Decision Process runs where a change comes in, and incrementally. Let *current* be the best path
of a prefix. A path from another source is compared with *current* alone; a path from *current*'s
own source that is not worse stays best; in all other cases every source is asked. That is exact as
long as ranks are totally ordered, and the only thing that breaks the order is MULTI_EXIT_DISC,
which compares only within one neighbouring AS. The table therefore knows from which sources each
neighbouring AS is heard and with which MEDs (`_MedWatch`); once two sources could disagree, every
source is asked. A property test holds the two ways together.

What has changed waits, as runs of prefixes by their new best path, until `take` hands it out as a
`Delta`, once per turn of work: a burst of changes to one prefix is one change. Prefixes that share
traffic over equal paths have an entry in the sparse table ``shared``; all others cost one pointer.

Standards: RFC 4271 §9.1, §3.2.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from fsm.family import Family
from policy.decision import multipath, select, shares_load
from policy.path import Path, Source
from policy.prefix import Nlri


class Candidates(Protocol):
    """What one source offers; `speaker.rib.adj_rib_in.AdjRibIn` is the only kind there is."""

    source: Source
    paths: dict[Nlri, Path]


@dataclass(slots=True)
class Delta:
    """What has changed in a Loc-RIB.

    Attributes:
        family: of the prefixes.
        changed: prefixes by their new best path; None is withdrawn.
        shared: of these and of prefixes whose best path stayed, the sets of equal paths that are
            new; an empty tuple says that a set is no more.
    """

    family: Family
    changed: dict[Path | None, list[Nlri]]
    shared: dict[Nlri, tuple[Path, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.shared)

    @property
    def size(self) -> int:
        """How many prefixes are touched."""
        return sum(map(len, self.changed.values())) + len(self.shared)


class _MedWatch:
    """Knows whether MULTI_EXIT_DISC could decide between two sources."""

    __slots__ = ("_seen", "matters")

    def __init__(self) -> None:
        self._seen: dict[int, tuple[set[Source], set[int]]] = {}
        self.matters = False

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, path: Path) -> None:
        """Take notice of a path; cheap, once per attribute set."""
        if not path.source.is_bgp:
            return
        attributes = path.attributes
        sources, meds = self._seen.setdefault(attributes.neighbor_as, (set(), set()))
        sources.add(path.source)
        if len(meds) < 2:
            # Two that differ say as much as thousands.
            meds.add(attributes.med or 0)
        if len(sources) > 1 and len(meds) > 1:
            self.matters = True

    def forget(self, source: Source) -> None:
        """A source is gone: what it said may not matter any more."""
        for neighbor_as, (sources, _) in list(self._seen.items()):
            sources.discard(source)
            if not sources:
                del self._seen[neighbor_as]
        self.matters = any(
            len(sources) > 1 and len(meds) > 1 for sources, meds in self._seen.values()
        )


class LocRib:
    """The best path of every prefix of one family.

    Args:
        family: of the prefixes.
        max_paths: how many equal paths may share the traffic to a prefix; 1 for none.
        keep_unreachable: choose a path whose next hop is unreachable where there is no other, as
            BIRD does (the kernel then answers that the destination is unreachable); RFC 4271
            §9.1.2.1 would have it ineligible.
    """

    def __init__(
        self, family: Family, *, max_paths: int = 1, keep_unreachable: bool = False
    ) -> None:
        self.family = family
        self.best: dict[Nlri, Path] = {}
        self.shared: dict[Nlri, tuple[Path, ...]] = {}
        self.max_paths = max_paths
        self.keep_unreachable = keep_unreachable
        # About how many prefixes wait to be taken.
        self.backlog = 0
        self._tables: list[Candidates] = []
        self._meds = _MedWatch()
        self._runs: dict[Path | None, list[Nlri]] = {}
        self._new_shared: dict[Nlri, tuple[Path, ...]] = {}
        # What `take` has begun to hand out.
        self._queue: deque[tuple[Path | None, list[Nlri]]] = deque()
        # Runs may hold prefixes whose best path has changed again since.
        self._overlap = False
        self._queue_overlap = False

    def __len__(self) -> int:
        return len(self.best)

    def attach(self, table: Candidates) -> None:
        """Take a source's table into account from now on."""
        self._tables.append(table)

    def detach(self, table: Candidates) -> None:
        """Let an empty table go."""
        self._tables.remove(table)
        self._meds.forget(table.source)

    def note(self, path: Path) -> None:
        """Take notice of a path before it is announced for the first time."""
        self._meds.note(path)

    @property
    def interned(self) -> int:
        """How many neighbouring ASes are kept in mind."""
        return len(self._meds)

    def sweep(self, alive: Iterable[Path]) -> None:
        """Take notice of these paths alone; all others are no more."""
        self._meds = _MedWatch()
        for path in alive:
            self._meds.note(path)

    def known(self) -> list[Nlri]:
        """Give every prefix that any source has told, usable or not."""
        seen = dict.fromkeys(self.best)
        for table in self._tables:
            seen.update(dict.fromkeys(table.paths))
        return list(seen)

    def candidates(self, nlri: Nlri) -> list[Path]:
        """Give every accepted path to a prefix."""
        return [path for table in self._tables if (path := table.paths.get(nlri)) is not None]

    # hot: per batch
    def announced(self, table: Candidates, path: Path, nlris: list[Nlri]) -> None:
        """A table holds a path for these prefixes now."""
        best = self.best
        if best.keys().isdisjoint(nlris) and (path.next_hop.reachable or self.keep_unreachable):
            # Nobody else has these prefixes, or nothing usable: no comparison is needed.
            best.update(dict.fromkeys(nlris, path))
            self._note_change(path, nlris)
        elif self._meds.matters or not path.next_hop.reachable:
            self.decide(nlris)
        else:
            self._compete(path, nlris)

    # hot: per prefix
    def _compete(self, path: Path, nlris: list[Nlri]) -> None:
        """Compare a reachable path with the current best of each prefix."""
        best, rank, source = self.best, path.rank, path.source
        many = self.max_paths > 1
        won: list[Nlri] = []
        unclear: list[Nlri] = []
        for nlri in nlris:
            current = best.get(nlri)
            if current is None:
                won.append(nlri)
            elif many and (nlri in self.shared or shares_load(path, current)):
                if current is not path or nlri in self.shared:
                    unclear.append(nlri)
            elif rank < current.rank:
                won.append(nlri)
            elif current.source is source and current is not path:
                # Its source's path became worse, or is another of the same rank.
                (unclear if rank > current.rank else won).append(nlri)
        if won:
            best.update(dict.fromkeys(won, path))
            self._overlap = True
            self._note_change(path, won)
        if unclear:
            self.decide(unclear)

    # hot: per prefix
    def withdrawn(self, table: Candidates, nlris: list[Nlri]) -> None:
        """A table has lost its paths to these prefixes."""
        best = self.best
        if not self.shared and not any(t.paths for t in self._tables if t is not table):
            gone = [nlri for nlri in nlris if best.pop(nlri, None) is not None]
            self._overlap = True
            self._note_change(None, gone)
            return
        source, shared = table.source, self.shared
        self.decide(
            [
                nlri
                for nlri in nlris
                if nlri in shared or ((current := best.get(nlri)) and current.source is source)
            ]
        )

    # hot: per prefix
    def decide(self, nlris: Iterable[Nlri]) -> None:
        """Ask every source for these prefixes (RFC 4271 §9.1.2)."""
        best = self.best
        tables = [table.paths for table in self._tables if table.paths]
        self._overlap = True
        for nlri in nlris:
            candidates = [path for paths in tables if (path := paths.get(nlri)) is not None]
            new = (
                candidates[0] if len(candidates) == 1 else select(candidates, self.keep_unreachable)
            )
            if new is not None and not new.next_hop.reachable and not self.keep_unreachable:
                new = None
            if self.max_paths > 1:
                self._share(nlri, new, candidates)
            if new is not best.get(nlri):
                if new is None:
                    del best[nlri]
                else:
                    best[nlri] = new
                self._runs.setdefault(new, []).append(nlri)
                self.backlog += 1

    def _share(self, nlri: Nlri, best: Path | None, candidates: list[Path]) -> None:
        """Keep the set of equal paths of a prefix."""
        new: tuple[Path, ...] = ()
        if best is not None and len(candidates) > 1:
            new = multipath(best, candidates, self.max_paths)
            if len(new) < 2:
                new = ()
        if new != self.shared.get(nlri, ()):
            if new:
                self.shared[nlri] = new
            else:
                del self.shared[nlri]
            self._new_shared[nlri] = new

    def _note_change(self, path: Path | None, nlris: list[Nlri]) -> None:
        self.backlog += len(nlris)
        run = self._runs.get(path)
        if run is None:
            # The caller's list may live on in a table of its own: copy on the first need only.
            self._runs[path] = list(nlris)
        else:
            run += nlris

    def rerank(self, paths: set[Path], limit: int | None = None) -> Iterator[None]:
        """Decide again wherever one of these paths is a candidate, in slices.

        The paths' ranks or reachability have changed. Yields after every ``limit`` prefixes, so
        that the caller can let other work in between.
        """
        for table in list(self._tables):
            touched = [nlri for nlri, path in table.paths.items() if path in paths]
            step = limit or max(1, len(touched))
            for start in range(0, len(touched), step):
                part = touched[start : start + step]
                self.decide(part)
                self._touch(part, paths)
                yield

    def _touch(self, nlris: list[Nlri], paths: set[Path]) -> None:
        """Announce prefixes whose best path stayed but leads elsewhere now."""
        best = self.best
        for nlri in nlris:
            path = best.get(nlri)
            if path is not None and (
                path in paths or not paths.isdisjoint(self.shared.get(nlri, ()))
            ):
                self._runs.setdefault(path, []).append(nlri)
                self.backlog += 1

    @property
    def pending(self) -> bool:
        """Tell whether `take` would give anything."""
        return bool(self._runs or self._queue or self._new_shared)

    def take(self, limit: int | None = None) -> Delta:
        """Hand out what has changed, about ``limit`` prefixes at the most."""
        if not self._queue:
            self._queue.extend(self._runs.items())
            self._runs = {}
            self._queue_overlap, self._overlap = self._overlap, False
        queue, room = self._queue, limit or sys.maxsize
        taken: dict[Path | None, list[Nlri]] = {}
        while queue and room > 0:
            path, run = queue.popleft()
            if len(run) > 2 * room:
                queue.appendleft((path, run[room:]))
                run = run[:room]
            taken[path] = run
            room -= len(run)
            self.backlog -= len(run)
        if self._overlap or self._queue_overlap:
            taken = self._still_true(taken)
        shared, self._new_shared = self._new_shared, {}
        return Delta(self.family, taken, shared)

    def _still_true(self, runs: dict[Path | None, list[Nlri]]) -> dict[Path | None, list[Nlri]]:
        """Drop what has changed again since, and repetitions."""
        get = self.best.get
        kept: dict[Path | None, list[Nlri]] = {}
        for path, nlris in runs.items():
            true = [nlri for nlri in dict.fromkeys(nlris) if get(nlri) is path]
            if true:
                kept[path] = true
        return kept
