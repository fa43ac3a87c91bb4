"""Adj-RIB-In: what one source told us, for one family (RFC 4271 §3.2).

``paths`` says from packed prefix to path what is used. What came stands there too, as long as the
import policy leaves it as it is, so the usual case pays for one dictionary; what the policy made
otherwise is kept in ``changed`` and ``refused`` as it came. Because of that a changed import filter
is run over the table again (`refilter`, and then `rejudge` in slices) and the peer need not be
asked. What comes meanwhile is judged by the new policy at once, what has not been reached stands as
it stood, and only what is judged otherwise than before is told to the Loc-RIB. Where the policy is
the same and what RPKI says has changed, `revalidate` has only those prefixes judged again that it
is about.

While a peer tells everything again (RFC 7313 §4), what it has told since `mark_stale` is noted
beside the table, and all else is stale; in the end `sweep_stale` goes over the table in slices and
withdraws that. So no prefix has a flag, and to begin costs nothing. The same serves a peer that
restarts gracefully: its table outlives the session (`source` is the same in the next one) and is
stale from the moment it comes back. If it stays away for long, `age` turns what stands there, in
slices, into a last resort.

A table knows which Loc-RIB it feeds and tells it about every batch at once; nobody else does. That
of a peer that tells several paths to a prefix is `speaker.rib.adj_rib_in_paths`.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from fsm.family import Family
from policy.path import Path, Source
from policy.prefix import Nlri
from policy.vrps import Covered
from speaker.rib.import_policy import ImportPolicy, take_all
from speaker.rib.loc_rib import LocRib
from speaker.rib.refusals import Refusals
from speaker.rib.room import compacted

_NONE: Mapping[Nlri, tuple[Path, ...]] = MappingProxyType({})


class AdjRibIn:
    """What one source told us, for one family.

    Args:
        source: who told.
        family: of the prefixes.
        loc_rib: the table that is to be told of changes.
        policy: the way in; None takes every path as it is.

    Attributes:
        paths: what is used.
        changed: of these, as they came, what the policy made into something else.
        refused: what the policy does not let in.
        maximum: prefixes that are kept; what comes beyond is dropped. None: all.
        dropped: how often that was done.
        refusals: prefixes that the source has told last and that are not kept, with the reason.
    """

    __slots__ = (
        "_again",
        "_ageing",
        "_is_lifted",
        "_loc_rib",
        "_only",
        "_unjudged",
        "_unswept",
        "changed",
        "dropped",
        "family",
        "maximum",
        "paths",
        "policy",
        "refusals",
        "refused",
        "source",
    )

    has_ids = False
    """Whether path identifiers stand before the prefixes that are announced and withdrawn."""

    more: Mapping[Nlri, tuple[Path, ...]] = _NONE
    """Paths beside those of ``paths``: none, but where the peer may tell several."""

    def __init__(
        self, source: Source, family: Family, loc_rib: LocRib, policy: ImportPolicy | None = None
    ) -> None:
        self.source = source
        self.family = family
        self.policy = policy
        self.paths: dict[Nlri, Path] = {}
        self.changed: dict[Nlri, Path] = {}
        self.refused: dict[Nlri, Path] = {}
        # Prefixes that the policy has still to be asked about, and whether there is none then.
        self._unjudged: list[Nlri] = []
        self._is_lifted = False
        # Of these, what it is about; None: all of them.
        self._only: Covered | None = None
        # Of what is here, what was told since the refresh began; None: there is none.
        self._again: dict[Nlri, None] | None = None
        # What the sweep has still to look at; None: it has not begun.
        self._unswept: list[Nlri] | None = None
        # What has still to become a last resort.
        self._ageing: list[Nlri] = []
        self.maximum: int | None = None
        self.dropped = 0
        self.refusals = Refusals()
        self._loc_rib = loc_rib
        loc_rib.attach(self)

    def __len__(self) -> int:
        return len(self.paths) + len(self.refused)

    @property
    def received(self) -> Mapping[Nlri, Path]:
        """What came, as it came; for a look at a few prefixes."""
        return ChainMap(self.refused, self.changed, self.paths)

    def all_paths(self) -> set[Path]:
        """Give every path that came, and every one that is used."""
        alive = set(self.paths.values())
        alive.update(self.changed.values(), self.refused.values())
        return alive

    def made_paths(self) -> Iterable[Path]:
        """Give every path that a policy made."""
        return () if self.policy is None else self.policy.paths()

    @property
    def accepted(self) -> int:
        """How many paths are used."""
        return len(self.paths)

    crowded = 0
    """How often a path was dropped because its prefix had too many: never."""

    def forget_dropped(self) -> None:
        """The peer tells everything again."""
        self.dropped = 0

    def prefixes(self) -> tuple[Collection[Nlri], ...]:
        """Give every prefix that the source has told, used or not, in parts."""
        return self.paths.keys(), self.refused.keys()

    def told(self, nlri: Nlri) -> tuple[Path, ...]:
        """Give what the source has told of a prefix, used or not."""
        path = self.received.get(nlri)
        return () if path is None else (path,)

    def used(self, nlri: Nlri) -> tuple[Path, ...]:
        """Give what is used of it."""
        path = self.paths.get(nlri)
        return () if path is None else (path, *self.more.get(nlri, ()))

    def ids_of(self, nlri: Nlri, path: Path) -> list[int]:
        """Give the identifiers under which the peer told a path to a prefix."""
        return []

    # hot: per batch
    def announce(self, path: Path, nlris: list[Nlri]) -> None:
        """Learn prefixes that came with one path, in the place of what they had before."""
        if self.maximum is not None:
            nlris = self._within(nlris, self.maximum)
        if self._again is not None:
            self._again.update(dict.fromkeys(nlris))
        if self.policy is not None:
            parts = self.policy.apply(path, nlris)
            if len(parts) != 1 or parts[0][0] is not path or self.changed or self.refused:
                for used, part in parts:
                    self._take(path, used, part)
                return
        # As `_accept` does, without a call: nearly every UPDATE comes through here.
        paths = self.paths
        for nlri in nlris:
            paths[nlri] = path
        self._loc_rib.announced(self, path, nlris)

    # hot: per batch
    def _take(self, path: Path, used: Path | None, nlris: list[Nlri]) -> None:
        """Let prefixes have what the policy has made of the path with which they came."""
        if used is not path and used is not None:
            self.changed.update(dict.fromkeys(nlris, path))
            # Numbers that a filter prepends change within which AS its MED compares.
            self._loc_rib.note(used)
        elif self.changed:
            drop(self.changed, nlris)
        if used is None:
            self.refused.update(dict.fromkeys(nlris, path))
            self._refuse(nlris)
        else:
            if self.refused:
                drop(self.refused, nlris)
            self._accept(used, nlris)

    def _within(self, nlris: list[Nlri], maximum: int) -> list[Nlri]:
        """Leave out new prefixes that are too many."""
        room = max(0, maximum - len(self))
        if len(nlris) <= room:
            return nlris
        received = self.received
        known = [nlri for nlri in nlris if nlri in received]
        new = list(dict.fromkeys(nlri for nlri in nlris if nlri not in received))
        if len(new) > room:
            self.dropped += len(new) - room
            self.turn_away(new[room:], f"too much: no more than {maximum} prefixes are kept")
        return known + new[:room]

    def turn_away(self, nlris: list[Nlri], why: str) -> None:
        """Note why prefixes were not taken that the source has told."""
        self.refusals.note(nlris, why)

    def _accept(self, path: Path, nlris: list[Nlri]) -> None:
        self.paths.update(dict.fromkeys(nlris, path))
        self._loc_rib.announced(self, path, nlris)

    def _refuse(self, nlris: list[Nlri]) -> None:
        pop = self.paths.pop
        lost = [nlri for nlri in nlris if pop(nlri, None) is not None]
        if lost:
            self._loc_rib.withdrawn(self, lost)

    # hot: per batch
    def withdraw(self, nlris: list[Nlri]) -> None:
        """Forget prefixes; those that are unknown change nothing (RFC 4271 §9.1.4)."""
        if self.refusals:
            self.refusals.drop(nlris)
        if self.refused:
            drop(self.refused, nlris)
        if self.changed:
            drop(self.changed, nlris)
        if self._again:
            drop(self._again, nlris)
        self._refuse(nlris)

    def mark_stale(self) -> None:
        """From now on, what is not announced again is stale (RFC 7313 §4).

        The table is not looked at: a peer that says nothing but this must not cost a walk of it
        each time, and nobody else's session has to wait.
        """
        self._again, self._unswept = {}, None

    @property
    def is_marked(self) -> bool:
        """Whether what is not announced again is to be swept."""
        return self._again is not None

    @property
    def stale(self) -> int:
        """How many prefixes have not been told again."""
        return 0 if self._again is None else len(self) - len(self._again)

    def is_stale(self, nlri: Nlri, path: Path) -> bool:
        """Tell whether a path that is here has not been told again."""
        return self._again is not None and nlri not in self._again

    def _every_key(self) -> list[Nlri]:
        """Give all that was told, as it is announced and withdrawn."""
        return [*self.paths, *self.refused]

    def sweep_stale(self, limit: int) -> bool:
        """Withdraw what is stale; at most ``limit`` prefixes are looked at.

        Returns:
            Whether there are more to look at.
        """
        again = self._again
        if again is None:
            return False
        if self._unswept is None:
            self._unswept = self._every_key()
        part = self._unswept[-limit:]
        del self._unswept[-limit:]
        lost = [nlri for nlri in part if nlri not in again]
        if lost:
            self.withdraw(lost)
        if not self._unswept:
            self._again, self._unswept = None, None
        return self.is_marked

    def begin_to_age(self) -> None:
        """The peer is gone for long: from now on `age` makes what it told a last resort."""
        self._ageing = self._every_key()

    def stop_ageing(self) -> None:
        """The peer is back: what is no last resort yet stays as it is."""
        self._ageing = []

    def age(self, last_resort: Callable[[Path], Path | None], limit: int) -> bool:
        """Make a part of what was told a last resort (RFC 9494 §4.2).

        Args:
            last_resort: gives a path as it is to be used now; None: not at all.
            limit: so many prefixes at the most.

        Returns:
            Whether any are left.
        """
        part, received = self._ageing[-limit:], self.received
        del self._ageing[-limit:]
        by_path: dict[Path, list[Nlri]] = {}
        for nlri in part:
            path = received.get(nlri)
            if path is not None:
                by_path.setdefault(path, []).append(nlri)
        for path, nlris in by_path.items():
            last = last_resort(path)
            if last is None:
                self.withdraw(nlris)
            elif last is not path:
                self.announce(last, nlris)
        return bool(self._ageing)

    def refilter(self, policy: ImportPolicy | None) -> None:
        """Have a new policy from now on; `rejudge` runs it over what was received before."""
        if policy is None and self.policy is None:
            return
        self._is_lifted = policy is None
        # While anything may be refused or changed, there is a policy: one that lets all in.
        new = take_all() if policy is None else policy
        if self.policy is not None:
            new.succeed(self.policy)
        self.policy = new
        self._unjudged, self._only = self._all(), None

    @property
    def asks_for_validity(self) -> bool:
        """Whether it matters to the policy what RPKI says."""
        chain = None if self.policy is None else self.policy.chain
        return chain is not None and chain.asks_for_validity

    def revalidate(self, covered: Covered) -> None:
        """Have the policy judge again, by `rejudge`, the prefixes that are covered."""
        if self.policy is not None:
            # Where all are under way, some were judged by what the VRPs said before.
            self._only = covered if self.is_judged else None
            self._unjudged = self._all()

    def _all(self) -> list[Nlri]:
        """Give every prefix that was told."""
        return [*self.paths, *self.refused]

    @property
    def is_judged(self) -> bool:
        """Whether the policy has been asked about all there is."""
        return not self._unjudged

    def rejudge(self, limit: int | None = None) -> bool:
        """Ask a new policy about what came before it, at most ``limit`` prefixes at a time.

        Returns:
            Whether any are left.
        """
        unjudged = self._unjudged
        part = unjudged[-(limit or len(unjudged)) :]
        if part:
            del unjudged[-len(part) :]
            self._judge_again(part if self._only is None else self._only.among(part))
        if not unjudged:
            self._end_of_judging()
        return bool(unjudged)

    def _end_of_judging(self) -> None:
        self._unjudged, self._only = [], None
        if self.policy is not None:
            self.policy.forget_former()
        if self._is_lifted:
            self._is_lifted, self.policy = False, None

    # hot: per prefix
    def _judge_again(self, nlris: list[Nlri]) -> None:
        """Tell the Loc-RIB where the policy says something else than what stands."""
        policy, paths, refused, changed = self.policy, self.paths, self.refused, self.changed
        assert policy is not None
        by_path: dict[Path, list[Nlri]] = {}
        for nlri in nlris:
            path = refused.get(nlri) or changed.get(nlri) or paths.get(nlri)
            if path is not None:
                by_path.setdefault(path, []).append(nlri)
        for path, some in by_path.items():
            for used, part in policy.apply(path, some):
                # What is refused has no path in use: None, as the verdict.
                different = [nlri for nlri in part if paths.get(nlri) is not used]
                if different:
                    self._take(path, used, different)

    def clear(self, limit: int | None = None) -> bool:
        """Forget everything, at most ``limit`` prefixes at a time.

        Returns:
            Whether anything is left.
        """
        self.refused, self.changed, self.refusals = {}, {}, Refusals()
        self._forget_what_runs()
        lost = list(self.paths) if limit is None else list(islice(self.paths, limit))
        if lost:
            self._refuse(lost)
        return bool(self.paths)

    def _forget_what_runs(self) -> None:
        """Neither a refresh nor a new policy matters to a table that is to be emptied."""
        self._again, self._unswept = None, None
        self._ageing = []
        self._end_of_judging()

    def compact(self) -> None:
        """Take no more room than what is left needs."""
        self.paths = compacted(self.paths)
        self.changed = compacted(self.changed)
        self.refused = compacted(self.refused)

    def close(self) -> None:
        """Leave the Loc-RIB; the table must be empty."""
        self._loc_rib.detach(self)


def drop(table: dict[Nlri, Any], nlris: Iterable[Nlri]) -> None:
    """Take prefixes out of a table, as far as they are in it."""
    pop = table.pop
    for nlri in nlris:
        pop(nlri, None)
