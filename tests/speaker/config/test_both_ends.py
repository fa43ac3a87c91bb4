"""Two Wren nodes with the same resources have halves that fit, or somebody says why not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsm.family import Afi
from speaker.config.conditions import Condition
from speaker.config.plan import PeerPlan, Plan, resolve
from speaker.config.resources import ReversePeering
from tests.support.resources import node, peer, resources
from tests.support.resources import settings as configuration

EXPLAIN = {
    "SameAddress",
    "PeerASDiffers",
    "PeerPortDiffers",
    "LocalASUnknown",
    "PeersDisagree",
    "MeshASDiffers",
}
"""Reasons of conditions that say why two halves do not fit."""

AS_NUMBERS = (64512, 65001, 65002)
SECRETS = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": name}}
    for name in ("s1", "s2")
]
SELECTORS = ("all()", "has(rr)", "!has(rr)", "rack == '1'", "rack != '1' && !has(rr)")


def ipv4(number: int) -> str:
    return f"10.0.0.{number + 1}"


def ipv6(number: int) -> str:
    return f"fd00::{number + 1:x}"


@st.composite
def nodes(draw: st.DrawFn, number: int) -> dict[str, Any]:
    families = draw(st.sampled_from(["4", "4", "46", "6"]))
    # Now and then somebody copies a Node and forgets to change its address.
    at = draw(st.sampled_from([number] * 12 + [0]))
    labels = draw(st.sampled_from([{}, {"rack": "1"}, {"rack": "2"}, {"rr": ""}]))
    return node(
        f"n{number}",
        f"{ipv4(at)}/24" if "4" in families else None,
        f"{ipv6(at)}/64" if "6" in families else None,
        asn=draw(st.sampled_from([None, None, *AS_NUMBERS])),
        cluster_id=draw(st.sampled_from([None, None, None, "1.1.1.1", "2.2.2.2"])),
        **labels,
    )


@st.composite
def bgp_peers(draw: st.DrawFn, number: int, count: int) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    match draw(st.sampled_from(["global", "node", "selector"])):
        case "node":
            spec["node"] = f"n{draw(st.integers(0, count - 1))}"
        case "selector":
            spec["nodeSelector"] = draw(st.sampled_from(SELECTORS))
    if draw(st.booleans()):
        spec["peerSelector"] = draw(st.sampled_from(SELECTORS))
    else:
        address = draw(st.sampled_from([ipv4, ipv4, ipv6]))(draw(st.integers(0, count - 1)))
        port = draw(st.sampled_from(["", "", "", ":179", ":1790"]))
        spec["peerIP"] = f"[{address}]{port}" if port and ":" in address else address + port
        spec["asNumber"] = draw(st.sampled_from([64512, *AS_NUMBERS]))
        if draw(st.integers(0, 3)) == 0:
            spec["localASNumber"] = draw(st.sampled_from(AS_NUMBERS))
        passive = draw(st.sampled_from([None, None, None, "on", "off"]))
        if passive:
            spec["extensions"] = {"wren.bgp/passive": passive}
    if draw(st.integers(0, 7)) == 0:
        spec["reversePeering"] = "Manual"
    secret = draw(st.sampled_from([None, None, "s1", "s2", "missing"]))
    if secret:
        spec["password"] = {"secretKeyRef": {"name": secret, "key": "k"}}
    return peer(f"p{number}", **spec)


@st.composite
def clusters(draw: st.DrawFn, smallest: int, largest: int, peers: int) -> list[dict[str, Any]]:
    count = draw(st.integers(smallest, largest))
    documents = [draw(nodes(number)) for number in range(count)]
    number_of_peers = draw(st.integers(0, peers))
    documents += [draw(bgp_peers(number, count)) for number in range(number_of_peers)]
    default: dict[str, Any] = {}
    if draw(st.booleans()):
        default["nodeToNodeMeshEnabled"] = False
    elif draw(st.booleans()):
        default["nodeMeshPassword"] = {"secretKeyRef": {"name": "s1", "key": "k"}}
    if draw(st.booleans()):
        default["listenPort"] = draw(st.sampled_from([179, 1790]))
    documents.append(configuration(**default))
    if draw(st.booleans()):
        documents.append(configuration(f"node.n{draw(st.integers(0, count - 1))}", listenPort=1790))
    return documents


def addresses(of: Plan) -> dict[Afi, str]:
    return {Afi.IPV6 if ":" in text else Afi.IPV4: text for text in of.own_addresses}


def towards(of: Plan, address: str | None) -> PeerPlan | None:
    return next((item for item in of.peers.values() if item.address == address), None)


def fits(one: Plan, other: Plan, afi: Afi) -> bool:
    """Tell whether the halves of two nodes are none, or make a session."""
    here = towards(one, addresses(other).get(afi))
    there = towards(other, addresses(one).get(afi))
    if here is None or there is None:
        return here is there
    can_connect = (not here.passive and here.port == other.listen_port) or (
        not there.passive and there.port == one.listen_port
    )
    return (
        can_connect
        and (here.local_asn, here.peer_asn) == (there.peer_asn, there.local_asn)
        and here.password == there.password
    )


def explained(one: Plan, other: Plan, afi: Afi, manual: set[str]) -> bool:
    """Tell whether a half is Manual, or a condition of a node says why the two do not fit."""
    halves = [
        towards(here, addresses(there).get(afi)) for here, there in ((one, other), (other, one))
    ]
    names = {half.resource for half in halves if half}
    blamed = {f"Node/{one.node}", f"Node/{other.node}", *(f"BGPPeer/{name}" for name in names)}
    conditions: list[Condition] = [*one.conditions, *other.conditions]
    return bool(names & manual) or any(
        item.reason in EXPLAIN and (item.resource in blamed or item.reason == "SameAddress")
        for item in conditions
    )


def misfits(documents: list[dict[str, Any]]) -> list[str]:
    cluster = resources(*documents, *SECRETS)
    plans = [resolve(cluster, name) for name in cluster.nodes]
    manual = {
        name
        for name, peer in cluster.peers.items()
        if peer.spec.reverse_peering is ReversePeering.MANUAL
    }
    return [
        f"{one.node} and {other.node}, {afi.name}"
        for one, other in combinations(plans, 2)
        for afi in (Afi.IPV4, Afi.IPV6)
        if not fits(one, other, afi) and not explained(one, other, afi, manual)
    ]


@given(clusters(2, 5, peers=4))
def test_both_ends_of_every_session_agree_or_a_condition_says_why(
    documents: list[dict[str, Any]],
) -> None:
    assert misfits(documents) == []


@given(clusters(40, 50, peers=5))
@settings(
    max_examples=4,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
def test_both_ends_agree_in_clusters_of_fifty_nodes(documents: list[dict[str, Any]]) -> None:
    assert misfits(documents) == []
