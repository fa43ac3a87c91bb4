"""Calico's built-in policy: what a node tells its peers, and what it lets into the kernel.

`BuiltinPolicy` holds, per address family, what the resources say about pools, blocks and services.
`export_verdicts` answers for the routes that no BGPFilter decided: pools are exported, the blocks
of this node as a whole, service routes, and nothing else. `kernel_verdicts` answers for best routes
on their way to the kernel: what another component of Calico programs is kept out. Both take the
prefixes of one path and give them back grouped, as `policy.filters.Filter.partition` does.

Everything that a prefix alone decides is worked out when the policy is made, for each prefix that
the policy names; a route then costs one search for the longest of them that covers it.

Priority is the kernel's metric, and travels as LOCAL_PREF (`policy.operations`): a route made here
leaves with it, a route from a peer goes into the kernel with it. So ordinary routes leave with
LOCAL_PREF 2147482623, and a route that comes with the classical 100 gets metric 2147483547.

Standards: Calico IPPool, BlockAffinity, BGPConfiguration as its BIRD templates read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache, partial
from typing import Generic, TypeAlias, TypeVar

from policy.attributes import LargeCommunity, PathAttributes
from policy.covering import Covering
from policy.matching import match_interface
from policy.operations import NORMAL_PRIORITY, AddCommunity, Operation, local_pref_of, priority_of
from policy.path import Path, PeerType, Preference, SourceKind
from policy.prefix import Nlri, covers, host_prefix
from policy.rules import Partition, Verdict, by_verdict, effective_local_pref

Decided = TypeVar("Decided")

URGENT_PREFERENCE = 200
"""Protocol preference of a BGP route that must beat the kernel's own, as in a live migration."""


class Encap(StrEnum):
    """When packets of a pool are encapsulated."""

    NEVER = "Never"
    ALWAYS = "Always"
    CROSS_SUBNET = "CrossSubnet"


class ClusterRoutes(StrEnum):
    """Which routes to other nodes' workloads we program; Felix does the others."""

    DISABLED = "Disabled"
    ENABLED = "Enabled"
    ENABLED_IPIP_ONLY = "EnabledIPIPOnly"
    ENABLED_NO_ENCAP_ONLY = "EnabledNoEncapOnly"

    @property
    def covers_ipip(self) -> bool:
        """Tell whether routes of IPIP pools are ours to program."""
        return self in (ClusterRoutes.ENABLED, ClusterRoutes.ENABLED_IPIP_ONLY)

    @property
    def covers_no_encap(self) -> bool:
        """Tell whether routes of pools without encapsulation are ours to program."""
        return self in (ClusterRoutes.ENABLED, ClusterRoutes.ENABLED_NO_ENCAP_ONLY)


@dataclass(frozen=True, slots=True)
class Pool:
    """An IPPool, as far as routes are concerned."""

    cidr: Nlri
    bgp_export: bool = True
    ipip: Encap = Encap.NEVER
    vxlan: Encap = Encap.NEVER


@dataclass(frozen=True, slots=True)
class PrefixCommunities:
    """Communities that routes inside a prefix get when they leave."""

    cidr: Nlri
    communities: tuple[int | LargeCommunity, ...]


