"""The ground that routes stand on: what the kernel says, and what follows from it.

Events come from the kernel thread in batches and are taken in here, on the loop. Links, addresses
and foreign routes go into the `NextHopTable`; next hops that lead elsewhere now have their paths
ranked and decided again, in slices. In Calico's mode foreign routes also compete in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from fsm.family import Afi, Family
from policy.decision import DecisionOptions, rank
from policy.path import NextHop, Path
from policy.prefix import Nlri, show
from speaker import log
from speaker.fib_sink import FibSink
from speaker.kernel.routes import (
    AddressesChanged,
    KernelEvent,
    KernelFailed,
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
"""Prefixes that are decided again at once after a next hop changed."""


class Ground:
    """What the kernel says, and what follows from it.

    Args:
        next_hops: the table of next hops.
        loc_ribs: the tables to decide again.
        local: the node's own routes.
        options: how paths are ranked.
        all_paths: gives every path that may have to be ranked again.

    Attributes:
        sink: the kernel's, told when next hops have moved.
        learns: whether foreign routes compete in the tables.
        ignored_interfaces: patterns of interfaces that are left out of them.
        refused: what the kernel would not take at some time, and why; `still_refused` weeds it.
    """

    def __init__(
        self,
        next_hops: NextHopTable,
        loc_ribs: Mapping[Family, LocRib],
        local: LocalRoutes,
        options: DecisionOptions,
        all_paths: Callable[[], Iterable[Path]],
    ) -> None:
        self.next_hops = next_hops
        self.sink: FibSink | None = None
        self.learns = False
        self.ignored_interfaces: tuple[str, ...] = ()
        self.refused: dict[tuple[Afi, Nlri], str] = {}
        self._loc_ribs = loc_ribs
        self._local = local
        self._options = options
        self._all_paths = all_paths
        self._reranks: list[Iterator[None]] = []
        self._foreign: dict[Afi, dict[Nlri, tuple[KernelRoute, ...]]] = {}
        self._interfaces: dict[str, int] = {}

    def begin(self, snapshot: Snapshot) -> None:
        """Take in the node as it was found."""
        for link in snapshot.links:
            self._interfaces[link.name] = link.index
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
            for afi, found in self._foreign.items():
                self._local.learn(afi, list(found.items()), ignored_interfaces)

    def interface_index(self, name: str) -> int:
        """Find an interface by name; 0 where there is none."""
        return self._interfaces.get(name, 0)

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
                self._interfaces.update({link.name: link.index for link in links})
                for name in [n for n, index in self._interfaces.items() if index in gone]:
                    del self._interfaces[name]
                self._moved(self.next_hops.update(links=links, links_gone=gone))
            case AddressesChanged(addresses, gone):
                self._moved(self.next_hops.update(addresses=addresses, addresses_gone=gone))
            case RoutesChanged(afi, changes):
                self._moved(self.next_hops.update(routes={afi: changes}))
                self._foreign_changed(afi, changes)
            case _:
                self._say(event)

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
            self._local.learn(afi, changes, self.ignored_interfaces)

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
        paths = {path for path in self._all_paths() if path.next_hop in moved}
        for path in paths:
            path.rank = rank(path, self._options)
        if self.sink is not None:
            self.sink.forget()
        for loc_rib in self._loc_ribs.values():
            self._reranks.append(loc_rib.rerank(paths, SLICE))

    @property
    def interned(self) -> int:
        """How many next hops there are, and what was made because of paths."""
        made = 0 if self.sink is None else self.sink.interned
        noted = sum(loc_rib.interned for loc_rib in self._loc_ribs.values())
        return len(self.next_hops) + self._local.interned + noted + made

    def sweep(self) -> None:
        """Forget next hops that no path names, and what was made of paths that are no more."""
        self._local.sweep()
        alive = set(self._all_paths())
        self.next_hops.retain(path.next_hop for path in alive)
        for loc_rib in self._loc_ribs.values():
            loc_rib.sweep(alive)
        if self.sink is not None:
            self.sink.sweep(alive)

    def step(self) -> bool:
        """Decide another slice again; False when nothing is left."""
        while self._reranks:
            if next(self._reranks[0], _END) is not _END:
                return True
            self._reranks.pop(0)
        return False


_END = object()
