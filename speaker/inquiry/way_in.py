"""From whom a prefix came, what import policy made of it, and who did not tell it.

For each peer the Adj-RIB-In knows what it told, whether policy let it in or not; the policy is
asked again what it makes of it. What was refused before any table stands among the table's
`speaker.rib.refusals.Refusals`. The rest is said of the session.

Standards: RFC 4271 §9.1.1; RFC 7999 §3; RFC 8326 §4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fsm.family import Family
from fsm.graceful import Phase
from policy.attributes import WellKnown
from policy.calico import URGENT_PREFERENCE
from policy.path import Path
from policy.prefix import WIDTH, Nlri, show_address
from policy.tracing import Asked
from speaker.config.key_values import BlackholeMode
from speaker.config.plan import PeerPlan
from speaker.exchange import Exchange
from speaker.inquiry.answer import Because, Candidate, Judged, Silent
from speaker.inquiry.judging import as_written, judged, plan_of
from speaker.inquiry.reasons import Absence, Arrival, Note
from speaker.inquiry.words import attribute_words, source_text
from speaker.peer import Peer
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.speaker import Speaker


@dataclass(frozen=True, slots=True)
class Arrived:
    """A path that came in.

    Attributes:
        candidate: what is known of it without the decision.
        used: what policy made of it; None where it was not let in.
        table: of the external network that the peer's routes go into; None for the main one.
    """

    candidate: Candidate
    used: Path | None
    table: int | None = None


def arrivals(router: Speaker, family: Family, nlri: Nlri, peer: Peer) -> list[Arrived]:
    """Give what a peer has told of a prefix; also what was refused."""
    exchange = peer.tables
    rib = None if exchange is None else exchange.inbound.ribs.get(family)
    if exchange is None or rib is None:
        return []
    plan = plan_of(router, exchange.plan)
    told = rib.told(nlri)
    if told:
        waits = tuple(_waits(router, peer, family))
        return [
            _told(router, exchange, plan, rib, nlri, path, used, waits)
            for path, used in _standing(rib, nlri, told)
        ]
    why = rib.refusals.get(nlri)
    if why is None:
        return []
    candidate = Candidate(
        peer.name,
        source_text(rib.source),
        plan.address,
        Judged(Because.of(Arrival.REFUSED, why=why)),
    )
    return [Arrived(candidate, None)]


def _standing(rib: AdjRibIn, nlri: Nlri, told: tuple[Path, ...]) -> list[tuple[Path, Path | None]]:
    """Give each path as it came with what stands of it in the table; None for what was refused."""
    wanted = [(path, _as_policy_has_it(rib, nlri, path)) for path in told]
    standing = set(rib.used(nlri))
    # Of a policy that has not come to the prefix yet, what stands is what the former one made.
    spare = [path for path in rib.used(nlri) if path not in {used for _, used in wanted}]
    return [
        (path, used if used in standing else spare.pop() if spare else None)
        for path, used in wanted
    ]


def _as_policy_has_it(rib: AdjRibIn, nlri: Nlri, path: Path) -> Path | None:
    return path if rib.policy is None else rib.policy.apply(path, [nlri])[0][0]


def _told(
    router: Speaker,
    exchange: Exchange,
    plan: PeerPlan,
    rib: AdjRibIn,
    nlri: Nlri,
    path: Path,
    used: Path | None,
    waits: tuple[Because, ...],
) -> Arrived:
    family = rib.family
    by = Judged(Because.of(Arrival.NO_FILTER))
    if rib.policy is not None:
        chain = as_written(rib.policy.chain, plan.import_rules, family)
        _, by = judged(
            chain,
            Asked(family.afi, nlri, path, rib.policy.scope),
            Arrival.RULE_ACCEPTS,
            Arrival.RULE_REJECTS,
            Because.of(Arrival.NO_FILTER if chain is None else Arrival.NO_RULE_MATCHES),
        )
    received = attribute_words(path.attributes)
    made = received if used is None else attribute_words(used.attributes)
    # Of another table: whoever is sent into that network alone takes it.
    is_main = router.loc_ribs_of(exchange.plan)[family] is router.loc_ribs[family]
    candidate = Candidate(
        exchange.plan.name,
        source_text(rib.source),
        plan.address,
        by,
        path_ids=() if used is None else tuple(rib.ids_of(nlri, used)),
        accepted=used is not None,
        received=received,
        used=() if made == received else made,
        notes=(*_notes(plan, rib, nlri, path, used), *waits),
        table=None if is_main else plan.table,
    )
    return Arrived(candidate, used, candidate.table)


def _notes(
    plan: PeerPlan, rib: AdjRibIn, nlri: Nlri, path: Path, used: Path | None
) -> Iterator[Because]:
    communities = path.attributes.communities
    is_last = path.attributes.local_pref == 0 and not rib.source.is_internal
    if plan.graceful_shutdown and is_last and WellKnown.GRACEFUL_SHUTDOWN in communities:
        yield Because.of(Note.GRACEFUL_SHUTDOWN)
    if path.blackhole and used is not None:
        if used.blackhole:
            yield Because.of(Note.BLACKHOLE)
        elif plan.blackhole is BlackholeMode.HOSTS:
            yield Because.of(Note.BLACKHOLE_TOO_SHORT, length=WIDTH[rib.family.afi])
    if used is not None and used.preference == URGENT_PREFERENCE != path.preference:
        yield Because.of(Note.URGENT, preference=used.preference)
    if rib.is_stale(nlri, path):
        yield Because.of(Note.STALE)
    if used is not _as_policy_has_it(rib, nlri, path):
        yield Because.of(Note.JUDGED_ANEW)


def _waits(router: Speaker, peer: Peer, family: Family) -> Iterator[Because]:
    """Say for how long routes stay whose session is gone."""
    wait = peer.restarts.helper.waits.get(family)
    if wait is None or wait.phase is Phase.RETURNED:
        return
    left = max(0.0, wait.until - router.clock.now())
    note = Note.LAST_RESORT if wait.phase is Phase.LONG_LIVED else Note.RESTARTING
    yield Because.of(note, seconds=f"{left:.0f}")


def silence(router: Speaker, family: Family, peer: Peer) -> Because:
    """Say why a peer has not told a prefix."""
    if family not in peer.plan.families:
        return Because.of(Absence.NO_FAMILY, family=family)
    exchange = peer.exchange
    if not peer.is_established or exchange is None:
        return Because.of(Absence.SESSION_DOWN, why=peer.explanation)
    if family not in exchange.inbound.ribs:
        return Because.of(Absence.NO_FAMILY, family=family)
    if family not in exchange.inbound.ended:
        return Because.of(Absence.NOT_COMPLETE)
    return Because.of(Absence.NOT_TOLD)


def leaving(path: Path) -> Arrived:
    """Say what is known of a path whose peer is no more."""
    source = path.source
    candidate = Candidate(
        source.name,
        source_text(source),
        show_address(source.address) if source.address else "",
        Judged(Because.of(Arrival.LEAVING)),
        accepted=True,
        received=attribute_words(path.attributes),
    )
    return Arrived(candidate, path)


def held(router: Speaker) -> list[Silent]:
    """Give the peers that have no session for want of their password or keys."""
    return [Silent(name, Because.of(Absence.HELD)) for name, _ in router.plan.held]
