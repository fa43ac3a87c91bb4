"""Resources and a node's name in, one frozen plan out.

`resolve` is the whole of it: selectors, mesh, reverse peerings, secrets and filters are settled,
and what is left is plain values: a `PeerPlan` for each session, what the node originates, its
static routes, the built-in policy for each family. Whatever is wrong in the resources without
stopping the speaker is in `Plan.conditions`. The same input gives the same plan, always; what two
plans differ in is `speaker.config.changes`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from policy.calico import BuiltinPolicy, Pool, PrefixCommunities
from policy.prefix import WIDTH, Nlri, host_prefix
from speaker.config.annotations import AddPathMode, PolicyMode
from speaker.config.cluster import BGP_PORT, Cluster, Member
from speaker.config.conditions import Condition, Conditions, Gravity
from speaker.config.filters import afi_of, packed
from speaker.config.identity import router_id_of
from speaker.config.peerplan import OnChange, PeerKind, PeerPlan, planned
from speaker.config.peers import plan_peers
from speaker.config.resources import (
    BindMode,
    BlockState,
    GatewayMode,
    NextHopMode,
    RestartMode,
    Severity,
)
from speaker.config.secrets import Secret
from speaker.config.store import Resources
from speaker.errors import ConfigError

__all__ = [
    "AddPathMode",
    "Condition",
    "GatewayMode",
    "Gravity",
    "NextHopMode",
    "OnChange",
    "Origination",
    "OriginationKind",
    "PeerKind",
    "PeerPlan",
    "Plan",
    "PolicyMode",
    "RestartMode",
    "Secret",
    "Severity",
    "StaticRoute",
    "planned",
    "resolve",
]


class OriginationKind(StrEnum):
    """Why this node announces a prefix as its own."""

    BLACKHOLE = "blackhole"
    """An own block: a blackhole route stands for it, more specific routes win over that."""
    NETWORK = "network"
    """Announced without any route."""


@dataclass(frozen=True, slots=True, order=True)
class Origination:
    """A prefix that this node announces as its own."""

    family: Family
    nlri: Nlri
    kind: OriginationKind


@dataclass(frozen=True, slots=True, order=True)
class StaticRoute:
    """A route that the plan demands.

    Attributes:
        via: the gateway, canonical text; empty for a blackhole.
    """

    family: Family
    nlri: Nlri
    via: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one node has to do.

    Attributes:
        asn: the node's effective AS.
        cluster_id: the node's own, if it is a route reflector.
        listen_addresses: empty for all.
        peers: by name, sorted by it.
        blocks: own blocks that are advertised as a whole.
        originated: what is announced as our own.
        static_routes: blackholes of blocks, and gateways of ``reachableBy``.
        policies: Calico's built-in policy; in mode plain it is there and not asked.
        own_addresses: canonical text.
        standing: mesh sessions that a route reflector has no more: none is opened, but one that
            stands goes on while the mesh is on, until a BGPPeer takes its place.
    """

    node: str
    asn: int
    router_id: int
    cluster_id: int | None
    listen_port: int
    listen_addresses: tuple[str, ...]
    mode: PolicyMode
    peers: Mapping[str, PeerPlan]
    blocks: tuple[tuple[Family, Nlri], ...]
    originated: tuple[Origination, ...]
    static_routes: tuple[StaticRoute, ...]
    policies: Mapping[Family, BuiltinPolicy]
    own_addresses: tuple[str, ...]
    ignored_interfaces: tuple[str, ...]
    log_severity: Severity
    conditions: tuple[Condition, ...]
    standing: Mapping[str, PeerPlan] = field(default_factory=dict)


def resolve(resources: Resources, node: str, router_id_env: str | None = None) -> Plan:
    """Compute the plan of a node.

    Args:
        resources: all of them.
        node: the name of the Node.
        router_id_env: the value of ``CALICO_ROUTER_ID``.

    Raises:
        ConfigError: there is no such node, it has no address, or the router id makes no sense.
    """
    cluster = Cluster.of(resources)
    me = _this_node(cluster, node)
    conditions = Conditions()
    router_id = router_id_of(me, router_id_env, conditions)
    options = cluster.options_of(node)
    mode = options.policy or PolicyMode.CALICO
    blocks = _Blocks.of(resources, node)
    own_addresses = tuple(address for _, address in me.addresses())
    bind = cluster.default.bind_mode is BindMode.NODE_IP
    peers, standing = plan_peers(resources, cluster, me, mode, router_id, conditions)
    return Plan(
        node=node,
        asn=cluster.asn_of(me),
        router_id=router_id,
        cluster_id=me.cluster_id,
        listen_port=me.listen_port or BGP_PORT,
        listen_addresses=own_addresses if bind else (),
        mode=mode,
        peers=peers,
        blocks=blocks.aggregates,
        originated=_originated(blocks, options.networks or (), mode),
        static_routes=(*blocks.blackholes, *_gateways(resources, peers, conditions)),
        policies={
            family: _policy(resources, cluster, me, family, blocks)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
        },
        own_addresses=own_addresses,
        ignored_interfaces=tuple(cluster.default.ignored_interfaces),
        log_severity=cluster.severity_of(node),
        conditions=(*conditions.all(), *_foreign_configurations(resources)),
        standing=standing,
    )


