"""Adj-RIB-Out with several paths per prefix (RFC 7911).

A `PathsGroup` is an export group whose members take path identifiers. Its table is keyed by
identifier and prefix, the identifier's four octets first, which is how the two travel: debts,
pulls, refreshes and withdrawals of a member work on these keys as they do on prefixes, and messages
are joined from them alike.

What a prefix has is made anew wherever its best path or any other of its paths changed: all usable
paths in order of preference, as many as `policy.outbound.GroupKey.add_path` says, and of these
whatever policy lets out. The number is counted before policy, so that one path is the same as the
best alone; and since a path is withheld only from the members that it may not reach, who told the
best one hears the others.

Identifiers mean nothing to the peer but that two differ. They stay: a path keeps its own; one that
replaces another, of its own source if there is such, takes over that one's, which spares a
withdrawal (RFC 7911 §3); else the lowest that the prefix does not use yet is taken. A prefix with
one path, which nearly all have, uses the first, and nothing is remembered of it; ``_ids`` is for
the others.

Work is done in batches: prefixes with the same paths on offer, that are told alike so far, differ
in nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count

from fsm.family import Family
from policy.decision import select_several
from policy.outbound import GroupKey, export_partition
from policy.path import Path, Source
from policy.prefix import ID_LENGTH, Nlri
from speaker.rib.export_group import ExportGroup
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.member import Member
from speaker.rib.out_routes import OutRoute

_Ids = tuple[bytes, ...]
_Outs = tuple[OutRoute, ...]
_Told = tuple[_Ids, tuple[OutRoute | None, ...]]
"""Identifiers of a prefix, and what they stand for now."""

_ONE: _Ids = ((1).to_bytes(ID_LENGTH, "big"),)


class _Changes:
    """What is to become of a group's table.

    Attributes:
        gone: keys to withdraw.
        told: keys to announce, by what they stand for from now on.
    """

    __slots__ = ("gone", "told")

    def __init__(self) -> None:
        self.gone: list[Nlri] = []
        self.told: dict[OutRoute, list[Nlri]] = {}

    def tell(self, out: OutRoute, keys: list[Nlri]) -> None:
        """Have more keys announced."""
        known = self.told.get(out)
        if known is None:
            self.told[out] = keys
        else:
            known += keys


class PathsGroup(ExportGroup):
    """The Adj-RIB-Out of all members with one key that has ``add_path``."""

    # Whoever told the best path hears the others.
    _leaves_out_own = False

    def __init__(
        self,
        family: Family,
        key: GroupKey,
        loc_rib: LocRib,
        wake: Callable[[Member], None] | None = None,
    ) -> None:
        # Where a prefix has not the first identifier alone.
        self._ids: dict[Nlri, _Ids] = {}
        super().__init__(family, key, loc_rib, wake)

    def _has(self, nlri: Nlri) -> bool:
        return nlri in self._ids or _ONE[0] + nlri in self.table

    def _keys_of(self, nlri: Nlri) -> Sequence[Nlri]:
        return [path_id + nlri for path_id in self._ids.get(nlri, _ONE)]

    # hot: per batch
    def apply(self, delta: Delta) -> None:
        """Follow the Loc-RIB."""
        if self._standings:
            self._standings.remember(delta, self._keys_of)
        changes, ids, first = _Changes(), self._ids, _ONE[0]
        contested = self._loc_rib.contested(chain.from_iterable(delta.changed.values()))
        contested.update(delta.touched)
        for path, nlris in delta.changed.items():
            alone = [n for n in nlris if n not in contested] if contested else nlris
            out = None if path is None else self._sole(path)
            if out is not None and ids.keys().isdisjoint(alone):
                # Nearly always: one path, told alike to whatever prefix, under the first number.
                changes.tell(out, [first + nlri for nlri in alone])
            elif alone:
                self._offer(() if path is None else (path,), alone, changes)
        keep, most = self._loc_rib.keep_unreachable, self.key.add_path
        for paths, nlris in self._loc_rib.offers(contested).items():
            self._offer(select_several(paths, most, keep), nlris, changes)
        if changes.gone:
            self._retract(changes.gone)
        for out, keys in changes.told.items():
            self._advertise(out, keys)

    def _sole(self, path: Path) -> OutRoute | None:
        """Give what a path becomes where no prefix makes a difference; None: ask for each."""
        if not self._judges_paths_alone:
            return None
        out = self.routes.plain.get(path)
        if out is None and self._tells_plainly(path):
            out = self.routes.make_plain(path)
        return out

    def _offer(self, paths: Sequence[Path], nlris: list[Nlri], changes: _Changes) -> None:
        """Give prefixes these paths, as far as policy lets each out."""
        parts: dict[_Outs, list[Nlri]] = {(): nlris}
        for path in paths:
            wider: dict[_Outs, list[Nlri]] = {}
            for outs, part in parts.items():
                for out, some in self._become(path, part):
                    more = outs if out is None else (*outs, out)
                    wider[more] = wider[more] + some if more in wider else some
            parts = wider
        for outs, part in parts.items():
            self._assign(_distinct(outs), part, changes)

    def _become(self, path: Path, nlris: list[Nlri]) -> list[tuple[OutRoute | None, list[Nlri]]]:
        """Say what a path becomes for each of these prefixes."""
        if self.key.judges_paths_alone:
            out = self.routes.plain.get(path)
            if out is not None:
                return [(out, nlris)]
        parts = export_partition(nlris, path, self.key)
        return [(self.routes.make(path, verdict), some) for verdict, some in parts]

    # hot: per prefix
    def _assign(self, outs: _Outs, nlris: list[Nlri], changes: _Changes) -> None:
        """Find identifiers for what prefixes have from now on, and what changes by that."""
        ids = self._ids
        if len(outs) < 2:
            first = _ONE[0]
            plain = [first + nlri for nlri in nlris if nlri not in ids]
            if outs:
                changes.tell(outs[0], plain)
            else:
                changes.gone += plain
            nlris = [nlri for nlri in nlris if nlri in ids] if ids else []
        get = self._look_up
        alike: dict[_Told, list[Nlri]] = {}
        for nlri in nlris:
            known = ids.get(nlri, _ONE)
            told = (known, tuple([get(path_id + nlri) for path_id in known]))
            alike.setdefault(told, []).append(nlri)
        for told, part in alike.items():
            self._reassign(told, outs, part, changes)

    def _look_up(self, key: Nlri) -> OutRoute | None:
        """Find what an identifier of a prefix stands for."""
        return self.table.get(key)

    def _reassign(self, told: _Told, outs: _Outs, nlris: list[Nlri], changes: _Changes) -> None:
        """Do what `_assign` does for prefixes that are told alike so far."""
        before = dict(zip(*told, strict=True))
        after = _identify(before, outs)
        for path_id, out in after.items():
            if before.get(path_id) is not out:
                changes.tell(out, [path_id + nlri for nlri in nlris])
        for path_id, gone in before.items():
            if gone is not None and path_id not in after:
                changes.gone += [path_id + nlri for nlri in nlris]
        known = tuple(sorted(after))
        if known and known != _ONE:
            self._ids.update(dict.fromkeys(nlris, known))
        else:
            for nlri in nlris:
                self._ids.pop(nlri, None)


def _distinct(outs: _Outs) -> _Outs:
    """Leave out routes that their source has in the same words already."""
    if len(outs) < 2:
        return outs
    found: dict[tuple[Source, bytes, bytes], OutRoute] = {}
    for out in outs:
        found.setdefault((out.path.source, out.attributes, out.next_hop), out)
    return tuple(found.values())


def _identify(before: dict[bytes, OutRoute | None], outs: _Outs) -> dict[bytes, OutRoute]:
    """Give each route an identifier.

    Args:
        before: what identifiers of a prefix stand for so far.
        outs: what it has from now on, best first.
    """
    held = {out: path_id for path_id, out in before.items() if out is not None}
    after = {held[out]: out for out in outs if out in held}
    free: dict[Source, list[bytes]] = {}
    for out, path_id in held.items():
        if path_id not in after:
            free.setdefault(out.path.source, []).append(path_id)
    left: list[OutRoute] = []
    for out in outs:
        if out not in held:
            lost = free.get(out.path.source)
            if lost:
                after[lost.pop()] = out
            else:
                left.append(out)
    known = frozenset(held.values())
    spare = chain(sorted(known.difference(after)), _unused(known))
    after.update(zip(spare, left, strict=False))
    return after


def _unused(known: frozenset[bytes]) -> Iterator[bytes]:
    return (octets for n in count(1) if (octets := n.to_bytes(ID_LENGTH, "big")) not in known)
