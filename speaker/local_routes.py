"""Routes that do not come from peers: what this node owns, and what the kernel has.

Each kind has a `Source` and an Adj-RIB-In per family, and so takes part in the decision like any
peer: own blocks and networks (static), connected subnets (direct), and routes that others put into
the kernel (kernel). Setting a kind compares with what is there and changes only the difference.

Standards: RFC 4271 §9.4 (originating routes); Calico's kernel, direct and static protocols.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family
from policy.attributes import local_attributes
from policy.path import Hop, NextHop, Path, Source, SourceKind
from policy.prefix import Nlri, covers, parse_prefix
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.loc_rib import LocRib
from speaker.rib.underlay import KernelRoute, RouteKind

FAMILIES = {Afi.IPV4: IPV4_UNICAST, Afi.IPV6: IPV6_UNICAST}

_BY_KERNEL_ITSELF = 2
"""RTPROT_KERNEL: connected subnets and the like."""

_NOT_DIRECT = ("cali*", "kube-ipvs*")
"""Interfaces whose subnets Calico's direct protocol leaves out."""


class LocalRoutes:
    """This node's own routes, per kind and family.

    Args:
        loc_ribs: the tables they compete in.
        router_id: our BGP Identifier.
        asn: our AS.
    """

    def __init__(
        self,
        loc_ribs: Mapping[Family, LocRib],
        router_id: int,
        asn: int,
    ) -> None:
        self._ribs: dict[tuple[SourceKind, Family], AdjRibIn] = {}
        for kind in (SourceKind.STATIC, SourceKind.DIRECT, SourceKind.KERNEL):
            source = Source(f"{kind.value}1", kind, router_id=router_id, asn=asn)
            for family in (IPV4_UNICAST, IPV6_UNICAST):
                if family in loc_ribs:
                    self._ribs[kind, family] = AdjRibIn(source, family, loc_ribs[family])
        self._paths: dict[tuple[object, ...], Path] = {}
        self._nowhere = NextHop(b"")

    def table(self, kind: SourceKind, family: Family) -> AdjRibIn:
        """Give the table of a kind."""
        return self._ribs[kind, family]

    def set_originated(self, family: Family, wanted: Mapping[Nlri, Path]) -> None:
        """Originate exactly these static routes of a family."""
        self._set(self._ribs[SourceKind.STATIC, family], wanted)

    def blackhole(self, family: Family) -> Path:
        """Give the path of an own block: announced, and dropped where nothing more specific is."""
        return self._static(family, self._nowhere, blackhole=True)

    def announced_only(self, family: Family) -> Path:
        """Give the path of a network that is announced and not installed."""
        return self._static(family, self._nowhere, blackhole=False)

    def via(self, family: Family, next_hop: NextHop) -> Path:
        """Give the path of a static route through a gateway."""
        return self._static(family, next_hop, blackhole=False)

    def _static(self, family: Family, next_hop: NextHop, *, blackhole: bool) -> Path:
        key = (SourceKind.STATIC, family, next_hop, blackhole)
        path = self._paths.get(key)
        if path is None:
            source = self._ribs[SourceKind.STATIC, family].source
            path = Path(local_attributes(next_hop.address), source, next_hop, blackhole=blackhole)
            self._paths[key] = path
        return path

    def paths(self) -> Iterable[Path]:
        """Give every path that was made here."""
        return self._paths.values()

    @property
    def interned(self) -> int:
        """How many paths there are."""
        return len(self._paths)

    def sweep(self) -> None:
        """Forget paths that stand in no table."""
        alive = {path for rib in self._ribs.values() for path in rib.paths.values()}
        self._paths = {key: path for key, path in self._paths.items() if path in alive}

    def _set(self, rib: AdjRibIn, wanted: Mapping[Nlri, Path]) -> None:
        lost = [nlri for nlri in rib.paths if nlri not in wanted]
        if lost:
            rib.withdraw(lost)
        new: dict[Path, list[Nlri]] = {}
        for nlri, path in wanted.items():
            if rib.paths.get(nlri) is not path:
                new.setdefault(path, []).append(nlri)
        for path, nlris in new.items():
            rib.announce(path, nlris)

    def learn(
        self,
        afi: Afi,
        changes: Iterable[tuple[Nlri, tuple[KernelRoute, ...]]],
        ignored_interfaces: Iterable[str] = (),
    ) -> None:
        """Take foreign kernel routes into the tables: connected ones as direct, others as kernel.

        Args:
            afi: their family.
            changes: prefixes with all routes that are there now, best first.
            ignored_interfaces: patterns of interfaces whose subnets are left out.
        """
        family = FAMILIES[afi]
        ignored = (*ignored_interfaces, *_NOT_DIRECT)
        for nlri, routes in changes:
            if is_local_scope(afi, nlri):
                continue
            self._learn_one(family, nlri, SourceKind.DIRECT, _direct(routes, ignored))
            self._learn_one(family, nlri, SourceKind.KERNEL, _alien(routes))

    def forget_learned(self) -> None:
        """Take every learned route out of the tables again."""
        for (kind, _), rib in self._ribs.items():
            if kind is not SourceKind.STATIC:
                rib.clear()

    def _learn_one(
        self, family: Family, nlri: Nlri, kind: SourceKind, route: KernelRoute | None
    ) -> None:
        rib = self._ribs[kind, family]
        if route is None:
            if nlri in rib.paths:
                rib.withdraw([nlri])
            return
        path = self._learned(rib, kind, route)
        if rib.paths.get(nlri) is not path:
            rib.announce(path, [nlri])

    def _learned(self, rib: AdjRibIn, kind: SourceKind, route: KernelRoute) -> Path:
        # A connected subnet has the metric of its family's default, not a priority of its own.
        metric = None if kind is SourceKind.DIRECT else route.metric or None
        # An interface that was given another name is another one to filters and policies.
        names = tuple(hop.interface_name for hop in route.hops)
        key = (kind, rib.family, route.hops, names, metric, route.kind)
        path = self._paths.get(key)
        if path is None:
            gateway = _one_gateway(route.hops)
            next_hop = NextHop(gateway, hops=route.hops)
            path = Path(local_attributes(gateway), rib.source, next_hop, metric=metric)
            self._paths[key] = path
        return path


def is_local_scope(afi: Afi, nlri: Nlri) -> bool:
    """Tell whether a prefix means something on its link only: link-local or multicast."""
    local = _LOCAL_SCOPE[afi]
    return any(covers(prefix, nlri) for prefix in local)


_LOCAL_SCOPE = {
    afi: tuple(parse_prefix(text)[1] for text in texts)
    for afi, texts in {
        Afi.IPV4: ("169.254.0.0/16", "224.0.0.0/4"),
        Afi.IPV6: ("fe80::/10", "ff00::/8"),
    }.items()
}


def _one_gateway(hops: tuple[Hop, ...]) -> bytes:
    return hops[0].gateway if len(hops) == 1 else b""


def _direct(routes: tuple[KernelRoute, ...], ignored: tuple[str, ...]) -> KernelRoute | None:
    for route in routes:
        if route.protocol != _BY_KERNEL_ITSELF or route.kind is not RouteKind.UNICAST:
            continue
        name = route.hops[0].interface_name if route.hops else ""
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in ignored):
            return route
    return None


def _alien(routes: tuple[KernelRoute, ...]) -> KernelRoute | None:
    for route in routes:
        if route.protocol != _BY_KERNEL_ITSELF:
            return route
    return None
