"""The daemon: a datastore, a router and a control socket, from start to signal.

`run` is what ``wren run`` does. It loads the resources, computes the node's plan, starts the router
with it, and follows every edit of the datastore, and the workloads of the node; it answers the
other commands at the control socket. An edit that no plan can be made from (our own Node is gone,
say) leaves the running one in force and is told.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from speaker import log
from speaker.clock import Clock
from speaker.config.conditions import Condition, Gravity
from speaker.config.documents import Document
from speaker.config.kinds import Kind
from speaker.config.plan import Plan
from speaker.config.problems import Problem
from speaker.config.reading import read_document
from speaker.config.store import Resources
from speaker.confirmation import Confirmation, put_back, taken_up
from speaker.control.client import is_running
from speaker.control.protocol import ControlError, socket_path
from speaker.control.server import ControlServer
from speaker.control.views import DatastoreView, ForecastView, ResourcesView, WhyView
from speaker.datastore.directory import Directory, LoadResult
from speaker.datastore.endpoint_status import EndpointStatus, Workloads
from speaker.datastore.files import need_readable
from speaker.datastore.unconfirmed import Unconfirmed
from speaker.drainage import Drainage
from speaker.environment import endpoint_status_directory, resolve_here
from speaker.errors import ConfigError, SpeakerError
from speaker.foresight import Foresight
from speaker.hooks import Hook
from speaker.inquiry.inquiry import why
from speaker.memory import map_tables
from speaker.net.listening import Doors, inherited, merged
from speaker.node_reports import NodeReports
from speaker.orders import disable, drain, enable, refresh, undrain
from speaker.origin_views import rpki, validity
from speaker.privileges.dropping import Standing, settle
from speaker.remembrance import Remembrance, recalled
from speaker.resource_status import ResourceStatus
from speaker.route_views import RouteViews
from speaker.run_options import RunOptions
from speaker.service_manager import ServiceManager
from speaker.speaker import Speaker
from speaker.status import Status
from speaker.succession import Handover, TakeOver, take_over
from speaker.supervision import Supervision
from speaker.turn import freeze, tune_collector

LOOKS = frozenset(
    {
        *("status", "peer", "routes", "why", "rpki", "bfd", "validity", "heard", "resources"),
        *("forecast", "datastore", "version"),
    }
)
"""The commands that change nothing."""


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
        self._problems: dict[str, Problem] = {}
        self._last = LoadResult(Resources())
        self._no_plan: tuple[Condition, ...] = ()
        self._directory = Directory(options.datastore, self._loaded)
        self._endpoints = EndpointStatus(endpoint_status_directory(), log.document_warning)
        self._wanted = Resources()
        self._workloads: Workloads = ()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._router: Speaker | None = None
        self._confirmation: Confirmation | None = None
        self._drainage: Drainage | None = None
        self._took: TakeOver | None = None
        self._handover: Handover | None = None
        self._supervision: Supervision | None = None
        self._hung_up: asyncio.Task[tuple[Problem, ...]] | None = None
        self._edits: list[str] = []
        self._hook: Hook | None = None

    def _loaded(self, result: LoadResult) -> None:
        """Tell what was refused, and what deserves a look, each once."""
        self._last = result
        known, self._problems = self._problems, {}
        for problem in result.problems:
            self._problems[str(problem)] = problem
            if str(problem) not in known:
                log.edit_refused(problem.place, problem.sentence)
        for warning in result.warnings:
            self._problems["warning " + str(warning)] = warning
            if "warning " + str(warning) not in known:
                log.document_warning(warning.place, warning.sentence)

    def _plan(self) -> Plan:
        return self._plan_of(self._wanted)

    def _plan_of(self, resources: Resources) -> Plan:
        return resolve_here(
            resources,
            self._options.node,
            self._workloads,
            strict_secrets=self._options.strict_secrets,
        )

    async def run(self) -> None:
        """Run until a signal.

        Raises:
            SpeakerError: the start is impossible; the text says what to do.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        options = self._options
        async with aclosing(self._directory.snapshots()) as snapshots:
            plan, held = await self._begin(snapshots)
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
            views = RouteViews(router)
            handover = Handover(router, options.marks, drainage, self._stop.set)
            self._handover = handover
            self._supervision = Supervision(self._manager, router)
            confirmation = Confirmation(router, options.datastore, options.run_dir)
            self._confirmation = confirmation
            server = ControlServer(
                socket_path(options.run_dir),
                {
                    "status": lambda request: status.status(),
                    "peer": lambda request: status.peer_detail(str(request.get("name", ""))),
                    "routes": views.routes,
                    "why": lambda request: _why(router, request),
                    "rpki": lambda request: rpki(router),
                    "bfd": lambda request: router.watches.view(),
                    "validity": lambda request: validity(router, request),
                    "heard": lambda request: views.heard(),
                    "resources": lambda request: self._resources(status, request),
                    "forecast": self._forecast,
                    "refresh": lambda request: refresh(router, request),
                    "disable": lambda request: disable(router, request),
                    "enable": lambda request: enable(router, request),
                    "drain": lambda request: drain(drainage, request),
                    "undrain": lambda request: undrain(drainage),
                    "reload": self._reload,
                    "hold": confirmation.hold,
                    "confirm": confirmation.confirm,
                    "rollback": confirmation.roll_back,
                    "datastore": self._datastore,
                    "takeover": handover.offer,
                    "version": lambda request: {"version": status.status()["version"]},
                },
                looks=LOOKS,
                access=options.access,
            )
            async with server:
                reports = NodeReports(
                    options.node, options.datastore, router, status, confirmation.settled
                )
                if held is not None:
                    confirmation.resume(held)
                await self._serve(router, snapshots, reports)

    async def _begin(
        self, snapshots: AsyncGenerator[Resources, None]
    ) -> tuple[Plan, Unconfirmed | None]:
        """Make the plan, take the running daemon's place if so asked, and find what it left.

        Raises:
            SpeakerError: there is no plan, or the place cannot be had; who runs, runs on.
        """
        options = self._options
        succeeds = options.takeover and await asyncio.to_thread(is_running, options.run_dir)
        # What a running daemon has to put back is its own business until it has gone.
        held = None if succeeds else await self._unconfirmed()
        self._wanted = await anext(snapshots)
        # Both are known before any peer is configured.
        self._workloads = await asyncio.to_thread(self._endpoints.load)
        try:
            plan = self._plan()
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
        result = await asyncio.to_thread(self._directory.load)
        self._loaded(result)
        self._wanted = result.resources
        return self._plan()

    def _further_conditions(self) -> Iterator[Condition]:
        """Give what is wrong with the node besides its router."""
        if self._drainage is not None:
            yield from self._drainage.conditions()
        if self._hook is not None:
            yield from self._hook.conditions()

    async def _serve(
        self, router: Speaker, snapshots: AsyncIterator[Resources], reports: NodeReports
    ) -> None:
        plan = router.plan
        self._tell_conditions(None, plan)
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
        reports.follow(self._last.resources)
        following = asyncio.create_task(self._follow(router, snapshots, reports))
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
        if self._router is not None and not self._stop.is_set():
            log.reload_asked()
            self._hung_up = asyncio.create_task(self._read_again())

    async def _follow(
        self, router: Speaker, snapshots: AsyncIterator[Resources], reports: NodeReports
    ) -> None:
        """Apply what changes; whatever changes while that is done is one edit."""
        await asyncio.gather(
            self._take_resources(snapshots),
            self._take_workloads(),
            self._apply_changes(router, reports),
        )

    async def _take_resources(self, snapshots: AsyncIterator[Resources]) -> None:
        async for self._wanted in snapshots:
            self._changed.set()

    async def _take_workloads(self) -> None:
        async with aclosing(self._endpoints.snapshots()) as snapshots:
            async for workloads in snapshots:
                if workloads != self._workloads:
                    self._workloads = workloads
                    self._changed.set()

    async def _apply_changes(self, router: Speaker, reports: NodeReports) -> None:
        while await self._changed.wait():
            self._changed.clear()
            await self._apply(router)
            reports.follow(self._wanted)

    async def _apply(self, router: Speaker) -> None:
        try:
            plan = self._plan()
        except ConfigError as error:
            log.edit_refused(error.source or str(self._options.datastore), str(error))
            message = f"{error}; what ran before goes on"
            node = f"Node/{self._options.node}"
            self._no_plan = (Condition(node, Gravity.ERROR, "NoPlan", message),)
            return
        self._no_plan = ()
        self._tell_conditions(router.plan, plan)
        try:
            done = await router.apply(plan)
        except SpeakerError as error:
            log.edit_refused(str(self._options.datastore), str(error))
            return
        finally:
            if self._supervision is not None:
                self._supervision.keep()
        self._edits = [change.describe() for change in done]

    def _tell_conditions(self, old: Plan | None, new: Plan) -> None:
        known = set() if old is None else set(old.conditions)
        for condition in new.conditions:
            if condition not in known:
                log.condition(
                    condition.resource,
                    condition.severity.value,
                    condition.reason,
                    condition.message,
                )

    def _datastore(self, request: dict[str, Any]) -> DatastoreView:
        """Tell where the resources are, for commands that edit them."""
        options = self._options
        return {
            "path": str(options.datastore.resolve()),
            "node": options.node,
            "strictSecrets": options.strict_secrets,
        }

    def _resources(self, status: Status, request: dict[str, Any]) -> ResourcesView:
        """Say what resources have come to."""
        assert self._router is not None
        found = ResourceStatus(
            self._last,
            (*self._no_plan, *status.conditions()),
            [status.peer(peer) for peer in self._router.peers.values()],
            self._router.plan.held,
            rpki(self._router)["caches"],
        )
        unconfirmed = None if self._confirmation is None else self._confirmation.view()
        kind, name = str(request.get("kind") or ""), str(request.get("name") or "")
        return found.view(kind, name, unconfirmed)

    async def _forecast(self, request: dict[str, Any]) -> Iterator[ForecastView]:
        """Say what an edit would do to routes: ``put`` has documents, ``delete`` kinds and names.

        Raises:
            ControlError: a document is not valid, or no plan can be made.
        """
        assert self._router is not None
        try:
            # In a thread: thousands of documents take longer than a session's turn may.
            plan = await asyncio.to_thread(self._would_be_plan, request)
        except ConfigError as error:
            raise ControlError(error.message, error.hint) from None
        except (TypeError, ValueError) as error:
            raise ControlError(f"not a list of kinds and names: {error}") from None
        return Foresight(self._router, plan).chunks()

    def _would_be_plan(self, request: dict[str, Any]) -> Plan:
        put = []
        for number, tree in enumerate(request.get("put") or ()):
            report = read_document(Document("the request", number, tree, {}))
            if report.resource is None:
                raise ConfigError("; ".join(problem.sentence for problem in report.problems))
            put.append(report.resource)
        gone = [(Kind(kind), str(name)) for kind, name in request.get("delete") or ()]
        return self._plan_of(self._last.resources.amended(put, gone))

    async def _reload(self, request: dict[str, Any]) -> dict[str, Any]:
        """Read the datastore now, not only when the watcher sees a change."""
        if self._router is None:
            raise ControlError("the router is not running yet")
        problems = await self._read_again()
        return {
            "changes": self._edits,
            "problems": [str(problem) for problem in problems],
        }

    async def _read_again(self) -> tuple[Problem, ...]:
        assert self._router is not None
        assert self._supervision is not None
        with self._supervision.reloading():
            result = await asyncio.to_thread(self._directory.load)
            self._loaded(result)
            self._edits = []
            self._wanted = result.resources
            self._workloads = await asyncio.to_thread(self._endpoints.load)
            await self._apply(self._router)
        return result.problems


def _why(router: Speaker, request: dict[str, Any]) -> WhyView:
    """Say why a route is there or not."""
    found = why(router, str(request.get("prefix", "")), request.get("peer"))
    if request.get("json"):
        return {"used": found.is_used, "answer": found.as_json()}
    return {"used": found.is_used, "text": str(found)}


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
