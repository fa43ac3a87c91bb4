"""The conditions of a filter rule, one function each.

Two kinds. Conditions on the attributes, the source or the session hold or fail for all prefixes of
a path at once: `match_source`, `match_interface`, `match_peer_type`, `match_communities`,
`match_as_path_prefix`, `match_as_path_regex`, `match_range`, `match_address`, `match_priority`. The
condition on the prefix is asked per prefix and therefore compiled: `prefix_test` gives a predicate
that touches no more than the octets.

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
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from policy.as_path_regex import AsPathRegex, matched_text
from policy.attributes import PathAttributes, SegmentType
from policy.communities import Wanted, carried, has
from policy.dispatch import PrefixCondition
from policy.operations import local_pref_of
from policy.path import PeerType, Source
from policy.prefix import Nlri, covers

PrefixTest: TypeAlias = Callable[[Nlri], bool]
Range: TypeAlias = tuple[int, int]
"""The least and the most."""
Network: TypeAlias = tuple[int, Nlri]
"""The octets of an address of its family, and the network as prefix."""

WIDEST = 128
"""No prefix of any family is longer, so it stands for "to the family's width"."""


class MatchOperator(StrEnum):
    """How the prefix of a rule is compared."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    IN = "In"
    NOT_IN = "NotIn"


def prefix_condition(
    cidr: Nlri,
    operator: MatchOperator,
    *,
    min_length: int | None = None,
    max_length: int | None = None,
    is_set: bool = False,
) -> PrefixCondition:
    """Say what the condition on the prefix is.

    Args:
        cidr: the rule's network, canonical.
        operator: how to compare.
        min_length: ``prefixLength.min``; None for the length of ``cidr``.
        max_length: ``prefixLength.max``; None for the family's width.
        is_set: the rule has a ``prefixLength``, even an empty one.
    """
    holds = operator in (MatchOperator.EQUAL, MatchOperator.IN)
    if operator in (MatchOperator.EQUAL, MatchOperator.NOT_EQUAL):
        # No prefix equals a set: no length is within these bounds.
        return PrefixCondition(cidr, cidr[0] + is_set, cidr[0], holds)
    low = cidr[0] if min_length is None else max(cidr[0], min_length)
    return PrefixCondition(cidr, low, WIDEST if max_length is None else max_length, holds)


def prefix_test(condition: PrefixCondition) -> PrefixTest:
    """Compile the condition on the prefix."""
    cidr, low, high = condition.cidr, condition.low, condition.high
    if low > high:
        return _never if condition.holds else _always
    if low == high == cidr[0]:
        return cidr.__eq__ if condition.holds else cidr.__ne__
    inside = _inside(cidr, low, high)
    return inside if condition.holds else lambda nlri: not inside(nlri)


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
    """Tell whether one prefix fulfils the condition; see `prefix_condition`."""
    lengths = {"min_length": min_length, "max_length": max_length}
    return prefix_test(prefix_condition(cidr, operator, is_set=is_set, **lengths))(nlri)


def match_source(source: Source) -> bool:
    """Tell whether a route was learned over BGP (``source: RemotePeers``)."""
    return source.is_bgp


def match_interface(interface: str, pattern: str) -> bool:
    """Tell whether the outgoing interface fits the pattern.

    A route without an interface (a blackhole, an unreachable next hop) has one without a name, as
    in BIRD: the pattern ``*`` fits.
    """
    return interface_pattern(pattern).fullmatch(interface) is not None


@lru_cache(maxsize=256)
def interface_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a shell-style pattern of ``*`` and ``?``."""
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in pattern))


def match_peer_type(session: PeerType, wanted: PeerType) -> bool:
    """Tell whether the session is of the wanted type."""
    return session is wanted


def match_communities(
    attributes: PathAttributes, wanted: tuple[Wanted, ...], *, every: bool = False
) -> bool:
    """Tell whether one of some communities is there, or every one; a pattern is any that fits."""
    there = carried(attributes)
    return (all if every else any)(has(there, each) for each in wanted)


def match_as_path_prefix(attributes: PathAttributes, wanted: tuple[int, ...]) -> bool:
    """Tell whether the AS_PATH begins with these numbers.

    As in BIRD's path masks an AS_SET stands for any sequence of its members: none, some, or one of
    them more than once.
    """
    segments = attributes.as_path
    if segments and segments[0][0] not in _SETS and len(segments[0][1]) >= len(wanted):
        # As nearly always.
        return segments[0][1][: len(wanted)] == wanted
    hops = list(_as_hops(attributes))
    # Where in the path the next number may stand, after those before it have been found.
    places = _from(hops, 0)
    for number in wanted:
        found = [at for at in places if at < len(hops) and number in hops[at].numbers]
        places = set().union(
            *(_from(hops, at) if hops[at].is_set else _from(hops, at + 1) for at in found)
        )
    return bool(places)


_SETS = (SegmentType.AS_SET, SegmentType.AS_CONFED_SET)


@dataclass(frozen=True, slots=True)
class _Hop:
    """A place in an AS_PATH: one number, or the members of a set."""

    numbers: tuple[int, ...]
    is_set: bool


def _from(hops: list[_Hop], at: int) -> set[int]:
    """Give a place and those that are reached from it by leaving sets out."""
    places = {at}
    while at < len(hops) and hops[at].is_set:
        at += 1
        places.add(at)
    return places


def _as_hops(attributes: PathAttributes) -> Iterator[_Hop]:
    for kind, numbers in attributes.as_path:
        if kind in _SETS:
            yield _Hop(numbers, is_set=True)
        else:
            for number in numbers:
                yield _Hop((number,), is_set=False)


def match_as_path_regex(attributes: PathAttributes, wanted: AsPathRegex) -> bool:
    """Tell whether an expression matches somewhere in the AS_PATH (`policy.as_path_regex`)."""
    return wanted.matches(matched_text(attributes))


def match_range(value: int | None, wanted: Range) -> bool:
    """Tell whether a number is within bounds; one that is not there is not."""
    low, high = wanted
    return value is not None and low <= value <= high


def match_address(address: bytes, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address, 4 or 16 octets, lies in one of some networks of its family."""
    host = bytes((8 * len(address),)) + address
    return any(len(address) == width and covers(network, host) for width, network in networks)


def match_priority(local_pref: int, wanted: int) -> bool:
    """Tell whether a LOCAL_PREF carries the wanted priority."""
    return local_pref == local_pref_of(wanted)
