"""The daemon: a datastore, a router and a control socket, from start to signal.

`run` is what ``wren run`` does. It loads the resources, computes the node's plan, starts the router
with it, and follows every edit of the datastore; it answers the other commands at the control
socket. An edit that no plan can be made from (our own Node is gone, say) leaves the running one in
force and is told.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from speaker import log
from speaker.config.plan import Plan, resolve
from speaker.config.problems import Problem
from speaker.config.store import Resources
from speaker.control.protocol import ControlError
from speaker.control.server import ControlServer
from speaker.datastore.directory import Directory, LoadResult
from speaker.errors import ConfigError, SpeakerError
from speaker.speaker import KernelOptions, Speaker
from speaker.status import Status
from speaker.turn import freeze, tune_collector

SOCKET = "wren.sock"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the daemon is run.

    Attributes:
        datastore: directory of the resources.
        node: which Node we are.
        log_format: ``text`` or ``json``.
        log_level: ``debug`` to ``error``; None follows the resources.
        kernel: whether routes are installed.
        table: the kernel's routing table.
        protocol: the number that marks routes as ours.
        run_dir: where the control socket is.
        withdraw_on_exit: take our routes out of the kernel at the end.
        loop: ``uvloop`` or ``asyncio``.
    """

    datastore: Path
    node: str
    run_dir: Path
    log_format: str = "text"
    log_level: str | None = None
    kernel: bool = True
    table: int = 254
    protocol: int = 12
    withdraw_on_exit: bool = False
    loop: str = "uvloop"


class Daemon:
    """One run of the daemon.

    Args:
        options: how it is run.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._problems: dict[str, Problem] = {}
        self._directory = Directory(options.datastore, self._loaded)
        self._stop = asyncio.Event()
        self._router: Speaker | None = None
        self._edits: list[str] = []

    def _loaded(self, result: LoadResult) -> None:
        """Tell what was refused, and what deserves a look, each once."""
        known, self._problems = self._problems, {}
        for problem in result.problems:
            self._problems[str(problem)] = problem
            if str(problem) not in known:
                log.edit_refused(problem.place, problem.sentence)
        for warning in result.warnings:
            self._problems["warning " + str(warning)] = warning
            if "warning " + str(warning) not in known:
                log.document_warning(warning.place, warning.sentence)

    def _plan(self, resources: Resources) -> Plan:
        return resolve(resources, self._options.node, os.environ.get("CALICO_ROUTER_ID"))

    async def run(self) -> None:
        """Run until a signal.

        Raises:
            SpeakerError: the start is impossible; the text says what to do.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        async with aclosing(self._directory.snapshots()) as snapshots:
            plan = self._plan(await anext(snapshots))
            options = self._options
            kernel = KernelOptions(options.table, options.protocol) if options.kernel else None
            router = self._router = Speaker(plan, kernel=kernel)
            status = Status(router, os.getpid())
            server = ControlServer(
                options.run_dir / SOCKET,
                {
                    "status": lambda request: status.status(),
                    "peer": lambda request: status.peer_detail(str(request.get("name", ""))),
                    "routes": status.routes,
                    "reload": self._reload,
                    "version": lambda request: {"version": status.status()["version"]},
                },
            )
            async with server:
                await self._serve(router, snapshots)

    async def _serve(self, router: Speaker, snapshots: AsyncIterator[Resources]) -> None:
        plan = router.plan
        self._tell_conditions(None, plan)
        log.choose_level(self._options.log_level)
        log.set_severity(plan.log_severity.value)
        await router.start()
        log.started(
            plan.node,
            plan.asn,
            str(IPv4Address(plan.router_id)),
            len(plan.peers),
            os.getpid(),
        )
        freeze()
        following = asyncio.create_task(self._follow(router, snapshots))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        finally:
            for task in (following, stopping):
                task.cancel()
            await asyncio.gather(following, stopping, return_exceptions=True)
            await router.stop(withdraw=self._options.withdraw_on_exit)
            log.stopped(self._options.withdraw_on_exit, self._options.kernel)

    async def _follow(self, router: Speaker, snapshots: AsyncIterator[Resources]) -> None:
        async for resources in snapshots:
            await self._apply(router, resources)

    async def _apply(self, router: Speaker, resources: Resources) -> None:
        try:
            plan = self._plan(resources)
        except ConfigError as error:
            log.edit_refused(error.source or str(self._options.datastore), str(error))
            return
        self._tell_conditions(router.plan, plan)
        try:
            done = await router.apply(plan)
        except SpeakerError as error:
            log.edit_refused(str(self._options.datastore), str(error))
            return
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

    async def _reload(self, request: dict[str, Any]) -> dict[str, Any]:
        """Read the datastore now, not only when the watcher sees a change."""
        router = self._router
        if router is None:
            raise ControlError("the router is not running yet")
        result = await asyncio.to_thread(self._directory.load)
        self._loaded(result)
        self._edits = []
        await self._apply(router, result.resources)
        return {
            "changes": self._edits,
            "problems": [str(problem) for problem in result.problems],
        }


async def _run(options: RunOptions) -> int:
    tune_collector()
    await Daemon(options).run()
    return 0


def run(options: RunOptions) -> int:
    """Run the daemon until a signal; the exit status is given back.

    Raises:
        SpeakerError: the start is impossible; the text says what to do.
    """
    log.to_stderr(options.log_format, options.log_level or "info")
    if options.loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options))
    return asyncio.run(_run(options))
