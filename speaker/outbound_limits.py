"""Holding ourselves to the number of prefixes that we may tell a peer.

A peer with such a limit has an export group of its own (`speaker.rib.rationed_group`), whose table
is what the peer holds or is to hold. `OutboundLimits` looks at the lengths of these tables once a
turn, before anything is written: it warns once when one comes near its limit, says what is not
told, and gives the event that ends the session before a prefix too many is told.

No standard has a Cease for it: the session ends by an administrative one with words in it, as with
BIRD.

Standards: RFC 4486 §4; RFC 9003 §2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Protocol

from fsm.events import AutomaticStop
from fsm.family import Family
from fsm.notifications import Cease, shutdown_communication
from speaker.config.conditions import Condition, Gravity
from speaker.config.limits import LimitAction, PrefixLimit
from speaker.config.plan import PeerPlan
from speaker.limits import Reports
from speaker.rib.export_group import ExportGroup
from speaker.rib.rationed_group import RationedGroup


class Place(Protocol):
    """A place in an export group."""

    @property
    def group(self) -> ExportGroup:
        """The group."""


class OutboundLimits:
    """The limits of one session on what its peer is told.

    Args:
        plan: of the peer.
        places: the session's in the export groups.
    """

    def __init__(self, plan: PeerPlan, places: Mapping[Family, Place]) -> None:
        self._places = places
        self._reports = Reports()
        self.take_plan(plan)

    def take_plan(self, plan: PeerPlan) -> None:
        """Go on under another plan."""
        self._plan = plan
        self._limits = dict(plan.max_prefixes_out)

    def __bool__(self) -> bool:
        return bool(self._limits)

    def _groups(self) -> Iterator[tuple[Family, PrefixLimit, RationedGroup]]:
        for family, limit in self._limits.items():
            place = self._places.get(family)
            if place is not None and isinstance(place.group, RationedGroup):
                yield family, limit, place.group

    def check(self) -> AutomaticStop | None:
        """Look at the tables; give what ends the session if one is beyond its limit."""
        if not self._limits:
            return None
        self._reports.say(self.conditions())
        for family, limit, group in self._groups():
            if limit.action is not LimitAction.DROP and len(group.table) > limit.maximum:
                return _stop(family, limit)
        return None

    def conditions(self) -> Iterator[Condition]:
        """Say in words which tables are near or beyond their limits."""
        plan = self._plan
        resource = f"BGPPeer/{plan.resource}" if plan.resource else plan.name
        for family, limit, group in self._groups():
            if group.waiting:
                yield Condition(
                    resource,
                    Gravity.ERROR,
                    "PrefixesNotTold",
                    f"there are more than {limit.maximum} {family} prefixes for {plan.name}; "
                    "what comes beyond is not told",
                )
            elif limit.is_near(len(group.table)):
                yield Condition(
                    resource,
                    Gravity.WARNING,
                    "OutboundLimitNear",
                    f"{plan.name} is told {limit.share}% or more of the {limit.maximum} {family} "
                    "prefixes that it may be",
                )


def _stop(family: Family, limit: PrefixLimit) -> AutomaticStop:
    """End the session as an operator would, and say why."""
    text = f"there are more than {limit.maximum} {family} prefixes to tell"
    restarts = limit.action is LimitAction.RESTART
    return AutomaticStop(
        Cease.ADMINISTRATIVE_RESET if restarts else Cease.ADMINISTRATIVE_SHUTDOWN,
        shutdown_communication(text),
        hard=True,
        restart_after=limit.restart if restarts else math.inf,
        text=text,
    )
