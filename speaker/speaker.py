"""The router: peers, tables and the kernel, driven by a plan.

A `Speaker` owns everything that lives as long as it runs: one Loc-RIB per family, the export
groups, the table of next hops, a `Peer` for each peer of the plan, the listening sockets and the
kernel thread. `apply` takes a new plan and does what the difference asks for, and nothing else:
no session is reset unless the changed field needs it.

    chunks ─ Peer ─ Inbound ─ LocRib ──┬─ turn: Delta ─ Exports ─ members' sockets
    kernel events ─ Ground ─ NextHops ─┘            └── sinks (kernel, an embedder's)

All of it runs on one event loop. Work that may be long (a dead peer's table, a moved next hop, a
new peer's initial dump) is done in slices by `Turn`.

Standards: RFC 4271 §3, §9.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family
from fsm.negotiation import Negotiated
from fsm.notifications import Cease
from policy.calico import BuiltinPolicy
from policy.decision import DecisionOptions
from policy.path import Path
from policy.prefix import Nlri, parse_prefix
from speaker import log
from speaker.clock import Alarm, Clock
from speaker.config.changes import Change
from speaker.config.plan import Origination, OriginationKind, PeerPlan, Plan, PolicyMode
from speaker.edits import Farewells, carry_out
from speaker.errors import TransportError
from speaker.exchange import Exchange
from speaker.fib_sink import FibSink, RouteSink
from speaker.ground import Ground
from speaker.kernel.routes import KernelEvent
from speaker.kernel.thread import Kernel
from speaker.local_routes import FAMILIES, LocalRoutes
from speaker.net.listener import Listener
from speaker.net.transport import ReadBuffer, Transport
from speaker.notices import Notice, Notices, RoutesChanged, SessionDown, SessionEstablished
from speaker.peer import Peer
from speaker.recovery import Recovery
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import Member
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.next_hops import NextHopTable
from speaker.sweeper import Holder, Sweeper
from speaker.turn import Turn

SLICE = 2048
"""Prefixes that are worked on at once."""

BACKLOG_HIGH, BACKLOG_LOW = 100_000, 20_000
"""With so many changes waiting, peers are not read from; until so few are left."""

SWEEP_TURNS = 16
"""Unused objects are looked for when nothing else is to be done, and in every so many turns."""

PATIENCE = 0.01
"""Seconds between looks at a kernel that is far behind."""

MAX_PATHS = 16
"""Equal paths that share the traffic to a prefix."""

EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class KernelOptions:
    """Where routes are installed.

    Attributes:
        table: the kernel's routing table.
        protocol: the number that marks routes as ours; BIRD's 12, so that its routes are adopted.
    """

    table: int = 254
    protocol: int = 12


class Speaker:
    """A BGP router.

    Args:
        plan: what to do.
        kernel: where to install routes; None for sessions and tables only, where every next hop
            counts as reachable.
        sink: somebody else who follows the best paths.
        clock: the reader of time.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        kernel: KernelOptions | None = None,
        sink: RouteSink | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.plan = plan
        self.clock = clock or Clock()
        self.buffer = ReadBuffer()
        self.options = DecisionOptions()
        self.kernel_options = kernel
        calico = plan.mode is PolicyMode.CALICO
        self.loc_ribs: dict[Family, LocRib] = {
            family: LocRib(family, max_paths=MAX_PATHS, keep_unreachable=calico)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
        }
        if kernel is None and sink is None:
            for loc_rib in self.loc_ribs.values():
                loc_rib.max_paths = 1
        self.next_hops = NextHopTable(trusting=kernel is None)
        self._awake: set[Peer] = set()
        self._member_peers: dict[Member, Peer] = {}
        self.exports = Exports(self.loc_ribs, self._wake)
        self.local = LocalRoutes(self.loc_ribs, plan.router_id, plan.asn, self.options)
        self.ground = Ground(
            self.next_hops, self.loc_ribs, self.local, self.options, self._all_paths
        )
        self.peers: dict[str, Peer] = {}
        self.kernel: Kernel | None = None
        self.sinks: list[RouteSink] = [] if sink is None else [sink]
        self.fib: FibSink | None = None
        self.notices = Notices()
        self.farewells = Farewells(self)
        self.recovery = Recovery(self.clock.now(), plan.peers)
        self.started_at = self.clock.wall()
        self._listener = Listener(self.buffer, self._accepted)
        self._buried: list[AdjRibIn] = []
        self._turn = Turn(self.clock, self._step)
        self._sweeper = Sweeper()
        self._recovery_alarm = Alarm(self.clock, self.work)
        self._patience = Alarm(self.clock, self.work)
        self._paused = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._extra: dict[Family, dict[Nlri, Path]] = {family: {} for family in self.loc_ribs}
        self._by_address: dict[str, list[Peer]] = {}

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""
        return self.plan.router_id

    @property
    def cluster_id(self) -> int:
        """Our route reflector cluster; 0 where we reflect nothing."""
        return self.plan.cluster_id or 0

    @property
    def own_addresses(self) -> Mapping[Afi, bytes]:
        """This node's BGP address of each family."""
        packed = [ip_address(address).packed for address in self.plan.own_addresses]
        return {Afi.IPV4 if len(a) == 4 else Afi.IPV6: a for a in packed}

    def builtin(self, family: Family) -> BuiltinPolicy | None:
        """Give the node's own policy for a family; None in plain mode."""
        if self.plan.mode is not PolicyMode.CALICO:
            return None
        return self.plan.policies.get(family)

    def bury(self, rib: AdjRibIn) -> None:
        """Empty a table in slices, then let it go."""
        self._buried.append(rib)

    def exchange(self, peer: Peer, negotiated: Negotiated, transport: Transport) -> Exchange:
        """Make the tables of a session that came up."""
        return Exchange(peer.plan, negotiated, transport, self)

    def session_changed(self, peer: Peer) -> None:
        """A session came up or went down."""
        negotiated = peer.session.negotiated
        if peer.exchange is not None and negotiated is not None:
            self.own_members(peer)
            self.notices.tell(SessionEstablished(peer.name, peer.plan.address, negotiated))
            return
        self._member_peers = {m: p for m, p in self._member_peers.items() if p is not peer}
        self.farewells.fell(peer.name)
        self.notices.tell(SessionDown(peer.name, peer.plan.address, str(peer.session.last_down)))

    def _wake(self, member: Member) -> None:
        peer = self._member_peers.get(member)
        if peer is not None:
            self._awake.add(peer)

    def work(self) -> None:
        """Tables have changed: let a turn run; peers wait while we are far behind."""
        self._turn.schedule()
        if not self._paused and self.backlog > BACKLOG_HIGH:
            self._paused = True
            for peer in self.peers.values():
                peer.pause_reading()

    @property
    def backlog(self) -> int:
        """About how many prefixes wait to be told on, to peers and to the kernel."""
        waiting = sum(loc_rib.backlog for loc_rib in self.loc_ribs.values())
        return waiting + (self.kernel.pending() if self.kernel is not None else 0)

    def _step(self) -> bool:
        """Do a slice of whatever is to be done; False when nothing is left."""
        busy = False
        for loc_rib in self.loc_ribs.values():
            if loc_rib.pending:
                self._spread(loc_rib)
                busy = True
        self._flush()
        busy = self._bury_slice() or busy
        busy = self.ground.step() or busy
        busy = self._pump() or busy
        if self._paused and self.backlog < BACKLOG_LOW:
            self._paused = False
            for peer in self.peers.values():
                peer.resume_reading()
        if not busy or not self._turn.turns % SWEEP_TURNS:
            busy = self._sweeper.step(self._holders()) or busy
        if not busy:
            self._check_recovery()
            if self._paused:
                # Only the kernel is behind: look again when it has had time.
                self._patience.set(self.clock.now() + PATIENCE)
        return busy

    def _spread(self, loc_rib: LocRib) -> None:
        delta = loc_rib.take(SLICE)
        if not delta:
            return
        for sink in self.sinks:
            sink.apply(delta)
        self.exports.apply(delta)
        if self.notices.wanted:
            self.notices.tell(RoutesChanged(delta))

    def _flush(self) -> None:
        awake, self._awake = self._awake, set()
        for peer in awake:
            if peer.exchange is not None:
                self._let(peer, peer.exchange.flush)

    def _bury_slice(self) -> bool:
        if not self._buried:
            return False
        rib = self._buried[0]
        if not rib.clear(SLICE):
            rib.close()
            self._buried.pop(0)
        return True

    def _pump(self) -> bool:
        more = False
        for peer in self.peers.values():
            exchange = peer.exchange
            if exchange is not None and exchange.has_work:
                more = self._let(peer, exchange.pump) or more
        return more

    @staticmethod
    def _let(peer: Peer, act: Callable[[], bool | None]) -> bool:
        """Do something for one peer; if it fails, that peer is reset and all others go on."""
        try:
            return bool(act())
        except Exception:
            peer.fail()
            return True

    def _holders(self) -> Iterator[Holder]:
        """Give everybody who keeps interned objects."""
        for peer in self.peers.values():
            if peer.exchange is not None:
                yield peer.exchange
        yield from self.exports
        yield self.ground

    def _check_recovery(self) -> None:
        """Once every peer has told all it has, adopted routes that nobody wants go."""
        if self.recovery.over:
            return
        for peer in self.peers.values():
            exchange = peer.exchange
            if exchange is not None and exchange.inbound.ended >= set(exchange.inbound.ribs):
                self.recovery.told_all(peer.name)
        if self.recovery.check(self.clock.now()):
            if self.kernel is not None:
                log.recovered(self.recovery.over)
                for afi in (Afi.IPV4, Afi.IPV6):
                    self.kernel.sweep(afi)
        else:
            self._recovery_alarm.set(self.recovery.deadline)

    def _all_paths(self) -> Iterable[Path]:
        """Give every path that a next hop's change may concern."""
        yield from self.local.paths()
        for peer in self.peers.values():
            if peer.exchange is not None:
                yield from peer.exchange.inbound.table.paths()
                for rib in peer.exchange.inbound.ribs.values():
                    if rib.policy is not None:
                        yield from rib.policy.paths()

    async def start(self) -> None:
        """Adopt what the kernel has, originate our own, listen, and let sessions come up.

        Raises:
            TransportError: the port cannot be had.
            KernelError: the kernel cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        if self.kernel_options is not None:
            self._start_kernel(self.kernel_options)
        self.originate_planned()
        try:
            await self.listen()
        except TransportError:
            await self.stop()
            raise
        for plan in self.plan.peers.values():
            self.add_peer(plan)
        self.work()

    def make_kernel(self, options: KernelOptions) -> Kernel:
        """Make the kernel's thread, which is not started yet; to be overridden for another one."""
        return Kernel(table=options.table, protocol=options.protocol, on_events=self._kernel_events)

    def _start_kernel(self, options: KernelOptions) -> None:
        self.kernel = self.make_kernel(options)
        snapshot = self.kernel.start()
        self.fib = FibSink(self.kernel, self.loc_ribs, self.builtin, self.ground.interface_index)
        self.sinks.append(self.fib)
        self.ground.sink = self.fib
        self.set_learning()
        self.ground.begin(snapshot)

    def set_learning(self) -> None:
        """Let foreign kernel routes compete in the tables, or not, as the plan says."""
        self.ground.set_learning(
            learns=self.plan.mode is PolicyMode.CALICO,
            ignored_interfaces=self.plan.ignored_interfaces,
        )
        for loc_rib in self.loc_ribs.values():
            loc_rib.keep_unreachable = self.plan.mode is PolicyMode.CALICO

    def _kernel_events(self, events: list[KernelEvent]) -> None:
        """Called in the kernel thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_kernel_events, events)

    def _take_kernel_events(self, events: list[KernelEvent]) -> None:
        self.ground.take(events)
        self.work()

    def _listen_addresses(self) -> tuple[str, ...]:
        return self.plan.listen_addresses or EVERYWHERE

    async def stop(self, *, withdraw: bool = False) -> None:
        """End all sessions and listen no more.

        Args:
            withdraw: take our routes out of the kernel; else they stay, for packets to flow while
                the next run comes up.
        """
        # First of all: what the sessions' end takes out of the tables must not reach the kernel.
        self._turn.close()
        await self._listener.close()
        for peer in list(self.peers.values()):
            peer.close(Cease.ADMINISTRATIVE_SHUTDOWN)
        self.farewells.close()
        self._recovery_alarm.cancel()
        self._patience.cancel()
        self.notices.close()
        if self.kernel is not None:
            await asyncio.to_thread(self.kernel.stop, withdraw)

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
        await carry_out(self, found)
        return found

    async def listen(self) -> None:
        """Listen where the plan says, and nowhere else.

        Raises:
            TransportError: the port cannot be had; we listen where we did before.
        """
        opened = await self._listener.open(self._listen_addresses(), self.plan.listen_port)
        log.listening(opened, self.plan.listen_port)

    def policy_changed(self, family: Family) -> None:
        """The node's own policy of a family is another: judge everything anew."""
        for peer in self.peers.values():
            if peer.exchange is not None:
                peer.exchange.refilter_in()
                peer.exchange.regroup()
                self.own_members(peer)
        if self.fib is not None:
            self.fib.forget()
            self.fib.replay(family)

    def exports_again(self) -> None:
        """Judge anew what every group may hear."""
        for loc_rib in self.loc_ribs.values():
            by_path: dict[Path | None, list[Nlri]] = {}
            for nlri, path in loc_rib.best.items():
                by_path.setdefault(path, []).append(nlri)
            self.exports.apply(Delta(loc_rib.family, by_path))

    def identity_changed(self) -> None:
        """Our AS, router id or cluster id is another; sessions that need it are reset beside."""
        for peer in self.peers.values():
            if peer.exchange is not None:
                peer.exchange.regroup()
                self.own_members(peer)

    def own_members(self, peer: Peer) -> None:
        """Remember whose members a peer's exchange has."""
        if peer.exchange is not None:
            for share in peer.exchange.shares.values():
                self._member_peers[share.member] = peer

    def add_peer(self, plan: PeerPlan) -> None:
        peer = Peer(plan, self)
        self.peers[plan.name] = peer
        self._index_addresses()
        log.peer_added(plan.name, plan.address, plan.peer_asn)
        peer.start()

    def remove_peer(self, name: str) -> None:
        self._close_peer(name, Cease.PEER_DECONFIGURED)
        self.recovery.forget(name)

    def reset_peer(self, plan: PeerPlan) -> None:
        """End a peer's session and begin another one with this plan."""
        self._close_peer(plan.name, Cease.OTHER_CONFIGURATION_CHANGE)
        self.add_peer(plan)

    def _close_peer(self, name: str, subcode: Cease) -> None:
        peer = self.peers.pop(name, None)
        if peer is not None:
            peer.close(subcode)
            self._index_addresses()

    def _index_addresses(self) -> None:
        self._by_address.clear()
        for peer in self.peers.values():
            self._by_address.setdefault(peer.plan.address, []).append(peer)

    def _accepted(self, transport: Transport) -> None:
        """Hand a connection to the peer that it comes from."""
        endpoints = transport.endpoints
        peers = [] if endpoints is None else self._by_address.get(endpoints.remote, [])
        if endpoints is None or not peers:
            log.stranger("an unknown address" if endpoints is None else endpoints.remote)
            transport.abort()
            return
        willing = [peer for peer in peers if peer.session.would_accept()]
        (willing or peers)[0].accept(transport)

    def originate_planned(self) -> None:
        for family in self.loc_ribs:
            wanted = {**self._extra[family]}
            for origination in self.plan.originated:
                if origination.family == family:
                    wanted[origination.nlri] = self._origination(origination)
            for route in self.plan.static_routes:
                if route.family == family:
                    wanted[route.nlri] = self._static(family, route.via)
            self.local.set_originated(family, wanted)

    def _origination(self, origination: Origination) -> Path:
        if origination.kind is OriginationKind.BLACKHOLE:
            return self.local.blackhole(origination.family)
        return self.local.announced_only(origination.family)

    def _static(self, family: Family, via: str) -> Path:
        if not via:
            return self.local.blackhole(family)
        return self.local.via(family, self.next_hops.intern(ip_address(via).packed))

    def originate(self, prefix: str) -> None:
        """Announce a prefix as our own, beside those of the plan.

        Raises:
            PrefixError: it is none.
        """
        afi, nlri = parse_prefix(prefix)
        family = FAMILIES[afi]
        self._extra[family][nlri] = self.local.announced_only(family)
        self.originate_planned()
        self.work()

    def withdraw(self, prefix: str) -> None:
        """Announce a prefix of `originate` no more."""
        afi, nlri = parse_prefix(prefix)
        self._extra[FAMILIES[afi]].pop(nlri, None)
        self.originate_planned()
        self.work()

    def listen_to_notices(self) -> AsyncIterator[Notice]:
        """Follow what happens: sessions up and down, routes changed."""
        return self.notices.follow()
