"""From a peer's plan to the configuration of its session."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fsm.capabilities import GracefulRestart, LongLivedGracefulRestart, Role, SendReceive
from fsm.config import SessionConfig
from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, NAMES, WITH_EITHER_NEXT_HOP, Afi, Family, Safi
from speaker import __version__
from speaker.config.plan import AddPathMode, PeerPlan, RestartMode

RESTART_TIME = 120
"""Seconds in which we are back, where the plan's time is for what comes after (RFC 9494)."""

_WAYS = {
    AddPathMode.RECEIVE: SendReceive.RECEIVE,
    AddPathMode.SEND: SendReceive.SEND,
    AddPathMode.BOTH: SendReceive.BOTH,
}

_LONGEST = 64
"""Octets of a name in a capability."""


@dataclass(frozen=True, slots=True)
class OwnRestart:
    """What a peer is told of our own restart.

    Attributes:
        under_way: we have restarted, and wait for its End-of-RIB.
        preserved: families by which packets went on being forwarded.
    """

    under_way: bool = False
    preserved: frozenset[Family] = frozenset()


NO_RESTART = OwnRestart()


def session_config(
    plan: PeerPlan, router_id: int, restart: OwnRestart = NO_RESTART
) -> SessionConfig:
    """Say to the state machine what the plan says to people.

    Args:
        plan: of the peer.
        router_id: our BGP Identifier.
        restart: what there is to say of it.

    Raises:
        LocalError: no session could be run with these values.
    """
    unknown = [family for family in plan.families if family not in NAMES.values()]
    if unknown:
        raise LocalError(f"{plan.name}: routes of {unknown[0]} cannot be exchanged")
    # RFC 9234 §4: roles are for two ASes.
    role = None if plan.role is None or plan.is_internal else Role(plan.role)
    host, _, domain = plan.fqdn.partition(".")
    config = SessionConfig(
        local_asn=plan.local_asn,
        peer_asn=plan.peer_asn,
        router_id=router_id,
        families=plan.families,
        hold_time=plan.hold_time,
        keepalive_time=plan.keepalive_time,
        connect_retry_time=plan.connect_retry,
        send_hold_time=plan.send_hold_time,
        delay_open_time=plan.delay_open,
        idle_hold=plan.idle_hold,
        passive=plan.passive,
        enhanced_route_refresh=plan.enhanced_refresh,
        four_octet_as=plan.four_octet_as,
        extended_message=plan.extended_messages,
        extended_next_hop=_extended_next_hop(plan),
        add_path=_add_path(plan),
        role=role,
        graceful_restart=_graceful_restart(plan, restart),
        long_lived=_long_lived(plan, restart),
        strict_role=role is not None and plan.strict_role,
        hostname=host[:_LONGEST],
        domain=domain[:_LONGEST],
        bfd_strict=plan.bfd_strict is not None,
        bfd_hold_down=plan.bfd_strict or 0.0,
        software_version=f"Wren/{__version__}" if plan.software_version else "",
    )
    offered = frozenset(capability.code for capability in config.capabilities())
    return replace(config, required=offered.intersection(each.code for each in plan.require))


def _forwarded(plan: PeerPlan) -> tuple[Family, ...]:
    """Give the families by which packets are forwarded here: those whose routes outlive us."""
    return tuple(family for family in plan.families if family.safi is Safi.UNICAST)


def _graceful_restart(plan: PeerPlan, restart: OwnRestart) -> GracefulRestart | None:
    """Say how we restart (RFC 4724 §3, RFC 8538 §2)."""
    if not plan.graceful_restart:
        return None
    is_long_lived = plan.restart_mode is RestartMode.LONG_LIVED
    return GracefulRestart(
        restart_state=restart.under_way,
        notification=True,
        restart_time=RESTART_TIME if is_long_lived else plan.restart_time,
        families=tuple((family, family in restart.preserved) for family in _forwarded(plan)),
    )


def _long_lived(plan: PeerPlan, restart: OwnRestart) -> LongLivedGracefulRestart | None:
    """Say for how long our routes may be a last resort (RFC 9494 §3.1)."""
    if not plan.graceful_restart or plan.restart_mode is not RestartMode.LONG_LIVED:
        return None
    return LongLivedGracefulRestart(
        tuple(
            (family, family in restart.preserved, plan.restart_time) for family in _forwarded(plan)
        )
    )


def _extended_next_hop(plan: PeerPlan) -> tuple[tuple[Family, Afi], ...]:
    """Say which IPv4 routes may have IPv6 next hops: all that are passed on as they are."""
    relayed = (family for family in plan.families if family in WITH_EITHER_NEXT_HOP)
    unicast = (IPV4_UNICAST,) if plan.extended_next_hop else ()
    return tuple((family, Afi.IPV6) for family in (*unicast, *relayed))


def _add_path(plan: PeerPlan) -> tuple[tuple[Family, SendReceive], ...]:
    """Say in which families several paths may travel, and which way (RFC 7911 §4)."""
    way = _WAYS.get(plan.add_path)
    if way is None:
        return ()
    return tuple((family, way) for family in plan.families if family.safi == Safi.UNICAST)
