"""What a session lets in, and what decides what its peer hears.

Both follow from the plan of the peer, from what the two ends agreed, from what the node's own plan
says, and from our end of the session. Everything here is worked out from values: for a session that
is up (`speaker.exchange`), for a plan that is not in force yet (`speaker.foresight`), and for one
that never runs (`speaker.trials`).

Standards: RFC 4456 §7, §8; RFC 7911 §4; RFC 8950 §4; RFC 9234 §5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from fsm.family import IPV4_UNICAST, RELAYED, Afi, Family
from fsm.negotiation import Negotiated
from policy.attributes import PathAttributes
from policy.calico import BuiltinPolicy
from policy.filters import Filter, compile_filter
from policy.outbound import ALL_PATHS, GroupKey, Leaving, NextHopMode, Quota
from policy.path import NextHop, PeerType, Source, SourceKind
from policy.prefix import WIDTH, afi_of_address
from policy.ranking import DecisionOptions
from policy.roles import Role
from policy.rules import Direction, Rule, Scope
from policy.vrps import Origins, Vrps
from policy.wellknown import CommunityRules
from speaker.config.key_values import AigpMode, BlackholeMode
from speaker.config.limits import LimitAction
from speaker.config.plan import GatewayMode, PeerPlan, Plan, PolicyMode
from speaker.rib.attribute_table import Intake
from speaker.rib.import_policy import ImportPolicy
from speaker.wire.attributes import ScanContext
from speaker.wire.framing import MAX_EXTENDED_LENGTH, MAX_LENGTH


class NodeRules(Protocol):
    """What the node's own plan says about every session's routes."""

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""

    @property
    def cluster_id(self) -> int:
        """Our route reflector cluster; 0 where we reflect nothing."""

    @property
    def leaving(self) -> Leaving:
        """Whether this node is being taken out of service."""

    def builtin(self, family: Family) -> BuiltinPolicy | None:
        """Give the node's own policy for a family; None where BGP's rules are all."""

    def vrps(self, family: Family) -> Vrps:
        """Give what RPKI says of a family."""


def _nobody_knows() -> dict[Afi, Vrps]:
    return {afi: Vrps(afi) for afi in (Afi.IPV4, Afi.IPV6)}


@dataclass(frozen=True, slots=True)
class PlanRules:
    """The rules of a node, from its plan.

    Attributes:
        leaving: whether it is being taken out of service.
        said: what caches of RPKI say; by default nothing, so that every route is NotFound.
    """

    plan: Plan
    leaving: Leaving = Leaving.NO
    said: Mapping[Afi, Vrps] = field(default_factory=_nobody_knows)

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""
        return self.plan.router_id

    @property
    def cluster_id(self) -> int:
        """Our route reflector cluster; 0 where we reflect nothing."""
        return self.plan.cluster_id or 0

    def builtin(self, family: Family) -> BuiltinPolicy | None:
        """Give the node's own policy for a family; None in plain mode."""
        return self.plan.policies.get(family) if self.plan.mode is PolicyMode.CALICO else None

    def vrps(self, family: Family) -> Vrps:
        """Give what caches say now: what others will say nobody knows."""
        return self.said[family.afi]


class OurEnd(Protocol):
    """Our end of a session (`speaker.own_end`)."""

    @property
    def every_address(self) -> frozenset[bytes]:
        """What no next hop of the peer may be."""

    @property
    def interface(self) -> int:
        """The interface of the link that we share with the peer; 0 where there is none."""

    def takes_ipv6(self, family: Family) -> bool:
        """Tell whether IPv4 routes of a family may have IPv6 next hops (RFC 8950 §4)."""

    def next_hop(self, family: Family) -> bytes:
        """Give our address as a next hop; empty where there is none that the peer could read."""

    def beside(self, next_hop: bytes) -> bytes:
        """Give our link-local address beside a global one, on a link with the peer."""


