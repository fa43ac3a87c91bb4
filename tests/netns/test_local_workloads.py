"""Local workloads as peers: BIRD in the place of a workload, and status files as Felix writes them.

The workload is behind an interface of its own, as Felix makes it: the node has the peering address
there and a route to the workload, the workload a route to the peering address. A switch that runs
BIRD is a peer of another kind, whose session has to go on through all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab
from lab.probes import kernel_routes
from tests.support.birds import QUICK, WREN, told
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

HERE, POD, TOR = "192.168.99.1", "10.65.0.7", "172.31.0.9"
BEHIND = "10.70.0.0/24"
"""What the workload announces."""

SWITCH = peer("tor", peerIP=TOR, asNumber=65009, extensions=QUICK)


def pods(**more: Any) -> dict[str, Any]:
    spec = {"localWorkloadSelector": "has(bgp)", "asNumber": 65007, "extensions": QUICK}
    return peer("pods", **{**spec, **more})


def cluster(**more: Any) -> dict[str, Any]:
    return settings(asNumber=65001, localWorkloadPeeringIPV4=HERE, **more)


DOCUMENTS = (
    node("w", f"{WREN}/24"),
    cluster(),
    document("IPPool", "pool", {"cidr": "10.64.0.0/10", "ipipMode": "Never"}),
    SWITCH,
    pods(),
)


def topology(directory: Path) -> str:
    to_wren = {"asn": 65001, "families": ["ipv4"], "hold_time": 9}
    nodes = {
        "w": {"kind": "wren", "datastore": str(directory)},
        "pod": {
            "kind": "bird",
            "asn": 65007,
            "networks": [BEHIND],
            "peers": [{**to_wren, "address": HERE, "local": POD, "extra": "multihop;"}],
        },
        "tor": {"kind": "bird", "asn": 65009, "peers": [{**to_wren, "address": WREN}]},
    }
    links = [{"w": [f"{HERE}/32"], "pod": [f"{POD}/32"]}]
    lan = {"w": [f"{WREN}/24"], "tor": [f"{TOR}/24"]}
    return json.dumps({"nodes": nodes, "links": links, "segments": {"lan": lan}})


class Pod:
    """The node, its workload and the switch.

    Args:
        lab: that is up.
        edited: the node's resources.
        status: where Felix writes.
    """

    def __init__(self, lab: Lab, edited: Edited, status: Path) -> None:
        self.w, self.pod, self.tor = (lab.node(name) for name in ("w", "pod", "tor"))
        self.edited = edited
        self._status = status

    def felix_says(self, bgp_peer: str | None) -> None:
        """Write the workload's status, or take it away."""
        file = self._status / "k8s_pod"
        if bgp_peer is None:
            file.unlink()
            return
        said = {"ifaceName": "eth0", "ipv4Nets": [f"{POD}/32"], "bgpPeerName": bgp_peer}
        fresh = self._status / ".k8s_pod"
        fresh.write_text(json.dumps(said))
        fresh.rename(file)

    def gateway(self) -> tuple[str, ...] | None:
        """Tell where the node sends packets for what is behind the workload."""
        route = kernel_routes(self.w, Family.IPV4).get(BEHIND)
        return None if route is None else route.gateways

    def path_at_the_switch(self) -> str | None:
        """Tell which AS numbers the switch sees before what is behind the workload."""
        return (told(self.tor, BEHIND) or {}).get("as_path")

    def restart_session(self) -> None:
        ctl = str(self.pod.home / "bird.ctl")
        self.pod.execute(["birdc", "-s", ctl, "restart", "peer0"])


@contextmanager
def pod_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    directory, status = tmp_path / "datastore", tmp_path / "felix" / "endpoint-status"
    monkeypatch.setenv("CALICO_ENDPOINT_STATUS_PATH_PREFIX", str(tmp_path / "felix"))
    put(directory, *DOCUMENTS)
    with lab_of(topology(directory)) as lab:
        w, pod = lab.node("w"), lab.node("pod")
        w.execute(["ip", "route", "add", f"{POD}/32", "dev", "eth0"])
        pod.execute(["ip", "route", "add", f"{HERE}/32", "dev", "eth0"])
        edited = Edited(w, directory)
        edited.peers_up([TOR])
        status.mkdir(parents=True)
        yield Pod(lab, edited, status)


def test_a_workload_peers_with_its_node_for_as_long_as_felix_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pod_of(tmp_path, monkeypatch) as up:
        before = up.edited.since()
        for said in (None, "others", ""):
            up.felix_says("pods")
            assert up.edited.peers_up([TOR, POD])[TOR] == before[TOR]
            becomes("its routes are installed", up.gateway, (POD,))
            [shown] = [p for p in up.edited.status()["peers"] if p["address"] == POD]
            assert (shown["type"], shown["passive"], shown["resource"]) == (
                "local workload",
                True,
                "pods",
            )
            up.felix_says(said)
            assert up.edited.peers_up([TOR]) == before
            becomes("its routes have gone", up.gateway, None)


def test_the_fields_that_hold_for_workloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pod_of(tmp_path, monkeypatch) as up:
        before = up.edited.since()
        up.felix_says("pods")
        up.edited.peers_up([TOR, POD])
        becomes("its routes are installed", up.gateway, (POD,))
        becomes("the switch has them", up.path_at_the_switch, "65001 65007")
        picky = document("BGPFilter", "picky", {"importV4": [{"action": "Reject"}]})
        put(up.edited.directory, picky, pods(filters=["picky"]))
        becomes("its routes are filtered", up.gateway, None)
        assert up.edited.since()[TOR] == before[TOR]
        put(up.edited.directory, pods())
        becomes("its routes are back", up.gateway, (POD,))
        # With another local AS the workload, which knows no such, refuses.
        put(up.edited.directory, pods(localASNumber=65333))
        assert up.edited.peers_up([TOR]) == before


def test_where_the_node_is_bound_to_its_address_workloads_come_in_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pod_of(tmp_path, monkeypatch) as up:
        up.felix_says("pods")
        before = up.edited.peers_up([TOR, POD])
        put(up.edited.directory, cluster(bindMode="NodeIP"))
        listening = ["ss", "-Hltn", "sport", "=", ":179"]
        becomes(
            "the node listens there",
            lambda: sorted(line.split()[3] for line in up.w.execute(listening).splitlines()),
            [f"{WREN}:179", f"{HERE}:179"],
        )
        assert up.edited.since() == before
        up.restart_session()
        becomes("a new session", lambda: up.edited.since().get(POD, 0) > before[POD], wanted=True)
        assert up.edited.since()[TOR] == before[TOR]
