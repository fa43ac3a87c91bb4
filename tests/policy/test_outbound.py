"""Routes as they leave: verdicts of a group, and attributes rewritten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.aigp import aigp_value
from policy.attributes import Attribute, PathAttributes, WellKnown, tlv, tlvs
from policy.calico import BuiltinPolicy, ExportReason, Pool
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import (
    AddCommunity,
    AsOverride,
    NextHopWord,
    Operation,
    PrependAsPath,
    RemoveCommunities,
    RemovePrivateAs,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
)
from policy.outbound import (
    GroupKey,
    NextHopMode,
    export_partition,
    rewrite_fully,
)
from policy.path import NextHop, Path, PeerType, Source, SourceKind
from policy.propagation import Withheld
from policy.rewriter import Rewriter, rewrite
from policy.roles import Role
from policy.rules import ACCEPTED, Action, Direction, Rule, Scope
from tests.support.routes import (
    EXTERNAL_PEER,
    INTERNAL_PEER,
    address,
    as_path,
    attribute,
    attributes,
    local,
    next_hop,
    nlri,
    peer,
    route,
    u32,
)

OWN = address("192.0.2.254")
EXTERNAL = GroupKey(IPV4_UNICAST, PeerType.EXTERNAL, 65000, OWN, router_id=77)
INTERNAL = replace(EXTERNAL, peer_type=PeerType.INTERNAL)
CLIENT = replace(INTERNAL, is_client=True, cluster_id=88)
EXTENDED = replace(EXTERNAL, local_address=address("2001:db8::254"), extended_next_hop=True)
EXTERNAL_6 = replace(EXTERNAL, family=IPV6_UNICAST, local_address=address("2001:db8::254"))
INTERNAL_6 = replace(EXTERNAL_6, peer_type=PeerType.INTERNAL)
CALICO = BuiltinPolicy(pools=(Pool(nlri("10.0.0.0/16")),))


def sent(path: Path, key: GroupKey, *operations: Operation) -> dict[int, bytes]:
    """Rewrite, and give the values by type."""
    return {code: value for _, code, value in tlvs(rewrite(path, key, operations).raw)}


class TestAsPath:
    """RFC 4271 §5.1.2."""

    def test_towards_external_peers_our_as_is_prepended(self) -> None:
        out = sent(route(path=[65001, 2]), EXTERNAL)
        assert out[Attribute.AS_PATH] == as_path([65000, 65001, 2])

    def test_towards_internal_peers_the_path_stays(self) -> None:
        assert sent(route(path=[65001]), INTERNAL)[Attribute.AS_PATH] == as_path([65001])

    def test_a_route_made_here_leaves_with_our_as_alone(self) -> None:
        assert sent(route(local(), path=[]), EXTERNAL)[Attribute.AS_PATH] == as_path([65000])
        assert sent(route(local(), path=[]), INTERNAL)[Attribute.AS_PATH] == b""

    def test_what_a_rule_prepends_stands_behind_our_as(self) -> None:
        out = sent(route(path=[65001]), EXTERNAL, PrependAsPath((7, 8)))
        assert out[Attribute.AS_PATH] == as_path([65000, 7, 8, 65001])

    def test_a_set_without_a_path_gets_one(self) -> None:
        bare = route(made=PathAttributes(attribute(1, b"\0"), OWN))
        assert sent(bare, EXTERNAL)[Attribute.AS_PATH] == as_path([65000])


class TestNextHop:
    """RFC 4271 §5.1.3, with every session counted as multihop."""

    LEARNED = route(next_hop="192.0.2.1")
    REFLECTED = route(peer(PeerType.INTERNAL, is_client=True), next_hop="192.0.2.1")
    STATIC = route(local(), next_hop="", via=next_hop(""))
    VIA = route(local(), next_hop="", via=next_hop("192.0.2.9"))

    @pytest.mark.parametrize(
        ("path", "key", "mode", "expected"),
        [
            (LEARNED, EXTERNAL, NextHopMode.AUTO, "192.0.2.254"),
            (LEARNED, EXTERNAL, NextHopMode.SELF, "192.0.2.254"),
            (LEARNED, EXTERNAL, NextHopMode.KEEP, "192.0.2.1"),
            (LEARNED, INTERNAL, NextHopMode.AUTO, "192.0.2.1"),
            (LEARNED, INTERNAL, NextHopMode.SELF, "192.0.2.254"),
            (LEARNED, INTERNAL, NextHopMode.KEEP, "192.0.2.1"),
            (REFLECTED, INTERNAL, NextHopMode.AUTO, "192.0.2.1"),
            (REFLECTED, INTERNAL, NextHopMode.SELF, "192.0.2.254"),
            (STATIC, INTERNAL, NextHopMode.AUTO, "192.0.2.254"),
            (STATIC, EXTERNAL, NextHopMode.KEEP, "192.0.2.254"),
            (VIA, INTERNAL, NextHopMode.AUTO, "192.0.2.9"),
            (VIA, INTERNAL, NextHopMode.SELF, "192.0.2.254"),
            (VIA, EXTERNAL, NextHopMode.AUTO, "192.0.2.254"),
        ],
    )
    def test_the_mode_decides(
        self, path: Path, key: GroupKey, mode: NextHopMode, expected: str
    ) -> None:
        out = rewrite(path, replace(key, next_hop_mode=mode))
        assert out.next_hop == address(expected)
        assert PathAttributes(out.raw).value(Attribute.NEXT_HOP) == address(expected)

    def test_ipv6_next_hops_stand_beside_the_octets(self) -> None:
        """They travel in MP_REACH_NLRI (RFC 4760 §3)."""
        path = route(next_hop="2001:db8::1")
        for key, expected in ((EXTERNAL_6, "2001:db8::254"), (INTERNAL_6, "2001:db8::1")):
            out = rewrite(path, key)
            assert out.next_hop == address(expected)
            assert PathAttributes(out.raw).value(Attribute.NEXT_HOP) is None

    def test_a_next_hop_attribute_of_an_ipv6_route_is_dropped(self) -> None:
        stray = PathAttributes(attributes().raw, address("2001:db8::1"))
        assert Attribute.NEXT_HOP not in sent(route(made=stray), EXTERNAL_6)

    def test_our_link_local_address_goes_with_our_own(self) -> None:
        """RFC 2545 §3."""
        key = replace(EXTERNAL_6, local_link_address=address("fe80::254"))
        path = route(next_hop="2001:db8::1", link_local="fe80::1")
        assert rewrite(path, key).link_local == address("fe80::254")
        assert rewrite(path, replace(key, peer_type=PeerType.INTERNAL)).link_local == b""

    def test_a_link_local_next_hop_is_not_passed_on(self) -> None:
        assert rewrite(route(next_hop="fe80::1"), INTERNAL_6).next_hop == address("2001:db8::254")

    def test_an_ipv4_route_goes_out_with_our_ipv6_address_where_that_was_agreed(self) -> None:
        """RFC 8950 §4: it stands in MP_REACH_NLRI, and there is no NEXT_HOP."""
        key = replace(EXTENDED, local_link_address=address("fe80::254"))
        out = rewrite(route(next_hop="192.0.2.1"), key)
        assert (out.next_hop, out.link_local) == (address("2001:db8::254"), address("fe80::254"))
        assert PathAttributes(out.raw).value(Attribute.NEXT_HOP) is None

    @pytest.mark.parametrize(
        ("next_hop", "expected"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("fe80::1", "2001:db8::254"),
            ("::", "2001:db8::254"),
        ],
    )
    def test_a_next_hop_that_is_kept_keeps_its_family(self, next_hop: str, expected: str) -> None:
        out = rewrite(
            route(next_hop=next_hop, link_local="fe80::2"),
            replace(EXTENDED, peer_type=PeerType.INTERNAL),
        )
        assert (out.next_hop, out.link_local) == (address(expected), b"")
        classic = PathAttributes(out.raw).value(Attribute.NEXT_HOP)
        assert classic == (out.next_hop if len(out.next_hop) == 4 else None)

    @pytest.mark.parametrize("mode", NextHopMode)
    @pytest.mark.parametrize("key", [EXTERNAL, INTERNAL])
    def test_a_peer_that_did_not_agree_gets_no_ipv6_next_hop(
        self, key: GroupKey, mode: NextHopMode
    ) -> None:
        path = route(next_hop="2001:db8::1", link_local="fe80::2")
        assert rewrite(path, replace(key, next_hop_mode=mode)).next_hop == OWN

    def test_without_an_address_of_ours_only_what_is_kept_is_told(self) -> None:
        key = replace(INTERNAL, local_address=b"")
        kept, lost = route(next_hop="192.0.2.1"), route(next_hop="2001:db8::1")
        assert rewrite(kept, key).next_hop == address("192.0.2.1")
        [(verdict, _)] = export_partition([nlri("10.0.0.0/8")], kept, key)
        assert verdict.accepted
        [(verdict, _)] = export_partition([nlri("10.0.0.0/8")], lost, key)
        assert (verdict.accepted, verdict.reason) == (False, Withheld.NO_NEXT_HOP)

    def test_a_gateway_of_the_other_family_is_not_used(self) -> None:
        path = route(local(), next_hop="", via=next_hop("2001:db8::9"))
        assert rewrite(path, INTERNAL).next_hop == OWN


class TestPreferences:
    """RFC 4271 §5.1.4, §5.1.5."""

    def test_a_learned_med_is_not_told_to_external_peers(self) -> None:
        assert Attribute.MULTI_EXIT_DISC not in sent(route(med=5), EXTERNAL)

    def test_a_cleared_med_may_be_kept_as_zero(self) -> None:
        key = replace(EXTERNAL, keeps_cleared_med=True)
        assert sent(route(med=5), key)[Attribute.MULTI_EXIT_DISC] == u32(0)
        assert Attribute.MULTI_EXIT_DISC not in sent(route(), key)

    def test_a_med_stays_within_the_as(self) -> None:
        assert sent(route(med=5), INTERNAL)[Attribute.MULTI_EXIT_DISC] == u32(5)

    def test_a_med_of_our_own_is_told_to_external_peers(self) -> None:
        assert sent(route(local(), med=5), EXTERNAL)[Attribute.MULTI_EXIT_DISC] == u32(5)

    def test_local_pref_is_never_told_to_external_peers(self) -> None:
        path = route(local_pref=200)
        assert Attribute.LOCAL_PREF not in sent(path, EXTERNAL)
        assert Attribute.LOCAL_PREF not in sent(path, EXTERNAL, SetPriority(9))

    @pytest.mark.parametrize(
        ("path", "builtin", "expected"),
        [
            (route(), None, 100),
            (route(local_pref=200), None, 200),
            (route(local()), None, 100),
            (route(), CALICO, 100),
            (route(local_pref=200), CALICO, 200),
            (route(local()), CALICO, 2147482623),
            (route(local(), metric=5), CALICO, 2147483642),
        ],
    )
    def test_local_pref_is_always_told_to_internal_peers(
        self, path: Path, builtin: BuiltinPolicy | None, expected: int
    ) -> None:
        out = sent(path, replace(INTERNAL, builtin=builtin))
        assert out[Attribute.LOCAL_PREF] == u32(expected)

    def test_a_rule_s_priority_stands(self) -> None:
        out = sent(route(local(), metric=5), replace(INTERNAL, builtin=CALICO), SetPriority(9))
        assert out[Attribute.LOCAL_PREF] == u32(2147483638)


class TestReflection:
    """RFC 4456 §8."""

    def test_reflecting_adds_originator_and_cluster(self) -> None:
        out = sent(route(INTERNAL_PEER), CLIENT)
        assert out[Attribute.ORIGINATOR_ID] == u32(INTERNAL_PEER.router_id)
        assert out[Attribute.CLUSTER_LIST] == u32(88)

    def test_reflecting_keeps_the_originator_and_prepends_the_cluster(self) -> None:
        out = sent(route(INTERNAL_PEER, originator_id=5, clusters=[6, 7]), CLIENT)
        assert out[Attribute.ORIGINATOR_ID] == u32(5)
        assert out[Attribute.CLUSTER_LIST] == u32(88, 6, 7)

    def test_without_a_cluster_id_the_router_id_stands_for_it(self) -> None:
        out = sent(route(INTERNAL_PEER), replace(CLIENT, cluster_id=0))
        assert out[Attribute.CLUSTER_LIST] == u32(77)

    def test_the_attributes_stand_in_ascending_order(self) -> None:
        extended = attribute(Attribute.EXTENDED_COMMUNITIES, bytes(8))
        path = route(INTERNAL_PEER, communities=[1], more=extended)
        assert Rewriter(CLIENT).shortly(path) is not None
        codes = [code for _, code, _ in tlvs(rewrite(path, CLIENT).raw)]
        assert codes == [1, 2, 3, 5, 8, 9, 10, 16]

    @pytest.mark.parametrize("source", [EXTERNAL_PEER, local()])
    def test_what_did_not_come_from_an_internal_peer_is_not_reflected(self, source: Source) -> None:
        out = sent(route(source, originator_id=5, clusters=[6]), CLIENT)
        assert not out.keys() & {Attribute.ORIGINATOR_ID, Attribute.CLUSTER_LIST}

    def test_external_peers_hear_nothing_of_reflection(self) -> None:
        out = sent(route(INTERNAL_PEER, originator_id=5, clusters=[6]), EXTERNAL)
        assert not out.keys() & {Attribute.ORIGINATOR_ID, Attribute.CLUSTER_LIST}


class TestOtherAttributes:
    """RFC 4271 §5, §9."""

    def test_unknown_transitive_attributes_pass_with_the_partial_bit(self) -> None:
        path = route(more=tlv(0xC0, 99, b"x"))
        assert rewrite(path, EXTERNAL).raw.endswith(tlv(0xE0, 99, b"x"))

    def test_unknown_non_transitive_attributes_are_dropped(self) -> None:
        assert 99 not in sent(route(more=tlv(0x80, 99, b"x")), EXTERNAL)

    @pytest.mark.parametrize(
        "code",
        [
            Attribute.AS4_PATH,
            Attribute.AS4_AGGREGATOR,
            Attribute.MP_REACH_NLRI,
            Attribute.MP_UNREACH_NLRI,
        ],
    )
    def test_what_belongs_to_one_session_only_is_dropped(self, code: int) -> None:
        assert code not in sent(route(more=attribute(code, b"x")), INTERNAL)

    @pytest.mark.parametrize(
        ("code", "size"),
        [(Attribute.EXTENDED_COMMUNITIES, 8), (Attribute.IPV6_EXTENDED_COMMUNITIES, 20)],
    )
    def test_extended_communities_of_the_as_stay_inside_it(self, code: int, size: int) -> None:
        """RFC 4360 §6, RFC 5701 §2."""
        crossing, staying = bytes(size), b"\x40" + bytes(size - 1)
        both = route(more=attribute(code, staying + crossing))
        assert sent(both, EXTERNAL)[code] == crossing
        assert sent(both, INTERNAL)[code] == staying + crossing
        assert code not in sent(route(more=attribute(code, staying)), EXTERNAL)
        assert sent(route(more=attribute(code, crossing)), EXTERNAL)[code] == crossing


class TestMetric:
    """RFC 7311 §3.3, §3.4.3."""

    FAR = route(more=attribute(Attribute.AIGP, b"\3\0\3" + aigp_value(5)), via=next_hop(cost=10))

    def test_it_stays_where_the_next_hop_stays(self) -> None:
        assert sent(self.FAR, INTERNAL)[Attribute.AIGP] == b"\3\0\3" + aigp_value(5)

    def test_it_grows_where_we_become_the_next_hop(self) -> None:
        us = replace(INTERNAL, next_hop_mode=NextHopMode.SELF)
        assert sent(self.FAR, us)[Attribute.AIGP] == b"\3\0\3" + aigp_value(15)

    def test_a_route_made_here_gets_one_where_that_is_asked_for(self) -> None:
        """RFC 7311 §3.4.1: and where we are its next hop."""
        giving = replace(INTERNAL, originates_aigp=True)
        ours = route(local(SourceKind.KERNEL), path=[], via=next_hop(""), metric=20)
        assert sent(ours, giving)[Attribute.AIGP] == aigp_value(20)
        assert Attribute.AIGP not in sent(ours, INTERNAL)
        announced = route(local(), path=[], via=next_hop(""))
        assert sent(announced, giving)[Attribute.AIGP] == aigp_value(0)
        elsewhere = route(local(), path=[], via=next_hop("192.0.2.77"))
        assert Attribute.AIGP not in sent(elsewhere, giving)
        assert Attribute.AIGP not in sent(route(), giving)

    def test_it_goes_to_external_peers_by_configuration_alone(self) -> None:
        assert Attribute.AIGP not in sent(self.FAR, EXTERNAL)
        assert Attribute.AIGP in sent(self.FAR, replace(EXTERNAL, aigp=True))
        assert Attribute.AIGP not in sent(self.FAR, replace(INTERNAL, aigp=False))


class TestRoles:
    """RFC 9234 §5, on the way out."""

    OTC = Attribute.ONLY_TO_CUSTOMER

    @pytest.mark.parametrize("role", Role)
    def test_what_goes_down_or_across_is_marked(self, role: Role) -> None:
        out = sent(route(), replace(EXTERNAL, role=role))
        marked = role in (Role.PROVIDER, Role.PEER, Role.ROUTE_SERVER)
        assert out.get(self.OTC) == (u32(65000) if marked else None)

    def test_a_mark_of_another_stays(self) -> None:
        path = route(more=attribute(self.OTC, u32(7)))
        assert sent(path, replace(EXTERNAL, role=Role.PROVIDER))[self.OTC] == u32(7)
        assert sent(path, EXTERNAL)[self.OTC] == u32(7)

    @pytest.mark.parametrize("role", Role)
    def test_what_is_for_customers_goes_to_no_one_else(self, role: Role) -> None:
        path = route(more=attribute(self.OTC, u32(7)))
        [(verdict, _)] = export_partition([nlri("10.0.0.0/8")], path, replace(EXTERNAL, role=role))
        to_customer = role in (Role.PROVIDER, Role.ROUTE_SERVER)
        assert (verdict.reason != Withheld.ONLY_TO_CUSTOMER) is verdict.accepted is to_customer

    def test_communities_pass_and_may_be_added(self) -> None:
        path = route(communities=[5], large=[(1, 2, 3)])
        out = sent(path, EXTERNAL, AddCommunity(3))
        assert out[Attribute.COMMUNITIES] == u32(3, 5)
        assert out[Attribute.LARGE_COMMUNITIES] == u32(1, 2, 3)
        assert sent(path, EXTERNAL)[Attribute.COMMUNITIES] == u32(5)


class TestTwoOctetAs:
    """RFC 6793 §4.2.2."""

    NARROW = replace(EXTERNAL, four_octet_as=False)

    def test_numbers_that_fit_are_sent_in_two_octets_alone(self) -> None:
        aggregator = attribute(Attribute.AGGREGATOR, u32(65001) + b"abcd")
        out = sent(route(path=[65001], more=aggregator), self.NARROW)
        assert out[Attribute.AS_PATH] == b"\x02\x02" + bytes.fromhex("fde8 fde9")
        assert out[Attribute.AGGREGATOR] == bytes.fromhex("fde9") + b"abcd"
        assert not out.keys() & {Attribute.AS4_PATH, Attribute.AS4_AGGREGATOR}

    def test_numbers_that_do_not_fit_are_sent_besides(self) -> None:
        aggregator = attribute(Attribute.AGGREGATOR, u32(70000) + b"abcd")
        out = sent(route(path=as_path([70000], {70001, 2}), more=aggregator), self.NARROW)
        members = b"".join(number.to_bytes(2, "big") for number in (23456, 2))
        assert out[Attribute.AS_PATH] in (
            b"\x02\x02" + bytes.fromhex("fde8 5ba0") + b"\x01\x02" + members,
            b"\x02\x02" + bytes.fromhex("fde8 5ba0") + b"\x01\x02" + members[2:] + members[:2],
        )
        assert out[Attribute.AS4_PATH] == as_path([65000, 70000], {70001, 2})
        assert out[Attribute.AGGREGATOR] == bytes.fromhex("5ba0") + b"abcd"
        assert out[Attribute.AS4_AGGREGATOR] == u32(70000) + b"abcd"

    def test_our_own_number_may_be_the_one_that_does_not_fit(self) -> None:
        out = sent(route(path=[1]), replace(self.NARROW, local_asn=70000))
        assert out[Attribute.AS_PATH] == b"\x02\x02" + bytes.fromhex("5ba0 0001")
        assert out[Attribute.AS4_PATH] == as_path([70000, 1])

    def test_confederations_do_not_stand_in_as4_path(self) -> None:
        """RFC 6793 §3."""
        value = b"\x03\x01" + u32(64512) + as_path([70000])
        out = sent(route(path=value), replace(self.NARROW, peer_type=PeerType.INTERNAL))
        assert out[Attribute.AS_PATH] == bytes.fromhex("0301 fc00 0201 5ba0")
        assert out[Attribute.AS4_PATH] == as_path([70000])


MEMBERS, BEYOND = b"\x03\x02" + u32(64512, 64514), as_path([70001])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (MEMBERS + BEYOND, as_path([65000, 70001])),
        (b"\x04\x01" + u32(64513) + MEMBERS + BEYOND, as_path([65000, 70001])),
        (as_path([70000]) + MEMBERS + BEYOND, as_path([65000, 70000]) + BEYOND),
        (MEMBERS, as_path([65000])),
    ],
)
def test_the_members_of_a_confederation_are_not_told_to_external_peers(
    value: bytes, told: bytes
) -> None:
    """RFC 5065 §4.1: they would have to treat the route as withdrawn (§5)."""
    found = route(path=value, source=INTERNAL_PEER)
    assert sent(found, EXTERNAL)[Attribute.AS_PATH] == told
    assert sent(found, INTERNAL)[Attribute.AS_PATH] == value


class TestLongLivedStale:
    """RFC 9494 §4.6."""

    DEMOTED = replace(INTERNAL, demotes_stale=True)
    STALE = route(communities=[1, WellKnown.LLGR_STALE], local_pref=300)

    def test_for_an_internal_peer_that_does_not_know_it_becomes_a_last_choice(self) -> None:
        out = sent(self.STALE, self.DEMOTED)
        assert out[Attribute.LOCAL_PREF] == u32(0)
        every = (1, WellKnown.LLGR_STALE, WellKnown.NO_EXPORT)
        assert out[Attribute.COMMUNITIES] == b"".join(map(u32, every))

    def test_for_all_others_it_stays_what_it_is(self) -> None:
        out = sent(self.STALE, INTERNAL)
        assert out[Attribute.LOCAL_PREF] == u32(300)
        assert out[Attribute.COMMUNITIES] == u32(1) + u32(WellKnown.LLGR_STALE)

    def test_a_fresh_route_is_no_last_choice(self) -> None:
        fresh = route(communities=[1], local_pref=300)
        assert sent(fresh, self.DEMOTED) == sent(fresh, INTERNAL)

    @pytest.mark.parametrize("operation", [SetLocalPref(7), SetPriority(7)])
    def test_no_rule_lifts_it(self, operation: Operation) -> None:
        assert sent(self.STALE, self.DEMOTED, operation)[Attribute.LOCAL_PREF] == u32(0)

    def test_no_rule_takes_the_mark_off_that_keeps_it_inside(self) -> None:
        out = sent(self.STALE, self.DEMOTED, RemoveCommunities((int(WellKnown.NO_EXPORT),)))
        assert u32(WellKnown.NO_EXPORT) in out[Attribute.COMMUNITIES]


NUMBERS = st.integers(1, 0xFFFFFFFF)
TAILS = st.sampled_from(
    [
        b"",
        attribute(Attribute.ATOMIC_AGGREGATE, b""),
        attribute(Attribute.AGGREGATOR, bytes(8)),
        attribute(Attribute.EXTENDED_COMMUNITIES, bytes(8)),
        attribute(Attribute.COMMUNITIES, bytes(256)),
        attribute(Attribute.AIGP, bytes(11)),
        attribute(Attribute.ONLY_TO_CUSTOMER, u32(1)),
        attribute(Attribute.COMMUNITIES, u32(1)) + attribute(Attribute.ATOMIC_AGGREGATE, b""),
        tlv(0xC0, 99, b"x"),
        tlv(0x80, 99, b"x"),
        tlv(0xE0, Attribute.COMMUNITIES, u32(1)),
        attribute(Attribute.LOCAL_PREF, u32(3)),
        bytes((0xD0, 8, 0, 4)) + u32(1),
    ]
)
PATHS = st.builds(
    route,
    st.sampled_from([EXTERNAL_PEER, INTERNAL_PEER, local()]),
    via=st.sampled_from([next_hop(), next_hop(""), next_hop("2001:db8::9")]),
    metric=st.none() | st.just(7),
    path=st.lists(NUMBERS, max_size=60) | st.just(as_path([7] * 255)) | st.just(as_path([1], {2})),
    origin=st.integers(0, 2),
    next_hop=st.sampled_from(["192.0.2.1", "2001:db8::1", "fe80::1", ""]),
    med=st.none() | st.integers(0, 0xFFFFFFFF),
    local_pref=st.none() | NUMBERS,
    communities=st.lists(NUMBERS | st.just(int(WellKnown.LLGR_STALE)), max_size=3),
    originator_id=st.none() | st.none() | NUMBERS,
    large=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=2),
    more=TAILS,
)
KEYS = st.builds(
    replace,
    st.sampled_from([EXTERNAL, INTERNAL, CLIENT, EXTERNAL_6, INTERNAL_6, EXTENDED]),
    next_hop_mode=st.sampled_from(NextHopMode),
    keeps_cleared_med=st.booleans(),
    local_asn=NUMBERS,
    cluster_id=st.integers(0, 2),
    builtin=st.sampled_from([None, CALICO]),
    demotes_stale=st.booleans(),
)


@given(PATHS, KEYS)
def test_the_short_way_agrees_with_the_editor(path: Path, key: GroupKey) -> None:
    short = Rewriter(key).shortly(path)
    assert short is None or short == rewrite_fully(path, key)
    assert rewrite(path, key) == rewrite_fully(path, key)


@pytest.mark.parametrize("key", [EXTERNAL, INTERNAL, CLIENT, EXTERNAL_6, EXTENDED])
@pytest.mark.parametrize(
    "path",
    [
        route(med=1, communities=[1]),
        route(INTERNAL_PEER, local_pref=5),
        route(local()),
        # FRR sets Extended Length in AS_PATH whatever its size.
        route(
            made=PathAttributes(attribute(1, b"\0") + bytes((0x50, 2, 0, 6)) + as_path([7]), OWN)
        ),
    ],
)
def test_usual_attributes_go_the_short_way(path: Path, key: GroupKey) -> None:
    assert Rewriter(key).shortly(path) == rewrite_fully(path, key)


@given(PATHS, KEYS, st.booleans())
def test_types_ascend_and_each_stands_once(path: Path, key: GroupKey, four: bool) -> None:
    """RFC 4271 §5."""
    raw = rewrite(path, replace(key, four_octet_as=four)).raw
    codes = [code for _, code, _ in tlvs(raw)]
    assert codes == sorted(set(codes))


class TestExportPartition:
    """The protocol, then the filter, then the built-in policy."""

    INSIDE, OUTSIDE = nlri("10.0.1.0/26"), nlri("192.0.2.0/24")
    BOTH = (INSIDE, OUTSIDE)

    def decided(self, path: Path, **changes: Any) -> list[tuple[bool, str, list[bytes]]]:
        parts = export_partition(list(self.BOTH), path, replace(EXTERNAL, **changes))
        return [(verdict.accepted, verdict.reason, some) for verdict, some in parts]

    def test_plain_bgp_lets_out_all_that_the_protocol_does(self) -> None:
        prefixes = list(self.BOTH)
        [(verdict, some)] = export_partition(prefixes, route(), EXTERNAL)
        assert verdict is ACCEPTED
        assert some is prefixes

    def test_the_protocol_comes_before_any_filter(self) -> None:
        path = route(communities=[WellKnown.NO_EXPORT])
        chain = Filter([Rule(Action.ACCEPT)])
        assert self.decided(path, export_filter=chain) == [
            (False, Withheld.NO_EXPORT, list(self.BOTH))
        ]

    def test_what_no_rule_decides_is_for_the_built_in_policy(self) -> None:
        assert self.decided(route(), builtin=CALICO) == [
            (True, ExportReason.POOL, [self.INSIDE]),
            (False, ExportReason.NOT_OURS, [self.OUTSIDE]),
        ]
        chain = Filter(
            [Rule(Action.REJECT, cidr=self.INSIDE, operator=MatchOperator.EQUAL, origin="rule")]
        )
        assert self.decided(route(), builtin=CALICO, export_filter=chain) == [
            (False, "rule", [self.INSIDE]),
            (False, ExportReason.NOT_OURS, [self.OUTSIDE]),
        ]
        assert self.decided(route(), export_filter=chain) == [
            (False, "rule", [self.INSIDE]),
            (True, ACCEPTED.reason, [self.OUTSIDE]),
        ]

    def test_an_accepting_rule_skips_the_built_in_policy(self) -> None:
        chain = Filter([Rule(Action.ACCEPT, origin="rule")])
        assert self.decided(route(), builtin=CALICO, export_filter=chain) == [
            (True, "rule", list(self.BOTH))
        ]

    def test_the_filter_is_asked_with_the_normal_priority_of_the_policy(self) -> None:
        assert EXTERNAL.scope == Scope(PeerType.EXTERNAL, Direction.EXPORT, None)
        key = replace(INTERNAL, builtin=BuiltinPolicy(normal_priority=7))
        assert key.scope == Scope(PeerType.INTERNAL, Direction.EXPORT, 7)


def test_keys_compare_by_content() -> None:
    one = replace(EXTERNAL, builtin=CALICO, export_filter=Filter([Rule(Action.ACCEPT, origin="a")]))
    two = replace(EXTERNAL, builtin=BuiltinPolicy(pools=CALICO.pools))
    two = replace(two, export_filter=Filter([Rule(Action.ACCEPT, origin="b")]))
    assert one == two
    assert len({one, two, EXTERNAL}) == 2


def test_a_next_hop_of_the_kernel_s_does_not_change_what_is_kept() -> None:
    """What resolves a next hop is our affair; peers hear the next hop itself."""
    path = route(next_hop="192.0.2.1", via=NextHop(address("192.0.2.200")))
    assert rewrite(path, INTERNAL).next_hop == address("192.0.2.1")


class TestOperationsOfAPolicy:
    """What rules of a RoutePolicy do on the way out."""

    LEARNED = route(path=[65001, 64600, 7], next_hop="192.0.2.1", med=5)

    def test_a_med_that_is_set_crosses_the_border(self) -> None:
        assert sent(self.LEARNED, EXTERNAL, SetMed(9))[Attribute.MULTI_EXIT_DISC] == u32(9)
        assert sent(self.LEARNED, INTERNAL, SetMed(9))[Attribute.MULTI_EXIT_DISC] == u32(9)
        assert Attribute.MULTI_EXIT_DISC not in sent(self.LEARNED, EXTERNAL)

    def test_a_local_pref_that_is_set_stays_within_the_as(self) -> None:
        assert sent(self.LEARNED, INTERNAL, SetLocalPref(9))[Attribute.LOCAL_PREF] == u32(9)
        assert Attribute.LOCAL_PREF not in sent(self.LEARNED, EXTERNAL, SetLocalPref(9))
        calico = replace(INTERNAL, builtin=CALICO)
        assert sent(self.LEARNED, calico, SetLocalPref(9))[Attribute.LOCAL_PREF] == u32(9)

    @pytest.mark.parametrize(
        ("told", "key", "expected"),
        [
            (address("192.0.2.77"), EXTERNAL, "192.0.2.77"),
            (address("192.0.2.77"), INTERNAL, "192.0.2.77"),
            (NextHopWord.SELF, INTERNAL, "192.0.2.254"),
            (NextHopWord.SELF, replace(EXTERNAL, next_hop_mode=NextHopMode.KEEP), "192.0.2.254"),
            (NextHopWord.UNCHANGED, EXTERNAL, "192.0.2.1"),
            (NextHopWord.UNCHANGED, replace(INTERNAL, next_hop_mode=NextHopMode.SELF), "192.0.2.1"),
        ],
    )
    def test_the_next_hop_is_what_the_rule_says(
        self, told: bytes | NextHopWord, key: GroupKey, expected: str
    ) -> None:
        out = rewrite(self.LEARNED, key, (SetNextHop(told),))
        assert out.next_hop == address(expected)
        assert {c: v for _, c, v in tlvs(out.raw)}[Attribute.NEXT_HOP] == address(expected)

    def test_an_unchanged_next_hop_of_our_own_route_is_its_gateway(self) -> None:
        via = route(local(), next_hop="", via=next_hop("192.0.2.9"))
        out = rewrite(via, EXTERNAL, (SetNextHop(NextHopWord.UNCHANGED),))
        assert out.next_hop == address("192.0.2.9")

    def test_an_ipv6_next_hop_stands_beside_the_prefixes(self) -> None:
        key = replace(EXTERNAL_6, local_link_address=address("fe80::1"))
        path = route(next_hop="2001:db8::1")
        out = rewrite(path, key, (SetNextHop(address("2001:db8::77")),))
        assert (out.next_hop, out.link_local) == (address("2001:db8::77"), b"")
        out = rewrite(path, key, (SetNextHop(NextHopWord.SELF),))
        assert (out.next_hop, out.link_local) == (key.local_address, key.local_link_address)

    def test_where_we_have_no_address_a_rule_may_name_one(self) -> None:
        key = replace(
            EXTERNAL_6,
            local_address=b"",
            export_filter=Filter(
                [
                    Rule(
                        Action.ACCEPT,
                        communities=(1,),
                        operations=(SetNextHop(address("2001:db8::77")),),
                    ),
                    Rule(Action.ACCEPT, communities=(2,)),
                    Rule(
                        Action.ACCEPT,
                        communities=(3,),
                        operations=(SetNextHop(NextHopWord.UNCHANGED),),
                    ),
                    Rule(
                        Action.ACCEPT,
                        communities=(4,),
                        operations=(SetNextHop(NextHopWord.SELF),),
                    ),
                ]
            ),
        )
        some = [nlri("2001:db8::/32")]
        for communities in ([1], [3]):
            path = route(communities=communities, next_hop="2001:db8::1")
            ((verdict, _),) = export_partition(some, path, key)
            assert verdict.accepted
            assert rewrite(path, key, verdict.operations).next_hop
        for others in ([2], [4], []):
            ((verdict, _),) = export_partition(some, route(communities=others), key)
            assert (verdict.accepted, verdict.reason) == (False, Withheld.NO_NEXT_HOP)

    def test_the_peers_as_gives_way_to_ours(self) -> None:
        """RFC 4364 §7."""
        key = replace(EXTERNAL, peer_asn=65001)
        out = sent(route(path=[7, 65001, 65001]), key, AsOverride())
        assert out[Attribute.AS_PATH] == as_path([65000, 7, 65000, 65000])

    def test_within_the_as_no_path_is_changed(self) -> None:
        key = replace(INTERNAL, peer_asn=65000)
        path = route(path=[65000, 64600, 7])
        for operation in (AsOverride(), RemovePrivateAs(everywhere=True)):
            assert sent(path, key, operation)[Attribute.AS_PATH] == as_path([65000, 64600, 7])

    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (RemovePrivateAs(), [7, 64601]),
            (RemovePrivateAs(everywhere=True), [7]),
            (RemovePrivateAs(replace=True), [3333, 7, 64601]),
            (RemovePrivateAs(everywhere=True, replace=True), [3333, 7, 3333]),
        ],
    )
    def test_private_numbers_are_left_out_or_ours_instead(
        self, operation: Operation, expected: list[int]
    ) -> None:
        key = replace(EXTERNAL, local_asn=3333, peer_asn=1299)
        out = sent(route(path=[64600, 7, 64601]), key, operation)
        assert out[Attribute.AS_PATH] == as_path([3333, *expected])

    def test_the_peer_still_finds_its_own_private_number(self) -> None:
        key = replace(EXTERNAL, local_asn=3333, peer_asn=64600)
        out = sent(route(path=[64601, 64600]), key, RemovePrivateAs(everywhere=True))
        assert out[Attribute.AS_PATH] == as_path([3333, 64600])

    def test_what_is_prepended_before_is_changed_and_what_comes_after_is_not(self) -> None:
        key = replace(EXTERNAL, local_asn=3333, peer_asn=1299)
        prepend, remove = PrependAsPath((64700,)), RemovePrivateAs(everywhere=True)
        path = route(path=[7])
        assert sent(path, key, prepend, remove)[Attribute.AS_PATH] == as_path([3333, 7])
        assert sent(path, key, remove, prepend)[Attribute.AS_PATH] == as_path([3333, 64700, 7])

    def test_wide_numbers_are_narrowed_after_all_else(self) -> None:
        key = replace(EXTERNAL, peer_asn=70000, four_octet_as=False)
        out = sent(route(path=[7, 70000]), key, AsOverride())
        assert Attribute.AS4_PATH not in out
        assert out[Attribute.AS_PATH] == bytes.fromhex("0203 fde8 0007 fde8")


@pytest.mark.parametrize(
    ("operations", "asks"),
    [
        ((), False),
        ((SetMed(1),), False),
        ((SetMed(1), AsOverride()), True),
        ((RemovePrivateAs(),), True),
    ],
)
def test_a_filter_tells_whether_it_asks_for_the_peers_as(
    operations: tuple[Operation, ...], asks: bool
) -> None:
    assert Filter([Rule(Action.ACCEPT, operations=operations)]).asks_for_peers_as is asks
