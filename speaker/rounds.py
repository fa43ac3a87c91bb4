"""The router's work in slices: what came in is told on, to peers, to the kernel, to an embedder.

Whatever changes tables asks for a round (`schedule`); a `speaker.turn.Turn` then has `Rounds` do
slices of all that is to be done, one kind after the other, until nothing is left. Peers that owe
work are known here: those whose export groups woke them, those whose prefixes out are counted, and
the tables of those that have gone.

    Loc-RIB ── sinks, exports, notices ── awake peers' sockets ── what peers are owed ── sweeping

After a restart nothing of a family is told on until its routes may be chosen (`speaker.recovery`).
Then the kernel is told first, and peers are let into their export groups when that is done.

What fails for one peer resets that peer and nobody else. While too much waits, all peers are left
unread.

Standards: RFC 4271 §9; RFC 4724 §2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Protocol

from fsm.family import Family
from speaker import log
from speaker.clock import Alarm, Clock
from speaker.external_networks import ExternalNetworks
from speaker.fib_sink import RouteSink
from speaker.forwarding_plane import ForwardingPlane
from speaker.ground import Ground
from speaker.memory import give_back
from speaker.notices import Notices, RoutesChanged
from speaker.origins import RouteOrigins
from speaker.peer import Peer
from speaker.recovery import FAMILIES, Recovery
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from speaker.sweeper import Holder, Sweeper
from speaker.turn import Turn

BACKLOG_HIGH, BACKLOG_LOW = 100_000, 20_000
"""With so many changes waiting, peers are not read from; until so few are left."""

SWEEP_TURNS = 16
"""Unused objects are looked for when nothing else is to be done, and in every so many turns."""

PATIENCE = 0.01
"""Seconds between looks at a kernel that is far behind."""


class House(Protocol):
    """What the rounds go through: the router's tables, and who follows them."""

    clock: Clock
    loc_ribs: dict[Family, LocRib]
    sinks: list[RouteSink]
    exports: Exports
    notices: Notices
    peers: dict[str, Peer]
    ground: Ground
    networks: ExternalNetworks
    origins: RouteOrigins
    plane: ForwardingPlane
    recovery: Recovery

    def selecting(self) -> None:
        """Routes of a family may be chosen from now on."""


