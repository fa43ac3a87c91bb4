"""The forwarding table: desired minus installed.

A `Fib` knows, for one address family, what each prefix is to be (`desired`), what we believe the
kernel has of ours (`installed`), and which prefixes have to be looked at (a queue). Whatever
happens, a prefix is put in the queue, and when its turn comes the difference between the two tables
*is* the next request; so bursts coalesce by themselves, and an event that was misread costs a scan,
never a wrong route. There are no sockets here and no clock: `take` gives requests, `settle` is
told how they went.

The rules that keep others safe, and traffic flowing:

- A new route is made with *fail if anything is there*; only a place known as ours is replaced.
- A foreign route in our place (prefix and metric) holds ours back until it goes, and that is told.
  One that displaced ours is different: our route was changed by somebody, and is put back. After
  `MAX_THEFTS` of that within a minute we give in, for two programs could go on for ever.
- A wanted route is never removed and made again: the same metric is replaced in place, and for
  another metric, which is another route to the kernel, the new one is made first.
- Routes of ours found at the start are *adopted*: they stay until somebody wants the prefix
  otherwise, or until `sweep` says that whoever has not asked by now will not.
- A refused route is tried again with growing pauses, and at once when links or addresses change.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import strerror

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.kernel.foreign import ForeignRoutes
from speaker.kernel.requests import Found, Run
from speaker.kernel.routes import (
    Forwarding,
    Forwardings,
    KernelEvent,
    KernelRoute,
    RouteConflict,
    RoutesRefused,
    RoutesRepaired,
    Swept,
)
from speaker.kernel.stamps import Verb
from speaker.kernel.troubles import Hitch, Troubles

MAX_THEFTS, THEFT_MEMORY = 5, 60.0
"""So often within so many seconds a place is taken back from a foreign route."""

WORTHWHILE = 16
"""From so many prefixes on it pays to ask whether they are all alike."""

GONE = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})
"""What the kernel answers when the route to be removed is not there."""


class Fib:
    """The routes of one address family in our table.

    Args:
        afi: the address family.
        table: our routing table.
        foreign: the foreign routes of the family, kept up to date by whoever hears the kernel.
        forwardings: where forwardings are interned.
    """

    def __init__(
        self, afi: Afi, table: int, foreign: ForeignRoutes, forwardings: Forwardings
    ) -> None:
        self.afi = afi
        self.desired: dict[Nlri, Forwarding] = {}
        self.installed: dict[Nlri, Forwarding] = {}
        self.adopted: set[Nlri] = set()
        self.wants_scan = False
        self._table = table
        self._foreign = foreign
        self._forwardings = forwardings
        self._extras: dict[Nlri, dict[int, Forwarding]] = {}
        self._troubles = Troubles()
        self._thefts: dict[Nlri, list[float]] = {}
        self._stolen: set[Nlri] = set()
        self._swept = False
        self._queue: deque[Sequence[Nlri]] = deque()
        self._pending = 0
        self._events: list[KernelEvent] = []

    @property
    def pending(self) -> int:
        """How many prefixes are still to be looked at."""
        return self._pending

    def events(self) -> list[KernelEvent]:
        """Give what is to be told since last asked."""
        events, self._events = self._events, []
        return events

    def why(self, nlri: Nlri) -> str:
        """Say why a wanted route is not in the kernel; empty when nothing is wrong."""
        trouble = self._troubles.get(nlri)
        return f"{trouble.hitch.value}: {trouble.text}" if trouble else ""

    # What is wanted.

    def want(self, batch: Iterable[tuple[Forwarding | None, Sequence[Nlri]]]) -> None:
        """Take in how prefixes are to be installed from now on; None: not at all."""
        for forwarding, nlris in batch:
            if forwarding is None:
                for nlri in nlris:
                    self.desired.pop(nlri, None)
            else:
                wanted = self._forwardings.intern(self.afi, forwarding)
                self.desired.update(dict.fromkeys(nlris, wanted))
            if self.adopted:
                self.adopted.difference_update(nlris)
            self._look_at(nlris)

    def sweep(self) -> int:
        """Give up the adopted routes that nobody has wanted; return their number."""
        unwanted = list(self.adopted)
        self.adopted.clear()
        self._swept = True
        self._look_at(unwanted)
        if unwanted:
            self._events.append(Swept(self.afi, len(unwanted)))
        return len(unwanted)

    def withdraw_all(self) -> None:
        """Want nothing any more, the adopted routes included."""
        self.desired.clear()
        self.adopted.clear()
        # Last in, first out: the kernel's IPv4 trie suffers when a dense range goes from its front.
        self._look_at([*reversed(self.installed), *self._extras])

    def retry(self) -> None:
        """Try refused routes at once: links or addresses are others now."""
        self._look_at(self._troubles.hurry())

    @property
    def next_retry(self) -> float | None:
        """When the next refused route is due for another try."""
        return self._troubles.next_retry

    def wake(self, now: float) -> None:
        """Put what is due for another try in the queue."""
        self._look_at(self._troubles.due(now))

    def _look_at(self, nlris: Sequence[Nlri]) -> None:
        if nlris:
            self._queue.append(nlris)
            self._pending += len(nlris)

    # What is asked of the kernel.

    def take(self, limit: int, now: float) -> list[Run]:
        """Give the next requests; `settle` has to follow before the next `take`.

        A prefix occurs once only, since the outcome of one request decides on the next.
        """
        runs: list[Run] = []
        seen: set[Nlri] = set()
        for nlris in self._next(limit):
            run = self._alike(nlris, seen) if len(nlris) >= WORTHWHILE else None
            if run is not None:
                runs.append(run)
            else:
                self._one_by_one(nlris, seen, runs, now)
        return runs

    # hot: per prefix
    def _alike(self, nlris: Sequence[Nlri], seen: set[Nlri]) -> Run | None:
        """Make one request of prefixes that nothing is special about, and which go one way.

        Everything per prefix happens in loops of the interpreter's own.
        """
        distinct = set(nlris)
        if len(distinct) != len(nlris) or not seen.isdisjoint(distinct):
            return None
        for special in (self._troubles, self._extras, self._foreign.routes, self.adopted):
            if special and not distinct.isdisjoint(special):
                return None
        wanted, current = _common(self.desired, nlris), _common(self.installed, nlris)
        if len(wanted) > 1 or len(current) > 1:
            return None
        request = _request(wanted[0], current[0])
        if request is None:
            return None
        seen |= distinct
        return Run(*request, list(nlris))

    # hot: per prefix
    def _one_by_one(
        self, nlris: Sequence[Nlri], seen: set[Nlri], runs: list[Run], now: float
    ) -> None:
        again = []
        for nlri in nlris:
            if nlri in seen:
                again.append(nlri)
                continue
            request = self._decide(nlri, now)
            if request is None:
                continue
            seen.add(nlri)
            verb, forwarding = request
            if not runs or runs[-1].forwarding is not forwarding or runs[-1].verb is not verb:
                runs.append(Run(verb, forwarding, []))
            runs[-1].nlris.append(nlri)
        self._look_at(again)

    def _next(self, limit: int) -> list[Sequence[Nlri]]:
        """Take prefixes off the queue, in pieces."""
        taken: list[Sequence[Nlri]] = []
        room = limit
        while self._queue and room:
            nlris = self._queue.popleft()
            if len(nlris) > room:
                # The rest keeps its place.
                self._queue.extendleft(reversed(_pieces(nlris, room)))
                nlris = nlris[:room]
            taken.append(nlris)
            room -= len(nlris)
        self._pending -= limit - room
        return taken

    def _decide(self, nlri: Nlri, now: float) -> tuple[Verb, Forwarding] | None:
        """Say what is to be asked for one prefix; None: nothing, or not yet."""
        wanted = self.desired.get(nlri)
        trouble = self._troubles.get(nlri)
        if trouble and trouble.forwarding is wanted and trouble.due > now:
            return None
        if wanted is None:
            return self._decide_unwanted(nlri)
        current = self._current(nlri, wanted.metric)
        if current is wanted or current == wanted:
            self._troubles.pop(nlri, None)
            return self._remove_extra(nlri)
        holder = self._foreign.holding(nlri, self._table, wanted.metric)
        if holder is None:
            verb = Verb.ADD if current is None else Verb.REPLACE
            return verb, wanted
        if nlri in self._stolen:
            return Verb.REPLACE, wanted
        self._hold_back(nlri, wanted, holder)
        return None

    def _decide_unwanted(self, nlri: Nlri) -> tuple[Verb, Forwarding] | None:
        if nlri in self.adopted:
            return None
        self._stolen.discard(nlri)
        current = self.installed.get(nlri)
        if current is not None:
            return Verb.REMOVE, current
        request = self._remove_extra(nlri)
        if request is None:
            self._troubles.pop(nlri, None)
        return request

    def _current(self, nlri: Nlri, metric: int) -> Forwarding | None:
        """Find our route with a metric, and make it the one we count as installed."""
        current = self.installed.get(nlri)
        if current is not None and current.metric == metric:
            return current
        extras = self._extras.get(nlri)
        if not extras or metric not in extras:
            return None
        found = extras.pop(metric)
        if current is not None:
            extras[current.metric] = current
        elif not extras:
            del self._extras[nlri]
        self.installed[nlri] = found
        return found

    def _remove_extra(self, nlri: Nlri) -> tuple[Verb, Forwarding] | None:
        extras = self._extras.get(nlri)
        return (Verb.REMOVE, next(iter(extras.values()))) if extras else None

    def _hold_back(self, nlri: Nlri, wanted: Forwarding, holder: KernelRoute) -> None:
        text = f"a route of protocol {holder.protocol} holds its place"
        if self._troubles.conflict(nlri, wanted, text):
            self._events.append(RouteConflict(self.afi, nlri, holder))

    # How it went.

    def settle(
        self, runs: Iterable[Run], errors: Mapping[int, tuple[int, str]], now: float
    ) -> None:
        """Take in the outcome of the requests given last.

        Args:
            runs: as `take` gave them.
            errors: by place in the batch: errno and the kernel's words; all others succeeded.
            now: monotonic seconds.
        """
        refused: dict[tuple[int, str], list[Nlri]] = {}
        start = 0
        for run in runs:
            end = start + len(run.nlris)
            failed = {i: errors[i] for i in range(start, end) if i in errors} if errors else {}
            done = run.nlris
            if failed:
                done = [n for i, n in enumerate(run.nlris, start) if i not in failed]
            self._succeeded(run, done)
            for index, (number, text) in failed.items():
                nlri = run.nlris[index - start]
                if self._failed(run, nlri, number, text, now):
                    refused.setdefault((number, text), []).append(nlri)
            start = end
        for (number, text), nlris in refused.items():
            self._events.append(RoutesRefused(self.afi, tuple(nlris), number, text))

    def doubt(self, runs: Iterable[Run]) -> None:
        """Take in that the outcome of requests was lost: ask for a scan, then look again."""
        for run in runs:
            for nlri in run.nlris:
                self._troubles.unclear(nlri, self.desired.get(nlri), "the kernel's answer was lost")
        self.wants_scan = True

    # hot: per prefix
    def _succeeded(self, run: Run, nlris: list[Nlri]) -> None:
        if run.verb is Verb.REMOVE:
            for nlri in nlris:
                self._removed(nlri, run.forwarding)
            return
        if self._extras or not self.installed.keys().isdisjoint(nlris):
            self._keep_other_metrics(nlris, run.forwarding)
        self.installed.update(dict.fromkeys(nlris, run.forwarding))
        if self._troubles:
            self._troubles.forget(nlris)
        if self._stolen:
            for nlri in nlris:
                if nlri in self._stolen:
                    self._stolen.discard(nlri)
                    self._foreign.overwritten(nlri, self._table, run.forwarding.metric)

    def _keep_other_metrics(self, nlris: list[Nlri], forwarding: Forwarding) -> None:
        """Remember routes of another metric beside the new one; now they may go."""
        installed = self.installed.get
        for nlri in nlris:
            old = installed(nlri)
            if old is not None and old.metric != forwarding.metric:
                self._extras.setdefault(nlri, {})[old.metric] = old
                self._look_at([nlri])
            elif nlri in self._extras:
                self._look_at([nlri])

    def _removed(self, nlri: Nlri, forwarding: Forwarding) -> None:
        self._troubles.pop(nlri, None)
        self._forget(nlri, forwarding.metric)
        if nlri in self._extras or nlri in self.desired:
            self._look_at([nlri])

    def _forget(self, nlri: Nlri, metric: int) -> Forwarding | None:
        """Strike out our route with a metric."""
        current = self.installed.get(nlri)
        if current is not None and current.metric == metric:
            return self.installed.pop(nlri)
        extras = self._extras.get(nlri, {})
        found = extras.pop(metric, None)
        if not extras:
            self._extras.pop(nlri, None)
        return found

    def _failed(self, run: Run, nlri: Nlri, number: int, text: str, now: float) -> bool:
        """Take in one refusal; tell whether it is news."""
        if run.verb is Verb.REMOVE and number in GONE:
            self._removed(nlri, run.forwarding)
            return False
        wanted = None if run.verb is Verb.REMOVE else run.forwarding
        text = text or strerror(number)
        if number == errno.EEXIST:
            self._troubles.unclear(nlri, wanted, text)
            self.wants_scan = True
            return False
        return self._troubles.refused(nlri, wanted, text, now)

    # What others did.

    def adopt(self, found: Found) -> int:
        """Take in our routes as they are found at the start; return their number."""
        self._take_found(found)
        self.adopted = set(self.installed)
        return len(self.adopted)

    def resync(self, found: Found, now: float) -> None:
        """Take in our routes as a scan shows them, and look at every difference."""
        before = self.installed
        self.wants_scan = False
        self._take_found(found)
        unclear = self._troubles.of(Hitch.UNCLEAR)
        self._troubles.forget(unclear)
        self._look_at(unclear)
        self.adopted.intersection_update(self.installed)
        different = [] if before == self.installed else self._differences(before)
        for nlri in different:
            old = before.get(nlri)
            if old is None:
                self._adopt_late(nlri)
            elif self._foreign.holding(nlri, self._table, old.metric):
                self._note_theft(nlri, now)
        self._look_at(different)
        self._repairing([n for n in different if n in before and n in self.desired])

    def _take_found(self, found: Found) -> None:
        self.installed = found.routes
        self._extras = {}
        for nlri, more in found.more.items():
            every = {route.metric: route for route in [found.routes[nlri], *more]}
            wanted = self.desired.get(nlri)
            # Of several the lowest metric is the one that forwards.
            best = wanted.metric if wanted and wanted.metric in every else min(every)
            self.installed[nlri] = every.pop(best)
            if every:
                self._extras[nlri] = every
        self._look_at(list(self._extras))

    def _differences(self, before: dict[Nlri, Forwarding]) -> list[Nlri]:
        after = self.installed
        different = [
            n for n, old in before.items() if (new := after.get(n)) is not old and new != old
        ]
        different += [n for n in after if n not in before]
        return different

    def _adopt_late(self, nlri: Nlri) -> None:
        """Before the sweep, a route of ours that turns up is as good as one found at the start."""
        if not self._swept and nlri not in self.desired:
            self.adopted.add(nlri)

    def own_seen(self, nlri: Nlri, seen: Forwarding) -> None:
        """Take in that somebody made or changed a route that bears our protocol."""
        current = self.installed.get(nlri)
        wanted = self.desired.get(nlri)
        if current is None:
            self.installed[nlri] = seen
            self._adopt_late(nlri)
        elif current == seen:
            return
        elif current.metric == seen.metric:
            self.installed[nlri] = seen
        else:
            self._extras.setdefault(nlri, {})[seen.metric] = seen
        self._look_at([nlri])
        if wanted is not None and wanted != seen:
            self._repairing([nlri])

    def own_gone(self, nlri: Nlri, seen: Forwarding) -> None:
        """Take in that somebody, or the kernel itself, removed a route of ours or hops of it."""
        gone = self._forget(nlri, seen.metric)
        if gone is None:
            return
        left = tuple(hop for hop in gone.hops if hop not in seen.hops)
        if self.afi is Afi.IPV6 and left and left != gone.hops:
            self.installed[nlri] = self._forwardings.intern(self.afi, replace(gone, hops=left))
        elif nlri not in self.installed:
            self.adopted.discard(nlri)
        self._look_at([nlri])
        if nlri in self.desired:
            self._repairing([nlri])

    def foreign_seen(self, route: KernelRoute, replaced: bool, now: float) -> None:
        """Take in that a foreign route stands in our table; perhaps it displaced one of ours."""
        nlri = route.nlri
        current = self.installed.get(nlri)
        if route.tos or not replaced or current is None or current.metric != route.metric:
            return
        self._forget(nlri, route.metric)
        self.adopted.discard(nlri)
        self._note_theft(nlri, now)
        self._look_at([nlri])
        if nlri in self.desired:
            self._repairing([nlri])

    def foreign_gone(self, nlri: Nlri) -> None:
        """Take in that a foreign route went: what it held back may be installed now."""
        self._stolen.discard(nlri)
        if nlri in self.desired:
            self._look_at([nlri])

    def _note_theft(self, nlri: Nlri, now: float) -> None:
        times = [t for t in self._thefts.get(nlri, ()) if now - t < THEFT_MEMORY]
        self._thefts[nlri] = [*times, now]
        if len(times) < MAX_THEFTS:
            self._stolen.add(nlri)

    def _repairing(self, nlris: list[Nlri]) -> None:
        if nlris:
            self._events.append(RoutesRepaired(self.afi, tuple(nlris)))


def _request(
    wanted: Forwarding | None, current: Forwarding | None
) -> tuple[Verb, Forwarding] | None:
    """Say what takes a route of ours from what it is to what it shall be, if one request does."""
    if wanted is None:
        return None if current is None else (Verb.REMOVE, current)
    if current is None:
        return Verb.ADD, wanted
    if current is wanted or current.metric != wanted.metric or current == wanted:
        return None
    return Verb.REPLACE, wanted


def _common(table: dict[Nlri, Forwarding], nlris: Sequence[Nlri]) -> list[Forwarding | None]:
    """List the different objects that a table has for prefixes."""
    values = list(map(table.get, nlris))
    # By identity: a forwarding's own hash is computed in Python.
    return list(dict(zip(map(id, values), values, strict=True)).values())


def _pieces(nlris: Sequence[Nlri], start: int) -> list[Sequence[Nlri]]:
    """Cut the rest of a long list so that taking from it over and over stays cheap."""
    size = max(4096, (len(nlris) - start) // 64)
    return [nlris[at : at + size] for at in range(start, len(nlris), size)]