class PresumedEnd:
    """Our end of a session that is not there, as far as the plan tells of it.

    Args:
        node: the node's plan.
        peer: the session's.
    """

    interface = 0
    """Which link it would be on, only the kernel knows."""

    def __init__(self, node: Plan, peer: PeerPlan) -> None:
        own = [ip_address(address).packed for address in node.own_addresses]
        self.every_address = frozenset(own)
        self._of_node = {afi_of_address(address): address for address in own}
        source_address = peer.source_address
        self._address = (
            ip_address(source_address).packed
            if source_address
            else self._of_node.get(peer.afi, b"")
        )
        self._extended = peer.extended_next_hop

    def takes_ipv6(self, family: Family) -> bool:
        """Presume that the peer agrees."""
        return self._extended and family == IPV4_UNICAST

    def next_hop(self, family: Family) -> bytes:
        """Give the address that the session would come from, or the node's of the family."""
        if family in RELAYED:
            return b""
        is_readable = len(self._address) == WIDTH[family.afi] >> 3
        if self._address and (is_readable or self.takes_ipv6(family)):
            return self._address
        return self._of_node.get(family.afi, b"")

    def beside(self, next_hop: bytes) -> bytes:
        """Give none: links are not known."""
        return b""


def presumed(plan: PeerPlan) -> Negotiated:
    """Give what both ends would agree on if the peer offered what we do, and one path a prefix.

    Its BGP Identifier is not known; 0 stands for it.
    """
    families = frozenset(plan.families)
    extended = plan.extended_next_hop and IPV4_UNICAST in families
    return Negotiated(
        local_asn=plan.local_asn,
        peer_asn=plan.peer_asn,
        peer_router_id=0,
        families=families,
        hold_time=plan.hold_time,
        keepalive_time=0.0,
        four_octet_as=plan.four_octet_as,
        extended_message=plan.extended_messages,
        extended_next_hop=frozenset({(IPV4_UNICAST, Afi.IPV6)} if extended else ()),
    )


def peer_type(negotiated: Negotiated) -> PeerType:
    """Tell whether a peer is in our AS."""
    return PeerType.INTERNAL if negotiated.is_internal else PeerType.EXTERNAL


def role(plan: PeerPlan, negotiated: Negotiated) -> Role | None:
    """Give ours on a session (RFC 9234 §5), whether or not the peer tells its own."""
    return None if negotiated.is_internal else plan.role


def source(plan: PeerPlan, negotiated: Negotiated, options: DecisionOptions) -> Source:
    """Make the source of the routes that a peer tells."""
    return Source(
        plan.name,
        SourceKind.BGP,
        peer_type=peer_type(negotiated),
        address=ip_address(plan.address).packed,
        router_id=negotiated.peer_router_id,
        asn=negotiated.peer_asn,
        is_client=plan.rr_client,
        tells_several=bool(negotiated.add_path_receive),
        options=options,
        weight=plan.weight,
    )


def intake(
    plan: PeerPlan, negotiated: Negotiated, told_by: Source, router_id: int, end: OurEnd
) -> Intake:
    """Say what a session lets in."""
    return Intake(
        told_by,
        ScanContext(
            negotiated.is_internal,
            negotiated.four_octet_as,
            aigp=_aigp(plan),
            accepts_as_sets=plan.as_sets,
            extended_next_hop=frozenset(f for f, _ in negotiated.extended_next_hop),
        ),
        plan.local_asn,
        plan.allow_local_as,
        router_id,
        plan.cluster_id or 0,
        end.interface,
        role(plan, negotiated),
        CommunityRules(plan.graceful_shutdown, plan.blackhole is not BlackholeMode.OFF),
        plan.enforce_first_as,
        own_addresses=end.every_address,
        gateway=told_by.address if plan.gateway_mode is GatewayMode.DIRECT else b"",
    )


