"""What fields of BGPConfiguration, Node, IPPool and BlockAffinity demand of each other.

See `speaker.config.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from speaker.config.problems import FieldPath, Violation
from speaker.config.scalars import ScalarError, has_host_bits, parse_community, read_network
from speaker.config.selectors import All, Selector, SelectorError, parse_selector
from speaker.config.trees import given_asn, list_at, map_at, name_of, network_of, spec_of

SERVICE_BLOCKS = ("serviceClusterIPs", "serviceExternalIPs", "serviceLoadBalancerIPs")
DEFAULT_ONLY = (
    "nodeToNodeMeshEnabled",
    "asNumber",
    "nodeMeshPassword",
    "nodeMeshMaxRestartTime",
)
HONOURED_ON_NODE = ("logSeverityScreen", "listenPort", "prefixAdvertisements", "communities")


def mesh_settings_without_mesh(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: mesh password and restart time are forbidden when the mesh is explicitly off."""
    spec = spec_of(tree)
    if spec.get("nodeToNodeMeshEnabled") is not False:
        return
    for field in ("nodeMeshPassword", "nodeMeshMaxRestartTime"):
        if spec.get(field) is not None:
            yield Violation(
                ("spec", field), "exclusive", f"{field} makes no sense while the mesh is off"
            )


