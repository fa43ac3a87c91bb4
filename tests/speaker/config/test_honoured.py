"""Which field of a BGPPeer holds for which kind of peering: every cell of Calico's table."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from speaker.config.plan import NextHopMode, PeerPlan, Plan
from speaker.config.workloads import Workload
from tests.support.resources import document, node, peer, plan, settings

ME, OTHER, TOR, POD = "10.0.0.1", "10.0.0.2", "10.9.0.1", "10.65.0.7"

NODES = (
    node("a", f"{ME}/24"),
    document(
        "Node",
        "b",
        {"bgp": {"ipv4Address": f"{OTHER}/24", "asNumber": 65002}},
        labels={"rack": "1"},
    ),
)
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s"},
    "data": {name: base64.b64encode(name.encode()).decode() for name in ("peer", "mesh")},
}
FILTER = document("BGPFilter", "f", {"importV4": [{"action": "Reject"}]})


def password(key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": "s", "key": key}}


FIELDS: dict[str, Any] = {
    "localASNumber": 65009,
    "numAllowedLocalASNumbers": 3,
    "ttlSecurity": 2,
    "filters": ["f"],
    "password": password("peer"),
    "maxRestartTime": "33s",
    "keepaliveTime": "9s",
    "sourceAddress": "None",
    "nextHopMode": "Self",
}
"""What every BGPPeer here says, beside whom it is about."""

MESH: dict[str, Any] = {"nodeMeshPassword": password("mesh"), "nodeMeshMaxRestartTime": "44s"}


def of_kind(kind: str, more: Mapping[str, Any]) -> PeerPlan:
    """Give the one peer of node ``a``, of this kind, of a BGPPeer that says all of `FIELDS`."""
    spec = {**FIELDS, **more}
    if kind == "mesh":
        # A BGPPeer of somebody else's says nothing to the mesh.
        found = plan("a", *NODES, SECRET, FILTER, settings(**MESH))
        return found.peers["Mesh_10_0_0_2"]
    off = settings(nodeToNodeMeshEnabled=False)
    documents: dict[str, dict[str, Any]] = {
        "address": {"node": "a", "peerIP": TOR, "asNumber": 65000},
        "selector": {"node": "a", "peerSelector": "has(rack)"},
        "reverse": {"nodeSelector": "has(rack)", "peerIP": ME, "asNumber": 64512},
        "workload": {"localWorkloadSelector": "has(bgp)", "asNumber": 65000},
    }
    item = peer("p", **documents[kind], **spec)
    workloads = [Workload("p", "cali1", (POD,))] if kind == "workload" else []
    found = plan("a", *NODES, SECRET, FILTER, off, item, workloads=workloads)
    [only] = found.peers.values()
    return only


@dataclass(frozen=True)
class Row:
    """What a field comes to in a plan: where it holds, and its value where it does not."""

    attribute: str
    holds: object
    otherwise: object
    of: frozenset[str]
    mesh: object = None


EVERYWHERE = frozenset({"address", "selector", "reverse", "workload"})
NODES_TOO = EVERYWHERE - {"workload"}
PEER_SECRET = b"peer"

ROWS = {
    "localASNumber": Row("local_asn", 65009, 64512, frozenset({"address", "workload"})),
    "numAllowedLocalASNumbers": Row("allow_local_as", 3, 0, frozenset({"address"})),
    "ttlSecurity": Row("ttl_security", 2, 0, NODES_TOO),
    "filters": Row("filters", ("f",), (), EVERYWHERE),
    "password": Row("password", PEER_SECRET, None, NODES_TOO, mesh=b"mesh"),
    "maxRestartTime": Row("restart_time", 33, 120, NODES_TOO, mesh=44),
    "keepaliveTime": Row("keepalive_time", 9, None, NODES_TOO),
    "nextHopMode": Row("next_hop_mode", NextHopMode.SELF, NextHopMode.AUTO, NODES_TOO),
}


@pytest.mark.parametrize("kind", [*sorted(EVERYWHERE), "mesh"])
@pytest.mark.parametrize("field", ROWS)
def test_a_field_holds_for_the_kinds_of_peering_that_it_does_in_calico(
    field: str, kind: str
) -> None:
    row = ROWS[field]
    found = getattr(of_kind(kind, {}), row.attribute)
    if field == "password" and found is not None:
        found = found.reveal()
    wanted = row.holds if kind in row.of else row.otherwise
    if kind == "mesh" and row.mesh is not None:
        wanted = row.mesh
    assert found == wanted


@pytest.mark.parametrize(
    ("kind", "asn"),
    [
        ("address", 65000),
        ("selector", 65002),
        ("reverse", 65002),
        ("workload", 65000),
        ("mesh", 65002),
    ],
)
def test_the_peers_as_is_the_specs_or_that_of_the_node_at_the_other_end(
    kind: str, asn: int
) -> None:
    assert of_kind(kind, {}).peer_asn == asn


@pytest.mark.parametrize(
    ("kind", "asked", "source"),
    [
        ("address", "UseNodeIP", ME),
        ("address", "None", None),
        ("selector", "UseNodeIP", ME),
        ("selector", "None", None),
        ("reverse", "UseNodeIP", ME),
        ("reverse", "None", None),
        ("workload", "UseNodeIP", None),
        ("workload", "None", None),
        ("mesh", "None", ME),
    ],
)
def test_where_a_session_comes_from(kind: str, asked: str, source: str | None) -> None:
    assert of_kind(kind, {"sourceAddress": asked}).source_address == source


@pytest.mark.parametrize("kind", ["address", "selector", "workload", "mesh"])
def test_the_old_next_hop_field_holds_where_the_new_one_does_and_between_two_as(kind: str) -> None:
    more = {"keepOriginalNextHop": True, "nextHopMode": None}
    holds = kind in ("address", "selector")
    wanted = NextHopMode.KEEP if holds else NextHopMode.AUTO
    assert of_kind(kind, more).next_hop_mode is wanted


def test_the_gateway_of_a_peer_is_reached_where_the_address_is_named() -> None:
    named = {"node": "a", "peerIP": TOR, "asNumber": 65000, "reachableBy": "10.0.0.254"}
    assert routes(plan("a", *NODES, peer("p", **named))) == ["10.0.0.254"]
    reverse = {
        "nodeSelector": "has(rack)",
        "peerIP": ME,
        "asNumber": 64512,
        "reachableBy": "10.0.0.254",
    }
    off = settings(nodeToNodeMeshEnabled=False)
    assert routes(plan("a", *NODES, off, peer("p", **reverse))) == ["10.0.0.254"]
    assert routes(plan("a", *NODES)) == []


def routes(found: Plan) -> list[str]:
    return [route.via for route in found.static_routes]


@pytest.mark.parametrize(
    ("kind", "cluster_id", "client"),
    [
        # The other end's cluster is known where a selector or the reverse pass told which node
        # it is: one of our own cluster is no client.
        ("address", "1.1.1.1", True),
        ("selector", "1.1.1.1", False),
        ("selector", "2.2.2.2", True),
        ("reverse", "1.1.1.1", False),
        ("reverse", "2.2.2.2", True),
        ("workload", "1.1.1.1", True),
    ],
)
def test_whether_the_cluster_of_the_other_end_is_known(
    kind: str, cluster_id: str, client: bool
) -> None:
    specs: dict[str, dict[str, Any]] = {
        "address": {"node": "a", "peerIP": OTHER, "asNumber": 64512, "reversePeering": "Manual"},
        "selector": {"node": "a", "peerSelector": "has(rack)"},
        "reverse": {"nodeSelector": "has(rack)", "peerIP": ME, "asNumber": 64512},
        "workload": {"localWorkloadSelector": "has(bgp)", "asNumber": 64512},
    }
    far = node("b", f"{OTHER}/24", cluster_id=cluster_id)
    far["metadata"]["labels"] = {"rack": "1"}
    workloads = [Workload("p", "cali1", (POD,))] if kind == "workload" else []
    found = plan(
        "a",
        node("a", f"{ME}/24", cluster_id="1.1.1.1"),
        far,
        settings(nodeToNodeMeshEnabled=False),
        peer("p", **specs[kind]),
        workloads=workloads,
    )
    assert [each.rr_client for each in found.peers.values()] == [client]


@pytest.mark.parametrize(
    ("kind", "passive"),
    [("selector", False), ("reverse", False), ("workload", True), ("mesh", True)],
)
def test_who_waits_for_the_other_end(kind: str, passive: bool) -> None:
    assert of_kind(kind, {}).passive is passive


@pytest.mark.parametrize(("node_name", "passive"), [("a", True), ("b", False)])
def test_of_two_nodes_with_a_global_peer_the_lower_address_waits(
    node_name: str, passive: bool
) -> None:
    """A BGPPeer that names a node's address waits by the same rule as the mesh, if it is global."""
    item = {
        "a": peer("p", peerIP=OTHER, asNumber=65002, reversePeering="Manual"),
        "b": peer("p", peerIP=ME, asNumber=64512, reversePeering="Manual"),
    }[node_name]
    off = settings(nodeToNodeMeshEnabled=False)
    [found] = plan(node_name, *NODES, off, item).peers.values()
    assert found.passive is passive
    [own] = plan(
        node_name, *NODES, off, {**item, "spec": {**item["spec"], "node": node_name}}
    ).peers.values()
    assert own.passive is False