def import_policy(
    family: Family,
    plan: PeerPlan,
    kind: PeerType,
    node: NodeRules,
    resolve: Callable[[PathAttributes], NextHop],
) -> ImportPolicy | None:
    """Give the way in of a family; None where every path is taken as it is.

    Args:
        family: whose routes come in.
        plan: of the peer.
        kind: of the session.
        node: what holds for all sessions.
        resolve: finds where a next hop leads that a rule has set.
    """
    if family in RELAYED:
        # No filter speaks of these routes, and no policy of the node.
        return None
    builtin = node.builtin(family)
    chain = _chain(plan.import_rules, family)
    scope = Scope(
        kind,
        Direction.IMPORT,
        None if builtin is None else builtin.normal_priority,
        Origins(node.vrps(family), plan.local_asn) if _asks_for_validity(chain) else None,
    )
    shortest = WIDTH[family.afi] if plan.blackhole is BlackholeMode.HOSTS else 0
    if chain is None and builtin is None and not shortest:
        return None
    return ImportPolicy(chain, builtin, scope, shortest, resolve)


def group_key(
    family: Family, plan: PeerPlan, negotiated: Negotiated, node: NodeRules, end: OurEnd
) -> GroupKey:
    """Say what decides what a peer hears."""
    address = end.next_hop(family)
    builtin = node.builtin(family)
    export_filter = _chain(plan.export_rules, family)
    # RFC 9494 §4.6: by a word of the operator, internal peers hear of stale routes that do not know
    # what they are.
    knows_stale = negotiated.long_lived is not None
    demotes_stale = (
        plan.llgr_partial_deployment
        and not knows_stale
        and peer_type(negotiated) is PeerType.INTERNAL
    )
    asks_for_as = export_filter is not None and export_filter.asks_for_peers_as
    return GroupKey(
        family=family,
        peer_type=peer_type(negotiated),
        local_asn=plan.local_asn,
        local_address=address,
        local_link_address=end.beside(address),
        router_id=node.router_id,
        is_client=plan.rr_client,
        # Towards a non-client too: what a client told leaves with our cluster in its list
        # (RFC 4456 §8).
        cluster_id=plan.cluster_id or node.cluster_id,
        next_hop_mode=NextHopMode(plan.next_hop_mode.value),
        four_octet_as=negotiated.four_octet_as,
        add_path=_paths_told(family, plan, negotiated),
        max_message=MAX_EXTENDED_LENGTH if negotiated.extended_message else MAX_LENGTH,
        builtin=builtin,
        export_filter=export_filter,
        keeps_cleared_med=builtin is not None,
        # RFC 9234 §5: what roles are about is unicast routes.
        role=None if family in RELAYED else role(plan, negotiated),
        takes_stale=knows_stale or demotes_stale,
        demotes_stale=demotes_stale,
        aigp=_aigp(plan),
        originates_aigp=plan.aigp is AigpMode.ORIGINATE,
        extended_next_hop=end.takes_ipv6(family),
        quota=_quota(family, plan),
        leaving=node.leaving,
        peer_asn=negotiated.peer_asn if asks_for_as else 0,
        vrps=node.vrps(family) if _asks_for_validity(export_filter) else None,
    )


def _asks_for_validity(chain: Filter | None) -> bool:
    return chain is not None and chain.asks_for_validity


def _chain(rules: Iterable[tuple[Family, tuple[Rule, ...]]], family: Family) -> Filter | None:
    return next((compile_filter(found) for of, found in rules if of == family), None)


def _paths_told(family: Family, plan: PeerPlan, negotiated: Negotiated) -> int:
    """Say how many paths to a prefix are sent; 0 where the peer reads no identifiers."""
    if family not in negotiated.add_path_send:
        return 0
    return plan.best_paths or ALL_PATHS


def _aigp(plan: PeerPlan) -> bool | None:
    """Whether AIGP means something on the session; None where nobody said so."""
    return None if plan.aigp is None else plan.aigp is not AigpMode.OFF


def _quota(family: Family, plan: PeerPlan) -> Quota | None:
    limit = dict(plan.max_prefixes_out).get(family)
    if limit is None:
        return None
    drops = limit.action is LimitAction.DROP
    return Quota(ip_address(plan.address).packed, limit.maximum if drops else None)
