"""What this node is to be: the datastore's resources, the node's workloads, the plan they make.

A `PlanSource` watches both places. Whatever comes from either sets `changed`, and the next `plan`
is made from what there is then, so that changes in quick succession lead to one plan. What is
refused in the datastore, and what deserves a look there, is told once for as long as it lasts.
Nothing here knows of a router: that the plan comes into force is the business of
`speaker.reconciliation`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

from speaker import log
from speaker.config.kinds import Kind
from speaker.config.models import Resource
from speaker.config.plan import Plan
from speaker.config.problems import Problem
from speaker.config.store import Resources
from speaker.datastore.directory import Directory, LoadResult
from speaker.datastore.endpoint_status import EndpointStatus, Workloads
from speaker.environment import endpoint_status_directory, resolve_here


class PlanSource:
    """Where the plans of one node come from.

    Args:
        datastore: the directory of resources.
        node: the name of the Node that we are.
        strict_secrets: hold sessions down whose password is missing.

    Attributes:
        loaded: what the datastore held at the last reading.
        resources: those from which plans are made.
        changed: set when the next plan may be another; for whoever makes it to clear.
    """

    def __init__(self, datastore: Path, node: str, *, strict_secrets: bool = False) -> None:
        self.datastore = datastore
        self.node = node
        self.strict_secrets = strict_secrets
        self.loaded = LoadResult(Resources())
        self.resources = Resources()
        self.changed = asyncio.Event()
        self._workloads: Workloads = ()
        self._told: set[tuple[bool, str]] = set()
        self._directory = Directory(datastore, self._tell)
        self._snapshots = self._directory.snapshots()
        self._endpoints = EndpointStatus(endpoint_status_directory(), log.document_warning)

    def _tell(self, loaded: LoadResult) -> None:
        """Tell what was refused, and what deserves a look, each once."""
        self.loaded = loaded
        known, self._told = self._told, set()
        for problem in loaded.problems:
            self._told.add((True, str(problem)))
            if (True, str(problem)) not in known:
                log.edit_refused(problem.place, problem.sentence)
        for warning in loaded.warnings:
            self._told.add((False, str(warning)))
            if (False, str(warning)) not in known:
                log.document_warning(warning.place, warning.sentence)

    async def begin(self) -> None:
        """Read both places for the first time."""
        self.resources = await anext(self._snapshots)
        # Both are known before any peer is configured.
        self._workloads = await asyncio.to_thread(self._endpoints.load)

    async def aclose(self) -> None:
        """Watch no more."""
        await self._snapshots.aclose()

    def plan(self) -> Plan:
        """Make the plan of what there is now.

        Raises:
            ConfigError: none can be made.
        """
        return self._plan_of(self.resources)

    def plan_with(self, put: Iterable[Resource], gone: Iterable[tuple[Kind, str]]) -> Plan:
        """Make the plan that an edit would lead to; may be called from any thread.

        Args:
            put: resources that it writes.
            gone: kinds and names that it deletes.

        Raises:
            ConfigError: none can be made.
        """
        return self._plan_of(self.loaded.resources.amended(put, gone))

    def _plan_of(self, resources: Resources) -> Plan:
        return resolve_here(
            resources, self.node, self._workloads, strict_secrets=self.strict_secrets
        )

    async def read_again(self) -> tuple[Problem, ...]:
        """Read both places now, not only when they are seen to change.

        Returns:
            What was refused.
        """
        loaded = await asyncio.to_thread(self._directory.load)
        self._tell(loaded)
        self.resources = loaded.resources
        self._workloads = await asyncio.to_thread(self._endpoints.load)
        return loaded.problems

    async def follow(self) -> None:
        """Follow both places from `begin` on, for ever."""
        await asyncio.gather(self._follow_resources(), self._follow_workloads())

    async def _follow_resources(self) -> None:
        async for resources in self._snapshots:
            self.resources = resources
            self.changed.set()

    async def _follow_workloads(self) -> None:
        async with aclosing(self._endpoints.snapshots()) as snapshots:
            async for workloads in snapshots:
                if workloads != self._workloads:
                    self._workloads = workloads
                    self.changed.set()