class Rounds:
    """Does what is to be done, in slices.

    Args:
        house: the router.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._turn = Turn(house.clock, self._step)
        self._awake: set[Peer] = set()
        self._member_peers: dict[Member, Peer] = {}
        self._limited: set[Peer] = set()
        self._buried: list[AdjRibIn] = []
        # Families of which peers are told nothing yet.
        self._closed: set[Family] = set()
        self._pumped = 0
        self._sweeper = Sweeper()
        self._recovery_alarm = Alarm(house.clock, self.schedule)
        self._patience = Alarm(house.clock, self.schedule)
        self._paused = False

    def schedule(self) -> None:
        """Tables have changed: let a turn run; peers wait while we are far behind."""
        self._turn.schedule()
        if not self._paused and self.backlog > BACKLOG_HIGH:
            self._paused = True
            for peer in self._house.peers.values():
                peer.connections.hold()

    def close(self) -> None:
        """Do nothing more."""
        self._turn.close()
        self._recovery_alarm.cancel()
        self._patience.cancel()

    def defer(self) -> None:
        """Begin a start: let wait what has to."""
        recovery = self._house.recovery
        self._closed = {family for family in FAMILIES if recovery.is_deferring(family)}
        self._recovery_alarm.set(recovery.next_look(self._house.clock.now()))
        self.schedule()

    def is_closed(self, family: Family, peer: str) -> bool:
        """Tell whether a peer is told nothing of a family yet."""
        house = self._house
        return family in self._closed and not house.recovery.is_told_first(
            peer, family, house.clock.now()
        )

    @property
    def is_idle(self) -> bool:
        """Whether no turn is to run."""
        return not self._turn.is_scheduled

    @property
    def backlog(self) -> int:
        """About how many prefixes wait to be told on, to peers and to the kernel."""
        kernel = self._house.plane.kernel
        # What is deferred waits for peers that are still to be read from.
        waiting = sum(rib.backlog for rib in self._loc_ribs() if self._may_spread(rib))
        return waiting + (kernel.pending() if kernel is not None else 0)

    def _may_spread(self, loc_rib: LocRib) -> bool:
        return not self._house.recovery.is_deferring(loc_rib.family)

    def _loc_ribs(self) -> Iterable[LocRib]:
        return chain(self._house.loc_ribs.values(), self._house.networks.loc_ribs())

    def wake(self, member: Member) -> None:
        """A group has something for one of its members."""
        peer = self._member_peers.get(member)
        if peer is not None:
            self._awake.add(peer)

    def own_members(self, peer: Peer) -> None:
        """Remember whose members a peer's exchange has, and whether they are counted."""
        if peer.exchange is not None:
            self._limited.discard(peer)
            if peer.exchange.limits_out:
                self._limited.add(peer)
            for share in peer.exchange.shares.values():
                self._member_peers[share.member] = peer

    def disown_members(self, peer: Peer) -> None:
        """Forget the members of a peer whose session has ended."""
        self._member_peers = {m: p for m, p in self._member_peers.items() if p is not peer}
        self._limited.discard(peer)

    def bury(self, rib: AdjRibIn) -> None:
        """Empty a table in slices, then let it go."""
        self._buried.append(rib)

    def _step(self, size: int) -> bool:
        """Do a slice of whatever is to be done; False when nothing is left."""
        busy = False
        for loc_rib in self._house.loc_ribs.values():
            if loc_rib.pending and self._may_spread(loc_rib):
                self._spread(loc_rib, size)
                busy = True
        busy = self._open() or busy
        busy = self._house.networks.spread(size) or busy
        busy = self._house.origins.step() or busy
        busy = self._house.exports.read_on(size) or busy
        for peer in tuple(self._limited):
            # Before anything is written: a prefix too many is not told.
            peer.heed_limits()
        self._flush()
        busy = self._bury_slice(size) or busy
        busy = self._house.ground.step() or busy
        busy = self._pump(size) or busy
        self._read_on()
        if not busy or self._sweeper.is_under_way or not self._turn.turns % SWEEP_TURNS:
            busy = self._sweep(at_rest=not busy) or busy
        if not busy:
            self._release()
            self._check_recovery()
            if self._paused:
                # Only the kernel is behind: look again when it has had time.
                self._patience.set(self._house.clock.now() + PATIENCE)
        return busy

    def _open(self) -> bool:
        """Let peers hear of families that are chosen and installed; tell whether there was one."""
        house = self._house
        opened = {
            family
            for family in self._closed
            if not house.recovery.is_deferring(family) and not house.loc_ribs[family].pending
        }
        self._closed -= opened
        if opened:
            self._let_in(house.peers.values())
        return bool(opened)

    def _is_to_be_let_in(self, peer: Peer) -> bool:
        """Tell whether a peer may hear of a family by now that is closed to others."""
        exchange = peer.exchange
        return exchange is not None and any(
            family in exchange.inbound.ribs
            and family not in exchange.shares
            and not self.is_closed(family, peer.name)
            for family in self._closed
        )

    def _let_in(self, peers: Iterable[Peer]) -> None:
        """Let peers into their export groups, as far as they may hear of families."""
        for peer in peers:
            if peer.exchange is not None:
                peer.exchange.regroup()
                self.own_members(peer)

    def _spread(self, loc_rib: LocRib, size: int) -> None:
        delta = loc_rib.take(size)
        if not delta:
            return
        house = self._house
        for sink in house.sinks:
            sink.apply(delta)
        house.exports.apply(delta)
        if house.notices.wants(RoutesChanged) and (delta.changed or delta.shared):
            house.notices.tell(RoutesChanged(delta))

    def _flush(self) -> None:
        awake, self._awake = self._awake, set()
        for peer in awake:
            if peer.exchange is not None:
                self._let(peer, peer.exchange.flush)

    def _bury_slice(self, size: int) -> bool:
        if not self._buried:
            return False
        rib = self._buried[0]
        if not rib.clear(size):
            rib.close()
            self._buried.pop(0)
        return True

    def _pump(self, size: int) -> bool:
        """Let peers hear what they are owed, one after the other, while there is time."""
        peers = self._house.peers.values()
        busy = [peer for peer in peers if peer.tables and peer.tables.has_work]
        more = False
        self._pumped %= len(busy) or 1
        for peer in busy[self._pumped :] + busy[: self._pumped]:
            if peer.tables is not None:
                more = self._let(peer, partial(peer.tables.pump, size)) or more
            self._pumped += 1
            if self._turn.is_over:
                # Where it stops now it begins the next time; one that is left out waits for that.
                return True
        return more

    @staticmethod
    def _let(peer: Peer, act: Callable[[], bool | None]) -> bool:
        """Do something for one peer; if it fails, that peer is reset and all others go on."""
        try:
            return bool(act())
        except Exception:
            peer.fail()
            return True

    def _read_on(self) -> None:
        """Read from the peers again when little enough waits."""
        if self._paused and self.backlog < BACKLOG_LOW:
            self._paused = False
            for peer in self._house.peers.values():
                peer.connections.release()

    def _sweep(self, *, at_rest: bool) -> bool:
        """Have one holder let go of what nobody uses; False when none is due."""
        self._sweeper.weigh(sum(each.entries for each in self._loc_ribs()), at_rest=at_rest)
        return self._sweeper.step(self._holders())

    def _release(self) -> None:
        """Nothing else is to be done: if tables have become much smaller, give memory back."""
        if self._sweeper.may_release():
            for loc_rib in self._loc_ribs():
                loc_rib.compact()
            give_back()

    def _holders(self) -> Iterator[Holder]:
        """Give everybody who keeps interned objects."""
        for peer in self._house.peers.values():
            if peer.tables is not None:
                yield peer.tables
        yield from self._house.exports
        yield self._house.ground
        yield self._house.ground.noted

    def _check_recovery(self) -> None:
        """Let routes be chosen, and adopted ones go that nobody wants, when it is time."""
        house, recovery = self._house, self._house.recovery
        if recovery.is_over:
            return
        for peer in house.peers.values():
            if peer.exchange is not None:
                recovery.told_all(peer.name, peer.exchange.heard_all)
        now = house.clock.now()
        if self._select(now):
            # What has waited goes first; then this is asked again.
            self.schedule()
            return
        first = [peer for peer in house.peers.values() if self._is_to_be_let_in(peer)]
        if first:
            self._let_in(first)
            self.schedule()
        self._finish(now)
        if not recovery.is_over:
            self._recovery_alarm.set(recovery.next_look(now))

    def _finish(self, now: float) -> None:
        """Let adopted routes go that nobody wants, where nobody is waited for any longer."""
        house = self._house
        for family, why in house.recovery.finish(now).items():
            if house.plane.kernel is not None and family in house.plane.preserved:
                log.recovered(str(family), why)
            house.plane.sweep(family)

    def _select(self, now: float) -> bool:
        """Have routes chosen of families that have waited long enough; tell if there was one."""
        decided = self._house.recovery.decide(now)
        if decided and self._house.recovery.is_restart:
            for family, why in decided.items():
                log.selecting(str(family), why)
        if decided:
            self._house.selecting()
        return bool(decided)
