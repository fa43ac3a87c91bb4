"""What fields of a resource demand of each other.

Each rule is a small function over the tree of a document that yields violations; its docstring
says whose rule it is: *CRD* for OpenAPI and CEL rules of Calico's custom resources, *Go* for the
validator of Calico's clients, *client* for what calicoctl checks, *ours* for what Calico lets
through and regrets. Rules look at trees and not at models so that all mistakes of a document are
told at once; they must therefore bear any nonsense in the fields.

`CHECKS` are errors, `CAUTIONS` are warnings, both by kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias

from speaker.config.annotations import TEXT_MAPS, check_keys
from speaker.config.documents import Tree
from speaker.config.kinds import Kind
from speaker.config.problems import FieldPath, Violation
from speaker.config.scalars import (
    Endpoint,
    ScalarError,
    as_text,
    is_label_value,
    is_qualified_name,
    parse_asn,
    parse_community,
    parse_duration,
    parse_ip,
    parse_peer_ip,
)

Check: TypeAlias = Callable[[Mapping[str, Any]], Iterator[Violation]]
Network: TypeAlias = IPv4Network | IPv6Network

MAX_ANNOTATIONS = 256 * 1024
MAX_RESTART_TIME = 4095
"""Seconds that fit the capability's twelve bits (RFC 4724 §3)."""


def spec_of(tree: Tree) -> Mapping[str, Any]:
    """Give the spec if it is a mapping, else an empty one."""
    return map_at(tree, "spec")


