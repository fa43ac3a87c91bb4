"""From a peer's plan to the configuration of its session."""

from __future__ import annotations

from fsm.capabilities import Role
from fsm.config import SessionConfig
from speaker import __version__
from speaker.config.plan import PeerPlan

_LONGEST = 64
"""Octets of a name in a capability."""


def session_config(plan: PeerPlan, router_id: int) -> SessionConfig:
    """Say to the state machine what the plan says to people.

    Args:
        plan: of the peer.
        router_id: our BGP Identifier.

    Raises:
        LocalError: no session could be run with these values.
    """
    # RFC 9234 §4: roles are for two ASes.
    role = None if plan.role is None or plan.is_internal else Role(plan.role)
    host, _, domain = plan.fqdn.partition(".")
    return SessionConfig(
        local_asn=plan.local_asn,
        peer_asn=plan.peer_asn,
        router_id=router_id,
        families=plan.families,
        hold_time=plan.hold_time,
        keepalive_time=plan.keepalive_time,
        connect_retry_time=plan.connect_retry,
        idle_hold=plan.idle_hold,
        passive=plan.passive,
        enhanced_route_refresh=plan.enhanced_refresh,
        extended_message=plan.extended_messages,
        role=role,
        strict_role=role is not None and plan.strict_role,
        hostname=host[:_LONGEST],
        domain=domain[:_LONGEST],
        software_version=f"Wren/{__version__}" if plan.software_version else "",
    )
