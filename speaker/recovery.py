"""When a start is over: routes may be chosen, and adopted kernel routes that nobody wants may go.

After a restart the kernel still holds the routes of the run before, and so do the peers that
restart gracefully with us. Both go on forwarding by them while we learn everything anew, and
nothing that we say meanwhile may take a route away that we only have not heard of yet. So two
things wait, family by family, for the peers whose sessions were up before:

*Route selection* (RFC 4724 §4.1): nothing is installed or told to anybody until End-of-RIB has come
from each of them. Who does not speak graceful restart is not waited for: such a peer has dropped
our routes, and will not say when it has told all of its own. Who says that it has restarted itself
is waited for a short time only, or two of a kind would wait for each other.

Two that have restarted together would both go without the other's routes in the end. So when none
but such peers are missing they are told first, and alone, all that is known: they have nothing of
before that it could be taken for. With their answer everybody else is told everything.

RFC: 4724 §4.1 leaves those out at once whose Restart State bit is set. Ours: some set it long after
(FRR for its whole restart time), tell all they have at once, and lose it if they are left out.

*Adopted routes* go later: when every one of them has told all it has, gracefully or not.

A peer that never comes prolongs neither beyond a time. Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from speaker.config.plan import SELECTION_DEFERRAL

PeersUp: TypeAlias = Mapping[str, Mapping[Family, bool]]
"""By the peers' names, their families, and whether they say when they have told all of them."""

RESTARTED_WAIT = 5.0
"""Seconds from its session on in which a peer that has restarted itself may tell all it has."""

RESTARTED_SILENCE = 2.0
"""Seconds from its session on after which such a peer is told all we have, to break the silence."""

FAMILIES = (IPV4_UNICAST, IPV6_UNICAST)
"""Of whose routes the kernel knows."""

_NAMED = 5


@dataclass(slots=True)
class _Start:
    """What one family still waits for.

    Attributes:
        deferring: peers for which route selection waits, and until when.
        awaited: peers for which adopted routes wait.
        told: those of them that have told all, and whether selection waited for them.
        decided: why selection does not wait any longer; empty while it does.
        over: why nothing waits any longer; empty while something does.
    """

    deferring: dict[str, float]
    awaited: set[str]
    told: dict[str, bool] = field(default_factory=dict)
    decided: str = ""
    over: str = ""

    @property
    def until(self) -> float:
        """When selection waits for none of the missing peers any more, in monotonic seconds."""
        return max(self.deferring.values(), default=inf)

    @property
    def silent_until(self) -> float:
        """When peers are told first, if none but such are missing, in monotonic seconds."""
        return self.until - RESTARTED_WAIT + RESTARTED_SILENCE


