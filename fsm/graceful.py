"""Graceful restart as the receiver: a peer's session falls, and its routes stay for a while.

A peer that restarts goes on forwarding, so what it told us stays true until it has told us anew.
`RestartHelper` follows one peer through its falls and returns, family by family, and says what is
to become of the routes that were told before:

    Established ─ fell ─> RESTARTING ─ RestartTimer ─> LONG_LIVED ─ LLST ─> gone
                              │                            │
                              └───────── came back ────────┴─> RETURNED ─ End-of-RIB ─> swept

It is a machine as `fsm.session` is one: the time is an argument, each call answers with the orders
to carry out, and `deadline` says when to call `expire`. Which ends of a session let routes stay is
`keeps_routes`, a function of the `DownReason` and of what was negotiated.

*Restarting again.* Routes that an earlier session left behind, and that the last one had not told
again when it fell, go at once (RFC 4724 §4.2).

*BFD.* Routes of a peer that is waited for go when BFD proves that nothing is forwarded to it: where
its C bit and ours say that BFD does not end with what restarts. Else they stay: that BFD fell may
be a part of the restart (RFC 5882 §4.3).

*Long-lived.* A family for which both ends speak RFC 9494 outlives the restart time as a last
resort: its routes are marked (LLGR_STALE), lose against all others, and go when the peer's
Long-Lived Stale Time is over. It runs on while a peer that came back tells its routes again.

Ours, beyond the RFCs: a peer that came back and never says End-of-RIB keeps old routes for
`STALE_PATH_TIME` at the most (RFC 4724 §4.2 leaves such a limit to the implementation).

Standards: RFC 4724 §4.2; RFC 5882 §4.3; RFC 8538 §4; RFC 9494 §4.2-4.4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TypeAlias

from fsm.capabilities import GracefulRestart, LongLivedGracefulRestart
from fsm.effects import DownKind, DownReason
from fsm.family import Family
from fsm.messages import Open
from fsm.negotiation import Negotiated

STALE_PATH_TIME = 360.0
"""Seconds that a peer that came back may take until its End-of-RIB."""


class Phase(StrEnum):
    """What the routes of a family wait for."""

    RESTARTING = "restarting"
    """For the peer to come back, until the RestartTimer expires."""
    LONG_LIVED = "long-lived stale"
    """For the same, as a last resort, until the Long-Lived Stale Time is over."""
    RETURNED = "telling again"
    """For the peer to tell them again."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The session is gone; routes of these families stay, those of all others go."""

    families: frozenset[Family]


@dataclass(frozen=True, slots=True)
class MakeLongLived:
    """Routes of these families are a last resort from now on. RFC 9494 §4.3."""

    families: frozenset[Family]


