"""What the service manager hears while the daemon runs: that it is ready, how it is, that it lives.

The listening sockets are left with the manager, each under a name, so that the next start gets
them back whatever becomes of this process; before one is closed for good the manager lets go of it.
The watchdog is fed from the event loop: as long as the loop comes round, and no longer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from speaker import log
from speaker.net.listening import Doors, Place
from speaker.service_manager import ServiceManager
from speaker.speaker import Speaker

FEEDINGS = 3
"""How often the watchdog is fed in the time that it waits."""

BREATH = 1.0
"""Seconds in which news of sessions are gathered before the manager is told."""

_BARRIER = 5.0
"""Seconds that the manager may take to let go of a socket."""


class Supervision:
    """Tells the service manager about one router.

    Args:
        manager: that is told.
        router: whose sessions and sockets these are.
    """

    def __init__(self, manager: ServiceManager, router: Speaker) -> None:
        self._manager = manager
        self._router = router
        self._kept: Doors = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self) -> None:
        """The router runs: say so, and everything from now on."""
        if not self._manager.listens:
            return
        self.keep()
        self._router.listener.release = self.release
        self._router.followers.append(self._news.set)
        self._manager.tell("READY=1", self._status())
        self._tasks = [asyncio.create_task(self._tell_news())]
        if self._manager.watchdog is not None:
            self._tasks.append(asyncio.create_task(self._feed(self._manager.watchdog)))

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the resources are being read, for the time of a block."""
        self._manager.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._manager.tell("READY=1")

    def keep(self) -> None:
        """Leave the listening sockets with the manager, as they are now."""
        if not self._manager.listens:
            return
        doors = self._router.listener.doors
        gone = [place for place, sock in self._kept.items() if doors.get(place) is not sock]
        self._forget(gone)
        for place, sock in doors.items():
            if place not in self._kept:
                self._kept[place] = sock
                self._manager.tell("FDSTORE=1", f"FDNAME={_name(place)}", sockets=[sock])

    async def release(self, places: Collection[Place]) -> None:
        """Have the manager let go of sockets, and wait until it has."""
        self._forget([place for place in places if place in self._kept])
        barrier = self._manager.barrier()
        if barrier is None:
            return
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(barrier, done.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_BARRIER):
                    await done.wait()
        finally:
            loop.remove_reader(barrier)
            os.close(barrier)

    async def stopping(self, *, handed_over: bool) -> None:
        """The router is about to end.

        Args:
            handed_over: its sockets have another owner now.
        """
        self._manager.tell("STOPPING=1")
        if handed_over:
            await self.release(list(self._kept))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, places: Collection[Place]) -> None:
        for place in places:
            del self._kept[place]
            self._manager.tell("FDSTOREREMOVE=1", f"FDNAME={_name(place)}")

    def _status(self) -> str:
        plan, peers = self._router.plan, self._router.peers.values()
        up = sum(peer.is_established for peer in peers)
        return f"STATUS=node {plan.node}, AS {plan.asn}: {up} of {len(peers)} sessions up"

    async def _tell_news(self) -> None:
        while await self._news.wait():
            await asyncio.sleep(BREATH)
            self._news.clear()
            self._manager.tell(self._status())

    async def _feed(self, patience: float) -> None:
        """Feed the watchdog; tell when the loop was held up for so long that it came near."""
        every = patience / FEEDINGS
        clock = self._router.clock
        while True:
            due = clock.now() + every
            self._manager.tell("WATCHDOG=1")
            await asyncio.sleep(every)
            late = clock.now() - due
            if late > every:
                log.loop_late(late, patience)


def _name(place: Place) -> str:
    """Name a socket; the manager allows no colon in a name."""
    address, port = place
    return f"bgp-{address.replace(':', '_')}-{port}"
