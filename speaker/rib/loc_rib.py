"""Loc-RIB: the best path of every prefix, and what has changed since somebody last asked.

The Decision Process runs where a change comes in, and incrementally. Let *current* be the best path
of a prefix. A path from another source is compared with *current* alone; a path from *current*'s
own source that is not worse stays best; in all other cases every source is asked. That is exact as
long as ranks are totally ordered, and the only thing that breaks the order is MULTI_EXIT_DISC,
which compares only within one neighbouring AS. The table therefore knows from which sources each
neighbouring AS is heard and with which MEDs (`MedWatch`); for what is told by those that could
disagree, every source is asked. A property test holds the two ways together.

A source may have several paths to a prefix (RFC 7911): one of them stands among its ``paths`` like
any other source's, those beside it in its sparse ``more``. One path more is compared with *current*
alone; where such a path goes or turns into another, every path of every source is asked.

What has changed waits, as runs of prefixes by their new best path, until `take` hands it out as a
`Delta`, once per turn of work: a burst of changes to one prefix is one change. Prefixes that share
traffic over equal paths have an entry in the sparse table ``shared``; all others cost one pointer.
Who tells others more than the best path sets ``follows_all``, and is then told too of prefixes
whose best path stayed and whose other paths did not.

Standards: RFC 4271 §9.1, §3.2; RFC 7911 §2.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from fsm.family import Family
from policy.decision import multipath, select, shares_load
from policy.path import Path, Source
from policy.prefix import Nlri
from speaker.rib.med_watch import MedWatch
from speaker.rib.room import compacted

PATH_WEIGHT = 15
"""A path in a `Delta` is as much work for those who follow as so many prefixes."""


class Candidates(Protocol):
    """What one source offers: an `speaker.rib.adj_rib_in.AdjRibIn` of either kind.

    Attributes:
        source: who told.
        paths: a path to each prefix.
        more: of prefixes to which the source has several paths, those beside that one.
    """

    source: Source
    paths: dict[Nlri, Path]

    @property
    def more(self) -> Mapping[Nlri, tuple[Path, ...]]:
        """See above."""


@dataclass(slots=True)
class Delta:
    """What has changed in a Loc-RIB.

    Attributes:
        family: of the prefixes.
        changed: prefixes by their new best path; None is withdrawn.
        shared: of these and of prefixes whose best path stayed, the sets of equal paths that are
            new; an empty tuple says that a set is no more.
        touched: prefixes that are not in ``changed`` and whose candidates may be others, or of
            another order; only where `LocRib.follows_all` is set.
    """

    family: Family
    changed: dict[Path | None, list[Nlri]]
    shared: dict[Nlri, tuple[Path, ...]] = field(default_factory=dict)
    touched: dict[Nlri, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.shared or self.touched)

    @property
    def size(self) -> int:
        """How many prefixes are told of."""
        return sum(map(len, self.changed.values())) + len(self.shared) + len(self.touched)


class LocRib:
    """The best path of every prefix of one family.

    Args:
        family: of the prefixes.
        max_paths: how many equal paths may share the traffic to a prefix; 1 for none.
        keep_unreachable: choose a path whose next hop is unreachable where there is no other, as
            BIRD does (the kernel then answers that the destination is unreachable); RFC 4271
            §9.1.2.1 would have it ineligible.

    Attributes:
        follows_all: somebody wants to know of all paths, not of the best alone.
    """

    def __init__(
        self, family: Family, *, max_paths: int = 1, keep_unreachable: bool = False
    ) -> None:
        self.family = family
        self.best: dict[Nlri, Path] = {}
        self.shared: dict[Nlri, tuple[Path, ...]] = {}
        self.max_paths = max_paths
        self.keep_unreachable = keep_unreachable
        self.follows_all = False
        # Of the best paths, about how many changes wait to be taken.
        self._waiting = 0
        self._touched: dict[Nlri, None] = {}
        self._tables: list[Candidates] = []
        # Of these, those that may have more than one path to a prefix.
        self._several: list[Candidates] = []
        self._meds = MedWatch()
        self._runs: dict[Path | None, list[Nlri]] = {}
        self._new_shared: dict[Nlri, tuple[Path, ...]] = {}
        # What `take` has begun to hand out.
        self._queue: deque[tuple[Path | None, list[Nlri]]] = deque()
        # Runs may hold prefixes whose best path has changed again since.
        self._overlap = False
        self._queue_overlap = False
        # Withdrawals may wait.
        self._has_gone = False

    def __len__(self) -> int:
        return len(self.best)

    @property
    def entries(self) -> int:
        """How many entries this table and its sources' have."""
        return len(self.best) + sum(len(table.paths) for table in self._tables)

    def compact(self) -> None:
        """Take no more room than what is left needs."""
        self.best = compacted(self.best)

    @property
    def tables(self) -> Collection[Candidates]:
        """What all sources offer."""
        return self._tables

    def attach(self, table: Candidates) -> None:
        """Take a source's table into account from now on."""
        self._tables.append(table)
        if table.source.tells_several:
            self._several.append(table)

    def detach(self, table: Candidates) -> None:
        """Let an empty table go."""
        self._tables.remove(table)
        if table in self._several:
            self._several.remove(table)
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
        self._meds = MedWatch()
        for path in alive:
            self._meds.note(path)

    def known(self) -> Iterator[Nlri]:
        """Give every prefix that any source has told, usable or not.

        Tables may change meanwhile: what comes is among what is told, or was when it began.
        """
        best = self.best
        yield from list(best)
        before: list[Candidates] = []
        for table in list(self._tables):
            for nlri in list(table.paths):
                if nlri not in best and not any(nlri in other.paths for other in before):
                    yield nlri
            before.append(table)

    def candidates(self, nlri: Nlri) -> list[Path]:
        """Give every accepted path to a prefix."""
        found: list[Path] = []
        for table in self._tables:
            path = table.paths.get(nlri)
            if path is not None:
                found += (path, *table.more.get(nlri, ()))
        return found

    # hot: per batch
    def contested(self, nlris: Iterable[Nlri]) -> set[Nlri]:
        """Give those of these prefixes to which there is more than one path."""
        tables = [table for table in self._tables if table.paths]
        seen: set[Nlri] = set()
        several: set[Nlri] = set()
        if len(tables) < 2 and not self._several:
            return several
        asked = set(nlris)
        for table in tables:
            told = asked & table.paths.keys()
            several |= seen & told
            seen |= told
        for table in self._several:
            several |= asked & table.more.keys()
        return several

    # hot: per prefix
    def offers(self, nlris: Iterable[Nlri]) -> dict[tuple[Path, ...], list[Nlri]]:
        """Group prefixes by all paths that there are to them."""
        tables = [table.paths for table in self._tables if table.paths]
        more = [table.more for table in self._several if table.more]
        found: dict[tuple[Path, ...], list[Nlri]] = {}
        for nlri in nlris:
            paths = [path for told in tables if (path := told.get(nlri)) is not None]
            for others in more:
                paths += others.get(nlri, ())
            found.setdefault(tuple(paths), []).append(nlri)
        return found

    # hot: per batch
    def announced(self, table: Candidates, path: Path, nlris: list[Nlri]) -> None:
        """A table holds this path for these prefixes now, and no other."""
        if self.follows_all:
            self._touched.update(dict.fromkeys(nlris))
        best = self.best
        if best.keys().isdisjoint(nlris) and (path.next_hop.reachable or self.keep_unreachable):
            # Nobody else has these prefixes, or nothing usable: no comparison is needed.
            for nlri in nlris:
                best[nlri] = path
            if self._has_gone:
                self._overlap = True
            self._note_change(path, nlris)
        elif path.source in self._meds.contested or not path.next_hop.reachable:
            self.decide(nlris)
        else:
            self._compete(path, nlris)

    def added(self, path: Path, nlris: list[Nlri]) -> None:
        """A table holds one path more for these prefixes, beside what it had."""
        if self.follows_all:
            self._touched.update(dict.fromkeys(nlris))
        if path.source in self._meds.contested or not path.next_hop.reachable:
            self.decide(nlris)
        else:
            self._compete(path, nlris, beside=True)

    def rearranged(self, nlris: list[Nlri]) -> None:
        """The paths that a table holds for these prefixes are others than before."""
        if self.follows_all:
            self._touched.update(dict.fromkeys(nlris))
        self.decide(nlris)

    # hot: per prefix
    def _compete(self, path: Path, nlris: list[Nlri], *, beside: bool = False) -> None:
        """Compare a reachable path with the current best of each prefix.

        Args:
            path: that is new.
            nlris: to which it leads.
            beside: what its source had told before stays true.
        """
        best, rank, source = self.best, path.rank, path.source
        get, many = best.get, self.max_paths > 1
        won: list[Nlri] = []
        unclear: list[Nlri] = []
        for nlri in nlris:
            current = get(nlri)
            if current is None:
                won.append(nlri)
            elif many and (nlri in self.shared or shares_load(path, current)):
                if current is not path or nlri in self.shared:
                    unclear.append(nlri)
            elif rank < current.rank:
                won.append(nlri)
            elif current.source is source and current is not path and not beside:
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
        """A table has lost all its paths to these prefixes."""
        if self.follows_all:
            self._touched.update(dict.fromkeys(nlris))
        best = self.best
        if not self.shared and not any(t.paths for t in self._tables if t is not table):
            gone = [nlri for nlri in nlris if best.pop(nlri, None) is not None]
            if gone:
                self._has_gone = True
                if not self._overlap and self._has_new_waiting:
                    self._overlap = True
                self._note_change(None, gone)
            return
        if table.source in self._meds.contested:
            # What is gone may have kept a path back that is better than the best now.
            self.decide(nlris)
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
        several = [table.more for table in self._several if table.more]
        self._overlap = True
        for nlri in nlris:
            candidates = [path for paths in tables if (path := paths.get(nlri)) is not None]
            for more in several:
                candidates += more.get(nlri, ())
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
                self._waiting += 1

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

    @property
    def _has_new_waiting(self) -> bool:
        """Whether paths wait to be taken, not only withdrawals: all of these stand in one run."""
        waiting = chain(self._runs, (path for path, _ in self._queue))
        return any(path is not None for path in waiting)

    def _note_change(self, path: Path | None, nlris: list[Nlri]) -> None:
        self._waiting += len(nlris)
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
            touched += [
                nlri
                for nlri, others in table.more.items()
                if table.paths[nlri] not in paths and not paths.isdisjoint(others)
            ]
            step = limit or max(1, len(touched))
            for start in range(0, len(touched), step):
                part = touched[start : start + step]
                self.decide(part)
                self._touch(part, paths)
                yield

    def _touch(self, nlris: list[Nlri], paths: set[Path]) -> None:
        """Announce prefixes whose best path stayed but leads elsewhere now."""
        if self.follows_all:
            self._touched.update(dict.fromkeys(nlris))
        best = self.best
        for nlri in nlris:
            path = best.get(nlri)
            if path is not None and (
                path in paths or not paths.isdisjoint(self.shared.get(nlri, ()))
            ):
                self._runs.setdefault(path, []).append(nlri)
                self._waiting += 1

    @property
    def backlog(self) -> int:
        """About how many prefixes wait to be taken."""
        return max(self._waiting, len(self._touched))

    @property
    def pending(self) -> bool:
        """Tell whether `take` would give anything."""
        return bool(self._runs or self._queue or self._new_shared or self._touched)

    def take(self, limit: int | None = None) -> Delta:
        """Hand out what has changed: about ``limit`` prefixes at the most, fewer of many paths."""
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
            room -= len(run) + PATH_WEIGHT
            self._waiting -= len(run)
        if not self._queue and not self._runs:
            self._has_gone = False
        if self._overlap or self._queue_overlap:
            taken = self._still_true(taken)
        shared, self._new_shared = self._new_shared, {}
        return Delta(self.family, taken, shared, self._take_touched(taken, room))

    def _take_touched(self, taken: dict[Path | None, list[Nlri]], room: int) -> dict[Nlri, None]:
        """Hand out what is touched and has no change of its best path, as far as there is room."""
        touched = self._touched
        if not touched:
            return {}
        for nlris in taken.values():
            for nlri in nlris:
                touched.pop(nlri, None)
        if self._queue or self._runs:
            # Most of it is still to come as a change.
            return {}
        if len(touched) <= room:
            self._touched = {}
            return touched
        return dict(touched.popitem() for _ in range(room))

    def _still_true(self, runs: dict[Path | None, list[Nlri]]) -> dict[Path | None, list[Nlri]]:
        """Drop what has changed again since, and repetitions."""
        get = self.best.get
        kept: dict[Path | None, list[Nlri]] = {}
        for path, nlris in runs.items():
            true = [nlri for nlri in dict.fromkeys(nlris) if get(nlri) is path]
            if true:
                kept[path] = true
        return kept
