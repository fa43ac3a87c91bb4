"""What a plan asks of the kernel that this one cannot do."""

from __future__ import annotations

from collections.abc import Iterator

from speaker.config.conditions import Condition, Gravity
from speaker.config.plan import Plan
from speaker.kernel.routes import KernelFacts


def lacking(plan: Plan, facts: KernelFacts) -> Iterator[Condition]:
    """Tell what will not be done, and why.

    Args:
        plan: of the node.
        facts: what the kernel can do.
    """
    if plan.resilience is None or facts.resilient_groups:
        return
    why = "the kernel has no resilient groups (Linux 5.13)"
    if not facts.nexthop_objects:
        why = "routes name no next-hop objects here (Linux 5.3, without --no-nexthop-objects)"
    yield Condition(
        "kernel",
        Gravity.WARNING,
        "NotResilient",
        f"wren.bgp/resilientGroups: {why}; flows move when next hops come and go",
    )
