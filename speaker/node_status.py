"""What a CalicoNodeStatus says of this node, in the words that Calico's tools know.

The router's own answers (`speaker.control.views`) go in, the ``status`` of the resource comes out,
by the classes that are asked for: *Agent*, the speaker of each family; *BGP*, its peers; *Routes*,
what it has learnt. Calico's words are BIRD's: a state that BIRD's users do not know is left empty,
and local workloads are not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeAlias

from speaker.config.status_resources import StatusClass
from speaker.control.views import PeerView, RouteView, StatusView
from speaker.moments import show_since

Report: TypeAlias = dict[str, Any]

STATES = ("Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Close")

PEER_TYPES = {
    "node-to-node mesh": "NodeMesh",
    "node specific": "NodePeer",
    "global": "GlobalPeer",
}
"""Calico's words for kinds of peer; what has none is not reported."""

_FAMILIES = (("ipv4", "V4"), ("ipv6", "V6"))
_OWN_SOURCES = {"kernel1": "Kernel", "static1": "Static", "direct1": "Direct"}


def report_of(
    classes: Iterable[StatusClass],
    status: StatusView,
    routes: Iterable[RouteView],
    now: float,
    reconfigured: float,
    zone: tzinfo | None = None,
) -> Report:
    """Make a report.

    Args:
        classes: what is asked for.
        status: of the router.
        routes: of both families; not looked at without the class Routes.
        now: seconds since 1970.
        reconfigured: when resources changed last; the same.
        zone: in which times are shown; by default that of the machine.
    """
    report: Report = {}
    if StatusClass.AGENT in classes:
        report["agent"] = _agent(status, reconfigured, zone)
    if StatusClass.BGP in classes:
        report["bgp"] = _bgp(status["peers"], now, zone)
    if StatusClass.ROUTES in classes:
        report["routes"] = _routes(routes, {peer["name"]: peer for peer in status["peers"]})
    return report


def last_updated(now: float) -> str:
    """Give the moment of a report as Kubernetes writes moments."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _agent(status: StatusView, reconfigured: float, zone: tzinfo | None) -> Report:
    speaker = {
        "state": "Ready",
        "version": f"Wren {status['version']}",
        "routerID": status["routerID"],
        "lastBootTime": _moment(status["since"], zone),
        "lastReconfigurationTime": _moment(reconfigured, zone),
    }
    # One process speaks for both families, so both halves say the same.
    return {"birdV4": speaker, "birdV6": dict(speaker)}


def _moment(at: float, zone: tzinfo | None) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _bgp(peers: Iterable[PeerView], now: float, zone: tzinfo | None) -> Report:
    known = [peer for peer in peers if peer["type"] in PEER_TYPES]
    report: Report = {}
    for family, suffix in _FAMILIES:
        of_family = [peer for peer in known if peer["family"] == family]
        up = sum(peer["state"] == "up" for peer in of_family)
        report[f"numberEstablished{suffix}"] = up
        report[f"numberNotEstablished{suffix}"] = len(of_family) - up
        report[f"peers{suffix}"] = [
            {
                "peerIP": peer["address"],
                "type": PEER_TYPES[peer["type"]],
                "state": peer["bgpState"] if peer["bgpState"] in STATES else "",
                "since": show_since(peer["since"], now, zone),
            }
            for peer in of_family
        ]
    return report


def _routes(routes: Iterable[RouteView], peers: Mapping[str, PeerView]) -> Report:
    report: Report = {"routesV4": [], "routesV6": []}
    suffixes = dict(_FAMILIES)
    for route in routes:
        report[f"routes{suffixes[route['family']]}"].append(_route(route, peers))
    return report


def _route(route: RouteView, peers: Mapping[str, PeerView]) -> Report:
    gateway, _, interface = (route["via"] or [""])[0].rpartition("dev ")
    return {
        "type": "FIB" if route["best"] else "RIB",
        "destination": route["prefix"],
        "gateway": gateway.removeprefix("inet6 ").strip() or "N/A",
        "interface": interface,
        "learnedFrom": _learned_from(route["peer"], peers),
    }


def _learned_from(source: str, peers: Mapping[str, PeerView]) -> Report:
    if source in _OWN_SOURCES:
        return {"sourceType": _OWN_SOURCES[source]}
    peer = peers.get(source)
    is_mesh = peer is not None and peer["type"] == "node-to-node mesh"
    found: Report = {"sourceType": "NodeMesh" if is_mesh else "BGPPeer"}
    return found | ({"peerIP": peer["address"]} if peer else {})
