"""The routes of one address family, foreign ones and our static ones, by longest match.

A look-up tries the lengths that occur, longest first, of which there are few.
"""

from __future__ import annotations

from collections.abc import Sequence

from fsm.family import Afi
from policy.prefix import WIDTH, Nlri, pack
from speaker.rib.underlay import KernelRoute


class LongestMatch:
    """The routes of one address family, for longest-prefix matches: foreign ones and ours."""

    def __init__(self, afi: Afi) -> None:
        self._afi = afi
        self.routes: dict[Nlri, tuple[KernelRoute, ...]] = {}
        self.static_routes: dict[Nlri, KernelRoute] = {}
        self._count = [0] * (WIDTH[afi] + 1)
        self._lengths: list[int] = []

    def set(self, nlri: Nlri, routes: Sequence[KernelRoute]) -> bool:
        """Replace the foreign routes to a prefix; tell whether that is a change."""
        static = self.static_routes.get(nlri)
        return self._set(nlri, routes if static is None else [*routes, static])

    def set_static(self, nlri: Nlri, static: KernelRoute | None) -> bool:
        """Replace our own route to a prefix; tell whether that is a change."""
        old = self.static_routes.pop(nlri, None)
        if static is not None:
            self.static_routes[nlri] = static
        foreign = [route for route in self.routes.get(nlri, ()) if route is not old]
        return self._set(nlri, foreign if static is None else [*foreign, static])

    def _set(self, nlri: Nlri, routes: Sequence[KernelRoute]) -> bool:
        new = tuple(sorted(routes, key=lambda route: route.metric))
        old = self.routes.get(nlri, ())
        if new == old:
            return False
        if new:
            self.routes[nlri] = new
        else:
            del self.routes[nlri]
        self._count[nlri[0]] += bool(new) - bool(old)
        if bool(new) != bool(old):
            self._lengths = [n for n in range(WIDTH[self._afi], -1, -1) if self._count[n]]
        return True

    def match(self, address: bytes) -> tuple[KernelRoute, ...]:
        """Find the routes of the longest prefix that covers an address."""
        for length in self._lengths:
            routes = self.routes.get(pack(self._afi, address, length))
            if routes is not None:
                return routes
        return ()
