"""Who in Calico's built-in policy decided: the pool, block or range that covers the prefix."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from fsm.family import Afi
from policy.calico import BuiltinPolicy, ExportReason, KernelReason
from policy.prefix import Nlri, covers, show
from speaker.inquiry.answer import Because


def by_policy(
    reason: ExportReason | KernelReason, policy: BuiltinPolicy, afi: Afi, nlri: Nlri
) -> Because:
    """Give the reason with what of the policy it is about, where that is a prefix."""
    about = (each for each in _named(reason, policy) if covers(each, nlri))
    found = next(about, None)
    named = "" if found is None else f" ({show(afi, found)})"
    return Because(reason, f"Calico's policy: {reason.value}{named}")


def _named(reason: StrEnum, policy: BuiltinPolicy) -> Iterable[Nlri]:
    """Give the prefixes that the policy names for a reason, in the order in which they are tried.

    The verdict is a pool's where it is a route's of a pool that is exported, or not.
    """
    match reason:
        case ExportReason.OWN_BLOCK | ExportReason.URGENT | ExportReason.INSIDE_BLOCK:
            return policy.own_blocks
        case ExportReason.SERVICE:
            return policy.service_routes
        case ExportReason.REFLECTED:
            return policy.reflector_cidrs
        case ExportReason.POOL | ExportReason.POOL_NOT_EXPORTED:
            is_exported = reason is ExportReason.POOL
            return (pool.cidr for pool in policy.pools if pool.bgp_export is is_exported)
        case KernelReason.SERVICE_CIDR:
            return policy.kernel_reject
        case _ if reason in _OF_POOLS:
            return (pool.cidr for pool in policy.pools)
        case _:
            return ()


_OF_POOLS = (
    KernelReason.VXLAN,
    KernelReason.FELIX_IPIP,
    KernelReason.FELIX_PLAIN,
    KernelReason.TUNNEL,
    KernelReason.SAME_SUBNET,
    KernelReason.POOL,
)
"""Reasons of the kernel's policy that are about a pool."""
