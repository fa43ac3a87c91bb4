"""What fields of a resource demand of each other.

Each rule is a small function over the tree of a document that yields violations; its docstring
says whose rule it is: *CRD* for OpenAPI and CEL rules of Calico's custom resources, *Go* for the
validator of Calico's clients, *client* for what calicoctl checks, *ours* for what Calico lets
through and regrets. Rules look at trees and not at models so that all mistakes of a document are
told at once; they must therefore bear any nonsense in the fields.

`CHECKS` are errors, `CAUTIONS` are warnings, both by kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.annotations import TEXT_MAPS, check_keys
from speaker.config.bfd_rules import bfd_intervals
from speaker.config.cache_rules import intervals
from speaker.config.cluster_rules import (
    advertised_communities,
    affinity_state,
    communities_need_advertisements,
    configuration_name,
    default_only,
    empty_bgp,
    everything_ignored,
    host_bits,
    ignored_on_node,
    mesh_settings_without_mesh,
    node_as_zero,
    pool_encapsulation,
    pool_range,
    pool_selectors,
    pool_uses,
    zero_default_as,
)
from speaker.config.dynamic_rules import (
    keys_of_ranges,
    range_excludes_targets,
    range_is_not_dialled,
    range_is_passive,
    range_needs_an_as,
)
from speaker.config.filter_rules import (
    cidr_family,
    cidr_with_operator,
    dead_rules,
    operations,
    surprising_rules,
)
from speaker.config.kinds import Kind, find_kind
from speaker.config.peer_rules import (
    as_zero,
    bfd_over_hops,
    exclusive,
    link_local_needs_interface,
    local_workloads_need_an_as,
    long_restart_time,
    next_hop_modes,
    no_asn,
    no_asn_with_peer_selector,
    no_target,
    old_next_hop_field,
    one_id_with_peer_selector,
    passive_with_peer_selector,
    reachable_by,
    signed_once,
)
from speaker.config.policy_rules import (
    bounds,
    directions,
    empty_ranges,
    idle_operations,
    next_hops,
    reasons,
)
from speaker.config.problems import Violation
from speaker.config.scalars import is_label_value, is_qualified_name
from speaker.config.status_rules import repeated_classes, secret_keys, trailing_newline
from speaker.config.trees import Check, map_at, text_map

MAX_ANNOTATIONS = 256 * 1024


def metadata_texts(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go and Kubernetes: label and annotation keys are qualified names, label values are short."""
    for name in ("labels", "annotations"):
        path = ("metadata", name)
        texts = text_map(tree, path)
        for key in texts:
            if not is_qualified_name(key):
                yield Violation((*path, key), "qualified-name", f"{key!r} is no valid key")
    for key, value in text_map(tree, ("metadata", "labels")).items():
        if not is_label_value(value):
            yield Violation(
                ("metadata", "labels", key), "label-value", f"{value!r} is no valid label value"
            )
    annotations = text_map(tree, ("metadata", "annotations"))
    if sum(len(key) + len(value) for key, value in annotations.items()) > MAX_ANNOTATIONS:
        yield Violation(("metadata", "annotations"), "size", "annotations exceed 256 KiB in total")


def cluster_scoped(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: all of Calico's BGP resources belong to the cluster, only a Secret to a namespace."""
    namespace, kind = map_at(tree, "metadata").get("namespace"), find_kind(str(tree.get("kind")))
    if namespace not in (None, "") and kind is not Kind.SECRET:
        message = f"a {kind} belongs to the cluster and has no namespace"
        yield Violation(("metadata", "namespace"), "namespace", message)


COMMON: tuple[Check, ...] = (metadata_texts, cluster_scoped)
"""What holds for every kind."""


def keys_of(kind: Kind) -> Check:
    """Make the check of the keys ``wren.bgp/…`` for a kind (ours)."""

    def wren_keys(tree: Mapping[str, Any]) -> Iterator[Violation]:
        for path in TEXT_MAPS:
            yield from check_keys(kind, path, text_map(tree, path))

    return wren_keys


CHECKS: dict[Kind, tuple[Check, ...]] = {
    Kind.BGP_PEER: (
        exclusive("node", "nodeSelector"),
        exclusive("peerSelector", "peerIP"),
        exclusive("localWorkloadSelector", "peerIP"),
        exclusive("localWorkloadSelector", "peerSelector"),
        no_asn_with_peer_selector,
        local_workloads_need_an_as,
        as_zero,
        next_hop_modes,
        reachable_by,
        passive_with_peer_selector,
        link_local_needs_interface,
        bfd_over_hops,
        signed_once,
        one_id_with_peer_selector,
        range_excludes_targets,
        range_needs_an_as,
        keys_of_ranges,
        range_is_passive,
    ),
    Kind.BGP_CONFIGURATION: (
        mesh_settings_without_mesh,
        communities_need_advertisements,
        advertised_communities,
        default_only,
        zero_default_as,
        everything_ignored,
    ),
    Kind.NODE: (empty_bgp, node_as_zero),
    Kind.IP_POOL: (pool_encapsulation, pool_range, pool_uses, pool_selectors),
    Kind.BLOCK_AFFINITY: (affinity_state,),
    Kind.BGP_FILTER: (cidr_with_operator, cidr_family, operations),
    Kind.ROUTE_POLICY: (
        cidr_with_operator,
        cidr_family,
        operations,
        reasons,
        directions,
        next_hops,
        bounds,
    ),
    Kind.SECRET: (secret_keys,),
    Kind.CALICO_NODE_STATUS: (repeated_classes,),
    Kind.RPKI_CACHE: (intervals,),
    Kind.BFD_CONFIGURATION: (bfd_intervals,),
}

CAUTIONS: dict[Kind, tuple[Check, ...]] = {
    Kind.BGP_PEER: (
        no_target,
        no_asn,
        old_next_hop_field,
        long_restart_time,
        range_is_not_dialled,
    ),
    Kind.BGP_CONFIGURATION: (configuration_name, ignored_on_node, long_restart_time, host_bits),
    Kind.BGP_FILTER: (surprising_rules, dead_rules),
    Kind.ROUTE_POLICY: (surprising_rules, dead_rules, empty_ranges, idle_operations),
    Kind.SECRET: (trailing_newline,),
}


def errors_of(kind: Kind, tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Run all checks of a kind."""
    for check in (*COMMON, keys_of(kind), *CHECKS[kind]):
        yield from _run(check, tree)


def cautions_of(kind: Kind, tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Find what is allowed and yet probably not meant."""
    for check in CAUTIONS.get(kind, ()):
        yield from _run(check, tree)


def _run(check: Check, tree: Mapping[str, Any]) -> list[Violation]:
    """Run one check; of a structure that it cannot walk at all the model has said so."""
    try:
        return list(check(tree))
    except (TypeError, AttributeError):
        return []
