"""Adj-RIB-In: what one source told us, for one family (RFC 4271 §3.2).

Two dictionaries from packed prefix to path. ``received`` holds what came, ``paths`` what the import
policy made of it; until the policy refuses or changes a path they are one and the same object, so
the usual case pays for one. Because what was received is kept, a changed import filter is run over
the table again (`refilter`) and the peer need not be asked.

While a peer tells everything again (RFC 7313 §4), a second generation, ``stale``, holds what it
has not told again yet. `mark_stale` makes it from what there is, each announcement takes its
prefixes out of it, and what is left in the end is withdrawn in slices by `sweep_stale`. No prefix
has a flag.

A table knows which Loc-RIB it feeds and tells it about every batch at once; nobody else does.
"""

from __future__ import annotations

from itertools import islice

from fsm.family import Family
from policy.path import Path, Source
from policy.prefix import Nlri
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import LocRib


class AdjRibIn:
    """What one source told us, for one family.

    Args:
        source: who told.
        family: of the prefixes.
        loc_rib: the table that is to be told of changes.
        policy: the way in; None takes every path as it is.

    Attributes:
        maximum: prefixes that are kept; what comes beyond is dropped. None: all.
        dropped: how often that was done.
    """

    __slots__ = (
        "_again",
        "_loc_rib",
        "dropped",
        "family",
        "maximum",
        "paths",
        "policy",
        "received",
        "source",
        "stale",
    )

    def __init__(
        self, source: Source, family: Family, loc_rib: LocRib, policy: ImportPolicy | None = None
    ) -> None:
        self.source = source
        self.family = family
        self.policy = policy
        self.paths: dict[Nlri, Path] = {}
        self.received = self.paths
        self.stale: dict[Nlri, Path] = {}
        # Told since the refresh began; only then.
        self._again: dict[Nlri, None] = {}
        self.maximum: int | None = None
        self.dropped = 0
        self._loc_rib = loc_rib
        loc_rib.attach(self)

    def __len__(self) -> int:
        return len(self.received)

    # hot: per batch
    def announce(self, path: Path, nlris: list[Nlri]) -> None:
        """Learn prefixes that came with one path, in the place of what they had before."""
        if self.stale:
            self._renew(nlris)
        if self.maximum is not None:
            nlris = self._within(nlris, self.maximum)
        if self.policy is None:
            self._accept(path, nlris)
            return
        parts = self.policy.apply(path, nlris)
        if self.received is self.paths and any(used is not path for used, _ in parts):
            self.received = dict(self.paths)
        if self.received is not self.paths:
            self.received.update(dict.fromkeys(nlris, path))
        for used, part in parts:
            if used is None:
                self._refuse(part)
            else:
                if used is not path:
                    # Numbers that a filter prepends change within which AS its MED compares.
                    self._loc_rib.note(used)
                self._accept(used, part)

    def _renew(self, nlris: list[Nlri]) -> None:
        """Prefixes were told again."""
        pop = self.stale.pop
        for nlri in nlris:
            pop(nlri, None)
        self._again.update(dict.fromkeys(nlris))

    def _within(self, nlris: list[Nlri], maximum: int) -> list[Nlri]:
        """Leave out new prefixes that are too many."""
        room = max(0, maximum - len(self.received))
        if len(nlris) <= room:
            return nlris
        known = [nlri for nlri in nlris if nlri in self.received]
        new = list(dict.fromkeys(nlri for nlri in nlris if nlri not in self.received))
        self.dropped += max(0, len(new) - room)
        return known + new[:room]

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
        if self.received is not self.paths:
            for nlri in nlris:
                self.received.pop(nlri, None)
        self._refuse(nlris)

    def mark_stale(self) -> None:
        """From now on, what is not announced again is stale (RFC 7313 §4).

        Where a refresh begins anew, only what was told meanwhile is looked at: a peer that says
        nothing but this must not cost a walk of its table each time.
        """
        if self.stale:
            get = self.received.get
            self.stale |= {n: path for n in self._again if (path := get(n)) is not None}
        else:
            self.stale = self.received.copy()
        self._again = {}

    def sweep_stale(self, limit: int) -> bool:
        """Withdraw stale prefixes, at most ``limit`` at a time.

        Returns:
            Whether any are left.
        """
        lost = list(islice(self.stale, limit))
        for nlri in lost:
            del self.stale[nlri]
        self.withdraw(lost)
        if not self.stale:
            self._again = {}
        return bool(self.stale)

    def refilter(self, policy: ImportPolicy | None) -> None:
        """Run a new policy over what was received; only what differs reaches the Loc-RIB."""
        old = self.paths
        received = self.received
        self.policy = policy
        self.paths = {}
        by_path: dict[Path, list[Nlri]] = {}
        for nlri, path in received.items():
            by_path.setdefault(path, []).append(nlri)
        changed: list[tuple[Path, list[Nlri]]] = []
        for path, nlris in by_path.items():
            for used, part in [(path, nlris)] if policy is None else policy.apply(path, nlris):
                if used is None:
                    continue
                self.paths.update(dict.fromkeys(part, used))
                different = [nlri for nlri in part if old.get(nlri) is not used]
                if different:
                    changed.append((used, different))
        lost = [nlri for nlri in old if nlri not in self.paths]
        # Paths compare by identity: one table is enough where the policy left each as it was.
        self.received = self.paths if self.paths == received else received
        for used, part in changed:
            self._loc_rib.note(used)
            self._loc_rib.announced(self, used, part)
        if lost:
            self._loc_rib.withdrawn(self, lost)

    def clear(self, limit: int | None = None) -> bool:
        """Forget everything, at most ``limit`` prefixes at a time.

        Returns:
            Whether anything is left.
        """
        if self.received is not self.paths:
            self.received = self.paths
        self.stale = {}
        self._again = {}
        lost = list(self.paths) if limit is None else list(islice(self.paths, limit))
        if lost:
            self._refuse(lost)
        return bool(self.paths)

    def close(self) -> None:
        """Leave the Loc-RIB; the table must be empty."""
        self._loc_rib.detach(self)
