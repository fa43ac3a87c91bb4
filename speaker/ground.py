"""The ground that routes stand on: what the kernel says, and what follows from it.

Events come from the kernel thread in batches and are taken in here, on the loop. Links, addresses
and foreign routes go into the `NextHopTable`; next hops that lead elsewhere now have their paths
ranked and decided again, in slices. In Calico's mode foreign routes also compete in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace

from fsm.family import Afi, Family
from policy.path import Hop, NextHop, Path
from policy.prefix import Nlri, show
from policy.ranking import rank
from speaker import log
from speaker.fib_sink import FibSink
from speaker.kernel.routes import (
    AddressesChanged,
    KernelEvent,
    KernelFailed,
    Link,
    LinksChanged,
    RouteConflict,
    RoutesChanged,
    RoutesRefused,
    RoutesRepaired,
    Snapshot,
    Swept,
)
from speaker.local_routes import LocalRoutes
from speaker.rib.loc_rib import LocRib
from speaker.rib.next_hops import NextHopTable
from speaker.rib.underlay import KernelRoute

REFUSALS = 1000
"""Refused routes that are remembered by name."""

SLICE = 2048
"""Prefixes that are decided again at once after a next hop changed, or installed again."""


class Noted:
    """What the Loc-RIBs have taken notice of, which is little beside the paths.

    To go through it takes a look into the attributes of every path; that is worth it only where
    neighbouring ASes by the thousand have come and gone.
    """

    def __init__(
        self, loc_ribs: Callable[[], Iterable[LocRib]], all_paths: Callable[[], Iterable[Path]]
    ) -> None:
        self._loc_ribs = loc_ribs
        self._all_paths = all_paths

    @property
    def interned(self) -> int:
        """How many neighbouring ASes are kept in mind."""
        return sum(loc_rib.interned for loc_rib in self._loc_ribs())

    def sweep(self) -> Iterable[None]:
        """Keep those of paths that are there; at once."""
        alive = set(self._all_paths())
        for loc_rib in self._loc_ribs():
            loc_rib.sweep(alive)
        return ()


class Ground:
    """What the kernel says, and what follows from it.

    Args:
        next_hops: the table of next hops.
        loc_ribs: gives the tables to decide again.
        local: the node's own routes.
        all_paths: gives every path that may have to be ranked again.
        moved: told which paths have been.

    Attributes:
        sinks: the kernel's tables, told when next hops have moved.
        noted: what the Loc-RIBs keep of paths.
        learns: whether foreign routes compete in the tables.
        ignored_interfaces: patterns of interfaces that are left out of them.
        refused: what the kernel would not take at some time, and why; `still_refused` weeds it.
    """

    def __init__(
        self,
        next_hops: NextHopTable,
        loc_ribs: Callable[[], Iterable[LocRib]],
        local: LocalRoutes,
        all_paths: Callable[[], Iterable[Path]],
        moved: Callable[[set[Path]], None],
    ) -> None:
        self.next_hops = next_hops
        self.sinks: list[FibSink] = []
        self.learns = False
        self.ignored_interfaces: tuple[str, ...] = ()
        self.noted = Noted(loc_ribs, all_paths)
        self.refused: dict[tuple[Afi, Nlri], str] = {}
        self._loc_ribs = loc_ribs
        self._local = local
        self._all_paths = all_paths
        self._tell_moved = moved
        self._walks: list[Iterator[None]] = []
        self._foreign: dict[Afi, dict[Nlri, tuple[KernelRoute, ...]]] = {}
        self._interfaces: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def begin(self, snapshot: Snapshot) -> None:
        """Take in the node as it was found."""
        self._take_names(snapshot.links)
        routes = {afi: list(found.items()) for afi, found in snapshot.routes.items()}
        changed = self.next_hops.update(
            links=snapshot.links, addresses=snapshot.addresses, routes=routes
        )
        self._moved(changed)
        for afi, changes in routes.items():
            self._foreign_changed(afi, changes)
        for afi, count in snapshot.adopted.items():
            if count:
                log.kernel_adopted(afi.name.lower(), count)

    def set_learning(self, *, learns: bool, ignored_interfaces: tuple[str, ...]) -> None:
        """Say whether foreign routes compete in the tables, and which interfaces are left out."""
        if (learns, ignored_interfaces) == (self.learns, self.ignored_interfaces):
            return
        self.learns, self.ignored_interfaces = learns, ignored_interfaces
        self._local.forget_learned()
        if learns:
            self._learn_all()

    def set_static_routes(self, static_routes: Mapping[Afi, Mapping[Nlri, bytes]]) -> None:
        """Say through which gateways our own static routes lead, by family and prefix."""
        self._moved(self.next_hops.set_static_routes(static_routes))

    def interface_index(self, name: str) -> int:
        """Find an interface by name; 0 where there is none."""
        return self._interfaces.get(name, 0)

    def foreign(self, afi: Afi, nlri: Nlri) -> tuple[KernelRoute, ...]:
        """Give the routes to a prefix that others have put into the kernel, best metric first."""
        return self._named(self._foreign.get(afi, {}).get(nlri, ()))

    def still_refused(self, why: Callable[[Afi, Nlri], str]) -> dict[tuple[Afi, Nlri], str]:
        """Forget refusals that are settled, and give those that are not.

        Args:
            why: tells why a prefix is not installed; empty where nothing is wrong.
        """
        self.refused = {key: text for key, text in self.refused.items() if why(*key)}
        return self.refused

    def take(self, events: Iterable[KernelEvent]) -> None:
        """Take in what the kernel thread told."""
        for event in events:
            self._take_one(event)

    def _take_one(self, event: KernelEvent) -> None:
        match event:
            case LinksChanged(links, gone):
                if self._take_names(links, gone) and self.learns:
                    self._learn_all()
                self._moved(self.next_hops.update(links=links, links_gone=gone))
            case AddressesChanged(addresses, gone):
                self._moved(self.next_hops.update(addresses=addresses, addresses_gone=gone))
            case RoutesChanged(afi, changes):
                self._moved(self.next_hops.update(routes={afi: changes}))
                self._foreign_changed(afi, changes)
            case _:
                self._say(event)

    def _take_names(self, links: Iterable[Link], gone: Container[int] = ()) -> bool:
        """Take in what interfaces are called; tell whether one has another name now."""
        known, fresh = self._names, {link.index: link.name for link in links}
        renamed = any(known.get(index, name) != name for index, name in fresh.items())
        self._names = {index: name for index, name in known.items() if index not in gone} | fresh
        self._interfaces = {name: index for index, name in self._names.items()}
        return renamed

    def _named(self, routes: tuple[KernelRoute, ...]) -> tuple[KernelRoute, ...]:
        """Name the interfaces, of which the kernel tells the numbers with a route."""
        return tuple(
            replace(
                route,
                hops=tuple(
                    Hop(hop.interface, hop.gateway, self._names.get(hop.interface, ""), hop.weight)
                    for hop in route.hops
                ),
            )
            for route in routes
        )

    def _learn(self, afi: Afi, changes: Iterable[tuple[Nlri, tuple[KernelRoute, ...]]]) -> None:
        named = ((nlri, self._named(routes)) for nlri, routes in changes)
        self._local.learn(afi, named, self.ignored_interfaces)

    def _learn_all(self) -> None:
        for afi, found in self._foreign.items():
            self._learn(afi, found.items())

    def _foreign_changed(
        self, afi: Afi, changes: Iterable[tuple[Nlri, tuple[KernelRoute, ...]]]
    ) -> None:
        foreign = self._foreign.setdefault(afi, {})
        for nlri, routes in changes:
            if routes:
                foreign[nlri] = routes
            else:
                foreign.pop(nlri, None)
        if self.learns:
            self._learn(afi, changes)

    def _say(self, event: KernelEvent) -> None:
        match event:
            case RoutesRefused(afi, nlris, _, text):
                prefix = show(afi, nlris[0])
                for nlri in nlris[: REFUSALS - len(self.refused)]:
                    self.refused[afi, nlri] = text
                log.kernel_said(
                    "routes_refused",
                    f"the kernel refuses {len(nlris)} routes, {prefix} among them: {text}; they"
                    " are tried again",
                    warning=True,
                )
            case RouteConflict(afi, nlri, foreign):
                log.kernel_said(
                    "route_conflict",
                    f"{show(afi, nlri)}: a route of protocol {foreign.protocol} with metric"
                    f" {foreign.metric} is in the kernel already; ours waits for it to go",
                    warning=True,
                )
            case RoutesRepaired(afi, nlris):
                log.kernel_said(
                    "routes_repaired",
                    f"somebody changed {len(nlris)} kernel routes of ours,"
                    f" {show(afi, nlris[0])} among them; they are put back",
                    warning=True,
                )
            case Swept(afi, count):
                log.kernel_said("swept", f"{count} unwanted {afi.name.lower()} kernel routes go")
            case KernelFailed(text):
                log.kernel_said("kernel_failed", f"the kernel thread ended: {text}", warning=True)
            case _:
                return

    def _moved(self, changed: list[NextHop]) -> None:
        """Next hops lead elsewhere, or nowhere: rank and decide again what depends on them."""
        if not changed:
            return
        moved = set(changed)
        for sink in self.sinks:
            sink.moved(moved)
        paths = {path for path in self._all_paths() if path.next_hop in moved}
        self._tell_moved(paths)
        self._rank(paths)

    def rank_all(self) -> None:
        """Rank and decide everything again."""
        self._rank(set(self._all_paths()))

    def install_again(self, sink: FibSink, family: Family) -> None:
        """Judge anew, in slices, what of a family goes into a kernel's table."""
        sink.forget()
        self._walks.append(sink.replay(family, SLICE))

    def _rank(self, paths: set[Path]) -> None:
        for path in paths:
            path.rank = rank(path, path.source.options)
        for loc_rib in self._loc_ribs():
            self._walks.append(loc_rib.rerank(paths, SLICE))

    @property
    def interned(self) -> int:
        """How many next hops there are, and what was made because of paths."""
        made = sum(sink.interned for sink in self.sinks)
        return len(self.next_hops) + self._local.interned + made

    def sweep(self) -> Iterator[None]:
        """Forget next hops that no path names, and what was made of paths that are no more.

        Paths come and go between the steps: each looks anew which there are.
        """
        self._local.sweep()
        self.next_hops.retain(path.next_hop for path in self._all_paths())
        for sink in list(self.sinks):
            for _ in sink.sweep(lambda: set(self._all_paths())):
                yield

    def step(self) -> bool:
        """Decide or install another slice again; False when nothing is left."""
        while self._walks:
            if next(self._walks[0], _END) is not _END:
                return True
            self._walks.pop(0)
        return False


_END = object()
