"""What fields of BGPConfiguration, Node, IPPool and BlockAffinity do, on the wire and in kernels.

Two Wren nodes hold the mesh, and each a session with a switch that runs BIRD. All edits are made
while it runs; what is no reset must leave every session standing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.probes import kernel_routes
from speaker.config.services import EXCLUDED
from speaker.control.client import ask, stream
from tests.support.birds import QUICK, told
from tests.support.datastores import log_of, put, remove
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import block, document, node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

N1, N2, TOR = "172.31.0.1", "172.31.0.2", "172.31.0.9"
BLOCK1, BLOCK2 = "10.65.1.0/26", "10.65.2.0/26"
M = 2**31 - 1
"""LOCAL_PREF and priority add up to it."""


def pool(name: str = "pool", **spec: Any) -> dict[str, Any]:
    return document("IPPool", name, {"cidr": "10.65.0.0/16", "ipipMode": "Never", **spec})


def cluster(**spec: Any) -> dict[str, Any]:
    return settings(**{"asNumber": 65001, **spec})


DOCUMENTS = (
    node("n1", f"{N1}/24"),
    node("n2", f"{N2}/24"),
    cluster(),
    pool(),
    block(BLOCK1, "n1"),
    block(BLOCK2, "n2"),
    peer("tor", peerIP=TOR, asNumber=65009, extensions=QUICK),
)


def topology(directory: Path) -> str:
    wren = {"kind": "wren", "datastore": str(directory)}
    peers = [{"address": at, "asn": 65001, "families": ["ipv4"], "hold_time": 9} for at in (N1, N2)]
    nodes = {
        "n1": wren,
        "n2": wren,
        "tor": {"kind": "bird", "asn": 65009, "networks": ["10.9.0.0/24"], "peers": peers},
    }
    lan = {"n1": [f"{N1}/24"], "n2": [f"{N2}/24"], "tor": [f"{TOR}/24"]}
    return json.dumps({"nodes": nodes, "segments": {"lan": lan}})


class Rack:
    """The two nodes and the switch.

    Args:
        lab: that is up.
        directory: the nodes' resources.
    """

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.n1, self.n2, self.tor = (lab.node(name) for name in ("n1", "n2", "tor"))
        self.edited = Edited(self.n1, directory)
        self.other = Edited(self.n2, directory)

    def come_up(self) -> None:
        self.edited.peers_up([N2, TOR])
        self.other.peers_up([N1, TOR])

    def since(self) -> list[dict[str, float]]:
        return [self.edited.since(), self.other.since()]

    def edit(
        self, *documents: Mapping[str, Any], without: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Make an edit that resets nothing."""
        before = self.since()
        planned = self.edited.edit(*documents, without=without)
        assert (planned["resets"], planned["added"], planned["removed"]) == ([], [], [])
        assert self.since() == before

    def tor_has(self, prefix: str, **wanted: str | None) -> None:
        """Wait until the switch has a route, with these attributes."""

        def attributes() -> dict[str, str | None] | None:
            found = told(self.tor, prefix)
            return None if found is None else {name: found.get(name) for name in wanted}

        becomes(f"the switch has {prefix}", attributes, wanted)

    def tor_lacks(self, prefix: str) -> None:
        becomes(f"the switch has no {prefix}", lambda: told(self.tor, prefix), None)


@contextmanager
def rack(directory: Path, *documents: Mapping[str, Any]) -> Iterator[Rack]:
    """Bring the rack up, with the documents that every test has and some others."""
    put(directory, *DOCUMENTS, *documents)
    with lab_of(topology(directory)) as lab:
        made = Rack(lab, directory)
        made.come_up()
        yield made


def local_pref(running: RunningNode, prefix: str) -> int | None:
    chunks = stream(running.home, "routes", prefix=prefix)
    found = [r for chunk in chunks for r in chunk["routes"] if r["best"]]
    return found[0]["localPref"] if found else None


