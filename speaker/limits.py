"""Holding a session to the number of prefixes that its peer may tell.

`Limits` looks at the session's Adj-RIBs-In whenever a run of UPDATEs has been learned: it warns
once when a table comes near its limit, and gives the event that ends the session when one is beyond
it. Where the plan would rather drop what is too much, the table itself does so, and here it is
told. What is received counts, before any filter: the limit keeps memory from the peer. Of a peer
that tells several paths to a prefix each path counts (RFC 7911).

Standards: RFC 4271 §6.7; RFC 4486 §4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from fsm.events import AutomaticStop
from fsm.family import Family
from fsm.notifications import Cease
from speaker import log
from speaker.config.conditions import Condition, Gravity
from speaker.config.limits import LimitAction, PrefixLimit
from speaker.config.plan import PeerPlan
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import MAX_PATHS


class Reports:
    """Conditions that are logged when they begin, and again only after they had ended."""

    def __init__(self) -> None:
        self._said: set[Condition] = set()

    def say(self, conditions: Iterable[Condition]) -> None:
        """Log those that are new."""
        present = set(conditions)
        for condition in present - self._said:
            log.condition(
                condition.resource, condition.severity.value, condition.reason, condition.message
            )
        self._said = present


class Limits:
    """The limits of one session.

    Args:
        plan: of the peer.
        ribs: what the peer told us.
    """

    def __init__(self, plan: PeerPlan, ribs: Mapping[Family, AdjRibIn]) -> None:
        self._ribs = ribs
        self._reports = Reports()
        self.take_plan(plan)

    def take_plan(self, plan: PeerPlan) -> None:
        """Go on under another plan."""
        self._plan = plan
        self._limits = {f: limit for f, limit in plan.max_prefixes if f in self._ribs}
        for family, rib in self._ribs.items():
            limit = self._limits.get(family)
            drops = limit is not None and limit.action is LimitAction.DROP
            rib.maximum = limit.maximum if drops and limit is not None else None

    @property
    def dropped(self) -> bool:
        """Whether there is anything that the peer told and no table has kept."""
        return any(rib.dropped or rib.crowded for rib in self._ribs.values())

    def forget_dropped(self) -> None:
        """The peer tells everything again."""
        for rib in self._ribs.values():
            rib.forget_dropped()

    def check(self) -> AutomaticStop | None:
        """Look at the tables; give what ends the session if one is beyond its limit."""
        if not self._limits and not self.dropped:
            return None
        self._reports.say(self.conditions())
        for family, limit in self._limits.items():
            if limit.action is not LimitAction.DROP and len(self._ribs[family]) > limit.maximum:
                return _stop(family, limit)
        return None

    def conditions(self) -> Iterator[Condition]:
        """Say in words which tables are near or beyond their limits."""
        resource = f"BGPPeer/{self._plan.resource}" if self._plan.resource else self._plan.name
        for family, rib in self._ribs.items():
            if rib.crowded:
                yield Condition(
                    resource,
                    Gravity.ERROR,
                    "PathsDropped",
                    f"{self._plan.name} has more than {MAX_PATHS} paths to one {family} prefix; "
                    "what comes beyond is dropped",
                )
        for family, limit in self._limits.items():
            rib = self._ribs[family]
            if rib.dropped:
                yield Condition(
                    resource,
                    Gravity.ERROR,
                    "PrefixesDropped",
                    f"{self._plan.name} has more than {limit.maximum} {family} prefixes; "
                    "what comes beyond is dropped",
                )
            elif limit.is_near(len(rib)):
                yield Condition(
                    resource,
                    Gravity.WARNING,
                    "PrefixLimitNear",
                    f"{self._plan.name} has told {limit.share}% or more of the "
                    f"{limit.maximum} {family} prefixes that it may",
                )


def _stop(family: Family, limit: PrefixLimit) -> AutomaticStop:
    """RFC 4486 §4: the Cease says which limit it was."""
    data = family.afi.to_bytes(2, "big") + bytes((family.safi,)) + limit.maximum.to_bytes(4, "big")
    return AutomaticStop(
        Cease.MAXIMUM_NUMBER_OF_PREFIXES_REACHED,
        data,
        hard=True,
        restart_after=limit.restart if limit.action is LimitAction.RESTART else math.inf,
    )
