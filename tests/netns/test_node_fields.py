"""What the fields of a Node do: addresses, AS, identifiers, and whom it reflects for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.probes import kernel_routes
from speaker.config.identity import hashed_router_id
from speaker.control.client import ask, stream
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import block, document, peer, settings

pytestmark = pytest.mark.netns

NAMES = ("n1", "n2", "n3", "n4")


def at(name: str) -> str:
    return f"172.31.0.{name[1:]}"


def member(name: str, *, spec: Mapping[str, Any] | None = None, **bgp: Any) -> dict[str, Any]:
    """Make a Node whose only label is its name."""
    own = {"ipv4Address": f"{at(name)}/24", **bgp}
    own = {key: value for key, value in own.items() if value is not None}
    return document("Node", name, {"bgp": own, **(spec or {})}, labels={"name": name})


def pool(**spec: Any) -> dict[str, Any]:
    return document("IPPool", "pool", {"cidr": "10.65.0.0/16", "ipipMode": "Never", **spec})


def prefix(name: str) -> str:
    return f"10.65.{name[1:]}.0/26"


def between(one: str, other: str, **more: Any) -> dict[str, Any]:
    """Make the BGPPeer of one node that selects another; the other half comes by itself."""
    selectors = {"nodeSelector": f"name == '{one}'", "peerSelector": f"name == '{other}'"}
    return peer(f"{one}-{other}", **selectors, **more)


@contextmanager
def cluster(
    tmp_path: Path, names: tuple[str, ...], *documents: Mapping[str, Any]
) -> Iterator[tuple[Lab, Path]]:
    """Bring up nodes on one segment, with a block each."""
    directory = tmp_path / "datastore"
    put(directory, pool(), *(member(n) for n in names), *(block(prefix(n), n) for n in names))
    put(directory, *documents)
    wren = {"kind": "wren", "datastore": str(directory)}
    lan = {name: [f"{at(name)}/24", f"fd31::{name[1:]}/64"] for name in names}
    text = json.dumps({"nodes": dict.fromkeys(names, wren), "segments": {"lan": lan}})
    with lab_of(text) as lab:
        yield lab, directory


def edit(lab: Lab, directory: Path, *documents: Mapping[str, Any]) -> None:
    put(directory, *documents)
    for running in lab.nodes.values():
        ask(running.home, "reload")


def peers_of(running: RunningNode) -> dict[str, Any]:
    return {p["address"]: p for p in ask(running.home, "status")["peers"]}


def router_id_seen(by: RunningNode, of: str) -> str | None:
    """Tell which BGP Identifier a peer has sent."""
    negotiated = peers_of(by).get(of, {}).get("negotiated")
    return None if negotiated is None else str(negotiated["routerID"])


def gateways(running: RunningNode, of: str) -> tuple[str, ...] | None:
    route = kernel_routes(running, Family.IPV4).get(prefix(of))
    return None if route is None else route.gateways


def attributes(running: RunningNode, of: str) -> list[dict[str, str]]:
    """Give the attributes, in words, of every path to a node's block."""
    chunks = stream(running.home, "routes", prefix=prefix(of), all=True)
    return [route["attributes"] for chunk in chunks for route in chunk["routes"]]


def hashed(name: str) -> str:
    return str(IPv4Address(hashed_router_id(name)))


