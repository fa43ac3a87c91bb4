"""Routes of a running router, in the shapes of `speaker.control.views`.

Everything here reads and nothing changes. Answers come in slices, so that asking never keeps a
session waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, RELAYED, Afi, Family, parse_family
from policy.attributes import Origin
from policy.decision import Reason, explain
from policy.path import Hop, Path, SourceKind
from policy.prefix import Nlri, parse_prefix, show, show_address, show_all
from policy.tracing import community_text
from speaker.control.protocol import ControlError
from speaker.control.views import (
    HeardItemView,
    HeardView,
    RoutesView,
    RouteView,
)
from speaker.fib_sink import FibSink
from speaker.origin_views import validity_of
from speaker.relay_views import relayed_view
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.loc_rib import LocRib
from speaker.speaker import Speaker
from speaker.wire.describe import as_path_text, describe

CHUNK = 512
"""Routes that are told at once."""

DECODED = 64
"""Relayed routes that are, since each has to be decoded."""


class RouteViews:
    """Answers questions about the routes of a running router.

    Args:
        router: who is asked about.
    """

    def __init__(self, router: Speaker) -> None:
        self._router = router

    def routes(self, request: dict[str, Any]) -> Iterator[RoutesView]:
        """Tell of routes, in chunks.

        Args:
            request: ``prefix``, ``peer``, ``all``, ``family`` and ``limit``, each optional.

        Raises:
            ControlError: the prefix is none, or the limit, or there is no such family.
        """
        asked_for = self._asked_for(request)
        words = bool(request.get("all"))
        limit = request.get("limit") or 0
        if not isinstance(limit, int):
            raise ControlError(f"{limit!r} is no number of routes")
        chunk: list[RouteView] = []
        count = 0
        for place, family, nlri in asked_for:
            for view in self._paths_of(place, family, nlri, request.get("peer"), words=words):
                chunk.append(view)
                count += 1
            if limit and count >= limit:
                break
            if len(chunk) >= (DECODED if family in RELAYED else CHUNK):
                yield {"routes": chunk}
                chunk = []
        yield {"routes": chunk}

    def heard(self) -> Iterator[HeardView]:
        """Tell what every source has told, used or not, in chunks."""
        router = self._router
        ribs = [
            rib
            for peer in router.peers.values()
            if peer.exchange is not None
            for family, rib in peer.exchange.inbound.ribs.items()
            if family not in RELAYED
        ]
        ribs += [
            router.local.table(kind, family)
            for kind in (SourceKind.DIRECT, SourceKind.KERNEL)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
        ]
        for rib in ribs:
            nlris = [nlri for part in rib.prefixes() for nlri in part]
            for at in range(0, len(nlris), CHUNK):
                yield {"heard": _heard(rib, nlris[at : at + CHUNK])}

    def _places(self) -> Iterator[_Place]:
        router = self._router
        yield _Place(router.loc_ribs, router.plane.fib)
        for network in router.networks:
            yield _Place(network.loc_ribs, network.fib, network.table)

    def _asked_for(self, request: dict[str, Any]) -> Iterable[tuple[_Place, Family, Nlri]]:
        text = str(request.get("prefix") or "")
        if text:
            try:
                afi, nlri = parse_prefix(text)
            except ValueError as error:
                raise ControlError(f"{text} is no prefix: {error}") from None
            return [
                (place, family, nlri)
                for place in self._places()
                for family in place.loc_ribs
                if family.afi == afi and family not in RELAYED
            ]
        families = _families(str(request.get("family") or ""))
        return (
            (place, family, nlri)
            for place in self._places()
            for family in families
            if family in place.loc_ribs
            for nlri in place.loc_ribs[family].known()
        )

    def _paths_of(
        self, place: _Place, family: Family, nlri: Nlri, peer: str | None, *, words: bool
    ) -> Iterator[RouteView]:
        loc_rib = place.loc_ribs[family]
        candidates = loc_rib.candidates(nlri)
        best = loc_rib.best.get(nlri)
        for path, reason in explain(candidates):
            if peer not in (None, "", path.source.name):
                continue
            if family in RELAYED:
                yield relayed_view(
                    family, nlri, path, best=path is best, reason=reason.value, words=words
                )
            else:
                view = self._route(family, nlri, path, best, reason, words=words)
                if path is best:
                    view["kernel"] = _in_kernel(place.fib, family, nlri, path)
                if self._router.origins.vrps[family.afi]:
                    view["rpki"] = validity_of(self._router, family, nlri, path).value
                if place.table is not None:
                    view["table"] = place.table
                yield view

    def _route(
        self,
        family: Family,
        nlri: Nlri,
        path: Path,
        best: Path | None,
        reason: Reason,
        *,
        words: bool,
    ) -> RouteView:
        attributes = path.attributes
        is_best = path is best
        return {
            "prefix": show(family.afi, nlri),
            "pathIDs": self._router.path_ids(family, nlri, path),
            "family": "ipv4" if family.afi == Afi.IPV4 else "ipv6",
            "best": is_best,
            "peer": path.source.name,
            "nextHop": _next_hop(path),
            "interface": path.next_hop.interface,
            "via": [
                way_text(family.afi, hop, hop.weight * path.source.weight)
                for hop in path.next_hop.hops
                if hop.gateway or hop.interface_name
            ],
            "asPath": as_path_text(attributes),
            "origin": Origin(attributes.origin).name,
            "localPref": attributes.local_pref,
            "med": attributes.med,
            "communities": [community_text(c) for c in sorted(attributes.communities)],
            "largeCommunities": [community_text(c) for c in sorted(attributes.large_communities)],
            "preference": path.preference,
            "reason": "best" if is_best else reason.value,
            "kernel": "",
            "attributes": describe(attributes) if words else {},
        }


class _Place(NamedTuple):
    """Where routes stand: in the node's own tables, or in those of an external network."""

    loc_ribs: Mapping[Family, LocRib]
    fib: FibSink | None
    table: int | None = None


