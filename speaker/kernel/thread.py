"""`Kernel`: the door to the kernel, usable from any thread.

One thread with a plain asyncio loop of its own does everything that touches netlink; sending a
batch releases the interpreter lock, so this is also real parallelism. What is to be installed goes
in by a queue and never blocks; events come out by a function that is called *in the kernel thread*
with a batch of them, and whose owner sees to it that they get where they belong (for a loop:
``loop.call_soon_threadsafe``). `pending` tells how far the kernel lags behind, so that whoever
feeds it can hold back and let a burst coalesce.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial

from fsm.family import Afi
from policy.prefix import Nlri
from policy.resilience import Resilience
from speaker.errors import KernelError
from speaker.kernel.routes import Forwarding, KernelEvent, KernelFailed, Snapshot
from speaker.kernel.worker import Worker

Batch = Sequence[tuple[Forwarding | None, Sequence[Nlri]]]
"""Forwardings with their prefixes; None for prefixes that are not to be installed."""


HURRY = 0.004
"""Seconds that somebody stands aside at most for what is urgent."""


class Kernel:
    """Install routes, and hear of links, addresses and foreign routes.

    It works in the network namespace of the thread that calls `start`.

    Args:
        table: the routing table that our routes are put in.
        protocol: the number that marks routes as ours; all routes with it in the table are ours.
        on_events: called in the kernel thread with what happened.
        learn_tables: tables whose foreign routes are told.
        scan_interval: seconds between scans of all routes.
        receive_buffer: octets of notifications that may wait.
        nexthop_objects: let routes name objects where the kernel has them.
        nexthop_compat: leave net.ipv4.nexthop_compat_mode as it is; else it is set to 0.
    """

    def __init__(
        self,
        *,
        table: int = 254,
        protocol: int = 12,
        on_events: Callable[[list[KernelEvent]], None],
        learn_tables: Collection[int] = (254,),
        scan_interval: float = 60.0,
        receive_buffer: int = 32 << 20,
        nexthop_objects: bool = True,
        nexthop_compat: bool = True,
    ) -> None:
        self._on_events = on_events
        self._worker = Worker(
            table=table,
            protocol=protocol,
            learn_tables=learn_tables,
            tell=on_events,
            scan_interval=scan_interval,
            receive_buffer=receive_buffer,
            nexthop_objects=nexthop_objects,
            nexthop_compat=nexthop_compat,
        )
        self._lock = threading.Lock()
        self._inbox: deque[Callable[[], None]] = deque()
        self._inbox_size = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._withdraw = False
        self._thread: threading.Thread | None = None

    def start(self) -> Snapshot:
        """Start the thread, read everything once, and return it; blocks until then.

        Raises:
            KernelError: the kernel cannot be used; the text says what to do.
        """
        if self._thread is not None:
            raise KernelError("the kernel thread was started before")
        ready: Future[Snapshot] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="wren-kernel", daemon=True
        )
        self._thread.start()
        return ready.result()

    def stop(self, withdraw: bool = False) -> None:
        """End the thread; our routes stay in the kernel unless ``withdraw`` is true."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        self._withdraw = withdraw
        if not loop.is_closed():
            self._call(self._stop)
        thread.join()

    @property
    def is_running(self) -> bool:
        """Tell whether orders are taken; a fault or `stop` ends that."""
        return self._loop is not None and not self._loop.is_closed()

    def install(self, afi: Afi, batch: Batch) -> None:
        """Say how prefixes are to be installed from now on; returns at once.

        The sequences are kept, not copied: they must not change afterwards.
        """
        self._post(partial(self._worker.install, afi, batch), sum(len(nlris) for _, nlris in batch))

    def lead(self, afi: Afi, forwardings: Sequence[Forwarding]) -> None:
        """Say where ways lead from now on: all routes by a way move by one message.

        Ways that no route goes by are passed over.
        """
        self._post(partial(self._worker.lead, afi, forwardings))

    def merge(self, afi: Afi, way: int, into: Forwarding) -> None:
        """Say that all routes by one way are routes by another from now on: by one message."""
        self._post(partial(self._worker.merge, afi, way, into))

    def set_resilience(self, resilience: Resilience | None) -> None:
        """Say how sets of next hops keep flows from now on; nothing follows where none can.

        Routes stay and are replaced in place, one by one, save where only timers differ.
        """
        self._post(partial(self._worker.set_resilience, resilience))

    def hurry(self) -> None:
        """Let the kernel thread go first, a few milliseconds at the most.

        Else it would wait for the interpreter's lock again and again while the caller works on.
        """
        done = threading.Event()
        self._post(done.set)
        done.wait(HURRY)

    def sweep(self, afi: Afi) -> None:
        """Remove the routes found at the start that nobody has wanted since."""
        self._call(lambda: self._worker.sweep(afi))

    def pending(self) -> int:
        """Tell how many prefixes are not yet dealt with."""
        return self._inbox_size + sum(fib.pending for fib in self._worker.fibs.values())

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until nothing is left to send (refused routes are not waited for).

        Raises:
            TimeoutError: it took longer.
        """
        async with asyncio.timeout(seconds):
            await asyncio.wrap_future(self._done())

    def wait_drained(self, seconds: float | None = None) -> None:
        """Do what `drain` does, blocking the calling thread."""
        self._done().result(seconds)

    def installed(self, afi: Afi, nlri: Nlri) -> Forwarding | None:
        """Tell how a prefix of ours is installed; None if it is not."""
        route = self._worker.fibs[afi].installed.get(nlri)
        return None if route is None else self._worker.objects.shown(route)

    def count(self, afi: Afi) -> int:
        """Tell how many prefixes of ours are installed."""
        return len(self._worker.fibs[afi].installed)

    def why(self, afi: Afi, nlri: Nlri) -> str:
        """Say in words why a wanted prefix is not installed; empty if nothing is wrong."""
        return self._worker.fibs[afi].why(nlri)

    def _post(self, order: Callable[[], None], size: int = 0) -> None:
        """Have the kernel thread carry out an order after all earlier ones."""
        with self._lock:
            self._inbox.append(order)
            self._inbox_size += size
            first = len(self._inbox) == 1
        if first:
            self._call(self._take_inbox)

    def _done(self) -> Future[None]:
        future: Future[None] = Future()
        self._call(lambda: self._worker.answer_when_done(future))
        return future

    def _call(self, function: Callable[[], None]) -> None:
        """Have the kernel thread call something."""
        loop = self._loop
        if loop is None or not self.is_running:
            raise KernelError("the kernel thread is not running")
        loop.call_soon_threadsafe(function)

    # In the kernel thread.

    def _run(self, ready: Future[Snapshot]) -> None:
        # A plain selector loop, whatever loop the rest of the program has chosen.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._live(ready))

    async def _live(self, ready: Future[Snapshot]) -> None:
        loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        loop.set_exception_handler(self._fault)
        try:
            snapshot = self._worker.open(loop)
        except (KernelError, OSError) as error:
            ready.set_exception(_explain(error) if isinstance(error, OSError) else error)
            return
        self._loop = loop
        ready.set_result(snapshot)
        await self._stopped.wait()
        self._worker.close(withdraw=self._withdraw)

    def _stop(self) -> None:
        self._take_inbox()
        if self._stopped is not None:
            self._stopped.set()

    def _take_inbox(self) -> None:
        with self._lock:
            taken, self._inbox = self._inbox, deque()
            self._inbox_size = 0
        for order in taken:
            order()

    def _fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """A fault in here must not go unheard: end, and tell it."""
        if self._stopped is not None:
            self._stopped.set()
        self._on_events([KernelFailed(str(context.get("exception") or context["message"]))])


def _explain(error: OSError) -> KernelError:
    if isinstance(error, PermissionError):
        return KernelError("netlink is not permitted", "run as root or give it CAP_NET_ADMIN")
    return KernelError(f"netlink cannot be used: {error}")
