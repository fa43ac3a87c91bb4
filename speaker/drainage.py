"""Taking a node out of service without losing a packet, and putting it back.

A drain has four steps, each of which waits for the one before it to have reached the peers:

    telling      every route is told again as a last choice: GRACEFUL_SHUTDOWN to all, and
                 LOCAL_PREF 0 within the AS (RFC 8326 §4)
    waiting      for others to move their traffic, as long as the operator says
    withdrawing  every route that was told
    drained      sessions are closed with an Administrative Shutdown and the operator's words,
                 and stay down

One that is asked for while routes wait to be chosen after a restart begins earlier:

    choosing     peers still have what the run before told them, and no word of a last choice; it is
                 told when routes are chosen, in their first UPDATE

`undrain` leads back from any of them; from the last by one more, so that nobody sends packets
before we know where they go:

    returning    sessions come up, and what peers tell is installed; nothing is told yet

What an operator had disabled before stays so. A drain does not outlast the process, as nothing does
that an operator asks for at run time.

Standards: RFC 8326 §4; RFC 9003 §2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum

from fsm.notifications import Cease
from policy.outbound import Leaving
from speaker import log
from speaker.config.conditions import Condition, Gravity
from speaker.speaker import Speaker

TOLD_WITHIN = 60.0
"""Seconds after which a peer that does not read what it is told is not waited for."""

LEARNED_WITHIN = 10.0
"""Seconds after which a peer that does not come up, or tell all it has, is not waited for."""

_LOOK = 0.05


class Step(StrEnum):
    """How far a drain is."""

    NONE = "in service"
    CHOOSING = "choosing"
    TELLING = "telling"
    WAITING = "waiting"
    WITHDRAWING = "withdrawing"
    DRAINED = "drained"
    RETURNING = "returning"


class Drainage:
    """The drain of one router.

    Args:
        router: what is drained.
    """

    def __init__(self, router: Speaker) -> None:
        self._router = router
        self._task: asyncio.Task[None] | None = None
        self._until = 0.0
        self.step = Step.NONE

    @property
    def seconds_left(self) -> float:
        """How long others are still given to move their traffic."""
        if self.step is not Step.WAITING:
            return 0.0
        return max(0.0, self._until - self._router.clock.now())

    def drain(self, wait: float, reason: str) -> None:
        """Begin to drain; a drain that is under way goes on, one that is done stays so.

        Args:
            wait: seconds for others to move their traffic.
            reason: for the operators of the peers.
        """
        if self._task is not None and self.step is Step.RETURNING:
            self._task.cancel()
            self._task = None
        if self._task is None:
            self._task = asyncio.create_task(self._drain(wait, reason))

    def undrain(self) -> None:
        """Put the router back into service."""
        if self._task is None or self.step is Step.RETURNING:
            return
        self._task.cancel()
        self._task = None
        if self.step is Step.DRAINED:
            self._enter(Step.RETURNING)
            self._router.service.let_up()
            self._task = asyncio.create_task(self._return())
        else:
            self._serve()

    async def steps(self) -> AsyncIterator[tuple[Step, float]]:
        """Follow a drain: each step with the seconds left, and again every second, to its end."""
        told = None
        while True:
            now = (self.step, float(round(self.seconds_left)))
            if now != told:
                told = now
                yield now
            if self.step in (Step.DRAINED, Step.NONE):
                return
            await asyncio.sleep(_LOOK)

    async def close(self) -> None:
        """Follow no more; the router is about to end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def conditions(self) -> list[Condition]:
        """Say that the node is not, or not for long, in service."""
        if self.step is Step.NONE:
            return []
        words = {
            Step.CHOOSING: "all routes are told as a last choice when they are chosen",
            Step.TELLING: "all routes are being told as a last choice",
            Step.WAITING: f"routes are a last choice, for {self.seconds_left:.0f} s more",
            Step.WITHDRAWING: "all routes are being withdrawn",
            Step.DRAINED: "all sessions are down; 'wren undrain' lets them come up",
            Step.RETURNING: "sessions come up; routes are told when all is known and installed",
        }
        node = f"Node/{self._router.plan.node}"
        return [Condition(node, Gravity.WARNING, "Draining", f"draining: {words[self.step]}")]

    async def _drain(self, wait: float, reason: str) -> None:
        router = self._router
        if router.recovery.is_choosing:
            self._enter(Step.CHOOSING)
            router.service.tell(Leaving.AS_LAST_CHOICE)
            # It ends by itself: with the last End-of-RIB, or the deferral timer.
            while router.recovery.is_choosing:  # noqa: ASYNC110 - nothing rings
                await asyncio.sleep(_LOOK)
            self._enter(Step.TELLING)
        else:
            self._enter(Step.TELLING)
            router.service.tell(Leaving.AS_LAST_CHOICE)
        await self._told()
        self._until = router.clock.now() + wait
        self._enter(Step.WAITING)
        await asyncio.sleep(wait)
        self._enter(Step.WITHDRAWING)
        router.service.tell(Leaving.SILENTLY)
        await self._told()
        self._enter(Step.DRAINED)
        router.service.hold_down(Cease.ADMINISTRATIVE_SHUTDOWN, reason)

    async def _return(self) -> None:
        router = self._router
        until = router.clock.now() + LEARNED_WITHIN
        # Nothing rings when the last peer has told all it has.
        while router.clock.now() < until and not router.service.has_learned:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        self._task = None
        self._serve()

    def _serve(self) -> None:
        self._enter(Step.NONE)
        self._router.service.tell(Leaving.NO)

    def _enter(self, step: Step) -> None:
        self.step = step
        log.draining(step.value)

    async def _told(self) -> None:
        """Wait until every peer has what it is owed, but not for one that does not read."""
        router = self._router
        until = router.clock.now() + TOLD_WITHIN
        # A socket that takes what it is owed rings no bell here.
        while router.clock.now() < until and not router.service.has_told:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
