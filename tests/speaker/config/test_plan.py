"""The plan of a node beside its peers, and the options of peers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from policy.as_path_regex import AsPathRegex
from policy.calico import ClusterRoutes, Encap, Pool, PrefixCommunities
from policy.communities import CommunityPattern
from policy.matching import MatchOperator
from policy.operations import (
    AddCommunity,
    AsOverride,
    Blackhole,
    NextHopWord,
    PrependAsPath,
    RemoveCommunities,
    RemovePrivateAs,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
)
from policy.prefix import parse_prefix, show
from policy.rules import Action, Direction
from policy.vrps import Validity
from speaker.config.caches import CachePlan
from speaker.config.filters import rules_of
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
    resolve,
)
from speaker.config.views import plan_json
from speaker.errors import ConfigError
from speaker.rpki.intervals import Wishes
from tests.support.resources import block, document, node, peer, plan, resources, settings

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


def test_each_route_of_our_own_says_which_resource_it_comes_from() -> None:
    node_network = settings("node.a", annotations={"wren.bgp/networks": "10.8.0.0/16"})
    default = settings(
        annotations={"wren.bgp/policy": "plain", "wren.bgp/networks": "10.7.0.0/16"},
        serviceClusterIPs=[{"cidr": "10.96.0.0/12"}],
        serviceExternalIPs=[{"cidr": "192.0.2.0/24"}],
        serviceLoadBalancerIPs=[{"cidr": "198.51.100.0/24"}],
    )
    behind = peer("far", peerIP="10.9.0.1", asNumber=65001, reachableBy="10.0.0.254")
    blocks = [block("10.1.0.0/26", "a"), block("10.1.1.1/32", "a")]
    found = plan("a", A, default, *blocks, behind)
    said = {show(item.family.afi, item.nlri): item.because for item in found.originated}
    assert said == {
        "10.1.0.0/26": "BlockAffinity/a-10-1-0-0-26",
        "10.1.1.1/32": "BlockAffinity/a-10-1-1-1-32",
        "10.7.0.0/16": "BGPConfiguration/default wren.bgp/networks",
        "10.96.0.0/12": "BGPConfiguration/default serviceClusterIPs",
        "192.0.2.0/24": "BGPConfiguration/default serviceExternalIPs",
        "198.51.100.0/24": "BGPConfiguration/default serviceLoadBalancerIPs",
    }
    assert {route.because for route in found.static_routes} == {
        "BlockAffinity/a-10-1-0-0-26",
        "BGPPeer/far reachableBy",
    }
    found = plan("a", A, default, node_network, cluster_ips_env="10.97.0.0/16")
    assert [item.because for item in found.originated][:2] == [
        "BGPConfiguration/node.a wren.bgp/networks",
        "CALICO_ADVERTISE_CLUSTER_IPS in the environment",
    ]


def test_a_rule_of_a_resource_that_is_in_no_file_is_named_without_one() -> None:
    chain = {"importV4": [{"action": "Accept"}]}
    [made] = resources(document("BGPFilter", "f", chain)).filters.values()
    [rule] = rules_of([made], Direction.IMPORT, Afi.IPV4, lambda *rule: "")
    assert rule.origin == "bgpfilter/f importV4[0]"


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
    assert (found.add_path, found.best_paths) == (AddPathMode.BOTH, None)
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
        ({"keepaliveTime": "400ms"}, "keepalive_time", None),
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
        ({"extensions": {"wren.bgp/addPath": "both 3"}}, "best_paths", 3),
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


def test_a_peer_of_an_external_network_has_its_table_or_is_left_out() -> None:
    networks = settings(annotations={"wren.bgp/externalNetworks": "blue=500"})
    own = settings("node.a", annotations={"wren.bgp/externalNetworks": "blue=501"})
    assert tor().table is None
    assert tor(networks, externalNetwork="blue").table == 500
    assert tor(networks, own, externalNetwork="blue").table == 501
    found = plan("a", A, networks, peer("tor", **TOR, externalNetwork="red"))
    assert found.peers == {}
    assert [(c.resource, c.reason) for c in found.conditions] == [("BGPPeer/tor", "UnknownNetwork")]


def test_how_long_a_restart_waits_is_said_for_the_cluster_or_a_node() -> None:
    cluster = settings(annotations={"wren.bgp/selectionDeferral": "30"})
    own = settings("node.a", annotations={"wren.bgp/selectionDeferral": "7.5"})
    said = [plan("a", A, *documents) for documents in ((), (cluster,), (cluster, own))]
    assert [each.selection_deferral for each in said] == [120.0, 30.0, 7.5]


def test_extensions_of_others_are_kept_and_shown() -> None:
    keys = {"wren.bgp/holdTime": "30", "vendor": "x y", "another.org/colour": "green"}
    found = tor(extensions=keys)
    assert found.extensions == (("another.org/colour", "green"), ("vendor", "x y"))
    shown = plan_json(plan("a", A, peer("tor", **TOR, extensions=keys)))["peers"][0]
    assert shown["extensions"] == {"another.org/colour": "green", "vendor": "x y"}


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


@pytest.mark.parametrize(
    ("address", "families", "told"),
    [
        ("fd31::2", "ipv4,ipv6", ""),
        ("fd31::2", "ipv4", ""),
        ("fd31::2", "ipv6", "does not carry ipv4"),
        ("10.9.0.1", "ipv4,ipv6", "over IPv4"),
    ],
)
def test_ipv6_next_hops_of_ipv4_routes_need_an_ipv6_session_that_carries_ipv4(
    address: str, families: str, told: str
) -> None:
    """RFC 8950 §4."""
    keys = {"wren.bgp/extendedNextHop": "on", "wren.bgp/families": families}
    found = plan(
        "r1",
        node("r1", "10.0.0.1/24", "fd31::1/64"),
        peer("p", peerIP=address, asNumber=65002, extensions=keys),
    )
    [planned] = found.peers.values()
    assert planned.extended_next_hop is not bool(told)
    assert [c.reason for c in found.conditions] == ["NoExtendedNextHop"] * bool(told)
    assert all(told in condition.message for condition in found.conditions)


@pytest.mark.parametrize(("asn", "warned"), [(65001, []), (65002, ["NotInternal"])])
def test_stale_routes_stay_unmarked_within_the_as(asn: int, warned: list[str]) -> None:
    """RFC 9494 §4.6: partial deployment is for internal peers."""
    found = plan(
        "r1",
        node("r1", "10.0.0.1/24", asn=65001),
        peer(
            "p",
            peerIP="10.9.0.1",
            asNumber=asn,
            extensions={"wren.bgp/llgrPartialDeployment": "on"},
        ),
    )
    [planned] = found.peers.values()
    assert planned.llgr_partial_deployment is not bool(warned)
    assert [condition.reason for condition in found.conditions] == warned


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
    assert (family, rule.communities) == (IPV6_UNICAST, ((1, 2, 3),))


REJECTS = {"wren.bgp/rejectInvalid": "on"}


def cache(name: str = "c", **spec: Any) -> dict[str, Any]:
    return document("RPKICache", name, {"address": "192.0.2.1", **spec})


def test_invalid_routes_are_rejected_before_any_filter_is_asked() -> None:
    found = tor(FILTER, cache(), filters=["f"], extensions=REJECTS)
    ((_, (first, *others)),) = found.import_rules
    assert (first.action, first.rpki) == (Action.REJECT, Validity.INVALID)
    assert len(others) == 2
    assert found.export_rules == ()


@pytest.mark.parametrize(
    ("cluster", "node_", "peer_", "asn", "rejects"),
    [
        ("", "", "", 65000, False),
        ("on", "", "", 65000, True),
        ("on", "off", "", 65000, False),
        ("on", "", "off", 65000, False),
        ("off", "", "on", 65000, True),
        ("on", "", "", 64512, False),
        ("on", "", "on", 64512, True),
    ],
)
def test_the_cluster_says_for_ebgp_whether_invalid_routes_are_rejected_and_a_peer_for_itself(
    cluster: str, node_: str, peer_: str, asn: int, rejects: bool
) -> None:
    key = "wren.bgp/rejectInvalid"
    found = tor(
        settings(annotations={key: cluster} if cluster else {}),
        settings("node.a", annotations={key: node_} if node_ else {}),
        cache(),
        asNumber=asn,
        extensions={key: peer_} if peer_ else {},
    )
    rules = [rule.rpki for _, chain in found.import_rules for rule in chain]
    assert rules == [Validity.INVALID] * rejects


def test_caches_are_for_the_nodes_that_their_selector_chooses() -> None:
    me = node("a", "10.0.0.1/24", edge="yes")
    there, elsewhere = cache("t", nodeSelector="has(edge)"), cache("e", nodeSelector="!has(edge)")
    spec = {"port": 8282, "refreshInterval": "90s", "expireInterval": "1h", "maxVRPs": 7}
    found = plan("a", me, there, elsewhere, cache("own", **spec))
    assert list(found.caches) == ["own", "t"]
    assert found.caches["t"] == CachePlan("t", "192.0.2.1", 323, Wishes())
    assert found.caches["own"] == CachePlan("own", "192.0.2.1", 8282, Wishes(90, None, 3600, 7))
    assert found.conditions == ()


def test_who_asks_what_rpki_says_without_any_cache_is_told() -> None:
    rules = [{"action": "Reject", "rpki": "Invalid"}]
    out = document("RoutePolicy", "out", {"exportV4": rules})
    for spec in ({"extensions": REJECTS}, {"filters": ["out"]}):
        found = plan("a", A, peer("tor", **{**TOR, **spec}), out)
        [condition] = found.conditions
        assert (condition.resource, condition.reason) == ("BGPPeer/tor", "NoCache")
        assert "every route is NotFound" in condition.message


def test_policies_and_filters_are_one_chain() -> None:
    rules = [{"action": "Reject", "peerType": "iBGP", "reason": "not from within"}]
    policy = document("RoutePolicy", "p", {"importV4": rules})
    found = tor(FILTER, policy, filters=["p", "f"])
    assert found.filters == ("p", "f")
    ((_, (first, *others)),) = found.import_rules
    assert first.origin.startswith("routepolicy/p importV4[0] (test.json:")
    assert (first.action, first.reason) == (Action.REJECT, "not from within")
    assert [rule.reason for rule in others] == ["", ""]


def test_peers_with_the_same_filters_have_the_very_same_rules() -> None:
    """So that a thousand rules are made, compared and compiled once for hundreds of peers."""
    found = plan(
        "r1",
        node("r1", "10.0.0.1/24", asn=64512),
        document("BGPFilter", "f", {"importV4": [{"action": "Reject"}]}),
        *(
            peer(f"p{n}", node="r1", peerIP=f"10.0.0.{n}", asNumber=65000 + n, filters=["f"])
            for n in (2, 3)
        ),
    )
    [[(_, one)], [(_, other)]] = [each.import_rules for each in found.peers.values()]
    assert one is other


def test_what_a_policy_says_becomes_rules() -> None:
    policy = document(
        "RoutePolicy",
        "p",
        {
            "importV4": [
                {
                    "action": "Accept",
                    "asPathRegex": "_65000_",
                    "communities": {"values": ["65000:*", "1:2"], "match": "All"},
                    "med": {"min": 5},
                    "localPreference": {"min": 1, "max": 9},
                    "nextHops": ["10.0.0.0/8", "fd00::1"],
                    "neighbors": ["10.9.0.1"],
                    "operations": [
                        {"removeCommunities": {"values": ["65000:*:1"]}},
                        {"setLocalPreference": {"value": 7}},
                        {"setMED": {"value": 8}},
                        {"setNextHop": {"value": "10.0.0.9"}},
                        {"setNextHop": {"value": "PeerAddress"}},
                        {"blackhole": {}},
                        {"addCommunity": {"value": "1:2"}},
                    ],
                }
            ],
            "exportV4": [
                {
                    "action": "Accept",
                    "operations": [
                        {"asOverride": {}},
                        {"removePrivateAS": {}},
                        {"removePrivateAS": {"mode": "All", "replaceAS": True}},
                    ],
                }
            ],
        },
    )
    found = tor(policy, filters=["p"])
    ((_, (rule,)),) = found.import_rules
    assert rule.as_path_regex == AsPathRegex("_65000_")
    assert rule.communities == (CommunityPattern((65000, None)), 1 << 16 | 2)
    assert rule.every_community
    assert (rule.med, rule.local_pref) == ((5, 2**32 - 1), (1, 9))
    assert rule.next_hops == ((4, nlri("10.0.0.0/8")), (16, nlri("fd00::1/128")))
    assert rule.neighbors == ((4, nlri("10.9.0.1/32")),)
    assert rule.operations == (
        RemoveCommunities((CommunityPattern((65000, None, 1)),)),
        SetLocalPref(7),
        SetMed(8),
        SetNextHop(bytes((10, 0, 0, 9))),
        SetNextHop(NextHopWord.PEER_ADDRESS),
        Blackhole(),
        AddCommunity(1 << 16 | 2),
    )
    ((_, (sent,)),) = found.export_rules
    assert sent.operations == (
        AsOverride(),
        RemovePrivateAs(),
        RemovePrivateAs(everywhere=True, replace=True),
    )


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


@pytest.mark.parametrize("strict", [False, True])
def test_an_empty_key_is_a_missing_one(strict: bool) -> None:
    """The system takes none, and would go on unsigned."""
    found = resolve(resources(A, WITH_PASSWORD, secret("")), "a", strict_secrets=strict)
    assert [peer.password for peer in found.peers.values()] == [None] * (not strict)
    [condition] = [each for each in found.conditions if each.reason == "NoPassword"]
    assert condition.message.startswith("key k of Secret s is empty; the session")


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
                "tcpAO": [],
                "ttlSecurity": 0,
                "allowLocalAS": 0,
                "nextHopMode": "Auto",
                "restartTime": 120,
                "restartMode": "GracefulRestart",
                "keepaliveTime": None,
                "bfd": False,
                "bfdHops": 0,
                "bfdTimers": "",
                "bfdAuth": False,
                "bfdStrict": False,
                "gatewayMode": "Recursive",
                "table": None,
                "filters": [],
                "extensions": {},
            }
        ],
        "blocks": ["10.1.0.0/26"],
        "staticRoutes": [
            {"prefix": "10.1.0.0/26", "type": "blackhole"},
            {"prefix": "10.9.0.1/32", "via": "10.0.0.254"},
        ],
        "serviceRanges": [],
        "ranges": [],
    }


# Pools.


@pytest.mark.parametrize(
    ("cidrs", "expected"),
    [
        (["10.0.0.0/16", "10.1.0.0/16", "fd00::/64"], []),
        (["10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/24"], ["p1", "p2"]),
        (["10.0.1.0/24", "10.0.0.0/16"], ["p0"]),
        (["10.0.0.0/16", "10.0.0.0/16"], ["p1"]),
        (["10.0.0.0/8", "10.0.0.0/26", "11.0.0.0/26"], ["p1"]),
        (["fd00::/48", "fd00:0:0:1::/64"], ["p1"]),
    ],
)
def test_pools_that_overlap_are_a_condition(cidrs: list[str], expected: list[str]) -> None:
    pools = [document("IPPool", f"p{number}", {"cidr": cidr}) for number, cidr in enumerate(cidrs)]
    found = plan("a", node("a", "10.200.0.1"), *pools).conditions
    assert [item.resource for item in found if item.reason == "PoolsOverlap"] == [
        f"IPPool/{name}" for name in expected
    ]
