"""Routes of our own: which resource wants them, or what of the kernel's they were learned from.

Blocks, networks and gateways stand in the plan with the resource that asks for them; what an
embedder announces stands beside. Routes of the kernel are ours to tell only in Calico's mode, and
some of them never: then they are among those who could tell the prefix and do not.
"""

from __future__ import annotations

from collections.abc import Iterator

from fsm.family import Family
from policy.path import Path, SourceKind
from policy.prefix import Nlri
from speaker.config.plan import OriginationKind
from speaker.inquiry.answer import Because, Candidate, Judged, Silent
from speaker.inquiry.reasons import Absence, Arrival
from speaker.inquiry.way_in import Arrived
from speaker.inquiry.words import attribute_words, foreign_text, source_text
from speaker.local_routes import is_local_scope
from speaker.speaker import Speaker

_KINDS = (SourceKind.STATIC, SourceKind.DIRECT, SourceKind.KERNEL)


def originated(router: Speaker, family: Family, nlri: Nlri) -> list[Arrived]:
    """Give the paths to a prefix that do not come from peers."""
    found: list[Arrived] = []
    for kind in _KINDS:
        path = router.local.table(kind, family).paths.get(nlri)
        if path is not None:
            found.append(_own(router, family, nlri, path))
    return found


def _own(router: Speaker, family: Family, nlri: Nlri, path: Path) -> Arrived:
    why = (
        _wanted(router, family, nlri)
        if path.source.kind is SourceKind.STATIC
        else _learned(router, family, nlri, path)
    )
    candidate = Candidate(
        path.source.name,
        source_text(path.source),
        "",
        Judged(why),
        accepted=True,
        received=attribute_words(path.attributes),
    )
    return Arrived(candidate, path)


def _wanted(router: Speaker, family: Family, nlri: Nlri) -> Because:
    """Say which resource wants a static route."""
    for route in router.plan.static_routes:
        if (route.family, route.nlri) == (family, nlri):
            if route.via:
                return Because.of(Arrival.REACHABLE_BY, gateway=route.via, resource=route.because)
            return Because.of(Arrival.BLOCK, resource=route.because)
    for item in router.plan.originated:
        if (item.family, item.nlri) == (family, nlri):
            is_block = item.kind is OriginationKind.BLACKHOLE
            reason = Arrival.BLOCK if is_block else Arrival.NETWORK
            return Because.of(reason, resource=item.because)
    return Because.of(Arrival.EMBEDDER)


def _learned(router: Speaker, family: Family, nlri: Nlri, path: Path) -> Because:
    if path.source.kind is SourceKind.DIRECT:
        return Because.of(Arrival.CONNECTED, interface=path.next_hop.interface)
    routes = router.ground.foreign(family.afi, nlri)
    texts = [foreign_text(family.afi, route) for route in routes if route.protocol != 2]
    return Because.of(Arrival.FOREIGN, route=texts[0] if texts else "gone by now")


def not_learned(router: Speaker, family: Family, nlri: Nlri) -> Iterator[Silent]:
    """Say why a route that others have put into the kernel is not among ours."""
    routes = router.ground.foreign(family.afi, nlri)
    if not routes:
        return
    if any(nlri in router.local.table(kind, family).paths for kind in _KINDS[1:]):
        return
    if not router.ground.learns:
        reason = Absence.PLAIN_MODE
    elif is_local_scope(family.afi, nlri):
        reason = Absence.LINK_SCOPE
    else:
        reason = Absence.IGNORED
    yield Silent("kernel", Because.of(reason, route=foreign_text(family.afi, routes[0])))
