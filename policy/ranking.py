"""The rank of a path: RFC 4271 §9.1.2 folded into one octet string.

All steps of the Decision Process but one compare a path with any other by itself. Put one behind
the other, each in a field of its own size, they make a string of octets: smaller is better, and
comparing two paths is one ``memcmp``. The odd step is MULTI_EXIT_DISC, which compares only within
one neighbouring AS; its field is zero unless the operator has it compared always, and
`policy.decision` reads it from the path.

A long-lived stale route (community LLGR_STALE) is a last resort: it loses against every usable one
that is not stale, before anything else is compared (RFC 9494 §4.3).

Standards: RFC 4271 §9.1.2; RFC 4456 §9; RFC 7311 §4.1; RFC 9494 §4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from policy.aigp import metric
from policy.attributes import EXTENDED_LENGTH, FLAGS, Attribute, WellKnown

if TYPE_CHECKING:
    from policy.attributes import PathAttributes
    from policy.path import Path, Source

DEFAULT_LOCAL_PREF = 100
"""Degree of preference of routes that carry none, as from external peers (RFC 4271 §9.1.1)."""

_MAX = 0xFFFFFFFF
_LONG = 0xFFFF
_NO_METRIC = 0xFFFFFFFF_FFFFFFFF
_AIGP_HEADS = tuple(
    bytes((FLAGS[Attribute.AIGP] | longer, Attribute.AIGP)) for longer in (0, EXTENDED_LENGTH)
)
_AIGP_CODE = int(Attribute.AIGP)
_LLGR_STALE = int(WellKnown.LLGR_STALE).to_bytes(4, "big")
STALE, UNREACHABLE = 1, 2
"""Bits of a rank's first octet."""
# Everything the peer could make too large for its field is clamped.
_FRONT = Struct("!BIIQHBI")
# 16 octets of address last.
_REAR = Struct("!BIIB16s")
BEFORE_MED = 1 + 4 + 4 + 8 + 2 + 1
BEFORE_COST = BEFORE_MED + 4 + 1 + 4


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
    local_pref, length, raw = attributes.local_pref, attributes.as_path_length, attributes.raw
    has_metric = _AIGP_CODE in raw and (_AIGP_HEADS[0] in raw or _AIGP_HEADS[1] in raw)
    usable = 0 if next_hop.reachable else UNREACHABLE
    if _LLGR_STALE in raw and is_stale(attributes):
        usable |= STALE
    front = _FRONT.pack(
        usable,
        _MAX - path.preference,
        _MAX - (DEFAULT_LOCAL_PREF if local_pref is None else local_pref),
        _accumulated(path) if has_metric else _NO_METRIC,
        length if length < _LONG else _LONG,
        attributes.origin,
        (attributes.med or 0) if options.always_compare_med else 0,
    )
    cost = next_hop.cost
    if source.is_internal:
        originator, clusters = _reflection(attributes)
        rear = _rear(source, cost, originator, clusters)
    else:
        # External peers cannot send what reflection adds, so this is the same for all they tell.
        known = source.rears.get(cost)
        rear = source.rears[cost] = _rear(source, cost) if known is None else known
    # Two paths of one peer may be alike up to here.
    return front + rear + next_hop.address + raw if source.tells_several else front + rear


def _rear(source: Source, cost: int, originator: int | None = None, clusters: int = 0) -> bytes:
    """Fold the steps behind MULTI_EXIT_DISC."""
    return _REAR.pack(
        1 if source.is_internal else 0,
        cost if cost < _MAX else _MAX,
        source.router_id if originator is None else originator,
        clusters if clusters < 255 else 255,
        source.address,
    )


def ranked_by(path: Path) -> bytes:
    """Give the identifier in a path's rank, 4 octets: its ORIGINATOR_ID or the peer's of then."""
    return path.rank[BEFORE_COST : BEFORE_COST + 4]


def is_stale(attributes: PathAttributes) -> bool:
    """Tell whether a route is a last resort, since whoever told it is gone (RFC 9494 §4.3)."""
    # Almost no route is, and a search is cheaper than a walk.
    return _LLGR_STALE in attributes.raw and WellKnown.LLGR_STALE in attributes.communities


def may_tell_distance(path: Path) -> bool:
    """Tell cheaply whether a path may have an accumulated metric."""
    # Almost no path has one, and a search is cheaper than a walk.
    raw = path.attributes.raw
    return _AIGP_HEADS[0] in raw or _AIGP_HEADS[1] in raw


def _accumulated(path: Path) -> int:
    """Give the metric to the destination, where the path tells its part of it."""
    told = metric(path.attributes.value(Attribute.AIGP) or b"")
    return _NO_METRIC if told is None else min(told + path.next_hop.cost, _NO_METRIC - 1)


def _reflection(attributes: PathAttributes) -> tuple[int | None, int]:
    """ORIGINATOR_ID and length of the CLUSTER_LIST (RFC 4456 §9)."""
    return attributes.originator_id, len(attributes.cluster_list)
