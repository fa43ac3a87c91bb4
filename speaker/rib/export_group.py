"""Adj-RIB-Out, shared by alike peers (RFC 4271 §3.2, §9.1.3).

Peers whose `policy.outbound.GroupKey` is equal hear the same. A group keeps one table for all of
them, from packed prefix to `OutRoute` (attributes encoded for the wire, and the source they came
from); how a path becomes one, and how they are packed into UPDATEs once for all members, stands in
`speaker.rib.out_routes`.

There is no memory per member. The rule from which everything follows: *a member holds a prefix if
and only if the table has it and the route is not withheld from that member*, and a route is
withheld from the member it came from (RFC 4271 §9.1.3 would send it back in vain) and from the
member whose address is its next hop. Of what the only member of a group told nobody would hear, and
it is left out until there is a second member: a peer that brings a full table into a group of its
own costs no copy of it there.

What a member owes, and when it is in step, stands in `speaker.rib.member`; what one brings along
that comes from another group, in `speaker.rib.former`. Nothing here walks a whole table at once. A
new group reads the Loc-RIB in slices, as its members pull; a change that comes first is followed as
ever, and what it brought is not read again. A refresh walks a list of what the table held when it
was asked for, slice by slice. How many routes are withheld from a member is counted along, so that
its number of prefixes is known at any moment.

Withdrawals go before announcements; an End-of-RIB marker follows the first debt (RFC 4724 §2). A
refresh is put between the two markers of RFC 7313 where the member knows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from fsm.family import Family
from fsm.messages import RefreshSubtype, RouteRefresh
from policy.outbound import GroupKey, export_partition, withheld
from policy.path import Path, Source
from policy.prefix import ID_LENGTH, Nlri
from speaker.rib.former import Former, Newcomer, Standings
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.member import Member, RefreshStage
from speaker.rib.out_routes import OutRoute, OutRoutes
from speaker.rib.relayed_out_routes import RelayedOutRoutes
from speaker.rib.room import compacted
from speaker.wire.codec import encode
from speaker.wire.update import end_of_rib

AT_ONCE = 50_000
"""Prefixes that are put on a new member's bill at once; of a larger table, in slices."""

SWEPT = 100_000
"""Prefixes that are looked at in one step of a sweep."""


