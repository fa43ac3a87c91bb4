"""What a session is otherwise than the resources ask, because both ends have a say in it.

A plan says what this node wants; what holds is settled by the two OPENs. Where the difference may
surprise somebody, it is a condition for as long as the session stands.

Standards: RFC 4271 §4.4 (KEEPALIVEs come at least three times in a Hold Time).
"""

from __future__ import annotations

from collections.abc import Iterator

from fsm.negotiation import Negotiated
from speaker.config.conditions import Condition, Gravity
from speaker.config.plan import PeerPlan


def shortfalls(plan: PeerPlan, negotiated: Negotiated) -> Iterator[Condition]:
    """Give what of a plan did not come about in a session."""
    wanted, sent = plan.keepalive_time, negotiated.keepalive_time
    if wanted is None or sent >= wanted:
        return
    if sent:
        what = (
            f"{wanted} s is more than a third of the agreed Hold Time of {negotiated.hold_time} s;"
            f" KEEPALIVEs are sent every {sent:g} s"
        )
    else:
        what = "the agreed Hold Time is 0, so no KEEPALIVEs are sent"
    yield Condition(
        f"BGPPeer/{plan.resource}",
        Gravity.WARNING,
        "KeepaliveTime",
        f"keepaliveTime of {plan.name}: {what}",
    )
