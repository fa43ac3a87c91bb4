"""Adj-RIB-Out, shared by alike peers (RFC 4271 §3.2, §9.1.3).

Peers whose `policy.outbound.GroupKey` is equal hear the same. A group keeps one table for all of
them, from packed prefix to `OutRoute` (attributes encoded for the wire, and the source they came
from); an OutRoute is made once per path, and UPDATEs are packed once for all members.

There is no memory per member. The rule from which everything follows: *a member holds a prefix if
and only if the table has it and the route is not withheld from that member*, and a route is
withheld from the member it came from (RFC 4271 §9.1.3 would send it back in vain) and from the
member whose address is its next hop.

Members are *in step* or they *owe*. In step they get the shared octets as soon as they are made.
When a member's socket is full, or it just came up, or it asks for a refresh, it owes a set of
prefixes: later changes only add to the set, and when the socket has room the prefixes' present
state is encoded for it. So the initial dump, a refresh and a slow peer are one mechanism, and a
slow peer costs memory for prefixes, never for messages. What was never told before (``untold``) is
kept apart: a prefix that vanishes before it was told needs no withdrawal.

Withdrawals go before announcements; an End-of-RIB marker follows the first debt (RFC 4724 §2). A
refresh is put between the two markers of RFC 7313 where the member knows them. It never begins
before End-of-RIB was said (§4), and one that is asked for in the middle of another follows it,
however often it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

from fsm.family import Family
from fsm.messages import RefreshSubtype, RouteRefresh
from policy.filters import Verdict
from policy.outbound import GroupKey, export_partition, rewrite
from policy.path import Path, Source
from policy.prefix import Nlri
from speaker.rib.loc_rib import Delta, LocRib
from speaker.wire.codec import encode
from speaker.wire.update import end_of_rib, pack_updates, pack_withdrawals, room_for_nlri


class OutRoute:
    """What a path becomes on its way out, for one group.

    Attributes:
        path: where it came from.
        attributes: encoded, as they stand in an UPDATE.
        next_hop: for MP_REACH_NLRI; of IPv4 routes it stands in the attributes.
        avoids: address of the member that must not get it because it is the next hop, or empty.
    """

    __slots__ = ("attributes", "avoids", "next_hop", "path")

    def __init__(self, path: Path, attributes: bytes, next_hop: bytes, avoids: bytes) -> None:
        self.path = path
        self.attributes = attributes
        self.next_hop = next_hop
        self.avoids = avoids


class RefreshStage(Enum):
    """How far a refresh has come, for one member (RFC 7313 §4)."""

    NONE = auto()
    WAITS = auto()
    """Asked for before the End-of-RIB."""
    BEGINS = auto()
    """Everything is owed, and its beginning is to be said next."""
    RUNS = auto()
    """It ends once nothing is owed."""
    AGAIN = auto()
    """It runs, and was asked for once more."""


class Member:
    """One session in a group.

    Args:
        source: what the session's own routes come from.
        address: the peer's address, 4 or 16 octets.
        marks_refresh: both ends know the markers of RFC 7313.

    Attributes:
        queue: whole messages that wait for the socket.
        in_step: whether everything it should hold has been queued.
    """

    __slots__ = (
        "address",
        "eor_due",
        "in_step",
        "marks_refresh",
        "owes",
        "queue",
        "refresh",
        "source",
        "untold",
    )

    def __init__(self, source: Source, address: bytes, *, marks_refresh: bool = False) -> None:
        self.source = source
        self.address = address
        self.queue: list[bytes] = []
        self.in_step = False
        self.eor_due = True
        self.marks_refresh = marks_refresh
        self.refresh = RefreshStage.NONE
        self.owes: dict[Nlri, None] = {}
        self.untold: dict[Nlri, None] = {}

    @property
    def debt(self) -> int:
        """How many prefixes are still to be told."""
        return len(self.owes) + len(self.untold)

    # hot: per batch
    def misses(self, out: OutRoute) -> bool:
        """Tell whether a route is withheld from this member."""
        return out.path.source is self.source or (out.avoids != b"" and out.avoids == self.address)

    def owe(self, nlris: Iterable[Nlri]) -> None:
        """Put prefixes on the bill."""
        untold = self.untold
        if untold:
            nlris = [nlri for nlri in nlris if nlri not in untold]
        self.owes.update(dict.fromkeys(nlris))


class ExportGroup:
    """The Adj-RIB-Out of all members with one key.

    Args:
        family: of the prefixes.
        key: what the members have in common.
        loc_rib: where the routes come from.
        wake: called when a member that had nothing to send has something.
    """

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
        self._outs: dict[tuple[Path, Verdict], OutRoute | None] = {}
        self._fill()

    def _fill(self) -> None:
        """Take over what the Loc-RIB holds already."""
        by_path: dict[Path, list[Nlri]] = {}
        for nlri, path in self._loc_rib.best.items():
            by_path.setdefault(path, []).append(nlri)
        for path, nlris in by_path.items():
            for verdict, part in export_partition(nlris, path, self.key):
                out = self._out(path, verdict)
                if out is not None:
                    self.table.update(dict.fromkeys(part, out))

    def _out(self, path: Path, verdict: Verdict) -> OutRoute | None:
        """Make what a path becomes; None where it is not to be told, or cannot be."""
        if not verdict.accepted:
            return None
        key = (path, verdict)
        if key not in self._outs:
            self._outs[key] = self._make_out(path, verdict)
        return self._outs[key]

    def _make_out(self, path: Path, verdict: Verdict) -> OutRoute | None:
        outbound = rewrite(path, self.key, verdict.operations)
        next_hop = outbound.next_hop + outbound.link_local
        # RFC 8654 §4: what does not fit the peer's messages is withdrawn.
        if not room_for_nlri(self.family, outbound.raw, next_hop, self.key.max_message):
            return None
        avoids = b"" if outbound.next_hop == self.key.local_address else outbound.next_hop
        return OutRoute(path, outbound.raw, next_hop, avoids)

    # hot: per batch
    def apply(self, delta: Delta) -> None:
        """Follow the Loc-RIB."""
        gone = delta.changed.get(None)
        if gone:
            self._retract(gone)
        for path, nlris in delta.changed.items():
            if path is None:
                continue
            for verdict, part in export_partition(nlris, path, self.key):
                out = self._out(path, verdict)
                if out is not None:
                    self._advertise(out, part)
                else:
                    self._retract(part)

    # hot: per prefix
    def _advertise(self, out: OutRoute, nlris: list[Nlri]) -> None:
        table = self.table
        if not table.keys().isdisjoint(nlris):
            nlris = self._replace(out, nlris)
        if nlris:
            table.update(dict.fromkeys(nlris, out))
            self._tell(out, nlris)

    def _replace(self, out: OutRoute, nlris: list[Nlri]) -> list[Nlri]:
        """Drop what is told already; withdraw from those who lose a route by the change."""
        get = self.table.get
        changed = [nlri for nlri in nlris if get(nlri) is not out]
        for member in self.members:
            if not member.misses(out):
                continue
            lost = [n for n in changed if (old := get(n)) is not None and not member.misses(old)]
            self._withdraw_from(member, lost)
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
                self._withdraw_from(member, held)
            elif not member.in_step:
                member.owe(everything)
            else:
                shared = shared or self._pack_withdrawals(everything)
                self._queue(member, shared)

    def _withdraw_from(self, member: Member, nlris: list[Nlri]) -> None:
        if not nlris:
            return
        if member.in_step:
            self._queue(member, self._pack_withdrawals(nlris))
        else:
            member.owe(nlris)

    def _tell(self, out: OutRoute, nlris: list[Nlri]) -> None:
        messages: list[bytes] = []
        for member in self.members:
            if member.misses(out):
                continue
            if not member.in_step:
                member.owe(nlris)
                continue
            messages = messages or self._pack(out, nlris)
            self._queue(member, messages)

    def _queue(self, member: Member, messages: list[bytes]) -> None:
        if not member.queue and self._wake is not None:
            self._wake(member)
        member.queue += messages

    def _pack(self, out: OutRoute, nlris: list[Nlri]) -> list[bytes]:
        return pack_updates(self.family, out.attributes, out.next_hop, nlris, self.key.max_message)

    def _pack_withdrawals(self, nlris: list[Nlri]) -> list[bytes]:
        return pack_withdrawals(self.family, nlris, self.key.max_message)

    def join(self, member: Member) -> None:
        """Take a member in; it owes everything, and hears it by `pull`."""
        self.members.append(member)
        member.in_step = False
        member.eor_due = True
        member.owes.clear()
        member.untold = dict.fromkeys(self.table)

    def leave(self, member: Member) -> None:
        """Let a member go."""
        self.members.remove(member)
        member.owes.clear()
        member.untold.clear()

    def refresh(self, member: Member) -> None:
        """Tell a member everything again (RFC 2918 §4)."""
        if member.eor_due:
            member.refresh = RefreshStage.WAITS
        elif member.refresh is RefreshStage.RUNS:
            member.refresh = RefreshStage.AGAIN
        elif member.refresh is RefreshStage.NONE:
            member.refresh = RefreshStage.BEGINS
            member.in_step = False
            member.owe(self.table)

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
        bill = member.owes or member.untold
        told = bill is member.owes
        messages: list[bytes] = []
        groups: dict[OutRoute | None, list[Nlri]] = {}
        get, popitem = self.table.get, bill.popitem
        for _ in range(min(limit, len(bill))):
            nlri = popitem()[0]
            groups.setdefault(get(nlri), []).append(nlri)
        withdrawn = groups.pop(None, [])
        for out, nlris in groups.items():
            if out is not None and member.misses(out):
                withdrawn += nlris
            elif out is not None:
                messages += self._pack(out, nlris)
        if withdrawn and told:
            messages[:0] = self._pack_withdrawals(withdrawn)
        if not member.owes and not member.untold:
            messages += self._settled(member)
        return begin + messages

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

    def count(self, member: Member) -> int:
        """Tell how many prefixes a member has been told."""
        # Its own routes are few beside the rest, or all of them: one look at each tells.
        held = sum(not member.misses(out) for out in self.table.values())
        return max(0, held - member.debt)

    @property
    def interned(self) -> int:
        """How many OutRoutes there are."""
        return len(self._outs)

    def sweep(self) -> None:
        """Forget OutRoutes that no prefix uses."""
        used: set[OutRoute | None] = set(self.table.values())
        for key, out in list(self._outs.items()):
            if out not in used:
                del self._outs[key]
