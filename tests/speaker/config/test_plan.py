"""The plan of a node beside its peers, and the options of peers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.calico import ClusterRoutes, Encap, Pool, PrefixCommunities
from policy.filters import Action
from policy.matching import MatchOperator
from policy.operations import AddCommunity, PrependAsPath, SetPriority
from policy.prefix import parse_prefix
from speaker.config.identity import hashed_router_id
from speaker.config.plan import (
    AddPathMode,
    GatewayMode,
    NextHopMode,
    Origination,
    OriginationKind,
    PeerPlan,
    PolicyMode,
    RestartMode,
    Severity,
    StaticRoute,
)
from speaker.config.views import plan_json
from speaker.errors import ConfigError
from tests.support.resources import block, document, node, peer, plan, settings

A = node("a", "10.0.0.1/24", "fd00::1/64")
TOR: dict[str, Any] = {"peerIP": "10.9.0.1", "asNumber": 65000}
PLAIN = settings(annotations={"wren.bgp/policy": "plain"})


def nlri(text: str) -> bytes:
    return parse_prefix(text)[1]


def tor(*others: Any, **spec: Any) -> PeerPlan:
    return plan("a", A, peer("tor", **{**TOR, **spec}), *others).peers["Global_10_9_0_1"]


# The node.


def test_an_unknown_node_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="there is no Node b; the resources define a"):
        plan("b", A)


def test_a_node_without_address_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no BGP address; set spec\.bgp"):
        plan("a", node("a"))


@pytest.mark.parametrize(
    ("own", "default", "asn"), [(None, None, 64512), (None, 65000, 65000), (65001, 65000, 65001)]
)
def test_the_effective_as(own: int | None, default: int | None, asn: int) -> None:
    configuration = settings(asNumber=default) if default else settings()
    assert plan("a", node("a", "10.0.0.1", asn=own), configuration).asn == asn


@pytest.mark.parametrize(
    ("name", "dotted"), [("Testrobin123", "207.94.5.27"), ("nodeTest", "109.174.215.226")]
)
def test_the_hashed_router_id(name: str, dotted: str) -> None:
    octets = hashed_router_id(name).to_bytes(4, "big")
    assert ".".join(map(str, octets)) == dotted


def test_the_router_id_is_the_ipv4_address_or_what_the_environment_says() -> None:
    assert plan("a", A).router_id == 10 << 24 | 1
    assert plan("a", A, router_id_env="").router_id == 10 << 24 | 1
    assert plan("a", A, router_id_env="1.2.3.4").router_id == 0x01020304
    assert plan("a", A, router_id_env="hash").router_id == hashed_router_id("a")
    with pytest.raises(ConfigError, match="CALICO_ROUTER_ID"):
        plan("a", A, router_id_env="node")


def test_a_node_without_ipv4_gets_the_hashed_router_id_and_a_warning() -> None:
    found = plan("a", node("a", None, "fd00::1"))
    assert found.router_id == hashed_router_id("a")
    assert [condition.reason for condition in found.conditions] == ["NoRouterID"]


def test_listening() -> None:
    assert plan("a", A).listen_port == 179
    assert plan("a", A).listen_addresses == ()
    own = settings("node.a", listenPort=1790)
    found = plan("a", A, settings(listenPort=180, bindMode="NodeIP"), own)
    assert (found.listen_port, found.listen_addresses) == (1790, ("10.0.0.1", "fd00::1"))


def test_settings_of_the_node_win_where_they_count() -> None:
    default = settings(logSeverityScreen="warning", ignoredInterfaces=["docker*"])
    assert plan("a", A).log_severity == Severity.INFO
    assert plan("a", A, default).log_severity == Severity.WARNING
    own = settings("node.a", logSeverityScreen="Debug", ignoredInterfaces=["eth0"])
    found = plan("a", A, default, own)
    assert found.log_severity == Severity.DEBUG
    assert found.ignored_interfaces == ("docker*",)


def test_a_configuration_of_another_name_is_ignored_and_told() -> None:
    found = plan("a", A, settings("cluster", asNumber=5))
    assert found.asn == 64512
    assert [condition.reason for condition in found.conditions] == ["Ignored"]


# Blocks.

BLOCKS = [
    block("10.1.0.0/26", "a"),
    block("10.1.0.64/26", "a", ""),
    block("10.1.0.128/26", "a", "pending"),
    block("10.1.0.192/26", "a", "pendingDeletion"),
    block("10.1.1.1/32", "a"),
    block("10.1.2.0/26", "b"),
    block("fd01::/122", "a"),
]


def test_blocks_are_aggregates_and_blackholes_by_their_state() -> None:
    found = plan("a", A, *BLOCKS)
    aggregates = ["10.1.0.0/26", "10.1.0.64/26", "10.1.1.1/32"]
    assert sorted(found.policies[IPV4_UNICAST].own_blocks) == sorted(map(nlri, aggregates))
    assert found.policies[IPV6_UNICAST].own_blocks == (nlri("fd01::/122"),)
    blackholes = {"10.1.0.0/26", "10.1.0.64/26", "10.1.0.192/26"}
    assert set(found.static_routes) == {
        *(StaticRoute(IPV4_UNICAST, nlri(text)) for text in blackholes),
        StaticRoute(IPV6_UNICAST, nlri("fd01::/122")),
    }
    assert {(item.nlri, item.kind) for item in found.originated} == {
        (route.nlri, OriginationKind.BLACKHOLE) for route in found.static_routes
    }


def test_plain_policy_announces_networks_and_single_address_blocks() -> None:
    annotations = {"wren.bgp/policy": "plain", "wren.bgp/networks": "10.7.0.0/16, fd07::/16"}
    found = plan("a", A, block("10.1.1.1/32", "a"), settings(annotations=annotations))
    assert found.mode is PolicyMode.PLAIN
    assert set(found.originated) == {
        Origination(IPV4_UNICAST, nlri("10.7.0.0/16"), OriginationKind.NETWORK),
        Origination(IPV4_UNICAST, nlri("10.1.1.1/32"), OriginationKind.NETWORK),
        Origination(IPV6_UNICAST, nlri("fd07::/16"), OriginationKind.NETWORK),
    }
    assert found.static_routes == ()


def test_networks_of_the_node_replace_those_of_the_cluster() -> None:
    own = settings("node.a", annotations={"wren.bgp/networks": "10.8.0.0/16"})
    default = settings(annotations={"wren.bgp/policy": "plain", "wren.bgp/networks": "10.7.0.0/16"})
    found = plan("a", A, default, own)
    assert found.mode is PolicyMode.PLAIN
    assert [item.nlri for item in found.originated] == [nlri("10.8.0.0/16")]


# Built-in policy.


def test_the_built_in_policy_is_collected_by_family() -> None:
    found = plan(
        "a",
        node("a", "10.0.0.1/24", "fd00::1/64", cluster_id="1.1.1.1"),
        document(
            "Node",
            "b",
            {
                "bgp": {"ipv4Address": "10.0.0.2/24"},
                "wireguard": {"interfaceIPv4Address": "10.2.2.2"},
            },
        ),
        document("IPPool", "p", {"cidr": "10.1.0.0/16", "ipipMode": "CrossSubnet"}),
        document("IPPool", "q", {"cidr": "fd01::/48", "disableBGPExport": True}),
        settings(programClusterRoutes="Disabled", ipv6NormalRoutePriority=512),
    )
    four, six = found.policies[IPV4_UNICAST], found.policies[IPV6_UNICAST]
    assert four.pools == (Pool(nlri("10.1.0.0/16"), ipip=Encap.CROSS_SUBNET),)
    assert six.pools == (Pool(nlri("fd01::/48"), bgp_export=False),)
    assert (four.normal_priority, six.normal_priority) == (1024, 512)
    assert (four.own_network, six.own_network) == (nlri("10.0.0.0/24"), nlri("fd00::/64"))
    assert four.cluster_routes is ClusterRoutes.DISABLED
    assert four.wireguard_peers == {bytes([10, 0, 0, 2])}
    assert (four.has_wireguard, four.is_reflector) == (False, True)


def test_prefix_communities_are_resolved_and_sorted() -> None:
    default = settings(
        communities=[{"name": "blue", "value": "65000:10"}],
        prefixAdvertisements=[
            {"cidr": "10.1.0.0/16", "communities": ["blue", "1:2:3", "65000:10"]},
            {"cidr": "fd01::/48", "communities": ["65000:1"]},
        ],
    )
    found = plan("a", A, default)
    assert found.policies[IPV4_UNICAST].prefix_communities == (
        PrefixCommunities(nlri("10.1.0.0/16"), ((1, 2, 3), 65000 << 16 | 10)),
    )
    own = settings("node.a", prefixAdvertisements=[{"cidr": "10.2.0.0/16", "communities": ["1:1"]}])
    found = plan("a", A, default, own)
    assert found.policies[IPV4_UNICAST].prefix_communities == (
        PrefixCommunities(nlri("10.2.0.0/16"), (1 << 16 | 1,)),
    )
    assert found.policies[IPV6_UNICAST].prefix_communities == ()


# Options of a peer.


def test_the_defaults_of_a_peer() -> None:
    found = tor()
    assert (found.local_asn, found.peer_asn, found.port) == (64512, 65000, 179)
    assert found.source_address == "10.0.0.1"
    assert (found.hold_time, found.keepalive_time) == (240, None)
    assert (found.connect_retry, found.connect_delay, found.idle_hold) == (5, 2, (5, 30))
    assert (found.restart_time, found.restart_mode) == (120, RestartMode.GRACEFUL)
    assert found.add_path is AddPathMode.BOTH
    assert (found.password, found.ttl_security, found.bfd) == (None, 0, False)
    assert found.gateway_mode is GatewayMode.RECURSIVE


def test_plain_policy_has_the_defaults_of_the_standard() -> None:
    found = tor(PLAIN)
    assert (found.hold_time, found.connect_delay) == (90, 0)
    assert found.add_path is AddPathMode.OFF


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        ({"localASNumber": 65009}, "local_asn", 65009),
        ({"sourceAddress": "None"}, "source_address", None),
        ({"numAllowedLocalASNumbers": 3}, "allow_local_as", 3),
        ({"numAllowedLocalASNumbers": -3}, "allow_local_as", 0),
        ({"ttlSecurity": 2}, "ttl_security", 2),
        ({"keepaliveTime": "9.5s"}, "keepalive_time", 10),
        ({"maxRestartTime": "90s"}, "restart_time", 90),
        ({"maxRestartTime": "2h"}, "restart_time", 4095),
        (
            {"maxRestartTime": "2h", "restartMode": "LongLivedGracefulRestart"},
            "restart_time",
            7200,
        ),
        ({"restartMode": "LongLivedGracefulRestart"}, "restart_time", 3600),
        ({"nextHopMode": "Self"}, "next_hop_mode", NextHopMode.SELF),
        ({"keepOriginalNextHop": True}, "next_hop_mode", NextHopMode.KEEP),
        ({"keepOriginalNextHop": True, "asNumber": 64512}, "next_hop_mode", NextHopMode.AUTO),
        ({"failureDetectionMode": "BFDIfDirectlyConnected"}, "bfd", True),
        (
            {"birdGatewayMode": "DirectIfDirectlyConnected"},
            "gateway_mode",
            GatewayMode.DIRECT,
        ),
        ({"extensions": {"wren.bgp/holdTime": "0"}}, "hold_time", 0),
        ({"extensions": {"wren.bgp/connectRetry": "1"}}, "connect_retry", 1),
        ({"extensions": {"wren.bgp/idleHold": "1,2"}}, "idle_hold", (1, 2)),
        ({"extensions": {"wren.bgp/addPath": "send"}}, "add_path", AddPathMode.SEND),
        ({"extensions": {"wren.bgp/gracefulRestart": "off"}}, "graceful_restart", False),
        ({"extensions": {"wren.bgp/passive": "on"}}, "passive", True),
    ],
    ids=str,
)
def test_an_option_of_a_peer(spec: dict[str, Any], field: str, value: object) -> None:
    assert getattr(tor(**spec), field) == value


def test_local_as_holds_only_where_the_peer_is_named_by_address() -> None:
    others = [A, node("b", "10.0.0.2", rr="")]
    item = peer("p", peerSelector="has(rr)", localASNumber=65009)
    assert plan("a", *others, item).peers["Global_10_0_0_2"].local_asn == 64512


def test_keys_in_annotations_count_and_extensions_win() -> None:
    item = document(
        "BGPPeer",
        "tor",
        {**TOR, "extensions": {"wren.bgp/holdTime": "30"}},
        annotations={"wren.bgp/holdTime": "60", "wren.bgp/connectRetry": "2"},
    )
    found = plan("a", A, item).peers["Global_10_9_0_1"]
    assert (found.hold_time, found.connect_retry) == (30, 2)


FILTER = document(
    "BGPFilter",
    "f",
    {
        "importV4": [
            {
                "action": "Accept",
                "cidr": "10.0.0.0/8",
                "matchOperator": "In",
                "prefixLength": {"min": 16},
                "operations": [
                    {"addCommunity": {"value": "1:2"}},
                    {"prependASPath": {"prefix": ["1.1", 2]}},
                    {"setPriority": {"value": 7}},
                ],
            },
            {"action": "Reject"},
        ],
        "exportV6": [{"action": "Reject", "communities": {"values": ["1:2:3"]}}],
    },
)


def test_filters_become_rules_of_the_families_of_the_session() -> None:
    found = tor(FILTER, filters=["f"])
    assert found.filters == ("f",)
    assert found.export_rules == ()
    ((family, (first, second)),) = found.import_rules
    assert family == IPV4_UNICAST
    assert (first.cidr, first.operator) == (nlri("10.0.0.0/8"), MatchOperator.IN)
    assert (first.min_length, first.max_length, first.has_prefix_length) == (16, None, True)
    assert first.operations == (
        AddCommunity(1 << 16 | 2),
        PrependAsPath((65537, 2)),
        SetPriority(7),
    )
    assert first.origin.startswith("bgpfilter/f importV4[0] (test.json:")
    assert second.action is Action.REJECT
    both = tor(FILTER, filters=["f"], extensions={"wren.bgp/families": "ipv4,ipv6"})
    ((family, (rule,)),) = both.export_rules
    assert (family, rule.community) == (IPV6_UNICAST, (1, 2, 3))


def test_a_filter_that_does_not_exist_is_skipped_and_told() -> None:
    found = plan("a", A, FILTER, peer("tor", **TOR, filters=["g", "f"]))
    assert found.peers["Global_10_9_0_1"].filters == ("f",)
    assert [condition.reason for condition in found.conditions] == ["UnknownFilter"]


def secret(value: str) -> dict[str, Any]:
    data = {"k": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


WITH_PASSWORD = peer("tor", **TOR, password={"secretKeyRef": {"name": "s", "key": "k"}})


def test_a_password_comes_from_the_secret_and_is_hidden() -> None:
    found = plan("a", A, WITH_PASSWORD, secret("hush"))
    password = found.peers["Global_10_9_0_1"].password
    assert password is not None
    assert password.reveal() == b"hush"
    assert "hush" not in repr(found)
    assert "hush" not in json.dumps(plan_json(found))


def test_a_missing_secret_means_no_password_and_an_error() -> None:
    found = plan("a", A, WITH_PASSWORD)
    assert found.peers["Global_10_9_0_1"].password is None
    assert [condition.reason for condition in found.conditions] == ["NoPassword"]


def test_a_password_that_is_too_long_skips_the_peer() -> None:
    found = plan("a", A, WITH_PASSWORD, secret("x" * 81))
    assert found.peers == {}
    assert [condition.reason for condition in found.conditions] == ["LongPassword"]


def test_the_mesh_has_its_own_password_and_restart_time() -> None:
    default = settings(
        nodeMeshPassword={"secretKeyRef": {"name": "s", "key": "k"}},
        nodeMeshMaxRestartTime="33s",
    )
    found = plan("a", A, node("b", "10.0.0.2"), default, secret("hush\n"))
    mesh = found.peers["Mesh_10_0_0_2"]
    assert mesh.password is not None
    assert mesh.restart_time == 33
    assert [condition.reason for condition in found.conditions] == ["PasswordNewline"]


def test_reachable_by_is_a_static_host_route_where_the_peering_is() -> None:
    item = peer("tor", node="a", **TOR, reachableBy="10.0.0.254")
    found = plan("a", A, node("b", "10.0.0.2"), item)
    assert found.static_routes == (StaticRoute(IPV4_UNICAST, nlri("10.9.0.1/32"), "10.0.0.254"),)
    assert plan("b", A, node("b", "10.0.0.2"), item).static_routes == ()


def test_the_plan_as_json() -> None:
    found = plan(
        "a",
        node("a", "10.0.0.1/24", cluster_id="224.0.0.1"),
        peer("tor", node="a", peerIP="10.9.0.1:180", asNumber=64512, reachableBy="10.0.0.254"),
        block("10.1.0.0/26", "a"),
    )
    assert plan_json(found) == {
        "node": "a",
        "asNumber": 64512,
        "routerID": "10.0.0.1",
        "listenPort": 179,
        "peers": [
            {
                "name": "Node_10_9_0_1_port_180",
                "address": "10.9.0.1",
                "port": 180,
                "family": "ipv4",
                "localAS": 64512,
                "remoteAS": 64512,
                "passive": False,
                "sourceAddress": "10.0.0.1",
                "rrClient": True,
                "clusterID": "224.0.0.1",
                "password": False,
                "ttlSecurity": 0,
                "allowLocalAS": 0,
                "nextHopMode": "Auto",
                "restartTime": 120,
                "restartMode": "GracefulRestart",
                "keepaliveTime": None,
                "bfd": False,
                "gatewayMode": "Recursive",
                "filters": [],
            }
        ],
        "blocks": ["10.1.0.0/26"],
        "staticRoutes": [
            {"prefix": "10.1.0.0/26", "type": "blackhole"},
            {"prefix": "10.9.0.1/32", "via": "10.0.0.254"},
        ],
    }
