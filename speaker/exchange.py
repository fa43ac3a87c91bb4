"""What an Established session exchanges: one way in, and a place in an export group per family.

An `Exchange` lives from SessionUp to SessionDown. Its parts are made from the peer's plan, from
what both ends negotiated, and from the connection that won; `Tables` is what the router lends it.
When it ends, its Adj-RIBs-In are handed back to be emptied in slices, so that a peer with a million
routes does not stop the router by dying.

Of a peer that restarts gracefully only the way out ends (`hang_up`): the tables stay, and the next
session's exchange takes them over, with what was interned for them (`speaker.restarts`). A peer
with another BGP Identifier is the same peer: only what it tells anew is ranked by that one.

A peer that tells everything again between two markers has what it left out withdrawn, in slices
too; where the second marker does not come, a timer stands for it.

Standards: RFC 4271 §3.2; RFC 2918 §4; RFC 4456; RFC 4724 §2, §4.2; RFC 7313 §4; RFC 9494
§4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from fsm.family import RELAYED, Afi, Family
from fsm.messages import RefreshSubtype, RouteRefresh
from fsm.negotiation import Negotiated
from policy.attributes import PathAttributes
from policy.outbound import GroupKey
from policy.path import NextHop, Path, PeerType, RelayedPath, Source
from policy.ranking import DecisionOptions
from policy.vrps import Covered
from speaker.clock import Alarm, Clock
from speaker.config.conditions import Condition
from speaker.config.plan import PeerPlan
from speaker.limits import Limits
from speaker.net.transport import Transport
from speaker.outbound_limits import OutboundLimits
from speaker.own_end import OwnEnd
from speaker.recovery import FAMILIES
from speaker.rib import session_rules
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import AdjRibInPaths
from speaker.rib.attribute_table import AttributeTable
from speaker.rib.export_group import ExportGroup
from speaker.rib.exports import Exports
from speaker.rib.former import Former
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.inbound import Inbound
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from speaker.rib.next_hops import NextHopTable
from speaker.rib.session_rules import NodeRules
from speaker.shortfalls import shortfalls

STALE_TIME = 300.0
"""Seconds that a peer may take from the beginning of a refresh to its end (RFC 7313 §4)."""


class Tables(NodeRules, Protocol):
    """What the router lends to every exchange."""

    clock: Clock
    exports: Exports
    options: DecisionOptions

    @property
    def loc_ribs(self) -> Mapping[Family, LocRib]:
        """The table of each family."""

    @property
    def next_hops(self) -> NextHopTable:
        """Where next hops are interned."""

    @property
    def own_addresses(self) -> Mapping[Afi, bytes]:
        """This node's BGP address of each family."""

    def loc_ribs_of(self, plan: PeerPlan) -> Mapping[Family, LocRib]:
        """Give the tables that a peer's routes go into, by family."""

    def bury(self, rib: AdjRibIn) -> None:
        """Empty a table in slices, then let it go."""

    def lost(self, source: Source) -> None:
        """All that a source has told is about to go."""

    def is_closed(self, family: Family, peer: str) -> bool:
        """Tell whether a peer is told nothing of a family yet, since we have just restarted."""

    def work(self) -> None:
        """Tables have changed: let a turn run."""


@dataclass(slots=True)
class Share:
    """A member and its group."""

    group: ExportGroup
    member: Member


