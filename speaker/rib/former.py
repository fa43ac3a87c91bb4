"""What a member was told in the group that it has left.

When the key of a session's group changes (an edited export filter, say), its member goes from one
group to another, and the peer must hear the difference: what it is not to have any more, what it
has not had, and what has become another. For that the new group goes through what the old one held,
in slices (`speaker.rib.export_group.ExportGroup.pull`), and until it is through, the peer is told
withdrawals alone; so a further edit in the middle starts from the same `Former`.

Who joins a group with a large table goes the same way, as a `Newcomer`, so that its bill is made in
slices.

Nothing is copied. A `Standing` is a group's table as it was at a moment: the table itself, and what
prefixes had before they changed. The last member takes the table of its group along; while others
stay, the group says before each change what is about to be lost. All who leave at one moment, when
an edit moves everybody, share one.

Standards: RFC 4271 §9.1.3; RFC 7313 §4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, filterfalse, islice
from weakref import ref

from policy.outbound import GroupKey
from policy.path import Path
from policy.prefix import Nlri
from speaker.rib.loc_rib import Delta
from speaker.rib.member import Member, RefreshStage
from speaker.rib.out_routes import OutRoute

_RUNS = frozenset({RefreshStage.BEGINS, RefreshStage.RUNS, RefreshStage.AGAIN})
"""A refresh is under way: the peer forgets what it is not told again."""


class Standing:
    """A group's table as it was.

    Args:
        table: of the group.
        skip: octets of a key that stand before its prefix.
    """

    __slots__ = ("__weakref__", "_changed", "_kept", "_keys", "_skip", "_table")

    def __init__(self, table: dict[Nlri, OutRoute], skip: int) -> None:
        self._table = table
        self._keys: list[Nlri] | None = None
        self._skip = skip
        # Prefixes that are others in the table by now, and what their keys stood for.
        self._changed: set[Nlri] = set()
        self._kept: dict[Nlri, OutRoute] = {}

    @property
    def is_present(self) -> bool:
        """Whether the table is still the same."""
        return not self._changed

    @property
    def keys(self) -> list[Nlri]:
        """All keys that there were, and maybe some that came later."""
        if self._keys is None:
            self._keys = [*self._table, *self._kept]
        return self._keys

    def all_as_ever(self, keys: Collection[Nlri]) -> bool:
        """Tell cheaply whether keys stand in `table` for what they stood for."""
        return not self._changed or (not self._skip and self._changed.isdisjoint(keys))

    @property
    def table(self) -> Mapping[Nlri, OutRoute]:
        """The group's table, which is right for the keys that are as ever."""
        return self._table

    # hot: per prefix
    def get(self, key: Nlri) -> OutRoute | None:
        """Say what a key stood for."""
        if self._changed and key[self._skip :] in self._changed:
            return self._kept.get(key)
        return self._table.get(key)

    def remember(self, nlri: Nlri, keys: Iterable[Nlri]) -> None:
        """A prefix is about to change, which has these keys."""
        if nlri in self._changed:
            return
        self._changed.add(nlri)
        for key in keys:
            out = self._table.get(key)
            if out is not None:
                self._kept[key] = out


class Standings:
    """What a group's table was, as long as anybody looks at it.

    It is false where nobody has, or has had, any since the last change.
    """

    __slots__ = ("_every",)

    def __init__(self) -> None:
        self._every: list[ref[Standing]] = []

    def __bool__(self) -> bool:
        return bool(self._every)

    def _alive(self) -> list[Standing]:
        alive = [standing for each in self._every if (standing := each()) is not None]
        self._every = [ref(standing) for standing in alive]
        return alive

    def present(self, table: dict[Nlri, OutRoute], skip: int) -> Standing:
        """Give the table as it is now; arguments as those of `Standing`."""
        for standing in self._alive():
            if standing.is_present:
                return standing
        standing = Standing(table, skip)
        self._every.append(ref(standing))
        return standing

    def remember(self, delta: Delta, keys_of: Callable[[Nlri], Sequence[Nlri]]) -> None:
        """The table is about to change.

        Args:
            delta: by which.
            keys_of: gives the keys that a prefix has in it.
        """
        alive = self._alive()
        for nlri in chain(*delta.changed.values(), delta.touched) if alive else ():
            keys = keys_of(nlri)
            for standing in alive:
                standing.remember(nlri, keys)


