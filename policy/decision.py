"""The Decision Process: which of several paths to one prefix is used, and why the others are not.

RFC 4271 §9.1.2 is a list of steps, each of which drops some candidates. All but one compare a path
with any other by itself, so they fold into one sort key, the `rank` of a path: octets, smaller is
better. The odd one is MULTI_EXIT_DISC (§9.1.2.2 c): it compares only within one neighbouring AS,
which breaks every ordering, since a path may lose to one that a third has already beaten. `select`
therefore knows two ways: by rank alone where MED cannot matter, and in groups by neighbouring AS,
best of each group first, where it can. The result never depends on the order in which the paths
came.

`explain` walks the steps one by one and names for each loser the step that dropped it; it is for
people and tests and must agree with `select` (a property test holds them together).

Ours, beyond the RFC: between kinds of source the protocol preference decides first (BIRD, and with
it Calico, ranks direct 240, static 200, BGP 100, kernel 10); a shorter CLUSTER_LIST and the lower
peer address break what is left (RFC 4456 §9, RFC 4271 §9.1.2.2 g).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct

from policy.path import Path, PeerType

DEFAULT_LOCAL_PREF = 100
"""Degree of preference of routes that carry none, as from external peers (RFC 4271 §9.1.1)."""

_MAX = 0xFFFFFFFF
# 16 octets of address last; everything the peer could make too large for its field is clamped.
_RANK = Struct("!BIIHBIBIIB16s")
_BEFORE_MED = 1 + 4 + 4 + 2 + 1
_MED = slice(_BEFORE_MED, _BEFORE_MED + 4)
_BEFORE_COST = _BEFORE_MED + 4 + 1 + 4


class Reason(StrEnum):
    """Why a path lost, in the words of RFC 4271 §9.1.2."""

    BEST = "best"
    UNREACHABLE = "next hop unreachable"
    PREFERENCE = "lower protocol preference"
    LOCAL_PREF = "lower LOCAL_PREF"
    AS_PATH = "longer AS_PATH"
    ORIGIN = "worse ORIGIN"
    MED = "higher MULTI_EXIT_DISC"
    PEER_TYPE = "iBGP against eBGP"
    COST = "higher cost to the next hop"
    ROUTER_ID = "higher BGP Identifier"
    CLUSTER_LIST = "longer CLUSTER_LIST"
    ADDRESS = "higher peer address"


@dataclass(frozen=True, slots=True)
class DecisionOptions:
    """What an operator may turn.

    Attributes:
        always_compare_med: compare MULTI_EXIT_DISC between different neighbouring ASes too.
    """

    always_compare_med: bool = False


DEFAULT_OPTIONS = DecisionOptions()


# hot: per attribute set
def rank(path: Path, options: DecisionOptions = DEFAULT_OPTIONS) -> bytes:
    """Fold §9.1.2 into octets; the smaller rank is the better path.

    The MED field is zero unless MED is always compared: within one neighbouring AS `select` reads
    it from the path.
    """
    attributes, source, next_hop = path.attributes, path.source, path.next_hop
    local_pref = attributes.local_pref
    originator, clusters = _reflection(path)
    return _RANK.pack(
        0 if next_hop.reachable else 1,
        _MAX - path.preference,
        _MAX - (DEFAULT_LOCAL_PREF if local_pref is None else local_pref),
        min(attributes.as_path_length, 0xFFFF),
        attributes.origin,
        (attributes.med or 0) if options.always_compare_med else 0,
        1 if source.peer_type is PeerType.INTERNAL else 0,
        min(next_hop.cost, _MAX),
        source.router_id if originator is None else originator,
        min(clusters, 255),
        source.address,
    )


def _reflection(path: Path) -> tuple[int | None, int]:
    """ORIGINATOR_ID and length of the CLUSTER_LIST (RFC 4456 §9); external peers cannot send
    them.
    """
    if path.source.peer_type is not PeerType.INTERNAL:
        return None, 0
    return path.attributes.originator_id, len(path.attributes.cluster_list)


def prefer(new: Path, current: Path) -> bool:
    """Tell whether ``new`` beats ``current`` when there are only these two."""
    if _med_compares(new, current) and new.rank[:_BEFORE_MED] == current.rank[:_BEFORE_MED]:
        left, right = new.attributes.med or 0, current.attributes.med or 0
        if left != right:
            return left < right
    return new.rank < current.rank


def _neighbor(path: Path) -> int | None:
    """Name the AS within which MED compares; None for routes that did not come over BGP.

    RFC 4271 §9.1.2.2 c: a path that an internal peer originated is of the local AS, for which zero
    stands here.
    """
    return path.attributes.neighbor_as if path.source.is_bgp else None


def _med_compares(left: Path, right: Path) -> bool:
    neighbor = _neighbor(left)
    return neighbor is not None and neighbor == _neighbor(right)


def med_matters(candidates: Sequence[Path]) -> bool:
    """Tell whether two candidates of one neighbouring AS differ in MED."""
    seen: dict[int, int] = {}
    for path in candidates:
        neighbor = _neighbor(path)
        if neighbor is not None:
            med = path.attributes.med or 0
            if seen.setdefault(neighbor, med) != med:
                return True
    return False


def select(candidates: Sequence[Path], keep_unreachable: bool = False) -> Path | None:
    """Choose the best path (RFC 4271 §9.1.2).

    Args:
        candidates: at most one path of each source.
        keep_unreachable: where no next hop is reachable, choose among the unreachable.

    Returns:
        The best, or None when no candidate can be used.
    """
    usable: Sequence[Path] = [path for path in candidates if path.next_hop.reachable]
    if not usable:
        if not keep_unreachable or not candidates:
            return None
        usable = candidates
    if len(usable) == 1:
        return usable[0]
    if med_matters(usable):
        usable = _after_med(usable)
    return min(usable, key=_rank_of)


def _rank_of(path: Path) -> bytes:
    return path.rank


def _after_med(candidates: Sequence[Path]) -> list[Path]:
    """Keep what survives the steps up to §9.1.2.2 c: of each neighbouring AS, the lowest MED."""
    first = min(path.rank[:_BEFORE_MED] for path in candidates)
    level = [path for path in candidates if path.rank[:_BEFORE_MED] == first]
    lowest: dict[int | None, int] = {}
    for path in level:
        neighbor, med = _neighbor(path), path.attributes.med or 0
        if med < lowest.get(neighbor, med + 1):
            lowest[neighbor] = med
    return [
        path
        for path in level
        if _neighbor(path) is None or (path.attributes.med or 0) == lowest[_neighbor(path)]
    ]


def multipath(best: Path, candidates: Iterable[Path], limit: int) -> tuple[Path, ...]:
    """Give the paths that are as good as the best up to the cost of the next hop, best first.

    They may share the load: all steps of §9.1.2.2 a–e are equal, and so is MED where it compares.
    Each next hop stands once.

    Args:
        best: what `select` chose.
        candidates: all paths to the prefix.
        limit: how many to give at the most.
    """
    if limit < 2 or not best.next_hop.reachable:
        return (best,)
    chosen, seen = [best], {best.next_hop}
    equal = best.rank[:_BEFORE_COST]
    for path in sorted(candidates, key=_rank_of):
        if path.next_hop in seen or path.rank[:_BEFORE_COST] != equal:
            continue
        if _med_compares(path, best) and (path.attributes.med or 0) != (best.attributes.med or 0):
            continue
        seen.add(path.next_hop)
        chosen.append(path)
        if len(chosen) == limit:
            break
    return tuple(chosen)


def shares_load(path: Path, best: Path) -> bool:
    """Tell cheaply whether `multipath` could take both: equal up to the cost of the next hop."""
    return path.rank[:_BEFORE_COST] == best.rank[:_BEFORE_COST]


_STEPS: tuple[tuple[Reason, int, int], ...] = (
    (Reason.UNREACHABLE, 0, 1),
    (Reason.PREFERENCE, 1, 5),
    (Reason.LOCAL_PREF, 5, 9),
    (Reason.AS_PATH, 9, 11),
    (Reason.ORIGIN, 11, 12),
    (Reason.MED, 12, 16),
    (Reason.PEER_TYPE, 16, 17),
    (Reason.COST, 17, 21),
    (Reason.ROUTER_ID, 21, 25),
    (Reason.CLUSTER_LIST, 25, 26),
    (Reason.ADDRESS, 26, 42),
)


def explain(candidates: Sequence[Path]) -> list[tuple[Path, Reason]]:
    """Name for each candidate the step that dropped it; the best stands first."""
    reasons: dict[int, Reason] = {}
    left = list(candidates)
    for reason, start, end in _STEPS:
        if reason is Reason.UNREACHABLE:
            kept = [path for path in left if path.next_hop.reachable]
        else:
            lowest = min((path.rank[start:end] for path in left), default=b"")
            kept = [path for path in left if path.rank[start:end] == lowest]
            if reason is Reason.MED and kept:
                kept = _after_med(kept)
        for path in left:
            if path not in kept:
                reasons[id(path)] = reason
        left = kept
    for path in left:
        reasons[id(path)] = Reason.BEST if path is left[0] else Reason.ADDRESS
    order = {reason: index for index, (reason, _, _) in enumerate(reversed(_STEPS))}
    order[Reason.BEST] = -1
    return sorted(
        ((path, reasons[id(path)]) for path in candidates),
        key=lambda item: (order[item[1]], item[0].rank),
    )
