"""From a peering to the plan of its session.

`speaker.config.peerings` says who peers with whom; here is how: AS numbers, timers, filters,
password, reflection. Which field of a BGPPeer is honoured depends on the kind of peering, as in
Calico: localASNumber and numAllowedLocalASNumbers only where the BGPPeer names the address,
filters never on the mesh, and so on.
"""

from __future__ import annotations

from dataclasses import replace

from fsm.family import Afi, Family, Safi
from policy.filters import Direction, Rule
from policy.roles import Role
from speaker.config.annotations import AddPathMode, PeerOptions, PolicyMode, peer_options
from speaker.config.cluster import BGP_PORT, Cluster, Member
from speaker.config.conditions import Conditions
from speaker.config.filters import rules_of
from speaker.config.kinds import Kind
from speaker.config.limits import Limits
from speaker.config.peer_rules import MAX_RESTART_TIME
from speaker.config.peerings import Peering, peerings_of
from speaker.config.peerplan import PeerPlan
from speaker.config.resources import (
    BGPFilter,
    BGPPeerSpec,
    FailureDetectionMode,
    NextHopMode,
    Password,
    RestartMode,
    SourceAddress,
)
from speaker.config.scalars import whole_seconds
from speaker.config.secrets import MAX_PASSWORD, Secret
from speaker.config.store import Resources

HOLD_TIME = {PolicyMode.CALICO: 240, PolicyMode.PLAIN: 90}
"""Offered Hold Time, seconds: BIRD's in Calico, RFC 4271 §10's else."""

CONNECT_DELAY = {PolicyMode.CALICO: 2.0, PolicyMode.PLAIN: 0.0}
ADD_PATH = {PolicyMode.CALICO: AddPathMode.BOTH, PolicyMode.PLAIN: AddPathMode.OFF}
RESTART_TIME = {RestartMode.GRACEFUL: 120, RestartMode.LONG_LIVED: 3600}


def plan_peers(
    resources: Resources,
    cluster: Cluster,
    me: Member,
    mode: PolicyMode,
    router_id: int,
    conditions: Conditions,
) -> tuple[dict[str, PeerPlan], dict[str, PeerPlan]]:
    """Compute all sessions of a node, by name and sorted by it.

    Returns:
        Those to be held, and those that may go on if they stand (`Plan.standing`).
    """
    planner = _Planner(resources, cluster, me, mode, router_id, conditions)
    quiet = _Planner(resources, cluster, me, mode, router_id, Conditions())
    plans: dict[str, PeerPlan] = {}
    standing: dict[str, PeerPlan] = {}
    for peering in peerings_of(cluster, list(resources.peers.values()), me, conditions):
        plan = (quiet if peering.standing else planner).plan(peering)
        if plan is not None:
            (standing if peering.standing else plans)[plan.name] = plan
    return plans, standing


