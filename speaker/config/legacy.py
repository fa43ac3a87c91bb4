"""Documents of Calico 2.x (``apiVersion: v1``), turned into v3.

bgpPeer, node and ipPool are converted as ``calicoctl convert`` did; names of converted peers are
the ones that Calico's own upgrade gave. Everything else of v1 is refused by the reader with the
v3 form's name. A converted document remembers where its fields stood, so that problems point at
what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

from speaker.config.documents import Document, Tree
from speaker.config.kinds import CALICO, Kind
from speaker.config.problems import FieldPath, Violation, did_you_mean
from speaker.config.trees import endpoint_of, map_at, spec_of

_KEPT = ("labels", "annotations")
_IPIP_MODES = {"always": "Always", "cross-subnet": "CrossSubnet"}


def is_legacy(document: Document, kind: Kind) -> bool:
    """Tell whether a document is one of Calico 2.x."""
    if document.tree.get("apiVersion") != "v1" or kind not in _CONVERTERS:
        return False
    # A Kubernetes Node says v1 too; it has no BGP settings in its spec.
    return kind is not Kind.NODE or "bgp" in spec_of(document.tree)


def convert(document: Document, kind: Kind) -> Document:
    """Give the v3 form of a v1 document, with what is wrong with the old form."""
    violations = [*_unknown_fields(document.tree, kind), *_CHECKS[kind](document.tree)]
    tree, renamed = _CONVERTERS[kind](document.tree)
    problems = (*document.problems, *map(document.problem, violations))
    return replace(document, tree=tree, renamed=renamed, problems=problems)


_METADATA = {
    Kind.BGP_PEER: ("scope", "node", "peerIP"),
    Kind.NODE: ("name",),
    Kind.IP_POOL: ("cidr",),
}
_SPEC = {
    Kind.BGP_PEER: ("asNumber",),
    Kind.NODE: ("bgp", "orchRefs"),
    Kind.IP_POOL: ("ipip", "nat-outgoing", "disabled"),
}
"""The fields of Calico 2.x, which are not those of v3."""


def _unknown_fields(tree: Tree, kind: Kind) -> Iterator[Violation]:
    """Find what the old form has no field for, and no conversion keeps."""
    known: dict[FieldPath, tuple[str, ...]] = {
        (): ("apiVersion", "kind", "metadata", "spec"),
        ("metadata",): (*_METADATA[kind], *_KEPT),
        ("spec",): _SPEC[kind],
        ("spec", "ipip"): ("enabled", "mode"),
    }
    for path, names in known.items():
        holder: Any = tree
        for step in path:
            holder = map_at(holder, str(step))
        for name in holder:
            if name not in names:
                message = f"{name} is no field here{did_you_mean(name, names)}"
                yield Violation((*path, name), "unknown-field", message)


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
    endpoint = endpoint_of(metadata.get("peerIP"))
    if endpoint is not None and endpoint.port is not None:
        message = "a peerIP of Calico 2.x has no port; write the BGPPeer as v3"
        found.append(Violation(("metadata", "peerIP"), "peer-ip", message))
    return found


def _check_node(tree: Tree) -> list[Violation]:
    """Calico 2.x: a node that does BGP has an address."""
    bgp = map_at(spec_of(tree), "bgp")
    if not bgp or bgp.get("ipv4Address") or bgp.get("ipv6Address"):
        return []
    return [Violation(("spec", "bgp"), "required", "ipv4Address or ipv6Address is required")]


def _check_pool(tree: Tree) -> list[Violation]:
    """Calico 2.x: ipip is always or cross-subnet."""
    mode = map_at(spec_of(tree), "ipip").get("mode")
    if mode in (None, "", *_IPIP_MODES):
        return []
    message = f"{mode!r} is neither always nor cross-subnet"
    return [Violation(("spec", "ipip", "mode"), "enum", message)]


_CHECKS: dict[Kind, Callable[[Tree], list[Violation]]] = {
    Kind.BGP_PEER: _check_peer,
    Kind.NODE: _check_node,
    Kind.IP_POOL: _check_pool,
}


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
    kept = {key: metadata[key] for key in _KEPT if key in metadata}
    return {
        "apiVersion": CALICO,
        "kind": kind.value,
        "metadata": {"name": name, **kept},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _peer(tree: Tree) -> tuple[Tree, dict[FieldPath, FieldPath]]:
    metadata = map_at(tree, "metadata")
    name = _address_name(str(metadata.get("peerIP")))
    node = metadata.get("node")
    spec = {"asNumber": spec_of(tree).get("asNumber"), "peerIP": metadata.get("peerIP")}
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
    spec = {key: spec_of(tree).get(key) for key in _SPEC[Kind.NODE]}
    return _v3(Kind.NODE, name, spec, metadata), {}


def _pool(tree: Tree) -> tuple[Tree, dict[FieldPath, FieldPath]]:
    metadata, old = map_at(tree, "metadata"), spec_of(tree)
    cidr = metadata.get("cidr")
    ipip = map_at(old, "ipip")
    mode = _IPIP_MODES.get(str(ipip.get("mode") or "always"))
    spec = {
        "cidr": cidr,
        "ipipMode": mode if ipip.get("enabled") else None,
        "natOutgoing": old.get("nat-outgoing"),
        "disabled": old.get("disabled"),
    }
    name = re.sub(r"[^a-z0-9]+", "-", str(cidr).lower()).strip("-")
    renamed: dict[FieldPath, FieldPath] = {
        ("spec", "cidr"): ("metadata", "cidr"),
        ("spec", "ipipMode"): ("spec", "ipip"),
        ("spec", "natOutgoing"): ("spec", "nat-outgoing"),
    }
    return _v3(Kind.IP_POOL, name, spec, metadata), renamed


_CONVERTERS: dict[Kind, Callable[[Tree], tuple[Tree, dict[FieldPath, FieldPath]]]] = {
    Kind.BGP_PEER: _peer,
    Kind.NODE: _node,
    Kind.IP_POOL: _pool,
}
