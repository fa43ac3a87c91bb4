"""The router: peers, tables and the kernel, driven by a plan.

A `Speaker` owns everything that lives as long as it runs: one Loc-RIB per family, the export
groups, the table of next hops, a `Peer` for each peer of the plan, the listening sockets and the
kernel thread. `apply` takes a new plan and does what the difference asks for, and nothing else:
no session is reset unless the changed field needs it.

    chunks ─ Peer ─ Inbound ─ LocRib ──┬─ turn: Delta ─ Exports ─ members' sockets
    kernel events ─ Ground ─ NextHops ─┘            └── sinks (kernel, an embedder's)

All of it runs on one event loop. Work that may be long (a dead peer's table, a moved next hop, a
new peer's initial dump) is done in slices, in `Rounds`.

Standards: RFC 4271 §3, §9.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_address
from itertools import chain
from operator import attrgetter
from types import TracebackType
from typing import Self

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family
from fsm.negotiation import Negotiated
from fsm.notifications import Cease
from policy.calico import BuiltinPolicy
from policy.outbound import Leaving
from policy.path import NextHop, Path, Source
from policy.prefix import Nlri
from policy.ranking import DecisionOptions, may_tell_distance
from policy.vrps import Vrps
from speaker import log
from speaker.clock import Clock
from speaker.config.changes import Change
from speaker.config.plan import PeerPlan, Plan, PolicyMode
from speaker.doorkeeper import Doorkeeper
from speaker.dynamic_peers import DynamicPeers
from speaker.edits import Farewells, carry_out
from speaker.errors import TransportError
from speaker.exchange import Exchange
from speaker.external_networks import ExternalNetworks
from speaker.fib_sink import RouteSink
from speaker.forwarding_plane import ForwardingPlane, KernelOptions
from speaker.ground import Ground
from speaker.kernel.routes import KernelEvent
from speaker.local_routes import LocalRoutes
from speaker.net.drops import DropCounts
from speaker.net.listening import Doors
from speaker.net.transport import ReadBuffer, Transport
from speaker.notices import Notice, Notices, SessionDown, SessionEstablished
from speaker.originations import Originations
from speaker.origins import RouteOrigins
from speaker.peer import Peer
from speaker.reading import Reading
from speaker.reception import Reception
from speaker.recovery import PeersUp, Recovery
from speaker.relays import Relays
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.next_hops import NextHopTable
from speaker.rounds import Rounds
from speaker.service import Service
from speaker.watches import MakeBfd, Watches
from speaker.wire import codec

MAX_PATHS = 16
"""Equal paths that share the traffic to a prefix."""


class Speaker:
    """A BGP router.

    Args:
        plan: what to do.
        kernel: where to install routes; None for sessions and tables only, where every next hop
            counts as reachable.
        sink: somebody else who follows the best paths.
        clock: the reader of time.
        before: whose sessions were up before a restart, by the peers' names; None where that is not
            known: then, if the kernel holds routes of ours, all of them.
        doors: listening sockets that others have opened for us.
        run_dir: where the process of BFD waits for the next run; None where it ends with this one.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        kernel: KernelOptions | None = None,
        sink: RouteSink | None = None,
        clock: Clock | None = None,
        before: PeersUp | None = None,
        doors: Doors | None = None,
        run_dir: pathlib.Path | None = None,
        bfd: MakeBfd | None = None,
    ) -> None:
        self.plan = plan
        self.clock = clock or Clock()
        self.buffer = ReadBuffer()
        self.reading = Reading(self.clock)
        self.drops = DropCounts(self.clock)
        self.options = DecisionOptions(always_compare_med=plan.always_compare_med)
        calico = plan.mode is PolicyMode.CALICO
        self.loc_ribs: dict[Family, LocRib] = {
            family: LocRib(family, max_paths=MAX_PATHS, keep_unreachable=calico)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
        }
        if kernel is None and sink is None:
            for loc_rib in self.loc_ribs.values():
                loc_rib.max_paths = 1
        self.next_hops = NextHopTable(trusting=kernel is None)
        self._rounds = Rounds(self)
        self.exports = Exports(self.loc_ribs, self._rounds.wake)
        self.local = LocalRoutes(self.loc_ribs, plan.router_id, plan.asn)
        self.relays = Relays(self.loc_ribs, self)
        self.ground = Ground(
            self.next_hops, self._every_loc_rib, self.local, self._all_paths, self._moved
        )
        self.networks = ExternalNetworks(self, MAX_PATHS)
        self.originations = Originations(plan, self.local, self.ground)
        self.origins = RouteOrigins(self)
        self.watches = Watches(self, bfd, run_dir=run_dir)
        self.peers: dict[str, Peer] = {}
        self.plane = ForwardingPlane(self, kernel)
        self.sinks: list[RouteSink] = [] if sink is None else [sink]
        self.notices = Notices()
        self.farewells = Farewells(self)
        self.recovery = Recovery(self.clock.now(), {})
        self.service = Service(self)
        self.followers: list[Callable[[], None]] = []
        self._before = before
        self.started_at = self.clock.wall()
        self.doorkeeper = Doorkeeper(self)
        self.dynamic = DynamicPeers(self)
        self.settled = self.dynamic.settled
        self.reception = Reception(self, doors or {})
        self.listener = self.reception.listener

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""
        return self.plan.router_id

    @property
    def cluster_id(self) -> int:
        """Our route reflector cluster; 0 where we reflect nothing."""
        return self.plan.cluster_id or 0

    @property
    def preserved(self) -> frozenset[Family]:
        """The families whose routes have gone on forwarding since an earlier run."""
        return self.plane.preserved

    @property
    def leaving(self) -> Leaving:
        """Whether this node is being taken out of service."""
        return self.service.leaving

    @property
    def own_addresses(self) -> Mapping[Afi, bytes]:
        """This node's BGP address of each family."""
        packed = [ip_address(address).packed for address in self.plan.own_addresses]
        return {Afi.IPV4 if len(a) == 4 else Afi.IPV6: a for a in packed}

    def _every_loc_rib(self) -> Iterable[LocRib]:
        return chain(self.loc_ribs.values(), self.networks.loc_ribs())

    def loc_ribs_of(self, plan: PeerPlan) -> Mapping[Family, LocRib]:
        """Give the tables that a peer's routes go into, by family."""
        if not self.plane.is_elsewhere(plan.table):
            return self.loc_ribs
        return {**self.loc_ribs, **self.networks.get(plan.table).loc_ribs}

    def builtin(self, family: Family) -> BuiltinPolicy | None:
        """Give the node's own policy for a family; None in plain mode."""
        if self.plan.mode is not PolicyMode.CALICO:
            return None
        return self.plan.policies.get(family)

    def vrps(self, family: Family) -> Vrps:
        """Give what RPKI says of a family."""
        return self.origins.vrps[family.afi]

    def bury(self, rib: AdjRibIn) -> None:
        """Empty a table in slices, then let it go."""
        self._rounds.bury(rib)

    def lost(self, source: Source) -> None:
        """All that a source has told is about to go: the kernel does at once without it."""
        self.plane.lost(source, partial(self._next_hops_beside, source))

    def exchange(
        self,
        peer: Peer,
        negotiated: Negotiated,
        transport: Transport,
        former: Exchange | None,
    ) -> Exchange:
        """Make the tables of a session that came up, from those that were kept of the last."""
        self.relays.open(negotiated.families)
        return Exchange(peer.plan, negotiated, transport, self, former)

    def session_changed(self, peer: Peer) -> None:
        """A session came up or went down."""
        negotiated = peer.session.negotiated
        if peer.exchange is not None and negotiated is not None:
            self.own_members(peer)
            self.watches.follow()
            self.recovery.came_up(
                peer.name,
                negotiated.marked_families,
                self.clock.now(),
                has_restarted=negotiated.has_restarted,
            )
            self._tell_followers()
            self.notices.tell(SessionEstablished(peer.name, peer.plan.address, negotiated))
            return
        self._rounds.disown_members(peer)
        self.recovery.fell(peer.name)
        self.farewells.fell(peer.name)
        self.watches.follow()
        self._tell_followers()
        self.notices.tell(SessionDown(peer.name, peer.plan.address, str(peer.session.last_down)))

    def _tell_followers(self) -> None:
        for follow in self.followers:
            follow()

    def is_closed(self, family: Family, peer: str) -> bool:
        """Tell whether a peer is told nothing of a family yet, since we have just restarted."""
        return self._rounds.is_closed(family, peer)

    def selecting(self) -> None:
        """Routes of a family may be chosen: what we say of a restart to peers is another."""
        for peer in self.peers.values():
            peer.offer()

    def work(self) -> None:
        """Tables have changed: let a turn run; peers wait while we are far behind."""
        self._rounds.schedule()

    @property
    def backlog(self) -> int:
        """About how many prefixes wait to be told on, to peers and to the kernel."""
        return self._rounds.backlog

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be told on."""
        return self._rounds.is_idle

    def _all_paths(self) -> Iterable[Path]:
        """Give every path that a next hop's change may concern."""
        yield from self.local.paths()
        for peer in self.peers.values():
            if peer.tables is not None:
                yield from peer.tables.inbound.table.paths()
                for rib in peer.tables.inbound.ribs.values():
                    yield from rib.made_paths()

    def _moved(self, paths: set[Path]) -> None:
        """Next hops of these paths are nearer or farther: so is what they lead to (RFC 7311)."""
        told = {path for path in paths if may_tell_distance(path)}
        if told:
            self.exports.remake(told)

    def _next_hops_beside(self, source: Source) -> Iterator[NextHop]:
        """Give the next hop of every path that somebody else told."""
        tables: list[Iterable[Path]] = [self.local.paths()]
        for peer in self.peers.values():
            if peer.tables is not None and peer.tables.source is not source:
                ribs = peer.tables.inbound.ribs.values()
                tables.append(peer.tables.inbound.table.paths())
                tables += [rib.made_paths() for rib in ribs]
        return map(attrgetter("next_hop"), chain.from_iterable(tables))

    async def start(self) -> None:
        """Adopt what the kernel has, originate our own, listen, and let sessions come up.

        Raises:
            TransportError: the port cannot be had.
            KernelError: the kernel cannot be used.
        """
        # Now, because loading takes 30 ms in which no session would be served.
        codec.exabgp()
        self.plane.start()
        self._begin()
        self.originations.follow(self.plan)
        self.doorkeeper.follow()
        self.dynamic.follow()
        try:
            await self.reception.listen()
        except TransportError:
            await self.stop()
            raise
        for plan in self.plan.peers.values():
            self.add_peer(plan)
        self.origins.follow(self.plan.caches)
        self.watches.follow()
        self.work()

    def _begin(self) -> None:
        """Find out whether this is a restart, and whose routes are to be waited for."""
        before = self._before
        if before is None:
            named = {
                plan.name: dict.fromkeys(plan.families, plan.graceful_restart)
                for plan in self.plan.peers.values()
            }
            before = named if self.preserved and self.plane.kernel is not None else {}
        known = {name: told for name, told in before.items() if self._may_come(name)}
        self.recovery = Recovery(self.clock.now(), known, self.plan.selection_deferral)
        self._rounds.defer()

    def _may_come(self, name: str) -> bool:
        """Tell whether there is a peer of a name, or one may come from a range."""
        ranges = self.plan.ranges.values()
        return name in self.plan.peers or any(name.startswith(f"{each.name}_") for each in ranges)

    def take_kernel_events(self, events: list[KernelEvent]) -> None:
        """Heed what the kernel tells."""
        self.ground.take(events)
        self.watches.follow()
        self.work()

    async def stop(self, *, withdraw: bool = False, restart: bool = False) -> None:
        """End all sessions and listen no more.

        Args:
            withdraw: take our routes out of the kernel; else they stay, for packets to flow while
                the next run comes up.
            restart: the next run comes up soon: peers that restart gracefully with us are told
                nothing, so that they keep our routes meanwhile (RFC 4724 §4.1).
        """
        self.followers.clear()
        # First of all: what the sessions' end takes out of the tables must not reach the kernel.
        self._rounds.close()
        self.plane.freeze()
        await self.reception.close()
        self.doorkeeper.close()
        self.dynamic.close()
        if restart:
            # Before sessions end: who keeps our routes is to be watched on.
            await self.watches.leave()
        for peer in list(self.peers.values()):
            keeps = peer.exchange is not None and peer.exchange.negotiated.restarts_gracefully
            peer.close(None if restart and keeps else Cease.ADMINISTRATIVE_SHUTDOWN)
        self.farewells.close()
        self.origins.close()
        await self.watches.close()
        self.notices.close()
        await self.plane.stop(withdraw=withdraw)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def apply(self, plan: Plan) -> list[Change]:
        """Follow a new plan; only what differs is touched.

        Returns:
            What was done, in order.

        Raises:
            TransportError: the new listening port cannot be had; everything else is done.
        """
        found = self.farewells.follow(plan)
        # Before sessions of the plan may come up, or end.
        self.doorkeeper.follow()
        self.dynamic.follow()
        await carry_out(self, found)
        self.watches.follow()
        tables = {peer.plan.table for peer in self.peers.values()}
        await self.networks.release(tables.__contains__)
        return found

    def own_members(self, peer: Peer) -> None:
        """Remember whose members a peer's exchange has, and whether they are counted."""
        self._rounds.own_members(peer)

    def watch(self) -> None:
        """Have BFD watch the peers that there are now."""
        self.watches.follow()

    def add_peer(self, plan: PeerPlan) -> None:
        """Take up a peer."""
        self._add_peer(Peer(plan, self))

    def _add_peer(self, peer: Peer) -> None:
        plan = peer.plan
        if self.plane.is_elsewhere(plan.table):
            self.networks.get(plan.table)
        self.peers[plan.name] = peer
        self.reception.expect(peer)
        self.dynamic.changed()
        log.peer_added(plan.name, plan.address, plan.peer_asn)
        self.service.admit(peer)

    def remove_peer(self, name: str) -> None:
        """Let go of a peer, with a Cease; nothing happens where there is none of that name."""
        self._close_peer(name, Cease.PEER_DECONFIGURED)
        self.recovery.forget(name)
        # Of one whose routes had outlived its session nothing is left only now.
        self._tell_followers()

    def reset_peer(self, plan: PeerPlan) -> None:
        """End a peer's session and begin another one with this plan."""
        heir = Peer(plan, self)
        self._close_peer(plan.name, Cease.OTHER_CONFIGURATION_CHANGE, heir)
        self._add_peer(heir)

    def _close_peer(self, name: str, subcode: Cease, heir: Peer | None = None) -> None:
        peer = self.peers.pop(name, None)
        if peer is not None:
            peer.close(subcode, heir)
            self.reception.expect_no_more(peer)
            self.dynamic.changed()

    def originate(self, prefix: str) -> None:
        """Announce a prefix as our own, beside those of the plan.

        Raises:
            PrefixError: it is none.
        """
        self.originations.add(prefix)
        self.work()

    def withdraw(self, prefix: str) -> None:
        """Announce a prefix of `originate` no more."""
        self.originations.remove(prefix)
        self.work()

    def path_ids(self, family: Family, nlri: Nlri, path: Path) -> list[int]:
        """Give the identifiers under which a peer told a path to a prefix (RFC 7911)."""
        peer = self.peers.get(path.source.name)
        if peer is None or peer.tables is None or peer.tables.source is not path.source:
            return []
        return peer.tables.inbound.ribs[family].ids_of(nlri, path)

    def listen_to_notices(self, *kinds: type[Notice]) -> AsyncIterator[Notice]:
        """Follow what happens: sessions up and down, routes changed."""
        return self.notices.follow(*kinds)
