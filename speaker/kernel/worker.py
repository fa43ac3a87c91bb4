"""The kernel thread's inside: sockets, tables and timers joined.

A `Worker` lives in one thread with one event loop and is called by nothing else. Batches come in
through `install`; `_pump` takes requests from the tables, sends them, settles them, and comes back
as long as there is work, leaving the loop a breath in between so that notifications are heard.
Notifications change the tables, and the tables ask for what is missing. A *scan* reads all routes
and puts right whatever was misheard: every minute, after lost notifications, when a place turns out
to be held by something unknown, and when a link falls, because then the kernel drops IPv4 routes
without a word.

Events are told in batches, after each of these steps.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future

from fsm.family import Afi
from policy.prefix import Nlri
from policy.resilience import Resilience
from speaker.kernel.fib import Fib
from speaker.kernel.foreign import ForeignRoutes
from speaker.kernel.messages import Message, RouteReader, messages
from speaker.kernel.monitor import Monitor, Neighbourhood, Overrun
from speaker.kernel.netlink import DUMP_ATTEMPTS, DumpSocket, RouteSocket
from speaker.kernel.nexthops import RTM_DELNEXTHOP, RTM_NEWNEXTHOP, read_object
from speaker.kernel.objects import NextHopObjects
from speaker.kernel.requests import Found
from speaker.kernel.routes import (
    Address,
    AddressesChanged,
    Forwarding,
    Forwardings,
    KernelEvent,
    KernelFacts,
    KernelRoute,
    Link,
    LinksChanged,
    RoutesChanged,
    Snapshot,
)
from speaker.kernel.stamps import MAX_BATCH, NLM_F_REPLACE, RTM_DELROUTE, RTM_NEWROUTE

FAMILIES = (Afi.IPV4, Afi.IPV6)

SCAN_DELAY = 0.03
"""Seconds that a wanted scan waits, for one cause rarely comes alone."""

SCAN_SHARE = 4
"""After a scan of so many seconds no other is made at once for this many times as long."""

IDLE_SHARE = 40
"""And none just because time has passed for this many times as long: a million routes take
seconds to read."""


class Worker:
    """See the module's docstring; arguments are those of `speaker.kernel.thread.Kernel`."""

    def __init__(
        self,
        *,
        table: int,
        protocol: int,
        learn_tables: Collection[int],
        tell: Callable[[list[KernelEvent]], None],
        scan_interval: float,
        receive_buffer: int,
        nexthop_objects: bool,
        nexthop_compat: bool,
    ) -> None:
        self._table = table
        self._protocol = protocol
        self._learned = frozenset(learn_tables)
        self._tell = tell
        self._scan_interval = scan_interval
        self._receive_buffer = receive_buffer
        forwardings = Forwardings()
        self._wants_objects, self._wants_compat = nexthop_objects, nexthop_compat
        self.objects = NextHopObjects(table, protocol)
        self._reader = RouteReader(forwardings, self.objects.hops_of, self.objects.ways.aliases)
        self._foreign = {afi: ForeignRoutes(afi) for afi in FAMILIES}
        self.fibs = {afi: Fib(afi, table, self._foreign[afi], forwardings) for afi in FAMILIES}
        self._neighbourhood = Neighbourhood()
        self._waiting: list[Future[None]] = []
        self._scan_due = 0.0
        self._scan_not_before = 0.0
        self._pumping = False
        self._objects_heard = False
        self._alarm: asyncio.TimerHandle | None = None

    # Life.

    def open(self, loop: asyncio.AbstractEventLoop) -> Snapshot:
        """Open the sockets, read everything once, and begin to listen.

        Raises:
            KernelError: we may not change routes.
        """
        self._loop = loop
        self._routes = RouteSocket(self._table, self._protocol)
        self._dumps = DumpSocket()
        self._monitor = Monitor(self._routes.port, receive_buffer=self._receive_buffer)
        self._routes.check_permission()
        # Subscribed before the dump, so that nothing falls between.
        self._neighbourhood.replace_all(self._dumps.links(), self._dumps.addresses())
        self._neighbourhood.changes()
        self.objects.open(
            self._routes, self._dumps, wanted=self._wants_objects, compat=self._wants_compat
        )
        adopted = {}
        for afi, fib in self.fibs.items():
            adopted[afi] = fib.adopt(self._read_routes(afi))
            self._foreign[afi].changes()
        loop.add_reader(self._monitor.fileno(), self._hear)
        self._scan_due = loop.time() + self._scan_interval
        self._arm()
        links: tuple[Link, ...] = tuple(self._neighbourhood.links.values())
        addresses: tuple[Address, ...] = tuple(self._neighbourhood.addresses)
        routes = {afi: self._learnable(afi) for afi in FAMILIES}
        objects = self.objects
        facts = KernelFacts(bool(objects.families), objects.compat, objects.resilient)
        return Snapshot(links, addresses, routes, adopted, facts)

    def close(self, *, withdraw: bool) -> None:
        """Close the sockets, after removing all our routes if so asked."""
        self._loop.remove_reader(self._monitor.fileno())
        if self._alarm is not None:
            self._alarm.cancel()
        if withdraw:
            for afi, fib in self.fibs.items():
                fib.withdraw_all()
                while fib.pending:
                    self._push(afi, fib)
            self.objects.collect(set())
        for opened in (self._monitor, self._dumps, self._routes):
            opened.close()
        self._answer_waiting()

    # What is asked of us.

    def install(self, afi: Afi, batch: Sequence[tuple[Forwarding | None, Sequence[Nlri]]]) -> None:
        """Take in how prefixes are to be installed."""
        route_for = self.objects.route_for
        self.fibs[afi].want(
            [
                (None if forwarding is None else route_for(afi, forwarding), nlris)
                for forwarding, nlris in batch
            ]
        )
        self.pump_soon()

    def lead(self, afi: Afi, forwardings: Sequence[Forwarding]) -> None:
        """Take in where ways lead from now on, for all routes by them; at once."""
        for forwarding in forwardings:
            if self.objects.ways.known(afi, forwarding.way):
                self.objects.route_for(afi, forwarding)
        self._flush_objects()

    def merge(self, afi: Afi, way: int, into: Forwarding) -> None:
        """Let all routes by one way be routes by another; at once."""
        if afi not in self.objects.families:
            return
        renumbered = self.objects.ways.merge(afi, way, into)
        self._flush_objects()
        if renumbered is not None:
            self._reader.forget()
            self.fibs[afi].renumber(*renumbered)

    def set_resilience(self, resilience: Resilience | None) -> None:
        """Let groups keep flows so, where the kernel can; routes move one by one if they must."""
        if self.objects.resilient:
            self._redirect(self.objects.ways.set_resilience(resilience))

    def _redirect(self, moved: list[tuple[Afi, int, int]]) -> None:
        for afi, old, new in moved:
            self.fibs[afi].redirect(old, new)
        if moved or self.objects.ways.pending:
            self.pump_soon()

    def sweep(self, afi: Afi) -> None:
        """Remove adopted routes that nobody has wanted."""
        self.fibs[afi].sweep()
        self.pump_soon()

    def answer_when_done(self, future: Future[None]) -> None:
        """Set the future when nothing is left to send."""
        self._waiting.append(future)
        self.pump_soon()

    def pump_soon(self) -> None:
        """Go on sending in the next round of the loop."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    # Sending.

    def _pump(self) -> None:
        self._pumping = False
        now = self._loop.time()
        self._flush_objects()
        for afi, fib in self.fibs.items():
            fib.wake(now)
            if fib.pending:
                self._push(afi, fib)
        if any(fib.wants_scan for fib in self.fibs.values()):
            self._scan_soon()
        self._report()
        if any(fib.pending for fib in self.fibs.values()):
            self.pump_soon()
        else:
            self._answer_waiting()
            self._arm()

    def _push(self, afi: Afi, fib: Fib) -> None:
        now = self._loop.time()
        runs = fib.take(MAX_BATCH, now)
        if not runs:
            return
        refusals = self.objects.ways.refusals
        if refusals:
            refusals = self.objects.refusals_of({run.forwarding.nexthop for run in runs})
        outcome = self._routes.exchange(afi, runs, refusals)
        if outcome.lost:
            fib.doubt(runs)
        else:
            fib.settle(runs, outcome.errors, now)
        if any(number == errno.EINVAL for number, _ in outcome.errors.values()):
            # Among other things that says: the object which the route names is not there.
            self._recheck_objects()

    def _flush_objects(self) -> None:
        if self.objects.ways.pending:
            self._objects_gone(self.objects.flush())

    def _recheck_objects(self) -> None:
        self._objects_gone(self.objects.recheck())
        self._redirect(self.objects.ways.align())
        self._objects_heard = False

    def _objects_gone(self, lost: set[int]) -> None:
        """The kernel dropped groups, and routes with them: look at these routes."""
        if lost:
            lost = {self.objects.ways.aliases.get(number, number) for number in lost}
            for fib in self.fibs.values():
                fib.objects_gone(lost)

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    # Hearing.

    def _hear(self) -> None:
        try:
            for data in self._monitor.read():
                for message in messages(data):
                    self._heard(data, message)
        except Overrun:
            self._neighbourhood.replace_all(self._dumps.links(), self._dumps.addresses())
            self._scan_soon()
        if self._objects_heard:
            self._recheck_objects()
            self._flush_objects()
        self._react(self._neighbourhood.changes())
        self._report()
        if any(fib.pending for fib in self.fibs.values()):
            self.pump_soon()
        else:
            self._arm()

    def _heard(self, data: bytes, message: Message) -> None:
        if message.type not in (RTM_NEWROUTE, RTM_DELROUTE):
            if message.type in (RTM_NEWNEXTHOP, RTM_DELNEXTHOP):
                self._heard_object(data, message)
            else:
                self._neighbourhood.hear(data, message)
            return
        read = self._reader.read(data, message.start, message.end)
        if read is None:
            return
        nlri, shape = read
        there = message.type == RTM_NEWROUTE
        fib = self.fibs[shape.afi]
        if shape.protocol != self._protocol:
            self._heard_foreign(shape.afi, shape.route(nlri), there, message.flags)
        elif shape.table == self._table and not shape.tos:
            if there:
                replaced = bool(message.flags & NLM_F_REPLACE)
                fib.own_seen(nlri, shape.forwarding, replaced=replaced)
            else:
                fib.own_gone(nlri, shape.forwarding)

    def _heard_object(self, data: bytes, message: Message) -> None:
        number = read_object(data, message.start, message.end).number
        if self.objects.ways.numbers.owns(number):
            self._objects_heard = True
        elif not self.objects.compat:
            # Foreign routes that name it lead elsewhere now, and nobody will tell.
            self._reader.forget()
            self._objects_heard = True
            self._scan_soon()

    def _heard_foreign(self, afi: Afi, route: KernelRoute, there: bool, flags: int) -> None:
        ours = route.table == self._table
        if not ours and route.table not in self._learned:
            return
        fib, foreign = self.fibs[afi], self._foreign[afi]
        if there:
            foreign.added(route, flags)
            if ours:
                replaced = bool(flags & NLM_F_REPLACE)
                fib.foreign_seen(route, replaced=replaced, now=self._loop.time())
        else:
            foreign.removed(route)
            if ours:
                fib.foreign_gone(route.nlri)

    def _react(self, changes: list[LinksChanged | AddressesChanged]) -> None:
        """Links or addresses changed: refused routes may work now, and others may have gone."""
        if not changes:
            return
        # The kernel drops objects of a link that goes, and IPv4 routes of a link or source address,
        # and tells nobody.
        if self._neighbourhood.fell:
            self._routes.wait_for_others()
            self._recheck_objects()
            self._scan_soon()
        self.objects.ways.retry()
        for fib in self.fibs.values():
            fib.retry()
        self.pump_soon()
        self._tell(list(changes))

    # Scanning.

    def _scan_soon(self) -> None:
        due = max(self._loop.time() + SCAN_DELAY, self._scan_not_before)
        if due < self._scan_due:
            self._scan_due = due
            self._arm()

    def _scan(self) -> None:
        self._routes.wait_for_others()
        start = self._loop.time()
        self._recheck_objects()
        self._reader.forget()
        for afi, fib in self.fibs.items():
            fib.resync(self._read_routes(afi), start)
        self._collect_objects()
        end = self._loop.time()
        self._scan_not_before = end + SCAN_SHARE * (end - start)
        self._scan_due = end + max(self._scan_interval, IDLE_SHARE * (end - start))

    def _collect_objects(self) -> None:
        """Remove objects that no route names: neither one that we know of nor one just read."""
        used = self._reader.named()
        if used is None or any(fib.pending for fib in self.fibs.values()):
            return
        for fib in self.fibs.values():
            used |= fib.named()
        self.objects.collect(used)

    def _read_routes(self, afi: Afi) -> Found:
        """Dump our table and the learned ones; foreign routes are noted, ours returned."""
        for _ in range(DUMP_ATTEMPTS):
            found, foreign, whole = self._dump_routes(afi)
            if whole:
                break
        for nlri in self._foreign[afi].replace_all(foreign):
            self.fibs[afi].foreign_gone(nlri)
        return found

    # hot: per prefix
    def _dump_routes(self, afi: Afi) -> tuple[Found, dict[Nlri, list[KernelRoute]], bool]:
        found = Found()
        foreign: dict[Nlri, list[KernelRoute]] = {}
        whole = True
        read, add = self._reader.read, found.add
        for table in sorted(self._learned | {self._table}):
            for data, message in self._dumps.routes(afi, table):
                route = read(data, message.start, message.end)
                if route is None or route[1].table != table:
                    continue
                nlri, shape = route
                if shape.protocol != self._protocol:
                    foreign.setdefault(nlri, []).append(shape.route(nlri))
                elif table == self._table and not shape.tos:
                    add(nlri, shape.forwarding)
            whole = whole and not self._dumps.interrupted
        return found, foreign, whole

    # Telling, and time.

    def _report(self) -> None:
        events: list[KernelEvent] = []
        for afi, foreign in self._foreign.items():
            changes = foreign.changes()
            learned = tuple((nlri, self._only_learned(routes)) for nlri, routes in changes)
            if learned:
                events.append(RoutesChanged(afi, learned))
        for fib in self.fibs.values():
            events += fib.events()
        if events:
            self._tell(events)

    def _only_learned(self, routes: tuple[KernelRoute, ...]) -> tuple[KernelRoute, ...]:
        return tuple(route for route in routes if route.table in self._learned)

    def _learnable(self, afi: Afi) -> dict[Nlri, tuple[KernelRoute, ...]]:
        learned = {
            nlri: self._only_learned(routes) for nlri, routes in self._foreign[afi].routes.items()
        }
        return {nlri: routes for nlri, routes in learned.items() if routes}

    def _arm(self) -> None:
        """Set the one alarm to whatever is due first."""
        dues = [self._scan_due]
        for fib in self.fibs.values():
            due = fib.next_retry
            if due is not None:
                dues.append(due)
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(min(dues), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._loop.time() >= self._scan_due:
            self._scan()
        self.pump_soon()
