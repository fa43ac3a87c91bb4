"""Why a route is in the kernel or not, and what really is there.

The node's policy is asked again; where it lets the route in, the kernel's side knows what is
installed and what is in the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsm.family import Family
from policy.calico import BuiltinPolicy, KernelAction, kernel_verdicts
from policy.path import Path, stays_out
from policy.prefix import Nlri
from speaker.fib_sink import TUNNEL_DEVICE
from speaker.inquiry.answer import Because, Installed
from speaker.inquiry.builtin import by_policy
from speaker.inquiry.reasons import InKernel
from speaker.inquiry.words import foreign_text, forwarding_text
from speaker.kernel.routes import Forwarding, RouteKind
from speaker.kernel.thread import Kernel
from speaker.kernel.troubles import Hitch
from speaker.speaker import Speaker

_MAIN = 254


@dataclass(frozen=True, slots=True)
class Table:
    """One of the kernel's tables, and what is to be in it.

    Attributes:
        number: the kernel's.
        kernel: who installs there; None where nothing is installed.
        policy: the node's own of the family; None where everything is installed.
        best: the path that is used.
    """

    number: int
    kernel: Kernel | None
    policy: BuiltinPolicy | None
    best: Path | None


def in_kernel(router: Speaker, family: Family, nlri: Nlri, table: Table) -> Installed:
    """Say what is in a table of the kernel's, and why."""
    afi, kernel = family.afi, table.kernel
    foreign = router.ground.foreign(afi, nlri) if table.number == _MAIN else ()
    routes = [foreign_text(afi, route) for route in foreign]
    ours = None
    if kernel is not None:
        ours = kernel.installed(afi, nlri)
    if ours is not None:
        routes.insert(0, f"{forwarding_text(afi, ours)} (ours)")
    policy = None
    if table.policy is not None and table.best is not None and kernel is not None:
        [(verdict, _)] = kernel_verdicts(table.policy, [nlri], table.best)
        policy = by_policy(verdict.reason, table.policy, afi, nlri)
        if verdict.action is KernelAction.REJECT:
            # What is there of ours all the same is on its way out.
            return Installed(table.number, ours is not None, policy, policy, tuple(routes))
        because = _state(router, family, nlri, table, ours, verdict.action)
    else:
        because = _state(router, family, nlri, table, ours, KernelAction.ACCEPT)
    return Installed(table.number, ours is not None, because, policy, tuple(routes))


def _state(
    router: Speaker,
    family: Family,
    nlri: Nlri,
    table: Table,
    ours: Forwarding | None,
    action: KernelAction,
) -> Because:
    kernel, best = table.kernel, table.best
    if kernel is None:
        return Because.of(InKernel.NO_KERNEL)
    if not kernel.is_running:
        return Because.of(InKernel.STOPPED)
    if best is None and ours is None:
        return Because.of(InKernel.NOT_USED)
    if best is None:
        return Because.of(InKernel.LEAVING if router.recovery.is_over else InKernel.ADOPTED)
    if router.recovery.is_deferring(family):
        peers = ", ".join(router.recovery.waiting().get(family, ()))
        return Because.of(InKernel.DEFERRED, peers=peers)
    if stays_out(best):
        return Because.of(InKernel.ANNOUNCED_ONLY)
    is_tunnel = action is KernelAction.TUNNEL
    if is_tunnel and not router.ground.interface_index(TUNNEL_DEVICE):
        return Because.of(InKernel.NO_TUNNEL)
    trouble = kernel.why(family.afi, nlri)
    if trouble:
        return _trouble(trouble)
    return Because.of(_kind(ours, is_tunnel=is_tunnel))


def _trouble(said: str) -> Because:
    hitch, _, why = said.partition(": ")
    return Because.of(_TROUBLES[Hitch(hitch)], why=why)


_TROUBLES: dict[Hitch, InKernel] = {
    Hitch.CONFLICT: InKernel.CONFLICT,
    Hitch.REFUSED: InKernel.REFUSED,
    Hitch.UNCLEAR: InKernel.UNCLEAR,
}


def _kind(ours: Forwarding | None, *, is_tunnel: bool) -> StrEnum:
    if ours is None:
        return InKernel.PENDING
    if ours.kind is RouteKind.BLACKHOLE:
        return InKernel.BLACKHOLE
    if ours.kind is RouteKind.UNREACHABLE:
        return InKernel.UNREACHABLE
    return InKernel.TUNNELLED if is_tunnel else InKernel.INSTALLED
