"""Valid and invalid documents of every kind, and what is said about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from speaker.config.effects import NOT_YET_EFFECTIVE
from speaker.config.kinds import Kind
from speaker.config.models import fields_of
from speaker.config.reading import read_file, validate
from speaker.config.report import Report
from speaker.config.resources import (
    BGPConfigurationSpec,
    BGPFilterSpec,
    BGPPeer,
    BGPPeerSpec,
    IPPoolSpec,
    Node,
    SecretResource,
)
from tests.support.resources import document, peer, read, settings


def check(item: Any) -> Report:
    (report,) = read_file(json.dumps(item), "f.json")
    return report


def broken(report: Report) -> set[tuple[str, str]]:
    return {(problem.field, problem.rule) for problem in report.problems}


ANY = {"peerIP": "10.0.0.1", "asNumber": 64512}

VALID_PEERS: list[dict[str, Any]] = [
    {},
    ANY,
    {**ANY, "node": "rack1-host1"},
    {**ANY, "node": "a.b-c.d"},
    {**ANY, "nodeSelector": "has(rack)"},
    {**ANY, "nodeSelector": " has(rack)\n"},
    {**ANY, "nodeSelector": ""},
    {**ANY, "asNumber": "1.10"},
    {**ANY, "asNumber": "4294967295"},
    {**ANY, "asNumber": 4294967295},
    {"peerIP": "10.0.0.1"},
    {"peerIP": "[2001:db8::1]:179", "asNumber": 1},
    {"peerSelector": "has(rr)"},
    {"peerSelector": "has(rr)", "asNumber": 0},
    {"peerSelector": "has(rr)", "nodeSelector": "!has(rr)"},
    {**ANY, "localASNumber": 65000},
    {**ANY, "keepOriginalNextHop": True},
    {**ANY, "keepOriginalNextHop": False, "nextHopMode": "Keep"},
    {**ANY, "nextHopMode": "Auto"},
    {**ANY, "nextHopMode": "Self"},
    {**ANY, "password": {"secretKeyRef": {"name": "s", "key": "k"}}},
    {**ANY, "password": {"secretKeyRef": {"key": "k", "optional": True}}},
    {**ANY, "sourceAddress": "None"},
    {**ANY, "sourceAddress": "UseNodeIP"},
    {**ANY, "maxRestartTime": "2m"},
    {**ANY, "keepaliveTime": "30s"},
    {**ANY, "numAllowedLocalASNumbers": 2},
    {**ANY, "numAllowedLocalASNumbers": -1},
    {**ANY, "ttlSecurity": 0},
    {**ANY, "ttlSecurity": 255},
    {**ANY, "reachableBy": "10.9.9.9"},
    {"peerIP": "2001:db8::1", "asNumber": 1, "reachableBy": "fe80::1"},
    {**ANY, "filters": []},
    {**ANY, "filters": ["one", "two.three"]},
    {"localWorkloadSelector": "app == 'vm'", "asNumber": 64999},
    {**ANY, "reversePeering": "Manual"},
    {**ANY, "extensions": {"anything": "goes", "n": 5}},
    {**ANY, "failureDetectionMode": "BFDIfDirectlyConnected"},
    {**ANY, "restartMode": "LongLivedGracefulRestart", "maxRestartTime": "2h"},
    {**ANY, "birdGatewayMode": "DirectIfDirectlyConnected"},
    {**ANY, "externalNetwork": "blue"},
    {**ANY, "filters": None, "node": None},
    {**ANY, "extensions": {"wren.bgp/passive": "on"}},
    {**ANY, "extensions": {"wren.bgp/families": "ipv4, ipv6"}},
    {**ANY, "extensions": {"wren.bgp/holdTime": 0}},
    {**ANY, "extensions": {"wren.bgp/holdTime": "90"}},
    {**ANY, "extensions": {"wren.bgp/connectRetry": "1.5"}},
    {**ANY, "extensions": {"wren.bgp/idleHold": "1,60"}},
    {**ANY, "extensions": {"wren.bgp/routeReflectorClient": "off"}},
    {**ANY, "extensions": {"wren.bgp/addPath": "both"}},
    {**ANY, "extensions": {"wren.bgp/gracefulRestart": "on"}},
]

INVALID_PEERS: list[tuple[dict[str, Any], str, str]] = [
    ({**ANY, "node": "Rack1"}, "spec.node", "name"),
    ({**ANY, "node": "a_b"}, "spec.node", "name"),
    ({**ANY, "node": 5}, "spec.node", "name"),
    ({**ANY, "node": "a", "nodeSelector": "all()"}, "spec.nodeSelector", "exclusive"),
    ({**ANY, "nodeSelector": "a == b"}, "spec.nodeSelector", "selector"),
    ({**ANY, "nodeSelector": "a == 'b' || " * 100}, "spec.nodeSelector", "selector"),
    ({**ANY, "peerIP": "10.0.0.256"}, "spec.peerIP", "peer-ip"),
    ({**ANY, "peerIP": "10.0.0.1:0"}, "spec.peerIP", "peer-ip"),
    ({**ANY, "peerIP": "fe80::1%eth0"}, "spec.peerIP", "peer-ip"),
    ({**ANY, "peerSelector": "all()"}, "spec.peerIP", "exclusive"),
    ({**ANY, "asNumber": -1}, "spec.asNumber", "as-number"),
    ({**ANY, "asNumber": 2**32}, "spec.asNumber", "as-number"),
    ({**ANY, "asNumber": "1.2.3"}, "spec.asNumber", "as-number"),
    ({**ANY, "asNumber": 1.5}, "spec.asNumber", "as-number"),
    ({**ANY, "asNumber": True}, "spec.asNumber", "as-number"),
    ({**ANY, "asNumber": 0}, "spec.asNumber", "as-zero"),
    ({**ANY, "asNumber": "0.0"}, "spec.asNumber", "as-zero"),
    ({**ANY, "localASNumber": 0}, "spec.localASNumber", "as-zero"),
    ({"peerSelector": "all()", "asNumber": 5}, "spec.asNumber", "exclusive"),
    ({"peerSelector": "all("}, "spec.peerSelector", "selector"),
    (
        {**ANY, "keepOriginalNextHop": True, "nextHopMode": "Auto"},
        "spec.keepOriginalNextHop",
        "exclusive",
    ),
    ({**ANY, "keepOriginalNextHop": "true"}, "spec.keepOriginalNextHop", "type"),
    ({**ANY, "nextHopMode": "self"}, "spec.nextHopMode", "enum"),
    ({**ANY, "password": {"secretKeyRef": {}}}, "spec.password.secretKeyRef.key", "required"),
    ({**ANY, "password": "secret"}, "spec.password", "type"),
    ({**ANY, "sourceAddress": "Nodeip"}, "spec.sourceAddress", "enum"),
    ({**ANY, "maxRestartTime": 120}, "spec.maxRestartTime", "duration"),
    ({**ANY, "maxRestartTime": "-5s"}, "spec.maxRestartTime", "duration"),
    ({**ANY, "keepaliveTime": "10"}, "spec.keepaliveTime", "duration"),
    ({**ANY, "numAllowedLocalASNumbers": "2"}, "spec.numAllowedLocalASNumbers", "type"),
    ({**ANY, "ttlSecurity": 256}, "spec.ttlSecurity", "less-than-equal"),
    ({**ANY, "ttlSecurity": -1}, "spec.ttlSecurity", "greater-than-equal"),
    ({**ANY, "reachableBy": "10.0.0.0/8"}, "spec.reachableBy", "ip"),
    ({**ANY, "reachableBy": "fe80::1"}, "spec.reachableBy", "family"),
    ({"peerSelector": "all()", "reachableBy": "10.0.0.1"}, "spec.reachableBy", "required"),
    ({**ANY, "filters": "one"}, "spec.filters", "type"),
    ({**ANY, "filters": ["ok", "Not_Ok"]}, "spec.filters[1]", "name"),
    ({"localWorkloadSelector": "all()"}, "spec.asNumber", "required"),
    (
        {"localWorkloadSelector": "all()", "asNumber": 5, "peerIP": "10.0.0.1"},
        "spec.peerIP",
        "exclusive",
    ),
    (
        {"localWorkloadSelector": "all()", "asNumber": 5, "peerSelector": "all()"},
        "spec.peerSelector",
        "exclusive",
    ),
    ({**ANY, "reversePeering": "Off"}, "spec.reversePeering", "enum"),
    ({**ANY, "failureDetectionMode": "BFD"}, "spec.failureDetectionMode", "enum"),
    ({**ANY, "restartMode": "Graceful"}, "spec.restartMode", "enum"),
    ({**ANY, "birdGatewayMode": "Direct"}, "spec.birdGatewayMode", "enum"),
    ({**ANY, "peerIp": "10.0.0.1"}, "spec.peerIp", "unknown-field"),
    ({**ANY, "colour": None}, "spec.colour", "unknown-field"),
    (
        {**ANY, "extensions": {"wren.bgp/pasive": "on"}},
        "spec.extensions['wren.bgp/pasive']",
        "unknown-key",
    ),
    (
        {**ANY, "extensions": {"wren.bgp/policy": "plain"}},
        "spec.extensions['wren.bgp/policy']",
        "unknown-key",
    ),
    *(
        (
            {**ANY, "extensions": {f"wren.bgp/{key}": value}},
            f"spec.extensions['wren.bgp/{key}']",
            "key-value",
        )
        for key, value in [
            ("passive", "maybe"),
            ("families", "ipv5"),
            ("families", ""),
            ("holdTime", "2"),
            ("holdTime", "65536"),
            ("holdTime", "10s"),
            ("connectRetry", "0"),
            ("connectRetry", "-1"),
            ("idleHold", "5"),
            ("idleHold", "30,5"),
            ("routeReflectorClient", "yes please"),
            ("addPath", "sometimes"),
            ("gracefulRestart", ""),
        ]
    ),
    (
        {"peerSelector": "all()", "extensions": {"wren.bgp/passive": "on"}},
        "spec.extensions['wren.bgp/passive']",
        "exclusive",
    ),
]


@pytest.mark.parametrize("spec", VALID_PEERS, ids=str)
def test_a_valid_peer(spec: dict[str, Any]) -> None:
    report = check(peer("p", **spec))
    assert report.problems == ()
    assert isinstance(report.resource, BGPPeer)


@pytest.mark.parametrize(("spec", "field", "rule"), INVALID_PEERS, ids=str)
def test_an_invalid_peer(spec: dict[str, Any], field: str, rule: str) -> None:
    report = check(peer("p", **spec))
    assert (field, rule) in broken(report)
    assert report.resource is None


LENGTH = {"cidr": "10.0.0.0/8", "matchOperator": "In", "action": "Accept"}

VALID_OTHERS: list[dict[str, Any]] = [
    settings(),
    settings("node.rack1-host1", listenPort=1790, logSeverityScreen="debug"),
    settings(logSeverityScreen=""),
    settings(nodeToNodeMeshEnabled=False, asNumber="1.10"),
    settings(serviceClusterIPs=[{"cidr": "10.96.0.0/12"}, {"cidr": ""}]),
    settings(bindMode="NodeIP", ignoredInterfaces=["eth*", "docker0"]),
    settings(
        communities=[{"name": "blue", "value": "65000:10"}],
        prefixAdvertisements=[{"cidr": "10.0.0.0/8", "communities": ["blue", "1:2:3"]}],
    ),
    settings(nodeMeshPassword={"secretKeyRef": {"name": "a", "key": "b"}}),
    settings(nodeMeshMaxRestartTime="3m"),
    settings(programClusterRoutes="EnabledIPIPOnly", ipv4NormalRoutePriority=512),
    settings(localWorkloadPeeringIPV4="10.1.1.1", localWorkloadPeeringIPV6="fe80::1"),
    settings(annotations={"wren.bgp/policy": "plain", "wren.bgp/networks": "10.0.0.0/8 fd00::/8"}),
    document("Node", "n", {"bgp": {"ipv4Address": "10.0.0.1/24"}}),
    document("Node", "n", {"bgp": {"ipv6Address": "2001:db8::1"}}, labels={"rr": ""}),
    document("Node", "n", {"bgp": {"asNumber": 5, "routeReflectorClusterID": "224.0.0.1"}}),
    document(
        "Node",
        "n",
        {
            "bgp": {"ipv4Address": "10.0.0.1", "ipv4IPIPTunnelAddr": "10.1.1.1"},
            "wireguard": {"interfaceIPv4Address": "10.2.2.2"},
            "ipv4VXLANTunnelAddr": "10.3.3.3",
            "vxlanTunnelMACAddr": "66:00:00:00:00:01",
            "addresses": [{"address": "10.0.0.1/24", "type": "CalicoNodeIP"}],
            "orchRefs": [{"nodeName": "n", "orchestrator": "k8s"}],
        },
    ),
    document("Node", "n", {}),
    document("IPPool", "p", {"cidr": "192.168.0.0/16", "ipipMode": "Always"}),
    document("IPPool", "p", {"cidr": "fd00::/64", "vxlanMode": "CrossSubnet", "blockSize": 122}),
    document("IPPool", "p", {"cidr": "10.0.0.0/26", "disableBGPExport": True, "disabled": True}),
    document("IPPool", "p", {"cidr": "10.0.0.0/26", "allowedUses": ["LoadBalancer"]}),
    document("BlockAffinity", "b", {"node": "n", "cidr": "10.0.0.0/26", "state": "confirmed"}),
    document("BlockAffinity", "b", {"node": "n", "cidr": "10.0.0.0/26", "deleted": "false"}),
    document("BGPFilter", "f", {}),
    document("BGPFilter", "f", {"exportV4": [{"action": "Reject"}]}),
    document(
        "BGPFilter",
        "f",
        {"importV4": [{**LENGTH, "prefixLength": {"min": 16, "max": 24}}]},
    ),
    document(
        "BGPFilter",
        "f",
        {
            "importV6": [
                {
                    "action": "Accept",
                    "cidr": "2001:db8::/32",
                    "matchOperator": "NotIn",
                    "source": "RemotePeers",
                    "interface": "eth*",
                    "peerType": "eBGP",
                    "communities": {"values": ["65000:1"]},
                    "asPathPrefix": [65000, "1.1"],
                    "priority": 100,
                    "operations": [
                        {"addCommunity": {"value": "1:2:3"}},
                        {"prependASPath": {"prefix": [1, 2]}},
                        {"setPriority": {"value": 5}},
                    ],
                }
            ]
        },
    ),
]

INVALID_RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"cidr": "10.0.0.0/8"}, "spec.importV4[0].matchOperator", "required"),
    ({"matchOperator": "In"}, "spec.importV4[0].cidr", "required"),
    ({"cidr": "10.0.0.1/8", "matchOperator": "In"}, "spec.importV4[0].cidr", "cidr"),
    ({"cidr": "fd00::/8", "matchOperator": "In"}, "spec.importV4[0].cidr", "family"),
    ({"prefixLength": {"min": 8}}, "spec.importV4[0].prefixLength", "required"),
    (
        {**LENGTH, "prefixLength": {"max": 33}},
        "spec.importV4[0].prefixLength.max",
        "less-than-equal",
    ),
    ({"source": "Kernel"}, "spec.importV4[0].source", "enum"),
    ({"interface": "a" * 16}, "spec.importV4[0].interface", "interface"),
    ({"peerType": "ebgp"}, "spec.importV4[0].peerType", "enum"),
    (
        {"communities": {"values": ["1:1", "1:2"]}},
        "spec.importV4[0].communities.values",
        "too-long",
    ),
    (
        {"communities": {"values": ["1:01"]}},
        "spec.importV4[0].communities.values[0]",
        "community",
    ),
    ({"asPathPrefix": ["x"]}, "spec.importV4[0].asPathPrefix[0]", "as-number"),
    ({"priority": 0}, "spec.importV4[0].priority", "greater-than-equal"),
    ({"operations": []}, "spec.importV4[0].operations", "too-short"),
    ({"operations": [{}]}, "spec.importV4[0].operations[0]", "exclusive"),
    (
        {"operations": [{"addCommunity": {"value": "1:1"}, "setPriority": {"value": 1}}]},
        "spec.importV4[0].operations[0]",
        "exclusive",
    ),
    (
        {"operations": [{"setPriority": {"value": 2147483647}}]},
        "spec.importV4[0].operations[0].setPriority.value",
        "less-than-equal",
    ),
    (
        {"action": "Reject", "operations": [{"setPriority": {"value": 1}}]},
        "spec.importV4[0].operations",
        "exclusive",
    ),
]

INVALID_OTHERS: list[tuple[dict[str, Any], str, str]] = [
    (settings("node.n", asNumber=5), "spec.asNumber", "default-only"),
    (settings("node.n", nodeToNodeMeshEnabled=True), "spec.nodeToNodeMeshEnabled", "default-only"),
    (
        settings("node.n", nodeMeshMaxRestartTime="1m"),
        "spec.nodeMeshMaxRestartTime",
        "default-only",
    ),
    (
        settings(nodeToNodeMeshEnabled=False, nodeMeshMaxRestartTime="1m"),
        "spec.nodeMeshMaxRestartTime",
        "exclusive",
    ),
    (
        settings(nodeToNodeMeshEnabled=False, nodeMeshPassword={"secretKeyRef": {"key": "k"}}),
        "spec.nodeMeshPassword",
        "exclusive",
    ),
    (settings(asNumber=0), "spec.asNumber", "as-zero"),
    (settings(listenPort=0), "spec.listenPort", "greater-than-equal"),
    (settings(listenPort=65536), "spec.listenPort", "less-than-equal"),
    (settings(bindMode="Node"), "spec.bindMode", "enum"),
    (settings(logSeverityScreen="Loud"), "spec.logSeverityScreen", "enum"),
    (settings(ignoredInterfaces=["*"]), "spec.ignoredInterfaces[0]", "interface"),
    (settings(ignoredInterfaces=["a b"]), "spec.ignoredInterfaces[0]", "interface"),
    (settings(serviceClusterIPs=[{"cidr": "10.0.0.1"}]), "spec.serviceClusterIPs[0].cidr", "cidr"),
    (
        settings(communities=[{"name": "a", "value": "1:1"}]),
        "spec.communities",
        "required",
    ),
    (
        settings(
            communities=[{"name": "a", "value": "1"}],
            prefixAdvertisements=[{"cidr": "10.0.0.0/8"}],
        ),
        "spec.communities[0].value",
        "community",
    ),
    (
        settings(prefixAdvertisements=[{"cidr": "10.0.0.0/8", "communities": ["blue"]}]),
        "spec.prefixAdvertisements[0].communities[0]",
        "community",
    ),
    (
        settings(prefixAdvertisements=[{"cidr": "10.0.0.1/8"}]),
        "spec.prefixAdvertisements[0].cidr",
        "cidr",
    ),
    (settings(ipv4NormalRoutePriority=0), "spec.ipv4NormalRoutePriority", "greater-than-equal"),
    (settings(programClusterRoutes="Yes"), "spec.programClusterRoutes", "enum"),
    (
        settings(annotations={"wren.bgp/policy": "simple"}),
        "metadata.annotations['wren.bgp/policy']",
        "key-value",
    ),
    (
        settings(annotations={"wren.bgp/networks": "10.0.0.1/8"}),
        "metadata.annotations['wren.bgp/networks']",
        "key-value",
    ),
    (document("Node", "n", {"bgp": {}}), "spec.bgp", "empty"),
    (document("Node", "n", {"bgp": {"ipv4Address": "::1"}}), "spec.bgp.ipv4Address", "ip"),
    (document("Node", "n", {"bgp": {"ipv6Address": "10.0.0.1"}}), "spec.bgp.ipv6Address", "ip"),
    (document("Node", "n", {"bgp": {"asNumber": 0}}), "spec.bgp.asNumber", "as-zero"),
    (
        document("Node", "n", {"bgp": {"routeReflectorClusterID": "1"}}),
        "spec.bgp.routeReflectorClusterID",
        "ip",
    ),
    (
        document("Node", "n", {}, annotations={"wren.bgp/passive": "on"}),
        "metadata.annotations['wren.bgp/passive']",
        "unknown-key",
    ),
    (document("Node", "n", {}, labels={"a b": "x"}), "metadata.labels['a b']", "qualified-name"),
    (document("Node", "n", {}, labels={"a": "b c"}), "metadata.labels.a", "label-value"),
    (document("Node", "N", {}), "metadata.name", "name"),
    (document("Node", "a" * 254, {}), "metadata.name", "name"),
    (document("Node", "n", {}, labels={"A.b/c": ""}), "metadata.labels['A.b/c']", "qualified-name"),
    (document("IPPool", "p", {}), "spec.cidr", "required"),
    (document("IPPool", "p", {"cidr": "10.0.0.1/24"}), "spec.cidr", "cidr"),
    (document("IPPool", "p", {"cidr": "10.0.0.0/27"}), "spec.cidr", "range"),
    (document("IPPool", "p", {"cidr": "10.0.0.0/8", "blockSize": 19}), "spec.blockSize", "range"),
    (document("IPPool", "p", {"cidr": "fe80::/64"}), "spec.cidr", "range"),
    (
        document(
            "IPPool", "p", {"cidr": "10.0.0.0/8", "ipipMode": "Always", "vxlanMode": "Always"}
        ),
        "spec.vxlanMode",
        "exclusive",
    ),
    (
        document("IPPool", "p", {"cidr": "fd00::/64", "ipipMode": "Always"}),
        "spec.ipipMode",
        "family",
    ),
    (
        document("IPPool", "p", {"cidr": "10.0.0.0/8", "allowedUses": ["Tunnel", "LoadBalancer"]}),
        "spec.allowedUses",
        "exclusive",
    ),
    (
        document("IPPool", "p", {"cidr": "10.0.0.0/8", "nodeSelector": "global()"}),
        "spec.nodeSelector",
        "selector",
    ),
    (document("BlockAffinity", "b", {"cidr": "10.0.0.0/26"}), "spec.node", "required"),
    (
        document("BlockAffinity", "b", {"node": "n", "cidr": "10.0.0.0/26", "state": "maybe"}),
        "spec.state",
        "enum",
    ),
    (
        document("BlockAffinity", "b", {"node": "n", "cidr": "10.0.0.0/26", "deleted": "true"}),
        "spec.deleted",
        "deleted",
    ),
    (document("BGPFilter", "f", {"exportV4": [{}]}), "spec.exportV4[0].action", "required"),
    (
        document("BGPFilter", "f", {"exportV4": [{"action": "Drop"}]}),
        "spec.exportV4[0].action",
        "enum",
    ),
    *(
        (document("BGPFilter", "f", {"importV4": [{"action": "Accept", **rule}]}), field, wrong)
        for rule, field, wrong in INVALID_RULES
    ),
]


@pytest.mark.parametrize("item", VALID_OTHERS, ids=lambda item: f"{item['kind']} {item['spec']}")
def test_a_valid_document(item: dict[str, Any]) -> None:
    assert check(item).problems == ()


@pytest.mark.parametrize(("item", "field", "rule"), INVALID_OTHERS, ids=str)
def test_an_invalid_document(item: dict[str, Any], field: str, rule: str) -> None:
    report = check(item)
    assert (field, rule) in broken(report)
    assert not report.valid


def test_all_problems_of_a_document_are_told_at_once_with_their_places() -> None:
    (report,) = read("""\
        apiVersion: projectcalico.org/v3
        kind: BGPPeer
        metadata:
          name: Bad
        spec:
          peerIP: 10.0.0.300
          asNumber: 1.10
          node: a
          nodeSelector: has(
          ttlSecurity: 999
        """)
    assert [(problem.line, problem.column, problem.field) for problem in report.problems] == [
        (4, 3, "metadata.name"),
        (6, 3, "spec.peerIP"),
        (7, 3, "spec.asNumber"),
        (9, 3, "spec.nodeSelector"),
        (9, 3, "spec.nodeSelector"),
        (10, 3, "spec.ttlSecurity"),
    ]


@pytest.mark.parametrize(
    ("tree", "field", "rule", "words"),
    [
        ({"kind": "BGPPeers2"}, "kind", "unknown-kind", "did you mean BGPPeer?"),
        ({"kind": "Deployment"}, "kind", "unknown-kind", "known:"),
        ({"spec": {}}, "kind", "required", "kind"),
        ({"kind": 5}, "kind", "required", "kind"),
        ([1], "", "type", "mapping"),
        ({"kind": "Node", "metadata": {"name": "n"}}, "", "required", "apiVersion"),
        ({"kind": "Node", "apiVersion": "apps/v1"}, "apiVersion", "api-version", "v3"),
        ({"kind": "Node", "apiVersion": "v1", "metadata": {}}, "apiVersion", "api-version", "v3"),
        ({"kind": "IPPool", "apiVersion": "x", "spec": 5}, "spec", "type", ""),
    ],
)
def test_an_envelope_that_is_wrong(tree: Any, field: str, rule: str, words: str) -> None:
    (report,) = read_file(json.dumps([tree]), "f.json")
    (found,) = [
        problem for problem in report.problems if (problem.field, problem.rule) == (field, rule)
    ]
    assert words in found.message


@pytest.mark.parametrize("word", ["bgpPeer", "BGPPEERS", "bp", "bgpp", "BGPPeer"])
def test_a_kind_may_be_written_in_many_ways(word: str) -> None:
    item = peer("p", **ANY)
    report = check({**item, "kind": word})
    assert report.valid
    assert report.kind == Kind.BGP_PEER


def test_an_unknown_field_comes_with_a_suggestion() -> None:
    (problem,) = check(peer("p", **ANY, sourceAdress="None")).problems
    assert problem.message == "sourceAdress is no field here; did you mean sourceAddress?"


def test_an_unknown_field_deep_inside_comes_with_a_suggestion() -> None:
    item = document("BGPFilter", "f", {"exportV4": [{"action": "Accept", "peertype": "eBGP"}]})
    (problem,) = check(item).problems
    assert problem.field == "spec.exportV4[0].peertype"
    assert problem.message.endswith("did you mean peerType?")


def test_label_values_become_text() -> None:
    (report,) = read("""\
        apiVersion: projectcalico.org/v3
        kind: Node
        metadata:
          name: n
          labels: {rr: yes, rack: 1, version: 1.10, empty: , quoted: 'yes'}
        """)
    assert isinstance(report.resource, Node)
    assert report.resource.metadata.labels == {
        "rr": "true",
        "rack": "1",
        "version": "1.1",
        "empty": "",
        "quoted": "yes",
    }


def test_a_secret_hides_its_values() -> None:
    (report,) = read("""\
        apiVersion: v1
        kind: Secret
        metadata: {name: s, namespace: kube-system}
        type: Opaque
        data: {a: aHVzaA==}
        stringData: {b: hush}
        """)
    assert isinstance(report.resource, SecretResource)
    for key in ("a", "b"):
        found = report.resource.get(key)
        assert found is not None
        assert found.reveal() == b"hush"
    assert report.resource.get("c") is None
    assert "hush" not in repr(report)


def test_a_bad_secret_does_not_show_its_value() -> None:
    (report,) = read("""\
        apiVersion: v1
        kind: Secret
        metadata: {name: s}
        data: {a: "not base64: hush"}
        stringData: {b: [hush]}
        """)
    assert {problem.field for problem in report.problems} == {"data.a", "stringData.b"}
    assert "hush" not in str([str(problem) for problem in report.problems])


LEGACY = """\
    apiVersion: v1
    kind: bgpPeer
    metadata: {scope: %s, node: %s, peerIP: "%s"}
    spec: {asNumber: %s}
    """


def test_a_global_peer_of_calico_2_is_converted() -> None:
    (report,) = read(LEGACY % ("global", "", "192.20.30.40", "64567"))
    assert isinstance(report.resource, BGPPeer)
    assert report.resource.name == "192-20-30-40"
    assert report.resource.spec.node is None
    assert report.resource.spec.as_number == 64567


def test_a_node_peer_of_calico_2_is_converted() -> None:
    (report,) = read(LEGACY % ("node", "Rack1/Host_1", "aa:bb::", '"1.10"'))
    assert isinstance(report.resource, BGPPeer)
    assert report.resource.name == ("rack1.host-1.00aa-00bb-0000-0000-0000-0000-0000-0000")
    assert report.resource.spec.node == "rack1.host-1"
    assert report.resource.spec.as_number == 65546


@pytest.mark.parametrize(
    ("scope", "node", "ip", "field", "rule"),
    [
        ("global", "n", "10.0.0.1", "metadata.node", "exclusive"),
        ("node", "", "10.0.0.1", "metadata.node", "required"),
        ("all", "", "10.0.0.1", "metadata.scope", "enum"),
        ("global", "", "", "metadata.peerIP", "required"),
        ("global", "", "10.0.0.300", "metadata.peerIP", "peer-ip"),
    ],
)
def test_a_broken_peer_of_calico_2(scope: str, node: str, ip: str, field: str, rule: str) -> None:
    (report,) = read(LEGACY % (scope, node, ip, "1"))
    assert (field, rule) in broken(report)
    assert report.problems[0].line == 3


def test_nodes_and_pools_of_calico_2_are_converted() -> None:
    node, pool = read("""\
        - apiVersion: v1
          kind: node
          metadata: {name: kube-node1}
          spec: {bgp: {asNumber: 65011, ipv4Address: 172.31.3.11/32}}
        - apiVersion: v1
          kind: ipPool
          metadata: {cidr: 10.1.0.0/16}
          spec: {ipip: {enabled: true, mode: cross-subnet}, nat-outgoing: true}
        """)
    assert node.problems == pool.problems == ()
    assert (node.name, pool.name) == ("kube-node1", "10-1-0-0-16")


@pytest.mark.parametrize("kind", NOT_YET_EFFECTIVE)
def test_the_list_of_fields_without_effect_names_real_fields(kind: Kind) -> None:
    specs: dict[Kind, type[BaseModel]] = {
        Kind.BGP_PEER: BGPPeerSpec,
        Kind.BGP_CONFIGURATION: BGPConfigurationSpec,
    }
    names = {name for name in NOT_YET_EFFECTIVE[kind] if not name.startswith("wren.bgp/")}
    assert names <= fields_of(specs[kind])


@pytest.mark.parametrize("field", NOT_YET_EFFECTIVE[Kind.BGP_PEER])
def test_a_field_without_effect_is_named_by_a_warning(field: str) -> None:
    values: dict[str, Any] = {
        "password": {"secretKeyRef": {"name": "s", "key": "k"}},
        "ttlSecurity": 1,
        "maxRestartTime": "1m",
        "restartMode": "LongLivedGracefulRestart",
        "failureDetectionMode": "BFDIfDirectlyConnected",
        "birdGatewayMode": "DirectIfDirectlyConnected",
        "externalNetwork": "blue",
        "localWorkloadSelector": "all()",
    }
    spec: dict[str, Any] = {"asNumber": 5}
    if field.startswith("wren.bgp/"):
        spec["extensions"] = {field: "off"}
    else:
        spec[field] = values[field]
    warnings = check(peer("p", **spec)).warnings
    assert [warning.rule for warning in warnings if field in warning.message] == ["no-effect"]


@pytest.mark.parametrize(
    ("item", "field", "rule"),
    [
        (peer("p"), "spec", "no-target"),
        (peer("p", peerIP="10.0.0.1"), "spec.asNumber", "no-as"),
        (peer("p", **ANY, keepOriginalNextHop=True), "spec.keepOriginalNextHop", "deprecated"),
        (peer("p", **ANY, maxRestartTime="2h"), "spec.maxRestartTime", "range"),
        (settings("other"), "metadata.name", "ignored"),
        (settings("node.n", bindMode="NodeIP"), "spec.bindMode", "ignored"),
        (
            document(
                "BGPFilter",
                "f",
                {
                    "importV4": [
                        {**LENGTH, "matchOperator": "Equal", "prefixLength": {"min": 9, "max": 10}}
                    ]
                },
            ),
            "spec.importV4[0].prefixLength",
            "never-matches",
        ),
        (
            document(
                "BGPFilter", "f", {"importV4": [{**LENGTH, "prefixLength": {"min": 9, "max": 8}}]}
            ),
            "spec.importV4[0].prefixLength",
            "never-matches",
        ),
        (
            document("BGPFilter", "f", {"importV4": [{"action": "Accept"}, {"action": "Reject"}]}),
            "spec.importV4[1]",
            "never-matches",
        ),
    ],
    ids=str,
)
def test_what_is_allowed_and_not_meant_is_warned_of(
    item: dict[str, Any], field: str, rule: str
) -> None:
    report = check(item)
    assert report.valid
    assert (field, rule) in {(warning.field, warning.rule) for warning in report.warnings}


def test_the_report_as_json() -> None:
    (report,) = read("""\
        apiVersion: projectcalico.org/v3
        kind: bgppeer
        metadata: {name: p}
        spec: {peerIP: 10.0.0.1, asNumber: 5, peerPort: 7}
        """)
    assert report.as_json() == {
        "file": "test.yaml",
        "index": 0,
        "kind": "BGPPeer",
        "name": "p",
        "valid": False,
        "problems": [
            {
                "line": 4,
                "column": 39,
                "field": "spec.peerPort",
                "rule": "unknown-field",
                "message": "peerPort is no field here; did you mean peerIP?",
            }
        ],
        "warnings": [],
    }


NODE = document("Node", "n", {"bgp": {"ipv4Address": "10.0.0.9"}})


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        (peer("p", **ANY), peer("p", **ANY), "duplicate-name"),
        (peer("p", **ANY), peer("q", **ANY), "same-address"),
        (peer("p", **ANY, node="n"), peer("q", **ANY, node="n"), "same-address"),
        (NODE, peer("p", peerIP="10.0.0.9", asNumber=5, node="n"), "own-address"),
    ],
)
def test_mistakes_across_documents(first: Any, second: Any, rule: str) -> None:
    one, two = validate([("a.json", json.dumps(first)), ("b.json", json.dumps(second))])
    assert one.problems == ()
    assert [problem.rule for problem in two.problems] == [rule]
    assert not two.valid


def test_one_address_for_two_nodes_is_no_mistake() -> None:
    items = [peer("p", **ANY, node="n"), peer("q", **ANY, node="m"), peer("r", **ANY)]
    reports = validate([("a.json", json.dumps(items))])
    assert [report.problems for report in reports] == [(), (), ()]


def test_filters_have_all_four_chains() -> None:
    assert fields_of(BGPFilterSpec) == {"exportV4", "importV4", "exportV6", "importV6"}


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("a.1:/")
words = st.sampled_from(
    sorted(
        {"metadata", "name", "labels", "annotations", "spec", "min", "max", "values", "value"}
        | {"wren.bgp/passive", "wren.bgp/families", "bgp", "ipip", "stringData", "data", "scope"}
        | {"prefix", "action", "cidr", "matchOperator", "prefixLength", "operations", "status"}
        | fields_of(BGPPeerSpec)
        | fields_of(BGPConfigurationSpec)
        | fields_of(BGPFilterSpec)
        | fields_of(IPPoolSpec)
    )
)
nonsense = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(list(Kind)),
    st.sampled_from(["projectcalico.org/v3", "v1"]),
    st.dictionaries(words, nonsense, max_size=5),
    st.dictionaries(words, nonsense, max_size=6),
)
def test_any_nonsense_is_refused_or_read(
    kind: Kind, version: str, tree: dict[str, Any], spec: dict[str, Any]
) -> None:
    item = {"spec": spec, "metadata": {"name": "n"}, **tree, "kind": kind, "apiVersion": version}
    (report,) = read_file(json.dumps([item]), "f.json")
    assert report.valid == (report.resource is not None)
