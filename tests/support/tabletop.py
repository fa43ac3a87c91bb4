"""A kernel on the table: it installs into a dictionary and says what a test has it say.

`TabletopKernel` stands where the kernel thread stands, without thread or netlink. `Underlay` makes
the links, addresses and foreign routes that a router finds. `VirtualClock` is time that a test
moves.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import Nlri, show
from policy.resilience import Resilience
from speaker.clock import Clock
from speaker.config.plan import Plan
from speaker.forwarding_plane import ForwardingPlane, KernelOptions
from speaker.kernel.routes import (
    Address,
    Forwarding,
    KernelEvent,
    KernelRoute,
    Link,
    LinksChanged,
    RouteKind,
    RoutesChanged,
    Snapshot,
    Swept,
    normal,
)
from speaker.kernel.thread import Batch, Kernel
from speaker.recovery import PeersUp
from speaker.speaker import Speaker
from tests.support.routes import address, nlri

KERNEL_ITSELF, STATIC = 2, 4


def link(index: int, *, up: bool = True, name: str = "") -> Link:
    return Link(index, name or f"eth{index}", is_up=up, has_carrier=up)


def route(
    prefix: str,
    interface: int = 0,
    via: str = "",
    *,
    protocol: int = STATIC,
    metric: int = 0,
    kind: RouteKind = RouteKind.UNICAST,
    name: str = "",
) -> KernelRoute:
    """Make a foreign route."""
    hops = (Hop(interface, address(via), name or f"eth{interface}"),) if interface else ()
    return KernelRoute(nlri(prefix), kind, hops, metric, protocol)


def nameless(routes: Iterable[KernelRoute]) -> tuple[KernelRoute, ...]:
    """Write routes as the kernel tells them: with the numbers of interfaces alone."""
    return tuple(
        replace(each, hops=tuple(Hop(hop.interface, hop.gateway) for hop in each.hops))
        for each in routes
    )


def new_links(routes: Iterable[KernelRoute], known: Container[int]) -> list[Link]:
    """Give the interfaces of routes that nobody has told of yet."""
    hops = (hop for each in routes for hop in each.hops)
    return [link(h.interface, name=h.interface_name) for h in hops if h.interface not in known]


@dataclass
class Underlay:
    """What the node looks like: two links, with 10.0.<index>.1/24 of ours on each."""

    links: dict[int, Link] = field(default_factory=lambda: {n: link(n) for n in (2, 3)})
    routes: dict[Nlri, tuple[KernelRoute, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index in self.links:
            connected = route(f"10.0.{index}.0/24", index, protocol=KERNEL_ITSELF)
            self.routes[connected.nlri] = (connected,)

    def snapshot(self, adopted: int) -> Snapshot:
        addresses = tuple(Address(address(f"10.0.{n}.1"), 24, n) for n in self.links)
        routes = {Afi.IPV4: {each: nameless(found) for each, found in self.routes.items()}}
        for found in self.routes.values():
            self.links.update({each.index: each for each in new_links(found, self.links)})
        return Snapshot(tuple(self.links.values()), addresses, routes, {Afi.IPV4: adopted})


class TabletopKernel(Kernel):
    """Installs into a dictionary.

    Args:
        underlay: what is found at the start.
        adopted: prefixes of an earlier run.

    Attributes:
        table: what is installed.
        calls: how many prefixes each call of `install` had.
        moves: what was said of whole ways, in words.
        lag: what `pending` says.
        withdrawn: whether the end was asked to remove everything; None before the end.
    """

    def __init__(self, underlay: Underlay | None = None, adopted: Sequence[str] = ()) -> None:
        self.underlay = underlay or Underlay()
        self.table: dict[tuple[Afi, Nlri], Forwarding] = {
            (Afi.IPV4, nlri(text)): Forwarding(RouteKind.BLACKHOLE) for text in adopted
        }
        self.calls: list[int] = []
        self.moves: list[str] = []
        self.lag = 0
        self.withdrawn: bool | None = None
        self.troubles: dict[Nlri, str] = {}
        self._unwanted = set(self.table)

    def serve(self, router: Speaker) -> None:
        """Tell this router what happens."""
        self._on_events = router.plane.hear

    def start(self) -> Snapshot:
        return self.underlay.snapshot(len(self._unwanted))

    def stop(self, withdraw: bool = False) -> None:
        self.withdrawn = withdraw
        if withdraw:
            self.table.clear()

    def install(self, afi: Afi, batch: Batch) -> None:
        assert self.withdrawn is None, "installing after the end"
        self.calls.append(sum(len(nlris) for _, nlris in batch))
        for forwarding, nlris in batch:
            for each in nlris:
                if forwarding is None:
                    self.table.pop((afi, each), None)
                else:
                    self.table[afi, each] = normal(afi, forwarding)
                    self._unwanted.discard((afi, each))

    def lead(self, afi: Afi, forwardings: Sequence[Forwarding]) -> None:
        """Note it; each prefix is told as well."""
        self.moves += [f"{each.way} leads {_words(each)}" for each in forwardings]

    def merge(self, afi: Afi, way: int, into: Forwarding) -> None:
        """Note it; each prefix is told as well."""
        self.moves.append(f"{way} is {into.way} {_words(into)}")

    def set_resilience(self, resilience: Resilience | None) -> None:
        """Note it."""
        self.moves.append(f"flows are kept by {resilience}" if resilience else "flows are not kept")

    @property
    def is_running(self) -> bool:
        return self.withdrawn is None

    def hurry(self) -> None:
        """Everything is done at once."""

    def sweep(self, afi: Afi) -> None:
        gone = [key for key in self._unwanted if key[0] is afi]
        for key in gone:
            self._unwanted.discard(key)
            del self.table[key]
        self._on_events([Swept(afi, len(gone))])

    def pending(self) -> int:
        return self.lag

    def installed(self, afi: Afi, nlri: Nlri) -> Forwarding | None:
        return self.table.get((afi, nlri))

    def count(self, afi: Afi) -> int:
        return sum(key[0] is afi for key in self.table)

    def why(self, afi: Afi, nlri: Nlri) -> str:
        return self.troubles.get(nlri, "")

    # What happens below.

    def tell(self, *events: KernelEvent) -> None:
        self._on_events(list(events))

    def set_link(self, index: int, *, up: bool, name: str = "") -> None:
        self.tell(LinksChanged((link(index, up=up, name=name),)))

    def set_route(self, prefix: str, *routes: KernelRoute) -> None:
        """Let somebody else have these routes to a prefix, or none."""
        for each in new_links(routes, self.underlay.links):
            self.underlay.links[each.index] = each
            self.tell(LinksChanged((each,)))
        self.tell(RoutesChanged(Afi.IPV4, ((nlri(prefix), nameless(routes)),)))

    # What a test looks at.

    def seen(self, afi: Afi = Afi.IPV4) -> dict[str, str]:
        """Give the table in words: gateways or the kind of the route, and the metric if any."""
        return {
            show(family, prefix): _words(forwarding)
            for (family, prefix), forwarding in self.table.items()
            if family is afi
        }


def _words(forwarding: Forwarding) -> str:
    ways = [
        ".".join(map(str, hop.gateway))
        + f" dev {hop.interface_name}"
        + (f" weight {hop.weight}" if hop.weight > 1 else "")
        for hop in forwarding.hops
    ]
    words = " + ".join(sorted(ways)) or forwarding.kind.name.lower()
    if forwarding.onlink:
        words += " onlink"
    return f"{words} metric {forwarding.metric}" if forwarding.metric else words


class TabletopPlane(ForwardingPlane):
    """What makes kernels that are on the table."""

    def __init__(self, router: TabletopSpeaker) -> None:
        super().__init__(router, KernelOptions())
        self._router = router

    def make(self, options: KernelOptions, *, learns: bool = True) -> Kernel:
        made = self._router.tabletop
        if not learns:
            made = self._router.beside[options.table] = TabletopKernel(Underlay({}))
        made.serve(self._router)
        return made


class TabletopSpeaker(Speaker):
    """A router whose kernel is on the table.

    Attributes:
        beside: further tables of the kernel, by number.
    """

    def __init__(
        self,
        plan: Plan,
        kernel: TabletopKernel | None = None,
        *,
        clock: Clock | None = None,
        before: PeersUp | None = None,
    ) -> None:
        super().__init__(plan, kernel=KernelOptions(), clock=clock, before=before)
        self.tabletop = kernel or TabletopKernel()
        self.beside: dict[int, TabletopKernel] = {}
        self.plane = TabletopPlane(self)


class VirtualClock(Clock):
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time
