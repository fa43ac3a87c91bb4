"""One session among those that hear the same: what it was told and what it is owed.

Members are *in step* or they *owe*. In step they get the shared octets as soon as they are made.
When a member's socket is full, or it just came up, or it asks for a refresh, it owes a set of
prefixes: later changes only add to the set, and when the socket has room the prefixes' present
state is encoded for it. So the initial dump, a refresh and a slow peer are one mechanism, and a
slow peer costs memory for prefixes, never for messages. What was never told before (``untold``) is
kept apart: a prefix that vanishes before it was told needs no withdrawal.

Standards: RFC 4271 §9.1.3; RFC 4724 §2; RFC 7313 §4.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import TYPE_CHECKING

from policy.path import Path, Source
from policy.prefix import Nlri

if TYPE_CHECKING:
    from speaker.rib.former import Former


class OutRoute:
    """What a path becomes on its way out, for one group.

    Attributes:
        path: where it came from.
        attributes: encoded, as they stand in an UPDATE.
        next_hop: for MP_REACH_NLRI; of IPv4 routes it stands in the attributes.
        avoids: address of the member that must not get it because it is the next hop, or empty.
    """

    __slots__ = ("attributes", "avoids", "next_hop", "path")

    def __init__(self, path: Path, attributes: bytes, next_hop: bytes, avoids: bytes) -> None:
        self.path = path
        self.attributes = attributes
        self.next_hop = next_hop
        self.avoids = avoids


class RefreshStage(Enum):
    """How far a refresh has come, for one member (RFC 7313 §4)."""

    NONE = auto()
    WAITS = auto()
    """Asked for before the End-of-RIB."""
    BEGINS = auto()
    """Everything is owed, and its beginning is to be said next."""
    RUNS = auto()
    """It ends once nothing is owed."""
    AGAIN = auto()
    """It runs, and was asked for once more."""


class Member:
    """One session in a group.

    Args:
        source: what the session's own routes come from.
        address: the peer's address, 4 or 16 octets.
        marks_refresh: both ends know the markers of RFC 7313.

    Attributes:
        queue: whole messages that wait for the socket.
        in_step: whether everything it should hold has been queued.
        again: what a refresh has still to look at, last first.
        withheld: how many prefixes of the group's table it must not hear.
        former: what it was told in another group, until that has been compared.
    """

    __slots__ = (
        "address",
        "again",
        "eor_due",
        "former",
        "in_step",
        "marks_refresh",
        "owes",
        "queue",
        "refresh",
        "source",
        "untold",
        "withheld",
    )

    def __init__(self, source: Source, address: bytes, *, marks_refresh: bool = False) -> None:
        self.source = source
        self.address = address
        self.queue: list[bytes] = []
        self.in_step = False
        self.eor_due = True
        self.marks_refresh = marks_refresh
        self.refresh = RefreshStage.NONE
        self.owes: dict[Nlri, None] = {}
        self.untold: dict[Nlri, None] = {}
        self.again: list[Nlri] = []
        self.withheld = 0
        self.former: Former | None = None

    @property
    def debt(self) -> int:
        """How many prefixes are still to be told."""
        return len(self.owes) + len(self.untold) + len(self.again)

    # hot: per batch
    def misses(self, out: OutRoute) -> bool:
        """Tell whether a route is withheld from this member."""
        return out.path.source is self.source or (out.avoids != b"" and out.avoids == self.address)

    def owe(self, nlris: Iterable[Nlri]) -> None:
        """Put prefixes on the bill."""
        untold = self.untold
        if untold:
            nlris = [nlri for nlri in nlris if nlri not in untold]
        self.owes.update(dict.fromkeys(nlris))

    def owe_new(self, nlris: Iterable[Nlri]) -> None:
        """Put prefixes on the bill that the member was not told, or that are withdrawn from it."""
        owes, former = self.owes, self.former
        if owes:
            nlris = [nlri for nlri in nlris if nlri not in owes]
        if former is not None:
            # It is found out whether that is new to the peer.
            nlris = [nlri for nlri in nlris if not former.may_have(nlri)]
        self.untold.update(dict.fromkeys(nlris))
