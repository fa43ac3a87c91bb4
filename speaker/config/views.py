"""Plans and changes as plain data and as sentences, for commands and for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from fsm.family import Afi
from policy.prefix import show
from speaker.config.as_ranges import show_as_ranges
from speaker.config.changes import Change
from speaker.config.peerplan import PeerPlan
from speaker.config.plan import Plan, StaticRoute
from speaker.config.ranges import PeerRange


def plan_json(plan: Plan) -> dict[str, Any]:
    """Give the object of ``wren resolve -o json``."""
    return {
        "node": plan.node,
        "asNumber": plan.asn,
        "routerID": str(IPv4Address(plan.router_id)),
        "listenPort": plan.listen_port,
        "peers": [peer_json(peer) for peer in plan.peers.values()],
        "blocks": [show(family.afi, nlri) for family, nlri in plan.blocks],
        "staticRoutes": [_route_json(route) for route in plan.static_routes],
        "serviceRanges": [
            show(family.afi, nlri)
            for family, policy in plan.policies.items()
            for nlri in policy.service_routes
        ],
        "ranges": [_range_json(each) for each in plan.ranges.values()],
    }


def peer_json(peer: PeerPlan) -> dict[str, Any]:
    """Give one peer of that object; of passwords and keys only that they are there."""
    return {
        "name": peer.name,
        "address": peer.address,
        "port": peer.port,
        "family": "ipv6" if peer.afi is Afi.IPV6 else "ipv4",
        "localAS": peer.local_asn,
        "remoteAS": peer.peer_asn,
        "passive": peer.passive,
        "sourceAddress": peer.source_address,
        "rrClient": peer.rr_client,
        "clusterID": None if peer.cluster_id is None else str(IPv4Address(peer.cluster_id)),
        "password": peer.password is not None,
        "tcpAO": [
            {"sendID": key.send_id, "receiveID": key.receive_id, "algorithm": key.algorithm.value}
            for key in peer.tcp_ao
        ],
        "ttlSecurity": peer.ttl_security,
        "allowLocalAS": peer.allow_local_as,
        "nextHopMode": peer.next_hop_mode.value,
        "restartTime": peer.restart_time,
        "restartMode": peer.restart_mode.value,
        "keepaliveTime": peer.keepalive_time,
        "bfd": peer.bfd,
        "bfdHops": peer.bfd_hops,
        "bfdTimers": str(peer.bfd_timers),
        "bfdAuth": peer.bfd_auth is not None,
        "bfdStrict": peer.bfd_strict is not None,
        "gatewayMode": peer.gateway_mode.value,
        "table": peer.table,
        "filters": list(peer.filters),
        "extensions": dict(peer.extensions),
    }


def _range_json(peers: PeerRange) -> dict[str, Any]:
    """Give one range of that object, with peers that stand for all in it."""
    return {
        "name": peers.name,
        "resource": peers.resource,
        "networks": list(map(str, peers.networks)),
        "remoteAS": show_as_ranges(peers.asns),
        "limit": peers.limit,
        "peers": [peer_json(plan) for plan in peers.templates],
    }


def _route_json(route: StaticRoute) -> dict[str, str]:
    prefix = show(route.family.afi, route.nlri)
    if route.via:
        return {"prefix": prefix, "via": route.via}
    return {"prefix": prefix, "type": "blackhole"}


def describe(found: Iterable[Change]) -> list[str]:
    """Give one sentence for each change."""
    return [change.describe() for change in found]