class ExportGroup:
    """The Adj-RIB-Out of all members with one key.

    Args:
        family: of the prefixes.
        key: what the members have in common.
        loc_rib: where the routes come from.
        wake: called when a member that had nothing to send has something.

    Attributes:
        table: what members hold, or are to hold, unless it is withheld from them.
        members: those that there are.
        routes: what paths become.
    """

    # Whether the table has no place for what the only member told.
    _leaves_out_own = True

    def __init__(
        self,
        family: Family,
        key: GroupKey,
        loc_rib: LocRib,
        wake: Callable[[Member], None] | None = None,
    ) -> None:
        self.family = family
        self.key = key
        self.table: dict[Nlri, OutRoute] = {}
        self.members: list[Member] = []
        self._loc_rib = loc_rib
        self._wake = wake
        self.routes = RelayedOutRoutes(key) if key.relays else OutRoutes(key)
        # OutRoutes that a sweep has found in use so far.
        self._used: set[OutRoute | None] | None = None
        # The source of the only member. It hears nothing of itself, so the table leaves that out
        # until a second member wants to hear it.
        self._alone: Source | None = None
        self._judges_paths_alone = key.judges_paths_alone
        # What the Loc-RIB held already and has not been looked at, last first.
        self._unread: list[Nlri] = []
        self._fills = False
        # What members that have left still look at.
        self._standings = Standings()
        self._fill()

    def _fill(self) -> None:
        """Take over, by `read_on`, what the Loc-RIB holds already."""
        self._unread = list(reversed(self._loc_rib.best))

    @property
    def is_unread(self) -> bool:
        """Whether the Loc-RIB held something that has not been looked at yet."""
        return bool(self._unread)

    def read_on(self, limit: int) -> None:
        """Take over about so many prefixes that the Loc-RIB held before.

        What has changed since is in the table already, or is on its way in a `Delta`.
        """
        part = self._unread[-limit:]
        del self._unread[-limit:]
        get = self._loc_rib.best.get
        by_path: dict[Path | None, list[Nlri]] = {}
        for nlri in reversed(part):
            path = get(nlri)
            if path is not None and not self._has(nlri):
                by_path.setdefault(path, []).append(nlri)
        self._fills = True
        self.apply(Delta(self.family, by_path))
        self._fills = False
        if not self._unread:
            self.routes.inherited = {}

    def _has(self, nlri: Nlri) -> bool:
        """Tell whether the table follows a prefix already."""
        return nlri in self.table

    # hot: per batch
    def apply(self, delta: Delta) -> None:
        """Follow the Loc-RIB."""
        if self._standings:
            self._standings.remember(delta, self._keys_of)
        gone = delta.changed.get(None)
        if gone:
            self._retract(gone)
        # Where no prefix makes a difference, a path that was told once is told again.
        told = self.routes.plain.get if self._judges_paths_alone else _unknown
        alone = self._alone
        for path, nlris in delta.changed.items():
            if path is None:
                continue
            if path.source is alone:
                if self.table:
                    self._retract(nlris)
                continue
            out = told(path)
            if out is not None:
                self._advertise(out, nlris)
            else:
                self._judge(path, nlris)

    # hot: per attribute set
    def _tells_plainly(self, path: Path) -> bool:
        """Tell at a glance that a path is told as it is, whatever the prefix; False: ask."""
        key = self.key
        return (
            key.builtin is None
            and (key.export_filter is None or key.export_filter.passes_over(path))
            and withheld(path, key) is None
        )

    # hot: per attribute set
    def _judge(self, path: Path, nlris: list[Nlri]) -> None:
        """Do as the policy says."""
        if self._tells_plainly(path):
            out = self.routes.make_plain(path)
            if out is not None:
                self._advertise(out, nlris)
                return
        for verdict, part in export_partition(nlris, path, self.key):
            out = self.routes.make(path, verdict)
            if out is not None:
                self._advertise(out, part)
            else:
                self._retract(part)

    # hot: per prefix
    def _advertise(self, out: OutRoute, nlris: list[Nlri]) -> None:
        table = self.table
        if self._used is not None:
            self._used.add(out)
        if not table.keys().isdisjoint(nlris):
            nlris = self._replace(out, nlris)
        if not nlris:
            return
        before = len(table)
        for nlri in nlris:
            table[nlri] = out
        messages: list[bytes] = []
        for member in self.members:
            if out.path.source is member.source or out.avoids == member.address:
                member.withheld += len(table) - before
                continue
            if not member.in_step:
                if self._fills:
                    member.owe_new(nlris)
                else:
                    member.owe(nlris)
                continue
            messages = messages or self.routes.pack(out, nlris)
            if not member.queue and self._wake is not None:
                self._wake(member)
            member.queue += messages

    def _replace(self, out: OutRoute, nlris: list[Nlri]) -> list[Nlri]:
        """Drop what is told already; withdraw from those who lose a route by the change."""
        get = self.table.get
        changed = [nlri for nlri in dict.fromkeys(nlris) if get(nlri) is not out]
        replaced = Counter(map(get, changed))
        told_by: dict[Source, int] = {}
        has_avoided = False
        for old, number in replaced.items():
            if old is not None:
                told_by[old.path.source] = told_by.get(old.path.source, 0) + number
                has_avoided = has_avoided or old.avoids != b""
        source, avoids = out.path.source, out.avoids
        for member in self.members:
            if source is member.source or avoids == member.address:
                lost = [
                    n for n in changed if (old := get(n)) is not None and not member.misses(old)
                ]
                member.withheld += len(lost)
                self._withdraw_from(member, lost)
            elif member.withheld:
                # Nearly always it is what the member itself had told.
                known = _withheld(member, replaced) if has_avoided else told_by.get(member.source)
                member.withheld -= known or 0
        return changed

    # hot: per prefix
    def _retract(self, nlris: list[Nlri]) -> None:
        """Withdraw prefixes from everybody who holds them."""
        pop = self.table.pop
        by_out: dict[OutRoute, list[Nlri]] = {}
        for nlri in nlris:
            out = pop(nlri, None)
            if out is not None:
                known = by_out.get(out)
                if known is None:
                    by_out[out] = [nlri]
                else:
                    known.append(nlri)
        if not by_out:
            return
        shared: list[bytes] = []
        everything = [nlri for part in by_out.values() for nlri in part]
        for member in self.members:
            if any(map(member.misses, by_out)):
                held = [n for out, part in by_out.items() if not member.misses(out) for n in part]
                member.withheld -= len(everything) - len(held)
                self._withdraw_from(member, held)
            elif not member.in_step:
                member.owe(everything)
            else:
                shared = shared or self.routes.withdrawals(everything)
                self._queue(member, shared)

    def _withdraw_from(self, member: Member, nlris: list[Nlri]) -> None:
        if not nlris:
            return
        if member.in_step:
            self._queue(member, self.routes.withdrawals(nlris))
        else:
            member.owe(nlris)

    def _queue(self, member: Member, messages: list[bytes]) -> None:
        if not member.queue and self._wake is not None:
            self._wake(member)
        member.queue += messages

    def join(self, member: Member) -> None:
        """Take a member in; it owes everything, and hears it by `pull`."""
        former = self._alone
        if former is not None and former is not member.source:
            # What it told, and nobody has heard.
            self._fill()
        self.members.append(member)
        self._alone = self._only_source()
        member.begin()
        if member.former is None and len(self.table) > AT_ONCE:
            member.former = Newcomer(member)
        if member.former is None:
            member.untold = dict.fromkeys(self.table)
        else:
            member.former.begin(member, self.table)
            if self._unread:
                self.routes.inherited = member.former.made_for(self.key)
        routes = self.routes
        misses = member.source in routes.sources or member.address in routes.avoided
        member.withheld = _withheld(member, Counter(self.table.values())) if misses else 0

    def _only_source(self) -> Source | None:
        is_alone = self._leaves_out_own and len(self.members) == 1
        return self.members[0].source if is_alone else None

    def former_of(self, member: Member) -> Former:
        """Say what a member was told that is about to leave for another group."""
        if member.former is not None:
            # It has been told no more since it came.
            return member.former
        skip = ID_LENGTH if self.key.add_path else 0
        return Former(
            member, self._standings.present(self.table, skip), self.key, self.routes.plain
        )

    def _keys_of(self, nlri: Nlri) -> Sequence[Nlri]:
        """Give the keys of a prefix."""
        return (nlri,)

    def leave(self, member: Member) -> None:
        """Let a member go."""
        self.members.remove(member)
        if self.members:
            self._alone = self._only_source()
        member.forgive()

    def refresh(self, member: Member) -> None:
        """Tell a member everything again (RFC 2918 §4)."""
        member.ask_refresh(self.table)

    def _begin_refresh(self, member: Member) -> list[bytes]:
        member.refresh = RefreshStage.RUNS
        return self._marker(member, RefreshSubtype.BEGIN)

    def fall_behind(self, member: Member) -> None:
        """The member's socket is full: from now on it owes."""
        member.in_step = False

    # hot: per prefix
    def pull(self, member: Member, limit: int = 4096) -> list[bytes]:
        """Encode part of what a member owes; once nothing is left it is in step.

        Args:
            member: whose socket has room.
            limit: about how many prefixes to take.
        """
        begin = self._begin_refresh(member) if member.refresh is RefreshStage.BEGINS else []
        if member.former is not None:
            return begin + self._compare(member, member.former, limit)
        if self._unread:
            self.read_on(limit)
        told = bool(member.owes) and not self._unread
        messages: list[bytes] = []
        groups: dict[OutRoute | None, list[Nlri]] = {}
        get = self.table.get
        for nlri in member.take(limit, all_is_read=not self._unread):
            groups.setdefault(get(nlri), []).append(nlri)
        withdrawn = groups.pop(None, [])
        for out, nlris in groups.items():
            if out is not None and member.misses(out):
                withdrawn += nlris
            elif out is not None:
                messages += self.routes.pack(out, nlris)
        if withdrawn and told:
            messages[:0] = self.routes.withdrawals(withdrawn)
        if not self._unread and not member.debt:
            messages += self._settled(member)
        return begin + messages

    def _compare(self, member: Member, former: Former, limit: int) -> list[bytes]:
        """Find out in part what a member must be told that it was not in its former group.

        What it is not to have any more is withdrawn at once; all else becomes a debt.
        """
        if self._unread:
            self.read_on(limit)
            return []
        keys = former.next(limit)
        if not keys:
            member.former = None
        gone = former.compare(keys, self.table.get, self.routes.says_the_same)
        return self.routes.withdrawals(gone) if gone else []

    def _settled(self, member: Member) -> list[bytes]:
        """A member owes nothing any more: say so where it is awaited."""
        messages: list[bytes] = []
        stage, member.refresh = member.refresh, RefreshStage.NONE
        member.in_step = True
        if stage in (RefreshStage.RUNS, RefreshStage.AGAIN):
            messages += self._marker(member, RefreshSubtype.END)
        if member.eor_due:
            member.eor_due = False
            messages.append(end_of_rib(self.family))
        if stage in (RefreshStage.WAITS, RefreshStage.AGAIN):
            self.refresh(member)
        return messages

    def _marker(self, member: Member, subtype: RefreshSubtype) -> list[bytes]:
        return [encode(RouteRefresh(self.family, subtype))] if member.marks_refresh else []

    def holds(self, member: Member) -> dict[Nlri, OutRoute]:
        """Give what a member holds once it is in step."""
        return {nlri: out for nlri, out in self.table.items() if not member.misses(out)}

    def told(self, member: Member, nlri: Nlri) -> list[OutRoute]:
        """Give what a member holds of a prefix once it is in step."""
        outs = map(self.table.get, self._keys_of(nlri))
        return [out for out in outs if out is not None and not member.misses(out)]

    def owes(self, member: Member, nlri: Nlri) -> bool:
        """Tell whether a member has still to be told of a prefix."""
        if member.former is not None:
            return True
        return any(key in member.owes or key in member.untold for key in self._keys_of(nlri))

    def waits(self, nlri: Nlri) -> bool:
        """Tell whether a prefix is not told because there is no room for it: never."""
        return False

    def count(self, member: Member) -> int:
        """Tell how many prefixes a member has been told."""
        if member.former is not None and member.eor_due:
            return 0
        return max(0, len(self.table) - member.withheld - len(member.owes) - len(member.untold))

    @property
    def interned(self) -> int:
        """How many OutRoutes there are, or more where they are large."""
        return self.routes.size

    def remake(self, paths: Collection[Path]) -> None:
        """Make anew what these paths become: the distance that they tell has changed."""
        self.routes.remake(paths)
        for member in self.members:
            if member.former is not None:
                member.former.remade()

    def forget(self, source: Source) -> None:
        """Who may hear the paths of a source is another question now: judge them when they come."""
        self.routes.forget(source)

    def sweep(self) -> Iterator[None]:
        """Forget OutRoutes that no prefix uses, looking for them in slices."""
        self.table = compacted(self.table)
        # What is told meanwhile counts too.
        used: set[OutRoute | None] = set()
        self._used = used
        outs_told = list(self.table.values())
        for start in range(0, len(outs_told), SWEPT):
            used.update(outs_told[start : start + SWEPT])
            yield
        self._used = None
        self.routes.keep(used)


def _withheld(member: Member, outs: Mapping[OutRoute | None, int]) -> int:
    """Count the prefixes that a member must not hear, of so many with each route."""
    return sum(number for out, number in outs.items() if out is not None and member.misses(out))


def _unknown(path: Path) -> None:
    """Know of no path."""
