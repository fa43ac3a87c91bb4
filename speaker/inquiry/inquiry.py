"""`why`: one prefix or address, and everything that can be said of it.

An `Inquiry` puts the parts together: who told the prefix and what policy made of it, which path won
and against what, where next hops lead, what the kernel has, who hears it, and which other routes
matter to its packets. Each part is recomputed from what stands; nothing is kept for it, and nothing
is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from fsm.family import Afi, Family
from policy.path import Path
from policy.prefix import WIDTH, Nlri, address_of, host_prefix, pack, show, show_address
from speaker.control.protocol import ControlError
from speaker.inquiry.answer import (
    Around,
    Because,
    Candidate,
    Installed,
    Silent,
    Verdict,
    Why,
)
from speaker.inquiry.deciding import choices
from speaker.inquiry.in_kernel import Table, in_kernel
from speaker.inquiry.lookups import covering, inside, longest
from speaker.inquiry.own import not_learned, originated
from speaker.inquiry.reasons import Choice
from speaker.inquiry.summary import summary
from speaker.inquiry.way_in import Arrived, arrivals, held, leaving, silence
from speaker.inquiry.way_out import WayOut
from speaker.inquiry.words import hop_text
from speaker.local_routes import FAMILIES
from speaker.peer import Peer
from speaker.rib.loc_rib import LocRib
from speaker.speaker import Speaker
from speaker.status import find_peer

SOME = 5
"""Prefixes inside the one asked for that are named."""


def why(router: Speaker, prefix: str, peer: str | None = None) -> Why:
    """Say why a route is there, or is not.

    Args:
        router: that runs.
        prefix: in text; an address stands for the route that its packets take.
        peer: a name, address or resource: only what concerns this one.

    Raises:
        ControlError: the prefix is none, or there is no such peer.
    """
    afi, nlri, is_address = _read(prefix)
    narrowed = _peer(router, peer) if peer else None
    inquiry = Inquiry(router, FAMILIES[afi])
    if not is_address:
        return inquiry.answer(prefix, nlri, narrowed)
    ours = router.next_hops.is_own(address_of(afi, nlri))
    return inquiry.answer(prefix, inquiry.taken(nlri) or nlri, narrowed, ours=ours)


def _peer(router: Speaker, name: str) -> Peer:
    """Find a peer; one that has no session for want of its password is said to be such."""
    for session, resource in router.plan.held:
        if name in (session, resource):
            raise ControlError(f"{session} is held down: its password or key is missing")
    return find_peer(router, name)


def _read(text: str) -> tuple[Afi, Nlri, bool]:
    """Read a prefix or an address; of an address its host prefix."""
    if "%" in text:
        raise ControlError(f"{text!r} names a link", "routes have none, so give it without")
    try:
        if "/" not in text:
            nlri = host_prefix(ip_address(text.strip()).packed)
            return (Afi.IPV4 if nlri[0] == 32 else Afi.IPV6), nlri, True
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ControlError(
            f"{text!r} is no prefix and no address", "give it as 10.0.1.0/24 or 10.0.1.7"
        ) from None
    afi = Afi.IPV4 if network.version == 4 else Afi.IPV6
    address = ip_address(text.strip().partition("/")[0])
    if address != network.network_address:
        raise ControlError(f"{text} has host bits set", f"the prefix is {network}")
    return afi, pack(afi, network.network_address.packed, network.prefixlen), False


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Questions about routes of one family.

    Attributes:
        router: who is asked.
        family: unicast.
    """

    router: Speaker
    family: Family

    @property
    def _loc_rib(self) -> LocRib:
        return self.router.loc_ribs[self.family]

    def _is_taken(self, nlri: Nlri) -> bool:
        """Tell whether packets would take a route of this prefix, if no longer one covers them."""
        router, afi = self.router, self.family.afi
        if router.plane.kernel is None:
            return nlri in self._loc_rib.best
        return router.plane.kernel.installed(afi, nlri) is not None or bool(
            router.ground.foreign(afi, nlri)
        )

    def taken(self, nlri: Nlri) -> Nlri | None:
        """Find the prefix whose route packets to a prefix take."""
        afi = self.family.afi
        return longest(afi, address_of(afi, nlri), nlri[0], self._is_taken)

    def answer(
        self, asked: str, nlri: Nlri, peer: Peer | None = None, *, ours: bool = False
    ) -> Why:
        """Say all there is to say of a prefix.

        Args:
            asked: what was asked for.
            nlri: whose route answers.
            peer: to whom it is narrowed.
            ours: what was asked for is an address of this node.
        """
        router, family = self.router, self.family
        candidates = list(self._candidates(nlri, router.peers.values()))
        is_elsewhere = any(each.table is not None and each.accepted for each in candidates)
        way_out = WayOut(router, family, nlri, is_elsewhere=is_elsewhere)
        peers = router.peers.values() if peer is None else [peer]
        told = tuple(each for one in peers for each in way_out.to(one))
        best = self._loc_rib.best.get(nlri)
        verdict = _verdict(best is not None, candidates)
        kernel = tuple(self._kernel(nlri, candidates))
        silent = tuple(self._silent(nlri, peers, {each.source for each in candidates}))
        if peer is not None:
            candidates = [each for each in candidates if each.is_best or each.source == peer.name]
            silent = tuple(each for each in silent if each.source == peer.name)
        found = Why(
            asked=asked,
            prefix=show(family.afi, nlri),
            family=str(family),
            peer="" if peer is None else peer.name,
            verdict=verdict,
            summary="",
            candidates=tuple(candidates),
            silent=silent,
            kernel=kernel,
            told=told,
            around=replace(self._around(nlri), ours=ours),
        )
        return replace(found, summary=summary(found))

    def _silent(self, nlri: Nlri, peers: Iterable[Peer], told: set[str]) -> Iterator[Silent]:
        yield from held(self.router)
        for peer in peers:
            if peer.name not in told:
                yield Silent(peer.name, silence(self.router, self.family, peer))
        yield from not_learned(self.router, self.family, nlri)

    def _candidates(self, nlri: Nlri, peers: Iterable[Peer]) -> Iterator[Candidate]:
        """Give what came in: what decided between those that were let in first, then the others."""
        router, family = self.router, self.family
        arrived = originated(router, family, nlri)
        for peer in peers:
            arrived += arrivals(router, family, nlri, peer)
        of = {id(each.used): each for each in arrived if each.used is not None}
        for table, loc_ribs in self._tables():
            loc_rib = loc_ribs[family]
            for path, chosen in choices(loc_rib, nlri):
                known = of.pop(id(path), None) or leaving(path)
                is_best = path is loc_rib.best.get(nlri)
                yield self._chosen(known, path, chosen, is_best, table)
        left = [each for each in arrived if each.used is None or id(each.used) in of]
        yield from (each.candidate for each in left)

    def _tables(self) -> Iterator[tuple[int | None, Mapping[Family, LocRib]]]:
        yield None, self.router.loc_ribs
        for network in self.router.networks:
            yield network.table, network.loc_ribs

    def _chosen(
        self, arrived: Arrived, path: Path, chosen: Because, is_best: bool, table: int | None
    ) -> Candidate:
        afi, next_hop = self.family.afi, path.next_hop
        if table is not None and is_best:
            chosen = Because.of(Choice.ANOTHER_TABLE, table=table)
        address = next_hop.address or path.attributes.next_hop
        return replace(
            arrived.candidate,
            is_best=is_best,
            chosen=chosen,
            next_hop=show_address(address) if any(address) else "",
            resolved=tuple(
                Because(step.found, str(step)) for step in self.router.next_hops.explain(next_hop)
            ),
            via=tuple(
                hop_text(afi, hop, hop.weight * path.source.weight)
                for hop in next_hop.hops
                if hop.gateway or hop.interface_name
            ),
        )

    def _kernel(self, nlri: Nlri, candidates: Iterable[Candidate]) -> Iterator[Installed]:
        router, family = self.router, self.family
        options = router.plane.options
        number = 0 if options is None else options.table
        best = self._loc_rib.best.get(nlri)
        main = Table(number, router.plane.kernel, router.builtin(family), best)
        yield in_kernel(router, family, nlri, main)
        tables = {each.table for each in candidates}
        for network in router.networks:
            if network.kernel is not None and network.table in tables:
                best = network.loc_ribs[family].best.get(nlri)
                there = Table(network.table, network.kernel, None, best)
                yield in_kernel(router, family, nlri, there)

    def _around(self, nlri: Nlri) -> Around:
        afi, best = self.family.afi, self._loc_rib.best
        taken, above = self.taken(nlri), covering(afi, nlri, best.__contains__)
        found = inside(afi, nlri, best.keys()) if nlri[0] < WIDTH[afi] else None
        return Around(
            taken="" if taken is None else show(afi, taken),
            less_specific="" if above is None else show(afi, above),
            more_specific=() if found is None else tuple(show(afi, n) for n in found.found[:SOME]),
            count=0 if found is None else len(found.found),
            complete=found is None or found.complete,
        )


def _verdict(is_used: bool, candidates: Iterable[Candidate]) -> Verdict:
    known = list(candidates)
    if is_used or any(each.is_best for each in known):
        return Verdict.USED
    return Verdict.UNUSED if any(each.accepted for each in known) else Verdict.ABSENT
