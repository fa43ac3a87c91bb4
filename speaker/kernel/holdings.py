"""What we believe the kernel has of ours, in one table and family.

A prefix nearly always has one route. It has several where metrics differ, for to the kernel these
are routes of their own: one of them *counts* (`routes`), the *extras* are to go. And an IPv6 place
may be *doubled*: one plain route and one that names a next-hop object stand side by side in it,
since a plain route replaces only plain ones.

Belief follows from what was asked and answered, and from what the kernel tells; a scan puts it
right.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.kernel.requests import Found
from speaker.kernel.routes import Forwarding, Forwardings


class Holdings:
    """Our routes of one family.

    Args:
        afi: the address family.
        forwardings: where forwardings are interned.

    Attributes:
        routes: the route of each prefix that counts.
        extras: further routes, by metric.
        doubled: IPv6 places that hold a route by an object and a plain one, both of them ours.
    """

    def __init__(self, afi: Afi, forwardings: Forwardings) -> None:
        self._afi = afi
        self._forwardings = forwardings
        self.routes: dict[Nlri, Forwarding] = {}
        self.extras: dict[Nlri, dict[int, Forwarding]] = {}
        self.doubled: set[Nlri] = set()

    def current(self, nlri: Nlri, metric: int) -> Forwarding | None:
        """Find our route with a metric, and make it the one that counts."""
        current = self.routes.get(nlri)
        if current is not None and current.metric == metric:
            return current
        extras = self.extras.get(nlri)
        if not extras or metric not in extras:
            return None
        found = extras.pop(metric)
        if current is not None:
            extras[current.metric] = current
        elif not extras:
            del self.extras[nlri]
        self.routes[nlri] = found
        return found

    def extra(self, nlri: Nlri) -> Forwarding | None:
        """Give a route of a prefix that is to go, if there is one."""
        extras = self.extras.get(nlri)
        return next(iter(extras.values())) if extras else None

    # What was asked and done.

    # hot: per prefix
    def made(self, nlris: list[Nlri], forwarding: Forwarding) -> list[Nlri]:
        """Take in that routes were made; give the prefixes with others of which some are to go."""
        alike, old = common(self.routes, nlris)
        leftover = []
        # Nearly always there was nothing, or a route of the same metric.
        if self.extras or not alike or (old and old.metric != forwarding.metric):
            leftover = self._keep_other_metrics(nlris, forwarding)
        self.routes.update(dict.fromkeys(nlris, forwarding))
        return leftover

    def _keep_other_metrics(self, nlris: list[Nlri], forwarding: Forwarding) -> list[Nlri]:
        leftover = []
        for nlri in nlris:
            old = self.routes.get(nlri)
            if old is not None and old.metric != forwarding.metric:
                self.extras.setdefault(nlri, {})[old.metric] = old
                leftover.append(nlri)
            elif nlri in self.extras:
                leftover.append(nlri)
        return leftover

    def forget(self, nlri: Nlri, metric: int) -> Forwarding | None:
        """Strike out our route with a metric, and give it."""
        current = self.routes.get(nlri)
        if current is not None and current.metric == metric:
            return self.routes.pop(nlri)
        extras = self.extras.get(nlri, {})
        found = extras.pop(metric, None)
        if not extras:
            self.extras.pop(nlri, None)
        return found

    # What others did.

    def replace_all(self, found: Found, desired: Mapping[Nlri, Forwarding]) -> None:
        """Take in our routes as a dump shows them; of several the wanted one counts."""
        self.routes = found.routes
        self.extras = {}
        self.doubled.clear()
        for nlri, more in found.more.items():
            self._note_double(nlri, found.routes[nlri], *more)
            every = {route.metric: route for route in [found.routes[nlri], *more]}
            wanted = desired.get(nlri)
            # Of several the lowest metric is the one that forwards.
            best = wanted.metric if wanted and wanted.metric in every else min(every)
            self.routes[nlri] = every.pop(best)
            if every:
                self.extras[nlri] = every

    def seen(self, nlri: Nlri, seen: Forwarding, *, replaced: bool) -> None:
        """Take in that a route is there, made by somebody else."""
        current = self.routes.get(nlri)
        if current is not None and current.metric != seen.metric:
            self.extras.setdefault(nlri, {})[seen.metric] = seen
            return
        if current is not None and not replaced:
            self._note_double(nlri, current, seen)
        self.routes[nlri] = seen

    def lost(self, nlri: Nlri, seen: Forwarding) -> bool:
        """Take in that a route went, or hops of it; tell whether we knew the route."""
        gone = self.forget(nlri, seen.metric)
        if gone is None:
            return False
        left = tuple(hop for hop in gone.hops if hop not in seen.hops)
        if self._afi is Afi.IPV6 and left and left != gone.hops:
            self.routes[nlri] = self._forwardings.intern(self._afi, replace(gone, hops=left))
        return True

    def _note_double(self, nlri: Nlri, *routes: Forwarding) -> None:
        """A plain route replaces plain ones, and one by an object its like, if there is one."""
        kinds = {(route.metric, bool(route.nexthop)) for route in routes}
        if self._afi is Afi.IPV6 and len(kinds) > len({metric for metric, _ in kinds}):
            self.doubled.add(nlri)

    # Next-hop objects.

    def objects_gone(self, numbers: Collection[int]) -> list[Nlri]:
        """Strike out every route that names one of these objects; give the prefixes."""
        routes = {id(r) for r in distinct(self.routes) if r.nexthop in numbers}
        gone = [nlri for nlri, route in self.routes.items() if id(route) in routes]
        for nlri in gone:
            del self.routes[nlri]
        for nlri, extras in list(self.extras.items()):
            self.extras[nlri] = {m: r for m, r in extras.items() if r.nexthop not in numbers}
            if not self.extras[nlri]:
                del self.extras[nlri]
        return gone

    def renumber(self, old: int, new: int) -> None:
        """Take in that routes which name one next-hop object count as naming another."""
        renumber(self._afi, self.routes, self._forwardings, old, new)
        for extras in self.extras.values():
            for metric, route in extras.items():
                if route.nexthop == old:
                    extras[metric] = replace(route, nexthop=new)

    def named(self) -> set[int]:
        """List the next-hop objects that routes name."""
        more = {r.nexthop for extras in self.extras.values() for r in extras.values()}
        return {route.nexthop for route in distinct(self.routes)} | more


def renumber(
    afi: Afi, table: dict[Nlri, Forwarding], forwardings: Forwardings, old: int, new: int
) -> list[Nlri]:
    """Let the routes of a table that name one next-hop object name another; give their prefixes."""
    renumbered: list[Nlri] = []
    for route in distinct(table):
        if route.nexthop == old:
            renamed = forwardings.intern(afi, replace(route, nexthop=new))
            nlris = [nlri for nlri, current in table.items() if current is route]
            table.update(dict.fromkeys(nlris, renamed))
            renumbered += nlris
    return renumbered


# hot: per prefix
def distinct(table: dict[Nlri, Forwarding]) -> list[Forwarding]:
    """List the different objects that a table has."""
    # By identity: a forwarding's own hash is computed in Python.
    return list(dict(zip(map(id, table.values()), table.values(), strict=True)).values())


# hot: per prefix
def common(table: dict[Nlri, Forwarding], nlris: Sequence[Nlri]) -> tuple[bool, Forwarding | None]:
    """Tell whether a table has the same for all of these prefixes, and what it is for the first."""
    values = list(map(table.get, nlris))
    first = values[0]
    # One value all the same is found by identity; another one is found at its first place.
    return values[-1] is first and values.count(first) == len(values), first
