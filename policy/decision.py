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

A long-lived stale path is a last resort (RFC 9494 §4.3): it loses before anything else is compared.

Where a path has an accumulated IGP metric, it is worth more than one that has none, and the sum of
the metric and our cost to the next hop decides before the length of the AS_PATH (RFC 7311 §4.1).
Which sessions bring it is not decided here: elsewhere the attribute is dropped on the way in.

Ours, beyond the RFC: between kinds of source the protocol preference decides first (BIRD, and with
it Calico, ranks direct 240, static 200, BGP 100, kernel 10); a shorter CLUSTER_LIST and the lower
peer address break what is left (RFC 4456 §9, RFC 4271 §9.1.2.2 g). Between paths that one peer has
told to one prefix (RFC 7911) the lower next hop decides, and then the attributes' octets: which
identifiers a peer chose says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from heapq import merge
from itertools import groupby, islice

from policy.path import Path
from policy.ranking import BEFORE_COST, BEFORE_MED


class Reason(StrEnum):
    """Why a path lost, in the words of RFC 4271 §9.1.2."""

    BEST = "best"
    UNREACHABLE = "next hop unreachable"
    STALE = "long-lived stale"
    PREFERENCE = "lower protocol preference"
    LOCAL_PREF = "lower LOCAL_PREF"
    AIGP = "higher accumulated metric, or none"
    AS_PATH = "longer AS_PATH"
    ORIGIN = "worse ORIGIN"
    MED = "higher MULTI_EXIT_DISC"
    PEER_TYPE = "iBGP against eBGP"
    COST = "higher cost to the next hop"
    ROUTER_ID = "higher BGP Identifier"
    CLUSTER_LIST = "longer CLUSTER_LIST"
    ADDRESS = "higher peer address"
    SAME_PEER = "another path of the same peer"


def prefer(new: Path, current: Path) -> bool:
    """Tell whether ``new`` beats ``current`` when there are only these two."""
    if _med_compares(new, current) and new.rank[:BEFORE_MED] == current.rank[:BEFORE_MED]:
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
        candidates: all paths to the prefix.
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


def select_several(
    candidates: Sequence[Path], limit: int, keep_unreachable: bool = False
) -> list[Path]:
    """Choose the best path, then what would be the best without it, and so on.

    Args:
        candidates: all paths to the prefix.
        limit: how many to choose at the most.
        keep_unreachable: where no next hop is reachable, choose the best of them alone.

    Returns:
        The chosen by rank: MED has its say in who is chosen, not in their order.
    """
    usable = [path for path in candidates if path.next_hop.reachable]
    if not usable:
        best = select(candidates, keep_unreachable)
        return [] if best is None else [best]
    usable.sort(key=_rank_of)
    if limit >= len(usable) or not med_matters(usable):
        return usable[:limit]
    return sorted(islice(_one_by_one(usable), limit), key=_rank_of)


def _one_by_one(ranked: list[Path]) -> Iterator[Path]:
    """Give the best path, then the best of the others, and so on.

    Of each neighbouring AS, those with the lowest MED come before its others; between what is first
    in each of them, rank decides.
    """
    for _, level in groupby(ranked, key=_before_med):
        groups: dict[int | None, list[Path]] = {}
        for path in level:
            groups.setdefault(_neighbor(path), []).append(path)
        for neighbor, paths in groups.items():
            if neighbor is not None:
                paths.sort(key=_med_of)
        yield from merge(*groups.values(), key=_rank_of)


def _before_med(path: Path) -> bytes:
    return path.rank[:BEFORE_MED]


def _med_of(path: Path) -> int:
    return path.attributes.med or 0


def _rank_of(path: Path) -> bytes:
    return path.rank


def _after_med(candidates: Sequence[Path]) -> list[Path]:
    """Keep what survives the steps up to §9.1.2.2 c: of each neighbouring AS, the lowest MED."""
    first = min(path.rank[:BEFORE_MED] for path in candidates)
    level = [path for path in candidates if path.rank[:BEFORE_MED] == first]
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
    Each next hop stands once. With a path that drops packets nothing is shared.

    Args:
        best: what `select` chose.
        candidates: all paths to the prefix.
        limit: how many to give at the most.
    """
    if limit < 2 or not best.next_hop.reachable or best.blackhole:
        return (best,)
    chosen, seen = [best], {best.next_hop}
    equal = best.rank[:BEFORE_COST]
    for path in sorted(candidates, key=_rank_of):
        if path.next_hop in seen or path.rank[:BEFORE_COST] != equal or path.blackhole:
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
    return path.rank[:BEFORE_COST] == best.rank[:BEFORE_COST]


_STEPS: tuple[tuple[Reason, int, int], ...] = (
    (Reason.UNREACHABLE, 0, 0),
    (Reason.STALE, 0, 1),
    (Reason.PREFERENCE, 1, 5),
    (Reason.LOCAL_PREF, 5, 9),
    (Reason.AIGP, 9, 17),
    (Reason.AS_PATH, 17, 19),
    (Reason.ORIGIN, 19, 20),
    (Reason.MED, 20, 24),
    (Reason.PEER_TYPE, 24, 25),
    (Reason.COST, 25, 29),
    (Reason.ROUTER_ID, 29, 33),
    (Reason.CLUSTER_LIST, 33, 34),
    (Reason.ADDRESS, 34, 50),
    (Reason.SAME_PEER, 50, 1 << 17),
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
