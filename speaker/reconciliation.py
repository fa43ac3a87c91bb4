"""The running router is led to whatever plan its node's resources make.

`Reconciliation` makes a plan whenever its source says that there may be another, and has the router
apply it; what changes while that is done is one edit. A plan that cannot be made (our own Node is
gone, say) leaves the running one in force and is told, in the log and as a condition. What a new
plan has to say of the resources is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from speaker import log
from speaker.config.conditions import Condition, Gravity
from speaker.config.plan import Plan
from speaker.config.store import Resources
from speaker.control.views import ReloadView
from speaker.errors import ConfigError, SpeakerError
from speaker.plan_source import PlanSource
from speaker.speaker import Speaker
from speaker.supervision import Supervision


class Reconciliation:
    """Keeps one router to the plans of one source.

    Args:
        router: that is led.
        source: where the plans come from.
        supervision: is told while resources are read because somebody asks for it, and of the
            sockets that a plan has opened.
    """

    def __init__(self, router: Speaker, source: PlanSource, supervision: Supervision) -> None:
        self._router = router
        self._source = source
        self._supervision = supervision
        self._no_plan: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Why the resources make no plan; empty where they do."""
        return self._no_plan

    async def follow(self, applied: Callable[[Resources], None]) -> None:
        """Follow the source, for ever.

        Args:
            applied: is given the resources when all has been done that they ask for, or refused.
        """
        await asyncio.gather(self._source.follow(), self._apply_changes(applied))

    async def _apply_changes(self, applied: Callable[[Resources], None]) -> None:
        changed = self._source.changed
        while await changed.wait():
            changed.clear()
            await self._apply()
            applied(self._source.resources)

    async def reload(self, request: dict[str, Any]) -> ReloadView:
        """Read the resources now, not only when they are seen to change, and apply them."""
        with self._supervision.reloading():
            problems = await self._source.read_again()
            changes = await self._apply()
        return {"changes": changes, "problems": list(map(str, problems))}

    async def _apply(self) -> list[str]:
        """Make a plan and have it applied; give what that changed, a sentence each."""
        source = self._source
        try:
            plan = source.plan()
        except ConfigError as error:
            log.edit_refused(error.source or str(source.datastore), str(error))
            message = f"{error}; what ran before goes on"
            node = f"Node/{source.node}"
            self._no_plan = (Condition(node, Gravity.ERROR, "NoPlan", message),)
            return []
        self._no_plan = ()
        tell_conditions(self._router.plan, plan)
        try:
            done = await self._router.apply(plan)
        except SpeakerError as error:
            log.edit_refused(str(source.datastore), str(error))
            return []
        finally:
            self._supervision.keep()
        return [change.describe() for change in done]


def tell_conditions(old: Plan | None, new: Plan) -> None:
    """Log what a plan has to say of the resources, and the one before had not.

    Args:
        old: the plan before; None for the first one.
        new: the plan that comes into force.
    """
    known = frozenset[Condition]() if old is None else frozenset(old.conditions)
    for condition in new.conditions:
        if condition not in known:
            log.condition(
                condition.resource,
                condition.severity.value,
                condition.reason,
                condition.message,
            )
