"""Ranges from which peers are accepted: which AS and address is in one, and what its peers have."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.roles import Role
from speaker.config.as_ranges import (
    AS_TRANS,
    Relation,
    has_as,
    parse_as_ranges,
    settled,
    show_as_ranges,
)
from speaker.config.changes import changes
from speaker.config.listen_ranges import parse_listen_range, read_peer_limit
from speaker.config.plan import NextHopMode, Plan
from speaker.config.ranges import PeerRange, find_range
from speaker.config.scalars import ScalarError
from speaker.config.views import plan_json
from tests.support.resources import document, node, peer, plan, settings

A = node("a", "10.0.0.1/24", "fd00::1/64")
NO_MESH: dict[str, Any] = {"nodeToNodeMeshEnabled": False, "asNumber": 64512}
RACK = "10.1.0.0/24, fd00:1::/64"


def rack(name: str = "rack", *, keys: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    given = {"listenRange": RACK, **(keys or {})}
    if "asNumber" not in spec:
        given.setdefault("asRange", "64512-65000")
    return peer(name, extensions={f"wren.bgp/{k}": v for k, v in given.items()}, **spec)


def resolved(*documents: dict[str, Any], **spec: Any) -> Plan:
    return plan("a", A, settings(**{**NO_MESH, **spec}), *documents)


def only(found: Plan) -> PeerRange:
    [each] = found.ranges.values()
    return each


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("64512", ((64512, 64512),)),
        ("64512-65534, 4200000000-4294967294", ((64512, 65534), (4200000000, 4294967294))),
        ("65001,64512 - 65000", ((64512, 65001),)),
        ("10-20,15,1.0-1.10", ((10, 20), (65536, 65546))),
    ],
)
def test_as_numbers_and_ranges_are_read_in_any_order(
    text: str, meant: tuple[tuple[int, int], ...]
) -> None:
    assert parse_as_ranges(text) == meant
    assert parse_as_ranges(show_as_ranges(meant)) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no AS number, no range"),
        ("64512,", "no AS number, no range"),
        ("everybody", "nor internal"),
        ("external,64512", "no AS number"),
        ("65000-64512", "first AS number is above the last"),
        ("0", "AS 0 is reserved"),
        ("0-10", "AS 0 is reserved"),
        ("23456", "AS 23456 is nobody's (RFC 6793)"),
        ("1-65535", "write 1-23455,23457-65535"),
        ("1-4294967296", "no AS number"),
    ],
)
def test_as_ranges_that_make_no_sense_are_refused(text: str, why: str) -> None:
    with pytest.raises(ScalarError) as caught:
        parse_as_ranges(text)
    assert why in str(caught.value)


@given(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_external_is_every_as_but_ours_and_internal_is_ours_alone(ours: int, asn: int) -> None:
    assert has_as(settled(Relation.EXTERNAL, ours), asn) is (asn not in (ours, AS_TRANS))
    assert not has_as(settled(Relation.EXTERNAL, ours), ours)
    assert has_as(settled(Relation.INTERNAL, ours), asn) is (asn == ours)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no prefix"),
        ("10.1.0.1/24", "write 10.1.0.0/24"),
        ("10.1.0.1", "has no prefix length"),
        ("10.1.0.0/24,10.1.0.128/25", "overlaps with 10.1.0.0/24"),
        ("fd00::/64 fd00::/64", "overlaps with fd00::/64"),
        ("224.0.0.0/8", "is multicast"),
        ("here", "here"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(text: str, why: str) -> None:
    with pytest.raises(ScalarError) as caught:
        parse_listen_range(text)
    assert why in str(caught.value)


def test_a_limit_is_a_number_of_peers() -> None:
    assert read_peer_limit("250") == 250
    for text in ("0", "-1", "70000", "many"):
        with pytest.raises(ScalarError):
            read_peer_limit(text)


def test_a_peer_of_a_range_has_what_the_bgp_peer_says_and_its_own_as() -> None:
    spec: dict[str, Any] = {"ttlSecurity": 1, "nextHopMode": "Self", "localASNumber": 65000}
    found = only(resolved(rack(keys={"holdTime": "30", "maxDynamicPeers": "7"}, **spec)))
    assert (found.name, found.resource, found.limit) == ("Dynamic_rack", "rack", 7)
    made = found.plan_of("10.1.0.9", 64600)
    assert made is not None
    assert (made.name, made.range) == ("Dynamic_rack_10_1_0_9", "10.1.0.0/24")
    assert (made.address, made.peer_asn, made.local_asn) == ("10.1.0.9", 64600, 65000)
    assert made.passive
    assert made.families == (IPV4_UNICAST,)
    assert (made.ttl_security, made.next_hop_mode, made.hold_time) == (1, NextHopMode.SELF, 30)
    six = found.plan_of("fd00:1::9", 65000)
    assert six is not None
    assert six.is_internal
    assert six.families == (IPV6_UNICAST,)
    assert six.name == "Dynamic_rack_fd00_1__9"
    for address, asn in (("10.1.0.9", 65001), ("10.1.1.9", 64600), ("fd00:2::9", 64600)):
        assert found.plan_of(address, asn) is None


def test_without_another_word_there_may_be_a_hundred() -> None:
    assert only(resolved(rack())).limit == 100


def test_a_range_in_our_as_may_have_clients_and_one_in_others_a_role() -> None:
    reflector = node("a", "10.0.0.1/24", cluster_id="10.0.0.1")
    found = plan("a", reflector, settings(**NO_MESH), rack(keys={"asRange": "internal"}))
    made = only(found).plan_of("10.1.0.9", 64512)
    assert made is not None
    assert made.rr_client
    assert made.cluster_id is not None
    both = only(resolved(rack(keys={"role": "provider"})))
    outside, inside = both.plan_of("10.1.0.9", 64600), both.plan_of("10.1.0.9", 64512)
    assert outside is not None
    assert outside.role is Role.PROVIDER
    assert not outside.rr_client
    assert inside is not None
    assert inside.role is None


def test_a_range_is_for_the_nodes_that_its_bgp_peer_is_for() -> None:
    other = node("b", "10.0.0.2/24")
    assert not resolved(other, rack(node="b")).ranges
    assert resolved(other, rack(node="a")).ranges
    assert not resolved(other, rack(nodeSelector="has(x)")).ranges
    kinds = [each.kind.value for each in only(resolved(rack())).templates]
    assert set(kinds) == {"global"}


def test_the_longest_prefix_has_the_say_and_of_two_alike_the_first_by_name() -> None:
    narrow = rack("narrow", keys={"listenRange": "10.1.0.128/25"})
    found = resolved(rack("wide"), narrow, rack("zero", keys={"listenRange": "10.1.0.0/24"}))
    ranges = found.ranges.values()
    names = [
        each and each.resource
        for each in (find_range(ranges, a) for a in ("10.1.0.9", "10.1.0.200", "10.2.0.1"))
    ]
    assert names == ["wide", "narrow", None]
    [said] = found.conditions
    assert (said.resource, said.reason) == ("BGPPeer/zero", "DuplicatePeer")


def test_two_names_that_would_be_one_are_told_apart() -> None:
    found = resolved(rack("a-b"), rack("a.b", keys={"listenRange": "10.2.0.0/24"}))
    assert {name: each.resource for name, each in found.ranges.items()} == {
        "Dynamic_a_b": "a-b",
        "Dynamic_a_b_": "a.b",
    }
    made = found.ranges["Dynamic_a_b_"].plan_of("10.2.0.9", 64600)
    assert made is not None
    assert made.name == "Dynamic_a_b__10_2_0_9"


def test_a_family_without_an_address_of_ours_is_left_out_and_said() -> None:
    found = plan("a", node("a", "10.0.0.1/24"), settings(**NO_MESH), rack())
    assert only(found).networks == (ip_network("10.1.0.0/24"),)
    [said] = found.conditions
    assert (said.resource, said.reason) == ("BGPPeer/rack", "NoAddress")
    assert "fd00:1::/64" in said.message


def test_a_link_local_range_is_on_the_link_that_it_names() -> None:
    keys = {"listenRange": "fe80::/10", "interface": "eth0"}
    found = only(resolved(rack(keys=keys)))
    made = found.plan_of("fe80::9%eth0", 64600)
    assert made is not None
    assert (made.address, made.source_address) == ("fe80::9%eth0", None)
    assert found.plan_of("fe80::9%eth1", 64600) is None
    anywhere = only(resolved(rack(keys={"listenRange": "fe80::/10"})))
    assert anywhere.plan_of("fe80::9%eth1", 64600) is not None


def test_what_is_missing_for_the_peers_of_a_range_is_said_once() -> None:
    found = resolved(rack(filters=["gone"], password=KEY))
    assert [(each.resource, each.reason) for each in found.conditions] == [
        ("BGPPeer/rack", "NoPassword"),
        ("BGPPeer/rack", "UnknownFilter"),
    ]
    held = plan("a", A, settings(**NO_MESH), rack(password=KEY), strict_secrets=True)
    assert (held.ranges, held.held) == ({}, (("Dynamic_rack", "rack"),))


def test_peers_of_a_range_may_have_keys_of_tcp_ao() -> None:
    signed = rack(keys={"tcpAO": "1:2 bgp/rack, 3 bgp/gone"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bgp"}}
    found = resolved(signed, {**secret, "stringData": {"rack": "hush"}})
    assert [(each.resource, each.reason) for each in found.conditions] == [
        ("BGPPeer/rack", "NoKey")
    ]
    assert {
        [(key.send_id, key.receive_id) for key in made.tcp_ao] == [(1, 2)]
        for made in only(found).templates
    } == {True}
    held = resolved(signed)
    assert (held.ranges, held.held) == ({}, (("Dynamic_rack", "rack"),))


KEY = {"secretKeyRef": {"name": "bgp", "key": "rack"}}


def test_policy_that_asks_rpki_is_looked_at_for_ranges_too() -> None:
    rules = [{"action": "Reject", "rpki": "Invalid"}]
    policy = document("RoutePolicy", "strict", {"importV4": rules})
    found = resolved(policy, rack(filters=["strict"], keys={"listenRange": "10.1.0.0/24"}))
    assert [each.reason for each in found.conditions] == ["NoCache"]


def test_an_edit_of_a_range_is_told_in_words() -> None:
    none, some = resolved(), resolved(rack(keys={"asRange": "external"}))
    other = resolved(rack(keys={"asRange": "external", "holdTime": "30"}))
    fewer = resolved(rack(keys={"listenRange": "10.1.0.0/24"}, asNumber=64600))

    def told(old: Plan, new: Plan) -> list[str]:
        return [change.describe() for change in changes(old, new)]

    outside = "1-23455,23457-64511,64513-4294967295"
    assert told(none, some) == [
        f"accepts peers from {RACK} in AS {outside}, 100 at the most (BGPPeer/rack)"
    ]
    assert told(some, other) == ["accepts peers of BGPPeer/rack with other settings"]
    assert told(some, fewer) == [
        "accepts peers from 10.1.0.0/24 in AS 64600, 100 at the most (BGPPeer/rack)"
    ]
    assert told(some, none) == [f"accepts peers no longer from {RACK}"]
    assert told(some, some) == []


def test_ranges_are_shown_with_the_peers_that_there_may_be() -> None:
    [shown] = plan_json(resolved(rack()))["ranges"]
    assert shown["networks"] == ["10.1.0.0/24", "fd00:1::/64"]
    assert (shown["remoteAS"], shown["limit"]) == ("64512-65000", 100)
    assert [each["remoteAS"] == 64512 for each in shown["peers"]] == [False, True] * 2
