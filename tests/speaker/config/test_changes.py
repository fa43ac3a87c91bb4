"""What an edit costs: per field, and per edit of resources."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.bfd import AuthType
from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.roles import Role
from policy.rules import Action, Rule
from speaker.config.add_path import AddPathMode
from speaker.config.bfd_keys import BfdAuthentication, BfdTimers
from speaker.config.changes import (
    ON_CHANGE,
    AddPeer,
    Change,
    KeepPeer,
    Rebalance,
    RefilterIn,
    RefilterOut,
    Regroup,
    RemovePeer,
    RenamePeer,
    ResetPeer,
    SetBfdTimers,
    SetCaches,
    SetDecision,
    SetDeferral,
    SetIdentity,
    SetIgnoredInterfaces,
    SetListen,
    SetLogSeverity,
    SetMode,
    SetOriginations,
    SetPolicy,
    SetResilience,
    SetStaticRoutes,
    UpdatePeer,
    changes,
    with_standing,
)
from speaker.config.key_values import AigpMode, BlackholeMode
from speaker.config.limits import PrefixLimit
from speaker.config.plan import (
    GatewayMode,
    NextHopMode,
    OnChange,
    PeerKind,
    PeerPlan,
    Plan,
    RestartMode,
    Secret,
)
from speaker.config.requirements import Requirement
from speaker.config.tcp_ao import Algorithm, MasterKey
from speaker.config.views import describe
from tests.support.resources import block, document, node, peer, plan, settings

A, B = node("a", "10.0.0.1/24"), node("b", "10.0.0.2/24")
TOR = {"peerIP": "10.9.0.1", "asNumber": 65000}
BASE = plan("a", A, B, peer("tor", **TOR))
NAME = "Global_10_9_0_1"
RULE = Rule(Action.REJECT)

USED: dict[str, Any] = {
    "password": Secret(b"used"),
    "tcp_ao": (MasterKey(2, 2, Algorithm.HMAC_SHA_1_96, Secret(b"used")),),
}
"""What has signed before."""

USED_SINCE = {"password": "password from its next session on", "tcp_ao": "TCP-AO at once"}

OTHER_VALUES: dict[str, Any] = {
    "name": NAME,
    "address": "10.9.0.2",
    "local_asn": 65001,
    "peer_asn": 65001,
    "families": (IPV4_UNICAST, IPV6_UNICAST),
    "kind": PeerKind.NODE,
    "resource": "tor2",
    "range": "10.1.0.0/24",
    "port": 1790,
    "passive": True,
    "source_address": None,
    "rr_client": True,
    "cluster_id": 5,
    "password": Secret(b"hush"),
    "tcp_ao": (MasterKey(1, 1, Algorithm.HMAC_SHA_1_96, Secret(b"hush")),),
    "ttl_security": 1,
    "allow_local_as": 1,
    "next_hop_mode": NextHopMode.SELF,
    "hold_time": 30,
    "keepalive_time": 10,
    "connect_retry": 1.0,
    "connect_delay": 1.0,
    "idle_hold": (1.0, 2.0),
    "send_hold_time": 99.0,
    "delay_open": 3.0,
    "restart_time": 60,
    "restart_mode": RestartMode.LONG_LIVED,
    "graceful_restart": False,
    "llgr_partial_deployment": True,
    "add_path": AddPathMode.OFF,
    "best_paths": 2,
    "enhanced_refresh": False,
    "extended_messages": True,
    "extended_next_hop": True,
    "role": Role.PEER,
    "strict_role": True,
    "fqdn": "a.example",
    "software_version": True,
    "weight": 3,
    "graceful_shutdown": True,
    "blackhole": BlackholeMode.HOSTS,
    "enforce_first_as": True,
    "as_sets": False,
    "aigp": AigpMode.ORIGINATE,
    "four_octet_as": False,
    "require": (Requirement.FAMILIES,),
    "max_prefixes": ((IPV4_UNICAST, PrefixLimit(1000)),),
    "max_prefixes_out": ((IPV4_UNICAST, PrefixLimit(1000)),),
    "bfd": True,
    "bfd_hops": 3,
    "bfd_timers": BfdTimers(send=0.5),
    "bfd_auth": BfdAuthentication(AuthType.KEYED_SHA1, ((1, Secret(b"hush")),)),
    "bfd_strict": 0.0,
    "bfd_lacks": "a key",
    "gateway_mode": GatewayMode.DIRECT,
    "table": 500,
    "extensions": (("colour", "green"),),
    "filters": ("f",),
    "import_rules": ((IPV4_UNICAST, (RULE,)),),
    "export_rules": ((IPV4_UNICAST, (RULE,)),),
}


def edited(field: str) -> Plan:
    """Give the base plan with one field of one peer changed."""
    return with_values(**{field: OTHER_VALUES[field]})


def with_values(**values: object) -> Plan:
    """Give the base plan with fields of one peer changed."""
    changed = replace(BASE.peers[NAME], **cast("dict[str, Any]", values))
    return replace(BASE, peers={**BASE.peers, NAME: changed})


def kinds(found: list[Change]) -> list[str]:
    return [type(change).__name__ for change in found]


def test_every_field_of_a_peer_says_what_its_change_costs() -> None:
    silent = [field.name for field in fields(PeerPlan) if "on_change" not in field.metadata]
    assert silent == []
    assert set(OTHER_VALUES) == set(ON_CHANGE)


@pytest.mark.parametrize("field", [name for name in ON_CHANGE if name != "name"])
def test_a_changed_field_costs_what_it_says(field: str) -> None:
    # The first password costs more than any later one.
    base = with_values(**{field: USED[field]}) if field in USED else BASE
    found = changes(base, edited(field))
    cost = ON_CHANGE[field]
    expected: list[str] = []
    if cost & OnChange.RESET:
        expected = ["ResetPeer"]
    else:
        for what, word in (
            (OnChange.REFILTER_IN, "RefilterIn"),
            (OnChange.REFILTER_OUT, "RefilterOut"),
            (OnChange.REGROUP, "Regroup"),
            (OnChange.REBALANCE, "Rebalance"),
        ):
            if cost & what:
                expected.append(word)
        expected = expected or ["UpdatePeer"]
    assert kinds(found) == expected
    for change in found:
        assert isinstance(
            change, ResetPeer | RefilterIn | RefilterOut | Regroup | Rebalance | UpdatePeer
        )
        assert (change.name, change.fields) == (NAME, (field,))
        assert change.plan == edited(field).peers[NAME]


def test_a_reset_says_why_and_hides_passwords() -> None:
    (change,) = changes(BASE, edited("peer_asn"))
    assert change.describe() == f"resets the session of {NAME}: peer AS 65000 → 65001"
    (change,) = changes(BASE, edited("password"))
    assert change.describe() == f"resets the session of {NAME}: password"


@pytest.mark.parametrize("field", USED)
def test_only_the_first_password_or_keys_cost_the_session(field: str) -> None:
    assert kinds(changes(BASE, edited(field))) == ["ResetPeer"]
    used = with_values(**{field: USED[field]})
    for other in (edited(field), BASE):
        (change,) = changes(used, other)
        assert change.describe() == f"{NAME} takes over {USED_SINCE[field]}; no reset"
    assert kinds(changes(used, with_values(**{field: USED[field]}))) == []


def test_a_reset_makes_gentler_changes_needless() -> None:
    changed = replace(BASE.peers[NAME], hold_time=30, import_rules=((IPV4_UNICAST, (RULE,)),))
    found = changes(BASE, replace(BASE, peers={**BASE.peers, NAME: changed}))
    assert kinds(found) == ["ResetPeer"]


def test_equal_plans_need_nothing() -> None:
    again = plan("a", A, B, peer("tor", **TOR))
    assert changes(BASE, again) == []


@given(st.sets(st.sampled_from(sorted(OTHER_VALUES))))
def test_no_plan_differs_from_itself_and_every_difference_is_found(names: set[str]) -> None:
    values = {name: OTHER_VALUES[name] for name in names}
    other = replace(BASE, peers={**BASE.peers, NAME: replace(BASE.peers[NAME], **values)})
    assert changes(other, other) == []
    assert bool(changes(BASE, other)) == (other != BASE)


def test_peers_come_and_go_without_touching_others() -> None:
    more = plan("a", A, B, peer("tor", **TOR), peer("q", peerIP="10.9.0.2", asNumber=1))
    assert changes(BASE, more) == [AddPeer(more.peers["Global_10_9_0_2"])]
    assert changes(more, BASE) == [RemovePeer("Global_10_9_0_2")]


def test_an_edited_filter_list_refilters_one_peer() -> None:
    rules = {"importV4": [{"action": "Reject"}], "exportV4": [{"action": "Reject"}]}
    item = document("BGPFilter", "f", rules)
    new = plan("a", A, B, item, peer("tor", **TOR, filters=["f"]))
    assert kinds(changes(BASE, new)) == ["RefilterIn", "RefilterOut", "UpdatePeer"]


def test_a_renamed_filter_with_equal_rules_refilters_nobody() -> None:
    rules = {"importV4": [{"action": "Reject"}]}
    old, new = (
        plan("a", A, document("BGPFilter", name, rules), peer("tor", **TOR, filters=[name]))
        for name in ("f", "g")
    )
    assert kinds(changes(old, new)) == ["UpdatePeer"]


def test_a_session_that_changes_its_origin_is_renamed_and_kept() -> None:
    old = plan("a", A, B)
    new = plan("a", A, B, peer("p", node="a", peerIP="10.0.0.2", asNumber=64512))
    found = changes(old, new)
    assert found[0] == RenamePeer("Mesh_10_0_0_2", new.peers["Node_10_0_0_2"])
    assert kinds(found) == ["RenamePeer", "UpdatePeer"]


def test_the_walk_from_mesh_to_reflectors_closes_no_session_that_both_have() -> None:
    selectors = [
        peer("peer-to-rrs", nodeSelector="!has(rr)", peerSelector="has(rr)"),
        peer("rrs-to-rrs", nodeSelector="has(rr)", peerSelector="has(rr)"),
    ]
    reflector = node("b", "10.0.0.2/24", cluster_id="1.1.1.1", rr="")
    for me in ("a", "b"):
        steps = [
            plan(me, A, B),
            plan(me, A, B, *selectors),
            plan(me, A, reflector, *selectors),
            plan(me, A, reflector, *selectors, settings(nodeToNodeMeshEnabled=False)),
        ]
        found = [change for before, after in pairwise(steps) for change in changes(before, after)]
        assert not any(isinstance(change, AddPeer | RemovePeer | ResetPeer) for change in found)


def test_reflectors_that_are_labelled_before_anybody_peers_with_them_are_not_cut_off() -> None:
    selectors = [
        peer("peer-to-rrs", nodeSelector="!has(rr)", peerSelector="has(rr)"),
        peer("rrs-to-rrs", nodeSelector="has(rr)", peerSelector="has(rr)"),
    ]
    reflector = node("b", "10.0.0.2/24", cluster_id="1.1.1.1", rr="")
    for me, other in (("a", "10_0_0_2"), ("b", "10_0_0_1")):
        wanted = [
            plan(me, A, B),
            plan(me, A, reflector),
            plan(me, A, reflector, *selectors),
            plan(me, A, reflector, *selectors, settings(nodeToNodeMeshEnabled=False)),
        ]
        assert [list(step.peers) for step in wanted] == [
            [f"Mesh_{other}"],
            [],
            [f"Node_{other}"],
            [f"Node_{other}"],
        ]
        steps = wanted[:1]
        for step in wanted[1:]:
            steps.append(with_standing(step, steps[-1], steps[-1].peers))
        found = [change for before, after in pairwise(steps) for change in changes(before, after)]
        assert KeepPeer(f"Mesh_{other}") in found
        assert not any(isinstance(change, AddPeer | RemovePeer | ResetPeer) for change in found)


def test_a_session_with_a_reflector_that_is_down_is_not_kept() -> None:
    reflector = plan("a", A, node("b", "10.0.0.2/24", cluster_id="1.1.1.1"))
    mesh = plan("a", A, B)
    assert with_standing(reflector, mesh, up=()) is reflector
    assert changes(mesh, reflector) == [RemovePeer("Mesh_10_0_0_2")]


def test_a_session_with_a_reflector_ends_with_the_mesh() -> None:
    reflector = node("b", "10.0.0.2/24", cluster_id="1.1.1.1")
    kept = with_standing(plan("a", A, reflector), plan("a", A, B), up=["Mesh_10_0_0_2"])
    off = plan("a", A, reflector, settings(nodeToNodeMeshEnabled=False))
    assert with_standing(off, kept, kept.peers) is off
    assert changes(kept, off) == [RemovePeer("Mesh_10_0_0_2")]


def test_a_new_router_id_resets_every_session() -> None:
    new = plan("a", A, B, peer("tor", **TOR), router_id_env="9.9.9.9")
    assert kinds(changes(BASE, new)) == ["SetIdentity", "ResetPeer", "ResetPeer"]


def test_a_new_as_of_the_node_resets_sessions() -> None:
    new = plan("a", node("a", "10.0.0.1/24", asn=65009), B, peer("tor", **TOR))
    found = changes(BASE, new)
    assert isinstance(found[0], SetIdentity)
    assert [change.name for change in found[1:] if isinstance(change, ResetPeer)] == [
        "Global_10_9_0_1",
        "Mesh_10_0_0_2",
    ]


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (settings("node.a", listenPort=1790), SetListen),
        (settings("node.a", logSeverityScreen="Debug"), SetLogSeverity),
        (settings("node.a", annotations={"wren.bgp/alwaysCompareMED": "on"}), SetDecision),
        (settings("node.a", annotations={"wren.bgp/resilientGroups": "128"}), SetResilience),
        (document("RPKICache", "c", {"address": "192.0.2.1"}), SetCaches),
        (settings("node.a", annotations={"wren.bgp/selectionDeferral": "9"}), SetDeferral),
        (document("BFDConfiguration", "b", {"interfaces": [{"multiplier": 3}]}), SetBfdTimers),
        (settings(ignoredInterfaces=["eth0"]), SetIgnoredInterfaces),
        (settings(ipv6NormalRoutePriority=5), SetPolicy),
        (document("IPPool", "p", {"cidr": "10.1.0.0/16"}), SetPolicy),
    ],
)
def test_an_edit_of_the_node_leaves_sessions_alone(edit: dict[str, Any], kind: type) -> None:
    new = plan("a", A, B, peer("tor", **TOR), edit)
    (change,) = changes(BASE, new)
    assert isinstance(change, kind)
    assert change.describe()


def test_caches_come_go_and_move_without_touching_a_session() -> None:
    def asking(*addresses: str, **spec: str) -> Plan:
        caches = [
            document("RPKICache", f"c{n}", {"address": address, **spec})
            for n, address in enumerate(addresses)
        ]
        return plan("a", A, B, *caches)

    named = "rpki.example.net"
    plans = [asking(), asking("192.0.2.1", "2001:db8::1"), asking(named)]
    plans += [asking(named, retryInterval="1m"), asking()]
    said = [change.describe() for old, new in pairwise(plans) for change in changes(old, new)]
    assert said == [
        "asks caches of RPKI: also c0 at 192.0.2.1:323, also c1 at [2001:db8::1]:323",
        (
            "asks caches of RPKI: c0 at rpki.example.net:323, no longer at 192.0.2.1:323,"
            " no longer c1"
        ),
        "asks caches of RPKI: c0 with other intervals or limits",
        "asks caches of RPKI: no longer c0",
    ]


def test_resilience_says_whether_routes_are_replaced() -> None:
    def keeping(text: str) -> Plan:
        return plan("a", A, B, settings(annotations={"wren.bgp/resilientGroups": text}))

    plans = [keeping(text) for text in ("off", "128", "128 idle 60", "256 idle 60", "off")]
    said = [change.describe() for old, new in pairwise(plans) for change in changes(old, new)]
    assert said == [
        "keeps flows by groups of 128 idle 120; replaces kernel routes in place",
        "keeps flows by groups of 128 idle 60; changes groups in place",
        "keeps flows by groups of 256 idle 60; replaces kernel routes in place",
        "keeps flows no more; replaces kernel routes in place",
    ]


def test_a_new_block_is_a_route_an_announcement_and_a_policy() -> None:
    new = plan("a", A, B, peer("tor", **TOR), block("10.1.0.0/26", "a"))
    found = changes(BASE, new)
    assert [type(change) for change in found] == [SetPolicy, SetStaticRoutes, SetOriginations]
    assert describe(found)[1:] == [
        "installs also 10.1.0.0/26 blackhole",
        "announces also 10.1.0.0/26",
    ]
    assert describe(changes(new, BASE))[2] == "announces no longer 10.1.0.0/26"


def test_another_policy_mode_changes_both_policies() -> None:
    new = plan(
        "a",
        A,
        B,
        peer("tor", **TOR),
        settings(annotations={"wren.bgp/policy": "plain"}),
    )
    found = changes(BASE, new)
    assert kinds(found)[:3] == ["SetMode", "SetPolicy", "SetPolicy"]
    assert isinstance(found[0], SetMode)
