"""Resources and a node's name in, one frozen plan out.

`resolve` is the whole of it: selectors, mesh, reverse peerings, secrets and filters are settled,
and what is left is plain values: a `PeerPlan` for each session, what the node originates, its
static routes, the built-in policy for each family. Whatever is wrong in the resources without
stopping the speaker is in `Plan.conditions`. The same input gives the same plan, always; what two
plans differ in is `speaker.config.changes`' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from itertools import chain

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from policy.calico import BuiltinPolicy, Pool, PrefixCommunities
from policy.prefix import WIDTH, Nlri, host_prefix
from policy.resilience import Resilience
from speaker.config.add_path import AddPathMode
from speaker.config.annotations import configuration_options
from speaker.config.bfd import InterfaceTimers, timers_of
from speaker.config.caches import CachePlan, caches_of
from speaker.config.cluster import BGP_PORT, Cluster, Member
from speaker.config.conditions import Condition, Conditions, Gravity
from speaker.config.filters import afi_of, packed
from speaker.config.identity import router_id_of
from speaker.config.keys import PREFIX, PolicyMode
from speaker.config.peerplan import OnChange, PeerKind, PeerPlan, planned
from speaker.config.peers import plan_peers
from speaker.config.pools import overlapping
from speaker.config.ranges import PeerRange
from speaker.config.resources import (
    BindMode,
    BlockState,
    GatewayMode,
    NextHopMode,
    RestartMode,
    Severity,
)
from speaker.config.secrets import Secret
from speaker.config.services import ServiceRanges, of_family
from speaker.config.store import Resources
from speaker.config.workloads import Workload
from speaker.errors import ConfigError

__all__ = [
    "SELECTION_DEFERRAL",
    "AddPathMode",
    "CachePlan",
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
    """A prefix that this node announces as its own.

    Attributes:
        because: which resource says so, for explanations.
    """

    family: Family
    nlri: Nlri
    kind: OriginationKind
    because: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, order=True)
class StaticRoute:
    """A route that the plan demands.

    Attributes:
        via: the gateway, canonical text; empty for a blackhole.
        because: which resource says so, for explanations.
    """

    family: Family
    nlri: Nlri
    via: str = ""
    because: str = field(default="", compare=False)


SELECTION_DEFERRAL = 120.0
"""Seconds that a restart waits for peers, if nobody says otherwise: their usual restart time."""


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
        caches: that are asked for the validity of routes, by name.
        bfd: how peers on which interfaces are watched; the first that fits counts.
        resilience: how flows are kept when next hops that share traffic come and go; None for not.
        always_compare_med: between different neighbouring ASes too (RFC 4271 §9.1.2.2 c).
        selection_deferral: seconds that a restart waits for peers at the most (RFC 4724 §4.1).
        workload_addresses: where workloads connect to, beside ``listen_addresses``; they may come
            to the node later.
        standing: mesh sessions that a route reflector has no more: none is opened, but one that
            stands goes on while the mesh is on, until a BGPPeer takes its place.
        held: sessions that are held down for want of their password: name, and BGPPeer (empty for
            the mesh).
        ranges: from which peers are accepted that nobody names, by name. Those that are there stand
            among the peers of the plan that is in force.
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
    held: tuple[tuple[str, str], ...] = ()
    ranges: Mapping[str, PeerRange] = field(default_factory=dict)
    always_compare_med: bool = False
    workload_addresses: tuple[str, ...] = ()
    resilience: Resilience | None = None
    caches: Mapping[str, CachePlan] = field(default_factory=dict)
    selection_deferral: float = SELECTION_DEFERRAL
    bfd: tuple[InterfaceTimers, ...] = ()

    @property
    def all_peers(self) -> tuple[PeerPlan, ...]:
        """Give the plans of all peers, and one of each kind of peer that may come from a range."""
        templates = (plan for each in self.ranges.values() for plan in each.templates)
        return (*self.peers.values(), *templates)

    def own_routes(self, family: Family) -> dict[Nlri, tuple[bytes, bool]]:
        """Give what is originated: the gateway, packed, and whether it is a blackhole."""
        found = {
            item.nlri: (b"", item.kind is OriginationKind.BLACKHOLE)
            for item in self.originated
            if item.family == family
        }
        for route in self.static_routes:
            if route.family == family:
                via = ip_address(route.via).packed if route.via else b""
                found[route.nlri] = (via, not route.via)
        return found


def resolve(
    resources: Resources,
    node: str,
    router_id_env: str | None = None,
    *,
    strict_secrets: bool = False,
    cluster_ips_env: str | None = None,
    workloads: Sequence[Workload] = (),
) -> Plan:
    """Compute the plan of a node.

    Args:
        resources: all of them.
        node: the name of the Node.
        router_id_env: the value of ``CALICO_ROUTER_ID``.
        strict_secrets: a session whose password is missing is held down; else it has none, as in
            Calico.
        cluster_ips_env: the value of ``CALICO_ADVERTISE_CLUSTER_IPS``.
        workloads: of the node, that BGPPeers with a localWorkloadSelector have chosen.

    Raises:
        ConfigError: there is no such node, it has no address, or a value of the environment makes
            no sense.
    """
    cluster = Cluster.of(resources)
    me = _this_node(cluster, node)
    conditions = Conditions()
    router_id = router_id_of(me, router_id_env, conditions)
    options = cluster.options_of(node)
    mode = options.policy or PolicyMode.CALICO
    blocks = _Blocks.of(resources, node)
    services = ServiceRanges.of(cluster.default, me, cluster_ips_env)
    own_addresses = tuple(address for _, address in me.addresses())
    bind = cluster.default.bind_mode is BindMode.NODE_IP
    sessions = plan_peers(
        resources,
        cluster,
        me,
        mode,
        router_id,
        conditions,
        workloads,
        strict_secrets=strict_secrets,
    )
    peers = sessions.peers
    caches = caches_of(resources.caches.values(), cluster, me)
    if not caches:
        templates = (plan for each in sessions.ranges.values() for plan in each.templates)
        _check_validity((*peers.values(), *templates), conditions)
    for_workloads = _workload_addresses(cluster, peers, conditions)
    return Plan(
        node=node,
        asn=cluster.asn_of(me),
        router_id=router_id,
        cluster_id=me.cluster_id,
        listen_port=me.listen_port or BGP_PORT,
        listen_addresses=own_addresses if bind else (),
        workload_addresses=for_workloads if bind else (),
        mode=mode,
        peers=peers,
        blocks=blocks.aggregates,
        originated=_originated(blocks, services, _networks(cluster, node), mode),
        static_routes=(*blocks.blackholes, *_gateways(resources, peers, conditions)),
        policies={
            family: _policy(resources, cluster, me, family, blocks, services)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
        },
        own_addresses=own_addresses,
        ignored_interfaces=tuple(cluster.default.ignored_interfaces),
        log_severity=cluster.severity_of(node),
        conditions=(*conditions.all(), *_across(resources)),
        standing=sessions.standing,
        held=sessions.held,
        ranges=sessions.ranges,
        always_compare_med=options.always_compare_med is True,
        resilience=options.resilient_groups or None,
        caches=caches,
        selection_deferral=options.selection_deferral or SELECTION_DEFERRAL,
        bfd=timers_of(resources.bfd.values(), cluster, me),
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
    affinities: Mapping[tuple[Family, Nlri], str]

    @classmethod
    def of(cls, resources: Resources, node: str) -> _Blocks:
        aggregates: set[tuple[Family, Nlri]] = set()
        blackholes: set[StaticRoute] = set()
        affinities: dict[tuple[Family, Nlri], str] = {}
        for affinity in resources.affinities.values():
            spec = affinity.spec
            if spec.node != node or spec.state is BlockState.PENDING:
                continue
            family, nlri = Family(afi_of(spec.cidr), Safi.UNICAST), packed(spec.cidr)
            because = affinities.setdefault((family, nlri), f"BlockAffinity/{affinity.name}")
            if spec.state is not BlockState.PENDING_DELETION:
                aggregates.add((family, nlri))
            if nlri[0] < WIDTH[family.afi]:
                blackholes.add(StaticRoute(family, nlri, because=because))
        return cls(tuple(sorted(aggregates)), tuple(sorted(blackholes)), affinities)


def _networks(cluster: Cluster, node: str) -> Iterator[tuple[Afi, Nlri, str]]:
    """Give the networks that were asked for, and the resource that asks."""
    own = cluster.configurations.get(f"node.{node}")
    is_own = own and configuration_options(own.metadata.annotations).networks is not None
    name = f"node.{node}" if is_own else "default"
    for afi, nlri in cluster.options_of(node).networks or ():
        yield afi, nlri, f"BGPConfiguration/{name} {PREFIX}networks"


def _originated(
    blocks: _Blocks,
    services: ServiceRanges,
    networks: Iterable[tuple[Afi, Nlri, str]],
    mode: PolicyMode,
) -> tuple[Origination, ...]:
    """Give what is announced: blackholed blocks, service ranges, networks that were asked for.

    Without Calico's policy nobody else announces the blocks of a single address, so they count as
    networks there.
    """
    found = {
        (route.family, route.nlri): (OriginationKind.BLACKHOLE, route.because)
        for route in blocks.blackholes
    }
    ranges = (
        (afi_of(cidr), packed(cidr), services.settings.get(cidr, "")) for cidr in services.announced
    )
    for afi, nlri, because in (*ranges, *networks):
        found.setdefault((Family(afi, Safi.UNICAST), nlri), (OriginationKind.NETWORK, because))
    if mode is PolicyMode.PLAIN:
        for key in blocks.aggregates:
            found.setdefault(key, (OriginationKind.NETWORK, blocks.affinities[key]))
    return tuple(sorted(Origination(*key, kind, because) for key, (kind, because) in found.items()))


def _check_validity(peers: Iterable[PeerPlan], conditions: Conditions) -> None:
    """Warn where the validity of routes is asked for, and nobody is there who knows it."""
    for peer in peers:
        chains = (rules for _, rules in (*peer.import_rules, *peer.export_rules))
        if any(rule.rpki is not None for rule in chain.from_iterable(chains)):
            conditions.warn(
                f"BGPPeer/{peer.resource}" if peer.resource else "BGPConfiguration/default",
                "NoCache",
                f"policy of {peer.name} asks what RPKI says, and no RPKICache is for this node: "
                "every route is NotFound",
            )


def _workload_addresses(
    cluster: Cluster, peers: Mapping[str, PeerPlan], conditions: Conditions
) -> tuple[str, ...]:
    """Give the addresses that Felix puts on workloads' interfaces, which they connect to."""
    default = cluster.default
    found = {
        Afi.IPV4: ("localWorkloadPeeringIPV4", default.local_workload_peering_ipv4),
        Afi.IPV6: ("localWorkloadPeeringIPV6", default.local_workload_peering_ipv6),
    }
    for peer in peers.values():
        field, address = found[peer.afi]
        if peer.kind is PeerKind.LOCAL_WORKLOAD and address is None:
            conditions.warn(
                f"BGPPeer/{peer.resource}",
                "NoPeeringAddress",
                f"its workloads have no address to connect to: {field} of BGPConfiguration default"
                " is not set",
            )
    return tuple(address for _, address in found.values() if address)


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
            because = f"BGPPeer/{peer.resource} reachableBy"
            yield StaticRoute(Family(peer.afi, Safi.UNICAST), nlri, spec.reachable_by, because)


def _policy(
    resources: Resources,
    cluster: Cluster,
    me: Member,
    family: Family,
    blocks: _Blocks,
    services: ServiceRanges,
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
        service_routes=of_family(services.announced, afi),
        reflector_cidrs=of_family(services.reflected, afi),
        kernel_reject=of_family(services.never_installed, afi),
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


def _across(resources: Resources) -> Iterator[Condition]:
    """Find what is wrong whatever node asks."""
    yield from _foreign_configurations(resources)
    for pool, first in overlapping(resources.pools.values()):
        yield Condition(
            f"IPPool/{pool.name}",
            Gravity.WARNING,
            "PoolsOverlap",
            f"{pool.spec.cidr} overlaps with the pool {first.name}, {first.spec.cidr}; which "
            "of them rules a route is not said",
        )


def _foreign_configurations(resources: Resources) -> Iterator[Condition]:
    for name in resources.configurations:
        if name != "default" and not name.startswith("node."):
            yield Condition(
                f"BGPConfiguration/{name}",
                Gravity.WARNING,
                "Ignored",
                "neither default nor node.<name>; it is ignored",
            )
