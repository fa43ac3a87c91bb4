"""Answers of a daemon, with values that tests need not care about filled in."""

from __future__ import annotations

from typing import Any, cast

from speaker.control.views import CacheView, PeerView, RouteView, StatusView


def peer_view(address: str, **changed: Any) -> PeerView:
    """Make a peer; an established one of the mesh unless said otherwise."""
    view: dict[str, Any] = {
        "name": "Mesh_" + address.replace(".", "_").replace(":", "_"),
        "resource": "",
        "type": "node-to-node mesh",
        "address": address,
        "port": 179,
        "family": "ipv6" if ":" in address else "ipv4",
        "localAS": 64512,
        "remoteAS": 64512,
        "state": "up",
        "bgpState": "Established",
        "since": 0.0,
        "uptime": None,
        "info": "",
        "why": "",
        "lastError": "",
        "nextTry": None,
        "families": {},
        "passive": False,
        "negotiated": None,
        "password": {"configured": False, "inUseSince": None, "changes": False, "secret": ""},
        "tcpAO": None,
        "ttlSecurity": 0,
        "bfd": "",
    }
    assert changed.keys() <= view.keys() | {"range"}
    return cast(PeerView, view | changed)


def status_view(*peers: PeerView, **changed: Any) -> StatusView:
    """Make an answer to ``status``."""
    view: dict[str, Any] = {
        "node": "r1",
        "asn": 64512,
        "routerID": "10.0.0.1",
        "mode": "calico",
        "version": "0.1.0",
        "pid": 4711,
        "since": 0.0,
        "ranges": [],
        "peers": list(peers),
        "conditions": [],
        "kernel": {
            "enabled": True,
            "table": 254,
            "protocol": 12,
            "nexthopObjects": True,
            "nexthopCompatMode": 1,
            "resilientGroups": "",
            "installed": {},
            "refused": [],
        },
    }
    assert changed.keys() <= view.keys()
    return cast(StatusView, view | changed)


def route_view(prefix: str, **changed: Any) -> RouteView:
    """Make a path, the best one, from a peer of the mesh."""
    view: dict[str, Any] = {
        "prefix": prefix,
        "pathIDs": [],
        "family": "ipv6" if ":" in prefix else "ipv4",
        "best": True,
        "peer": "Mesh_10_0_0_2",
        "nextHop": "10.0.0.2",
        "interface": "eth0",
        "via": ["10.0.0.2 dev eth0"],
        "asPath": "",
        "origin": "IGP",
        "localPref": 100,
        "med": None,
        "communities": [],
        "largeCommunities": [],
        "preference": None,
        "reason": "best",
        "kernel": "installed",
        "attributes": {},
    }
    assert changed.keys() <= view.keys() | {"nlri", "decoded"}
    return cast(RouteView, view | changed)


def cache_view(name: str, **changed: Any) -> CacheView:
    """Make a cache that is followed."""
    view: dict[str, Any] = {
        "name": name,
        "address": "192.0.2.1",
        "port": 8282,
        "state": "up",
        "version": 1,
        "sessionID": 7,
        "serial": 12,
        "vrps": {"ipv4": 0, "ipv6": 0},
        "intervals": {"refresh": 3600, "retry": 600, "expire": 7200},
        "since": 0.0,
        "lastError": "",
        "expiresIn": 7140.0,
    }
    assert changed.keys() <= view.keys()
    return cast(CacheView, view | changed)