def _heard(rib: AdjRibIn, nlris: list[Nlri]) -> list[HeardItemView]:
    """Tell of some prefixes, those of one path together."""
    by_path: dict[Path, list[Nlri]] = {}
    for nlri in nlris:
        for path in rib.told(nlri):
            by_path.setdefault(path, []).append(nlri)
    return [
        {
            "peer": rib.source.name,
            "attributes": path.attributes.raw.hex(),
            "nextHop": path.attributes.next_hop.hex(),
            "linkLocal": path.attributes.link_local.hex(),
            "interface": path.next_hop.interface,
            "metric": path.metric,
            "prefixes": show_all(rib.family, some),
        }
        for path, some in by_path.items()
    ]


def _in_kernel(fib: FibSink | None, family: Family, nlri: Nlri, path: Path) -> str:
    """Say whether a best path is installed."""
    if fib is None:
        return ""
    if path.source.kind in (SourceKind.KERNEL, SourceKind.DIRECT):
        return "the kernel's own"
    why_not = fib.why_not(family.afi, nlri)
    return f"not installed: {why_not}" if why_not else "installed"


def _next_hop(path: Path) -> str:
    """Give the next hop that the path was told with; a link-local one where there is no other."""
    told = path.attributes.next_hop
    if told and not any(told):
        told = path.attributes.link_local or told
    return show_address(told) if told else ""


def way_text(afi: Afi, hop: Hop, weight: int) -> str:
    """Say where packets go as ``ip route`` does; a gateway of the other family with its family."""
    words = f"dev {hop.interface_name}"
    if hop.gateway:
        other = "inet6 " if len(hop.gateway) == 16 and afi is Afi.IPV4 else ""
        words = f"{other}{show_address(hop.gateway)} {words}"
    return words if weight == 1 else f"{words} weight {weight}"


def _families(word: str) -> tuple[Family, ...]:
    """Give the families that a request means: without a word, those that are installed."""
    if not word:
        return (IPV4_UNICAST, IPV6_UNICAST)
    try:
        return (parse_family(word),)
    except ValueError as error:
        raise ControlError(str(error)) from None