def in_kernel(running: RunningNode, prefix: str) -> tuple[str, int] | None:
    """Give the kind and the metric of a kernel route."""
    route = kernel_routes(running, Family.IPV4).get(prefix)
    return None if route is None else (route.kind, route.metric)


def add_interface(running: RunningNode, name: str) -> None:
    """Give a node an interface that is up."""
    far = f"{name}-far"
    running.execute(["ip", "link", "add", name, "type", "veth", "peer", "name", far])
    for each in (name, far):
        running.execute(["ip", "link", "set", each, "up"])


def gateway(running: RunningNode, prefix: str) -> tuple[str, ...] | None:
    route = kernel_routes(running, Family.IPV4).get(prefix)
    return None if route is None else route.gateways


def secret(value: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mesh"},
        "stringData": {"key": value},
    }


def test_the_password_of_the_mesh_signs_it_and_changes_without_a_reset(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        password = {"secretKeyRef": {"name": "mesh", "key": "key"}}
        tor = up.edited.since()[TOR], up.other.since()[TOR]
        put(up.edited.directory, secret("first"), cluster(nodeMeshPassword=password))

        def in_use() -> list[tuple[bool, bool]]:
            told = [ask(node.home, "peer", name=at) for node, at in ((up.n1, N2), (up.n2, N1))]
            passwords = [detail["peer"]["password"] for detail in told]
            return [(each["inUseSince"] is not None, each["changes"]) for each in passwords]

        becomes("the mesh is signed", in_use, [(True, False)] * 2, seconds=60)
        before = up.since()
        assert (before[0][TOR], before[1][TOR]) == tor
        up.edit(secret("second"))
        becomes("another waits", in_use, [(True, True)] * 2)
        assert up.since() == before
        up.n2.restart()
        becomes("the other one is in use", in_use, [(True, False)] * 2, seconds=60)
        assert up.edited.since()[TOR] == tor[0]


def test_communities_of_a_prefix_are_told_to_peers(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        up.tor_has(BLOCK1, community=None)
        advertised = {
            "communities": [{"name": "green", "value": "65001:10"}],
            "prefixAdvertisements": [
                {"cidr": "10.65.1.0/24", "communities": ["green", "1:2"]},
                {"cidr": "10.65.0.0/16", "communities": ["65001:1:3"]},
                {"cidr": "10.66.0.0/16", "communities": ["9:9"]},
            ],
        }
        up.edit(cluster(**advertised))
        up.tor_has(BLOCK1, community="(1,2) (65001,10)", large_community="(65001, 1, 3)")
        up.tor_has(BLOCK2, community=None, large_community="(65001, 1, 3)")
        own = {"prefixAdvertisements": [{"cidr": "10.65.1.0/26", "communities": ["7:7"]}]}
        up.edit(settings("node.n1", **own))
        up.tor_has(BLOCK1, community="(7,7)", large_community=None)
        up.edit(cluster(), without=[settings("node.n1")])
        up.tor_has(BLOCK1, community=None, large_community=None)
        up.tor_has(BLOCK2, community=None, large_community=None)


def test_the_normal_priority_is_local_pref_on_the_wire_and_metric_in_kernels(
    tmp_path: Path,
) -> None:
    with rack(tmp_path / "datastore") as up:
        becomes("n2 is told 1024", partial(local_pref, up.n2, BLOCK1), M - 1024)
        becomes("its kernel too", partial(in_kernel, up.n2, BLOCK1), ("unicast", 1024))
        up.edit(cluster(ipv4NormalRoutePriority=77))
        becomes("n2 is told 77", partial(local_pref, up.n2, BLOCK1), M - 77)
        becomes("its kernel too", partial(in_kernel, up.n2, BLOCK1), ("unicast", 77))
        # What comes without LOCAL_PREF has the classical 100.
        becomes("of the switch", partial(in_kernel, up.n2, "10.9.0.0/24"), ("unicast", M - 100))
        up.edit(cluster())
        becomes("n2 is told 1024", partial(in_kernel, up.n2, BLOCK1), ("unicast", 1024))


def test_a_kernel_routes_metric_is_its_priority(tmp_path: Path) -> None:
    """A route with a better metric than normal leaves its block, as in a live migration."""
    with rack(tmp_path / "datastore") as up:
        up.tor_has(BLOCK1)
        up.n1.execute(["ip", "route", "add", "10.65.1.7/32", "dev", "lo", "metric", "100"])
        up.n1.execute(["ip", "route", "add", "10.65.1.8/32", "dev", "lo", "metric", "2000"])
        becomes("n2 is told", partial(local_pref, up.n2, "10.65.1.7/32"), M - 100)
        becomes("in its kernel", partial(in_kernel, up.n2, "10.65.1.7/32"), ("unicast", 100))
        up.tor_has("10.65.1.7/32")
        assert told(up.tor, "10.65.1.8/32") is None
        # It beats a route that n2's kernel has itself.
        up.n2.execute(["ip", "route", "add", "10.65.1.9/32", "dev", "lo", "metric", "2000"])
        up.n1.execute(["ip", "route", "add", "10.65.1.9/32", "dev", "lo", "metric", "100"])
        becomes("n2 takes n1's", partial(gateway, up.n2, "10.65.1.9/32"), (N1,))


def test_pools_decide_what_leaves_and_what_is_installed(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        up.tor_has(BLOCK1)
        becomes("n2 installs it", partial(gateway, up.n2, BLOCK1), (N1,))
        up.edit(pool(disableBGPExport=True))
        up.tor_lacks(BLOCK1)
        becomes("n2 has it no more", partial(gateway, up.n2, BLOCK1), None)
        up.edit(pool(disabled=True))
        up.tor_has(BLOCK1)
        becomes("n2 installs it", partial(gateway, up.n2, BLOCK1), (N1,))
        for spec in ({"vxlanMode": "Always"}, {"ipipMode": "Always"}):
            up.edit(pool(**spec))
            becomes("Felix installs it", partial(gateway, up.n2, BLOCK1), None)
            up.tor_has(BLOCK1)
        up.edit(cluster(programClusterRoutes="Disabled"), pool())
        becomes("Felix installs it", partial(gateway, up.n2, BLOCK1), None)
        becomes("other routes are ours", partial(gateway, up.n2, "10.9.0.0/24"), (TOR,))
        up.edit(cluster(), pool())
        becomes("n2 installs it", partial(gateway, up.n2, BLOCK1), (N1,))
        # Without a pool its own blocks are all that a node tells.
        up.edit(without=[pool()])
        becomes("n2 installs it", partial(gateway, up.n2, BLOCK1), (N1,))
        up.tor_has(BLOCK2)


def test_ipip_routes_lead_through_the_tunnel_across_subnets(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        add_interface(up.n2, "tunl0")

        def device() -> str:
            argv = ["ip", "-j", "route", "show", BLOCK1, "proto", "bird"]
            found = json.loads(up.n2.execute(argv) or "[]")
            return found[0]["dev"] if found else ""

        up.edit(cluster(programClusterRoutes="Enabled"), pool(ipipMode="CrossSubnet"))
        becomes("within the subnet", device, "eth0")
        up.edit(pool(ipipMode="Always"))
        becomes("always", device, "tunl0")
        up.edit(cluster(programClusterRoutes="EnabledNoEncapOnly"))
        becomes("Felix installs it", device, "")


def test_a_block_is_announced_and_dropped_as_its_state_says(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        fresh = "10.65.3.0/26"
        hole = partial(in_kernel, up.n1, fresh)
        up.edit(block(fresh, "n1", "pending"))
        assert (hole(), told(up.tor, fresh)) == (None, None)
        for state in ("confirmed", ""):
            up.edit(block(fresh, "n1", state))
            up.tor_has(fresh)
            becomes("a blackhole", lambda: (hole() or ("",))[0], "blackhole")
        up.edit(block(fresh, "n1", "pendingDeletion"))
        becomes("a blackhole", lambda: (hole() or ("",))[0], "blackhole")
        up.edit(block(fresh, "n1", "pending"))
        up.tor_lacks(fresh)
        becomes("no blackhole", hole, None)
        # A block of one address has no blackhole, which would swallow its packets.
        single = "10.65.4.7/32"
        up.edit(block(single, "n1"))
        up.n1.execute(["ip", "route", "add", single, "dev", "lo"])
        up.tor_has(single)
        becomes("Felix's route", partial(in_kernel, up.n1, single), ("unicast", 0))


def test_service_ranges_are_announced_and_in_no_kernel(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        ranges = {
            "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
            "serviceExternalIPs": [{"cidr": "198.51.100.0/24"}],
            "serviceLoadBalancerIPs": [{"cidr": "203.0.113.0/24"}],
        }
        cidrs = [entry["cidr"] for entries in ranges.values() for entry in entries]
        up.edit(cluster(**ranges))
        for cidr in cidrs:
            up.tor_has(cidr, as_path="65001")
        becomes("n2 has n1's", partial(known, up.n2, cidrs[0]), ["Mesh_172_31_0_1", "static1"])
        assert not set(cidrs) & set(kernel_routes(up.n2, Family.IPV4))
        up.edit(cluster(**ranges, serviceLoadBalancerAggregation="Disabled"))
        up.tor_lacks("203.0.113.0/24")
        up.tor_has("198.51.100.0/24")
        nodes = [node(f"n{n}", f"172.31.0.{n}/24") for n in (1, 2)]
        for each in nodes:
            each["metadata"]["labels"] = {EXCLUDED: "true"}
        up.edit(*nodes)
        for cidr in cidrs:
            up.tor_lacks(cidr)
        assert not set(cidrs) & set(kernel_routes(up.n2, Family.IPV4))
        up.edit(*DOCUMENTS)
        up.tor_lacks("10.96.0.0/12")
        up.tor_has(BLOCK1)


def known(running: RunningNode, prefix: str) -> list[str]:
    chunks = stream(running.home, "routes", prefix=prefix)
    return sorted(route["peer"] for chunk in chunks for route in chunk["routes"])


def test_subnets_of_ignored_interfaces_are_not_taken_for_connected(tmp_path: Path) -> None:
    with rack(tmp_path / "datastore") as up:
        add_interface(up.n1, "stor0")
        up.n1.execute(["ip", "address", "add", "10.65.9.1/24", "dev", "stor0"])
        up.tor_has("10.65.9.0/24")
        up.edit(cluster(ignoredInterfaces=["stor*"]))
        up.tor_lacks("10.65.9.0/24")
        up.edit(cluster(ignoredInterfaces=["other"]))
        up.tor_has("10.65.9.0/24")


def test_the_log_severity_is_followed_and_the_nodes_own_wins(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    with rack(directory) as up:
        before, nodes, more = up.since(), (up.n1, up.n2), pool("more", cidr="10.70.0.0/16")

        def read_now() -> None:
            for running in nodes:
                ask(running.home, "reload")

        def levels_after(*documents: Mapping[str, Any]) -> Callable[[], list[set[str]]]:
            """Make an edit, and behind it two that are worth a line of level info."""
            put(directory, *documents)
            read_now()
            starts = [len(log_of(running)) for running in nodes]
            put(directory, more)
            read_now()
            remove(directory, more)
            read_now()
            return lambda: [
                {line.split()[1] for line in log_of(running)[start:].splitlines()}
                for running, start in zip(nodes, starts, strict=True)
            ]

        own = settings("node.n2", logSeverityScreen="info")
        assert levels_after(cluster(logSeverityScreen="Error"), own)() == [set(), {"info"}]
        own = settings("node.n2", logSeverityScreen="Fatal")
        levels = levels_after(cluster(logSeverityScreen="Debug"), own)
        becomes("all that happens is told", levels, [{"info", "debug"}, set()])
        remove(directory, own)
        assert levels_after(cluster())() == [{"info"}, {"info"}]
        assert up.since() == before
