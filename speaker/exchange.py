"""What an Established session exchanges: one way in, and a place in an export group per family.

An `Exchange` lives from SessionUp to SessionDown. Its parts are made from the peer's plan, from
what both ends negotiated, and from the connection that won; `Tables` is what the router lends it.
When it ends, its Adj-RIBs-In are handed back to be emptied in slices, so that a peer with a million
routes does not stop the router by dying.

A peer that tells everything again between two markers has what it left out withdrawn, in slices
too; where the second marker does not come, a timer stands for it.

Standards: RFC 4271 §3.2; RFC 2918 §4; RFC 4456; RFC 4724 §2; RFC 7313 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from fsm.family import Afi, Family
from fsm.messages import RefreshSubtype, RouteRefresh
from fsm.negotiation import Negotiated
from policy.calico import BuiltinPolicy
from policy.decision import DecisionOptions
from policy.filters import Direction, Filter, Rule, Scope, compile_filter
from policy.outbound import GroupKey, NextHopMode
from policy.path import Path, PeerType, Source, SourceKind
from policy.prefix import WIDTH
from policy.roles import Role
from speaker.clock import Alarm, Clock
from speaker.config.plan import PeerPlan
from speaker.limits import Limits
from speaker.net.transport import Transport
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.attribute_table import AttributeTable, Intake, NextHopSource
from speaker.rib.export_group import ExportGroup, Member
from speaker.rib.exports import Exports
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.inbound import Inbound
from speaker.rib.loc_rib import LocRib
from speaker.wire.attributes import ScanContext
from speaker.wire.framing import MAX_EXTENDED_LENGTH, MAX_LENGTH
from speaker.wire.update import pack_withdrawals

PULL = 2048
"""Prefixes that are encoded for a member at once, or swept."""

STALE_TIME = 300.0
"""Seconds that a peer may take from the beginning of a refresh to its end (RFC 7313 §4)."""


class Tables(Protocol):
    """What the router lends to every exchange."""

    clock: Clock
    exports: Exports
    options: DecisionOptions

    @property
    def loc_ribs(self) -> Mapping[Family, LocRib]:
        """The table of each family."""

    @property
    def next_hops(self) -> NextHopSource:
        """Where next hops are interned."""

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""

    @property
    def cluster_id(self) -> int:
        """Our route reflector cluster; 0 where we reflect nothing."""

    @property
    def own_addresses(self) -> Mapping[Afi, bytes]:
        """This node's BGP address of each family."""

    def builtin(self, family: Family) -> BuiltinPolicy | None:
        """Give the node's own policy for a family; None where BGP's rules are all."""

    def bury(self, rib: AdjRibIn) -> None:
        """Empty a table in slices, then let it go."""

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
    """

    def __init__(
        self, plan: PeerPlan, negotiated: Negotiated, transport: Transport, tables: Tables
    ) -> None:
        self.plan = plan
        self.negotiated = negotiated
        self.transport = transport
        self._tables = tables
        self.source = _source(plan, negotiated)
        self.inbound = self._make_inbound()
        self.limits = Limits(plan, self.inbound.ribs)
        self.shares: dict[Family, Share] = {}
        self._swept: set[Family] = set()
        self._stale_alarm = Alarm(tables.clock, self._refresh_is_late)
        for family in sorted(self.inbound.ribs):
            self._join(family)

    def _make_inbound(self) -> Inbound:
        tables = self._tables
        ribs = {
            family: AdjRibIn(
                self.source, family, tables.loc_ribs[family], self._import_policy(family)
            )
            for family in sorted(self.negotiated.families)
            if family in tables.loc_ribs
        }
        return Inbound(self._attribute_table(), ribs)

    def _attribute_table(self) -> AttributeTable:
        plan, negotiated, tables = self.plan, self.negotiated, self._tables
        intake = Intake(
            self.source,
            ScanContext(negotiated.is_internal, negotiated.four_octet_as),
            plan.local_asn,
            plan.allow_local_as,
            tables.router_id,
            plan.cluster_id or 0,
            self.transport.interface,
            tables.options,
            self._role,
            own_addresses=self._own_addresses(),
        )

        def notice(path: Path) -> None:
            for loc_rib in tables.loc_ribs.values():
                loc_rib.note(path)

        return AttributeTable(intake, tables.next_hops, notice)

    def _import_policy(self, family: Family) -> ImportPolicy:
        builtin = self._tables.builtin(family)
        scope = Scope(
            self.peer_type, Direction.IMPORT, None if builtin is None else builtin.normal_priority
        )
        chain = _chain(self.plan.import_rules, family)
        return ImportPolicy(chain, builtin, scope, self._tables.options)

    def take_plan(self, plan: PeerPlan) -> None:
        """Go on under another plan."""
        self.plan = plan
        self.source.name = plan.name
        self.source.is_client = plan.rr_client
        self.limits.take_plan(plan)

    @property
    def peer_type(self) -> PeerType:
        """Whether the peer is in our AS."""
        return PeerType.INTERNAL if self.negotiated.is_internal else PeerType.EXTERNAL

    @property
    def _role(self) -> Role | None:
        """Ours on the session (RFC 9234 §5), whether or not the peer tells its own."""
        return None if self.negotiated.is_internal else self.plan.role

    def refilter_in(self) -> None:
        """Judge anew what the peer told us, after its plan or the node's policy changed."""
        for family, rib in self.inbound.ribs.items():
            rib.refilter(self._import_policy(family))

    def forget_attributes(self) -> None:
        """Have attribute sets judged anew when they come again."""
        self.inbound.table = self._attribute_table()

    def _join(self, family: Family) -> None:
        key = self._group_key(family)
        if key is None:
            return
        member = Member(
            self.source,
            ip_address(self.plan.address).packed,
            marks_refresh=self.negotiated.enhanced_route_refresh,
        )
        self.shares[family] = Share(self._tables.exports.join(key, member), member)

    def _group_key(self, family: Family) -> GroupKey | None:
        """Say what decides what this peer hears; None where we have no next hop to offer."""
        plan, negotiated, tables = self.plan, self.negotiated, self._tables
        address = self._local_address(family)
        if address is None:
            return None
        builtin = tables.builtin(family)
        return GroupKey(
            family=family,
            peer_type=self.peer_type,
            local_asn=plan.local_asn,
            local_address=address,
            router_id=tables.router_id,
            is_client=plan.rr_client,
            # Towards a non-client too: what a client told leaves with our cluster in its list
            # (RFC 4456 §8).
            cluster_id=plan.cluster_id or tables.cluster_id,
            next_hop_mode=NextHopMode(plan.next_hop_mode.value),
            four_octet_as=negotiated.four_octet_as,
            max_message=MAX_EXTENDED_LENGTH if negotiated.extended_message else MAX_LENGTH,
            builtin=builtin,
            export_filter=_chain(plan.export_rules, family),
            keeps_cleared_med=builtin is not None,
            role=self._role,
        )

    def _session_address(self) -> bytes:
        """Our own end of the connection; empty where it is not known."""
        endpoints = self.transport.endpoints
        return b"" if endpoints is None else ip_address(endpoints.local).packed

    def _own_addresses(self) -> frozenset[bytes]:
        """What no next hop of this peer may be, also where no kernel tells our addresses."""
        return frozenset((*self._tables.own_addresses.values(), self._session_address()))

    def _local_address(self, family: Family) -> bytes | None:
        """Our address in a family: the session's own where it is of that family."""
        packed = self._session_address()
        if len(packed) == WIDTH[family.afi] >> 3:
            return packed
        return self._tables.own_addresses.get(family.afi)

    def regroup(self) -> None:
        """Find the right groups anew; where the key changed the peer hears everything again.

        What the peer holds and should not any more is withdrawn: the old group's table and what it
        was still owed say what it may hold.
        """
        self.flush()
        for family in sorted(self.inbound.ribs):
            share = self.shares.get(family)
            if share is None:
                self._join(family)
            elif share.group.key != self._group_key(family):
                self._move(family, share)

    def _move(self, family: Family, old: Share) -> None:
        untold = old.member.untold
        held = dict.fromkeys(nlri for nlri in old.group.holds(old.member) if nlri not in untold)
        held |= old.member.owes
        self._leave(family)
        self._join(family)
        joined = self.shares.get(family)
        if joined is None:
            self.transport.write(pack_withdrawals(family, list(held), old.group.key.max_message))
            return
        joined.member.eor_due = old.member.eor_due
        joined.member.refresh = old.member.refresh
        joined.member.owes = held
        joined.member.untold = dict.fromkeys(n for n in joined.group.table if n not in held)

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
        if message.subtype == RefreshSubtype.BEGIN:
            # One that begins anew makes everything stale anew.
            self._swept.discard(message.family)
            rib.mark_stale()
            self._stale_alarm.cancel()
            self._stale_alarm.set(self._tables.clock.now() + STALE_TIME)
        elif rib.stale:
            self._swept.add(message.family)

    def _refresh_is_late(self) -> None:
        """The peer did not say that its refresh is over: what it has not told by now goes."""
        self._swept.update(family for family, rib in self.inbound.ribs.items() if rib.stale)
        self._tables.work()

    def _sweep_stale(self) -> bool:
        """Withdraw a slice of what is stale; tell whether there was any."""
        swept = list(self._swept)
        for family in swept:
            if not self.inbound.ribs[family].sweep_stale(PULL):
                self._swept.discard(family)
        return bool(swept)

    def refresh(self, family: Family) -> None:
        """Tell the peer everything of a family again (RFC 2918)."""
        share = self.shares.get(family)
        if share is not None:
            share.group.refresh(share.member)

    @property
    def has_work(self) -> bool:
        """Whether the peer has not been told everything yet, or left out what is to go."""
        return bool(self._swept) or self._owes

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

    def pump(self) -> bool:
        """Sweep part of what is stale; encode part of what is owed, if the socket has room.

        Returns:
            Whether there is more to do at once.
        """
        swept = self._sweep_stale()
        self.flush()
        for share in self.shares.values():
            if self.transport.is_full:
                return swept
            if not share.member.in_step:
                self.transport.write(share.group.pull(share.member, PULL))
        return swept or (self._owes and not self.transport.is_full)

    @property
    def interned(self) -> int:
        """How many attribute sets and paths there are."""
        policies = (rib.policy for rib in self.inbound.ribs.values() if rib.policy is not None)
        return len(self.inbound.table) + sum(map(len, policies))

    def sweep(self) -> None:
        """Forget attribute sets and paths that no prefix uses."""
        alive: set[Path] = set()
        for rib in self.inbound.ribs.values():
            alive.update(rib.received.values())
            if rib.policy is not None:
                alive |= rib.policy.sweep(alive)
        self.inbound.table.sweep(alive)

    def close(self) -> None:
        """End the exchange; what the peer told us is taken out of the tables in slices."""
        self._stale_alarm.cancel()
        self._swept.clear()
        for family in list(self.shares):
            self._leave(family)
        for rib in self.inbound.ribs.values():
            self._tables.bury(rib)


def _source(plan: PeerPlan, negotiated: Negotiated) -> Source:
    return Source(
        plan.name,
        SourceKind.BGP,
        peer_type=PeerType.INTERNAL if negotiated.is_internal else PeerType.EXTERNAL,
        address=ip_address(plan.address).packed,
        router_id=negotiated.peer_router_id,
        asn=negotiated.peer_asn,
        is_client=plan.rr_client,
    )


def _chain(rules: tuple[tuple[Family, tuple[Rule, ...]], ...], family: Family) -> Filter | None:
    return next((compile_filter(found) for of, found in rules if of == family), None)