def communities_need_advertisements(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: communities without prefixAdvertisements are refused."""
    spec = spec_of(tree)
    if list_at(spec, "communities") and not list_at(spec, "prefixAdvertisements"):
        yield Violation(
            ("spec", "communities"), "required", "communities need prefixAdvertisements to use them"
        )


def advertised_communities(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: an advertised community is a value, or a name defined in the same resource."""
    spec = spec_of(tree)
    names = {entry.get("name") for entry in list_at(spec, "communities") if isinstance(entry, dict)}
    for number, entry in enumerate(list_at(spec, "prefixAdvertisements")):
        for place, community in enumerate(list_at(entry, "communities")):
            if community in names:
                continue
            try:
                parse_community(community)
            except ScalarError:
                yield Violation(
                    ("spec", "prefixAdvertisements", number, "communities", place),
                    "community",
                    f"{community!r} is neither a community nor a name given in spec.communities",
                )


def default_only(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Client: some fields may be set on ``default`` alone."""
    if not name_of(tree).startswith("node."):
        return
    for field in DEFAULT_ONLY:
        if spec_of(tree).get(field) is not None:
            yield Violation(("spec", field), "default-only", f"{field} can be set on default only")


def zero_default_as(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: AS 0 cannot be a speaker's own (RFC 7607)."""
    yield from _zero(spec_of(tree), ("spec", "asNumber"))


def _zero(holder: Mapping[str, Any], path: FieldPath) -> Iterator[Violation]:
    number = holder.get("asNumber")
    if number not in (None, "") and given_asn(number) == 0:
        yield Violation(path, "as-zero", "AS 0 is reserved (RFC 7607)")


def everything_ignored(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: an ignored interface is not ``*`` alone."""
    for number, pattern in enumerate(list_at(spec_of(tree), "ignoredInterfaces")):
        if pattern == "*":
            yield Violation(
                ("spec", "ignoredInterfaces", number), "interface", "* would ignore all interfaces"
            )


def configuration_name(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Calico ignores a BGPConfiguration of another name."""
    name = name_of(tree)
    if name and name != "default" and not name.startswith("node."):
        yield Violation(
            ("metadata", "name"), "ignored", "neither default nor node.<name>: this is ignored"
        )


def ignored_on_node(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Calico honours four fields of ``node.<name>``, no more."""
    if not name_of(tree).startswith("node."):
        return
    for field in spec_of(tree):
        if field not in HONOURED_ON_NODE and field not in DEFAULT_ONLY:
            yield Violation(("spec", field), "ignored", f"{field} is honoured on default only")


def empty_bgp(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: an empty ``bgp: {}`` is invalid."""
    if spec_of(tree).get("bgp") == {}:
        yield Violation(("spec", "bgp"), "empty", "bgp is empty; leave it out or give an address")


def node_as_zero(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: AS 0 cannot be a speaker's own (RFC 7607)."""
    yield from _zero(map_at(spec_of(tree), "bgp"), ("spec", "bgp", "asNumber"))


def pool_encapsulation(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: IPIP and VXLAN exclude each other; there is no IPIP for IPv6."""
    spec = spec_of(tree)
    ipip = spec.get("ipipMode") not in (None, "", "Never")
    if ipip and spec.get("vxlanMode") not in (None, "", "Never"):
        yield Violation(
            ("spec", "vxlanMode"), "exclusive", "ipipMode and vxlanMode cannot both be in use"
        )
    if ipip and isinstance(network_of(spec.get("cidr")), IPv6Network):
        yield Violation(("spec", "ipipMode"), "family", "there is no IPIP for IPv6")


_LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))


def pool_range(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: block sizes are 20–32 and 116–128; a pool holds a block; no link-local pools."""
    spec = spec_of(tree)
    network = network_of(spec.get("cidr"))
    if network is None:
        return
    low, high, usual = (20, 32, 26) if isinstance(network, IPv4Network) else (116, 128, 122)
    size = spec.get("blockSize")
    if size in (None, ""):
        size = usual
    if not isinstance(size, int) or isinstance(size, bool):
        return
    if not low <= size <= high:
        yield Violation(("spec", "blockSize"), "range", f"blockSize is {low}–{high}")
    elif network.prefixlen > size:
        yield Violation(("spec", "cidr"), "range", f"the pool is smaller than one block (/{size})")
    for forbidden in _LINK_LOCAL:
        if network.version == forbidden.version and network.overlaps(forbidden):
            yield Violation(("spec", "cidr"), "range", f"a pool cannot lie in {forbidden}")


def pool_uses(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: LoadBalancer stands alone, unencapsulated; Tunnel excludes namespaceSelector."""
    spec = spec_of(tree)
    path = ("spec", "allowedUses")
    uses = list_at(spec, "allowedUses")
    for number, use in enumerate(uses):
        if use not in ("Workload", "Tunnel", "LoadBalancer"):
            message = f"{use!r} is none of Workload, Tunnel, LoadBalancer"
            yield Violation((*path, number), "enum", message)
    if "LoadBalancer" in uses:
        if len(uses) > 1:
            yield Violation(path, "exclusive", "LoadBalancer cannot be combined with other uses")
        yield from _load_balancer_pool(spec)
    if "Tunnel" in uses and spec.get("namespaceSelector"):
        yield Violation(("spec", "namespaceSelector"), "exclusive", "not with the use Tunnel")
    if spec.get("assignmentMode") not in (None, "", "Automatic", "Manual"):
        yield Violation(("spec", "assignmentMode"), "enum", "is neither Automatic nor Manual")


def _load_balancer_pool(spec: Mapping[str, Any]) -> Iterator[Violation]:
    for field in ("ipipMode", "vxlanMode"):
        if spec.get(field) not in (None, "", "Never"):
            yield Violation(("spec", field), "exclusive", "a LoadBalancer pool is not encapsulated")
    if spec.get("disableBGPExport") is True:
        yield Violation(("spec", "disableBGPExport"), "exclusive", "not on a LoadBalancer pool")
    selector = _selector(spec.get("nodeSelector"))
    if selector is not None and selector.root != All():
        yield Violation(
            ("spec", "nodeSelector"), "exclusive", "a LoadBalancer pool is for all nodes: all()"
        )


def pool_selectors(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: ``global()`` means nothing in a pool."""
    for field in ("nodeSelector", "namespaceSelector"):
        selector = _selector(spec_of(tree).get(field))
        if selector is not None and any(node == All("global") for node in selector.nodes()):
            yield Violation(("spec", field), "selector", "global() cannot be used here")


def _selector(value: object) -> Selector | None:
    """Read a selector; the empty one chooses all, and of one that cannot be read there is None."""
    try:
        return parse_selector(value.strip() if isinstance(value, str) else "")
    except SelectorError:
        return None


def affinity_state(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: type is host or virtual. Go: an affinity that is deleted is not written."""
    spec = spec_of(tree)
    if spec.get("type") not in (None, "", "host", "virtual"):
        yield Violation(("spec", "type"), "enum", f"{spec['type']!r} is neither host nor virtual")
    if spec.get("deleted") in (True, "true"):
        yield Violation(("spec", "deleted"), "deleted", "deleted must not be true")


def host_bits(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: Calico takes such a CIDR, and BIRD then refuses its whole configuration."""
    for field in (*SERVICE_BLOCKS, "prefixAdvertisements"):
        for number, entry in enumerate(list_at(spec_of(tree), field)):
            cidr = map_at({"entry": entry}, "entry").get("cidr")
            if has_host_bits(cidr):
                message = f"{cidr} has host bits set; {read_network(cidr)} is used"
                yield Violation(("spec", field, number, "cidr"), "host-bits", message)