@dataclass(frozen=True, slots=True)
class Release:
    """Routes of these families, told by a session that is gone, go."""

    families: frozenset[Family]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Routes of these families that were not told again go."""

    families: frozenset[Family]


Order: TypeAlias = Keep | MakeLongLived | Release | Sweep


@dataclass(frozen=True, slots=True)
class Wait:
    """What the routes of a family wait for, and for how long.

    Args:
        phase: what they wait for.
        until: monotonic seconds.
    """

    phase: Phase
    until: float


def keeps_routes(reason: DownReason, negotiated: Negotiated) -> bool:
    """Tell whether the way in which a session ended lets the peer's routes stay.

    A lost connection does (RFC 4724 §4.2); a NOTIFICATION, either way, where both ends agreed on
    it, unless it is a Hard Reset (RFC 8538 §4).
    """
    match reason.kind:
        case DownKind.TCP:
            return True
        case DownKind.SENT | DownKind.RECEIVED:
            return negotiated.restarts_on_notification and not reason.is_hard_reset
        case DownKind.DROPPED:
            return False


def is_kept_for(sent: Open, negotiated: Negotiated) -> float:
    """Give the seconds for which the peer may keep our routes while we restart; 0 for not at all.

    Args:
        sent: our OPEN, which says for how long.
        negotiated: what both ends agreed.
    """
    if not negotiated.restarts_gracefully:
        return 0.0
    seconds = 0.0
    for capability in sent.capabilities:
        if isinstance(capability, GracefulRestart):
            seconds += capability.restart_time
        elif isinstance(capability, LongLivedGracefulRestart) and negotiated.is_long_lived:
            seconds += max((stale for _, _, stale in capability.families), default=0)
    return seconds


class RestartHelper:
    """What becomes of one peer's routes when its session falls, and when it comes back."""

    def __init__(self) -> None:
        self._waits: dict[Family, Wait] = {}
        # How long each family may be a last resort, by the peer's own word.
        self._long_lived: dict[Family, float] = {}
        self._last_resort_until: dict[Family, float] = {}

    @property
    def waits(self) -> Mapping[Family, Wait]:
        """What the routes of each family wait for; families that wait for nothing are not there."""
        return self._waits

    @property
    def deadline(self) -> float | None:
        """The moment of the next timer; None if none runs."""
        return min((wait.until for wait in self._waits.values()), default=None)

    def fell(self, reason: DownReason, negotiated: Negotiated, now: float) -> list[Order]:
        """The session is no longer Established."""
        returned = self._in_phase(Phase.RETURNED)
        times = _times(negotiated) if keeps_routes(reason, negotiated) else {}
        self._waits.clear()
        self._last_resort_until.clear()
        self._long_lived = _long_lived_times(negotiated) if times else {}
        for family, seconds in times.items():
            self._waits[family] = Wait(Phase.RESTARTING, now + seconds)
        orders: list[Order] = [Keep(frozenset(times))]
        # Their second fall: what the one before left behind is too old now.
        old = returned & times.keys()
        if old:
            orders.append(Sweep(old))
        return orders + self.expire(now)

    def came_back(self, negotiated: Negotiated, now: float) -> list[Order]:
        """The session is Established again: some families go on, and the peer tells them anew."""
        kept = frozenset(self._waits)
        preserved = {family: self._preserved(family, negotiated) for family in kept}
        lost = frozenset(family for family in kept if preserved[family] is None)
        swept = frozenset(family for family in kept if preserved[family] is False)
        for family in kept - lost:
            until = min(now + STALE_PATH_TIME, self._last_resort_until.get(family, inf))
            self._waits[family] = Wait(Phase.RETURNED, until)
        self._forget(lost)
        orders: list[Order] = []
        if lost:
            orders.append(Release(lost))
        if swept:
            # Nothing is forwarded by them any more, so what was told before is worth nothing.
            orders.append(self._done(swept))
        return orders

    def told_all(self, families: Iterable[Family]) -> list[Order]:
        """End-of-RIB of these families has come."""
        done = frozenset(families) & self._in_phase(Phase.RETURNED)
        return [self._done(done)] if done else []

    def expire(self, now: float) -> list[Order]:
        """Let every timer that is due expire."""
        due = frozenset(family for family, wait in self._waits.items() if wait.until <= now)
        restarting = due & self._in_phase(Phase.RESTARTING)
        aged = frozenset(family for family in restarting if self._long_lived.get(family))
        orders: list[Order] = []
        if aged:
            for family in aged:
                until = self._waits[family].until + self._long_lived[family]
                self._last_resort_until[family] = until
                self._waits[family] = Wait(Phase.LONG_LIVED, until)
            orders.append(MakeLongLived(aged))
        returned = due & self._in_phase(Phase.RETURNED)
        if returned:
            orders.append(self._done(returned))
        gone = due - aged - returned
        if gone:
            self._forget(gone)
            orders.append(Release(gone))
        return orders + (self.expire(now) if aged else [])

    def give_up(self) -> list[Order]:
        """Nobody waits for the peer any more: what a session that is gone has told goes."""
        gone = frozenset(self._waits) - self._in_phase(Phase.RETURNED)
        self._forget(gone)
        return [Release(gone)] if gone else []

    def lose_path(self, *, independent: bool) -> list[Order]:
        """BFD says that the path to a peer that is waited for is gone. RFC 5882 §4.3.

        Args:
            independent: BFD shares the fate of the control plane at neither end, so what failed is
                the forwarding; else that it fell may be a part of the restart.
        """
        return self.give_up() if independent else []

    def _preserved(self, family: Family, negotiated: Negotiated) -> bool | None:
        """Tell whether the peer kept forwarding; None where it does not restart gracefully now.

        Of a family that is a last resort the other capability says so. RFC 9494 §4.2.
        """
        if family not in negotiated.families:
            return None
        if self._waits[family].phase is Phase.LONG_LIVED:
            told = negotiated.long_lived if negotiated.is_long_lived else None
            return (
                None
                if told is None
                else {each: kept for each, kept, _ in told.families}.get(family)
            )
        return _forwarding(negotiated).get(family)

    def _in_phase(self, phase: Phase) -> frozenset[Family]:
        return frozenset(family for family, wait in self._waits.items() if wait.phase is phase)

    def _done(self, families: frozenset[Family]) -> Sweep:
        self._forget(families)
        return Sweep(families)

    def _forget(self, families: Collection[Family]) -> None:
        for family in families:
            self._waits.pop(family, None)
            self._last_resort_until.pop(family, None)


def _forwarding(negotiated: Negotiated) -> dict[Family, bool]:
    """Give the families that the peer restarts gracefully, and whether it forwarded meanwhile."""
    told = negotiated.graceful_restart
    return {} if told is None or not negotiated.restarts_gracefully else dict(told.families)


def _times(negotiated: Negotiated) -> dict[Family, float]:
    """Give the seconds that each family's routes may stay by RFC 4724.

    A restart time of zero leaves nothing to RFC 4724; a family may still be long-lived from the
    first moment (RFC 9494 §4.2).
    """
    told = negotiated.graceful_restart
    if told is None:
        return {}
    long_lived = _long_lived_times(negotiated)
    return {
        family: float(told.restart_time)
        for family in _forwarding(negotiated)
        if family in negotiated.families and (told.restart_time or long_lived.get(family))
    }


def _long_lived_times(negotiated: Negotiated) -> dict[Family, float]:
    """Give the Long-Lived Stale Time of each family for which both ends speak RFC 9494."""
    told = negotiated.long_lived
    if told is None or not negotiated.is_long_lived:
        return {}
    return {family: float(seconds) for family, _, seconds in told.families}