class Exchange:
    """The tables of one Established session.

    Args:
        plan: of the peer.
        negotiated: what both ends agreed.
        transport: the connection that won.
        tables: of the router.
        former: that of the session before, where its tables were kept.
    """

    def __init__(
        self,
        plan: PeerPlan,
        negotiated: Negotiated,
        transport: Transport,
        tables: Tables,
        former: Exchange | None = None,
    ) -> None:
        self.plan = plan
        self.negotiated = negotiated
        self.transport = transport
        self._tables = tables
        self._loc_ribs = tables.loc_ribs_of(plan)
        self.source = session_rules.source(plan, negotiated, tables.options)
        if former is not None and _is_alike(former.source, self.source):
            # It may have another BGP Identifier, by which what is told from now on is ranked and
            # reflected; what is kept stays as it is until it is told again, or swept.
            former.source.renumber(self.source.router_id)
            self.source = former.source
        elif former is not None:
            # Somebody else answers there now; what the one before told is not his.
            former.release(former.inbound.ribs.keys())
            former = None
        self.own_end = OwnEnd(self.source.address, negotiated, transport, tables)
        self.inbound: Inbound = self._make_inbound(former)
        self.limits = Limits(plan, self.inbound.ribs)
        self.shares: dict[Family, Share] = {}
        self.limits_out = OutboundLimits(plan, self.shares)
        # Families in which a refresh has ended, and whose import policy is new.
        self._swept: set[Family] = set()
        self._rejudged: set[Family] = set()
        self._ageing: set[Family] = set()
        self._is_open = True
        self._stale_alarm = Alarm(tables.clock, self._refresh_is_late)
        for family in sorted(self.inbound.ribs):
            if not tables.is_closed(family, plan.name):
                self._join(family)

    def _make_inbound(self, former: Exchange | None) -> Inbound:
        kept = {} if former is None else former.inbound.ribs
        ribs: dict[Family, AdjRibIn] = {}
        for family in sorted(self.negotiated.families):
            if family in self._loc_ribs:
                several = family in self.negotiated.add_path_receive
                kind = AdjRibInPaths if several else AdjRibIn
                before = kept.pop(family, None)
                if before is not None and type(before) is kind:
                    before.stop_ageing()
                    before.mark_stale()
                    ribs[family] = before
                    continue
                if before is not None:
                    # Two tables of one source must not stand beside each other.
                    before.clear()
                    before.close()
                policy = self.import_policy(family, self.plan, self._tables)
                ribs[family] = kind(self.source, family, self._loc_ribs[family], policy)
        if former is not None:
            former.release(kept.keys())
        return Inbound(self._attribute_table(former), ribs)

    def _attribute_table(self, former: Exchange | None = None) -> AttributeTable:
        tables = self._tables
        intake = session_rules.intake(
            self.plan, self.negotiated, self.source, tables.router_id, self.own_end
        )

        if (
            former is not None
            and former.inbound.table.intake == intake
            and former.negotiated.peer_router_id == self.negotiated.peer_router_id
        ):
            # The same octets mean the same, and what is told again is the very path it was.
            return former.inbound.table
        unicast = [rib for family, rib in self._loc_ribs.items() if family not in RELAYED]
        relayed = [rib for family, rib in self._loc_ribs.items() if family in RELAYED]

        def notice(path: Path) -> None:
            for loc_rib in relayed if isinstance(path, RelayedPath) else unicast:
                loc_rib.note(path)

        return AttributeTable(intake, tables.next_hops, notice)

    def import_policy(self, family: Family, plan: PeerPlan, node: NodeRules) -> ImportPolicy | None:
        """Give the way in of a family under a plan; None where every path is taken as it is."""
        return session_rules.import_policy(family, plan, self.peer_type, node, self._next_hop_of)

    def _next_hop_of(self, attributes: PathAttributes) -> NextHop:
        """Find where a next hop leads that a rule has set, as for one that was received."""
        return self.inbound.table.next_hop_of(attributes)

    def conditions(self) -> Iterator[Condition]:
        """Say in words what the session's tables suffer from."""
        yield from shortfalls(self.plan, self.negotiated)
        yield from self.limits.conditions()
        yield from self.limits_out.conditions()
        yield from self.own_end.conditions(self.plan, self.inbound.ribs)

    def take_plan(self, plan: PeerPlan) -> None:
        """Go on under another plan."""
        self.plan = plan
        self.source.name = plan.name
        self.source.is_client = plan.rr_client
        self.source.weight = plan.weight
        self.limits.take_plan(plan)
        self.limits_out.take_plan(plan)

    @property
    def peer_type(self) -> PeerType:
        """Whether the peer is in our AS."""
        return session_rules.peer_type(self.negotiated)

    def refilter_in(self) -> None:
        """Judge anew, in slices, what the peer told us: its plan or the node's policy changed."""
        for family, rib in self.inbound.ribs.items():
            if family not in RELAYED:
                rib.refilter(self.import_policy(family, self.plan, self._tables))
                self._rejudged.add(family)
        self._tables.work()

    def revalidate(self, family: Family, covered: Covered) -> None:
        """Judge anew, in slices, what VRPs that have changed are about, if anybody asks."""
        rib = self.inbound.ribs.get(family)
        if rib is not None and rib.asks_for_validity:
            rib.revalidate(covered)
            self._rejudged.add(family)

    @property
    def asks_for_validity(self) -> bool:
        """Whether it matters to what is used of the peer's routes what RPKI says."""
        return any(rib.asks_for_validity for rib in self.inbound.ribs.values())

    @property
    def is_rejudging(self) -> bool:
        """Whether what the peer told is being judged anew."""
        return bool(self._rejudged)

    def forget_attributes(self) -> None:
        """Have attribute sets judged anew when they come again."""
        self.inbound.table = self._attribute_table()

    def _join(self, family: Family, former: Former | None = None) -> None:
        member = Member(
            self.source,
            ip_address(self.plan.address).packed,
            marks_refresh=self.negotiated.enhanced_route_refresh,
        )
        member.former = former
        self.shares[family] = Share(
            self._tables.exports.join(self._group_key(family), member), member
        )

    def _group_key(self, family: Family) -> GroupKey:
        return self.group_key(family, self.plan, self._tables)

    def group_key(self, family: Family, plan: PeerPlan, node: NodeRules) -> GroupKey:
        """Say what decides what this peer hears, under a plan."""
        return session_rules.group_key(family, plan, self.negotiated, node, self.own_end)

    def regroup(self) -> None:
        """Find the right groups anew; where the key changed the peer hears what differs.

        The old group's table and what was still owed say what the peer may hold.
        """
        if not self._is_open:
            return
        self.flush()
        for family in sorted(self.inbound.ribs):
            share = self.shares.get(family)
            if share is None and not self._tables.is_closed(family, self.plan.name):
                self._join(family)
            elif share is not None and share.group.key != self._group_key(family):
                self._move(family, share)

    def _move(self, family: Family, old: Share) -> None:
        former = old.group.former_of(old.member)
        self._leave(family)
        self._join(family, former)
        joined = self.shares[family].member
        joined.eor_due = old.member.eor_due
        joined.refresh = old.member.refresh

    def _leave(self, family: Family) -> None:
        share = self.shares.pop(family)
        self._tables.exports.leave(share.group, share.member)

    def take_refresh(self, message: RouteRefresh) -> None:
        """Do what a ROUTE-REFRESH of the peer asks for (RFC 2918 §4, RFC 7313 §4)."""
        if message.subtype == RefreshSubtype.REQUEST:
            self.refresh(message.family)
            return
        rib = self.inbound.ribs.get(message.family)
        if rib is None or not self.negotiated.enhanced_route_refresh:
            return
        if self.negotiated.restarts_gracefully and message.family not in self.inbound.ended:
            # RFC 7313 §4: until its End-of-RIB, what was told before a restart is stale already.
            return
        if message.subtype == RefreshSubtype.BEGIN:
            # One that begins anew makes everything stale anew.
            self._swept.discard(message.family)
            rib.mark_stale()
            self._stale_alarm.cancel()
            self._stale_alarm.set(self._tables.clock.now() + STALE_TIME)
        elif rib.is_marked:
            self._swept.add(message.family)

    def _refresh_is_late(self) -> None:
        """The peer did not say that its refresh is over: what it has not told by now goes."""
        self._swept.update(family for family, rib in self.inbound.ribs.items() if rib.is_marked)
        self._tables.work()

    def _sweep_stale(self, size: int) -> bool:
        """Withdraw a slice of what is stale; tell whether there was any."""
        swept = list(self._swept)
        for family in swept:
            if not self.inbound.ribs[family].sweep_stale(size):
                self._swept.discard(family)
        return bool(swept)

    def forget_stale(self, families: Iterable[Family]) -> None:
        """Withdraw, in slices, what a peer that came back has not told again."""
        self._swept.update(family for family in families if self.inbound.ribs[family].is_marked)
        self._tables.work()

    def make_long_lived(self, families: Iterable[Family]) -> None:
        """Make what the peer has told a last resort, in slices (RFC 9494 §4.2)."""
        for family in families:
            self.inbound.ribs[family].begin_to_age()
            self._ageing.add(family)
        self._tables.work()

    def _age(self, size: int) -> bool:
        """Make a slice of what the peer told a last resort; tell whether there was any."""
        ageing = list(self._ageing)
        for family in ageing:
            if not self.inbound.ribs[family].age(self.inbound.table.last_resort, size):
                self._ageing.discard(family)
        return bool(ageing)

    def _rejudge(self, size: int) -> bool:
        """Judge a slice of what the peer told anew; tell whether there was any."""
        rejudged = list(self._rejudged)
        for family in rejudged:
            if not self.inbound.ribs[family].rejudge(size):
                self._rejudged.discard(family)
        return bool(rejudged)

    def refresh(self, family: Family) -> None:
        """Tell the peer everything of a family again (RFC 2918)."""
        share = self.shares.get(family)
        if share is not None:
            share.group.refresh(share.member)

    @property
    def received(self) -> int:
        """How many prefixes the peer has told, of all families."""
        return sum(map(len, self.inbound.ribs.values()))

    @property
    def heard_all(self) -> set[Family]:
        """Families of which the peer has told all it has, or does not tell (RFC 4724 §2)."""
        return self.inbound.ended | (set(FAMILIES) - self.inbound.ribs.keys())

    @property
    def has_work(self) -> bool:
        """Whether the peer has not been told everything yet, or what it told is to be looked at."""
        return bool(self._swept or self._rejudged or self._ageing) or self._owes

    @property
    def owes_nothing(self) -> bool:
        """Whether the peer has been told everything, as far as the system's socket."""
        return not self._owes and not self.transport.is_full

    @property
    def _owes(self) -> bool:
        return any(not share.member.in_step for share in self.shares.values())

    def flush(self) -> None:
        """Write what waits for the socket."""
        for share in self.shares.values():
            member = share.member
            if member.queue:
                messages, member.queue = member.queue, []
                self.transport.write(messages)
        if self.transport.is_full:
            for share in self.shares.values():
                share.group.fall_behind(share.member)

    def pump(self, size: int) -> bool:
        """Sweep part of what is stale, judge part anew, and encode part of what is owed.

        Args:
            size: prefixes that are swept, judged, or encoded for a family, at once; the last only
                if the socket has room.

        Returns:
            Whether there is more to do at once.
        """
        more = self._sweep_stale(size)
        more = self._rejudge(size) or more
        more = self._age(size) or more
        if not self._is_open:
            return more
        self.flush()
        for share in self.shares.values():
            if self.transport.is_full:
                return more
            if not share.member.in_step:
                self.transport.write(share.group.pull(share.member, size))
        return more or (self._owes and not self.transport.is_full)

    @property
    def interned(self) -> int:
        """How many attribute sets and paths there are, or more where sets are large."""
        policies = (rib.policy for rib in self.inbound.ribs.values() if rib.policy is not None)
        return self.inbound.table.weight + sum(map(len, policies))

    def sweep(self) -> Iterable[None]:
        """Forget attribute sets and paths that no prefix uses; at once."""
        alive: set[Path] = set()
        for rib in self.inbound.ribs.values():
            rib.compact()
            alive |= rib.all_paths()
        if self.inbound.table.is_needed(alive):
            # All are in use, as while a peer tells its table for the first time.
            return ()
        for rib in self.inbound.ribs.values():
            if rib.policy is not None:
                alive |= rib.policy.sweep(alive)
        self.inbound.table.sweep(alive)
        return ()

    def hang_up(self) -> None:
        """The session is gone: tell the peer nothing more, and keep what it has told."""
        self._is_open = False
        # Nothing that we hold knows us from now on, so that the tables may go with us, at once.
        self._stale_alarm.end()
        for family in list(self.shares):
            self._leave(family)

    def release(self, families: Iterable[Family]) -> None:
        """Take what the peer told of some families out of the tables, in slices."""
        gone = [self.inbound.ribs.pop(family) for family in list(families)]
        if gone and not self.inbound.ribs:
            self._tables.lost(self.source)
        for runs in (self._swept, self._rejudged, self._ageing):
            runs.intersection_update(self.inbound.ribs)
        for rib in gone:
            self._tables.bury(rib)
        self._tables.work()


def _is_alike(former: Source, source: Source) -> bool:
    """Tell whether paths of one source may go on as those of the other.

    The BGP Identifier is not asked for: RFC 4724 §4.2 does not tie routes to it, and whether a
    router that restarts went on forwarding says the F bit.
    """
    return (
        former.peer_type,
        former.asn,
        former.address,
        former.tells_several,
    ) == (source.peer_type, source.asn, source.address, source.tells_several)
