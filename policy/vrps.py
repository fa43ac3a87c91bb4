"""Origin validation: who may originate a prefix, as RPKI says (RFC 6811).

A *VRP* (Validated ROA Payload) says that an AS may originate a prefix and what is inside it, down
to a length. A `VrpTable` holds what one source says of one address family; `Vrps` is the union of
all sources, and answers for a prefix and the AS it comes from: Valid, Invalid or NotFound.

A table is a dict per prefix length, from the leading bits to what is said there: a number where it
is one VRP, as nearly always, and a dict by AS where there are more, so that a prefix with very many
costs no more than others. A question costs one look-up for each length in the table that is not
longer than the prefix, longer ones first; half a million VRPs have about twenty lengths in a
family. Nothing is joined or sorted, so what changes costs as much as what changed.

Whose routes are to be judged again after a change, `Covered` tells: it is made of the prefixes of
the VRPs that came and went, and finds those inside among many.

Standards: RFC 6811 §2; RFC 6483 §4 (AS 0); RFC 8893 (what leaves is judged by its own origin).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from fsm.family import Afi
from policy.attributes import PathAttributes, SegmentType
from policy.prefix import WIDTH, Nlri, show

_Said: TypeAlias = int | dict[int, int]
"""Of one VRP AS << 8 | longest length; of several, for each AS, its longest lengths as bits."""

COMPARED = 4096
"""Prefixes that are compared in one step."""


class Validity(StrEnum):
    """What VRPs say of a route (RFC 6811 §2)."""

    VALID = "Valid"
    INVALID = "Invalid"
    NOT_FOUND = "NotFound"


# A member of an enumeration costs more to look up than all else that is done with it.
_VALID, _INVALID, _NOT_FOUND = Validity.VALID, Validity.INVALID, Validity.NOT_FOUND


class Vrp(NamedTuple):
    """One Validated ROA Payload.

    Attributes:
        nlri: canonical.
        max_length: bits; the longest prefix inside that may be originated.
        asn: whose; 0 stands for nobody at all.
    """

    afi: Afi
    nlri: Nlri
    max_length: int
    asn: int

    def __str__(self) -> str:
        return f"{show(self.afi, self.nlri)} up to /{self.max_length} AS {self.asn}"


class VrpTable:
    """What one source says of one family.

    Args:
        afi: of the prefixes.
    """

    __slots__ = ("_by_length", "_size", "afi", "look_ups")

    def __init__(self, afi: Afi) -> None:
        self.afi = afi
        self._by_length: dict[int, dict[int, _Said]] = {}
        # The same, longer ones first, for whoever asks.
        self.look_ups: list[tuple[int, Callable[[int], _Said | None]]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Vrp]:
        for length, prefixes in self._by_length.items():
            for bits, said in prefixes.items():
                nlri = _nlri(length, bits)
                for code in _codes(said):
                    yield Vrp(self.afi, nlri, code & 0xFF, code >> 8)

    def __contains__(self, vrp: Vrp) -> bool:
        return self.has(vrp.nlri, vrp.max_length, vrp.asn)

    # hot: per VRP
    def has(self, nlri: Nlri, max_length: int, asn: int) -> bool:
        """Tell whether this very VRP is here."""
        prefixes = self._by_length.get(nlri[0])
        said = None if prefixes is None else prefixes.get(_bits(nlri))
        if said is None:
            return False
        if isinstance(said, int):
            return said == asn << 8 | max_length
        return said.get(asn, 0) >> max_length & 1 == 1

    def _of_length(self, length: int) -> dict[int, _Said]:
        prefixes: dict[int, _Said] = {}
        self._by_length[length] = prefixes
        by_length = sorted(self._by_length.items(), reverse=True)
        self.look_ups = [(own, table.get) for own, table in by_length]
        return prefixes

    # hot: per VRP
    def add(self, nlri: Nlri, max_length: int, asn: int) -> bool:
        """Put a VRP in; False if it was there."""
        length = nlri[0]
        prefixes = self._by_length.get(length)
        if prefixes is None:
            prefixes = self._of_length(length)
        bits = _bits(nlri)
        said = prefixes.get(bits)
        if said is None:
            prefixes[bits] = asn << 8 | max_length
        elif self.has(nlri, max_length, asn):
            return False
        else:
            if isinstance(said, int):
                said = prefixes[bits] = {said >> 8: 1 << (said & 0xFF)}
            said[asn] = said.get(asn, 0) | 1 << max_length
        self._size += 1
        return True

    def remove(self, nlri: Nlri, max_length: int, asn: int) -> bool:
        """Take a VRP out; False if it was not there."""
        if not self.has(nlri, max_length, asn):
            return False
        prefixes, bits = self._by_length[nlri[0]], _bits(nlri)
        said = prefixes[bits]
        if isinstance(said, int):
            del prefixes[bits]
        else:
            said[asn] ^= 1 << max_length
            if not said[asn]:
                del said[asn]
            if len(said) == 1 and len(codes := _codes(said)) == 1:
                # One is one number always, so that equal tables are equal.
                prefixes[bits] = codes[0]
        self._size -= 1
        return True

    def differs(self, other: VrpTable) -> Iterator[list[Nlri]]:
        """Find the prefixes of which another table says something else, part by part.

        Both may change meanwhile; what changes then is for whoever changes it to tell.
        """
        for mine, theirs, both in ((self, other, True), (other, self, False)):
            for length, prefixes in list(mine._by_length.items()):
                beside = theirs._by_length.get(length, {})
                every = list(prefixes)
                for start in range(0, len(every), COMPARED):
                    part = every[start : start + COMPARED]
                    if both:
                        found = [b for b in part if prefixes.get(b) != beside.get(b)]
                    else:
                        found = [b for b in part if b not in beside]
                    yield [_nlri(length, bits) for bits in found]


class Vrps:
    """What all sources say of one family.

    Args:
        afi: of the prefixes.
    """

    __slots__ = ("_tables", "afi")

    def __init__(self, afi: Afi) -> None:
        self.afi = afi
        self._tables: dict[str, VrpTable] = {}

    def __len__(self) -> int:
        """So many VRPs, each counted once for each source that has it."""
        return sum(map(len, self._tables.values()))

    def sizes(self) -> dict[str, int]:
        """Give how many VRPs each source has told."""
        return {source: len(table) for source, table in self._tables.items()}

    def put(self, source: str, table: VrpTable | None) -> VrpTable:
        """Let a source say something else from now on, or nothing; give what it said before."""
        former = self._tables.pop(source, None)
        if table is not None:
            self._tables[source] = table
        return VrpTable(self.afi) if former is None else former

    # hot: per prefix
    def validate(self, nlri: Nlri, origin: int | None) -> Validity:
        """Judge a prefix that comes from an AS (RFC 6811 §2).

        Args:
            nlri: canonical, of the family.
            origin: as `origin_of` gives it; None and 0 match no VRP.
        """
        length = nlri[0]
        bits, size = int.from_bytes(nlri[1:], "big"), len(nlri) * 8 - 8
        is_covered = False
        for table in self._tables.values():
            for own, look_up in table.look_ups:
                if own > length:
                    continue
                said = look_up(bits >> size - own)
                if said is None:
                    continue
                if not origin:
                    return _INVALID
                is_covered = True
                if isinstance(said, int):
                    if said >> 8 == origin and said & 0xFF >= length:
                        return _VALID
                elif said.get(origin, 0) >> length:
                    return _VALID
        return _INVALID if is_covered else _NOT_FOUND

    def covering(self, nlri: Nlri) -> list[tuple[Vrp, tuple[str, ...]]]:
        """Give the VRPs that cover a prefix, shorter first, each with the sources that have it."""
        found: dict[Vrp, list[str]] = {}
        bits, size = _bits_and_size(nlri)
        for source, table in self._tables.items():
            for own, look_up in table.look_ups:
                if own > nlri[0]:
                    continue
                said = look_up(bits >> size - own)
                prefix = _nlri(own, bits >> size - own)
                for code in () if said is None else _codes(said):
                    vrp = Vrp(self.afi, prefix, code & 0xFF, code >> 8)
                    found.setdefault(vrp, []).append(source)
        ordered = sorted(found, key=lambda vrp: (vrp.nlri[0], vrp.asn, vrp.max_length))
        return [(vrp, tuple(found[vrp])) for vrp in ordered]


@dataclass(frozen=True, slots=True)
class Origins:
    """How the routes of a session are judged.

    Attributes:
        vrps: of the family.
        local_asn: ours on the session; the origin of what comes from our own AS.
    """

    vrps: Vrps
    local_asn: int


class Covered:
    """Finds, among many prefixes, those that some prefixes cover.

    Args:
        afi: of all of them.
        nlris: that cover.
    """

    __slots__ = ("_by_length", "_heads", "_octets", "_wide")

    def __init__(self, afi: Afi, nlris: Iterable[Nlri]) -> None:
        # Looked at first: as many octets as tell most prefixes apart.
        self._octets = 2 if afi is Afi.IPV4 else 4
        self._heads: set[bytes] = set()
        by_length: dict[int, set[int]] = {}
        for nlri in nlris:
            by_length.setdefault(nlri[0], set()).add(_bits(nlri))
            if nlri[0] >= 8 * self._octets:
                self._heads.add(nlri[1 : 1 + self._octets])
        self._by_length = sorted(by_length.items())
        self._wide = [of for of in self._by_length if of[0] < 8 * self._octets]

    # hot: per prefix
    def among(self, nlris: list[Nlri]) -> list[Nlri]:
        """Give those that are covered, in their order."""
        heads, end = self._heads, 1 + self._octets
        if self._wide:
            wide = self._wide
            some = [n for n in nlris if n[1:end] in heads or _within(n, wide)]
        else:
            some = [nlri for nlri in nlris if nlri[1:end] in heads]
        return [nlri for nlri in some if _within(nlri, self._by_length)]


def _within(nlri: Nlri, by_length: list[tuple[int, set[int]]]) -> bool:
    """Tell whether one of these covers a prefix; the shorter ones come first."""
    bits, size = _bits_and_size(nlri)
    for own, members in by_length:
        if own > nlri[0]:
            return False
        if bits >> size - own in members:
            return True
    return False


def origin_of(attributes: PathAttributes, local_asn: int) -> int | None:
    """Give the AS that originates a route; None where that cannot be said (RFC 6811 §2).

    Args:
        attributes: of the route.
        local_asn: ours on the session, for what comes from our own AS or confederation.
    """
    path = attributes.as_path
    if not path:
        return local_asn
    kind, numbers = path[-1]
    if kind == SegmentType.AS_SEQUENCE and numbers:
        return numbers[-1]
    if kind in (SegmentType.AS_CONFED_SEQUENCE, SegmentType.AS_CONFED_SET):
        return local_asn
    return None


def is_vrp(afi: Afi, nlri: Nlri, max_length: int) -> bool:
    """Tell whether a VRP may say so: its longest length is not below that of its prefix."""
    return nlri[0] <= max_length <= WIDTH[afi]


def _bits(nlri: Nlri) -> int:
    """Give the leading bits of a prefix as a number."""
    return int.from_bytes(nlri[1:], "big") >> (-nlri[0] % 8)


def _bits_and_size(nlri: Nlri) -> tuple[int, int]:
    return int.from_bytes(nlri[1:], "big"), len(nlri) * 8 - 8


def _nlri(length: int, bits: int) -> Nlri:
    octets = length + 7 >> 3
    return bytes((length,)) + (bits << (-length % 8)).to_bytes(octets, "big")


def _codes(said: _Said) -> list[int]:
    """Give AS << 8 | longest length of every VRP."""
    if isinstance(said, int):
        return [said]
    return [
        asn << 8 | length
        for asn, lengths in said.items()
        for length in range(lengths.bit_length())
        if lengths >> length & 1
    ]