def _this_node(cluster: Cluster, name: str) -> Member:
    me = cluster.member(name)
    if me is None:
        known = ", ".join(member.name for member in cluster.members) or "none at all"
        raise ConfigError(f"there is no Node {name}", hint=f"the resources define {known}")
    if me.ipv4 is None and me.ipv6 is None:
        raise ConfigError(
            f"Node {name} has no BGP address",
            hint="set spec.bgp.ipv4Address or spec.bgp.ipv6Address",
        )
    return me


@dataclass(frozen=True, slots=True)
class _Blocks:
    """A node's own blocks, sorted.

    Calico: a pending block does not exist; a confirmed one (or one of old data without state) is
    advertised as a whole; one that is being given up keeps its blackhole only. A block of a single
    address has no blackhole, which would swallow the packets for the one workload in it.
    """

    aggregates: tuple[tuple[Family, Nlri], ...]
    blackholes: tuple[StaticRoute, ...]

    @classmethod
    def of(cls, resources: Resources, node: str) -> _Blocks:
        aggregates: set[tuple[Family, Nlri]] = set()
        blackholes: set[StaticRoute] = set()
        for affinity in resources.affinities.values():
            spec = affinity.spec
            if spec.node != node or spec.state is BlockState.PENDING:
                continue
            family, nlri = Family(afi_of(spec.cidr), Safi.UNICAST), packed(spec.cidr)
            if spec.state is not BlockState.PENDING_DELETION:
                aggregates.add((family, nlri))
            if nlri[0] < WIDTH[family.afi]:
                blackholes.add(StaticRoute(family, nlri))
        return cls(tuple(sorted(aggregates)), tuple(sorted(blackholes)))


def _originated(
    blocks: _Blocks, networks: tuple[tuple[Afi, Nlri], ...], mode: PolicyMode
) -> tuple[Origination, ...]:
    """Give what is announced: blackholed blocks, and networks that were asked for.

    Without Calico's policy nobody else announces the blocks of a single address, so they count as
    networks there.
    """
    found = {(route.family, route.nlri): OriginationKind.BLACKHOLE for route in blocks.blackholes}
    for afi, nlri in networks:
        found.setdefault((Family(afi, Safi.UNICAST), nlri), OriginationKind.NETWORK)
    if mode is PolicyMode.PLAIN:
        for key in blocks.aggregates:
            found.setdefault(key, OriginationKind.NETWORK)
    return tuple(sorted(Origination(family, nlri, kind) for (family, nlri), kind in found.items()))


def _gateways(
    resources: Resources, peers: Mapping[str, PeerPlan], conditions: Conditions
) -> Iterator[StaticRoute]:
    """Give the host routes of ``reachableBy``, one for each peer address."""
    taken: dict[Nlri, str] = {}
    for peer in peers.values():
        spec = resources.peers[peer.resource].spec if peer.resource else None
        if spec is None or spec.reachable_by is None:
            continue
        address, gateway = ip_address(peer.address), ip_address(spec.reachable_by)
        if address.version != gateway.version:
            conditions.error(
                f"BGPPeer/{peer.resource}", "GatewayFamily", "reachableBy is of the other family"
            )
            continue
        nlri = host_prefix(address.packed)
        if taken.setdefault(nlri, spec.reachable_by) == spec.reachable_by:
            yield StaticRoute(Family(peer.afi, Safi.UNICAST), nlri, spec.reachable_by)


def _policy(
    resources: Resources, cluster: Cluster, me: Member, family: Family, blocks: _Blocks
) -> BuiltinPolicy:
    """Collect what Calico's built-in policy needs to know, for one family."""
    default, afi = cluster.default, family.afi
    is_ipv4 = afi is Afi.IPV4
    interface = me.ipv4 if is_ipv4 else me.ipv6
    return BuiltinPolicy(
        normal_priority=default.ipv4_normal_route_priority
        if is_ipv4
        else default.ipv6_normal_route_priority,
        pools=tuple(
            Pool(
                packed(pool.spec.cidr),
                bgp_export=not pool.spec.disable_bgp_export,
                ipip=pool.spec.ipip_mode,
                vxlan=pool.spec.vxlan_mode,
            )
            for pool in resources.pools.values()
            if afi_of(pool.spec.cidr) is afi
        ),
        own_blocks=tuple(nlri for found, nlri in blocks.aggregates if found == family),
        prefix_communities=tuple(
            PrefixCommunities(packed(entry.cidr), communities)
            for entry, communities in cluster.advertisements_of(me.name)
            if afi_of(entry.cidr) is afi and communities
        ),
        cluster_routes=default.program_cluster_routes,
        own_network=packed(interface.network) if interface else None,
        wireguard_peers=_wireguard_peers(cluster, me, afi),
        has_wireguard=me.wireguard,
        is_reflector=me.cluster_id is not None,
    )


def _wireguard_peers(cluster: Cluster, me: Member, afi: Afi) -> frozenset[bytes]:
    addresses = (
        member.address(afi)
        for member in cluster.members
        if member.wireguard and member.name != me.name
    )
    return frozenset(ip_address(address).packed for address in addresses if address)


def _foreign_configurations(resources: Resources) -> Iterator[Condition]:
    for name in resources.configurations:
        if name != "default" and not name.startswith("node."):
            yield Condition(
                f"BGPConfiguration/{name}",
                Gravity.WARNING,
                "Ignored",
                "neither default nor node.<name>; it is ignored",
            )
