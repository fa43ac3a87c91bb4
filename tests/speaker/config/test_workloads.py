"""Local workload peers: what Felix's status files say, and the peerings that come of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from speaker.config.changes import AddPeer, RemovePeer, SetListen, changes
from speaker.config.plan import PeerKind, Plan
from speaker.config.workloads import Workload, WorkloadError, parse_workload
from tests.support.resources import node, peer, plan, settings

STATUS = {
    "ifaceName": "cali12345",
    "mac": "ee:ee:ee:ee:ee:ee",
    "ipv4Nets": ["10.65.0.7/32", "10.65.0.8/32"],
    "ipv6Nets": ["FD00:65::7/128"],
    "bgpPeerName": "pods",
}


def read(**more: Any) -> Workload | None:
    return parse_workload(json.dumps({**STATUS, **more}))


def test_the_first_address_of_each_family_is_the_peers() -> None:
    assert read() == Workload("pods", "cali12345", ("10.65.0.7", "fd00:65::7"))


@pytest.mark.parametrize(
    ("more", "addresses"),
    [
        ({"ipv6Nets": []}, ("10.65.0.7",)),
        ({"ipv4Nets": None}, ("fd00:65::7",)),
        ({"ipv4Nets": ["10.65.0/24", 7, "10.65.0.9/24"]}, ("10.65.0.9", "fd00:65::7")),
        ({"ipv4Nets": ["fd00::1/128"], "ipv6Nets": ["nonsense"]}, ()),
    ],
)
def test_networks_that_make_no_sense_are_passed_over(
    more: dict[str, Any], addresses: tuple[str, ...]
) -> None:
    found = read(**more)
    assert found is not None
    assert found.addresses == addresses


@pytest.mark.parametrize("name", ["", None])
def test_a_workload_that_no_peer_has_chosen_is_none(name: str | None) -> None:
    assert read(bgpPeerName=name) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"bgpPeerName": 7}', "bgpPeerName is no text"),
        ('{"bgpPeerName": "p", "ipv4Nets": "10.0.0.1/32"}', "ipv4Nets is no list"),
    ],
)
def test_what_felix_does_not_write_is_an_error(text: str, error: str) -> None:
    with pytest.raises(WorkloadError, match=error):
        parse_workload(text)


# Peerings.

A = node("a", "10.0.0.1/24", "fd00::1/64", rack="1")
PODS: dict[str, Any] = {"localWorkloadSelector": "has(bgp)", "asNumber": 65000}
PEERING: dict[str, Any] = {
    "localWorkloadPeeringIPV4": "169.254.1.9",
    "localWorkloadPeeringIPV6": "fd00:99::1",
}
OFF: dict[str, Any] = {"nodeToNodeMeshEnabled": False}
POD = Workload("pods", "cali1", ("10.65.0.7", "fd00:65::7"))


def planned(*workloads: Workload, spec: dict[str, Any] | None = None, **default: Any) -> Plan:
    item = peer("pods", **{**PODS, **(spec or {})})
    return plan("a", A, settings(**OFF, **default), item, workloads=workloads)


def test_each_address_of_a_chosen_workload_is_a_peer_that_we_wait_for() -> None:
    found = planned(POD, Workload("others", "cali2", ("10.65.0.9",)), **PEERING)
    assert list(found.peers) == ["Local_Workload_10_65_0_7", "Local_Workload_fd00_65__7"]
    assert {p.kind for p in found.peers.values()} == {PeerKind.LOCAL_WORKLOAD}
    assert [p.families for p in found.peers.values()] == [(IPV4_UNICAST,), (IPV6_UNICAST,)]
    for each in found.peers.values():
        assert (each.passive, each.source_address, each.peer_asn) == (True, None, 65000)
        assert each.resource == "pods"
    assert found.conditions == ()


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"node": "a"}, 2),
        ({"node": "b"}, 0),
        ({"nodeSelector": "has(rack)"}, 2),
        ({"nodeSelector": "!has(rack)"}, 0),
    ],
)
def test_only_workloads_of_nodes_that_the_peer_is_for_count(
    spec: dict[str, Any], count: int
) -> None:
    assert len(planned(POD, spec=spec, **PEERING).peers) == count


def test_a_key_of_ours_does_not_make_us_connect_to_a_workload() -> None:
    keys = {"extensions": {"wren.bgp/passive": "off", "wren.bgp/holdTime": "30"}}
    found = planned(POD, spec=keys, **PEERING).peers["Local_Workload_10_65_0_7"]
    assert (found.passive, found.hold_time) == (True, 30)


def test_without_an_address_to_connect_to_it_is_told() -> None:
    found = planned(POD, localWorkloadPeeringIPV4="169.254.1.9")
    assert [(c.resource, c.reason) for c in found.conditions] == [
        ("BGPPeer/pods", "NoPeeringAddress")
    ]
    assert "localWorkloadPeeringIPV6" in found.conditions[0].message
    assert planned().conditions == ()


def test_bound_to_the_nodes_address_we_listen_on_that_of_workloads_too() -> None:
    everywhere, bound = planned(**PEERING), planned(bindMode="NodeIP", **PEERING)
    assert (everywhere.listen_addresses, everywhere.workload_addresses) == ((), ())
    assert bound.listen_addresses == ("10.0.0.1", "fd00::1")
    assert bound.workload_addresses == ("169.254.1.9", "fd00:99::1")
    [change] = changes(planned(bindMode="NodeIP"), bound)
    assert isinstance(change, SetListen)
    assert change.describe().endswith("of 10.0.0.1, fd00::1, 169.254.1.9, fd00:99::1")


def test_workloads_that_come_and_go_are_peers_that_come_and_go() -> None:
    with_pod = planned(POD, **PEERING)
    assert {type(c) for c in changes(planned(**PEERING), with_pod)} == {AddPeer}
    assert {type(c) for c in changes(with_pod, planned(**PEERING))} == {RemovePeer}
