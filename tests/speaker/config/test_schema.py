"""JSON Schemas of the resources, held to the reader: what is valid passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from speaker.config.documents import Document, parse_documents
from speaker.config.keys import KEYS
from speaker.config.kinds import Kind
from speaker.config.reading import read_document
from speaker.config.schema import schema_of, schema_of_all
from speaker.config.stored import Stored, stored
from tests.speaker.config.test_contract import CASES
from tests.support.resources import block, document, node, peer, settings

EVERYTHING: tuple[dict[str, Any], ...] = (
    peer(
        "tor",
        node="n1",
        peerIP="[fd00::1]:179",
        asNumber="1.10",
        localASNumber=65001,
        nextHopMode="Self",
        password={"secretKeyRef": {"name": "bgp", "key": "tor"}},
        sourceAddress="None",
        maxRestartTime="2m",
        keepaliveTime="1.5s",
        numAllowedLocalASNumbers=2,
        ttlSecurity=1,
        reachableBy="fd00::fe",
        filters=["f"],
        reversePeering="Manual",
        extensions={"wren.bgp/holdTime": 90, "wren.bgp/passive": True, "mine": "x"},
        failureDetectionMode="BFDIfDirectlyConnected",
        restartMode="LongLivedGracefulRestart",
        birdGatewayMode="DirectIfDirectlyConnected",
        externalNetwork="red",
    ),
    peer("rrs", nodeSelector="!has(rr)", peerSelector="has(rr)", node="", asNumber=0),
    peer("workloads", localWorkloadSelector="all()", asNumber=65001, peerIP=None),
    peer("old", peerIP="10.0.0.1", asNumber=1, keepOriginalNextHop=True),
    settings(
        logSeverityScreen="dEBUG",
        nodeToNodeMeshEnabled=True,
        nodeMeshPassword={"secretKeyRef": {"name": "bgp", "key": "mesh"}},
        nodeMeshMaxRestartTime="0",
        asNumber=64512,
        serviceClusterIPs=[{"cidr": "10.96.0.0/12"}],
        listenPort=179,
        bindMode="NodeIP",
        communities=[{"name": "c", "value": "65000:1"}],
        prefixAdvertisements=[{"cidr": "10.0.0.0/8", "communities": ["c", "1:2:3"]}],
        ignoredInterfaces=["eth*"],
        localWorkloadPeeringIPV4="169.254.1.1",
        programClusterRoutes="Disabled",
        ipv4NormalRoutePriority=100,
        annotations={"wren.bgp/policy": "plain"},
    ),
    node("n1", "10.0.0.1/24", "fd00::1/64", asn=65001, cluster_id="224.0.0.1", rack="1"),
    document("Node", "n2", {"orchRefs": [{"nodeName": "x"}], "wireguard": {}}),
    document("IPPool", "p", {"cidr": "10.0.0.0/16", "ipipMode": "Always", "vxlanMode": "Never"}),
    block("10.0.0.0/26", "n1"),
    document("CalicoNodeStatus", "s", {"node": "n1", "classes": ["BGP"], "updatePeriodSeconds": 0}),
    document("RPKICache", "c", {"address": "192.0.2.1"}),
    document("BFDConfiguration", "b", {"interfaces": [{"matchPattern": "eth*"}]}),
    document(
        "BFDConfiguration",
        "b",
        {
            "nodeSelector": "all()",
            "interfaces": [
                {
                    "matchPattern": "bond0",
                    "minimumRecvInterval": "50ms",
                    "minimumSendInterval": "50ms",
                    "idleSendInterval": "1s",
                    "multiplier": 3,
                }
            ],
        },
    ),
    document(
        "BGPFilter",
        "f",
        {
            "exportV4": [
                {
                    "action": "Accept",
                    "cidr": "10.0.0.0/8",
                    "matchOperator": "In",
                    "prefixLength": {"min": 9},
                    "operations": [{"setPriority": {"value": 5}}],
                },
                {"action": "Reject", "communities": {"values": ["65000:1"]}},
            ],
            "importV6": [{"action": "Accept", "peerType": "eBGP", "asPathPrefix": [1, "0.2"]}],
        },
    ),
    document(
        "RoutePolicy",
        "rp",
        {
            "exportV4": [
                {
                    "action": "Accept",
                    "asPathRegex": "^65000_",
                    "med": {"min": 1},
                    "nextHops": ["10.0.0.1", "fd00::/8"],
                    "operations": [
                        {"addCommunity": {"value": "65000:1"}},
                        {"removeCommunities": {"values": ["65000:*"]}},
                        {"setNextHop": {"value": "Self"}},
                        {"setNextHop": {"value": "10.0.0.1"}},
                        {"asOverride": {}},
                        {"removePrivateAS": {"mode": "All", "replaceAS": True}},
                    ],
                },
            ],
            "importV6": [
                {
                    "action": "Reject",
                    "communities": {"values": ["65000:*", "1:2:3"], "match": "All"},
                    "reason": "not from here",
                }
            ],
        },
    ),
    document(
        "CalicoNodeStatus",
        "s",
        {"node": "n1", "classes": ["Agent", "BGP", "Routes"], "updatePeriodSeconds": 10},
    ),
    document(
        "RPKICache",
        "c",
        {
            "address": "rpki.example.net",
            "port": 8282,
            "nodeSelector": "all()",
            "refreshInterval": "30m",
            "retryInterval": "1m",
            "expireInterval": "2h",
            "maxVRPs": 1000,
        },
    ),
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bgp"},
        "data": {"tor": "aHVudGVyMg=="},
        "stringData": {"mesh": "x"},
    },
)


def contract() -> Iterator[Stored]:
    """Give the valid documents of the contract, in v3's form."""
    for case in CASES:
        for item in parse_documents(case.text, case.name):
            if isinstance(item, Document) and read_document(item).valid:
                found = stored(item)
                assert found is not None
                yield found