class _Planner:
    """Makes the plans of one node."""

    def __init__(
        self,
        resources: Resources,
        cluster: Cluster,
        me: Member,
        mode: PolicyMode,
        router_id: int,
        conditions: Conditions,
    ) -> None:
        self._resources = resources
        self._cluster = cluster
        self._me = me
        self._mode = mode
        self._router_id = router_id
        self._conditions = conditions

    def plan(self, peering: Peering) -> PeerPlan | None:
        """Make the plan of one session, or None with a condition."""
        spec = peering.peer.spec if peering.peer else BGPPeerSpec()
        options = self._options(peering)
        local_asn = self._local_asn(peering, spec)
        if local_asn == 0 or peering.asn == 0:
            self._conditions.error(peering.blame, "NoAS", "AS 0 is reserved; the peer is skipped")
            return None
        password = self._password(peering, spec)
        if password is not None and len(password.reveal()) > MAX_PASSWORD:
            self._conditions.error(
                peering.blame,
                "LongPassword",
                f"the password has more than {MAX_PASSWORD} bytes; the peer is skipped",
            )
            return None
        family = Family(peering.afi, Safi.UNICAST)
        families = options.families or (family,)
        filters = self._filters(peering, spec)
        rr_client = self._is_client(peering, options, local_asn)
        role = self._role(peering, options, local_asn)
        return PeerPlan(
            name=peering.name,
            resource=peering.peer.name if peering.peer else "",
            kind=peering.kind,
            address=peering.address,
            port=peering.port if peering.port is not None else BGP_PORT,
            families=families,
            local_asn=local_asn,
            peer_asn=peering.asn,
            passive=peering.passive if options.passive is None else options.passive,
            source_address=self._source(peering.afi, spec),
            rr_client=rr_client,
            cluster_id=(self._me.cluster_id or self._router_id) if rr_client else None,
            password=password,
            ttl_security=spec.ttl_security,
            allow_local_as=max(0, spec.num_allowed_local_as_numbers) if peering.by_address else 0,
            next_hop_mode=_next_hop_mode(spec, is_external=peering.asn != local_asn),
            hold_time=HOLD_TIME[self._mode] if options.hold_time is None else options.hold_time,
            keepalive_time=_seconds(spec.keepalive_time),
            connect_retry=options.connect_retry or 5.0,
            connect_delay=CONNECT_DELAY[self._mode],
            idle_hold=options.idle_hold or (5.0, 30.0),
            restart_time=self._restart_time(peering, spec),
            restart_mode=spec.restart_mode,
            graceful_restart=options.graceful_restart is not False,
            add_path=options.add_path or ADD_PATH[self._mode],
            enhanced_refresh=options.enhanced_refresh is not False,
            extended_messages=options.extended_messages is True,
            max_prefixes=_of_families(options.max_prefixes or (), families),
            role=role,
            strict_role=role is not None and options.strict_role is True,
            fqdn=self._me.name if options.fqdn == "on" else options.fqdn or "",
            software_version=options.software_version is True,
            bfd=spec.failure_detection_mode is FailureDetectionMode.BFD,
            gateway_mode=spec.bird_gateway_mode,
            filters=tuple(found.name for found in filters),
            import_rules=self._rules(filters, Direction.IMPORT, families),
            export_rules=self._rules(filters, Direction.EXPORT, families),
        )

    def _options(self, peering: Peering) -> PeerOptions:
        """Give the keys ``wren.bgp/…``; the reverse half of a passive peering is the active one."""
        if peering.peer is None:
            return PeerOptions()
        options = peer_options(peering.peer.metadata.annotations, peering.peer.spec.extensions)
        if peering.by_address or options.passive is None:
            return options
        return replace(options, passive=None, route_reflector_client=None)

    def _local_asn(self, peering: Peering, spec: BGPPeerSpec) -> int:
        """Give the AS of this session; localASNumber holds for peers named by address only."""
        if peering.by_address and spec.local_as_number is not None:
            return spec.local_as_number
        return self._cluster.asn_of(self._me)

    def _source(self, afi: Afi, spec: BGPPeerSpec) -> str | None:
        return self._me.address(afi) if spec.source_address is SourceAddress.USE_NODE_IP else None

    def _is_client(self, peering: Peering, options: PeerOptions, local_asn: int) -> bool:
        """Tell whether the peer is our route-reflector client (RFC 4456).

        Calico: iBGP, we have a cluster id, and the peer's is unknown or another. It is known only
        where a selector or the reverse pass told which node the peer is.
        """
        if local_asn != peering.asn:
            if options.route_reflector_client:
                self._conditions.warn(
                    peering.blame,
                    "NotInternal",
                    f"{peering.name} is eBGP and cannot be a route-reflector client",
                )
            return False
        if options.route_reflector_client is not None:
            return options.route_reflector_client
        if self._me.cluster_id is None or peering.peer is None:
            return False
        known = peering.remote.cluster_id if peering.remote else None
        return known != self._me.cluster_id

    def _role(self, peering: Peering, options: PeerOptions, local_asn: int) -> Role | None:
        """Give our role; there is none within an AS (RFC 9234 §4)."""
        if options.role is None and options.strict_role:
            self._conditions.warn(
                peering.blame, "NoRole", f"strictRole of {peering.name} is nothing without a role"
            )
        if options.role is not None and local_asn == peering.asn:
            self._conditions.warn(
                peering.blame, "NotExternal", f"{peering.name} is iBGP and cannot have a role"
            )
            return None
        return options.role

    def _password(self, peering: Peering, spec: BGPPeerSpec) -> Secret | None:
        """Find the TCP-MD5 key; a Secret or key that is missing means none, as in Calico."""
        password: Password | None = spec.password
        if peering.peer is None:
            password = self._cluster.default.node_mesh_password
        if password is None or password.secret_key_ref is None:
            return None
        wanted = password.secret_key_ref
        secret = self._resources.secrets.get(wanted.name)
        found = secret.get(wanted.key) if secret else None
        if found is None:
            self._conditions.error(
                peering.blame,
                "NoPassword",
                f"Secret {wanted.name} has no key {wanted.key}; the session has no password",
            )
        elif found.reveal().endswith(b"\n"):
            self._conditions.warn(
                peering.blame, "PasswordNewline", f"key {wanted.key} ends with a line end"
            )
        return found

    def _restart_time(self, peering: Peering, spec: BGPPeerSpec) -> int:
        wanted = spec.max_restart_time
        if peering.peer is None:
            wanted = self._cluster.default.node_mesh_max_restart_time
        if wanted is None:
            return RESTART_TIME[spec.restart_mode]
        seconds = whole_seconds(wanted)
        return (
            seconds
            if spec.restart_mode is RestartMode.LONG_LIVED
            else min(seconds, MAX_RESTART_TIME)
        )

    def _filters(self, peering: Peering, spec: BGPPeerSpec) -> list[BGPFilter]:
        found: list[BGPFilter] = []
        for name in spec.filters:
            bgp_filter = self._resources.filters.get(name)
            if bgp_filter is None:
                self._conditions.error(
                    peering.blame, "UnknownFilter", f"there is no BGPFilter {name}; it is skipped"
                )
            else:
                found.append(bgp_filter)
        return found

    def _rules(
        self, filters: list[BGPFilter], direction: Direction, families: tuple[Family, ...]
    ) -> tuple[tuple[Family, tuple[Rule, ...]], ...]:
        places = {item.name: self._resources.place(Kind.BGP_FILTER, item.name) for item in filters}
        chains = ((family, rules_of(filters, direction, family.afi, places)) for family in families)
        return tuple((family, rules) for family, rules in chains if rules)


def _of_families(limits: Limits, families: tuple[Family, ...]) -> Limits:
    return tuple((family, limit) for family, limit in limits if family in families)


def _next_hop_mode(spec: BGPPeerSpec, *, is_external: bool) -> NextHopMode:
    """Give the next-hop rule; the old field counts only on eBGP and without the new one."""
    if spec.next_hop_mode is not None:
        return spec.next_hop_mode
    return NextHopMode.KEEP if spec.keep_original_next_hop and is_external else NextHopMode.AUTO


def _seconds(duration: float | None) -> int | None:
    return None if duration is None else whole_seconds(duration)
