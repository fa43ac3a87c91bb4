"""Keeps the CalicoNodeStatus resources that name this node up to date.

Each is a task: look, write if anything but the time would change, wait ``updatePeriodSeconds``. The
status is written into the file where the resource stands, and nothing else of the file is touched;
resources are compared without it (`CalicoNodeStatus`), so that a report is no edit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from speaker import log
from speaker.config.kinds import Kind
from speaker.config.status_resources import CalicoNodeStatus, CalicoNodeStatusSpec, StatusClass
from speaker.config.store import Resources
from speaker.config.updates import with_tree
from speaker.control.views import RouteView
from speaker.datastore.edition import editing
from speaker.errors import ConfigError
from speaker.node_status import Report, last_updated, report_of
from speaker.route_views import RouteViews
from speaker.speaker import Speaker
from speaker.status import Status

ATTEMPTS = 3
"""How often a file is written that somebody else changes meanwhile."""

MAX_ROUTES = 10_000
"""Routes in one report; a file of more could be neither written nor read in passing."""


class NodeReports:
    """The reports of one node.

    Args:
        node: its name.
        datastore: the directory of resources.
        router: the running router.
        status: who answers for it.
        settled: waits until a file may be written.
    """

    def __init__(
        self,
        node: str,
        datastore: Path,
        router: Speaker,
        status: Status,
        settled: Callable[[Path], Awaitable[None]],
    ) -> None:
        self._node = node
        self._datastore = datastore
        self._router = router
        self._status = status
        self._views = RouteViews(router)
        self._settled = settled
        self._changed_at = router.clock.wall()
        self._tasks: dict[str, tuple[CalicoNodeStatusSpec, asyncio.Task[None]]] = {}

    def follow(self, resources: Resources) -> None:
        """Report what resources ask for from now on, and note that they have changed."""
        self._changed_at = self._router.clock.wall()
        wanted = {
            name: item for name, item in resources.statuses.items() if item.spec.node == self._node
        }
        for name, (spec, task) in list(self._tasks.items()):
            if name not in wanted or wanted[name].spec != spec:
                task.cancel()
                del self._tasks[name]
        for name, item in wanted.items():
            if name not in self._tasks:
                place, _, _ = resources.place(Kind.CALICO_NODE_STATUS, name).rpartition(":")
                task = asyncio.create_task(self._keep(item, Path(place)))
                self._tasks[name] = (item.spec, task)

    async def close(self) -> None:
        """Report no more."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, resource: CalicoNodeStatus, file: Path) -> None:
        written = {**(resource.status or {})}
        written.pop("lastUpdated", None)
        period = resource.spec.update_period_seconds
        while True:
            await self._settled(file)
            report = await self._look(resource.spec.classes)
            if report != written:
                moment = last_updated(self._router.clock.wall())
                status = {"lastUpdated": moment, **report}
                try:
                    await asyncio.to_thread(self._write, resource.name, file, status)
                    written = report
                except ConfigError as error:
                    log.report_failed(resource.name, str(error))
            if not period:
                return
            await asyncio.sleep(period)

    async def _look(self, classes: list[StatusClass]) -> Report:
        routes: list[RouteView] = []
        if StatusClass.ROUTES in classes:
            for chunk in self._views.routes({}):
                routes += chunk["routes"]
                if len(routes) > MAX_ROUTES:
                    log.report_cut(MAX_ROUTES)
                    break
                # Others have their turn between two slices.
                await asyncio.sleep(0)
        now = self._router.clock.wall()
        return report_of(classes, self._status.status(), routes[:MAX_ROUTES], now, self._changed_at)

    def _write(self, name: str, file: Path, status: Report) -> None:
        """Put a report into its resource, in whatever file that stands now.

        Raises:
            ConfigError: the file cannot be edited, or is changed again and again.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if not (file.exists() and _put(file, name, status)):
                    _put(self._datastore, name, status)
            except ConfigError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return


def _put(path: Path, name: str, status: Report) -> bool:
    """Write a report into a file or directory; False if the resource is not there."""
    with editing(path) as edition:
        found = edition.resources.get((Kind.CALICO_NODE_STATUS, name))
        if found is None:
            return False
        edition.put(with_tree(found, {**found.tree, "status": status}))
        edition.write()
        return True
