"""The forwarding table: desired minus installed.

A `Fib` knows, for one address family, what each prefix is to be (`desired`), what we believe the
kernel has of ours (`speaker.kernel.holdings`), and which prefixes have to be looked at
(`speaker.kernel.agenda`). Whatever happens, a prefix is put on the agenda, and when its turn comes
the difference between the two tables *is* the next request; so bursts coalesce by themselves, and
an event that was misread costs a scan, never a wrong route. There are no sockets here and no clock:
`take` gives requests, `settle` is told how they went.

The rules that keep others safe, and traffic flowing:

- A new route is made with *fail if anything is there*; only a place known as ours is replaced.
- A foreign route in our place (prefix and metric) holds ours back until it goes, and that is told.
  One that displaced ours is different: our route was changed by somebody, and is put back, though
  not for ever (`speaker.kernel.thefts`).
- A wanted route is never removed and made again: the same metric is replaced in place, and for
  another metric, which is another route to the kernel, the new one is made first.
- Routes of ours found at the start are *adopted*: they stay until somebody wants the prefix
  otherwise, or until `sweep` says that whoever has not asked by now will not.
- A refused route is tried again with growing pauses, and at once when links or addresses change.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from os import strerror

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.kernel.agenda import Agenda
from speaker.kernel.foreign import ForeignRoutes
from speaker.kernel.holdings import Holdings, common, distinct, renumber
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
from speaker.kernel.thefts import Thefts
from speaker.kernel.troubles import Hitch, Troubles

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
        self.adopted: set[Nlri] = set()
        self.wants_scan = False
        self._table = table
        self._foreign = foreign
        self._forwardings = forwardings
        self._held = Holdings(afi, forwardings)
        self._troubles = Troubles()
        self._thefts = Thefts()
        self._agenda = Agenda()
        self._swept = False
        self._events: list[KernelEvent] = []

    @property
    def installed(self) -> Mapping[Nlri, Forwarding]:
        """What we believe the kernel has of ours: for each prefix the route that counts."""
        return self._held.routes

    @property
    def pending(self) -> int:
        """How many prefixes are still to be looked at."""
        return len(self._agenda)

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
            self._agenda.add(nlris)

    def sweep(self) -> int:
        """Give up the adopted routes that nobody has wanted; return their number."""
        unwanted = list(self.adopted)
        self.adopted.clear()
        self._swept = True
        self._agenda.add(unwanted)
        if unwanted:
            self._events.append(Swept(self.afi, len(unwanted)))
        return len(unwanted)

    def withdraw_all(self) -> None:
        """Want nothing any more, the adopted routes included."""
        self.desired.clear()
        self.adopted.clear()
        # Last in, first out: the kernel's IPv4 trie suffers when a dense range goes from its front.
        self._agenda.add([*reversed(self._held.routes), *self._held.extras])

    def retry(self) -> None:
        """Try refused routes at once: links or addresses are others now."""
        self._agenda.add(self._troubles.hurry())

    @property
    def next_retry(self) -> float | None:
        """When the next refused route is due for another try."""
        return self._troubles.next_retry

    def wake(self, now: float) -> None:
        """Put what is due for another try in the queue."""
        self._agenda.add(self._troubles.due(now))

    # What is asked of the kernel.

    def take(self, limit: int, now: float) -> list[Run]:
        """Give the next requests; `settle` has to follow before the next `take`.

        A prefix occurs once only, since the outcome of one request decides on the next.
        """
        runs: list[Run] = []
        seen: set[Nlri] = set()
        for nlris in self._agenda.take(limit):
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
        held = self._held
        specials = (
            self._troubles,
            held.extras,
            self._foreign.routes,
            self.adopted,
            held.doubled,
        )
        for special in specials:
            if special and not distinct.isdisjoint(special):
                return None
        alike, wanted = common(self.desired, nlris)
        if not alike:
            return None
        alike, current = common(held.routes, nlris)
        request = _request(wanted, current) if alike else None
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
        self._agenda.add(again)

    def _decide(self, nlri: Nlri, now: float) -> tuple[Verb, Forwarding] | None:
        """Say what is to be asked for one prefix; None: nothing, or not yet."""
        wanted = self.desired.get(nlri)
        trouble = self._troubles.get(nlri)
        if trouble and trouble.forwarding is wanted and trouble.due > now:
            return None
        if wanted is None:
            return self._decide_unwanted(nlri)
        current = self._held.current(nlri, wanted.metric)
        if current is not None and nlri in self._held.doubled:
            # One of the two goes, no matter which: the other is replaced.
            return Verb.REMOVE, current
        if current is wanted or current == wanted:
            self._troubles.pop(nlri, None)
            return self._remove_extra(nlri)
        holder = self._foreign.holding(nlri, self._table, wanted.metric)
        if holder is None:
            verb = Verb.ADD if current is None else Verb.REPLACE
            return verb, wanted
        if nlri in self._thefts:
            return Verb.REPLACE, wanted
        self._hold_back(nlri, wanted, holder)
        return None

    def _decide_unwanted(self, nlri: Nlri) -> tuple[Verb, Forwarding] | None:
        if nlri in self.adopted:
            return None
        self._thefts.settle(nlri)
        current = self._held.routes.get(nlri)
        if current is not None:
            return Verb.REMOVE, current
        request = self._remove_extra(nlri)
        if request is None:
            self._troubles.pop(nlri, None)
        return request

    def _remove_extra(self, nlri: Nlri) -> tuple[Verb, Forwarding] | None:
        extra = self._held.extra(nlri)
        return None if extra is None else (Verb.REMOVE, extra)

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
        if not nlris:
            return
        if run.verb is Verb.REMOVE:
            self._all_removed(run, nlris)
            return
        self._agenda.add(self._held.made(nlris, run.forwarding))
        if self._troubles:
            self._troubles.forget(nlris)
        if self._thefts:
            for nlri in nlris:
                if self._thefts.settle(nlri):
                    self._foreign.overwritten(nlri, self._table, run.forwarding.metric)

    # hot: per prefix
    def _all_removed(self, run: Run, nlris: list[Nlri]) -> None:
        held = self._held
        special = self._troubles or held.extras or held.doubled
        alike, old = common(held.routes, nlris)
        if special or not alike or old is not run.forwarding:
            for nlri in nlris:
                self._removed(nlri, run.forwarding)
            return
        deque(map(held.routes.pop, nlris), 0)
        if not self.desired.keys().isdisjoint(nlris):
            self._agenda.add([nlri for nlri in nlris if nlri in self.desired])

    def _removed(self, nlri: Nlri, forwarding: Forwarding) -> None:
        self._troubles.pop(nlri, None)
        if nlri in self._held.doubled:
            self._held.doubled.discard(nlri)
            self._agenda.add([nlri])
            return
        self._held.forget(nlri, forwarding.metric)
        if nlri in self._held.extras or nlri in self.desired:
            self._agenda.add([nlri])

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
        self.adopted = set(self._held.routes)
        return len(self.adopted)

    def resync(self, found: Found, now: float) -> None:
        """Take in our routes as a scan shows them, and look at every difference."""
        before = self._held.routes
        self.wants_scan = False
        self._take_found(found)
        unclear = self._troubles.of(Hitch.UNCLEAR)
        self._troubles.forget(unclear)
        self._agenda.add(unclear)
        self.adopted.intersection_update(self._held.routes)
        different = [] if before == self._held.routes else self._differences(before)
        for nlri in different:
            old = before.get(nlri)
            if old is None:
                self._adopt_late(nlri)
            elif self._foreign.holding(nlri, self._table, old.metric):
                self._thefts.note(nlri, now)
        self._agenda.add(different)
        self._repairing([n for n in different if n in before and n in self.desired])

    def _take_found(self, found: Found) -> None:
        self._held.replace_all(found, self.desired)
        self._agenda.add(list(self._held.extras))

    def _differences(self, before: dict[Nlri, Forwarding]) -> list[Nlri]:
        after = self._held.routes
        different = [
            n for n, old in before.items() if (new := after.get(n)) is not old and new != old
        ]
        different += [n for n in after if n not in before]
        return different

    def _adopt_late(self, nlri: Nlri) -> None:
        """Before the sweep, a route of ours that turns up is as good as one found at the start."""
        if not self._swept and nlri not in self.desired:
            self.adopted.add(nlri)

    def own_seen(self, nlri: Nlri, seen: Forwarding, *, replaced: bool = False) -> None:
        """Take in that somebody made or changed a route that bears our protocol."""
        current = self._held.routes.get(nlri)
        if current == seen:
            return
        if current is None:
            self._adopt_late(nlri)
        self._held.seen(nlri, seen, replaced=replaced)
        wanted = self.desired.get(nlri)
        self._agenda.add([nlri])
        if wanted is not None and wanted != seen:
            self._repairing([nlri])

    def own_gone(self, nlri: Nlri, seen: Forwarding) -> None:
        """Take in that somebody, or the kernel itself, removed a route of ours or hops of it."""
        if not self._held.lost(nlri, seen):
            return
        if nlri not in self._held.routes:
            self.adopted.discard(nlri)
        self._agenda.add([nlri])
        if nlri in self.desired:
            self._repairing([nlri])

    def foreign_seen(self, route: KernelRoute, replaced: bool, now: float) -> None:
        """Take in that a foreign route stands in our table; perhaps it displaced one of ours."""
        nlri = route.nlri
        current = self._held.routes.get(nlri)
        if route.tos or not replaced or current is None or current.metric != route.metric:
            return
        self._held.forget(nlri, route.metric)
        self.adopted.discard(nlri)
        self._thefts.note(nlri, now)
        self._agenda.add([nlri])
        if nlri in self.desired:
            self._repairing([nlri])

    def foreign_gone(self, nlri: Nlri) -> None:
        """Take in that a foreign route went: what it held back may be installed now."""
        self._thefts.settle(nlri)
        if nlri in self.desired:
            self._agenda.add([nlri])

    def objects_gone(self, numbers: Collection[int]) -> None:
        """Take in that the kernel has dropped next-hop objects, and every route that named them."""
        gone = self._held.objects_gone(numbers)
        self.adopted.difference_update(gone)
        self._agenda.add(gone)
        self._repairing([nlri for nlri in gone if nlri in self.desired])

    def renumber(self, old: int, new: int) -> None:
        """Take in that routes which name one next-hop object count as naming another."""
        renumber(self.afi, self.desired, self._forwardings, old, new)
        self._held.renumber(old, new)

    def redirect(self, old: int, new: int) -> None:
        """Want routes to name another next-hop object than they do; each is replaced in place."""
        self._agenda.add(renumber(self.afi, self.desired, self._forwardings, old, new))

    def named(self) -> set[int]:
        """List the next-hop objects that routes name or are to name."""
        return {route.nexthop for route in distinct(self.desired)} | self._held.named()

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
