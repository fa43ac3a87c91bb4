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

from fsm.errors import UpdateMessageError
from fsm.family import IPV4_UNICAST, Afi, Family
from fsm.notifications import UpdateSubcode
from policy.prefix import Nlri, PrefixError, split
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.attribute_table import AttributeTable, Interned
from speaker.wire.attributes import Fault, scan
from speaker.wire.update import (
    cut_multiprotocol,
    end_of_rib_family,
    mp_reach,
    mp_unreach,
    sections,
)

_NOTHING: tuple[Fault, ...] = ()


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
                try:
                    nlris = split(Afi.IPV4, nlri)
                except PrefixError as error:
                    raise _network_error(error) from None
                self._ipv4.announce(interned.path, nlris)
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
        rest, reach, unreach = cut_multiprotocol(raw)
        if withdrawn:
            self._withdraw(IPV4_UNICAST, withdrawn)
        if unreach is not None:
            lost = mp_unreach(unreach)
            self._withdraw(lost.family, lost.nlri)
        faults = _NOTHING
        if nlri:
            faults = self._announce(IPV4_UNICAST, self.table.intern_classic(rest), nlri)
        if reach is not None:
            found = mp_reach(reach)
            if found.family in self.ribs:
                interned = self.table.intern_multiprotocol(rest, found.next_hop, found.link_local)
                faults += self._announce(found.family, interned, found.nlri)
        elif rest and not nlri:
            faults = self._check_attributes_alone(rest)
        return faults

    def _check_attributes_alone(self, raw: bytes) -> tuple[Fault, ...]:
        """RFC 7606 §5.2: attributes without NLRI say nothing, but broken ones may hide NLRI."""
        scanned = scan(raw, self.table.intake.context)
        if scanned.withdraw:
            raise UpdateMessageError(
                UpdateSubcode.MALFORMED_ATTRIBUTE_LIST,
                b"",
                f"no NLRI, and {'; '.join(map(str, scanned.faults))}",
            )
        return scanned.faults

    def _withdraw(self, family: Family | None, block: bytes) -> None:
        rib = None if family is None else self.ribs.get(family)
        if rib is not None:
            rib.withdraw(_split(rib.family, block))

    def _announce(self, family: Family, interned: Interned, block: bytes) -> tuple[Fault, ...]:
        rib = self.ribs.get(family)
        if rib is None:
            return _NOTHING
        nlris = _split(family, block)
        if interned.path is not None:
            rib.announce(interned.path, nlris)
        else:
            # RFC 7606 §2: treat as withdraw; a looped or unusable route replaces what was there.
            rib.withdraw(nlris)
            self.refusals[interned.why_not] = self.refusals.get(interned.why_not, 0) + len(nlris)
        return interned.faults


def _split(family: Family, block: bytes) -> list[Nlri]:
    try:
        return split(family.afi, block)
    except PrefixError as error:
        raise _network_error(error) from None


def _network_error(error: PrefixError) -> UpdateMessageError:
    """RFC 4271 §6.3, RFC 7606 §5.3: NLRI that do not parse leave nothing to rely on."""
    return UpdateMessageError(UpdateSubcode.INVALID_NETWORK_FIELD, b"", str(error))
