"""Documents of Calico 2.x (``apiVersion: v1``), turned into v3.

bgpPeer, node and ipPool are converted as ``calicoctl convert`` did; names of converted peers are
the ones that Calico's own upgrade gave. Everything else of v1 is refused by the reader with the
v3 form's name. A converted document remembers where its fields stood, so that problems point at
what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

from speaker.config.documents import Document, Tree
from speaker.config.kinds import Kind
from speaker.config.problems import FieldPath, Violation
from speaker.config.trees import map_at, spec_of

V3 = "projectcalico.org/v3"


def is_legacy(document: Document, kind: Kind) -> bool:
    """Tell whether a document is one of Calico 2.x."""
    if document.tree.get("apiVersion") != "v1" or kind not in _CONVERTERS:
        return False
    # A Kubernetes Node says v1 too; it has no BGP settings in its spec.
    return kind is not Kind.NODE or "bgp" in spec_of(document.tree)


def convert(document: Document, kind: Kind) -> tuple[Document, list[Violation]]:
    """Give the v3 form of a v1 document, and what is wrong with the old form."""
    violations = list(_CHECKS.get(kind, lambda _: ())(document.tree))
    tree, renamed = _CONVERTERS[kind](document.tree)
    return replace(document, tree=tree, renamed=renamed), violations


def _check_peer(tree: Tree) -> list[Violation]:
    """Calico 2.x: scope global has no node, scope node has one, and there is a peerIP."""
    metadata = map_at(tree, "metadata")
    scope, node = metadata.get("scope"), metadata.get("node")
    found: list[Violation] = []
    if scope not in ("global", "node"):
        found.append(Violation(("metadata", "scope"), "enum", "scope is global or node"))
    if scope == "global" and node:
        found.append(Violation(("metadata", "node"), "exclusive", "scope global has no node"))
    if scope == "node" and not node:
        found.append(Violation(("metadata", "node"), "required", "scope node needs a node"))
    if not metadata.get("peerIP"):
        found.append(Violation(("metadata", "peerIP"), "required", "peerIP is required"))
    return found


_CHECKS: dict[Kind, Callable[[Tree], list[Violation]]] = {Kind.BGP_PEER: _check_peer}


def normal_node_name(name: str) -> str:
    """Make a v3 name of a v1 node name, as Calico's upgrade did."""
    name = name.lower().replace("/", ".")
    name = re.sub(r"[^a-z0-9.-]", "-", name)
    name = re.sub(r"[-.]*\.[-.]*", ".", name)
    return name.strip(".-")


def _address_name(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return "invalid"
    if isinstance(address, IPv4Address):
        return str(address).replace(".", "-")
    return address.exploded.replace(":", "-")


def _v3(kind: Kind, name: str, spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> Tree:
    kept = {key: metadata[key] for key in ("labels", "annotations") if key in metadata}
    return {
        "apiVersion": V3,
        "kind": kind.value,
        "metadata": {"name": name, **kept},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _peer(tree: Tree) -> tuple[Tree, dict[FieldPath, FieldPath]]:
    metadata = map_at(tree, "metadata")
    name = _address_name(str(metadata.get("peerIP")))
    node = metadata.get("node")
    spec = {**spec_of(tree), "peerIP": metadata.get("peerIP")}
    if node:
        spec["node"] = normal_node_name(str(node))
        name = f"{spec['node']}.{name}"
    renamed: dict[FieldPath, FieldPath] = {
        ("spec", "peerIP"): ("metadata", "peerIP"),
        ("spec", "node"): ("metadata", "node"),
        ("metadata", "name"): ("metadata",),
    }
    return _v3(Kind.BGP_PEER, name, spec, metadata), renamed


def _node(tree: Tree) -> tuple[Tree, dict[FieldPath, FieldPath]]:
    metadata = map_at(tree, "metadata")
    name = normal_node_name(str(metadata.get("name", "")))
    return _v3(Kind.NODE, name, spec_of(tree), metadata), {}


def _pool(tree: Tree) -> tuple[Tree, dict[FieldPath, FieldPath]]:
    metadata, old = map_at(tree, "metadata"), spec_of(tree)
    cidr = str(metadata.get("cidr"))
    ipip = map_at(old, "ipip")
    mode = {"always": "Always", "cross-subnet": "CrossSubnet"}.get(str(ipip.get("mode", "always")))
    spec = {
        "cidr": cidr,
        "ipipMode": mode or ipip.get("mode") if ipip.get("enabled") else None,
        "natOutgoing": old.get("nat-outgoing"),
        "disabled": old.get("disabled"),
    }
    name = re.sub(r"[^a-z0-9]+", "-", cidr.lower()).strip("-")
    return _v3(Kind.IP_POOL, name, spec, metadata), {("spec", "cidr"): ("metadata", "cidr")}


_CONVERTERS: dict[Kind, Callable[[Tree], tuple[Tree, dict[FieldPath, FieldPath]]]] = {
    Kind.BGP_PEER: _peer,
    Kind.NODE: _node,
    Kind.IP_POOL: _pool,
}
