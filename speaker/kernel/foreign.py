"""Foreign routes: what others have put into the kernel's tables.

One `ForeignRoutes` per address family keeps them by prefix. They matter twice: next hops are
resolved over them, and a foreign route that holds the place of one of ours (same prefix, metric,
type of service 0) is not to be overwritten.

The kernel tells of changes in ways that differ by family. An IPv4 place may hold several routes,
one behind the other; a notification with the replace flag displaces the first. IPv6 tells a route
of several hops whole when it is made and sometimes hop by hop when it goes; routes through gateways
share a place and become one, routes without a gateway stand side by side. What cannot be told from
notifications is put right by the next scan (`replace_all`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.rib.underlay import KernelRoute

NLM_F_REPLACE = 0x100


class ForeignRoutes:
    """The foreign routes of one address family.

    Attributes:
        routes: by prefix, best metric first.
    """

    def __init__(self, afi: Afi) -> None:
        self._afi = afi
        self.routes: dict[Nlri, tuple[KernelRoute, ...]] = {}
        self._changed: dict[Nlri, None] = {}

    def holding(self, nlri: Nlri, table: int, metric: int) -> KernelRoute | None:
        """Find the foreign route in a place, if there is one."""
        for route in self.routes.get(nlri, ()):
            if route.metric == metric and route.table == table and not route.tos:
                return route
        return None

    def added(self, route: KernelRoute, flags: int) -> None:
        """Take in a notification that a route was made or changed."""
        routes = list(self.routes.get(route.nlri, ()))
        if route in routes:
            return
        displaced = self._displaced(routes, route, bool(flags & NLM_F_REPLACE))
        if displaced is not None:
            routes.remove(displaced)
        self._set(route.nlri, [*routes, route])

    def removed(self, route: KernelRoute) -> None:
        """Take in a notification that a route, or some hops of it, went."""
        routes = list(self.routes.get(route.nlri, ()))
        for old in routes:
            if not _same_place(old, route) or old.protocol != route.protocol:
                continue
            left = tuple(hop for hop in old.hops if hop not in route.hops)
            if left == old.hops and old.hops != route.hops:
                continue
            routes.remove(old)
            if left and self._afi is Afi.IPV6:
                routes.append(replace(old, hops=left))
            break
        self._set(route.nlri, routes)

    def overwritten(self, nlri: Nlri, table: int, metric: int) -> None:
        """Forget the route in a place that we have taken back."""
        route = self.holding(nlri, table, metric)
        if route is not None:
            self._set(nlri, [old for old in self.routes[nlri] if old is not route])

    def replace_all(self, found: Mapping[Nlri, Iterable[KernelRoute]]) -> list[Nlri]:
        """Take in a whole dump; return the prefixes whose routes are others now."""
        different = [
            nlri
            for nlri in self.routes.keys() | found.keys()
            if self._set(nlri, found.get(nlri, ()))
        ]
        return sorted(different)

    def changes(self) -> tuple[tuple[Nlri, tuple[KernelRoute, ...]], ...]:
        """Give each prefix that changed since last asked, with what leads there now."""
        changed, self._changed = self._changed, {}
        return tuple((nlri, self.routes.get(nlri, ())) for nlri in changed)

    def _set(self, nlri: Nlri, routes: Iterable[KernelRoute]) -> bool:
        new = tuple(sorted(routes, key=_precedence))
        if new == self.routes.get(nlri, ()):
            return False
        if new:
            self.routes[nlri] = new
        else:
            del self.routes[nlri]
        self._changed[nlri] = None
        return True

    def _displaced(
        self, routes: list[KernelRoute], new: KernelRoute, replaces: bool
    ) -> KernelRoute | None:
        same = [old for old in routes if _same_place(old, new)]
        if self._afi is Afi.IPV4:
            return same[0] if same and replaces else None
        alike = [old for old in same if _has_gateway(old) == _has_gateway(new)]
        if replaces:
            return next(iter(alike or same), None)
        return alike[0] if alike and _has_gateway(new) else None


def _precedence(route: KernelRoute) -> int:
    return route.metric


def _same_place(one: KernelRoute, other: KernelRoute) -> bool:
    return (one.table, one.metric, one.tos) == (other.table, other.metric, other.tos)


def _has_gateway(route: KernelRoute) -> bool:
    return any(hop.gateway for hop in route.hops)
