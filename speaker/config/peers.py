"""From a peering to the plan of its session.

`speaker.config.peerings` says who peers with whom; here is how: AS numbers, timers, filters,
password, reflection. Which field of a BGPPeer is honoured for which kind of peering is said by
`speaker.config.honoured`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fsm.family import IPV4_UNICAST, RELAYED, Afi, Family, Safi
from policy.roles import Role
from policy.rules import Action, Direction, Rule
from policy.vrps import Validity
from speaker.config.add_path import AddPath, AddPathMode
from speaker.config.annotations import PeerOptions, peer_options
from speaker.config.bfd import authentication_of
from speaker.config.bfd_keys import BfdAuthentication, BfdTimers, BfdWay
from speaker.config.cluster import BGP_PORT, Cluster, Member
from speaker.config.conditions import Conditions
from speaker.config.filter_resources import BGPFilter
from speaker.config.filters import rules_of
from speaker.config.honoured import honoured
from speaker.config.key_values import BlackholeMode
from speaker.config.keys import PREFIX, PolicyMode
from speaker.config.limits import Limits
from speaker.config.peer_rules import MAX_RESTART_TIME
from speaker.config.peerings import Peering, peerings_of
from speaker.config.peerplan import PeerPlan
from speaker.config.policy_resources import RoutePolicy
from speaker.config.range_planning import ranges_of
from speaker.config.ranges import PeerRange
from speaker.config.requirements import Requirement
from speaker.config.resources import (
    BGPPeerSpec,
    FailureDetectionMode,
    NextHopMode,
    RestartMode,
    SecretKeyRef,
    SourceAddress,
)
from speaker.config.scalars import whole_seconds
from speaker.config.signatures import Signatures
from speaker.config.store import Resources
from speaker.config.workloads import Workload
from speaker.config.zones import is_link_local

HOLD_TIME = {PolicyMode.CALICO: 240, PolicyMode.PLAIN: 90}
"""Offered Hold Time, seconds: BIRD's in Calico, RFC 4271 §10's else."""

CONNECT_DELAY = {PolicyMode.CALICO: 2.0, PolicyMode.PLAIN: 0.0}
ADD_PATH = {PolicyMode.CALICO: AddPath(AddPathMode.BOTH), PolicyMode.PLAIN: AddPath()}
RESTART_TIME = {RestartMode.GRACEFUL: 120, RestartMode.LONG_LIVED: 3600}


_REJECT_INVALID = Rule(
    Action.REJECT, rpki=Validity.INVALID, reason="Invalid by RPKI", origin=f"{PREFIX}rejectInvalid"
)


@dataclass(frozen=True, slots=True)
class Sessions:
    """All sessions of a node.

    Attributes:
        peers: to be opened.
        standing: that may go on if they stand (`Plan.standing`).
        held: that are held down (`Plan.held`).
        ranges: from which others are accepted (`Plan.ranges`).
    """

    peers: dict[str, PeerPlan]
    standing: dict[str, PeerPlan]
    held: tuple[tuple[str, str], ...]
    ranges: dict[str, PeerRange]


def plan_peers(
    resources: Resources,
    cluster: Cluster,
    me: Member,
    mode: PolicyMode,
    router_id: int,
    conditions: Conditions,
    workloads: Sequence[Workload] = (),
    *,
    strict_secrets: bool = False,
) -> Sessions:
    """Compute all sessions of a node, by name and sorted by it."""
    planner = _Planner(resources, cluster, me, mode, router_id, conditions, strict_secrets)
    quiet = _Planner(resources, cluster, me, mode, router_id, Conditions(), strict_secrets)
    plans: dict[str, PeerPlan] = {}
    standing: dict[str, PeerPlan] = {}
    peers = list(resources.peers.values())
    for peering in peerings_of(cluster, peers, me, conditions, workloads):
        plan = (quiet if peering.standing else planner).plan(peering)
        if plan is not None:
            (standing if peering.standing else plans)[plan.name] = plan
    ranges = ranges_of(cluster, peers, me, conditions, planner.plan)
    held = tuple(dict.fromkeys(planner.signatures.held))
    return Sessions(plans, standing, held, ranges)


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
        strict_secrets: bool,
    ) -> None:
        self.signatures = Signatures(resources, conditions, strict=strict_secrets)
        self._resources = resources
        self._cluster = cluster
        self._me = me
        self._mode = mode
        self._router_id = router_id
        self._conditions = conditions
        self._tables = dict(cluster.options_of(me.name).external_networks or ())
        self._chains: dict[tuple[tuple[str, ...], Direction, Afi, bool], tuple[Rule, ...]] = {}
        self._rejects_invalid = cluster.options_of(me.name).reject_invalid is True

    def plan(self, peering: Peering) -> PeerPlan | None:
        """Make the plan of one session, or None with a condition."""
        spec = honoured(peering)
        options = self._options(peering)
        local_asn = self._local_asn(spec)
        if local_asn == 0 or peering.asn == 0:
            self._conditions.error(peering.blame, "NoAS", "AS 0 is reserved; the peer is skipped")
            return None
        signature = self.signatures.of(peering, self._password(peering, spec), options.tcp_ao or ())
        if signature is None:
            return None
        network = spec.external_network
        if network is not None and network not in self._tables:
            self._conditions.error(
                peering.blame,
                "UnknownNetwork",
                f"no table is known of the external network {network}, which"
                " wren.bgp/externalNetworks of BGPConfiguration has to name; the peer is skipped",
            )
            return None
        family = Family(peering.afi, Safi.UNICAST)
        families = options.families or (family,)
        filters = self._filters(peering, spec)
        rr_client = self._is_client(peering, options, local_asn)
        role = self._role(peering, options, local_asn)
        self._check_required(peering, options)
        several = self._add_path(options)
        watched = self._bfd(peering, spec, options)
        authentication, lacks = self._bfd_keys(peering, options) if watched.is_on else (None, "")
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
            source_address=self._source(peering, spec),
            rr_client=rr_client,
            cluster_id=(self._me.cluster_id or self._router_id) if rr_client else None,
            password=signature.password,
            tcp_ao=signature.keys,
            ttl_security=spec.ttl_security,
            allow_local_as=max(0, spec.num_allowed_local_as_numbers),
            next_hop_mode=_next_hop_mode(spec, is_external=peering.asn != local_asn),
            hold_time=HOLD_TIME[self._mode] if options.hold_time is None else options.hold_time,
            # Less than half a second is 0, which is BIRD's word for a third of the Hold Time.
            keepalive_time=_seconds(spec.keepalive_time) or None,
            connect_retry=options.connect_retry or 5.0,
            connect_delay=CONNECT_DELAY[self._mode],
            idle_hold=options.idle_hold or (5.0, 30.0),
            send_hold_time=options.send_hold_time,
            delay_open=options.delay_open or 0.0,
            restart_time=self._restart_time(peering, spec),
            restart_mode=spec.restart_mode,
            graceful_restart=options.graceful_restart is not False,
            llgr_partial_deployment=self._llgr_partial_deployment(peering, options, local_asn),
            add_path=several.mode,
            best_paths=several.best,
            enhanced_refresh=options.enhanced_refresh is not False,
            extended_messages=options.extended_messages is True,
            extended_next_hop=self._extended_next_hop(peering, options, families),
            four_octet_as=options.four_octet_as is not False,
            require=options.require or (),
            max_prefixes=_of_families(options.max_prefixes or (), families),
            max_prefixes_out=_of_families(options.max_prefixes_out or (), families),
            graceful_shutdown=self._strictly(options.graceful_shutdown),
            blackhole=options.blackhole or BlackholeMode.OFF,
            enforce_first_as=self._strictly(options.enforce_first_as),
            as_sets=not self._strictly(None if options.as_sets is None else not options.as_sets),
            aigp=options.aigp,
            role=role,
            strict_role=role is not None and options.strict_role is True,
            fqdn=self._me.name if options.fqdn == "on" else options.fqdn or "",
            software_version=options.software_version is True,
            weight=options.weight or 1,
            bfd=watched.is_on,
            bfd_hops=watched.hops,
            bfd_timers=options.bfd_timers or BfdTimers(),
            bfd_auth=authentication,
            bfd_strict=options.bfd_strict if watched.is_on else None,
            bfd_lacks=lacks,
            gateway_mode=spec.bird_gateway_mode,
            table=None if network is None else self._tables[network],
            extensions=tuple(sorted(_of_others(spec.extensions))),
            filters=tuple(found.name for found in filters),
            import_rules=self._rules(
                filters, Direction.IMPORT, families, self._first_rules(peering, options, local_asn)
            ),
            export_rules=self._rules(filters, Direction.EXPORT, families),
        )

    def _options(self, peering: Peering) -> PeerOptions:
        """Give the keys ``wren.bgp/…``, as seen from here.

        The reverse half of a passive peering is the active one, and what one end sends is what the
        other receives.
        """
        if peering.peer is None:
            return PeerOptions()
        options = peer_options(peering.peer.metadata.annotations, peering.peer.spec.extensions)
        if peering.by_address:
            return options
        if options.tcp_ao and peering.peer.spec.peer_ip is not None:
            options = replace(options, tcp_ao=tuple(key.turned for key in options.tcp_ao))
        if options.passive is None:
            return options
        return replace(options, passive=None, route_reflector_client=None)

    def _strictly(self, wanted: bool | None) -> bool:
        """Give a switch for what RFCs ask for and Calico's BIRD does not do by itself."""
        return self._mode is PolicyMode.PLAIN if wanted is None else wanted

    def _local_asn(self, spec: BGPPeerSpec) -> int:
        """Give the AS of this session."""
        if spec.local_as_number is not None:
            return spec.local_as_number
        return self._cluster.asn_of(self._me)

    def _source(self, peering: Peering, spec: BGPPeerSpec) -> str | None:
        """Give the address to come from; to a link-local peer the link's, not the node's."""
        if is_link_local(peering.address) or spec.source_address is SourceAddress.NONE:
            return None
        return self._me.address(peering.afi)

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

    def _llgr_partial_deployment(
        self, peering: Peering, options: PeerOptions, local_asn: int
    ) -> bool:
        """Tell whether the peer hears of long-lived stale routes as a last choice (RFC 9494 §4.6).

        It must be internal: NO_EXPORT and LOCAL_PREF keep nothing from other ASes.
        """
        if not options.llgr_partial_deployment:
            return False
        if local_asn != peering.asn:
            self._conditions.warn(
                peering.blame,
                "NotInternal",
                f"llgrPartialDeployment of {peering.name} is left out: it is eBGP, and long-lived "
                "stale routes do not leave the AS unmarked",
            )
            return False
        return True

    def _extended_next_hop(
        self, peering: Peering, options: PeerOptions, families: tuple[Family, ...]
    ) -> bool:
        """Tell whether IPv4 routes may have IPv6 next hops: where IPv6 carries them (RFC 8950)."""
        if not options.extended_next_hop:
            return False
        lacks = ""
        if IPV4_UNICAST not in families:
            lacks = "does not carry ipv4 (wren.bgp/families: ipv4,ipv6 lets it)"
        elif peering.afi is Afi.IPV4:
            lacks = "is a session over IPv4, which has IPv4 next hops"
        if lacks and (peering.by_address or peering.afi is Afi.IPV6):
            # That selected nodes have a session over IPv4 as well is no mistake.
            self._conditions.warn(
                peering.blame,
                "NoExtendedNextHop",
                f"extendedNextHop of {peering.name} is left out: it {lacks}",
            )
        return not lacks

    def _add_path(self, options: PeerOptions) -> AddPath:
        return options.add_path or ADD_PATH[self._mode]

    def _check_required(self, peering: Peering, options: PeerOptions) -> None:
        """Find what is required of the peer although we do not offer it."""
        offers = {
            Requirement.ENHANCED_REFRESH: options.enhanced_refresh is not False,
            Requirement.FOUR_OCTET_AS: options.four_octet_as is not False,
            Requirement.EXTENDED_MESSAGES: options.extended_messages is True,
            Requirement.EXTENDED_NEXT_HOP: options.extended_next_hop is True,
            Requirement.ADD_PATH: self._add_path(options).mode is not AddPathMode.OFF,
        }
        for required in options.require or ():
            if not offers.get(required, True):
                self._conditions.warn(
                    peering.blame,
                    "NotOffered",
                    f"{peering.name} is to have {required}, which is not offered to it; it is not "
                    "asked for",
                )

    def _password(self, peering: Peering, spec: BGPPeerSpec) -> SecretKeyRef | None:
        """Tell where the password of a session is to come from."""
        password = spec.password if peering.peer else self._cluster.default.node_mesh_password
        return password.secret_key_ref if password else None

    def _bfd(self, peering: Peering, spec: BGPPeerSpec, options: PeerOptions) -> BfdWay:
        """Tell whether BFD watches the peer: the key says so, or else Calico's field."""
        is_on = spec.failure_detection_mode is FailureDetectionMode.BFD
        way = options.bfd or BfdWay(is_on)
        keys = (options.bfd_timers, options.bfd_auth, options.bfd_strict)
        if not way.is_on and any(key is not None for key in keys):
            self._conditions.warn(
                peering.blame,
                "NoBFD",
                f"keys of BFD for {peering.name} are nothing without BFD:"
                f" {PREFIX}bfd: on lets it watch",
            )
        return way

    def _bfd_keys(
        self, peering: Peering, options: PeerOptions
    ) -> tuple[BfdAuthentication | None, str]:
        """Find the keys of BFD; without the one that signs the peer is not watched."""
        wanted = options.bfd_auth
        if wanted is None:
            return None, ""
        keys, wrong = authentication_of(wanted, self._resources.secrets)
        for place, problem in wrong.items():
            is_first = place == wanted.places[0]
            means = "BFD does not watch the peer" if is_first else "it is left out"
            self._conditions.error(peering.blame, "NoBFDKey", f"{problem}; {means}")
        return keys, wrong.get(wanted.places[0], "")

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

    def _filters(self, peering: Peering, spec: BGPPeerSpec) -> list[BGPFilter | RoutePolicy]:
        found: list[BGPFilter | RoutePolicy] = []
        for name in spec.filters:
            named = self._resources.filter(name)
            if named is None:
                self._conditions.error(
                    peering.blame,
                    "UnknownFilter",
                    f"there is no BGPFilter or RoutePolicy {name}; it is skipped",
                )
            else:
                found.append(named)
        return found

    def _first_rules(
        self, peering: Peering, options: PeerOptions, local_asn: int
    ) -> tuple[Rule, ...]:
        """Give the rule that comes before all filters where Invalid routes are rejected."""
        wanted = options.reject_invalid
        if wanted is None:
            wanted = self._rejects_invalid and local_asn != peering.asn
        return (_REJECT_INVALID,) if wanted else ()

    def _rules(
        self,
        filters: list[BGPFilter | RoutePolicy],
        direction: Direction,
        families: tuple[Family, ...],
        first: tuple[Rule, ...] = (),
    ) -> tuple[tuple[Family, tuple[Rule, ...]], ...]:
        # Filters speak of prefixes.
        unicast = (family for family in families if family not in RELAYED)
        chains = (
            (family, self._chain(filters, direction, family.afi, first)) for family in unicast
        )
        return tuple((family, rules) for family, rules in chains if rules)

    def _chain(
        self,
        filters: list[BGPFilter | RoutePolicy],
        direction: Direction,
        afi: Afi,
        first: tuple[Rule, ...],
    ) -> tuple[Rule, ...]:
        """Put the rules of filters together, once for all peers that have the same."""
        key = (tuple(each.name for each in filters), direction, afi, bool(first))
        if key not in self._chains:
            rules = rules_of(filters, direction, afi, self._resources.rule_place)
            self._chains[key] = (*first, *rules)
        return self._chains[key]


def _of_others(extensions: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Leave out the keys that are ours."""
    return ((key, text) for key, text in extensions.items() if not key.startswith(PREFIX))


def _of_families(limits: Limits, families: tuple[Family, ...]) -> Limits:
    return tuple((family, limit) for family, limit in limits if family in families)


def _next_hop_mode(spec: BGPPeerSpec, *, is_external: bool) -> NextHopMode:
    """Give the next-hop rule; the old field counts only on eBGP and without the new one."""
    if spec.next_hop_mode is not None:
        return spec.next_hop_mode
    return NextHopMode.KEEP if spec.keep_original_next_hop and is_external else NextHopMode.AUTO


def _seconds(duration: float | None) -> int | None:
    return None if duration is None else whole_seconds(duration)
