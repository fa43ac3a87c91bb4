"""Which step of the Decision Process a path lost, against which other, with both values.

The step is that of `policy.decision.explain`. What a loser is held against is the best path; where
MULTI_EXIT_DISC decided, which compares within one neighbouring AS, it is the best of that AS.

Standards: RFC 4271 §9.1.2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policy.aigp import metric
from policy.attributes import Attribute, Origin
from policy.decision import Reason, explain
from policy.path import Path
from policy.prefix import Nlri, show_address
from policy.ranking import BEFORE_MED, DEFAULT_LOCAL_PREF, ranked_by
from speaker.inquiry.answer import Because
from speaker.inquiry.reasons import Choice
from speaker.rib.loc_rib import LocRib


def choices(loc_rib: LocRib, nlri: Nlri) -> list[tuple[Path, Because]]:
    """Say of each candidate for a prefix why it won or lost; the best first."""
    explained = explain(loc_rib.candidates(nlri))
    best, shared = loc_rib.best.get(nlri), loc_rib.shared.get(nlri, ())
    found = [(path, _choice(path, reason, best, shared, explained)) for path, reason in explained]
    return sorted(found, key=lambda item: item[0] is not best)


def _choice(
    path: Path,
    reason: Reason,
    best: Path | None,
    shared: Sequence[Path],
    explained: Sequence[tuple[Path, Reason]],
) -> Because:
    if path is best:
        if not path.next_hop.reachable:
            return Because.of(Choice.KEPT_UNREACHABLE)
        if len(explained) == 1:
            return Because.of(Choice.ONLY)
        return Because(Reason.BEST, f"the best of {len(explained)}")
    if path in shared:
        return Because.of(Choice.SHARES)
    if reason is Reason.UNREACHABLE:
        return Because(reason, "lost: its next hop is unreachable")
    rival = best if best is not None else explained[0][0]
    if reason is Reason.MED and not path.source.options.always_compare_med:
        rival = _best_of_the_as(path, [other for other, _ in explained])
    words = f"lost to {rival.source.name}: {reason.value}"
    value = _VALUES.get(reason)
    if value is not None and value(path) != value(rival):
        words += f" ({value(path)} against {value(rival)})"
    return Because(reason, words)


def _best_of_the_as(path: Path, candidates: Sequence[Path]) -> Path:
    """Find the path with the lowest MED among those that it compares with."""
    level, neighbor = path.rank[:BEFORE_MED], path.attributes.neighbor_as
    alike = [
        other
        for other in candidates
        if other.source.is_bgp
        and other.attributes.neighbor_as == neighbor
        and other.rank[:BEFORE_MED] == level
    ]
    return min(alike, key=lambda other: (other.attributes.med or 0, other.rank))


def _local_pref(path: Path) -> str:
    local_pref = path.attributes.local_pref
    return str(DEFAULT_LOCAL_PREF if local_pref is None else local_pref)


def _aigp(path: Path) -> str:
    told = metric(path.attributes.value(Attribute.AIGP) or b"")
    return "none" if told is None else str(told + path.next_hop.cost)


_VALUES: dict[Reason, Callable[[Path], str]] = {
    Reason.PREFERENCE: lambda path: str(path.preference),
    Reason.LOCAL_PREF: _local_pref,
    Reason.AIGP: _aigp,
    Reason.AS_PATH: lambda path: str(path.attributes.as_path_length),
    Reason.ORIGIN: lambda path: Origin(path.attributes.origin).name,
    Reason.MED: lambda path: str(path.attributes.med or 0),
    Reason.COST: lambda path: str(path.next_hop.cost),
    Reason.ROUTER_ID: lambda path: show_address(ranked_by(path)),
    Reason.CLUSTER_LIST: lambda path: str(len(path.attributes.cluster_list)),
    Reason.ADDRESS: lambda path: show_address(path.source.address) if path.source.address else "",
}
"""What each step compares; those without a value say it all by their name."""
