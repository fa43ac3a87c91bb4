"""What a CalicoNodeStatus says, in Calico's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import pytest

from speaker.config.status_resources import StatusClass
from speaker.control.views import PeerView, RouteView
from speaker.node_status import Report, last_updated, report_of
from tests.support.views import peer_view, route_view, status_view

ALL = tuple(StatusClass)
MESH = peer_view("10.0.0.2", since=1_000.0)
TOR = peer_view(
    "10.9.0.1", name="Global_10_9_0_1", type="global", state="start", bgpState="Active", since=500.0
)
WAITING = peer_view(
    "10.9.0.2", name="Node", type="node specific", state="start", bgpState="Passive"
)
SIXTH = peer_view("fd00::2", since=2_000.0)
WORKLOAD = peer_view("10.65.0.1", name="Local_Workload_10_65_0_1", type="local workload")


def report(
    *peers: PeerView,
    routes: Sequence[RouteView] = (),
    classes: Sequence[StatusClass] = ALL,
    now: float = 3_000.0,
) -> Report:
    status = status_view(*peers, since=100.0)
    return report_of(classes, status, routes, now, 200.0, UTC)


def test_peers_are_counted_by_their_state_and_family() -> None:
    bgp = report(MESH, TOR, WAITING, SIXTH)["bgp"]
    assert (bgp["numberEstablishedV4"], bgp["numberNotEstablishedV4"]) == (1, 2)
    assert (bgp["numberEstablishedV6"], bgp["numberNotEstablishedV6"]) == (1, 0)


def test_peers_have_calicos_words() -> None:
    bgp = report(MESH, TOR, WAITING, SIXTH)["bgp"]
    assert bgp["peersV4"] == [
        {"peerIP": "10.0.0.2", "type": "NodeMesh", "state": "Established", "since": "00:16:40"},
        {"peerIP": "10.9.0.1", "type": "GlobalPeer", "state": "Active", "since": "00:08:20"},
        {"peerIP": "10.9.0.2", "type": "NodePeer", "state": "", "since": "00:00:00"},
    ]
    assert [peer["peerIP"] for peer in bgp["peersV6"]] == ["fd00::2"]


def test_local_workloads_are_not_shown() -> None:
    bgp = report(WORKLOAD)["bgp"]
    assert (bgp["numberEstablishedV4"], bgp["peersV4"]) == (0, [])


def test_what_is_long_ago_has_a_date() -> None:
    assert report(MESH, now=90_000.0)["bgp"]["peersV4"][0]["since"] == "1970-01-01"


def test_the_agent_is_there_for_both_families() -> None:
    agent = report()["agent"]
    assert agent["birdV4"] == agent["birdV6"]
    assert agent["birdV4"] == {
        "state": "Ready",
        "version": "Wren 0.1.0",
        "routerID": "10.0.0.1",
        "lastBootTime": "1970-01-01 00:01:40",
        "lastReconfigurationTime": "1970-01-01 00:03:20",
    }


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (
            route_view("10.1.0.0/16", via=["10.0.0.2 dev eth0", "10.0.0.3 dev eth1"]),
            {
                "type": "FIB",
                "destination": "10.1.0.0/16",
                "gateway": "10.0.0.2",
                "interface": "eth0",
                "learnedFrom": {"sourceType": "NodeMesh", "peerIP": "10.0.0.2"},
            },
        ),
        (
            route_view(
                "10.2.0.0/16", best=False, peer="Global_10_9_0_1", via=["10.9.0.1 dev eth2"]
            ),
            {
                "type": "RIB",
                "destination": "10.2.0.0/16",
                "gateway": "10.9.0.1",
                "interface": "eth2",
                "learnedFrom": {"sourceType": "BGPPeer", "peerIP": "10.9.0.1"},
            },
        ),
        (
            route_view("10.0.0.0/24", peer="direct1", via=["dev eth0"]),
            {
                "type": "FIB",
                "destination": "10.0.0.0/24",
                "gateway": "N/A",
                "interface": "eth0",
                "learnedFrom": {"sourceType": "Direct"},
            },
        ),
        (
            route_view("10.65.0.0/26", peer="static1", via=[]),
            {
                "type": "FIB",
                "destination": "10.65.0.0/26",
                "gateway": "N/A",
                "interface": "",
                "learnedFrom": {"sourceType": "Static"},
            },
        ),
        (
            route_view("10.3.0.0/16", peer="kernel1", via=["inet6 fe80::1 dev eth0"]),
            {
                "type": "FIB",
                "destination": "10.3.0.0/16",
                "gateway": "fe80::1",
                "interface": "eth0",
                "learnedFrom": {"sourceType": "Kernel"},
            },
        ),
    ],
)
def test_a_route(route: RouteView, expected: Report) -> None:
    assert report(MESH, TOR, routes=[route])["routes"]["routesV4"] == [expected]


def test_routes_are_told_by_family() -> None:
    routes = report(MESH, routes=[route_view("fd01::/64"), route_view("10.1.0.0/16")])["routes"]
    assert [route["destination"] for route in routes["routesV6"]] == ["fd01::/64"]
    assert [route["destination"] for route in routes["routesV4"]] == ["10.1.0.0/16"]


def test_only_what_is_asked_for_is_told() -> None:
    assert set(report(MESH, classes=[StatusClass.BGP])) == {"bgp"}
    assert set(report(MESH)) == {"agent", "bgp", "routes"}


def test_the_moment_is_kubernetes() -> None:
    assert last_updated(0.0) == "1970-01-01T00:00:00Z"
