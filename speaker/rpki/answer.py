"""What one answer of a cache brings, put aside until it is complete.

An `Answer` to a Reset Query makes new tables while it comes, so that in the end they only take the
place of the old ones. One to a Serial Query gathers what is new, and puts it into the tables that
stand when it is complete; of very much news it takes none, and everything has to be asked for.

Standards: RFC 8210 §5.6, §8.2, §12.
"""

from __future__ import annotations

from collections.abc import Mapping

from fsm.family import Afi
from policy.prefix import Nlri
from policy.vrps import Vrp, VrpTable
from speaker.rpki.effects import Altered, Replaced
from speaker.rpki.pdus import ErrorCode, PrefixPdu

FAMILIES = (Afi.IPV4, Afi.IPV6)

MUCH_NEWS = 50_000
"""VRPs that may come and go in one answer: they are put into the table at once."""


def no_vrps() -> dict[Afi, VrpTable]:
    """Give an empty table for each family."""
    return {afi: VrpTable(afi) for afi in FAMILIES}


class Answer:
    """An answer that has begun.

    Args:
        session: its session id.
        standing: the tables that it changes; None where it says everything anew.
        most: VRPs that there may be with it.

    Attributes:
        is_void: it cannot be used; everything is to be asked for.
    """

    __slots__ = ("_changes", "_most", "_size", "_tables", "is_anew", "is_void", "session")

    def __init__(self, session: int, standing: Mapping[Afi, VrpTable] | None, most: int) -> None:
        self.session = session
        self.is_anew = standing is None
        self.is_void = False
        self._tables = no_vrps() if standing is None else standing
        self._size = sum(map(len, self._tables.values()))
        self._most = most
        # Whether a VRP is there from now on.
        self._changes: dict[tuple[Afi, Nlri, int, int], bool] = {}

    # hot: per VRP
    def take(self, pdu: PrefixPdu) -> tuple[ErrorCode, str] | None:
        """Take a VRP that comes or goes; say what is wrong with that."""
        if self.is_void:
            return None
        announces, afi, nlri, max_length, asn = pdu
        table = self._tables[afi]
        if not self.is_anew:
            key = (afi, nlri, max_length, asn)
            known = self._changes.get(key)
            if known is None:
                known = table.has(nlri, max_length, asn)
            self._changes[key] = announces
            self.is_void = len(self._changes) > MUCH_NEWS
        elif announces:
            known = not table.add(nlri, max_length, asn)
        else:
            known = table.remove(nlri, max_length, asn)
        if known is announces:
            return _untrue(pdu)
        self._size += 1 if announces else -1
        if self._size > self._most:
            return ErrorCode.INTERNAL_ERROR, f"more than {self._most} VRPs are not taken"
        return None

    def finish(self) -> Replaced | Altered:
        """Let it count; the answer is complete."""
        if self.is_anew:
            return Replaced(self._tables)
        altered: dict[Afi, set[Nlri]] = {afi: set() for afi in FAMILIES}
        for (afi, nlri, max_length, asn), is_there in self._changes.items():
            table = self._tables[afi]
            change = table.add if is_there else table.remove
            if change(nlri, max_length, asn):
                altered[afi].add(nlri)
        return Altered(altered)


def _untrue(pdu: PrefixPdu) -> tuple[ErrorCode, str]:
    """A VRP was announced twice, or withdrawn without being there."""
    vrp = Vrp(pdu.afi, pdu.nlri, pdu.max_length, pdu.asn)
    if pdu.announces:
        return ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED, f"{vrp} was announced before"
    return ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD, f"{vrp} was not announced"
