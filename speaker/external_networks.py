"""External networks: what some peers tell has routing tables of its own.

A peer of an external network tells routes that are for those alone who are sent into that network,
by rules of the kernel that others make. They compete among each other, stand in the kernel's table
of the network, and go no further: no other peer hears of them, and they do not meet the routes of
the main table. What such a peer is told is what every peer is. Next hops are resolved in the main
table, where the way to the peers is.

A network is there for as long as a peer needs it; when the last one has gone, its routes go too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from speaker.fib_sink import FibSink
from speaker.ground import Ground
from speaker.kernel.routes import AddressesChanged, KernelEvent, LinksChanged, RoutesChanged
from speaker.kernel.thread import Kernel
from speaker.rib.loc_rib import LocRib


class Plane(Protocol):
    """Who starts threads of the kernel's."""

    def start_another(self, table: int) -> Kernel | None:
        """Start a thread for a table of the kernel's; None where nothing is installed."""


class House(Protocol):
    """What a network needs of the router."""

    ground: Ground

    @property
    def plane(self) -> Plane:
        """Who starts threads."""


@dataclass(slots=True)
class Network:
    """One table, and what stands in it."""

    table: int
    loc_ribs: dict[Family, LocRib]
    kernel: Kernel | None
    fib: FibSink | None


class ExternalNetworks:
    """The networks that peers need now.

    Args:
        house: the router.
        max_paths: equal paths that share the traffic to a prefix.
    """

    def __init__(self, house: House, max_paths: int) -> None:
        self._house = house
        self._max_paths = max_paths
        self._networks: dict[int, Network] = {}

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks.values())

    def loc_ribs(self) -> Iterable[LocRib]:
        """Give the tables of all networks."""
        return (loc_rib for network in self for loc_rib in network.loc_ribs.values())

    def kernels(self) -> Iterable[Kernel]:
        """Give the threads that install their routes."""
        return (network.kernel for network in self if network.kernel is not None)

    def get(self, table: int) -> Network:
        """Give the network of a kernel table; it is made where there is none yet.

        Raises:
            KernelError: the kernel cannot be used.
        """
        network = self._networks.get(table)
        if network is None:
            network = self._networks[table] = self._make(table)
        return network

    def _make(self, table: int) -> Network:
        loc_ribs = {
            family: LocRib(family, max_paths=self._max_paths)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
        }
        kernel, fib = self._house.plane.start_another(table), None
        if kernel is not None:
            ground = self._house.ground
            fib = FibSink(kernel, loc_ribs, lambda _: None, ground.interface_index)
            ground.sinks.append(fib)
        return Network(table, loc_ribs, kernel, fib)

    def spread(self, size: int) -> bool:
        """Hand a slice of what has changed to the kernel; tell whether there was any."""
        busy = False
        for network in self:
            for loc_rib in network.loc_ribs.values():
                if loc_rib.pending:
                    delta = loc_rib.take(size)
                    if network.fib is not None and delta:
                        network.fib.apply(delta)
                    busy = True
        return busy

    async def release(self, used: Callable[[int], bool]) -> None:
        """Let go of networks that no peer needs any more, with their routes.

        Args:
            used: tells whether a table is still somebody's.
        """
        unused = [network for network in self if not used(network.table)]
        for network in unused:
            del self._networks[network.table]
        await self._stop(unused, withdraw=True)

    async def close(self, *, withdraw: bool) -> None:
        """End all of them.

        Args:
            withdraw: take their routes out of the kernel.
        """
        networks = list(self)
        self._networks.clear()
        await self._stop(networks, withdraw=withdraw)

    async def _stop(self, networks: Iterable[Network], *, withdraw: bool) -> None:
        for network in networks:
            if network.fib is not None:
                self._house.ground.sinks.remove(network.fib)
            if network.kernel is not None:
                await asyncio.to_thread(network.kernel.stop, withdraw)


def of_its_table(events: Iterable[KernelEvent]) -> list[KernelEvent]:
    """Leave out what the main table's thread tells as well: the ground is one for all."""
    return [
        event
        for event in events
        if not isinstance(event, LinksChanged | AddressesChanged | RoutesChanged)
    ]
