"""Where each rule of Calico's contract about filters and policy is tested.

`CONTRACT` stands beside the contract's own sections: §7 BGPFilter, §11 priorities, §12 the built-in
policy. Each rule, in a few words, names the tests that fail when it is broken; a test is a file
below ``tests`` and a function, of a class or not. That the tests exist is checked here. What peers
hear and kernels hold of all of it together is compared with a BIRD in
``tests/interop/test_policy_beside_bird.py``.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

FILTERS = "policy/test_filters.py"
MATCHING = "policy/test_matching.py"
OPERATIONS = "policy/test_operations.py"
OUTBOUND = "policy/test_outbound.py"
CALICO = "policy/test_calico.py"
IMPORTS = "speaker/rib/test_import_policy.py"
PLAN = "speaker/config/test_plan.py"
SERVICES = "speaker/config/test_services.py"
FAILURES = "speaker/config/test_failure_policy.py"
SHAPES = "speaker/config/test_contract.py"
SINK = "speaker/test_fib_sink.py"

CONTRACT: dict[str, dict[str, tuple[str, ...]]] = {
    "7.1": {
        "the shape of rules: speaker/config/contract/bgpfilter.yaml": (
            f"{SHAPES}::test_a_document_has_the_problems_that_are_written_beside_it",
        ),
    },
    "7.2": {
        "filters in their order, rules in theirs, of the family and direction": (
            f"{PLAN}::test_filters_become_rules_of_the_families_of_the_session",
        ),
        "the first rule whose conditions all hold decides": (
            f"{FILTERS}::test_the_first_rule_that_holds_decides",
            f"{FILTERS}::test_all_conditions_of_a_rule_must_hold",
        ),
        "it ends the whole chain: behind Accept on export no policy is asked": (
            f"{OUTBOUND}::TestExportPartition::test_an_accepting_rule_skips_the_built_in_policy",
        ),
        "it ends the whole chain: behind Accept on import no preference is raised": (
            f"{IMPORTS}::test_a_rule_that_accepts_comes_before_the_nodes_own_policy",
        ),
        "a rule without conditions always holds, and those behind it are dead": (
            f"{FILTERS}::test_behind_a_rule_without_conditions_all_rules_are_dead",
        ),
        "nothing matches on import: accepted": (
            f"{IMPORTS}::test_where_no_rule_decides_a_path_is_accepted",
        ),
        "nothing matches on export: Calico's policy": (
            f"{OUTBOUND}::TestExportPartition::test_what_no_rule_decides_is_for_the_built_in_policy",
        ),
        "a filter without rules in the direction and family is none": (
            f"{FAILURES}::test_a_filter_without_rules_is_none",
            f"{FILTERS}::test_no_rules_make_no_filter",
        ),
        "a filter that does not exist is skipped": (
            f"{PLAN}::test_a_filter_that_does_not_exist_is_skipped_and_told",
            f"{FAILURES}::test_the_filters_that_there_are_still_count",
        ),
    },
    "7.3": {
        "1 In, NotIn, Equal, NotEqual": (f"{MATCHING}::test_prefix_operators",),
        "1 prefixLength, with its defaults": (
            f"{MATCHING}::test_prefix_length_bounds_what_is_in",
            f"{MATCHING}::test_in_agrees_with_the_standard_library",
        ),
        "1 Equal with prefixLength never matches, NotEqual always": (
            f"{MATCHING}::test_equal_with_a_prefix_length_never_matches_and_not_equal_always_does",
            f"{FILTERS}::test_equal_with_a_prefix_length_never_matches_in_a_rule_either",
        ),
        "2 source RemotePeers": (f"{MATCHING}::test_source_remote_peers_means_learned_over_bgp",),
        "3 interface, by wildcards": (f"{MATCHING}::test_interface_wildcards",),
        "3 on import that of the resolved next hop": (
            f"{FILTERS}::test_a_changed_interface_is_seen_though_the_path_is_remembered",
        ),
        "4 communities, standard and large": (
            f"{MATCHING}::test_a_community_matches_by_membership",
        ),
        "5 asPathPrefix": (f"{MATCHING}::test_an_as_path_begins_with_the_sequence",),
        "6 priority p is LOCAL_PREF 2147483647 - p": (
            f"{MATCHING}::test_a_priority_matches_the_local_pref_that_carries_it",
            f"{FILTERS}::test_priority_of_a_route_made_here_is_its_metric_or_the_normal_one",
        ),
        "7 peerType": (
            f"{MATCHING}::test_peer_type_is_that_of_the_session",
            f"{FILTERS}::test_peer_type_asks_the_session_and_not_the_source",
        ),
    },
    "7.4": {
        "operations of accepting rules alone": (
            f"{FILTERS}::test_a_verdict_carries_the_operations_of_an_accepting_rule_only",
        ),
        "in the order of the list": (f"{OPERATIONS}::test_operations_are_applied_in_their_order",),
        "addCommunity keeps what is there, and adds nothing twice": (
            f"{OPERATIONS}::test_add_community_keeps_what_is_there",
        ),
        "prependASPath: the path begins with the list in its order": (
            f"{OPERATIONS}::test_prepending_makes_the_path_begin_with_the_list_in_its_order",
            f"{OUTBOUND}::TestAsPath::test_what_a_rule_prepends_stands_behind_our_as",
        ),
        "setPriority v is LOCAL_PREF 2147483647 - v": (
            f"{OPERATIONS}::test_set_priority_sets_the_local_pref_that_carries_it",
            f"{OUTBOUND}::TestPreferences::test_a_rule_s_priority_stands",
        ),
    },
    "11": {
        "export: LOCAL_PREF carries the metric, or the normal priority": (
            f"{CALICO}::TestPriority::test_routes_leave_with_what_carries_their_metric",
        ),
        "import: a better priority than normal has preference 200": (
            f"{CALICO}::TestPriority::test_a_better_priority_than_normal_beats_the_kernel_s_routes",
            f"{IMPORTS}::test_the_node_prefers_urgent_routes_that_no_rule_decided",
        ),
        "kernel: the metric that LOCAL_PREF carries": (
            f"{CALICO}::TestPriority::test_routes_are_installed_with_the_metric_that_local_pref_carries",
        ),
        "a LOCAL_PREF above the sum wraps": (
            f"{OPERATIONS}::test_every_local_pref_carries_one_priority",
        ),
    },
    "12.1": {
        "0 BGP's own rules come before any filter": (
            f"{OUTBOUND}::TestExportPartition::test_the_protocol_comes_before_any_filter",
        ),
        "1 pools with disableBGPExport": (
            f"{CALICO}::TestExport::test_1_a_pool_with_bgp_export_disabled_stays_in_even_an_own_block",
        ),
        "2 tunnels, towards internal peers": (
            f"{CALICO}::TestExport::test_2_routes_over_tunnels_are_not_for_internal_peers",
            f"{CALICO}::TestExport::test_2_the_ipip_device_counts_only_while_felix_programs_its_routes",
        ),
        "3 bpf*.cali": (
            f"{CALICO}::TestExport::test_3_routes_of_the_ebpf_data_plane_are_for_nobody",
        ),
        "4 prefix communities": (
            f"{CALICO}::TestExport::test_4_all_prefix_communities_that_cover_are_added",
            f"{CALICO}::TestExport::test_4_communities_alone_let_nothing_out",
            f"{PLAN}::test_prefix_communities_are_resolved_and_sorted",
        ),
        "5 own blocks": (
            f"{CALICO}::TestExport::test_5_an_own_block_leaves_as_a_whole",
            f"{CALICO}::TestExport::test_5_what_is_inside_an_own_block_stays",
            f"{CALICO}::TestExport::test_5_what_is_inside_an_own_block_leaves_with_a_better_priority",
            f"{CALICO}::TestExport::test_5_a_borrowed_address_passes_on_to_the_pool",
        ),
        "6 service routes": (f"{CALICO}::TestExport::test_6_service_routes_leave",),
        "7 a reflector passes on service addresses": (
            f"{CALICO}::TestExport::test_7_a_route_reflector_passes_on_service_addresses",
        ),
        "8 exported pools, VXLAN ones too": (
            f"{CALICO}::TestExport::test_8_every_exported_pool_leaves_a_vxlan_pool_too",
        ),
        "9 nothing else": (f"{CALICO}::TestExport::test_9_nothing_else_leaves",),
    },
    "12.2": {
        "blackholes of blocks, by their state": (
            f"{PLAN}::test_blocks_are_aggregates_and_blackholes_by_their_state",
        ),
        "service ranges": (
            f"{SERVICES}::test_ranges_are_announced_and_never_installed_and_single_addresses_are_left_out",
            f"{SERVICES}::test_load_balancer_ranges_are_announced_only_with_aggregation",
        ),
        "reachableBy": (f"{PLAN}::test_reachable_by_is_a_static_host_route_where_the_peering_is",),
    },
    "12.3": {
        "1 service CIDRs are never installed": (
            f"{CALICO}::TestKernel::test_1_service_cidrs_are_never_installed_whatever_the_source",
            f"{SERVICES}::test_an_excluded_node_announces_nothing_and_installs_nothing",
        ),
        "2 metrics": (
            f"{CALICO}::TestPriority::test_routes_are_installed_with_the_metric_that_local_pref_carries",
        ),
        "3 WireGuard": (
            f"{CALICO}::TestKernel::test_3_routes_to_other_nodes_with_wireguard_are_felix_s",
        ),
        "4 VXLAN pools": (f"{CALICO}::TestKernel::test_4_vxlan_pools_are_felix_s",),
        "4 IPIP pools, Always and CrossSubnet": (
            f"{CALICO}::TestKernel::test_4_an_ipip_pool_goes_through_the_tunnel_where_it_is_ours",
            f"{CALICO}::TestKernel::test_4_a_cross_subnet_pool_needs_no_tunnel_within_our_subnet",
            f"{SINK}::test_what_becomes_of_a_pools_routes",
        ),
        "4 pools without encapsulation": (
            f"{CALICO}::TestKernel::test_4_a_pool_without_encapsulation_is_installed_where_it_is_ours",
        ),
        "1 alone is asked about static routes": (
            f"{CALICO}::TestKernel::test_static_routes_are_subject_to_service_cidrs_alone",
        ),
        "4 IPv4 pools need the node's subnet": (
            f"{CALICO}::TestKernel::test_4_without_a_known_subnet_there_are_no_rules_for_ipv4_pools",
            f"{CALICO}::TestKernel::test_4_ipv6_pools_need_no_subnet",
        ),
        "5 anything else is installed": (
            f"{CALICO}::TestKernel::test_5_anything_else_is_installed",
        ),
    },
}


@cache
def functions_in(file: str) -> frozenset[str]:
    """Name the tests of a file, those of classes behind the class."""
    found = set()
    for node in ast.parse((TESTS / file).read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        found |= {owner + member.name for member in members if isinstance(member, kinds)}
    return frozenset(found)


@pytest.mark.parametrize(
    ("section", "rule"), [(section, rule) for section, rules in CONTRACT.items() for rule in rules]
)
def test_each_rule_has_its_tests(section: str, rule: str) -> None:
    named = CONTRACT[section][rule]
    assert named
    for each in named:
        file, _, name = each.partition("::")
        assert name in functions_in(file), f"§{section} {rule}: there is no {each}"
