"""Relayed routes in the shapes of `speaker.control.views`, decoded for people."""

from __future__ import annotations

from fsm.family import Family, name_of
from policy.attributes import Attribute, Origin
from policy.path import Path
from policy.prefix import Nlri
from speaker.control.views import RouteView
from speaker.relays import route_of
from speaker.wire.decoded import next_hop_text, nlri_facts, nlri_text
from speaker.wire.describe import as_path_text, describe


def relayed_view(
    family: Family, key: Nlri, path: Path, *, best: bool, reason: str, words: bool
) -> RouteView:
    """Tell of one path of a relayed route; the kernel never has it."""
    route, attributes = route_of(family, key, path), path.attributes
    next_hop = next_hop_text(family, attributes.next_hop)
    told = describe(attributes) if words else {}
    if words and next_hop:
        told[Attribute.NEXT_HOP.name] = next_hop
    return {
        "prefix": nlri_text(family, route.nlri),
        "pathIDs": [],
        "family": name_of(family),
        "best": best,
        "peer": path.source.name,
        "nextHop": next_hop,
        "interface": "",
        "via": [],
        "asPath": as_path_text(attributes),
        "origin": Origin(attributes.origin).name,
        "localPref": attributes.local_pref,
        "med": attributes.med,
        "communities": [f"{c >> 16}:{c & 0xFFFF}" for c in sorted(attributes.communities)],
        "largeCommunities": [":".join(map(str, c)) for c in sorted(attributes.large_communities)],
        "preference": path.preference,
        "reason": "best" if best else reason,
        "kernel": "",
        "attributes": told,
        "nlri": route.nlri.hex(),
        "decoded": nlri_facts(family, route.nlri),
    }
