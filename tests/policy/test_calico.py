"""Calico's built-in policy, rule by rule, and priorities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.calico import (
    INSTALLED,
    URGENT_PREFERENCE,
    BuiltinPolicy,
    ClusterRoutes,
    Encap,
    ExportReason,
    KernelAction,
    KernelVerdict,
    Pool,
    PrefixCommunities,
    export_local_pref,
    export_verdicts,
    import_preference,
    kernel_metric,
    kernel_verdicts,
    verdicts_agree,
)
from policy.operations import AddCommunity
from policy.path import Path, Preference, SourceKind
from policy.prefix import Nlri, covers
from policy.rules import Verdict
from tests.support.routes import (
    EXTERNAL_PEER,
    INTERNAL_PEER,
    address,
    attributes,
    local,
    next_hop,
    nlri,
    nlris,
    route,
)

URGENT = 2147483647 - 512
"""LOCAL_PREF of a route with a better priority than normal."""

POLICY = BuiltinPolicy(
    pools=(
        Pool(nlri("10.0.0.0/16")),
        Pool(nlri("10.1.0.0/16"), vxlan=Encap.ALWAYS),
        Pool(nlri("10.2.0.0/16"), ipip=Encap.ALWAYS),
        Pool(nlri("10.3.0.0/16"), ipip=Encap.CROSS_SUBNET),
        Pool(nlri("10.9.0.0/16"), bgp_export=False),
    ),
    own_blocks=(nlri("10.0.5.0/26"), nlri("10.9.5.0/26"), nlri("10.0.6.1/32")),
    service_routes=(nlri("10.96.0.0/12"), nlri("203.0.113.7/32")),
    reflector_cidrs=(nlri("203.0.113.0/24"),),
    kernel_reject=(nlri("10.96.0.0/12"),),
    own_network=nlri("192.0.2.0/24"),
)


def export(
    prefix: str, path: Path | None = None, *, internal: bool = False, **changes: Any
) -> Verdict:
    policy = replace(POLICY, **changes)
    [(verdict, _)] = export_verdicts(policy, [nlri(prefix)], path or route(local()), internal)
    return verdict


def leaving(prefix: str, path: Path | None = None, **how: Any) -> tuple[bool, str]:
    verdict = export(prefix, path, **how)
    return verdict.accepted, verdict.reason


class TestExport:
    """Contract of the export policy, in its order."""

    @pytest.mark.parametrize("prefix", ["10.9.0.0/16", "10.9.1.0/24", "10.9.5.0/26"])
    def test_1_a_pool_with_bgp_export_disabled_stays_in_even_an_own_block(
        self, prefix: str
    ) -> None:
        assert leaving(prefix) == (False, ExportReason.POOL_NOT_EXPORTED)

    @pytest.mark.parametrize("interface", ["vxlan.calico", "wireguard.cali", "tunl0"])
    def test_2_routes_over_tunnels_are_not_for_internal_peers(self, interface: str) -> None:
        path = route(local(SourceKind.KERNEL), via=next_hop(interface=interface))
        assert leaving("10.0.1.0/26", path, internal=True) == (False, ExportReason.TUNNEL)
        assert leaving("10.0.1.0/26", path) == (True, ExportReason.POOL)

    @pytest.mark.parametrize(
        ("cluster_routes", "accepted"),
        [
            (ClusterRoutes.DISABLED, False),
            (ClusterRoutes.ENABLED_NO_ENCAP_ONLY, False),
            (ClusterRoutes.ENABLED, True),
            (ClusterRoutes.ENABLED_IPIP_ONLY, True),
        ],
    )
    def test_2_the_ipip_device_counts_only_while_felix_programs_its_routes(
        self, cluster_routes: ClusterRoutes, accepted: bool
    ) -> None:
        path = route(local(SourceKind.KERNEL), via=next_hop(interface="tunl0"))
        verdict = export("10.2.1.0/26", path, internal=True, cluster_routes=cluster_routes)
        assert verdict.accepted is accepted

    def test_3_routes_of_the_ebpf_data_plane_are_for_nobody(self) -> None:
        path = route(local(SourceKind.KERNEL), via=next_hop(interface="bpfin.cali"))
        assert leaving("10.0.1.0/26", path) == (False, ExportReason.DATA_PLANE)
        assert not export("10.0.1.0/26", path, internal=True).accepted

    def test_other_interfaces_do_not_matter(self) -> None:
        path = route(via=next_hop(interface="eth0"))
        assert leaving("10.0.1.0/26", path, internal=True) == (True, ExportReason.POOL)

    def test_4_all_prefix_communities_that_cover_are_added(self) -> None:
        entries = (
            PrefixCommunities(nlri("10.0.0.0/8"), (1, (1, 2, 3))),
            PrefixCommunities(nlri("10.0.5.0/26"), (2, 1)),
            PrefixCommunities(nlri("192.0.2.0/24"), (3,)),
        )
        exact = export("10.0.5.0/26", prefix_communities=entries)
        assert set(exact.operations) == {AddCommunity(1), AddCommunity(2), AddCommunity((1, 2, 3))}
        wider = export("10.0.0.0/16", prefix_communities=entries)
        assert wider.operations == (AddCommunity(1), AddCommunity((1, 2, 3)))
        assert export("203.0.113.7/32", prefix_communities=entries).operations == ()
        rejected = export("10.0.5.1/32", prefix_communities=entries)
        assert (rejected.accepted, rejected.operations) == (False, ())

    def test_4_communities_alone_let_nothing_out(self) -> None:
        entries = (PrefixCommunities(nlri("192.0.2.0/24"), (3,)),)
        assert leaving("192.0.2.0/24", prefix_communities=entries) == (False, ExportReason.NOT_OURS)

    def test_5_an_own_block_leaves_as_a_whole(self) -> None:
        assert leaving("10.0.5.0/26") == (True, ExportReason.OWN_BLOCK)
        assert leaving("10.0.6.1/32") == (True, ExportReason.OWN_BLOCK)

    def test_5_what_is_inside_an_own_block_stays(self) -> None:
        assert leaving("10.0.5.1/32") == (False, ExportReason.INSIDE_BLOCK)
        kernel = route(local(SourceKind.KERNEL), metric=1024)
        assert leaving("10.0.5.1/32", kernel) == (False, ExportReason.INSIDE_BLOCK)

    def test_5_what_is_inside_an_own_block_leaves_with_a_better_priority(self) -> None:
        """As while a virtual machine migrates."""
        kernel = route(local(SourceKind.KERNEL), metric=1023)
        assert leaving("10.0.5.1/32", kernel) == (True, ExportReason.URGENT)
        learned = route(INTERNAL_PEER, local_pref=URGENT)
        assert leaving("10.0.5.1/32", learned) == (True, ExportReason.URGENT)
        assert not export("10.0.5.1/32", route(INTERNAL_PEER, local_pref=100)).accepted

    def test_5_the_first_block_that_covers_decides(self) -> None:
        blocks = (nlri("10.0.5.0/24"), nlri("10.0.5.0/26"))
        assert leaving("10.0.5.0/26", own_blocks=blocks) == (False, ExportReason.INSIDE_BLOCK)
        assert leaving("10.0.5.0/26", own_blocks=blocks[::-1]) == (True, ExportReason.OWN_BLOCK)

    def test_5_a_borrowed_address_passes_on_to_the_pool(self) -> None:
        assert leaving("10.0.7.1/32") == (True, ExportReason.POOL)

    @pytest.mark.parametrize("prefix", ["10.96.0.0/12", "10.96.0.1/32", "203.0.113.7/32"])
    def test_6_service_routes_leave(self, prefix: str) -> None:
        assert leaving(prefix) == (True, ExportReason.SERVICE)

    def test_7_a_route_reflector_passes_on_service_addresses(self) -> None:
        prefix = "203.0.113.9/32"
        assert leaving(prefix, is_reflector=True) == (True, ExportReason.REFLECTED)
        assert leaving(prefix) == (False, ExportReason.NOT_OURS)

    @pytest.mark.parametrize("prefix", ["10.0.0.0/16", "10.1.1.0/26", "10.2.0.1/32"])
    def test_8_every_exported_pool_leaves_a_vxlan_pool_too(self, prefix: str) -> None:
        assert leaving(prefix) == (True, ExportReason.POOL)

    @pytest.mark.parametrize("prefix", ["0.0.0.0/0", "192.0.2.0/24", "10.0.0.0/15"])
    def test_9_nothing_else_leaves(self, prefix: str) -> None:
        assert leaving(prefix) == (False, ExportReason.NOT_OURS)

    def test_a_list_with_one_verdict_comes_back_as_it_is(self) -> None:
        prefixes = [nlri("10.0.8.0/26"), nlri("10.1.0.0/26")]
        [(verdict, given_back)] = export_verdicts(POLICY, prefixes, route(local()), False)
        assert verdict.accepted
        assert given_back is prefixes

    def test_alike_routes_of_different_prefixes_are_one_group(self) -> None:
        prefixes = [nlri(p) for p in ("10.0.8.0/26", "0.0.0.0/0", "10.1.0.0/26", "11.0.0.0/8")]
        parts = export_verdicts(POLICY, prefixes, route(local()), False)
        assert [some for _, some in parts] == [prefixes[::2], prefixes[1::2]]


def statement_by_statement(
    policy: BuiltinPolicy, prefix: Nlri, urgent: bool
) -> tuple[bool, frozenset[object]]:
    """Read the export policy from top to bottom, as a BIRD filter would."""
    nothing: frozenset[object] = frozenset()
    if any(covers(pool.cidr, prefix) for pool in policy.pools if not pool.bgp_export):
        return False, nothing
    added = frozenset(
        AddCommunity(community)
        for entry in policy.prefix_communities
        if covers(entry.cidr, prefix)
        for community in entry.communities
    )
    for block in policy.own_blocks:
        if prefix == block:
            return True, added
        if covers(block, prefix):
            return (True, added) if urgent else (False, nothing)
    open_to = [*policy.service_routes, *(pool.cidr for pool in policy.pools)]
    if policy.is_reflector:
        open_to += policy.reflector_cidrs
    accepted = any(covers(cidr, prefix) for cidr in open_to)
    return accepted, added if accepted else nothing


FEW = st.lists(nlris(within=1), max_size=3).map(tuple)


@given(
    st.builds(
        BuiltinPolicy,
        pools=st.lists(st.builds(Pool, nlris(within=1), st.booleans()), max_size=3).map(tuple),
        own_blocks=FEW,
        service_routes=FEW,
        reflector_cidrs=FEW,
        prefix_communities=st.lists(
            st.builds(PrefixCommunities, nlris(within=1), st.just((1,)) | st.just((2, 3))),
            max_size=2,
        ).map(tuple),
        is_reflector=st.booleans(),
    ),
    st.lists(nlris(within=1), min_size=1),
    st.booleans(),
)
def test_a_batch_leaves_as_the_statements_say_one_by_one(
    policy: BuiltinPolicy, prefixes: list[Nlri], urgent: bool
) -> None:
    path = route(INTERNAL_PEER, local_pref=URGENT if urgent else 100)
    for verdict, some in export_verdicts(policy, prefixes, path, False):
        for prefix in some:
            got = (verdict.accepted, frozenset(verdict.operations))
            assert got == statement_by_statement(policy, prefix, urgent)


def install(prefix: str, path: Path | None = None, **changes: Any) -> KernelVerdict:
    [(verdict, _)] = kernel_verdicts(replace(POLICY, **changes), [nlri(prefix)], path or FAR)
    return verdict


FAR = route(INTERNAL_PEER, next_hop="198.51.100.1")
NEAR = route(INTERNAL_PEER, next_hop="192.0.2.7")
EVERY = ClusterRoutes.ENABLED
ACCEPT, REJECT, TUNNEL = KernelAction.ACCEPT, KernelAction.REJECT, KernelAction.TUNNEL


class TestKernel:
    """Contract of the kernel's export filter."""

    @pytest.mark.parametrize("path", [FAR, route(local())])
    def test_1_service_cidrs_are_never_installed_whatever_the_source(self, path: Path) -> None:
        assert install("10.96.0.0/12", path).action is REJECT
        assert install("10.96.0.1/32", path).reason == "inside a service CIDR"
        assert install("10.0.0.0/8", path).action is ACCEPT

    def test_static_routes_are_subject_to_service_cidrs_alone(self) -> None:
        assert install("10.1.5.0/26", route(local())) is INSTALLED
        assert install("10.0.5.0/26", route(local()), cluster_routes=ClusterRoutes.DISABLED) is (
            INSTALLED
        )

    @pytest.mark.parametrize("kind", [SourceKind.KERNEL, SourceKind.DIRECT])
    def test_what_the_kernel_has_itself_is_not_installed(self, kind: SourceKind) -> None:
        assert install("172.16.0.0/12", route(local(kind))).action is REJECT

    def test_3_routes_to_other_nodes_with_wireguard_are_felix_s(self) -> None:
        changes: dict[str, Any] = {"wireguard_peers": frozenset({address("198.51.100.1")})}
        with_it = changes | {"has_wireguard": True}
        assert install("10.0.1.0/26", **with_it).action is REJECT
        assert install("172.16.0.0/12", **with_it).reason == "Felix routes it through WireGuard"
        assert install("10.96.0.0/12", **with_it).reason == "inside a service CIDR"
        assert install("10.0.1.0/26", NEAR, **with_it).action is ACCEPT
        assert install("10.0.1.0/26", route(local()), **with_it).action is ACCEPT
        assert install("10.0.1.0/26", **changes).action is ACCEPT

    @pytest.mark.parametrize("cluster_routes", ClusterRoutes)
    def test_4_vxlan_pools_are_felix_s(self, cluster_routes: ClusterRoutes) -> None:
        assert install("10.1.1.0/26", cluster_routes=cluster_routes).action is REJECT

    @pytest.mark.parametrize(
        ("cluster_routes", "far", "near"),
        [
            (ClusterRoutes.ENABLED, TUNNEL, TUNNEL),
            (ClusterRoutes.ENABLED_IPIP_ONLY, TUNNEL, TUNNEL),
            (ClusterRoutes.ENABLED_NO_ENCAP_ONLY, REJECT, REJECT),
            (ClusterRoutes.DISABLED, REJECT, REJECT),
        ],
    )
    def test_4_an_ipip_pool_goes_through_the_tunnel_where_it_is_ours(
        self, cluster_routes: ClusterRoutes, far: KernelAction, near: KernelAction
    ) -> None:
        assert install("10.2.1.0/26", FAR, cluster_routes=cluster_routes).action is far
        assert install("10.2.1.0/26", NEAR, cluster_routes=cluster_routes).action is near

    def test_4_a_cross_subnet_pool_needs_no_tunnel_within_our_subnet(self) -> None:
        assert install("10.3.1.0/26", FAR, cluster_routes=EVERY).action is TUNNEL
        assert install("10.3.1.0/26", NEAR, cluster_routes=EVERY).action is ACCEPT
        assert install("10.3.1.0/26", NEAR).action is REJECT

    @pytest.mark.parametrize(
        ("cluster_routes", "action"),
        [
            (ClusterRoutes.ENABLED, ACCEPT),
            (ClusterRoutes.ENABLED_NO_ENCAP_ONLY, ACCEPT),
            (ClusterRoutes.ENABLED_IPIP_ONLY, REJECT),
            (ClusterRoutes.DISABLED, REJECT),
        ],
    )
    def test_4_a_pool_without_encapsulation_is_installed_where_it_is_ours(
        self, cluster_routes: ClusterRoutes, action: KernelAction
    ) -> None:
        assert install("10.0.1.0/26", cluster_routes=cluster_routes).action is action

    def test_4_without_a_known_subnet_there_are_no_rules_for_ipv4_pools(self) -> None:
        assert install("10.1.1.0/26", own_network=None).action is ACCEPT
        assert install("10.96.0.0/12", own_network=None).action is REJECT

    def test_4_ipv6_pools_need_no_subnet(self) -> None:
        policy = BuiltinPolicy(pools=(Pool(nlri("fd00::/64"), vxlan=Encap.ALWAYS),))
        path = route(INTERNAL_PEER, next_hop="2001:db8::1")
        [(verdict, _)] = kernel_verdicts(policy, [nlri("fd00::/122")], path)
        assert verdict.action is REJECT

    @pytest.mark.parametrize("prefix", ["0.0.0.0/0", "172.16.0.0/12"])
    def test_5_anything_else_is_installed(self, prefix: str) -> None:
        """The default route of a ToR among it."""
        assert install(prefix, cluster_routes=ClusterRoutes.DISABLED) is INSTALLED

    def test_a_list_is_parted_by_verdict_or_comes_back_as_it_is(self) -> None:
        prefixes = [nlri(p) for p in ("10.0.1.0/26", "10.1.1.0/26", "10.0.2.0/26")]
        parts = kernel_verdicts(POLICY, prefixes, FAR)
        assert [some for _, some in parts] == [prefixes[::2], prefixes[1:2]]
        [(_, given_back)] = kernel_verdicts(POLICY, prefixes, route(local()))
        assert given_back is prefixes