@dataclass(frozen=True, slots=True)
class BuiltinPolicy:
    """What Calico's resources say about routes of one address family.

    Attributes:
        normal_priority: the metric of routes that have no other.
        pools: all IP pools, disabled ones too.
        own_blocks: this node's blocks that are advertised as a whole.
        service_routes: what this node advertises for services, CIDRs and single addresses.
        reflector_cidrs: service CIDRs whose single addresses a route reflector passes on.
        kernel_reject: service CIDRs that never go into a kernel.
        prefix_communities: all entries apply that cover a route.
        own_network: the subnet of this node's address; None when it is not known.
        wireguard_peers: BGP addresses (octets) of the other nodes that have WireGuard.
        has_wireguard: this node has it.
        is_reflector: this node has a cluster id.
    """

    normal_priority: int = NORMAL_PRIORITY
    pools: tuple[Pool, ...] = ()
    own_blocks: tuple[Nlri, ...] = ()
    service_routes: tuple[Nlri, ...] = ()
    reflector_cidrs: tuple[Nlri, ...] = ()
    kernel_reject: tuple[Nlri, ...] = ()
    prefix_communities: tuple[PrefixCommunities, ...] = ()
    cluster_routes: ClusterRoutes = ClusterRoutes.ENABLED_NO_ENCAP_ONLY
    own_network: Nlri | None = None
    wireguard_peers: frozenset[bytes] = frozenset()
    has_wireguard: bool = False
    is_reflector: bool = False
    _exports: Covering[_Clause, _Place[Verdict]] = field(init=False, repr=False, compare=False)
    _kernel: Covering[Pool | None, _Place[KernelVerdict]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        # The only way to set a field of a frozen value while it is being made.
        object.__setattr__(self, "_exports", Covering(_export_clauses(self), _export_place))
        kernel = Covering(_kernel_clauses(self), partial(_kernel_place, self))
        object.__setattr__(self, "_kernel", kernel)


@dataclass(frozen=True, slots=True)
class _Place(Generic[Decided]):
    """A prefix that the policy names, and what is decided there, by the path's circumstances."""

    nlri: Nlri
    verdicts: tuple[Decided, ...]


# What a node tells its peers


class ExportReason(StrEnum):
    """Why the built-in policy lets a route out, or not."""

    POOL_NOT_EXPORTED = "inside an IP pool with BGP export disabled"
    TUNNEL = "its interface is a tunnel of Calico's, and the peer is internal"
    DATA_PLANE = "its interface belongs to Calico's eBPF data plane"
    OWN_BLOCK = "a block of this node"
    URGENT = "inside a block of this node, with a better priority than normal"
    INSIDE_BLOCK = "inside a block of this node, which is advertised as a whole"
    SERVICE = "a service route of this node"
    REFLECTED = "a service address, which a route reflector passes on"
    POOL = "inside an IP pool"
    NOT_OURS = "in no IP pool, block or service range"


@dataclass(frozen=True, slots=True)
class _Clause:
    """One statement of the export policy, about the routes inside one prefix."""

    reason: ExportReason | None
    nlri: Nlri
    additions: tuple[Operation, ...] = ()


def _export_clauses(policy: BuiltinPolicy) -> Iterator[tuple[Nlri, _Clause]]:
    """List the statements in the order in which they are tried."""
    for pool in policy.pools:
        if not pool.bgp_export:
            yield pool.cidr, _Clause(ExportReason.POOL_NOT_EXPORTED, pool.cidr)
    for entry in policy.prefix_communities:
        additions = tuple(AddCommunity(community) for community in entry.communities)
        yield entry.cidr, _Clause(None, entry.cidr, additions)
    for block in policy.own_blocks:
        yield block, _Clause(ExportReason.OWN_BLOCK, block)
    for route in policy.service_routes:
        yield route, _Clause(ExportReason.SERVICE, route)
    for cidr in policy.reflector_cidrs if policy.is_reflector else ():
        yield cidr, _Clause(ExportReason.REFLECTED, cidr)
    for pool in policy.pools:
        if pool.bgp_export:
            yield pool.cidr, _Clause(ExportReason.POOL, pool.cidr)


def _export_place(nlri: Nlri, clauses: tuple[_Clause, ...]) -> _Place[Verdict]:
    """Decide for routes inside a prefix and for the prefix itself, normal and urgent ones."""
    return _Place(
        nlri,
        (
            _decide_export(None, clauses, urgent=False),
            _decide_export(None, clauses, urgent=True),
            _decide_export(nlri, clauses, urgent=False),
            _decide_export(nlri, clauses, urgent=True),
        ),
    )


def _decide_export(nlri: Nlri | None, clauses: tuple[_Clause, ...], *, urgent: bool) -> Verdict:
    """Try the statements that cover a route in their order.

    Args:
        nlri: the route, where it is one of the prefixes that the policy names; else None.
        clauses: the statements about prefixes that cover it.
        urgent: the route's metric is below the normal one.
    """
    additions: tuple[Operation, ...] = ()
    for clause in clauses:
        additions += clause.additions
        match clause.reason:
            case None:
                continue
            case ExportReason.POOL_NOT_EXPORTED:
                return _verdict(False, clause.reason)
            case ExportReason.OWN_BLOCK if nlri != clause.nlri and not urgent:
                return _verdict(False, ExportReason.INSIDE_BLOCK)
            case ExportReason.OWN_BLOCK if nlri != clause.nlri:
                return _verdict(True, ExportReason.URGENT, additions)
            case _:
                return _verdict(True, clause.reason, additions)
    return _verdict(False, ExportReason.NOT_OURS)


@lru_cache(maxsize=4096)
def _verdict(
    accepted: bool, reason: ExportReason, operations: tuple[Operation, ...] = ()
) -> Verdict:
    # Shared, so that routes of many places that fare alike stay one group.
    return Verdict(accepted, operations, reason)


# hot: per prefix
def export_verdicts(
    policy: BuiltinPolicy, nlris: list[Nlri], path: Path, internal: bool
) -> Partition:
    """Decide which prefixes of a path a peer may hear.

    Asked only about routes that no BGPFilter decided; a rejected route is final. The prefix
    communities are operations of the verdicts.

    Args:
        policy: of the address family.
        nlris: prefixes of this path.
        path: theirs.
        internal: the peer's AS is the session's local AS.

    Returns:
        (verdict, prefixes); the list that came in where one verdict stands for all.
    """
    withheld = _withheld_by_interface(policy, path.next_hop.interface, internal)
    if withheld is not None:
        # Rejected inside a disabled pool too: asking for each prefix would change the words alone.
        return [(_verdict(False, withheld), nlris)]
    normal = policy.normal_priority
    urgent = priority_of(effective_local_pref(path, normal)) < normal
    find, nothing = policy._exports.find, _verdict(False, ExportReason.NOT_OURS)
    decided = []
    for nlri in nlris:
        place = find(nlri)
        decided.append(place.verdicts[2 * (place.nlri == nlri) + urgent] if place else nothing)
    return by_verdict(decided, nlris)


def _withheld_by_interface(
    policy: BuiltinPolicy, interface: str, internal: bool
) -> ExportReason | None:
    if not interface:
        return None
    tunnels = ["*.cali", "*.calico"] if internal else []
    if internal and not policy.cluster_routes.covers_ipip:
        # Then Felix programs the routes through the IPIP tunnel, and its routes are not for peers.
        tunnels.append("tunl0")
    if any(match_interface(interface, pattern) for pattern in tunnels):
        return ExportReason.TUNNEL
    if match_interface(interface, "bpf*.cali"):
        return ExportReason.DATA_PLANE
    return None


# What goes into the kernel


class KernelAction(StrEnum):
    """What becomes of a best route at the kernel."""

    ACCEPT = "accept"
    REJECT = "reject"
    TUNNEL = "tunnel"
    """Install through the IPIP device, on-link to the BGP next hop."""


class KernelReason(StrEnum):
    """Why a best route goes into the kernel, or not."""

    NOTHING_AGAINST = "nothing speaks against it"
    OWN = "it is the kernel's own"
    SERVICE_CIDR = "inside a service CIDR"
    WIREGUARD = "Felix routes it through WireGuard"
    VXLAN = "inside a VXLAN pool, which Felix programs"
    FELIX_IPIP = "inside an IPIP pool, which Felix programs"
    FELIX_PLAIN = "inside a pool that Felix programs"
    TUNNEL = "inside an IPIP pool"
    SAME_SUBNET = "inside an IPIP pool, and in our own subnet"
    POOL = "inside a pool without encapsulation"


@dataclass(frozen=True, slots=True, eq=False)
class KernelVerdict:
    """An action and the reason for it. Made once and shared; compared by identity."""

    action: KernelAction
    reason: KernelReason


INSTALLED = KernelVerdict(KernelAction.ACCEPT, KernelReason.NOTHING_AGAINST)
_OWN = KernelVerdict(KernelAction.REJECT, KernelReason.OWN)
_SERVICE_CIDR = KernelVerdict(KernelAction.REJECT, KernelReason.SERVICE_CIDR)
_WIREGUARD = KernelVerdict(KernelAction.REJECT, KernelReason.WIREGUARD)
_VXLAN = KernelVerdict(KernelAction.REJECT, KernelReason.VXLAN)
_FELIX_IPIP = KernelVerdict(KernelAction.REJECT, KernelReason.FELIX_IPIP)
_FELIX_PLAIN = KernelVerdict(KernelAction.REJECT, KernelReason.FELIX_PLAIN)
_TUNNEL = KernelVerdict(KernelAction.TUNNEL, KernelReason.TUNNEL)
_SAME_SUBNET = KernelVerdict(KernelAction.ACCEPT, KernelReason.SAME_SUBNET)
_POOL = KernelVerdict(KernelAction.ACCEPT, KernelReason.POOL)

KernelPartition: TypeAlias = list[tuple[KernelVerdict, list[Nlri]]]

_STATIC, _FAR, _NEAR = range(3)
"""Places of a kernel verdict: a route made here; its BGP next hop outside, or in, our subnet."""


def _kernel_clauses(policy: BuiltinPolicy) -> Iterator[tuple[Nlri, Pool | None]]:
    """List the prefixes that matter to the kernel; None says that nothing inside is installed."""
    for cidr in policy.kernel_reject:
        yield cidr, None
    for pool in policy.pools:
        yield pool.cidr, pool


def _kernel_place(
    policy: BuiltinPolicy, nlri: Nlri, pools: tuple[Pool | None, ...]
) -> _Place[KernelVerdict]:
    pool = pools[0]
    if pool is None:
        return _Place(nlri, (_SERVICE_CIDR,) * 3)
    far = _pool_verdict(policy.cluster_routes, pool, near=False)
    return _Place(nlri, (INSTALLED, far, _pool_verdict(policy.cluster_routes, pool, near=True)))


def _pool_verdict(cluster_routes: ClusterRoutes, pool: Pool, *, near: bool) -> KernelVerdict:
    """Decide for a BGP route inside a pool.

    Args:
        cluster_routes: which of them are ours.
        pool: the pool.
        near: the BGP next hop is in this node's subnet.
    """
    if pool.vxlan is not Encap.NEVER:
        return _VXLAN
    if pool.ipip is Encap.NEVER:
        return _POOL if cluster_routes.covers_no_encap else _FELIX_PLAIN
    if not cluster_routes.covers_ipip:
        return _FELIX_IPIP
    return _SAME_SUBNET if near and pool.ipip is Encap.CROSS_SUBNET else _TUNNEL


# hot: per prefix
def kernel_verdicts(policy: BuiltinPolicy, nlris: list[Nlri], path: Path) -> KernelPartition:
    """Decide which prefixes of a best path go into the kernel, and how.

    Returns:
        (verdict, prefixes); the list that came in where one verdict stands for all.
    """
    if path.source.kind in (SourceKind.KERNEL, SourceKind.DIRECT):
        return [(_OWN, nlris)]
    circumstance = _circumstance(policy, path)
    find = policy._kernel.find
    otherwise = _WIREGUARD if _is_by_wireguard(policy, path) else INSTALLED
    groups: dict[KernelVerdict, list[Nlri]] = {}
    for nlri in nlris:
        place = find(nlri)
        verdict = otherwise if place is None else place.verdicts[circumstance]
        if otherwise is _WIREGUARD and verdict is not _SERVICE_CIDR:
            verdict = _WIREGUARD
        if verdict in groups:
            groups[verdict].append(nlri)
        else:
            groups[verdict] = [nlri]
    if len(groups) == 1:
        return [(verdict, nlris) for verdict in groups]
    return list(groups.items())


def verdicts_agree(policy: BuiltinPolicy, next_hops: Iterable[bytes]) -> bool:
    """Tell whether paths of BGP with these next hops have the same verdict on each prefix.

    Args:
        policy: of the node.
        next_hops: BGP next hops, as in `PathAttributes`.
    """
    places = {(_place_of(policy, one), _has_wireguard(policy, one)) for one in next_hops}
    return len(places) <= 1


def _is_by_wireguard(policy: BuiltinPolicy, path: Path) -> bool:
    """Tell whether Felix routes it: both ends have WireGuard."""
    return path.source.is_bgp and _has_wireguard(policy, path.attributes.next_hop)


def _has_wireguard(policy: BuiltinPolicy, next_hop: bytes) -> bool:
    return policy.has_wireguard and next_hop in policy.wireguard_peers


def _circumstance(policy: BuiltinPolicy, path: Path) -> int:
    """Tell which of a place's verdicts is the path's."""
    if not path.source.is_bgp:
        # Blackholes of our blocks and static routes: pools do not matter to them.
        return _STATIC
    return _place_of(policy, path.attributes.next_hop)


def _place_of(policy: BuiltinPolicy, next_hop: bytes) -> int:
    """Tell which of a place's verdicts is that of a BGP next hop."""
    if policy.own_network is None:
        # Without the node's subnet Calico makes no rules for IPv4 pools at all.
        return _STATIC if len(next_hop) == 4 else _FAR
    near = len(next_hop) > 0 and covers(policy.own_network, host_prefix(next_hop))
    return _NEAR if near else _FAR


# Priorities


def export_local_pref(path: Path, normal: int) -> int:
    """Give the LOCAL_PREF with which a path leaves to internal peers.

    Args:
        path: from a peer (its LOCAL_PREF, or the default) or made here (what carries its metric).
        normal: the metric of routes that have none.
    """
    return effective_local_pref(path, normal)


def import_preference(attributes: PathAttributes, normal: int) -> int:
    """Give the protocol preference of a route from a peer, which a good priority raises.

    For routes that no import rule decided: an accepting rule ends the chain before this is asked.
    """
    local_pref = attributes.local_pref
    if local_pref is not None and local_pref > local_pref_of(normal):
        return URGENT_PREFERENCE
    return int(Preference.BGP)


def kernel_metric(path: Path, normal: int) -> int:
    """Give the metric with which a path is installed.

    Returns:
        for a route from a peer what its LOCAL_PREF carries, or ``normal`` where an internal peer
        sent none; for a route made here 0, which leaves the metric to the kernel.
    """
    if not path.source.is_bgp:
        return 0
    if path.attributes.local_pref is None and path.source.peer_type is PeerType.INTERNAL:
        return normal
    return priority_of(effective_local_pref(path))