@pytest.mark.parametrize("said", [None, "hash", "192.0.2.200"])
def test_the_router_id_is_the_ipv4_address_or_what_the_environment_says(
    said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is None:
        monkeypatch.delenv("CALICO_ROUTER_ID", raising=False)
    else:
        monkeypatch.setenv("CALICO_ROUTER_ID", said)
    # Two ends with one identifier have no session within an AS (RFC 4271 §6.2, RFC 6286 §2.2).
    wanted = {None: at("n1"), "hash": hashed("n1"), "192.0.2.200": "192.0.2.200"}[said]
    other = member("n2", asNumber=65002)
    with cluster(tmp_path, ("n1", "n2"), member("n1", asNumber=65001), other) as (lab, _):
        becomes("n2 sees it", partial(router_id_seen, lab.node("n2"), at("n1")), wanted)


def test_a_node_with_ipv6_alone_has_its_router_id_from_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALICO_ROUTER_ID", raising=False)
    nodes = [member(n, ipv4Address=None, ipv6Address=f"fd31::{n[1:]}/64") for n in ("n1", "n2")]
    with cluster(tmp_path, ("n1", "n2"), *nodes) as (lab, directory):
        seen = partial(router_id_seen, lab.node("n2"), "fd31::1")
        becomes("n2 sees it", seen, hashed("n1"))
        conditions = Edited(lab.node("n1"), directory).conditions()
        assert conditions == [("Node/n1", "NoRouterID")]
        assert list(peers_of(lab.node("n1"))) == ["fd31::2"]
        # With an IPv4 address too there are two sessions, and another identifier on both.
        both = [member(n, ipv6Address=f"fd31::{n[1:]}/64") for n in ("n1", "n2")]
        edit(lab, directory, *both)
        becomes("n2 sees the address", seen, at("n1"))
        becomes("on both", partial(router_id_seen, lab.node("n2"), at("n1")), at("n1"))


def reflectors(first: str, second: str) -> list[dict[str, Any]]:
    """Make n1 and n2 reflectors; n3 is a client of n1, n4 of n2, and n1 and n2 are peers."""
    return [
        member("n1", routeReflectorClusterID=first),
        member("n2", routeReflectorClusterID=second),
        between("n3", "n1"),
        between("n4", "n2"),
        between("n1", "n2"),
        settings(nodeToNodeMeshEnabled=False, asNumber=65001),
    ]


def test_reflectors_of_other_clusters_are_clients_and_of_the_same_are_not(tmp_path: Path) -> None:
    """Loops are cut by CLUSTER_LIST and ORIGINATOR_ID (RFC 4456 §8)."""
    one, two = "224.0.0.1", "224.0.0.2"
    with cluster(tmp_path, NAMES, *reflectors(one, two)) as (lab, directory):
        n1, n3, n4 = (lab.node(name) for name in ("n1", "n3", "n4"))
        becomes("n4 has n3's block", partial(gateways, n4, "n3"), (at("n3"),))
        becomes("n3 has n2's block", partial(gateways, n3, "n2"), (at("n2"),))
        [told] = attributes(n4, "n3")
        assert told["CLUSTER_LIST"] == f"{two} {one}"
        assert told["ORIGINATOR_ID"] == at("n3")
        since = {n: p["since"] for n, p in peers_of(n1).items()}
        # Three reflectors of one cluster are plain peers: what one of them says stays with n1.
        same = [member(name, routeReflectorClusterID=one) for name in ("n1", "n2", "n3")]
        edit(lab, directory, *same)
        becomes("n3 has n2's block no more", partial(gateways, n3, "n2"), None)
        becomes("n1 has it", partial(gateways, n1, "n2"), (at("n2"),))
        becomes("and n3's", partial(gateways, n1, "n3"), (at("n3"),))
        edit(lab, directory, member("n3", routeReflectorClusterID=two))
        becomes("n3 has n2's block", partial(gateways, n3, "n2"), (at("n2"),))
        assert {n: p["since"] for n, p in peers_of(n1).items()} == since


def test_a_reflector_passes_on_single_service_addresses(tmp_path: Path) -> None:
    ranges: dict[str, Any] = {
        "serviceExternalIPs": [{"cidr": "203.0.113.0/24"}],
        "serviceLoadBalancerIPs": [{"cidr": "198.51.100.0/24"}],
    }
    documents = [
        member("n1", routeReflectorClusterID="224.0.0.1"),
        between("n2", "n1", filters=["all"]),
        between("n3", "n1"),
        settings(nodeToNodeMeshEnabled=False, asNumber=65001, **ranges),
        document("BGPFilter", "all", {"exportV4": [{"action": "Accept"}]}),
    ]
    with cluster(tmp_path, ("n1", "n2", "n3"), *documents) as (lab, _):
        n1, n2, n3 = (lab.node(name) for name in ("n1", "n2", "n3"))
        addresses = ["203.0.113.7/32", "198.51.100.7/32", "192.0.2.7/32"]
        for address in addresses:
            n2.execute(["ip", "route", "add", address, "dev", "lo"])

        def known(running: RunningNode) -> list[str]:
            return [address for address in addresses if address in running.routes(Family.IPV4)]

        becomes("n1 has all that n2's filter lets out", partial(known, n1), addresses)
        becomes("n3 has the service addresses", partial(known, n3), addresses[:2])
        # Inside a range that is announced as a whole nothing is installed.
        becomes(
            "n1 installs the other",
            lambda: [a for a in addresses if a in kernel_routes(n1, Family.IPV4)],
            addresses[2:],
        )


def test_priorities_of_ipv6_have_a_setting_of_their_own(tmp_path: Path) -> None:
    block6 = "fd00:65::/122"
    documents = [
        *(member(name, ipv6Address=f"fd31::{name[1:]}/64") for name in ("n1", "n2")),
        document("IPPool", "six", {"cidr": "fd00:65::/48"}),
        block(block6, "n1"),
    ]
    with cluster(tmp_path, ("n1", "n2"), *documents) as (lab, directory):
        n2 = lab.node("n2")

        def seen() -> tuple[int | None, int | None]:
            chunks = stream(n2.home, "routes", prefix=block6)
            told = [r["localPref"] for chunk in chunks for r in chunk["routes"] if r["best"]]
            route = kernel_routes(n2, Family.IPV6).get(block6)
            return (told[0] if told else None, None if route is None else route.metric)

        for priority in (1024, 99):
            edit(lab, directory, settings(ipv6NormalRoutePriority=priority))
            becomes(f"it is {priority}", seen, (2**31 - 1 - priority, priority))


def test_felix_has_the_routes_between_nodes_with_wireguard(tmp_path: Path) -> None:
    guarded = {
        name: member(name, spec={"wireguard": {"interfaceIPv4Address": f"10.99.0.{name[1:]}"}})
        for name in ("n1", "n2")
    }
    with cluster(tmp_path, ("n1", "n2", "n3")) as (lab, directory):
        n1 = lab.node("n1")
        for name in ("n2", "n3"):
            becomes(f"n1 has {name}'s", partial(gateways, n1, name), (at(name),))
        edit(lab, directory, *guarded.values())
        becomes("Felix has n2's", partial(gateways, n1, "n2"), None)
        assert gateways(n1, "n3") == (at("n3"),)
        edit(lab, directory, member("n1"))
        becomes("n1 has n2's", partial(gateways, n1, "n2"), (at("n2"),))


def test_the_length_of_the_address_says_what_is_another_subnet(tmp_path: Path) -> None:
    tunnels = [
        settings(programClusterRoutes="Enabled"),
        pool(ipipMode="CrossSubnet"),
    ]

    def device(running: RunningNode) -> str:
        argv = ["ip", "-j", "route", "show", prefix("n2"), "proto", "bird"]
        found = json.loads(running.execute(argv) or "[]")
        return str(found[0]["dev"]) if found else ""

    with cluster(tmp_path, ("n1", "n2"), *tunnels) as (lab, directory):
        n1 = lab.node("n1")
        n1.execute(["ip", "link", "add", "tunl0", "type", "veth", "peer", "name", "far"])
        for name in ("tunl0", "far"):
            n1.execute(["ip", "link", "set", name, "up"])
        becomes("they are in one subnet", partial(device, n1), "eth0")
        edit(lab, directory, member("n1", ipv4Address=f"{at('n1')}/32"))
        becomes("they are not", partial(device, n1), "tunl0")


def test_a_manual_peer_has_no_other_half(tmp_path: Path) -> None:
    off = settings(nodeToNodeMeshEnabled=False)
    with cluster(tmp_path, ("n1", "n2"), off, between("n1", "n2")) as (lab, directory):
        n1, n2 = lab.node("n1"), lab.node("n2")

        def up() -> list[bool]:
            found = [peers_of(n1).get(at("n2")), peers_of(n2).get(at("n1"))]
            return [p is not None and p["state"] == "up" for p in found]

        becomes("both have the session", up, [True, True])
        edit(lab, directory, between("n1", "n2", reversePeering="Manual"))
        becomes("n2 has no peer", partial(peers_of, n2), {})
        becomes("n1's is down", lambda: peers_of(n1)[at("n2")]["state"], "start")
        edit(lab, directory, between("n1", "n2"))
        becomes("both have the session", up, [True, True])