def map_at(tree: Tree, key: str) -> Mapping[str, Any]:
    """Give the mapping under a key, else an empty one."""
    found = tree.get(key) if isinstance(tree, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def list_at(tree: Tree, key: str) -> list[Any]:
    """Give the list under a key, else an empty one."""
    found = tree.get(key) if isinstance(tree, Mapping) else None
    return found if isinstance(found, list) else []


def name_of(tree: Tree) -> str:
    """Give the resource's name if there is one."""
    name = map_at(tree, "metadata").get("name")
    return name if isinstance(name, str) else ""


def text_map(tree: Tree, path: FieldPath) -> dict[str, str]:
    """Give a map of texts, with scalars turned into text."""
    for key in path:
        tree = map_at(tree, str(key))
    texts: dict[str, str] = {}
    for key, value in tree.items():
        if not isinstance(value, dict | list):
            texts[key] = as_text(value)
    return texts


def _asn(value: Any) -> int:
    """Give an AS number, 0 where there is none that can be read."""
    try:
        return parse_asn(value)
    except ScalarError:
        return 0


def _endpoint(value: Any) -> Endpoint | None:
    try:
        return parse_peer_ip(value)
    except ScalarError:
        return None


def _network(value: Any) -> Network | None:
    try:
        return ip_network(value) if isinstance(value, str) else None
    except ValueError:
        return None


# Every kind.


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


def keys_of(kind: Kind) -> Check:
    """Make the check of the keys ``wren.bgp/…`` for a kind (ours)."""

    def wren_keys(tree: Mapping[str, Any]) -> Iterator[Violation]:
        for path in TEXT_MAPS:
            yield from check_keys(kind, path, text_map(tree, path))

    return wren_keys


# BGPPeer.


def _exclusive(first: str, second: str) -> Check:
    def exclusive(tree: Mapping[str, Any]) -> Iterator[Violation]:
        spec = spec_of(tree)
        if spec.get(first) and spec.get(second):
            yield Violation(
                ("spec", second), "exclusive", f"{first} and {second} cannot both be given"
            )

    exclusive.__doc__ = f"CRD: {first} excludes {second}."
    return exclusive


def no_asn_with_peer_selector(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: with peerSelector the AS is the selected nodes' own, so asNumber is absent or 0."""
    spec = spec_of(tree)
    if spec.get("peerSelector") and _asn(spec.get("asNumber", 0)):
        yield Violation(
            ("spec", "asNumber"),
            "exclusive",
            "asNumber cannot be given with peerSelector; the selected nodes' own AS is used",
        )


def local_workloads_need_an_as(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: localWorkloadSelector demands an asNumber other than 0."""
    spec = spec_of(tree)
    if spec.get("localWorkloadSelector") and spec.get("asNumber") in (None, 0, "0", ""):
        yield Violation(
            ("spec", "asNumber"), "required", "localWorkloadSelector needs an asNumber above 0"
        )


def as_zero(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: AS 0 may not be a peer's (RFC 7607); BIRD refuses its whole configuration for it."""
    spec = spec_of(tree)
    for field in ("asNumber", "localASNumber"):
        if spec.get(field) is None or (spec.get("peerSelector") and field == "asNumber"):
            continue
        try:
            number = parse_asn(spec[field])
        except ScalarError:
            continue
        if number == 0 and not (field == "asNumber" and spec.get("localWorkloadSelector")):
            yield Violation(("spec", field), "as-zero", "AS 0 is reserved (RFC 7607)")


def next_hop_modes(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: keepOriginalNextHop (deprecated) forbids nextHopMode."""
    spec = spec_of(tree)
    if spec.get("keepOriginalNextHop") is True and spec.get("nextHopMode") is not None:
        yield Violation(
            ("spec", "keepOriginalNextHop"),
            "exclusive",
            "keepOriginalNextHop and nextHopMode cannot both be given; nextHopMode: Keep says it",
        )


def reachable_by(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: reachableBy requires peerIP. Go: both are of one family."""
    spec = spec_of(tree)
    if not spec.get("reachableBy"):
        return
    path = ("spec", "reachableBy")
    if not spec.get("peerIP"):
        yield Violation(path, "required", "reachableBy needs a peerIP")
        return
    endpoint = _endpoint(spec["peerIP"])
    try:
        gateway = parse_ip(spec["reachableBy"])
    except ScalarError:
        return
    if endpoint and (":" in gateway) != (":" in endpoint.address):
        yield Violation(path, "family", "reachableBy is not of the family of peerIP")


def passive_with_peer_selector(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: selected nodes may run the same BGPPeer, and then both ends would only wait."""
    if not spec_of(tree).get("peerSelector"):
        return
    for path in TEXT_MAPS:
        if text_map(tree, path).get("wren.bgp/passive", "off").lower() in ("on", "true", "yes"):
            yield Violation(
                (*path, "wren.bgp/passive"),
                "exclusive",
                "wren.bgp/passive cannot be on with peerSelector; both ends might only wait",
            )


def no_target(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: Calico accepts a BGPPeer without target and then skips it."""
    spec = spec_of(tree)
    if not any(spec.get(name) for name in ("peerIP", "peerSelector", "localWorkloadSelector")):
        yield Violation(
            ("spec",),
            "no-target",
            "neither peerIP nor peerSelector: there is nobody to peer with",
        )


def no_asn(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a peerIP without AS validates in Calico and is skipped at run time."""
    spec = spec_of(tree)
    if spec.get("peerIP") and spec.get("asNumber") is None:
        yield Violation(("spec", "asNumber"), "no-as", "no asNumber: the peer will be skipped")


def old_next_hop_field(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Calico 3.31 deprecates keepOriginalNextHop."""
    if spec_of(tree).get("keepOriginalNextHop") is True:
        yield Violation(
            ("spec", "keepOriginalNextHop"), "deprecated", "deprecated; write nextHopMode: Keep"
        )


def long_restart_time(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """RFC 4724 §3: the restart time has twelve bits."""
    spec = spec_of(tree)
    fields = ("maxRestartTime", "nodeMeshMaxRestartTime")
    for field in fields:
        try:
            seconds = parse_duration(spec.get(field))
        except ScalarError:
            continue
        if seconds > MAX_RESTART_TIME and spec.get("restartMode") != "LongLivedGracefulRestart":
            yield Violation(
                ("spec", field), "range", f"more than {MAX_RESTART_TIME} s cannot be announced"
            )


# BGPConfiguration.

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
    spec = spec_of(tree)
    if spec.get("asNumber") is not None and spec["asNumber"] in (0, "0", "0.0"):
        yield Violation(("spec", "asNumber"), "as-zero", "AS 0 is reserved")


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


# Node.


def empty_bgp(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: an empty ``bgp: {}`` is invalid."""
    if spec_of(tree).get("bgp") == {}:
        yield Violation(("spec", "bgp"), "empty", "bgp is empty; leave it out or give an address")


def node_as_zero(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: AS 0 cannot be a speaker's own (RFC 7607)."""
    if map_at(spec_of(tree), "bgp").get("asNumber") in (0, "0", "0.0"):
        yield Violation(("spec", "bgp", "asNumber"), "as-zero", "AS 0 is reserved")


# IPPool.


def pool_encapsulation(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: IPIP and VXLAN exclude each other; there is no IPIP for IPv6."""
    spec = spec_of(tree)
    ipip = spec.get("ipipMode") not in (None, "", "Never")
    if ipip and spec.get("vxlanMode") not in (None, "", "Never"):
        yield Violation(
            ("spec", "vxlanMode"), "exclusive", "ipipMode and vxlanMode cannot both be in use"
        )
    if ipip and isinstance(_network(spec.get("cidr")), IPv6Network):
        yield Violation(("spec", "ipipMode"), "family", "there is no IPIP for IPv6")


_LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))


def pool_range(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: block sizes are 20–32 and 116–128; a pool holds a block; no link-local pools."""
    spec = spec_of(tree)
    network = _network(spec.get("cidr"))
    if network is None:
        return
    low, high, usual = (20, 32, 26) if isinstance(network, IPv4Network) else (116, 128, 122)
    size = spec.get("blockSize", usual)
    if not isinstance(size, int) or not low <= size <= high:
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
    if spec.get("assignmentMode") not in (None, "Automatic", "Manual"):
        yield Violation(("spec", "assignmentMode"), "enum", "is neither Automatic nor Manual")


def _load_balancer_pool(spec: Mapping[str, Any]) -> Iterator[Violation]:
    for field in ("ipipMode", "vxlanMode"):
        if spec.get(field) not in (None, "", "Never"):
            yield Violation(("spec", field), "exclusive", "a LoadBalancer pool is not encapsulated")
    if spec.get("disableBGPExport") is True:
        yield Violation(("spec", "disableBGPExport"), "exclusive", "not on a LoadBalancer pool")
    if str(spec.get("nodeSelector") or "all()").strip() != "all()":
        yield Violation(
            ("spec", "nodeSelector"), "exclusive", "a LoadBalancer pool is for all nodes: all()"
        )


def pool_selectors(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: ``global()`` means nothing in a pool."""
    for field in ("nodeSelector", "namespaceSelector"):
        if "global()" in str(spec_of(tree).get(field, "")):
            yield Violation(("spec", field), "selector", "global() cannot be used here")


# BlockAffinity.


def affinity_state(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: type is host or virtual. Go: an affinity that is deleted is not written."""
    spec = spec_of(tree)
    if spec.get("type") not in (None, "", "host", "virtual"):
        yield Violation(("spec", "type"), "enum", f"{spec['type']!r} is neither host nor virtual")
    if spec.get("deleted") in (True, "true"):
        yield Violation(("spec", "deleted"), "deleted", "deleted must not be true")


# BGPFilter.

_WIDTHS = {"importV4": 4, "exportV4": 4, "importV6": 6, "exportV6": 6}
_CONDITIONS = ("cidr", "source", "interface", "peerType", "communities", "asPathPrefix", "priority")


def _filter_rules(tree: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Mapping[str, Any], int]]:
    for field, version in _WIDTHS.items():
        for number, rule in enumerate(list_at(spec_of(tree), field)):
            if isinstance(rule, Mapping):
                yield ("spec", field, number), rule, version


def cidr_with_operator(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: cidr and matchOperator come both or not at all; prefixLength requires cidr."""
    for path, rule, _ in _filter_rules(tree):
        if bool(rule.get("cidr")) != bool(rule.get("matchOperator")):
            missing = "matchOperator" if rule.get("cidr") else "cidr"
            yield Violation((*path, missing), "required", "cidr and matchOperator come together")
        if rule.get("prefixLength") is not None and not rule.get("cidr"):
            yield Violation((*path, "prefixLength"), "required", "prefixLength needs a cidr")


def cidr_family(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Go: the cidr of a rule is of the rule's family."""
    for path, rule, version in _filter_rules(tree):
        network = _network(rule.get("cidr"))
        if network is not None and network.version != version:
            yield Violation((*path, "cidr"), "family", f"{rule['cidr']} is not IPv{version}")


def operations(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: operations go with Accept only, and each does exactly one thing."""
    for path, rule, _ in _filter_rules(tree):
        found = list_at(rule, "operations")
        if found and rule.get("action") == "Reject":
            yield Violation((*path, "operations"), "exclusive", "operations need action Accept")
        for number, operation in enumerate(found):
            if isinstance(operation, Mapping) and len(operation) != 1:
                yield Violation(
                    (*path, "operations", number),
                    "exclusive",
                    "exactly one of addCommunity, prependASPath, setPriority",
                )


def surprising_rules(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: rules that Calico accepts and that never, or always, match."""
    for path, rule, _ in _filter_rules(tree):
        length = rule.get("prefixLength")
        if length is not None and rule.get("matchOperator") in ("Equal", "NotEqual"):
            often = "never" if rule["matchOperator"] == "Equal" else "always"
            message = f"{rule['matchOperator']} with prefixLength {often} matches; use In or NotIn"
            yield Violation((*path, "prefixLength"), "never-matches", message)
        low, high = map_at(rule, "prefixLength").get("min"), map_at(rule, "prefixLength").get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield Violation((*path, "prefixLength"), "never-matches", "min is above max")


def dead_rules(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: behind a rule without condition, and in a filter chain, nothing is reached."""
    for field in _WIDTHS:
        rules = list_at(spec_of(tree), field)
        for number, rule in enumerate(rules[:-1]):
            if isinstance(rule, Mapping) and not any(rule.get(name) for name in _CONDITIONS):
                path = ("spec", field, number + 1)
                message = f"never reached: rule {number} matches everything"
                yield Violation(path, "never-matches", message)
                break


# Secret.


def trailing_newline(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a line end at the end of a password is nearly always an accident."""
    for key, value in map_at(tree, "stringData").items():
        if isinstance(value, str) and value.endswith("\n"):
            yield Violation(("stringData", key), "newline", "ends with a line end; it will be used")


CHECKS: dict[Kind, tuple[Check, ...]] = {
    Kind.BGP_PEER: (
        _exclusive("node", "nodeSelector"),
        _exclusive("peerSelector", "peerIP"),
        _exclusive("localWorkloadSelector", "peerIP"),
        _exclusive("localWorkloadSelector", "peerSelector"),
        no_asn_with_peer_selector,
        local_workloads_need_an_as,
        as_zero,
        next_hop_modes,
        reachable_by,
        passive_with_peer_selector,
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
    Kind.SECRET: (),
}

CAUTIONS: dict[Kind, tuple[Check, ...]] = {
    Kind.BGP_PEER: (no_target, no_asn, old_next_hop_field, long_restart_time),
    Kind.BGP_CONFIGURATION: (configuration_name, ignored_on_node, long_restart_time),
    Kind.BGP_FILTER: (surprising_rules, dead_rules),
    Kind.SECRET: (trailing_newline,),
}


def errors_of(kind: Kind, tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Run all checks of a kind."""
    for check in (metadata_texts, keys_of(kind), *CHECKS[kind]):
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
