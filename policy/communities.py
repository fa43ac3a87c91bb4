"""Communities as rules speak of them: one, or a pattern that stands for many.

A pattern has the form of a community, with ``*`` for any number: ``65000:*``, ``*:666``,
``65000:*:1``. Two parts are standard communities, three large ones. No pattern stands for
LLGR_STALE: a route that outlived its session would pass for a fresh one. Who means it names it.

Standards: RFC 1997, RFC 8092; RFC 9494 §4.3.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from policy.attributes import Community, PathAttributes, WellKnown


@dataclass(frozen=True, slots=True)
class CommunityPattern:
    """Communities that agree in some of their parts.

    Attributes:
        parts: two for standard communities, of 16 bits, or three for large ones; None for any.
    """

    parts: tuple[int | None, ...]

    def fits(self, community: Community) -> bool:
        """Tell whether a community is one of those."""
        if community == WellKnown.LLGR_STALE:
            return False
        if isinstance(community, int):
            parts: tuple[int, ...] = (community >> 16, community & 0xFFFF)
        else:
            parts = community
        return len(parts) == len(self.parts) and all(
            wanted is None or wanted == part for wanted, part in zip(self.parts, parts, strict=True)
        )


Wanted: TypeAlias = Community | CommunityPattern
"""What a rule asks for, or removes."""


def carried(attributes: PathAttributes) -> frozenset[Community]:
    """Give all communities of a route, standard and large."""
    return frozenset[Community](attributes.communities) | attributes.large_communities


def has(there: Collection[Community], wanted: Wanted) -> bool:
    """Tell whether a community, or one that fits a pattern, is among those that are there."""
    if isinstance(wanted, CommunityPattern):
        return any(map(wanted.fits, there))
    return wanted in there


def is_meant(wanted: Wanted, community: Community) -> bool:
    """Tell whether a community is the one that is meant, or fits the pattern."""
    if isinstance(wanted, CommunityPattern):
        return wanted.fits(community)
    return wanted == community
