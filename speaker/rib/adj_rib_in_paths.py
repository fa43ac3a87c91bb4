"""Adj-RIB-In of a peer that may tell several paths to a prefix (RFC 7911).

What the peer announces and withdraws are *keys*: a path identifier of four octets, and the prefix
behind it (`policy.prefix.split_with_ids`). ``received`` is by key, so that a key that comes again
replaces what it meant before, whatever else leads to the prefix (§5); an identifier says nothing
beyond that, and the peer may choose it as it likes. What the Loc-RIB sees is by prefix: ``paths``
has one path to each, and the sparse ``more`` those beside it. A path that came under two
identifiers is one candidate.

Which keys a prefix has stands in two dictionaries of the same shape: ``_first`` one key of each
prefix, ``_others`` the rest, where there is a rest. As long as a prefix has a single key everything
goes in batches, as it does in the table above this one; one more key costs a comparison, and where
one of several goes or turns into another the prefix is settled anew from what was received.

The maximum counts keys: it is there to bound memory, and every path costs some. So that a peer
cannot make each decision as long as it likes, no prefix has more than `MAX_PATHS`.

Standards: RFC 7911 §2, §3, §5; RFC 4271 §3.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from fsm.family import Family
from policy.path import Path, Source
from policy.prefix import ID_LENGTH, Nlri, PathIdNlri
from speaker.rib.adj_rib_in import AdjRibIn, drop
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import LocRib
from speaker.rib.room import compacted

MAX_PATHS = 128
"""So many paths to one prefix are kept; what comes beyond is dropped."""


class AdjRibInPaths(AdjRibIn):
    """What one source told us, for one family, with several paths to a prefix.

    Args:
        source: who told; it must know of itself that it tells several paths.
        family: of the prefixes.
        loc_rib: the table that is to be told of changes.
        policy: the way in; None takes every path as it is.

    Attributes:
        crowded: how often a path was dropped because its prefix had too many.
        received: by key.
        more: of prefixes to which several paths are used, those beside that of ``paths``.
    """

    __slots__ = ("_first", "_others", "crowded", "more", "received")

    has_ids = True

    def __init__(
        self, source: Source, family: Family, loc_rib: LocRib, policy: ImportPolicy | None = None
    ) -> None:
        self._first: dict[Nlri, PathIdNlri] = {}
        self._others: dict[Nlri, tuple[PathIdNlri, ...]] = {}
        self.crowded = 0
        self.more: dict[Nlri, tuple[Path, ...]] = {}
        self.received: dict[PathIdNlri, Path] = {}
        super().__init__(source, family, loc_rib, policy)

    def __len__(self) -> int:
        return len(self.received)

    def all_paths(self) -> set[Path]:
        """Give every path that came, and every one that is used."""
        alive = set(self.received.values())
        alive.update(self.paths.values(), *self.more.values())
        return alive

    @property
    def accepted(self) -> int:
        """How many paths are used."""
        return len(self.paths) + sum(map(len, self.more.values()))

    def _keys(self, nlri: Nlri) -> tuple[PathIdNlri, ...]:
        first = self._first.get(nlri)
        return () if first is None else (first, *self._others.get(nlri, ()))

    def prefixes(self) -> tuple[Collection[Nlri], ...]:
        """Give every prefix that the source has told, used or not, in parts."""
        return (self._first.keys(),)

    def told(self, nlri: Nlri) -> tuple[Path, ...]:
        """Give what the source has told of a prefix, used or not."""
        return tuple(dict.fromkeys(self.received[key] for key in self._keys(nlri)))

    def ids_of(self, nlri: Nlri, path: Path) -> list[int]:
        """Give the identifiers under which the peer told a path to a prefix."""
        return [
            int.from_bytes(key[:ID_LENGTH], "big")
            for key in self._keys(nlri)
            if self._used(nlri, key) is path
        ]

    # hot: per batch
    def announce(self, path: Path, nlris: list[PathIdNlri]) -> None:
        """Learn keys that came with one path, each in the place of what it meant before."""
        if self.maximum is not None:
            nlris = self._within(nlris, self.maximum)
        if self._again is not None:
            self._again.update(dict.fromkeys(nlris))
        prefixes = [key[ID_LENGTH:] for key in nlris]
        if self._are_new(nlris, prefixes) or self._are_single(nlris, prefixes):
            received = self.received
            for key in nlris:
                received[key] = path
            self._use(path, prefixes)
        else:
            self._sort_in(path, nlris, prefixes)

    def _are_new(self, keys: list[PathIdNlri], prefixes: list[Nlri]) -> bool:
        """Take keys for the only ones of their prefixes, if none of these has any yet."""
        first = self._first
        if not first.keys().isdisjoint(prefixes):
            return False
        before = len(first)
        for key, nlri in zip(keys, prefixes, strict=True):
            first[nlri] = key
        if len(first) - before == len(keys):
            return True
        # Some of them are of one prefix.
        for nlri in prefixes:
            first.pop(nlri, None)
        return False

    def _are_single(self, keys: list[PathIdNlri], prefixes: list[Nlri]) -> bool:
        """Tell whether these are the only keys of their prefixes, and known."""
        if not self._others.keys().isdisjoint(prefixes):
            return False
        received = self.received
        return all(key in received for key in keys)

    # hot: per prefix
    def _sort_in(self, path: Path, keys: list[PathIdNlri], prefixes: list[Nlri]) -> None:
        """Learn keys, some of which are not the only ones of their prefixes."""
        first, others, received = self._first, self._others, self.received
        single: list[Nlri] = []
        added: list[Nlri] = []
        turned: list[Nlri] = []
        for key, nlri in zip(keys, prefixes, strict=True):
            known = first.setdefault(nlri, key)
            if known == key and nlri not in others:
                single.append(nlri)
            elif key in received:
                turned.append(nlri)
            else:
                rest = others.get(nlri, ())
                if len(rest) >= MAX_PATHS - 1:
                    self.crowded += 1
                    if self._again:
                        self._again.pop(key, None)
                    self.turn_away([key], f"too much: no more than {MAX_PATHS} paths to a prefix")
                    continue
                others[nlri] = (*rest, key)
                added.append(nlri)
            received[key] = path
        if single:
            self._use(path, single)
        if added:
            self._add(path, added)
        if turned:
            self._settle(turned)

    def _use(self, path: Path, nlris: list[Nlri]) -> None:
        """Take the only path to each of these prefixes."""
        if self.policy is None:
            paths = self.paths
            for nlri in nlris:
                paths[nlri] = path
            self._loc_rib.announced(self, path, nlris)
            return
        for used, part in self._judge(path, nlris):
            if used is None:
                self._refuse(part)
            else:
                self._accept(used, part)

    def _judge(self, path: Path, nlris: list[Nlri]) -> list[tuple[Path | None, list[Nlri]]]:
        """Ask the policy; the Loc-RIB takes notice of what it makes of the path."""
        if self.policy is None:
            return [(path, nlris)]
        parts = self.policy.apply(path, nlris)
        for used, _ in parts:
            if used is not None and used is not path:
                self._loc_rib.note(used)
        return parts

    def _used(self, nlri: Nlri, key: PathIdNlri) -> Path | None:
        """Say what the policy makes of one key."""
        path = self.received[key]
        return path if self.policy is None else self.policy.apply(path, [nlri])[0][0]

    def _add(self, path: Path, nlris: list[Nlri]) -> None:
        """Take a path beside those that lead to these prefixes already."""
        for used, part in self._judge(path, nlris):
            if used is not None:
                fresh, beside = _put(used, part, self.paths, self.more)
                if fresh:
                    self._loc_rib.announced(self, used, fresh)
                if beside:
                    self._loc_rib.added(used, beside)

    def _settle(self, nlris: Iterable[Nlri]) -> None:
        """Find anew which paths lead to prefixes that have, or had, several keys."""
        by_path: dict[Path, list[Nlri]] = {}
        found: dict[Nlri, dict[Path, None]] = {}
        for nlri in nlris:
            if nlri not in found:
                found[nlri] = {}
                for key in self._keys(nlri):
                    by_path.setdefault(self.received[key], []).append(nlri)
        for path, told in by_path.items():
            for used, part in self._judge(path, told):
                if used is not None:
                    for nlri in part:
                        found[nlri][used] = None
        changed = [nlri for nlri, used in found.items() if self._replace(nlri, tuple(used))]
        if changed:
            self._loc_rib.rearranged(changed)

    def _replace(self, nlri: Nlri, used: tuple[Path, ...]) -> bool:
        """Have these paths lead to a prefix; tell whether others did."""
        before = self.paths.pop(nlri, None), *self.more.pop(nlri, ())
        if used:
            self.paths[nlri] = used[0]
        if len(used) > 1:
            self.more[nlri] = used[1:]
        return set(before) != set(used or (None,))

    def turn_away(self, nlris: list[PathIdNlri], why: str) -> None:
        """Note why keys were not taken, by their prefixes."""
        self.refusals.note([key[ID_LENGTH:] for key in nlris], why)

    # hot: per batch
    def withdraw(self, nlris: list[PathIdNlri]) -> None:
        """Forget keys; those that are unknown change nothing."""
        if self.refusals:
            self.refusals.drop([key[ID_LENGTH:] for key in nlris])
        if self._again:
            drop(self._again, nlris)
        first, pop = self._first, self.received.pop
        gone: list[Nlri] = []
        fewer: dict[Nlri, None] = {}
        for key in nlris:
            if pop(key, None) is None:
                continue
            nlri = key[ID_LENGTH:]
            if nlri in self._others:
                self._drop_one(nlri, key)
                fewer[nlri] = None
            else:
                del first[nlri]
                if nlri not in fewer:
                    gone.append(nlri)
        if fewer:
            self._settle(fewer)
        self._refuse(gone)

    def _drop_one(self, nlri: Nlri, key: PathIdNlri) -> None:
        """Take a key from a prefix that has several."""
        self._first[nlri], *rest = (known for known in self._keys(nlri) if known != key)
        if rest:
            self._others[nlri] = tuple(rest)
        else:
            del self._others[nlri]

    def is_stale(self, nlri: Nlri, path: Path) -> bool:
        """Tell whether a path that is here has not been told again under some identifier."""
        again = self._again
        return again is not None and any(
            key not in again and self.received[key] is path for key in self._keys(nlri)
        )

    def _every_key(self) -> list[PathIdNlri]:
        return list(self.received)

    def _all(self) -> list[Nlri]:
        return list(self._first)

    # hot: per prefix
    def _judge_again(self, nlris: list[Nlri]) -> None:
        """Tell the Loc-RIB where the policy says something else than what stands."""
        first, others, received, paths = self._first, self._others, self.received, self.paths
        by_path: dict[Path, list[Nlri]] = {}
        for nlri in nlris:
            key = first.get(nlri)
            if key is not None and nlri not in others:
                by_path.setdefault(received[key], []).append(nlri)
        for path, some in by_path.items():
            for used, part in self._judge(path, some):
                different = [nlri for nlri in part if paths.get(nlri) is not used]
                if different and used is None:
                    self._refuse(different)
                elif different and used is not None:
                    self._accept(used, different)
        self._settle([nlri for nlri in nlris if nlri in others])

    def forget_dropped(self) -> None:
        """The peer tells everything again."""
        super().forget_dropped()
        self.crowded = 0

    def clear(self, limit: int | None = None) -> bool:
        """Forget everything, at most ``limit`` paths at a time.

        Returns:
            Whether anything is left.
        """
        self._forget_what_runs()
        self.refusals.clear()
        self.withdraw(list(self.received if limit is None else islice(self.received, limit)))
        return bool(self.received)

    def compact(self) -> None:
        """Take no more room than what is left needs."""
        super().compact()
        self.received = compacted(self.received)
        self._first = compacted(self._first)


# hot: per prefix
def _put(
    used: Path,
    nlris: list[Nlri],
    paths: dict[Nlri, Path],
    more: dict[Nlri, tuple[Path, ...]],
) -> tuple[list[Nlri], list[Nlri]]:
    """Put a path to prefixes beside what leads to them.

    Returns:
        The prefixes that had none, and those that had others.
    """
    if paths.keys().isdisjoint(nlris):
        paths.update(dict.fromkeys(nlris, used))
        return nlris, []
    fresh: list[Nlri] = []
    beside: list[Nlri] = []
    for nlri in nlris:
        current = paths.get(nlri)
        if current is None:
            paths[nlri] = used
            fresh.append(nlri)
        elif current is not used and used not in (rest := more.get(nlri, ())):
            more[nlri] = (*rest, used)
            beside.append(nlri)
    return fresh, beside
