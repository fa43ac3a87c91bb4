"""From a peer's plan to the configuration of its session."""

from __future__ import annotations

from fsm.config import SessionConfig
from speaker.config.plan import PeerPlan


def session_config(plan: PeerPlan, router_id: int) -> SessionConfig:
    """Say to the state machine what the plan says to people.

    Args:
        plan: of the peer.
        router_id: our BGP Identifier.

    Raises:
        LocalError: no session could be run with these values.
    """
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
    )
