"""The way in: bodies of one peer's UPDATEs, to packed prefixes and one interned path.

`Inbound.learn` is called once per UPDATE, in the order in which they came. In the usual case it
finds the three fields, looks the attribute octets up, cuts the NLRI and hands both to the
Adj-RIB-In: no object is made but the prefixes' octets. Everything unusual (attributes seen for the
first time, multiprotocol attributes, withdrawals beside announcements, faults) takes the slower way
below, which is the same for all of it. Withdrawals are done before announcements.

Standards: RFC 4271 §4.3, §6.3, §9; RFC 4760; RFC 4724 §2; RFC 7606.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fsm.family import IPV4_UNICAST, Afi, Family
from policy.attributes import Attribute
from policy.prefix import Nlri
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.attribute_table import AttributeTable, Interned
from speaker.wire.attributes import scan
from speaker.wire.update import (
    cut_multiprotocol,
    end_of_rib_family,
    mp_reach,
    mp_unreach,
    prefixes,
    sections,
)
from speaker.wire.verdicts import Error, Fault, Part, reset

REASONS = 256
"""So many different reasons for refusing routes are counted; the oldest make room."""

_NOTHING: tuple[Fault, ...] = ()


class _Announced(NamedTuple):
    """Prefixes of one field of an UPDATE, and what their attributes mean."""

    rib: AdjRibIn
    interned: Interned
    nlris: list[Nlri]


class Inbound:
    """What one peer tells us on one session.

    Args:
        table: the session's interned attributes.
        ribs: the Adj-RIB-In of each negotiated family.

    Attributes:
        ended: families whose End-of-RIB has come.
        updates: how many UPDATEs came.
        refusals: why attribute sets were not used, with the prefixes' number, newest last.
    """

    def __init__(self, table: AttributeTable, ribs: Mapping[Family, AdjRibIn]) -> None:
        self.table = table
        self.ribs = dict(ribs)
        self.ended: set[Family] = set()
        self.updates = 0
        self.refusals: dict[str, int] = {}
        self._ipv4 = self.ribs.get(IPV4_UNICAST)

    # hot: per message
    def learn(self, body: bytes) -> tuple[Fault, ...]:
        """Take one UPDATE.

        Returns:
            What was wrong with it and could be lived with.

        Raises:
            UpdateMessageError: the session must be reset.
        """
        self.updates += 1
        withdrawn, raw, nlri = sections(body)
        if nlri and not withdrawn and self._ipv4 is not None:
            interned = self.table.lookup(raw) or self.table.intern_usual(raw)
            if interned is not None and interned.path is not None:
                self._ipv4.announce(interned.path, prefixes(Part.NLRI, Afi.IPV4, nlri))
                return interned.faults
        return self._learn_slowly(body, withdrawn, raw, nlri)

    def _learn_slowly(
        self, body: bytes, withdrawn: bytes, raw: bytes, nlri: bytes
    ) -> tuple[Fault, ...]:
        if len(body) <= 11 and not nlri and not withdrawn:
            family = end_of_rib_family(body)
            if family is not None:
                self.ended.add(family)
                return _NOTHING
        rest, reach, unreach, faults = cut_multiprotocol(raw)
        self._withdraw(withdrawn, unreach)
        announced = self._classic(rest, nlri) + self._multiprotocol(rest, reach)
        if rest and not nlri and not (reach and _has_nlri(reach)):
            return faults + self._check_attributes_alone(rest)
        for each in announced:
            faults += tuple(fault for fault in each.interned.faults if fault not in faults)
        self._announce(announced, faults)
        return faults

    def _withdraw(self, withdrawn: bytes, unreach: bytes | None) -> None:
        if withdrawn:
            nlris = prefixes(Part.WITHDRAWN_ROUTES, Afi.IPV4, withdrawn)
            if self._ipv4 is not None:
                self._ipv4.withdraw(nlris)
        if unreach is None:
            return
        lost = mp_unreach(unreach)
        rib = self._rib_of(lost.family)
        if rib is not None:
            code = Attribute.MP_UNREACH_NLRI
            rib.withdraw(prefixes(code, rib.family.afi, lost.nlri, unreach))

    def _classic(self, attributes: bytes, nlri: bytes) -> list[_Announced]:
        if not nlri:
            return []
        nlris = prefixes(Part.NLRI, Afi.IPV4, nlri)
        interned = self.table.intern_classic(attributes)
        return [] if self._ipv4 is None else [_Announced(self._ipv4, interned, nlris)]

    def _multiprotocol(self, attributes: bytes, reach: bytes | None) -> list[_Announced]:
        if reach is None:
            return []
        found = mp_reach(reach, self.table.intake.context.extended_next_hop)
        rib = self._rib_of(found.family)
        if rib is None:
            return []
        nlris = prefixes(Attribute.MP_REACH_NLRI, rib.family.afi, found.nlri, reach)
        interned = self.table.intern_multiprotocol(attributes, found.next_hop, found.link_local)
        return [_Announced(rib, interned, nlris)]

    def _rib_of(self, family: Family | None) -> AdjRibIn | None:
        return None if family is None else self.ribs.get(family)

    def _check_attributes_alone(self, raw: bytes) -> tuple[Fault, ...]:
        """RFC 7606 §5.2: attributes without NLRI say nothing, but broken ones may hide NLRI."""
        scanned = scan(raw, self.table.intake.context)
        if scanned.withdraw:
            words = f"no NLRI, and {'; '.join(map(str, scanned.faults))}"
            raise reset(Part.FIELDS, Error.HIDDEN_NLRI, words=words)
        return scanned.faults

    def _announce(self, announced: list[_Announced], faults: tuple[Fault, ...]) -> None:
        """Take the routes of an UPDATE, or treat all of them as withdrawn (RFC 7606 §2)."""
        grave = next((str(fault) for fault in faults if fault.is_grave), "")
        for rib, interned, nlris in announced:
            if interned.path is not None and not grave:
                rib.announce(interned.path, nlris)
            else:
                # A looped or unusable route takes the place of what was there.
                rib.withdraw(nlris)
                self._refuse(interned.why_not or grave, len(nlris))

    def _refuse(self, why: str, count: int) -> None:
        """Count what is not used, by reasons, of which a peer can make up any number."""
        self.refusals[why] = self.refusals.get(why, 0) + count
        if len(self.refusals) > REASONS:
            del self.refusals[next(iter(self.refusals))]


def _has_nlri(reach: bytes) -> bool:
    """Tell whether a well-formed MP_REACH_NLRI encodes any NLRI."""
    return len(reach) > 5 + reach[3]
