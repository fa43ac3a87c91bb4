"""What RPKI says, in the shapes of `speaker.control.views`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fsm.family import Afi, Family
from policy.path import Path
from policy.prefix import Nlri, PrefixError, parse_prefix, show
from policy.vrps import Validity, origin_of
from speaker.cache import Cache
from speaker.control.protocol import ControlError
from speaker.control.views import CacheView, OriginView, RpkiView, ValidityView
from speaker.origins import FAMILIES
from speaker.speaker import Speaker

SHOWN = 500
"""VRPs that are told of one prefix."""


def rpki(router: Speaker) -> RpkiView:
    """Tell of all caches, and of VRPs that came another way."""
    origins = router.origins
    others: dict[str, dict[str, int]] = {}
    for afi, vrps in origins.vrps.items():
        for source, number in vrps.sizes().items():
            if source not in origins.caches:
                others.setdefault(source, {})[_word(afi)] = number
    now = router.clock.now()
    return {
        "caches": [_cache(cache, now) for _, cache in sorted(origins.caches.items())],
        "others": others,
    }


def _cache(cache: Cache, now: float) -> CacheView:
    client, plan = cache.client, cache.plan
    session, expires_at = client.session, client.expires_at
    return {
        "name": plan.name,
        "address": plan.address,
        "port": plan.port,
        "state": client.state.value,
        "version": client.version,
        "sessionID": None if session is None else session[0],
        "serial": None if session is None else session[1],
        "vrps": {_word(afi): len(table) for afi, table in client.tables.items()},
        "intervals": asdict(client.intervals),
        "since": cache.since,
        "lastError": client.last_error,
        "expiresIn": None if expires_at is None else max(0.0, expires_at - now),
    }


def validity(router: Speaker, request: dict[str, Any]) -> ValidityView:
    """Tell what RPKI says of a prefix.

    Args:
        router: that is asked.
        request: ``prefix``; ``asn``, by default those from which peers tell the prefix.

    Raises:
        ControlError: the prefix is none.
    """
    text, asn = str(request.get("prefix", "")), request.get("asn")
    try:
        afi, nlri = parse_prefix(text)
    except PrefixError as error:
        raise ControlError(f"{text} is no prefix: {error}") from None
    told: dict[int | None, list[str]] = {} if asn is None else {int(asn): []}
    for peer in router.peers.values():
        rib = None if peer.tables is None else peer.tables.inbound.ribs.get(FAMILIES[afi])
        # What was rejected has been told, too.
        for path in () if rib is None else rib.told(nlri):
            origin = origin_of(path.attributes, peer.plan.local_asn)
            if asn is None or origin in told:
                told.setdefault(origin, []).append(peer.name)
    vrps = router.origins.vrps[afi]
    covering = vrps.covering(nlri)
    origins: list[OriginView] = [
        {"asn": origin, "validity": vrps.validate(nlri, origin).value, "peers": peers}
        for origin, peers in told.items()
    ]
    return {
        "prefix": show(afi, nlri),
        "origins": origins,
        "vrps": [
            {
                "prefix": show(afi, vrp.nlri),
                "maxLength": vrp.max_length,
                "asn": vrp.asn,
                "sources": list(sources),
            }
            for vrp, sources in covering[:SHOWN]
        ],
        "left": max(0, len(covering) - SHOWN),
    }


def validity_of(router: Speaker, family: Family, nlri: Nlri, path: Path) -> Validity:
    """Judge a path that stands in a table."""
    peer = router.peers.get(path.source.name)
    local_asn = router.plan.asn if peer is None else peer.plan.local_asn
    return router.vrps(family).validate(nlri, origin_of(path.attributes, local_asn))


def _word(afi: Afi) -> str:
    return afi.name.lower()
