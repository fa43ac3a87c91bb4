"""A small kernel: routing tables as the Fib sees them, with refusals and meddlers on demand."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.kernel.fib import Fib
from speaker.kernel.foreign import NLM_F_REPLACE, ForeignRoutes
from speaker.kernel.requests import Found, Run
from speaker.kernel.routes import Forwarding, Forwardings
from speaker.kernel.stamps import Verb
from speaker.rib.underlay import KernelRoute

OURS, OTHERS = 12, 4
Place = tuple[Nlri, int]


@dataclass
class Tables:
    """One IPv4 table: a place (prefix, metric) holds one route, ours or another's."""

    places: dict[Place, tuple[int, Forwarding]] = field(default_factory=dict)
    refuse: Callable[[Nlri], int] = lambda _: 0
    stolen: set[Place] = field(default_factory=set)

    def ours(self) -> dict[Place, Forwarding]:
        return {place: f for place, (owner, f) in self.places.items() if owner == OURS}

    def perform(self, runs: list[Run]) -> dict[int, tuple[int, str]]:
        """Do as the kernel does with a batch; complain of what no one may ask."""
        errors = {}
        requests = [(run, nlri) for run in runs for nlri in run.nlris]
        assert len({nlri for _, nlri in requests}) == len(requests), "a prefix occurs twice"
        for index, (run, nlri) in enumerate(requests):
            number = self._perform(run.verb, nlri, run.forwarding)
            if number:
                errors[index] = (number, errno.errorcode[number])
        return errors

    def _perform(self, verb: Verb, nlri: Nlri, forwarding: Forwarding) -> int:
        place = (nlri, forwarding.metric)
        held = self.places.get(place)
        refused = self.refuse(nlri)
        if refused:
            return refused
        if verb is Verb.REMOVE:
            if held is None or held[0] != OURS:
                return errno.ESRCH
            del self.places[place]
            return 0
        if verb is Verb.ADD and held is not None:
            return errno.EEXIST
        if held is not None and held[0] != OURS:
            assert place in self.stolen, "a foreign route was overwritten"
        self.stolen.discard(place)
        self.places[place] = (OURS, forwarding)
        return 0


@dataclass
class World:
    """A Fib, its kernel, and the way notifications take between them."""

    tables: Tables = field(default_factory=Tables)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew with what the kernel has, as after a crash."""
        self.foreign = ForeignRoutes(Afi.IPV4)
        self.forwardings = Forwardings()
        self.fib = Fib(Afi.IPV4, 254, self.foreign, self.forwardings)
        self.fib.adopt(self._dump())

    def _dump(self) -> Found:
        found = Found()
        others: dict[Nlri, list[KernelRoute]] = {}
        for (nlri, _), (owner, forwarding) in sorted(self.tables.places.items(), key=str):
            if owner == OURS:
                found.add(nlri, self.forwardings.intern(Afi.IPV4, forwarding))
            else:
                others.setdefault(nlri, []).append(self._route(nlri, forwarding))
        for nlri in self.foreign.replace_all(others):
            self.fib.foreign_gone(nlri)
        return found

    def _route(self, nlri: Nlri, forwarding: Forwarding) -> KernelRoute:
        return KernelRoute(nlri, forwarding.kind, forwarding.hops, forwarding.metric, OTHERS, 254)

    def scan(self) -> None:
        self.fib.resync(self._dump(), self.now)

    def push(self, limit: int = 512, *, answers_lost: bool = False) -> None:
        """One round of requests."""
        runs = self.fib.take(limit, self.now)
        errors = self.tables.perform(runs)
        if answers_lost:
            self.fib.doubt(runs)
        else:
            self.fib.settle(runs, errors, self.now)

    def settle(self) -> None:
        """Let time pass until nothing is left to do."""
        for _ in range(200):
            self.fib.wake(self.now)
            if self.fib.wants_scan:
                self.scan()
            if self.fib.pending:
                self.push()
            elif self.fib.next_retry is None and not self.fib.wants_scan:
                return
            else:
                self.now += 1
        raise AssertionError("it does not come to rest")

    def others_put(self, nlri: Nlri, forwarding: Forwarding, *, heard: bool = True) -> None:
        """Somebody runs `ip route replace`."""
        place = (nlri, forwarding.metric)
        held = self.tables.places.get(place)
        if held is not None and held[0] == OURS:
            self.tables.stolen.add(place)
        self.tables.places[place] = (OTHERS, forwarding)
        if heard:
            route = self._route(nlri, forwarding)
            self.foreign.added(route, NLM_F_REPLACE if held else 0)
            self.fib.foreign_seen(route, replaced=held is not None, now=self.now)

    def others_change_ours(self, nlri: Nlri, forwarding: Forwarding, *, heard: bool = True) -> None:
        """Somebody runs `ip route replace … proto bird`."""
        place = (nlri, forwarding.metric)
        held = self.tables.places.get(place)
        if held is None or held[0] != OURS:
            return
        self.tables.places[place] = (OURS, forwarding)
        if heard:
            self.fib.own_seen(nlri, self.forwardings.intern(Afi.IPV4, forwarding))

    def others_remove(self, nlri: Nlri, metric: int, *, heard: bool = True) -> None:
        """Somebody runs `ip route del`."""
        held = self.tables.places.pop((nlri, metric), None)
        self.tables.stolen.discard((nlri, metric))
        if held is None or not heard:
            return
        owner, forwarding = held
        if owner == OURS:
            self.fib.own_gone(nlri, self.forwardings.intern(Afi.IPV4, forwarding))
        else:
            self.foreign.removed(self._route(nlri, forwarding))
            self.fib.foreign_gone(nlri)
