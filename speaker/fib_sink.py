"""From best paths to kernel routes.

`RouteSink` is the port: anything that wants to follow the Loc-RIBs (the kernel here, an embedder's
hardware elsewhere) has one method, `apply`. `FibSink` is the kernel's: it asks the node's policy
what may be installed, reads the immediate next hops from the paths, and hands batches to the kernel
thread. A `Forwarding` is made once per set of paths, not per prefix.

Paths that lead through the same next hops are one *way* (`speaker.sharing`), and the kernel keeps
one object for it which all their routes name. When the way to a next hop changes (`moved`), or one
of several equal next hops dies or its peer goes (`lost`), or a peer's weight is changed
(`balance`), the kernel is told of the ways that are concerned, one message each, before any prefix
is decided again. That is never wrong: of equal paths those that are left are still what each prefix
has, and a peer stands in for another one only if it has a path to all that the other had, and the
node's own policy makes no difference between the two. The decisions follow and find, as a rule,
that everything is as it should be; a route without another path waits for its decision.

Routes that came from the kernel are never given back to it.

Standards: RFC 4271 §9.1.2.1 (what is installed); Calico's kernel policy by `policy.calico`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set, Sized
from functools import partial
from itertools import chain, count
from typing import Protocol

from fsm.family import Afi, Family, Safi
from policy.calico import (
    BuiltinPolicy,
    KernelAction,
    KernelVerdict,
    kernel_metric,
    kernel_verdicts,
    verdicts_agree,
)
from policy.path import NextHop, Path, Source, stays_out
from policy.prefix import Nlri
from speaker.kernel.routes import Forwarding, RouteKind
from speaker.kernel.thread import Kernel
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.room import compacted
from speaker.rib.standing_in import stand_in
from speaker.sharing import Members

Batch = list[tuple[Forwarding | None, list[Nlri]]]


TUNNEL_DEVICE = "tunl0"


class _Orders:
    """Prefixes by how they are to be installed: whoever installs them likes long lists."""

    def __init__(self) -> None:
        self._parts: dict[int, list[list[Nlri]]] = {}
        self._forwardings: dict[int, Forwarding | None] = {}

    # hot: per attribute set
    def add(self, forwarding: Forwarding | None, nlris: list[Nlri]) -> None:
        # By identity: a forwarding's own hash is computed in Python.
        parts = self._parts.get(id(forwarding))
        if parts is None:
            self._parts[id(forwarding)] = [nlris]
            self._forwardings[id(forwarding)] = forwarding
        else:
            parts.append(nlris)

    def batch(self) -> Batch:
        """Give one list of prefixes for each forwarding."""
        batch: Batch = []
        for key, parts in self._parts.items():
            nlris = parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
            if nlris:
                batch.append((self._forwardings[key], nlris))
        return batch


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
        self._made: dict[tuple[Afi, tuple[Path, ...], KernelAction, int], Forwarding | None] = {}
        self._forwardings: dict[Forwarding, Forwarding] = {}
        self._alone: dict[Afi, dict[Path, Forwarding | None]] = {Afi.IPV4: {}, Afi.IPV6: {}}
        self._stale: list[Sized] = []
        self._ways: dict[Members, int] = {}
        self._numbers = count(1)
        self._tellers: dict[NextHop, set[Source]] = {}
        self._lost: set[Source] = set()

    # hot: per batch
    def apply(self, delta: Delta) -> None:
        """Follow what has changed in one Loc-RIB."""
        family = delta.family
        if family.safi != Safi.UNICAST:
            return
        orders = _Orders()
        shared = self._loc_ribs[family].shared
        alone = self._alone[family.afi]
        together: dict[tuple[Path, ...], dict[Nlri, None]] = {}
        for path, nlris in delta.changed.items():
            if shared and not shared.keys().isdisjoint(nlris):
                for nlri in nlris:
                    if nlri in shared:
                        together.setdefault(shared[nlri], {})[nlri] = None
                nlris = [nlri for nlri in nlris if nlri not in shared]
            if path is None:
                orders.add(None, nlris)
            elif path in alone:
                orders.add(alone[path], nlris)
            else:
                self._install(orders, family, (path,), nlris)
        self._regroup_shared(delta, together)
        for paths, mapped in together.items():
            self._install(orders, family, paths, list(mapped))
        batch = orders.batch()
        if batch:
            self._kernel.install(family.afi, batch)

    # hot: per prefix
    def _regroup_shared(
        self, delta: Delta, together: dict[tuple[Path, ...], dict[Nlri, None]]
    ) -> None:
        """Follow sets of equal paths that changed while the best path stayed."""
        loc_rib = self._loc_ribs[delta.family]
        shared, best = loc_rib.shared, loc_rib.best
        for nlri in delta.shared:
            paths = shared.get(nlri)
            if paths is None:
                path = best.get(nlri)
                if path is None:
                    continue
                paths = (path,)
            together.setdefault(paths, {})[nlri] = None

    def _install(
        self, orders: _Orders, family: Family, paths: tuple[Path, ...], nlris: list[Nlri]
    ) -> None:
        if not nlris:
            return
        policy, best = self._builtin(family), paths[0]
        if policy is None:
            made = None
            if not stays_out(best):
                made = self._forwarding(family.afi, paths, KernelAction.ACCEPT, 0)
            if len(paths) == 1:
                self._alone[family.afi][best] = made
            orders.add(made, nlris)
        elif stays_out(best):
            orders.add(None, nlris)
        else:
            metric = kernel_metric(best, policy.normal_priority) if best.source.is_bgp else 0
            for verdict, part in kernel_verdicts(policy, nlris, best):
                orders.add(self._decided(family.afi, paths, verdict, metric), part)

    def _decided(
        self, afi: Afi, paths: tuple[Path, ...], verdict: KernelVerdict, metric: int
    ) -> Forwarding | None:
        if verdict.action is KernelAction.REJECT:
            return None
        return self._forwarding(afi, paths, verdict.action, metric)

    def _forwarding(
        self, afi: Afi, paths: tuple[Path, ...], action: KernelAction, metric: int
    ) -> Forwarding | None:
        key = (afi, paths, action, metric)
        if key not in self._made:
            made = self._make(afi, paths, action, metric)
            # Many paths lead the same way: one object for all of them.
            self._made[key] = None if made is None else self._forwardings.setdefault(made, made)
        return self._made[key]

    def _make(
        self, afi: Afi, paths: tuple[Path, ...], action: KernelAction, metric: int
    ) -> Forwarding | None:
        if paths[0].blackhole:
            return Forwarding(RouteKind.BLACKHOLE, (), metric)
        if len(paths) > 1:
            paths = tuple(path for path in paths if path.source not in self._lost) or paths
            for path in paths:
                self._tellers.setdefault(path.next_hop, set()).add(path.source)
        # Of equal paths each has a next hop of its own.
        shares = {path.next_hop: path.source.weight for path in paths}
        members = Members.of(afi, action is KernelAction.TUNNEL, shares)
        return self._lead(members.without(()), metric)

    def _lead(self, members: Members, metric: int = 0) -> Forwarding | None:
        """Say how routes by a way look, wherever it leads now."""
        if members.tunnel and any(one.reachable for one in members.next_hops):
            return self._tunnel(members, metric)
        hops = members.hops()
        if not hops:
            return Forwarding(RouteKind.UNREACHABLE, (), metric)
        return Forwarding(RouteKind.UNICAST, hops, metric, way=self._way(members))

    def _way(self, members: Members) -> int:
        number = self._ways.get(members)
        if number is None:
            number = self._ways[members] = next(self._numbers)
        return number

    # Whole ways.

    def moved(self, next_hops: Set[NextHop]) -> None:
        """Take every route along at once whose next hops lead elsewhere now, or of which some died.

        What each prefix is to do is decided afterwards; nearly always it is this.
        """
        self._regroup(next_hops, ())
        self.forget()

    def lost(self, source: Source, others: Callable[[], Iterable[NextHop]]) -> None:
        """Let all routes do at once without the next hops that only this peer told.

        Args:
            source: whose routes are about to go.
            others: gives the next hops that everybody else tells.
        """
        if source in self._lost:
            return
        self._lost.add(source)
        dead = {next_hop for next_hop, tellers in self._tellers.items() if source in tellers}
        if dead:
            dead.difference_update(others())
            self._regroup(dead, dead)
            self.forget()
        self._stand_in(source, others)

    def _stand_in(self, source: Source, others: Callable[[], Iterable[NextHop]]) -> None:
        """Let routes that a peer alone told go by another one that has paths to all of them."""
        for family, loc_rib in self._loc_ribs.items():
            if family.safi != Safi.UNICAST:
                continue
            policy = self._builtin(family)
            if policy is None:
                found = stand_in(loc_rib.tables, source)
            else:
                found = stand_in(loc_rib.tables, source, partial(verdicts_agree, policy))
            if found is None:
                continue
            gone = found.gone.difference(others())
            for members, number in list(self._ways.items()):
                if members.afi is not family.afi or not members.next_hops <= gone:
                    continue
                into = self._lead(Members.of(family.afi, members.tunnel, {found.instead: 1}))
                if into is not None and into.way:
                    del self._ways[members]
                    self._kernel.merge(family.afi, number, into)
                    self._kernel.hurry()
                    self.forget()

    def _regroup(self, concerned: Set[NextHop], dead: Collection[NextHop]) -> None:
        urgent = False
        leading: dict[Afi, list[Forwarding]] = {}
        for members, number in list(self._ways.items()):
            if concerned.isdisjoint(members.next_hops):
                continue
            left = members.without(dead)
            into = self._lead(left)
            if into is None or not into.way:
                continue
            if left == members and not dead:
                leading.setdefault(members.afi, []).append(into)
            elif left != members:
                # This set is no more; should it come again, that is another one.
                del self._ways[members]
                self._kernel.merge(members.afi, number, into)
                urgent = True
        for afi, forwardings in leading.items():
            self._kernel.lead(afi, forwardings)
        if urgent or leading:
            self._kernel.hurry()

    def balance(self, source: Source) -> None:
        """Let traffic be shared anew: the weight of a peer is another.

        Whole ways go first, where it is clear which weights their next hops have now; then every
        prefix with several paths, one of them of this peer, is told again.
        """
        told = {next_hop for next_hop, tellers in self._tellers.items() if source in tellers}
        urgent = False
        for members, number in list(self._ways.items()):
            now = members if told.isdisjoint(members.next_hops) else self._weighed_anew(members)
            if now != members:
                into = self._lead(now)
                if into is not None and into.way:
                    del self._ways[members]
                    self._kernel.merge(members.afi, number, into)
                    urgent = True
        self.forget()
        if urgent:
            self._kernel.hurry()
        for family, loc_rib in self._loc_ribs.items():
            by_path: dict[Path | None, list[Nlri]] = {}
            for nlri, paths in loc_rib.shared.items():
                if any(path.source is source for path in paths):
                    by_path.setdefault(paths[0], []).append(nlri)
            if by_path:
                self.apply(Delta(family, by_path))

    def _weighed_anew(self, members: Members) -> Members:
        """Give a way with the weights of now; as it is, where its next hops may have several."""
        shares: dict[NextHop, int] = {}
        for next_hop in members.next_hops:
            weights = {source.weight for source in self._tellers.get(next_hop, ())}
            if len(weights) != 1:
                return members
            shares[next_hop] = weights.pop()
        return Members.of(members.afi, members.tunnel, shares)

    def _tunnel(self, members: Members, metric: int) -> Forwarding | None:
        """Through Calico's IPIP device the BGP next hop itself is the gateway."""
        device = self._interface_index(TUNNEL_DEVICE)
        hops = members.far_ends(device, TUNNEL_DEVICE) if device else ()
        if not hops:
            return None
        return Forwarding(RouteKind.UNICAST, hops, metric, onlink=True, way=self._way(members))

    def forget(self) -> None:
        """Next hops or the policy have changed: make every Forwarding anew."""
        # Emptying large tables takes long, and nobody else can do anything meanwhile.
        self._stale += (self._made, self._forwardings, *self._alone.values())
        self._made, self._forwardings = {}, {}
        self._alone = {afi: {} for afi in self._alone}

    @property
    def interned(self) -> int:
        """How many sets of paths have a Forwarding."""
        return len(self._made) + sum(map(len, self._stale))

    def sweep(self, find_alive: Callable[[], set[Path]]) -> Iterator[None]:
        """Forget what was made for paths that are no more, step by step.

        Args:
            find_alive: gives the paths that there are at that moment.
        """
        yield
        self._stale.clear()
        for afi in self._alone:
            yield
            alone, alive = self._alone[afi], find_alive()
            for path in [path for path in alone if path not in alive]:
                del alone[path]
            self._alone[afi] = compacted(alone)
        yield
        alive = find_alive()
        self._made = {key: made for key, made in self._made.items() if alive.issuperset(key[1])}
        self._forwardings = {made: made for made in self._made.values() if made is not None}
        yield
        alive = find_alive()
        told = {path.next_hop for path in alive}
        self._ways = {m: number for m, number in self._ways.items() if m.next_hops <= told}
        sources = {path.source for path in alive}
        self._lost &= sources
        self._tellers = {
            next_hop: tellers & sources
            for next_hop, tellers in self._tellers.items()
            if next_hop in told
        }

    def replay(self, family: Family, limit: int) -> Iterator[None]:
        """Hand the table down again, in slices; what is installed already costs nothing."""
        best = self._loc_ribs[family].best
        left = list(best)
        while left:
            by_path: dict[Path | None, list[Nlri]] = {}
            for nlri in left[-limit:]:
                path = best.get(nlri)
                if path is not None:
                    by_path.setdefault(path, []).append(nlri)
            del left[-limit:]
            self.apply(Delta(family, by_path))
            yield

    def why_not(self, afi: Afi, nlri: Nlri) -> str:
        """Say why a best path is not in the kernel; empty where it is."""
        if self._kernel.installed(afi, nlri) is not None:
            return ""
        return self._kernel.why(afi, nlri) or "the node's policy keeps it out"
