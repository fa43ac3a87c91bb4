"""Which prefixes an UPDATE is about, for the log.

RFC 7606 §6 asks that whoever looks for the cause of a malformed attribute is told the NLRI
involved. `affected` reads them from a whole body, those that are announced first. It is slow, and
for messages in which something was wrong: what cannot be read is left out.

Standards: RFC 7606 §6; RFC 7911 §3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fsm.errors import UpdateMessageError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, RELAYED, Family
from policy.prefix import PrefixError, UnroutableError, show
from speaker.wire.decoded import nlri_text
from speaker.wire.relay import nlris
from speaker.wire.update import (
    cut_multiprotocol,
    mp_reach,
    mp_unreach,
    prefixes,
    prefixes_with_ids,
    sections,
)
from speaker.wire.verdicts import Part

_ID = 4

_DECODED = 50
"""So many relayed routes of an UPDATE are decoded; the others stand in hexadecimal."""


def affected(body: bytes, with_ids: Collection[Family] = ()) -> list[str]:
    """Name the prefixes of an UPDATE.

    Args:
        body: of the message, of four octets at least.
        with_ids: families whose prefixes have path identifiers before them.
    """
    found: list[str] = []
    try:
        for family, block in _blocks(body):
            found += _names(family, block, family in with_ids)
    except UpdateMessageError:
        return found
    return found


def _blocks(body: bytes) -> Iterator[tuple[Family, bytes]]:
    withdrawn, attributes, nlri = sections(body)
    yield IPV4_UNICAST, nlri
    _, reach, unreach = cut_multiprotocol(attributes)
    if reach is not None:
        announced = mp_reach(reach, frozenset((IPV4_UNICAST,)))
        if announced.family is not None:
            yield announced.family, announced.nlri
    yield IPV4_UNICAST, withdrawn
    if unreach is not None:
        lost = mp_unreach(unreach)
        if lost.family is not None:
            yield lost.family, lost.nlri


def _names(family: Family, block: bytes, has_ids: bool) -> list[str]:
    if not block:
        return []
    if family in RELAYED:
        return _relayed(family, block)
    if family not in (IPV4_UNICAST, IPV6_UNICAST):
        return [f"some of {family}"]
    cut = prefixes_with_ids if has_ids else prefixes
    try:
        found = cut(Part.NLRI, family.afi, block)
    except UnroutableError as error:
        found = error.unroutable + error.routable
    return [show(family.afi, each[_ID if has_ids else 0 :]) for each in found]


def _relayed(family: Family, block: bytes) -> list[str]:
    try:
        whole = list(nlris(family, block))
    except PrefixError:
        return [f"some of {family}"]
    names = [nlri_text(family, nlri) for nlri in whole[:_DECODED]]
    return [*names, *(nlri.hex() for nlri in whole[_DECODED:])]