class TestPriority:
    """LOCAL_PREF and the kernel's metric."""

    @pytest.mark.parametrize(
        ("path", "local_pref"),
        [
            (route(local()), 2147482623),
            (route(local(SourceKind.KERNEL), metric=512), 2147483135),
            (route(local(SourceKind.KERNEL), metric=0), 2147483647),
            (route(EXTERNAL_PEER), 100),
            (route(INTERNAL_PEER, local_pref=URGENT), URGENT),
        ],
    )
    def test_routes_leave_with_what_carries_their_metric(self, path: Path, local_pref: int) -> None:
        assert export_local_pref(path, 1024) == local_pref

    @pytest.mark.parametrize(
        ("local_pref", "preference"),
        [
            (None, Preference.BGP),
            (100, Preference.BGP),
            (2147482623, Preference.BGP),
            (2147482624, URGENT_PREFERENCE),
            (0xFFFFFFFF, URGENT_PREFERENCE),
        ],
    )
    def test_a_better_priority_than_normal_beats_the_kernel_s_routes(
        self, local_pref: int | None, preference: int
    ) -> None:
        assert import_preference(attributes(local_pref=local_pref), 1024) == preference

    @pytest.mark.parametrize(
        ("path", "metric"),
        [
            (route(EXTERNAL_PEER), 2147483547),
            (route(INTERNAL_PEER, local_pref=100), 2147483547),
            (route(INTERNAL_PEER, local_pref=2147482623), 1024),
            (route(INTERNAL_PEER, local_pref=URGENT), 512),
            (route(INTERNAL_PEER), 1024),
            (route(local()), 0),
        ],
    )
    def test_routes_are_installed_with_the_metric_that_local_pref_carries(
        self, path: Path, metric: int
    ) -> None:
        assert kernel_metric(path, 1024) == metric


