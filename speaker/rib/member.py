"""One session among those that hear the same: what it was told and what it is owed.

Members are *in step* or they *owe*. In step they get the shared octets as soon as they are made.
When a member's socket is full, or it just came up, or it asks for a refresh, it owes a set of
prefixes: later changes only add to the set, and when the socket has room the prefixes' present
state is encoded for it. So the initial dump, a refresh and a slow peer are one mechanism, and a
slow peer costs memory for prefixes, never for messages. What was never told before (``untold``) is
kept apart: a prefix that vanishes before it was told needs no withdrawal.

A refresh never begins before End-of-RIB was said (RFC 7313 §4), and one that is asked for in the
middle of another follows it, however often it is asked for.

Standards: RFC 4271 §9.1.3; RFC 4724 §2; RFC 7313 §4.
"""

from __future__ import annotations

from collections.abc import Iterable, Reversible
from enum import Enum, auto
from typing import TYPE_CHECKING

from policy.path import Source
from policy.prefix import Nlri
from speaker.rib.out_routes import OutRoute

if TYPE_CHECKING:
    from speaker.rib.former import Former


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

    def begin(self) -> None:
        """Join a group: what is owed is for it to say, and End-of-RIB follows that."""
        self.in_step = False
        self.eor_due = True
        self.forgive()

    def forgive(self) -> None:
        """Strike out all that is owed."""
        # New ones: a dictionary that held a whole table once would keep the room for it.
        self.owes, self.untold, self.again = {}, {}, []

    def ask_refresh(self, table: Reversible[Nlri]) -> None:
        """Have everything told again, now or as soon as may be (RFC 2918 §4).

        Args:
            table: all that the group tells.
        """
        if self.eor_due or self.former is not None:
            self.refresh = RefreshStage.WAITS
        elif self.refresh is RefreshStage.RUNS:
            self.refresh = RefreshStage.AGAIN
        elif self.refresh is RefreshStage.NONE:
            self.refresh = RefreshStage.BEGINS
            self.in_step = False
            # What is withheld from it needs no word: it was withdrawn when that became so.
            self.again = list(reversed(table))

    # hot: per prefix
    def take(self, limit: int, *, all_is_read: bool) -> list[Nlri]:
        """Take prefixes off what is owed: first those of which the member knows.

        Args:
            limit: how many at the most.
            all_is_read: the group's table has all that it is to have; before, what the member knows
                and the table has not may be still to come.
        """
        bill = (self.owes or self.untold) if all_is_read else self.untold
        if bill:
            popitem = bill.popitem
            taken = [popitem()[0] for _ in range(min(limit, len(bill)))]
            if not bill:
                # New ones, as above.
                self.owes, self.untold = (self.owes or {}), (self.untold or {})
            return taken
        if not all_is_read:
            return []
        taken = self.again[-limit:]
        del self.again[-limit:]
        return taken
