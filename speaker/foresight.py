"""What an edit would do to the routes of the running router, before it is made.

`Foresight` holds a plan that is not in force against the tables: it runs the import policies and
export rules that the plan would lead to over what peers have told (`speaker.rib.would_be`), chooses
best paths among what would be left, and compares the outcome with what stands in the tables now.
Nothing is changed.

Only prefixes that the edit may concern are looked at, in slices that the control server puts
between other work. There is a bound on the whole; what is left out is counted. What the tables
cannot know (the routes of a session that is not there yet, attribute sets that a peer has to tell
again) is said in words. A session that would be reset counts as one that comes back and tells what
it told before.

Standards: RFC 4271 §9.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from policy.attributes import local_attributes
from policy.decision import select, select_several
from policy.path import NextHop, Path, SourceKind
from policy.prefix import Nlri, show, show_address
from speaker.config.changes import (
    AddPeer,
    Change,
    PeerChange,
    RefilterIn,
    RefilterOut,
    Regroup,
    RemovePeer,
    RenamePeer,
    ResetPeer,
    SetCaches,
    SetDecision,
    SetIgnoredInterfaces,
    SetMode,
    changes,
    with_dynamic,
    with_standing,
)
from speaker.config.plan import PeerPlan, Plan, PolicyMode
from speaker.control.views import (
    ForecastView,
    PeerRoutesView,
    RouteDifferenceView,
    UsedView,
)
from speaker.edits import REJUDGED
from speaker.exchange import Exchange
from speaker.rib.session_rules import PlanRules, PresumedEnd, group_key, presumed
from speaker.rib.would_be import Prospect, WayIn, WayOut
from speaker.speaker import Speaker

SLICE = 512
"""Questions (a prefix and a peer that is told of it) that are answered at once."""

QUESTIONS = 2_000_000
"""Questions that are answered at the most."""

_FAMILIES = (IPV4_UNICAST, IPV6_UNICAST)
_SEEN_ELSEWHERE = {"max_prefixes", "max_prefixes_out", "rr_client", *REJUDGED}


class Foresight:
    """A plan that is not in force, held against the tables of a router.

    Args:
        router: whose tables they are.
        plan: the plan that would be in force.
    """

    def __init__(self, router: Speaker, plan: Plan) -> None:
        self._router = router
        up = [name for name, peer in router.peers.items() if peer.is_established]
        self._old = router.plan
        self._new = with_dynamic(with_standing(plan, router.plan, up), router.plan)
        self._changes = changes(self._old, self._new)

    def chunks(self) -> Iterator[ForecastView]:
        """Look at all prefixes that the edit may concern, a slice at a time."""
        left = 0
        asked = 0
        for prospect in self._prospects():
            each = 1 + len(prospect.ways_out)
            slice_: list[Nlri] = []
            for looked, nlri in enumerate(prospect.prefixes()):
                if asked >= QUESTIONS:
                    left += sum(map(len, prospect.sources)) - looked
                    break
                slice_.append(nlri)
                asked += each
                if len(slice_) * each >= SLICE:
                    yield _look(prospect, slice_)
                    slice_ = []
            yield _look(prospect, slice_)
        yield {
            **_chunk(left=left, unforeseen=list(self._unforeseen())),
            "sessions": list(self._of_ranges()),
        }

    def _prospects(self) -> Iterator[Prospect]:
        keeps = self._new.mode is PolicyMode.CALICO
        for family in _FAMILIES:
            prospect = Prospect(family, self._router.loc_ribs[family], keeps)
            prospect.static = self._static(family)
            self._add_ways(prospect)
            yield prospect

    def _static(self, family: Family) -> dict[Nlri, Path | None]:
        """Give our own routes that come, or come otherwise, and those that go as None."""
        rib = self._router.local.table(SourceKind.STATIC, family)
        before, after = self._old.own_routes(family), self._new.own_routes(family)
        found: dict[Nlri, Path | None] = {}
        for nlri in before.keys() | after.keys():
            if before.get(nlri) == after.get(nlri):
                continue
            way = after.get(nlri)
            if way is None:
                found[nlri] = None
                continue
            via, blackhole = way
            next_hop = NextHop(via)
            attributes = local_attributes(via)
            found[nlri] = Path(attributes, rib.source, next_hop, blackhole=blackhole)
        return found

    def _add_ways(self, prospect: Prospect) -> None:
        renamed = {c.name: c.plan.name for c in self._changes if isinstance(c, RenamePeer)}
        gone = {c.name for c in self._changes if isinstance(c, RemovePeer)}
        rules = PlanRules(self._new, self._router.leaving, self._router.origins.vrps)
        for name, peer in self._router.peers.items():
            exchange = peer.exchange
            if exchange is None or prospect.family not in exchange.inbound.ribs:
                continue
            plan = None if name in gone else self._new.peers.get(renamed.get(name, name))
            self._add_ways_of(prospect, plan, exchange, rules)
        for change in self._changes:
            if isinstance(change, AddPeer) and prospect.family in change.plan.families:
                key = group_key(
                    prospect.family,
                    change.plan,
                    presumed(change.plan),
                    rules,
                    PresumedEnd(self._new, change.plan),
                )
                prospect.ways_out.append(WayOut(change.plan.name, None, key))

    def _add_ways_of(
        self, prospect: Prospect, plan: PeerPlan | None, exchange: Exchange, rules: PlanRules
    ) -> None:
        family, name = prospect.family, exchange.plan.name if plan is None else plan.name
        rib, share = exchange.inbound.ribs[family], exchange.shares.get(family)
        competes = self._router.loc_ribs_of(exchange.plan)[family] is prospect.loc_rib
        place = None if share is None else (share.group, share.member)
        if plan is None:
            prospect.add(WayIn(name, rib, None, gone=True, competes=competes))
            prospect.ways_out.append(WayOut(name, place, None))
            return
        policy = exchange.import_policy(family, plan, rules)
        alike = policy is None if rib.policy is None else rib.policy.decides_like(policy)
        if not alike:
            prospect.add(WayIn(name, rib, policy, gone=False, competes=competes))
        if share is not None:
            key = exchange.group_key(family, plan, rules)
            prospect.ways_out.append(WayOut(name, place, key))

    def _of_ranges(self) -> Iterator[str]:
        """Say what becomes of peers that are there and that nobody names."""
        names = {name for name, plan in self._old.peers.items() if plan.range}
        for change in self._changes:
            if isinstance(change, RenamePeer) and change.name in names:
                names.add(change.plan.name)
            if isinstance(change, PeerChange) and change.name in names:
                yield change.describe()

    def _unforeseen(self) -> Iterator[str]:
        for change in self._changes:
            yield from _not_known(change)
        limited = [peer.name for peer in self._new.peers.values() if peer.max_prefixes_out]
        if limited and self._changes:
            yield f"limits of what is told are not counted: {', '.join(limited)}"


def _not_known(change: Change) -> Iterator[str]:
    """Say what the tables do not know about a change."""
    match change:
        case AddPeer(plan):
            yield f"what {plan.name} will tell; what it is told follows from what it can read"
        case ResetPeer(plan):
            yield f"{plan.name} is taken to come back and to tell what it told before"
        case RefilterIn(plan, fields) | RefilterOut(plan, fields) | Regroup(plan, fields):
            unknown = [name for name in fields if name in _SEEN_ELSEWHERE]
            if unknown:
                words = ", ".join(name.replace("_", " ") for name in unknown)
                yield f"what {plan.name} has to tell anew, or is limited to: {words}"
        case SetMode() | SetIgnoredInterfaces():
            yield "routes of the kernel that take part in the decision, or do not"
        case SetCaches():
            yield "what caches of RPKI will say of routes, or no longer"
        case SetDecision():
            yield "which of several paths is best, if MED is compared otherwise"


def _look(prospect: Prospect, nlris: Sequence[Nlri]) -> ForecastView:
    """Compare what a slice of prefixes would come to with what it has come to."""
    chunk = _chunk()
    peers: dict[str, PeerRoutesView] = {}

    def of(name: str) -> PeerRoutesView:
        if name not in peers:
            peers[name] = {"peer": name, "accepted": _nothing(), "advertised": _nothing()}
        return peers[name]

    for nlri in nlris:
        prefix = show(prospect.family.afi, nlri)
        before = prospect.loc_rib.best.get(nlri)
        candidates = prospect.candidates(nlri)
        after = select(candidates, prospect.keeps_unreachable)
        _compare_best(chunk["used"], prefix, before, after)
        for way_in in prospect.ways_in:
            now, then = _looks(way_in.rib.used(nlri)), _looks(way_in.used(nlri))
            if now != then:
                _note(of(way_in.peer)["accepted"], prefix, now, then)
        for way_out in prospect.ways_out:
            several = way_out.key.add_path if way_out.key is not None else 0
            if not (way_out.anew or several) and after is before:
                continue
            offered = (
                select_several(candidates, several, prospect.keeps_unreachable)
                if several
                else []
                if after is None
                else [after]
            )
            told, to_tell = way_out.now(nlri), way_out.then(nlri, offered)
            if told != to_tell:
                _note(of(way_out.peer)["advertised"], prefix, told, to_tell)
    chunk["peers"] = list(peers.values())
    return chunk


def _looks(paths: Iterable[Path]) -> set[tuple[bytes, bytes, int, bool]]:
    """Give what makes paths of one source differ."""
    return {
        (path.attributes.raw, path.attributes.next_hop, path.preference, path.blackhole)
        for path in paths
    }


def _note(
    view: RouteDifferenceView, prefix: str, now: Collection[object], then: Collection[object]
) -> None:
    if not now:
        view["appear"].append(prefix)
    elif not then:
        view["vanish"].append(prefix)
    else:
        view["change"].append(prefix)


def _compare_best(view: UsedView, prefix: str, before: Path | None, after: Path | None) -> None:
    if before is after:
        return
    if before is None:
        view["appear"].append(prefix)
    elif after is None:
        view["vanish"].append(prefix)
    elif _where(before) != _where(after):
        view["move"].append({"prefix": prefix, "was": _where(before), "becomes": _where(after)})


def _where(path: Path) -> str:
    """Say where a path leads."""
    if path.blackhole and path.source.is_bgp:
        return f"{path.source.name}, dropped"
    address = path.next_hop.address
    return f"{path.source.name} via {show_address(address)}" if address else path.source.name


def _nothing() -> RouteDifferenceView:
    return {"appear": [], "vanish": [], "change": []}


def _chunk(*, left: int = 0, unforeseen: list[str] | None = None) -> ForecastView:
    return {
        "used": {"appear": [], "vanish": [], "move": []},
        "peers": [],
        "left": left,
        "unforeseen": unforeseen or [],
        "sessions": [],
    }
