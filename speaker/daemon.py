"""The daemon: a datastore, a router and a control socket, from start to signal.

`run` is what ``wren run`` does. A `Daemon` makes the first plan, takes the place of a running
daemon if it is asked to, starts the router, and opens the control socket (`speaker.commands`);
while it runs, the router follows every edit (`speaker.reconciliation`). In the end everything is
taken down in the order in which each part needs the others, and what stays behind (kernel routes,
listening sockets, an edit that nobody has confirmed) is left for the next run.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from ipaddress import IPv4Address

from speaker import log
from speaker.clock import Clock
from speaker.commands import LOOKS, Commands
from speaker.config.conditions import Condition
from speaker.config.plan import Plan
from speaker.confirmation import Confirmation, put_back, taken_up
from speaker.control.client import is_running
from speaker.control.protocol import socket_path
from speaker.control.server import ControlServer
from speaker.control.views import ReloadView
from speaker.datastore.files import need_readable
from speaker.datastore.unconfirmed import Unconfirmed
from speaker.drainage import Drainage
from speaker.errors import ConfigError
from speaker.hooks import Hook
from speaker.memory import map_tables
from speaker.net.listening import Doors, inherited, merged
from speaker.node_reports import NodeReports
from speaker.plan_source import PlanSource
from speaker.privileges.dropping import Standing, settle
from speaker.reconciliation import Reconciliation, tell_conditions
from speaker.remembrance import Remembrance, recalled
from speaker.run_options import RunOptions
from speaker.service_manager import ServiceManager
from speaker.speaker import Speaker
from speaker.status import Status
from speaker.succession import Handover, TakeOver, take_over
from speaker.supervision import Supervision
from speaker.turn import freeze, tune_collector


class Daemon:
    """One run of the daemon.

    Args:
        options: how it is run.
        manager: the service manager that runs us, if one does.
        doors: listening sockets that are open already.
        standing: what the process has become; None where that is somebody else's business.
    """

    def __init__(
        self,
        options: RunOptions,
        manager: ServiceManager | None = None,
        doors: Doors | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._options = options
        self._manager = manager or ServiceManager({}, os.getpid())
        self._doors = dict(doors or {})
        self._standing = standing
        self._source = PlanSource(
            options.datastore, options.node, strict_secrets=options.strict_secrets
        )
        self._stop = asyncio.Event()
        self._router: Speaker | None = None
        self._reconciliation: Reconciliation | None = None
        self._confirmation: Confirmation | None = None
        self._drainage: Drainage | None = None
        self._took: TakeOver | None = None
        self._handover: Handover | None = None
        self._supervision: Supervision | None = None
        self._hung_up: asyncio.Task[ReloadView] | None = None
        self._hook: Hook | None = None

    async def run(self) -> None:
        """Run until a signal.

        Raises:
            SpeakerError: the start is impossible; the text says what to do.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        options, source = self._options, self._source
        async with aclosing(source):
            plan, held = await self._begin()
            before = await asyncio.to_thread(recalled, options.run_dir)
            router = Speaker(
                plan,
                kernel=options.kernel_options,
                before=before,
                doors=self._doors,
                run_dir=options.run_dir,
                bfd=options.make_bfd,
            )
            self._router = router
            drainage = self._drainage = Drainage(router)
            if options.hook is not None:
                self._hook = Hook(options.hook, options.node, router.clock)
            status = Status(router, os.getpid(), self._further_conditions)
            handover = Handover(router, options.marks, drainage, self._stop.set)
            self._handover = handover
            supervision = self._supervision = Supervision(self._manager, router)
            reconciliation = Reconciliation(router, source, supervision)
            self._reconciliation = reconciliation
            confirmation = Confirmation(router, options.datastore, options.run_dir)
            self._confirmation = confirmation
            commands = Commands(
                router, status, source, reconciliation, confirmation, drainage, handover
            )
            server = ControlServer(
                socket_path(options.run_dir),
                commands.handlers(),
                looks=LOOKS,
                access=options.access,
            )
            async with server:
                reports = NodeReports(
                    options.node, options.datastore, router, status, confirmation.settled
                )
                if held is not None:
                    confirmation.resume(held)
                await self._serve(router, reconciliation, reports)

    async def _begin(self) -> tuple[Plan, Unconfirmed | None]:
        """Make the plan, take the running daemon's place if so asked, and find what it left.

        Raises:
            SpeakerError: there is no plan, or the place cannot be had; who runs, runs on.
        """
        options = self._options
        succeeds = options.takeover and await asyncio.to_thread(is_running, options.run_dir)
        # What a running daemon has to put back is its own business until it has gone.
        held = None if succeeds else await self._unconfirmed()
        await self._source.begin()
        try:
            plan = self._source.plan()
        except ConfigError:
            if held is None:
                raise
            plan, held = await self._plan_without(held), None
        if succeeds:
            self._took = await take_over(options.run_dir, options.marks, plan, self._stop)
            held = await self._unconfirmed()
        elif options.takeover:
            log.nobody_to_succeed(str(options.run_dir))
        if self._took is not None:
            self._doors = merged(self._took.doors, self._doors)
        return plan, held

    async def _unconfirmed(self) -> Unconfirmed | None:
        options = self._options
        return await asyncio.to_thread(taken_up, options.datastore, options.run_dir, Clock().wall())

    async def _plan_without(self, held: Unconfirmed) -> Plan:
        """Make the plan of before an edit that nobody has confirmed and no start is possible with.

        Raises:
            ConfigError: without it neither.
        """
        options = self._options
        why = "no start is possible with it"
        await asyncio.to_thread(put_back, held, options.datastore, options.run_dir, why)
        await self._source.read_again()
        return self._source.plan()

    def _further_conditions(self) -> Iterator[Condition]:
        """Give what is wrong with the node besides its router."""
        if self._drainage is not None:
            yield from self._drainage.conditions()
        if self._hook is not None:
            yield from self._hook.conditions()

    async def _serve(
        self, router: Speaker, reconciliation: Reconciliation, reports: NodeReports
    ) -> None:
        plan = router.plan
        tell_conditions(None, plan)
        log.choose_level(self._options.log_level)
        log.set_severity(plan.log_severity.value)
        hooked = None if self._hook is None else asyncio.create_task(self._hook.follow(router))
        await router.start()
        if self._standing is not None:
            log.settled(self._standing.user, sorted(map(str, self._standing.kept)))
        log.started(
            plan.node,
            plan.asn,
            str(IPv4Address(plan.router_id)),
            len(plan.peers),
            os.getpid(),
        )
        freeze()
        if self._took is not None:
            self._took.done()
        if self._supervision is not None:
            self._supervision.follow()
        remembrance = Remembrance(self._options.run_dir, router)
        remembrance.follow()
        reports.follow(self._source.loaded.resources)
        following = asyncio.create_task(reconciliation.follow(reports.follow))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        finally:
            for task in (following, stopping):
                task.cancel()
            await asyncio.gather(following, stopping, return_exceptions=True)
            await reports.close()
            if self._drainage is not None:
                await self._drainage.close()
            leaves = await self._leave()
            if self._confirmation is not None:
                # Before the sessions end: their end is no edit's doing.
                await self._confirmation.close()
            withdraw = self._options.withdraw_on_exit and not leaves
            # Before the sessions end: who is there now is whom the next run waits for.
            await remembrance.close(forget=withdraw)
            await router.stop(withdraw=withdraw, restart=not withdraw)
            if self._hook is not None and hooked is not None:
                # The end of sessions is told, too.
                await hooked
                await self._hook.close()
            log.stopped(withdraw, self._options.kernel)

    async def _leave(self) -> bool:
        """Say that this run ends; tell whether another one takes its place."""
        leaves = False
        if self._handover is not None:
            await self._handover.close()
            leaves = self._handover.is_agreed
        if self._supervision is not None:
            await self._supervision.stopping(handed_over=leaves)
        return leaves

    async def is_succeeded(self) -> bool:
        """Wait, after `run`, for whoever takes over to run; False when he never will."""
        if self._handover is None or not self._handover.is_agreed:
            return True
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        return await self._handover.finish(stop)

    @property
    def kept(self) -> Doors:
        """The listening sockets that are left to go on with after a failed hand-over."""
        return {} if self._handover is None else self._handover.kept

    def _hang_up(self) -> None:
        """SIGHUP: read the datastore now."""
        if self._reconciliation is not None and not self._stop.is_set():
            log.reload_asked()
            self._hung_up = asyncio.create_task(self._reconciliation.reload({}))


async def _run(options: RunOptions, standing: Standing) -> int:
    tune_collector()
    map_tables()
    manager = ServiceManager.found()
    doors, useless = inherited(manager.inherited())
    for what in useless:
        log.not_inherited(what)
    while True:
        daemon = Daemon(options, manager, doors, standing)
        await daemon.run()
        if await daemon.is_succeeded():
            return 0
        log.handover_failed()
        gc.unfreeze()
        options, doors = replace(options, takeover=False), daemon.kept


def run(options: RunOptions) -> int:
    """Run the daemon until a signal; the exit status is given back.

    Raises:
        SpeakerError: the start is impossible; the text says what to do.
    """
    log.to_stderr(options.log_format, options.log_level or "info")
    standing = settle(options.wanted)
    need_readable(options.datastore, standing.user)
    if options.loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options, standing))
    return asyncio.run(_run(options, standing))
