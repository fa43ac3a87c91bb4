"""An answer in lines, for a terminal: the answer first, then the chain in sections.

Peers that fare alike stand in one line. Narrowed to one peer, all detail is shown: attributes on
both ways, and of each rule that did not match the condition that does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from policy.calico import KernelReason
from speaker.inquiry.answer import Candidate, Installed, Judged, Told, Why
from speaker.inquiry.reasons import Absence, Choice

_OF_KERNEL = (Absence.PLAIN_MODE, Absence.IGNORED, Absence.LINK_SCOPE)
_SILENT = KernelReason.NOTHING_AGAINST

MISSES = 20
"""Rules that did not match and are named."""

NAMED = 6
"""Peers that are named in one line; of more the number is told."""


def lines(found: Why) -> Iterator[str]:
    """Give the lines of an answer."""
    yield found.summary
    detailed = bool(found.peer)
    if found.candidates:
        yield ""
        yield "candidates"
        tellers = Counter(each.source for each in found.candidates)
        for each in found.candidates:
            named = detailed or tellers[each.source] > 1
            yield from _candidate(each, detailed=detailed, with_ids=named)
    silent = _silent(found)
    if silent:
        yield ""
        yield "not told by"
        yield from (f"  {names}: {words}" for names, words in silent)
    yield ""
    yield "kernel"
    for installed in found.kernel:
        yield from _kernel(installed, several=len(found.kernel) > 1)
    yield from _packets(found)
    yield from _told(found, detailed=detailed)


def _candidate(each: Candidate, *, detailed: bool, with_ids: bool) -> Iterator[str]:
    mark = "*" if each.is_best else "+" if _shares(each) else " " if each.accepted else "-"
    chosen = each.chosen or each.judged.because
    ids = ""
    if with_ids and each.path_ids:
        ids = f", path id {' '.join(map(str, each.path_ids))}"
    yield f"  {mark} {each.source} ({each.origin}){ids}: {chosen}"
    pairs: list[tuple[str, str]] = []
    if each.received:
        pairs.append(("received", attribute_text(each.received)))
    if each.chosen is not None:
        pairs.append(("import" if each.address else "origin", _judgement(each.judged)))
    if detailed:
        pairs += _no_match([each.judged])
    pairs += [("note", str(note)) for note in each.notes]
    if each.used:
        changed = _changes(each.received, each.used)
        pairs.append(("changed", changed))
        if detailed:
            pairs.append(("used", attribute_text(each.used)))
    pairs += [("next hop", str(step)) for step in each.resolved]
    if not each.resolved and each.via:
        pairs.append(("via", ", ".join(each.via)))
    yield from _facts(pairs, "      ")


def _shares(each: Candidate) -> bool:
    return each.chosen is not None and each.chosen.reason is Choice.SHARES


def _judgement(by: Judged) -> str:
    return "; ".join([str(by.because), *by.operations])


def attribute_text(attributes: Iterable[tuple[str, str]]) -> str:
    """Give attributes in one line."""
    return ", ".join(f"{name} {value}" for name, value in attributes)


def _changes(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> str:
    old, new = dict(before), dict(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{n} {old.get(n, 'none')} → {new.get(n, 'none')}" for n in names)


def _silent(found: Why) -> list[tuple[str, str]]:
    """Say who does not tell it; of a route that is used all but the kernel are passed over."""
    shown = [
        each
        for each in found.silent
        if found.peer or not found.is_used or each.because.reason in _OF_KERNEL
    ]
    return _alike((each.source, each.because) for each in shown)


def _alike(pairs: Iterable[tuple[str, object]]) -> list[tuple[str, str]]:
    """Put those together of whom the same is said."""
    groups: dict[str, list[str]] = {}
    for name, words in pairs:
        groups.setdefault(str(words), []).append(name)
    return [(_names(names), words) for words, names in groups.items()]


def _names(names: Sequence[str]) -> str:
    found = list(dict.fromkeys(names))
    if len(found) <= NAMED:
        return ", ".join(found)
    return f"{', '.join(found[: NAMED - 1])} and {len(found) - NAMED + 1} more"


def _kernel(each: Installed, *, several: bool) -> Iterator[str]:
    table = f"table {each.table}: " if several else ""
    words = str(each.because)
    if each.policy is not None and each.policy.reason not in (each.because.reason, _SILENT):
        words += f"; {each.policy}"
    yield f"  {table}{words}"
    for route in each.routes:
        yield f"    {route}"


def _packets(found: Why) -> Iterator[str]:
    around = found.around
    if around.ours:
        yield f"  packets to {found.asked} stay here: it is an address of this node"
    elif around.taken and around.taken != found.prefix:
        yield f"  packets to it take {around.taken}"
    elif not around.taken:
        yield "  packets to it have no route"
    if around.count:
        more = "" if around.complete else " at least"
        named = ", ".join(around.more_specific)
        rest = around.count - len(around.more_specific)
        named += f" and {rest} more" if rest else ""
        yield f"  more specific routes,{more} {around.count}: {named}"


def _told(found: Why, *, detailed: bool) -> Iterator[str]:
    hears = [each for each in found.told if each.told]
    # Of a route that is not used that is all that there is to say, of everybody.
    misses = [each for each in found.told if not each.told and (found.is_used or detailed)]
    if hears:
        yield ""
        yield "announced to"
        for names, words in _alike((each.peer, _telling(each)) for each in hears):
            head, *rest = words.split("\n")
            yield f"  {names}: {head}"
            yield from (f"      {line}" for line in rest)
        if detailed:
            yield from _facts(_no_match(each.judged for each in hears), "      ")
    if misses:
        yield ""
        yield "not announced to"
        alike = _alike((each.peer, each.judged.because) for each in misses)
        yield from (f"  {names}: {words}" for names, words in alike)
        if detailed:
            yield from _facts(_no_match(each.judged for each in misses), "      ")


def _telling(each: Told) -> str:
    words = _judgement(each.judged)
    if each.pending is not None:
        words += f"; {each.pending}"
    return f"{words}\nsent      {attribute_text(each.attributes)}"


def _no_match(judged: Iterable[Judged]) -> list[tuple[str, str]]:
    """Name the rules that did not match, but of very many the last: those before the verdict."""
    misses = [miss for each in judged for miss in each.misses]
    left = len(misses) - MISSES
    said = [("no match", miss) for miss in misses[-MISSES:]]
    return said if left <= 0 else [("no match", f"{left} rules before these"), *said]


def _facts(pairs: Iterable[tuple[str, str]], indent: str) -> Iterator[str]:
    before = ""
    for name, value in pairs:
        shown = "" if name == before else name
        before = name
        yield f"{indent}{shown:8}  {value}"
