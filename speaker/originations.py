"""What the node announces as its own: the plan's prefixes, its static routes, and an embedder's.

The plan says most of it; an embedder adds prefixes one by one, which outlive every plan. Whenever
either changes, the whole is worked out anew and handed to `speaker.local_routes`, which does what
the difference asks for.
"""

from __future__ import annotations

from ipaddress import ip_address

from fsm.family import Afi, Family
from policy.path import Path
from policy.prefix import Nlri, parse_prefix
from speaker.config.plan import Origination, OriginationKind, Plan
from speaker.ground import Ground
from speaker.local_routes import FAMILIES, LocalRoutes


class Originations:
    """Prefixes of our own.

    Args:
        plan: what is announced first of all.
        local: where they go.
        ground: where gateways of static routes are found, and what leads through them.
    """

    def __init__(self, plan: Plan, local: LocalRoutes, ground: Ground) -> None:
        self._plan = plan
        self._local = local
        self._ground = ground
        self._extra: dict[Family, dict[Nlri, Path]] = {family: {} for family in FAMILIES.values()}

    def follow(self, plan: Plan) -> None:
        """Announce what a plan says, and what was added besides."""
        self._plan = plan
        gateways: dict[Afi, dict[Nlri, bytes]] = {afi: {} for afi in FAMILIES}
        for route in plan.static_routes:
            if route.via:
                gateways[route.family.afi][route.nlri] = ip_address(route.via).packed
        self._ground.set_static_routes(gateways)
        for family, extra in self._extra.items():
            wanted = {**extra}
            for origination in plan.originated:
                if origination.family == family:
                    wanted[origination.nlri] = self._planned(origination)
            for route in plan.static_routes:
                if route.family == family:
                    wanted[route.nlri] = self._static(family, route.via)
            self._local.set_originated(family, wanted)

    def add(self, prefix: str) -> None:
        """Announce a prefix besides.

        Raises:
            PrefixError: it is none.
        """
        afi, nlri = parse_prefix(prefix)
        family = FAMILIES[afi]
        self._extra[family][nlri] = self._local.announced_only(family)
        self.follow(self._plan)

    def remove(self, prefix: str) -> None:
        """Announce a prefix of `add` no more.

        Raises:
            PrefixError: it is none.
        """
        afi, nlri = parse_prefix(prefix)
        self._extra[FAMILIES[afi]].pop(nlri, None)
        self.follow(self._plan)

    def _planned(self, origination: Origination) -> Path:
        if origination.kind is OriginationKind.BLACKHOLE:
            return self._local.blackhole(origination.family)
        return self._local.announced_only(origination.family)

    def _static(self, family: Family, via: str) -> Path:
        if not via:
            return self._local.blackhole(family)
        return self._local.via(family, self._ground.next_hops.intern(ip_address(via).packed))
