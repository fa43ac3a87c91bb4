"""The conditions of a filter rule, one function each.

Two kinds. Conditions on the attributes, the source or the session hold or fail for all prefixes of
a path at once: `match_source`, `match_interface`, `match_peer_type`, `match_community`,
`match_as_path_prefix`, `match_priority`. The condition on the prefix is asked per prefix and
therefore compiled: `prefix_test` gives a predicate that touches no more than the octets.

Departures that are kept on purpose:

*Calico's documents:* ``Equal`` and ``NotEqual`` compare the prefix, ``prefixLength`` narrows what
may match. *Ours, as BIRD's:* with ``prefixLength`` the right side becomes a set of prefixes, a
prefix never equals a set, and so ``Equal`` with ``prefixLength`` never matches and ``NotEqual``
with it always does. Routers that follow one configuration must agree, so we do what the others do.

Standards: Calico BGPFilter; RFC 1997, RFC 8092 (communities), RFC 4271 §4.3 (AS_PATH).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from policy.attributes import LargeCommunity, PathAttributes, SegmentType
from policy.operations import local_pref_of
from policy.path import PeerType, Source
from policy.prefix import Nlri, covers

PrefixTest: TypeAlias = Callable[[Nlri], bool]

WIDEST = 128
"""No prefix of any family is longer, so it stands for "to the family's width"."""


class MatchOperator(StrEnum):
    """How the prefix of a rule is compared."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    IN = "In"
    NOT_IN = "NotIn"


def prefix_test(
    cidr: Nlri,
    operator: MatchOperator,
    *,
    min_length: int | None = None,
    max_length: int | None = None,
    is_set: bool = False,
) -> PrefixTest:
    """Compile the condition on the prefix.

    Args:
        cidr: the rule's network, canonical.
        operator: how to compare.
        min_length: ``prefixLength.min``; None for the length of ``cidr``.
        max_length: ``prefixLength.max``; None for the family's width.
        is_set: the rule has a ``prefixLength``, even an empty one.
    """
    if operator is MatchOperator.EQUAL:
        return _never if is_set else cidr.__eq__
    if operator is MatchOperator.NOT_EQUAL:
        return _always if is_set else cidr.__ne__
    low = cidr[0] if min_length is None else max(cidr[0], min_length)
    high = WIDEST if max_length is None else max_length
    if low > high:
        return _never if operator is MatchOperator.IN else _always
    inside = _inside(cidr, low, high)
    return inside if operator is MatchOperator.IN else lambda nlri: not inside(nlri)


def _never(nlri: Nlri) -> bool:
    return False


def _always(nlri: Nlri) -> bool:
    return True


def _inside(cidr: Nlri, low: int, high: int) -> PrefixTest:
    """Build "within ``cidr``, and of a length from ``low`` to ``high``"."""
    if cidr[0] % 8:
        return lambda nlri: low <= nlri[0] <= high and covers(cidr, nlri)
    network, end = cidr[1:], len(cidr)
    # On an octet boundary a slice tells all.
    return lambda nlri: low <= nlri[0] <= high and nlri[1:end] == network


def match_prefix(
    nlri: Nlri,
    cidr: Nlri,
    operator: MatchOperator,
    *,
    min_length: int | None = None,
    max_length: int | None = None,
    is_set: bool = False,
) -> bool:
    """Tell whether one prefix fulfils the condition; see `prefix_test`."""
    test = prefix_test(cidr, operator, min_length=min_length, max_length=max_length, is_set=is_set)
    return test(nlri)


def match_source(source: Source) -> bool:
    """Tell whether a route was learned over BGP (``source: RemotePeers``)."""
    return source.is_bgp


def match_interface(interface: str, pattern: str) -> bool:
    """Tell whether the outgoing interface fits the pattern; without an interface nothing fits."""
    return interface != "" and interface_pattern(pattern).fullmatch(interface) is not None


@lru_cache(maxsize=256)
def interface_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a shell-style pattern of ``*`` and ``?``."""
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in pattern))


def match_peer_type(session: PeerType, wanted: PeerType) -> bool:
    """Tell whether the session is of the wanted type."""
    return session is wanted


def match_community(attributes: PathAttributes, wanted: int | LargeCommunity) -> bool:
    """Tell whether a standard or large community is there."""
    if isinstance(wanted, int):
        return wanted in attributes.communities
    return wanted in attributes.large_communities


def match_as_path_prefix(attributes: PathAttributes, wanted: tuple[int, ...]) -> bool:
    """Tell whether the AS_PATH begins with these numbers; an AS_SET is any one of its members."""
    hops = _as_hops(attributes)
    return all(number in next(hops, ()) for number in wanted)


def _as_hops(attributes: PathAttributes) -> Iterator[tuple[int, ...]]:
    for kind, numbers in attributes.as_path:
        if kind in (SegmentType.AS_SET, SegmentType.AS_CONFED_SET):
            yield numbers
        else:
            for number in numbers:
                yield (number,)


def match_priority(local_pref: int, wanted: int) -> bool:
    """Tell whether a LOCAL_PREF carries the wanted priority."""
    return local_pref == local_pref_of(wanted)