def test_every_valid_document_of_the_contract_passes() -> None:
    validators = {kind: Draft202012Validator(schema_of(kind)) for kind in Kind}
    refused = [
        (resource.document.file, error.message)
        for resource in contract()
        for error in validators[resource.kind].iter_errors(resource.tree)
    ]
    assert refused == []
    assert {resource.kind for resource in contract()} == set(Kind)


def valid(tree: dict[str, Any]) -> bool:
    return read_document(Document("f", 0, tree, {})).valid


def errors(schema: dict[str, Any], tree: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(tree)]


@pytest.mark.parametrize("kind", Kind)
def test_it_is_a_schema_and_there_is_an_example(kind: Kind) -> None:
    Draft202012Validator.check_schema(schema_of(kind))
    assert any(tree["kind"] == kind for tree in EVERYTHING)


@pytest.mark.parametrize(
    "tree", EVERYTHING, ids=lambda tree: f"{tree['kind']}-{tree['metadata']['name']}"
)
def test_what_is_valid_passes(tree: dict[str, Any]) -> None:
    assert valid(tree)
    assert errors(schema_of(Kind(tree["kind"])), tree) == []
    assert errors(schema_of_all(), tree) == []


BROKEN: dict[str, dict[str, Any]] = {
    "an unknown field": peer("a", peerIp="10.0.0.1"),
    "a wrong type": peer("a", peerIP="10.0.0.1", ttlSecurity="1"),
    "a number too large": peer("a", peerIP="10.0.0.1", ttlSecurity=256),
    "an AS number too large": peer("a", peerIP="10.0.0.1", asNumber=2**32),
    "no word of it": peer("a", peerIP="10.0.0.1", asNumber=1, nextHopMode="self"),
    "a time without unit": peer("a", peerIP="10.0.0.1", asNumber=1, keepaliveTime="10"),
    "no key of ours": peer("a", peerIP="10.0.0.1", asNumber=1, extensions={"wren.bgp/hold": "9"}),
    "a key of another kind": settings(annotations={"wren.bgp/passive": "on"}),
    "node and selector": peer("a", peerIP="10.0.0.1", asNumber=1, node="a", nodeSelector="all()"),
    "address and selector": peer("a", peerIP="10.0.0.1", peerSelector="all()"),
    "workloads and address": peer("a", peerIP="10.0.0.1", localWorkloadSelector="x", asNumber=1),
    "workloads without AS": peer("a", localWorkloadSelector="all()"),
    "reachable nobody": peer("a", reachableBy="10.0.0.1"),
    "two next-hop fields": peer(
        "a", peerIP="10.0.0.1", asNumber=1, keepOriginalNextHop=True, nextHopMode="Self"
    ),
    "communities for nothing": settings(communities=[{"name": "a", "value": "1:2"}]),
    "a password for no mesh": settings(
        nodeToNodeMeshEnabled=False, nodeMeshPassword={"secretKeyRef": {"name": "a", "key": "b"}}
    ),
    "two encapsulations": document(
        "IPPool", "p", {"cidr": "10.0.0.0/16", "ipipMode": "Always", "vxlanMode": "Always"}
    ),
    "no CIDR": document("IPPool", "p", {}),
    "an empty bgp": document("Node", "n", {"bgp": {}}),
    "a deleted affinity": document(
        "BlockAffinity", "b", {"node": "n", "cidr": "10.0.0.0/26", "deleted": "true"}
    ),
    "a CIDR without operator": document(
        "BGPFilter", "f", {"exportV4": [{"action": "Accept", "cidr": "10.0.0.0/8"}]}
    ),
    "lengths of nothing": document(
        "BGPFilter", "f", {"exportV4": [{"action": "Accept", "prefixLength": {"min": 9}}]}
    ),
    "operations on what is rejected": document(
        "BGPFilter",
        "f",
        {"exportV4": [{"action": "Reject", "operations": [{"setPriority": {"value": 1}}]}]},
    ),
    "two operations in one": document(
        "BGPFilter",
        "f",
        {
            "exportV4": [
                {
                    "action": "Accept",
                    "operations": [{"setPriority": {"value": 1}, "addCommunity": {"value": "1:2"}}],
                }
            ]
        },
    ),
    "a name of no kind": node("Upper", "10.0.0.1"),
    "another version": {**node("n", "10.0.0.1"), "apiVersion": "v2"},
    "no name": {"apiVersion": "projectcalico.org/v3", "kind": "Node", "metadata": {}},
}


@pytest.mark.parametrize("why", BROKEN)
def test_what_breaks_a_rule_that_a_schema_can_say_does_not_pass(why: str) -> None:
    tree = BROKEN[why]
    assert not valid(tree)
    assert errors(schema_of(Kind(tree["kind"])), tree) != []
    assert errors(schema_of_all(), tree) != []


def test_a_kind_that_there_is_not_passes_nothing() -> None:
    assert errors(schema_of_all(), document("Deployment", "a", {})) != []


def test_our_own_keys_are_offered_with_what_they_do() -> None:
    text = json.dumps(schema_of_all(), ensure_ascii=False)
    for key in KEYS:
        assert json.dumps(f"{key.sentence} ({key.values})", ensure_ascii=False) in text
