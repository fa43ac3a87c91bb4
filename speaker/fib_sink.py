"""From best paths to kernel routes.

`RouteSink` is the port: anything that wants to follow the Loc-RIBs (the kernel here, an embedder's
hardware elsewhere) has one method, `apply`. `FibSink` is the kernel's: it asks the node's policy
what may be installed, reads the immediate next hops from the paths, and hands batches to the kernel
thread. A `Forwarding` is made once per set of paths, not per prefix.

Routes that came from the kernel are never given back to it.

Standards: RFC 4271 §9.1.2.1 (what is installed); Calico's kernel policy by `policy.calico`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from fsm.family import Afi, Family, Safi
from policy.calico import (
    BuiltinPolicy,
    KernelAction,
    KernelVerdict,
    kernel_metric,
    kernel_verdicts,
)
from policy.path import Hop, Path, SourceKind
from policy.prefix import Nlri
from speaker.kernel.routes import Forwarding, RouteKind
from speaker.kernel.thread import Kernel
from speaker.rib.loc_rib import Delta, LocRib

Batch = list[tuple[Forwarding | None, list[Nlri]]]

_TUNNEL_DEVICE = "tunl0"


class RouteSink(Protocol):
    """Somebody who follows the best paths."""

    def apply(self, delta: Delta) -> None:
        """Follow what has changed."""


class FibSink:
    """Keeps the kernel's table in step with the Loc-RIBs.

    Args:
        kernel: the kernel thread.
        loc_ribs: of all families; for the sets of equal paths.
        builtin: the node's own policy of a family; None where everything is installed.
        interface_index: finds an interface by name; 0 where there is none.
    """

    def __init__(
        self,
        kernel: Kernel,
        loc_ribs: Mapping[Family, LocRib],
        builtin: Callable[[Family], BuiltinPolicy | None],
        interface_index: Callable[[str], int],
    ) -> None:
        self._kernel = kernel
        self._loc_ribs = loc_ribs
        self._builtin = builtin
        self._interface_index = interface_index
        self._made: dict[tuple[tuple[Path, ...], KernelAction, int], Forwarding | None] = {}
        self._forwardings: dict[Forwarding, Forwarding] = {}

    # hot: per batch
    def apply(self, delta: Delta) -> None:
        """Follow what has changed in one Loc-RIB."""
        if delta.family.safi != Safi.UNICAST:
            return
        batch: Batch = []
        shared = self._loc_ribs[delta.family].shared
        for path, nlris in delta.changed.items():
            if path is None:
                batch.append((None, nlris))
            elif shared and not shared.keys().isdisjoint(nlris):
                alone = [nlri for nlri in nlris if nlri not in shared]
                batch += self._install(delta.family, (path,), alone)
                for nlri in nlris:
                    if nlri in shared:
                        batch += self._install(delta.family, shared[nlri], [nlri])
            else:
                batch += self._install(delta.family, (path,), nlris)
        batch += self._regrouped(delta)
        if batch:
            self._kernel.install(delta.family.afi, batch)

    def _regrouped(self, delta: Delta) -> Batch:
        """Follow sets of equal paths that changed while the best path stayed."""
        loc_rib = self._loc_ribs[delta.family]
        batch: Batch = []
        for nlri in delta.shared:
            paths = loc_rib.shared.get(nlri)
            best = loc_rib.best.get(nlri)
            if paths is None and best is not None:
                paths = (best,)
            if paths is not None:
                batch += self._install(delta.family, paths, [nlri])
        return batch

    def _install(self, family: Family, paths: tuple[Path, ...], nlris: list[Nlri]) -> Batch:
        if not nlris:
            return []
        best = paths[0]
        if best.source.kind in (SourceKind.KERNEL, SourceKind.DIRECT):
            return [(None, nlris)]
        if best.source.kind is SourceKind.STATIC and not best.blackhole and not best.next_hop.hops:
            # A network that is only announced: nothing to forward by.
            return [(None, nlris)]
        policy = self._builtin(family)
        if policy is None:
            return [(self._forwarding(paths, KernelAction.ACCEPT, 0), nlris)]
        metric = kernel_metric(best, policy.normal_priority) if best.source.is_bgp else 0
        return [
            (self._decided(paths, verdict, metric), part)
            for verdict, part in kernel_verdicts(policy, nlris, best)
        ]

    def _decided(
        self, paths: tuple[Path, ...], verdict: KernelVerdict, metric: int
    ) -> Forwarding | None:
        if verdict.action is KernelAction.REJECT:
            return None
        return self._forwarding(paths, verdict.action, metric)

    def _forwarding(
        self, paths: tuple[Path, ...], action: KernelAction, metric: int
    ) -> Forwarding | None:
        key = (paths, action, metric)
        if key not in self._made:
            made = self._make(paths, action, metric)
            # Many paths lead the same way: one object for all of them.
            self._made[key] = None if made is None else self._forwardings.setdefault(made, made)
        return self._made[key]

    def _make(
        self, paths: tuple[Path, ...], action: KernelAction, metric: int
    ) -> Forwarding | None:
        if paths[0].blackhole:
            return Forwarding(RouteKind.BLACKHOLE, (), metric)
        if action is KernelAction.TUNNEL:
            return self._tunnel(paths, metric)
        hops: dict[Hop, None] = {}
        for path in paths:
            hops.update(dict.fromkeys(path.next_hop.hops))
        if not hops:
            return Forwarding(RouteKind.UNREACHABLE, (), metric)
        return Forwarding(RouteKind.UNICAST, tuple(hops), metric)

    def _tunnel(self, paths: tuple[Path, ...], metric: int) -> Forwarding | None:
        """Through Calico's IPIP device the BGP next hop itself is the gateway."""
        device = self._interface_index(_TUNNEL_DEVICE)
        if not device:
            return None
        hops = tuple(Hop(device, path.next_hop.address, _TUNNEL_DEVICE) for path in paths)
        return Forwarding(RouteKind.UNICAST, hops, metric, onlink=True)

    def forget(self) -> None:
        """Next hops or the policy have changed: make every Forwarding anew."""
        self._made.clear()
        self._forwardings.clear()

    @property
    def interned(self) -> int:
        """How many sets of paths have a Forwarding."""
        return len(self._made)

    def sweep(self, alive: set[Path]) -> None:
        """Forget what was made for paths that are no more."""
        self._made = {key: made for key, made in self._made.items() if alive.issuperset(key[0])}
        self._forwardings = {made: made for made in self._made.values() if made is not None}

    def replay(self, family: Family) -> None:
        """Hand the whole table down again; what is installed already costs nothing."""
        by_path: dict[Path | None, list[Nlri]] = {}
        for nlri, path in self._loc_ribs[family].best.items():
            by_path.setdefault(path, []).append(nlri)
        self.apply(Delta(family, by_path))

    def why_not(self, afi: Afi, nlri: Nlri) -> str:
        """Say why a best path is not in the kernel; empty where it is."""
        if self._kernel.installed(afi, nlri) is not None:
            return ""
        return self._kernel.why(afi, nlri) or "the node's policy keeps it out"
