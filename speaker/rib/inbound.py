"""The way in: bodies of one peer's UPDATEs, to packed prefixes and one interned path.

`Inbound.learn` is called once per UPDATE, in the order in which they came. In the usual case it
finds the three fields, looks the attribute octets up, cuts the NLRI and hands both to the
Adj-RIB-In: no object is made but the prefixes' octets. Everything unusual (attributes seen for the
first time, multiprotocol attributes, withdrawals beside announcements, faults) takes the slower way
below, which is the same for all of it. Withdrawals are done before announcements.

In families for which it was agreed that the peer tells several paths, an identifier stands before
each prefix of all four fields that hold any; the table of such a family takes them together.

Standards: RFC 4271 §4.3, §6.3, §9; RFC 4760; RFC 4724 §2; RFC 7606; RFC 7911 §3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from policy.attributes import EXTENDED_LENGTH, OPTIONAL, Attribute
from policy.prefix import (
    ID_LENGTH,
    Nlri,
    PrefixError,
    UnroutableError,
    show,
    split,
    split_with_ids,
)
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.attribute_table import AttributeTable, Interned
from speaker.wire import relay
from speaker.wire.attributes import scan
from speaker.wire.update import (
    cut_multiprotocol,
    end_of_rib_family,
    mp_reach,
    mp_unreach,
    prefixes,
    prefixes_with_ids,
    sections,
)
from speaker.wire.verdicts import Error, Fault, Part, fault, reset

REASONS = 256
"""So many different reasons for refusing routes are counted; the oldest make room."""

_NOTHING: tuple[Fault, ...] = ()
_NO_WITHDRAWN = b"\0\0"
# A member of an enumeration costs more to look up than all else that is done with it.
_REACH = Attribute.MP_REACH_NLRI
_IPV4, _IPV6 = Afi.IPV4, Afi.IPV6

_SHORTEST = 4 + 3 + 5 + 16 + 1
"""Octets of a body with an MP_REACH_NLRI of one prefix."""

_IPV6_OCTETS = b"\0\x02\x01"
_REACH_HEAD = bytes((OPTIONAL, Attribute.MP_REACH_NLRI))
_LONG_REACH_HEAD = bytes((OPTIONAL | EXTENDED_LENGTH, Attribute.MP_REACH_NLRI))


class _Cut(NamedTuple):
    """Prefixes of one field: those that can be taken, and those that lead nowhere."""

    routable: list[Nlri]
    unroutable: list[Nlri]

    @property
    def everything(self) -> list[Nlri]:
        """Both, for what is withdrawn."""
        return self.routable + self.unroutable if self.unroutable else self.routable


class _Announced(NamedTuple):
    """Prefixes of one field of an UPDATE, and what their attributes mean."""

    rib: AdjRibIn
    interned: Interned
    nlris: list[Nlri]
    part: int = Part.NLRI
    unroutable: Sequence[Nlri] = ()


def _cutter(rib: AdjRibIn | None) -> Callable[..., _Cut]:
    """Give what cuts a block of prefixes as a table takes them."""
    split_block = prefixes_with_ids if rib is not None and rib.has_ids else prefixes

    def cut(part: int, afi: Afi, block: bytes, value: bytes = b"") -> _Cut:
        try:
            return _Cut(split_block(part, afi, block, value), [])
        except UnroutableError as error:
            return _Cut(error.routable, error.unroutable)

    return cut


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
        self._cut_ipv4 = _cutter(self._ipv4)
        has_ids = self._ipv4 is not None and self._ipv4.has_ids
        self._split_ipv4 = split_with_ids if has_ids else split
        ipv6 = self.ribs.get(IPV6_UNICAST)
        # Where it has no identifiers; those go the slower way.
        self._ipv6 = None if ipv6 is None or ipv6.has_ids else ipv6

    # hot: per message
    def learn(self, body: bytes) -> tuple[Fault, ...]:
        """Take one UPDATE.

        Returns:
            What was wrong with it and could be lived with.

        Raises:
            UpdateMessageError: the session must be reset.
        """
        self.updates += 1
        if body.startswith(_NO_WITHDRAWN):
            at = 4 + (body[2] << 8 | body[3])
            if at == len(body):
                if self._learn_ipv6(body):
                    return _NOTHING
            elif at < len(body) and self._ipv4 is not None:
                raw = body[4:at]
                path = self.table.lookup(raw) or self.table.intern_usual(raw)
                if path is not None:
                    try:
                        nlris = self._split_ipv4(_IPV4, body, at)
                    except PrefixError:
                        return self._learn_slowly(body)
                    self._ipv4.announce(path, nlris)
                    return _NOTHING
        return self._learn_slowly(body)

    # hot: per message
    def _learn_ipv6(self, body: bytes) -> bool:
        """Take an UPDATE that begins with MP_REACH_NLRI, of the usual shape, with IPv6.

        RFC 7606 §5.1 wants it first, and so it stands in what most speakers send. All that a usual
        set cannot have (a second one, an MP_UNREACH_NLRI) is left to the slower way.
        """
        rib = self._ipv6
        if rib is None or len(body) < _SHORTEST:
            return False
        head = body[4:6]
        if head == _REACH_HEAD:
            start, after = 7, 7 + body[6]
        elif head == _LONG_REACH_HEAD:
            start, after = 8, 8 + (body[6] << 8 | body[7])
        else:
            return False
        # One next hop or two, a reserved octet, and at least one prefix.
        size = body[start + 3]
        nlri = start + 5 + size
        if (
            body[start : start + 3] != _IPV6_OCTETS
            or size not in (16, 32)
            or not nlri < after <= len(body)
        ):
            return False
        raw, next_hop = body[after:], body[start + 4 : nlri - 1]
        path = self.table.lookup((raw, next_hop)) or self.table.intern_usual(raw, next_hop)
        if path is None:
            return False
        try:
            nlris = prefixes(_REACH, _IPV6, body[nlri:after], body[start:after])
        except UnroutableError:
            return False
        rib.announce(path, nlris)
        return True

    def _learn_slowly(self, body: bytes) -> tuple[Fault, ...]:
        withdrawn, raw, nlri = sections(body)
        if len(body) <= 11 and not nlri and not withdrawn:
            family = end_of_rib_family(body)
            if family is not None:
                self.ended.add(family)
                return _NOTHING
        rest, reach, unreach = cut_multiprotocol(raw)
        faults = self._withdraw(withdrawn, unreach)
        announced = self._classic(rest, nlri) + self._multiprotocol(rest, reach)
        if rest and not nlri and not (reach and _has_nlri(reach)):
            return faults + self._check_attributes_alone(rest)
        for each in announced:
            faults = tuple(dict.fromkeys((*faults, *each.interned.faults)))
        self._announce(announced, faults)
        return faults + self._ignore(announced)

    def _withdraw(self, withdrawn: bytes, unreach: bytes | None) -> tuple[Fault, ...]:
        if withdrawn:
            nlris = self._cut_ipv4(Part.WITHDRAWN_ROUTES, Afi.IPV4, withdrawn).everything
            if self._ipv4 is not None:
                self._ipv4.withdraw(nlris)
        if unreach is None:
            return _NOTHING
        lost = mp_unreach(unreach)
        rib = self._rib_of(lost.family)
        if rib is None:
            return _NOTHING
        code = Attribute.MP_UNREACH_NLRI
        if rib.family.safi is Safi.UNICAST:
            rib.withdraw(_cutter(rib)(code, rib.family.afi, lost.nlri, unreach).everything)
            return _NOTHING
        routes, faults = relay.cut(rib.family, code, lost.nlri, unreach)
        rib.withdraw([key for keys in routes.values() for key in keys])
        return faults

    def _classic(self, attributes: bytes, nlri: bytes) -> list[_Announced]:
        if not nlri:
            return []
        cut = self._cut_ipv4(Part.NLRI, Afi.IPV4, nlri)
        interned = self.table.intern_classic(attributes)
        if self._ipv4 is None:
            return []
        return [_Announced(self._ipv4, interned, cut.routable, Part.NLRI, cut.unroutable)]

    def _multiprotocol(self, attributes: bytes, reach: bytes | None) -> list[_Announced]:
        if reach is None:
            return []
        found = mp_reach(reach, self.table.intake.context.extended_next_hop)
        rib = self._rib_of(found.family)
        if rib is None:
            return []
        if rib.family.safi is not Safi.UNICAST:
            return self._relayed(rib, attributes, found.nlri, reach)
        cut = _cutter(rib)(Attribute.MP_REACH_NLRI, rib.family.afi, found.nlri, reach)
        interned = self.table.intern_multiprotocol(attributes, found.next_hop, found.link_local)
        part = Attribute.MP_REACH_NLRI
        return [_Announced(rib, interned, cut.routable, part, cut.unroutable)]

    def _relayed(
        self, rib: AdjRibIn, attributes: bytes, block: bytes, reach: bytes
    ) -> list[_Announced]:
        """Take NLRI of a family that is relayed: a path for each rest that they have."""
        next_hop = relay.next_hop_of(rib.family, reach)
        routes, faults = relay.cut(rib.family, Attribute.MP_REACH_NLRI, block, reach)
        paths = self.table.intern_relayed(attributes, next_hop, routes)
        announced = [
            _Announced(rib, interned, keys)
            for interned, keys in zip(paths, routes.values(), strict=True)
        ]
        if faults:
            announced.append(_Announced(rib, Interned(None, str(faults[0]), faults), []))
        return announced

    @property
    def families_with_ids(self) -> frozenset[Family]:
        """Families whose prefixes come with path identifiers."""
        return frozenset(family for family, rib in self.ribs.items() if rib.has_ids)

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
        for rib, interned, nlris, *_ in announced:
            if interned.path is not None and not grave:
                rib.announce(interned.path, nlris)
            else:
                # A looped or unusable route takes the place of what was there.
                rib.withdraw(nlris)
                if nlris:
                    why = interned.why_not or grave
                    self._refuse(why, len(nlris))
                    if rib.family.safi is Safi.UNICAST:
                        rib.turn_away(nlris, why)

    def _ignore(self, announced: list[_Announced]) -> tuple[Fault, ...]:
        """Take note of the prefixes that lead nowhere (RFC 4271 §6.3)."""
        faults = []
        for rib, _, _, part, unroutable in announced:
            if unroutable:
                first = show(rib.family.afi, unroutable[0][ID_LENGTH if rib.has_ids else 0 :])
                others = f" and {len(unroutable) - 1} more" if len(unroutable) > 1 else ""
                words = f"{first}{others} is {Error.UNROUTABLE.value}"
                faults.append(fault(part, Error.UNROUTABLE, words))
                self._refuse(Error.UNROUTABLE.value, len(unroutable))
                rib.turn_away(list(unroutable), Error.UNROUTABLE.value)
        return tuple(faults)

    def _refuse(self, why: str, count: int) -> None:
        """Count what is not used, by reasons, of which a peer can make up any number."""
        self.refusals[why] = self.refusals.get(why, 0) + count
        if len(self.refusals) > REASONS:
            del self.refusals[next(iter(self.refusals))]


def _has_nlri(reach: bytes) -> bool:
    """Tell whether a well-formed MP_REACH_NLRI encodes any NLRI."""
    return len(reach) > 5 + reach[3]
