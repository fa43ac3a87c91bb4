"""A kernel on the table: it installs into a dictionary and says what a test has it say.

`TabletopKernel` stands where the kernel thread stands, without thread or netlink. `Underlay` makes
the links, addresses and foreign routes that a router finds. `VirtualClock` is time that a test
moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import Nlri, show
from speaker.clock import Clock
from speaker.config.plan import Plan
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
from speaker.speaker import KernelOptions, Speaker
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
        routes = {Afi.IPV4: dict(self.routes)}
        return Snapshot(tuple(self.links.values()), addresses, routes, {Afi.IPV4: adopted})


class TabletopKernel(Kernel):
    """Installs into a dictionary.

    Args:
        underlay: what is found at the start.
        adopted: prefixes of an earlier run.

    Attributes:
        table: what is installed.
        calls: how many prefixes each call of `install` had.
        lag: what `pending` says.
        withdrawn: whether the end was asked to remove everything; None before the end.
    """

    def __init__(self, underlay: Underlay | None = None, adopted: Sequence[str] = ()) -> None:
        self.underlay = underlay or Underlay()
        self.table: dict[tuple[Afi, Nlri], Forwarding] = {
            (Afi.IPV4, nlri(text)): Forwarding(RouteKind.BLACKHOLE) for text in adopted
        }
        self.calls: list[int] = []
        self.lag = 0
        self.withdrawn: bool | None = None
        self.troubles: dict[Nlri, str] = {}
        self._unwanted = set(self.table)

    def serve(self, router: Speaker) -> None:
        """Tell this router what happens."""
        self._on_events = router._kernel_events

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
        self.tell(RoutesChanged(Afi.IPV4, ((nlri(prefix), routes),)))

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
        ".".join(map(str, hop.gateway)) + f" dev {hop.interface_name}" for hop in forwarding.hops
    ]
    words = " + ".join(sorted(ways)) or forwarding.kind.name.lower()
    if forwarding.onlink:
        words += " onlink"
    return f"{words} metric {forwarding.metric}" if forwarding.metric else words


class TabletopSpeaker(Speaker):
    """A router whose kernel is on the table."""

    def __init__(
        self, plan: Plan, kernel: TabletopKernel | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(plan, kernel=KernelOptions(), clock=clock)
        self.tabletop = kernel or TabletopKernel()

    def make_kernel(self, options: KernelOptions) -> Kernel:
        self.tabletop.serve(self)
        return self.tabletop


class VirtualClock(Clock):
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time
