"""The answer to why a route is there or not: plain values, frozen all through.

A `Because` is one reason, as a member of an enumeration (`speaker.inquiry.reasons`) and as the
sentence that it makes for this route. `Why` is the whole answer; `str` gives it in lines as
``wren why`` prints them, `as_json` as the object of ``wren why -o json``: keys in the style of
Calico's documents, a reason as the name of its member in that style.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Because:
    """One reason; `str` is its sentence."""

    reason: StrEnum
    words: str

    @classmethod
    def of(cls, reason: StrEnum, **words: object) -> Because:
        """Fill in the words of a reason."""
        return cls(reason, reason.value.format(**words))

    def __str__(self) -> str:
        return self.words


class Verdict(StrEnum):
    """What becomes of packets and peers on the whole."""

    USED = "used"
    UNUSED = "known and not used"
    ABSENT = "not there"


@dataclass(frozen=True, slots=True)
class Judged:
    """What rules said of a route, on the way in or out.

    Attributes:
        because: who decided.
        rule: the rule that matched, as ``bgpfilter/NAME importV4[0] (FILE:LINE)``; or empty.
        reason: why it rejects, in the operator's words, where a RoutePolicy says so.
        operations: what it does to the route, in words.
        misses: the rules before it, each with the first of its conditions that does not hold.
    """

    because: Because
    rule: str = ""
    reason: str = ""
    operations: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path that somebody told, used or not.

    Attributes:
        source: the peer's name, or which of our own sources it is.
        origin: the source in words, ``eBGP AS 65002``.
        address: of the peer; empty for our own.
        path_ids: under which the peer told it (RFC 7911).
        accepted: it takes part in the decision.
        is_best: it is used.
        received: its attributes in words, as they came.
        used: the same after import policy, where that changed them.
        judged: what let it in or kept it out.
        notes: what else was done to it.
        chosen: why it won or lost; None where it was not let in.
        next_hop: its address; empty for routes without.
        resolved: how the next hop resolves, step by step.
        via: where packets go, in the words of ``ip route``.
        table: of the external network that it is in alone; None for the main one.
    """

    source: str
    origin: str
    address: str
    judged: Judged
    path_ids: tuple[int, ...] = ()
    accepted: bool = False
    is_best: bool = False
    received: tuple[tuple[str, str], ...] = ()
    used: tuple[tuple[str, str], ...] = ()
    notes: tuple[Because, ...] = ()
    chosen: Because | None = None
    next_hop: str = ""
    resolved: tuple[Because, ...] = ()
    via: tuple[str, ...] = ()
    table: int | None = None


@dataclass(frozen=True, slots=True)
class Silent:
    """Somebody who could tell the route and does not."""

    source: str
    because: Because


@dataclass(frozen=True, slots=True)
class Installed:
    """What is in the kernel.

    Attributes:
        table: the kernel's.
        installed: the kernel has a route of ours.
        because: why, or why not.
        policy: what the node's policy says of it; None where it is not asked.
        routes: what really is there, of ours and of others, in the words of ``ip route``.
    """

    table: int
    installed: bool
    because: Because
    policy: Because | None = None
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """Whether one peer hears one path.

    Attributes:
        peer: its name.
        told: it holds the route, or is about to.
        judged: who decides.
        source: whose path it is.
        attributes: as they are sent, in words.
        pending: why it does not hold the route yet.
    """

    peer: str
    told: bool
    judged: Judged
    source: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    pending: Because | None = None


@dataclass(frozen=True, slots=True)
class Around:
    """Routes that cover the prefix, and routes inside it.

    Attributes:
        taken: what packets to the prefix take: the longest match; empty where there is none.
        less_specific: the longest prefix above it that is used; empty where there is none.
        more_specific: some of those inside it.
        count: how many inside were found.
        complete: all of the table was looked at.
        ours: what was asked for is an address of this node, which its packets do not leave.
    """

    taken: str = ""
    less_specific: str = ""
    more_specific: tuple[str, ...] = ()
    count: int = 0
    complete: bool = True
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Why:
    """Why a route is there, or is not.

    Attributes:
        asked: what was asked for, as it was written.
        prefix: the route that the answer is about.
        family: ``ipv4 unicast`` or ``ipv6 unicast``.
        peer: the peer that it is narrowed to; empty for all.
        verdict: in a word.
        summary: in a sentence.
        candidates: paths that were told, the best first, then those that lost, then those that
            were not let in.
        silent: who could tell it and does not.
        kernel: of the table that routes go into, and of external networks that have the prefix.
        told: one entry at least for each peer.
        around: other routes that matter to its packets.
    """

    asked: str
    prefix: str
    family: str
    peer: str
    verdict: Verdict
    summary: str
    candidates: tuple[Candidate, ...]
    silent: tuple[Silent, ...]
    kernel: tuple[Installed, ...]
    told: tuple[Told, ...]
    around: Around

    @property
    def is_used(self) -> bool:
        """Whether there is a path that is used."""
        return self.verdict is Verdict.USED

    def reasons(self) -> tuple[StrEnum, ...]:
        """Give every reason that plays a part, each once."""
        # By identity: members of two enumerations are equal where their words are.
        return tuple({id(reason): reason for reason in _reasons(self)}.values())

    def as_json(self) -> dict[str, Any]:
        """Give the answer as plain data."""
        found: dict[str, Any] = _plain(self)
        return found

    def __str__(self) -> str:
        # Imported here: who reads the values needs no lines.
        from speaker.inquiry.text import lines

        return "\n".join(lines(self))


def _reasons(value: object) -> Iterator[StrEnum]:
    if isinstance(value, Because):
        yield value.reason
    elif isinstance(value, tuple):
        for each in value:
            yield from _reasons(each)
    elif is_dataclass(value):
        for each in fields(value):
            yield from _reasons(getattr(value, each.name))


_PAIRS = frozenset(("received", "used", "attributes"))
"""Fields that hold names with values."""


def _plain(value: Any) -> Any:
    if isinstance(value, Because):
        return {"reason": _camel(value.reason.name.lower(), first=True), "words": value.words}
    if isinstance(value, Enum):
        return _camel(value.name.lower(), first=True)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not is_dataclass(value):
        return value
    found = {}
    for each in fields(value):
        field = getattr(value, each.name)
        found[_camel(each.name)] = dict(field) if each.name in _PAIRS else _plain(field)
    return found


def _camel(name: str, *, first: bool = False) -> str:
    head, *rest = name.split("_")
    return "".join([head.title() if first else head, *map(str.title, rest)])
