"""Who can stand in for a source that is gone, until every prefix has been decided again.

That takes as long as there are prefixes. Meanwhile packets may go by another source's next hop, if
it has a path to each prefix that the lost one had, all by one next hop: none of them is sent to
somebody who does not know where to. It need not be what each prefix gets in the end.

A node's own policy may keep a prefix from one path's way and not from another's, or have it go
through a tunnel. Then nobody stands in, unless the policy makes no difference between the paths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter

from policy.path import NextHop, Source
from speaker.rib.loc_rib import Candidates

_next_hop = attrgetter("next_hop")


@dataclass(frozen=True, slots=True)
class StandIn:
    """One next hop for others.

    Attributes:
        gone: the next hops of the lost source.
        instead: where packets go meanwhile.
    """

    gone: frozenset[NextHop]
    instead: NextHop


def stand_in(
    tables: Collection[Candidates],
    source: Source,
    agree: Callable[[Iterable[bytes]], bool] = lambda _: True,
) -> StandIn | None:
    """Find the best source that can stand in for one; None if there is none.

    Args:
        tables: what all sources offer.
        source: which is gone; its table is still as it was.
        agree: tells whether the node's own policy treats paths alike that have these BGP next hops.
    """
    lost = next((table.paths for table in tables if table.source is source), None)
    if not lost:
        return None
    sample = next(iter(lost))
    others = [
        table
        for table in tables
        if table.source is not source and table.source.is_bgp and sample in table.paths
    ]
    for other in sorted(others, key=lambda table: table.paths[sample].rank):
        if len(other.paths) < len(lost) or not lost.keys() <= other.paths.keys():
            continue
        instead = set(map(_next_hop, other.paths.values()))
        if len(instead) != 1 or not all(one.reachable for one in instead):
            continue
        # Of a hundred thousand prefixes there are some thousand paths.
        paths = {*lost.values(), *other.paths.values()}
        if agree({path.attributes.next_hop for path in paths}):
            return StandIn(frozenset(map(_next_hop, lost.values())), instead.pop())
    return None
