"""BGPPeers as Calico 2.x named them: by scope, node and address.

A peer that was written as v3 has a scope too: one without node and nodeSelector is global, and one
with a nodeSelector belongs to each node that it selects.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import ip_address

from speaker.config.documents import Tree
from speaker.config.kinds import Kind
from speaker.config.legacy import normal_node_name
from speaker.config.selectors import SelectorError, parse_selector
from speaker.config.stored import Stored
from speaker.config.trees import endpoint_of, map_at, spec_of, text_map


class Scope(StrEnum):
    """Whether a peer is one of all nodes or of some."""

    GLOBAL = "global"
    NODE = "node"


def is_address(text: str) -> bool:
    """Tell whether a peer is named by its address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def scope_of(tree: Tree) -> Scope:
    """Give the scope that a BGPPeer has."""
    spec = spec_of(tree)
    return Scope.NODE if spec.get("node") or spec.get("nodeSelector") else Scope.GLOBAL


def owner_of(tree: Tree) -> str:
    """Give the node or the selector of a BGPPeer of node scope."""
    spec = spec_of(tree)
    return str(spec.get("node") or spec.get("nodeSelector") or "")


def peers_of(resources: Iterable[Stored], scope: Scope | None, node: str | None) -> list[Stored]:
    """Give the BGPPeers of a scope, or of a node, by name."""
    found = list(resources)
    labels: dict[str, str] | None = None
    for each in found:
        if each.kind is Kind.NODE and each.name == node:
            labels = text_map(each.tree, ("metadata", "labels"))
    return sorted(
        (
            each
            for each in found
            if each.kind is Kind.BGP_PEER
            and (scope is None or scope_of(each.tree) is scope)
            and (node is None or _is_of(each.tree, node, labels))
        ),
        key=lambda each: each.name,
    )


def _is_of(tree: Tree, node: str, labels: dict[str, str] | None) -> bool:
    """Tell whether a peer is one of a node: by its name, or by its labels if there is such."""
    spec = spec_of(tree)
    if spec.get("node"):
        return spec["node"] in (node, normal_node_name(node))
    if labels is None or not spec.get("nodeSelector"):
        return False
    try:
        return parse_selector(str(spec["nodeSelector"]).strip()).matches(labels)
    except SelectorError:
        # What cannot be read selects nothing.
        return False


def peers_at(
    resources: Iterable[Stored], address: str, scope: Scope | None, node: str | None
) -> list[Stored]:
    """Give the BGPPeers of an address, however it is spelt."""
    wanted = str(ip_address(address))
    return [
        each
        for each in peers_of(resources, scope, node)
        if (endpoint := endpoint_of(map_at(each.tree, "spec").get("peerIP"))) is not None
        and endpoint.address == wanted
    ]