NEXT_HOPS = ("10.10.0.2", "10.10.0.3", "192.0.2.2", "192.0.2.3")


@given(
    st.sampled_from(Encap),
    st.sampled_from(Encap),
    st.sampled_from(ClusterRoutes),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(NEXT_HOPS), min_size=1, max_size=3),
)
def test_next_hops_that_agree_have_the_same_verdicts(
    ipip: Encap,
    vxlan: Encap,
    routes: ClusterRoutes,
    has_wireguard: bool,
    has_subnet: bool,
    next_hops: list[str],
) -> None:
    policy = replace(
        POLICY,
        pools=tuple(replace(pool, ipip=ipip, vxlan=vxlan) for pool in POLICY.pools),
        cluster_routes=routes,
        has_wireguard=has_wireguard,
        wireguard_peers=frozenset({address(NEXT_HOPS[0]), address(NEXT_HOPS[3])}),
        own_network=nlri("10.10.0.0/16") if has_subnet else None,
    )
    prefixes = [pool.cidr for pool in policy.pools] + [nlri("192.0.2.0/24")]
    found = [
        {
            (each, verdict)
            for verdict, part in kernel_verdicts(policy, prefixes, route(next_hop=text))
            for each in part
        }
        for text in next_hops
    ]
    if verdicts_agree(policy, map(address, next_hops)):
        assert all(verdicts == found[0] for verdicts in found)


def test_policies_compare_by_content() -> None:
    assert replace(POLICY) == POLICY
    assert hash(replace(POLICY)) == hash(POLICY)
    assert replace(POLICY, is_reflector=True) != POLICY