class Former:
    """What one member was told.

    Args:
        member: that is about to leave its group.
        standing: the group's table.
        key: of the group.
        made: what paths become in it as they are.
    """

    __slots__ = (
        "_doubtful",
        "_doubts_all",
        "_key",
        "_keys",
        "_made",
        "_member",
        "_standing",
        "_untold",
        "_withdrawn",
        "withdrawn",
    )

    def __init__(
        self,
        member: Member,
        standing: Standing,
        key: GroupKey | None = None,
        made: Mapping[Path, OutRoute | None] | None = None,
    ) -> None:
        self._member = member
        self._standing = standing
        self._key = key
        self._made = made or {}
        self._untold = member.untold
        # Of these nobody knows whether the peer has heard the last word.
        self._doubtful = member.owes
        self._doubts_all = member.refresh in _RUNS
        # Since then.
        self._withdrawn: set[Nlri] = set()
        self._keys: Iterator[Nlri] = iter(())

    def begin(self, member: Member, table: dict[Nlri, OutRoute]) -> None:
        """Let everything be looked at: what was told, and what stands in the new group's table.

        Args:
            member: of the new group.
            table: of the new group.
        """
        self._member = member
        self._keys = self._all_keys(table)

    def made_for(self, key: GroupKey) -> Mapping[Path, OutRoute | None]:
        """Give what paths become as they are, if that is the same in a group of another key."""
        mine = self._key
        is_same = mine is not None and replace(mine, export_filter=key.export_filter) == key
        return self._made if is_same else {}

    def remade(self) -> None:
        """What paths become has changed since."""
        self._made = {}

    def _all_keys(self, table: dict[Nlri, OutRoute]) -> Iterator[Nlri]:
        # Each list is made when it is come to: a million keys take some milliseconds.
        yield from self._standing.keys
        yield from list(self._doubtful)
        if self._standing.is_present:
            # What it has was looked at above, and what changes from here on is followed.
            yield from filterfalse(self._standing.table.__contains__, list(table))
        else:
            yield from list(table)

    def next(self, limit: int) -> list[Nlri]:
        """Give more to look at, some of it twice; nothing when all has been."""
        return list(islice(self._keys, limit))

    # hot: per prefix
    def told(self, key: Nlri) -> OutRoute | None:
        """Say what the peer has, as far as is known."""
        if key in self._untold or key in self._withdrawn:
            return None
        out = self._standing.get(key)
        return None if out is None or self._member.misses(out) else out

    def may_have(self, key: Nlri) -> bool:
        """Tell whether the peer may have anything under a key."""
        is_doubtful = key in self._doubtful and key not in self._withdrawn
        return is_doubtful or self.told(key) is not None

    # hot: per prefix
    def compare(
        self,
        keys: Sequence[Nlri],
        stands: Callable[[Nlri], OutRoute | None],
        is_alike: Callable[[OutRoute, OutRoute], bool],
    ) -> list[Nlri]:
        """Put on the member's bill what is new to it or another, and off it what is not.

        Args:
            keys: to look at.
            stands: gives what the new group has under a key.
            is_alike: tells whether a peer that has heard the one need not hear the other.

        Returns:
            Keys to withdraw.
        """
        member, owes, gone = self._member, self._member.owes, list[Nlri]()
        for key in self._differing(keys, stands, is_alike):
            out, before = stands(key), self.told(key)
            if out is None or member.misses(out):
                owes.pop(key, None)
                if self.may_have(key):
                    gone.append(key)
                    self._withdrawn.add(key)
            elif self._doubts_all or (key in self._doubtful and key not in self._withdrawn):
                owes[key] = None
            elif before is None:
                if key not in owes:
                    member.untold[key] = None
            elif is_alike(before, out):
                owes.pop(key, None)
            else:
                owes[key] = None
        return gone

    # hot: per prefix
    def _differing(
        self,
        keys: Sequence[Nlri],
        stands: Callable[[Nlri], OutRoute | None],
        is_alike: Callable[[OutRoute, OutRoute], bool],
    ) -> Sequence[Nlri]:
        """Leave out keys of which nothing is to be said; arguments as those of `compare`.

        Nearly always nothing but the key of the group has changed, and the many keys of a slice
        stand for a few routes: then those are compared instead of each key.
        """
        standing = self._standing
        if self._doubts_all or not standing.all_as_ever(keys):
            return keys
        known = self._untold.keys(), self._doubtful.keys(), self._member.owes.keys()
        if any(some and not some.isdisjoint(keys) for some in (*known, self._withdrawn)):
            return keys
        pairs = list(zip(map(standing.table.get, keys), map(stands, keys), strict=True))
        misses = self._member.misses
        alike = {
            (before, out)
            for before, out in set(pairs)
            if before is not None
            and out is not None
            and (before is out or is_alike(before, out))
            and not misses(before)
            and not misses(out)
        }
        return [key for key, pair in zip(keys, pairs, strict=True) if pair not in alike]


class Newcomer(Former):
    """Nothing: a member that is new, whose debt is a large table.

    Args:
        member: that joins a group.
    """

    __slots__ = ()

    def __init__(self, member: Member) -> None:
        super().__init__(member, Standing({}, 0))
        self._doubtful = {}

    def begin(self, member: Member, table: dict[Nlri, OutRoute]) -> None:
        """Let everything be looked at that stands now; what comes later is owed."""
        self._member = member
        self._keys = iter(list(table))

    def compare(
        self,
        keys: Sequence[Nlri],
        stands: Callable[[Nlri], OutRoute | None],
        is_alike: Callable[[OutRoute, OutRoute], bool],
    ) -> list[Nlri]:
        """Put on the member's bill what stands; there is nothing to withdraw."""
        owes, untold = self._member.owes, self._member.untold
        for key in keys:
            if stands(key) is None:
                owes.pop(key, None)
            elif key not in owes:
                untold[key] = None
        return []
