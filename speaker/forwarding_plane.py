"""What forwards packets by our routes: the kernel, whose thread is started and fed here.

A router without it has sessions and tables alone. With it, one thread installs the best paths of
the main table and tells of links, addresses and foreign routes; each external network has a further
thread for its own table (`speaker.external_networks`). What the kernel still holds of an earlier
run is known from the start (`preserved`): packets went on by it, and peers are told so.

Standards: RFC 4724 §4.1, §4.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard

from fsm.family import Afi, Family
from policy.calico import BuiltinPolicy
from policy.path import NextHop, Source
from speaker import log
from speaker.config.plan import Plan, PolicyMode
from speaker.external_networks import ExternalNetworks, of_its_table
from speaker.fib_sink import FibSink, RouteSink
from speaker.ground import Ground
from speaker.kernel.routes import KernelEvent, KernelFacts, Snapshot
from speaker.kernel.thread import Kernel
from speaker.lacking import lacking
from speaker.recovery import FAMILIES, Recovery
from speaker.rib.loc_rib import LocRib


@dataclass(frozen=True, slots=True)
class KernelOptions:
    """Where routes are installed.

    Attributes:
        table: the kernel's routing table.
        protocol: the number that marks routes as ours; BIRD's 12, so that its routes are adopted.
        nexthop_objects: let routes name next-hop objects, where the kernel has such.
        nexthop_compat: leave net.ipv4.nexthop_compat_mode of our network namespace as it is; else
            it is set to 0 at the start, and stays so.
    """

    table: int = 254
    protocol: int = 12
    nexthop_objects: bool = True
    nexthop_compat: bool = True


class House(Protocol):
    """What the kernel's side needs of the router."""

    plan: Plan
    loc_ribs: dict[Family, LocRib]
    sinks: list[RouteSink]
    ground: Ground
    networks: ExternalNetworks
    recovery: Recovery

    def builtin(self, family: Family) -> BuiltinPolicy | None:
        """Give the node's own policy for a family; None in plain mode."""

    def take_kernel_events(self, events: list[KernelEvent]) -> None:
        """Heed what the kernel tells; called on the loop."""


class ForwardingPlane:
    """The kernel, or the lack of one.

    Args:
        house: the router.
        options: where routes are installed; None for nowhere.

    Attributes:
        kernel: the main table's thread, once started.
        facts: what the kernel can do.
        fib: who hands it the best paths; None before the start, after the end, and without one.
        preserved: the families whose routes have gone on forwarding since an earlier run.
    """

    def __init__(self, house: House, options: KernelOptions | None) -> None:
        self._house = house
        self.options = options
        self.kernel: Kernel | None = None
        self.facts = KernelFacts()
        self.fib: FibSink | None = None
        self.preserved: frozenset[Family] = frozenset() if options else frozenset(FAMILIES)
        self._loop: asyncio.AbstractEventLoop | None = None

    def is_elsewhere(self, table: int | None) -> TypeGuard[int]:
        """Tell whether a table is another one than ours."""
        own = None if self.options is None else self.options.table
        return table is not None and table != own

    def kernels(self) -> Iterator[Kernel]:
        """Give all threads, the main table's first."""
        if self.kernel is not None:
            yield self.kernel
            yield from self._house.networks.kernels()

    def make(self, options: KernelOptions, *, learns: bool = True) -> Kernel:
        """Make a thread that is not started yet; to be overridden.

        Args:
            options: what is installed where.
            learns: whether it tells of links, addresses and foreign routes; one does for all.
        """
        events = self.hear
        return Kernel(
            table=options.table,
            protocol=options.protocol,
            on_events=events if learns else lambda told: events(of_its_table(told)),
            learn_tables=(254,) if learns else (),
            nexthop_objects=options.nexthop_objects,
            nexthop_compat=options.nexthop_compat,
        )

    def start(self) -> None:
        """Adopt what the kernel has, and follow it.

        Raises:
            KernelError: the kernel cannot be used.
        """
        if self.options is None:
            return
        house, self._loop = self._house, asyncio.get_running_loop()
        self.kernel = self.make(self.options)
        snapshot = self.kernel.start()
        self._look_at(snapshot)
        self.set_resilience()
        self.fib = FibSink(self.kernel, house.loc_ribs, house.builtin, house.ground.interface_index)
        house.sinks.append(self.fib)
        house.ground.sinks.append(self.fib)
        self.set_learning()
        house.ground.begin(snapshot)

    def _look_at(self, snapshot: Snapshot) -> None:
        facts = self.facts = snapshot.facts
        self.preserved = frozenset(f for f in FAMILIES if snapshot.adopted.get(f.afi))
        log.kernel_found(nexthop_objects=facts.nexthop_objects, nexthop_compat=facts.nexthop_compat)

    def start_another(self, table: int) -> Kernel | None:
        """Start a thread for a further table of the kernel's; None where nothing is installed.

        Raises:
            KernelError: the kernel cannot be used.
        """
        if self.options is None:
            return None
        kernel = self.make(replace(self.options, table=table), learns=False)
        kernel.start()
        kernel.set_resilience(self._house.plan.resilience)
        if self._house.recovery.is_over:
            # What an earlier run left there is nobody's.
            for afi in (Afi.IPV4, Afi.IPV6):
                kernel.sweep(afi)
        return kernel

    def set_resilience(self) -> None:
        """Keep flows when next hops come and go, or not, as the plan says; warn where none can."""
        plan = self._house.plan
        if self.kernel is not None:
            for kernel in self.kernels():
                kernel.set_resilience(plan.resilience)
            for condition in lacking(plan, self.facts):
                log.kernel_said("not_resilient", condition.message, warning=True)

    def set_learning(self) -> None:
        """Let foreign kernel routes compete in the tables, or not, as the plan says."""
        house, calico = self._house, self._house.plan.mode is PolicyMode.CALICO
        house.ground.set_learning(learns=calico, ignored_interfaces=house.plan.ignored_interfaces)
        for loc_rib in house.loc_ribs.values():
            loc_rib.keep_unreachable = calico

    def lost(self, source: Source, beside: Callable[[], Iterator[NextHop]]) -> None:
        """All that a source has told is about to go: packets do at once without it.

        Args:
            source: who.
            beside: gives the next hop of every path that somebody else told.
        """
        if self.fib is not None and self.kernel is not None and self.kernel.is_running:
            for sink in self._house.ground.sinks:
                sink.lost(source, beside)

    def install_again(self, family: Family) -> None:
        """Judge anew what of a family is installed."""
        if self.fib is not None and not self._house.recovery.is_deferring(family):
            self._house.ground.install_again(self.fib, family)

    def sweep(self, family: Family) -> None:
        """Let go what of a family an earlier run has left, and nobody wants."""
        for kernel in self.kernels():
            kernel.sweep(family.afi)

    def hear(self, events: list[KernelEvent]) -> None:
        """Take what the kernel tells; called in its thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._house.take_kernel_events, events)

    def freeze(self) -> None:
        """Install nothing any more: what the tables lose from now on is not the kernel's loss."""
        self.fib = None

    async def stop(self, *, withdraw: bool) -> None:
        """End all threads.

        Args:
            withdraw: take our routes out of the kernel; else they stay.
        """
        await self._house.networks.close(withdraw=withdraw)
        if self.kernel is not None:
            await asyncio.to_thread(self.kernel.stop, withdraw)