class Recovery:
    """Knows how far a start is.

    Args:
        started: monotonic seconds at the start.
        peers: whose sessions were up before.
        wait: seconds at the most (Selection_Deferral_Timer).
    """

    def __init__(self, started: float, peers: PeersUp, wait: float = SELECTION_DEFERRAL) -> None:
        self.wait = wait
        self._started = started
        self._starts = {
            family: _Start(
                {name: inf for name, told in peers.items() if told.get(family)},
                {name for name, told in peers.items() if family in told},
            )
            for family in FAMILIES
        }
        self.is_restart = any(start.awaited for start in self._starts.values())
        """Somebody was there before: this is no first start."""

    @property
    def deadline(self) -> float:
        """When nobody is waited for any longer, in monotonic seconds."""
        return self._started + self.wait

    def next_look(self, now: float) -> float:
        """When something may be decided by time alone next, in monotonic seconds."""
        undecided = [start for start in self._starts.values() if not start.decided]
        times = [self.deadline, *(start.until for start in undecided)]
        times += (start.silent_until for start in undecided)
        return min((time for time in times if time > now), default=now)

    def is_told_first(self, peer: str, family: Family, now: float) -> bool:
        """Tell whether a peer hears of a family before its routes are chosen for all."""
        start = self._starts.get(family)
        return (
            start is not None
            and not start.decided
            and peer in start.deferring
            and start.silent_until <= now
        )

    def until(self, family: Family) -> float:
        """When the routes of a family are chosen at the latest, in monotonic seconds."""
        return min(self.deadline, self._starts[family].until)

    def is_deferring(self, family: Family) -> bool:
        """Tell whether routes of a family are not to be chosen yet."""
        start = self._starts.get(family)
        return start is not None and not start.decided

    @property
    def is_choosing(self) -> bool:
        """Tell whether routes of some family are not to be chosen yet."""
        return any(not start.decided for start in self._starts.values())

    @property
    def is_restarting(self) -> bool:
        """Tell whether peers are to be told that we have restarted (the Restart State bit)."""
        return self.is_restart and self.is_choosing

    @property
    def is_over(self) -> bool:
        """Tell whether nothing waits any longer."""
        return all(start.over for start in self._starts.values())

    def waiting(self) -> dict[Family, tuple[str, ...]]:
        """Name the peers that each family still waits for, to choose routes or to let some go."""
        return {
            family: tuple(sorted(start.awaited | start.deferring.keys()))
            for family, start in self._starts.items()
            if not start.over
        }

    def came_up(
        self, peer: str, ended: Collection[Family], now: float, *, has_restarted: bool
    ) -> None:
        """A peer's session is up.

        Args:
            peer: its name.
            ended: families of which it says when it has told all it has.
            now: monotonic seconds.
            has_restarted: its Restart State bit is set.
        """
        for family, start in self._starts.items():
            if family not in ended:
                start.deferring.pop(peer, None)
            elif has_restarted and peer in start.deferring:
                start.deferring[peer] = min(start.deferring[peer], now + RESTARTED_WAIT)

    def told_all(self, peer: str, families: Iterable[Family]) -> None:
        """A peer has told all it has of some families."""
        for family in families:
            start = self._starts.get(family)
            if start is not None and peer in start.awaited:
                start.awaited.remove(peer)
                start.told[peer] = start.deferring.pop(peer, None) is not None

    def fell(self, peer: str) -> None:
        """A peer's session is down: what it had told it has to tell again."""
        for start in self._starts.values():
            if peer in start.told and not start.over:
                start.awaited.add(peer)
                if start.told.pop(peer) and not start.decided:
                    start.deferring[peer] = inf

    def forget(self, peer: str) -> None:
        """A peer is no longer configured."""
        self.told_all(peer, FAMILIES)
        for start in self._starts.values():
            start.told.pop(peer, None)

    def rename(self, old: str, new: str) -> None:
        """A peer has another name now."""
        for start in self._starts.values():
            if old in start.deferring:
                start.deferring[new] = start.deferring.pop(old)
            if old in start.told:
                start.told[new] = start.told.pop(old)
            if old in start.awaited:
                start.awaited.remove(old)
                start.awaited.add(new)

    def decide(self, now: float) -> dict[Family, str]:
        """Give the families whose routes may be chosen from now on, each once, and why."""
        decided: dict[Family, str] = {}
        for family, start in self._starts.items():
            if not start.decided:
                start.decided = self._why(start.deferring, now, start.until)
                if start.decided:
                    decided[family] = start.decided
        return decided

    def finish(self, now: float) -> dict[Family, str]:
        """Give the families whose start is over, each once, and why."""
        over: dict[Family, str] = {}
        for family, start in self._starts.items():
            if start.decided and not start.over:
                start.over = self._why(start.awaited, now, inf)
                if start.over:
                    over[family] = start.over
        return over

    def _why(self, missing: Collection[str], now: float, until: float) -> str:
        if not missing:
            return "every peer has told all it has"
        if now < min(until, self.deadline):
            return ""
        names = ", ".join(sorted(missing)[:_NAMED])
        return f"waited long enough for {len(missing)} peers: {names}"
