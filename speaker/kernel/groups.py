"""What `speaker.kernel.ways` keeps in mind: groups, the ways that they embody, and requests."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from fsm.family import Afi
from policy.resilience import Resilience
from speaker.kernel.nexthops import Content, Members, Single
from speaker.kernel.routes import Forwarding

Key = tuple[Afi, object]
Refusal = tuple[int, str]
"""The kernel's errno and words."""


FULL: Refusal = (errno.ENOSPC, "no number is left for a next-hop object")


@dataclass(slots=True, eq=False)
class Group:
    """One group object.

    Attributes:
        number: the kernel's name for it.
        protocol: whose it was when last seen.
        has: what it holds in the kernel; None when it is not there.
        resilience: None of a plain group.
    """

    number: int
    protocol: int
    has: Members | None = None
    resilience: Resilience | None = None

    def is_as(self, members: Members, protocol: int, resilience: Resilience | None) -> bool:
        """Tell whether the kernel has it so."""
        return (self.has, self.protocol, self.resilience) == (members, protocol, resilience)


@dataclass(slots=True, eq=False)
class Way:
    """One set of next hops.

    Attributes:
        key: the family of its routes, and its owner's name for it or else its hops themselves.
        wanted: where it leads, as it was last told.
        content: the same for the kernel.
        groups: that embody it; routes are to name the first.
        routes: by metric, how a route by this way looks.
    """

    key: Key
    wanted: Forwarding
    content: Content
    groups: list[Group]
    routes: dict[int, Forwarding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A message about one object: a single to be made, else a group to be made or replaced."""

    number: int
    message: bytes
    single: Single | None = None
    members: Members = ()
    resilience: Resilience | None = None


def buckets_of(resilience: Resilience | None) -> int:
    """Give what cannot be changed of a group: its number of buckets, 0 for a plain one."""
    return 0 if resilience is None else resilience.buckets
