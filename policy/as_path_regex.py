r"""Regular expressions over the AS_PATH, in the dialect that routers share, in linear time.

What is matched is the path as text (`matched_text`): AS numbers in decimal, one blank between them,
an AS_SET as ``{1,2}``, parts of a confederation as ``(1 2)`` and ``[1,2]``; the path of a route
made here is empty. An expression may match anywhere, unless it is anchored.

What an expression is made of is said by `policy.as_path_syntax`.

Python's own expressions try alternatives one after the other, and some take longer than the
universe lasts; a path comes from outside, and a router cannot wait. So an expression becomes an
automaton here, whose states are worked out as they are met, and a path costs a step for each
character whatever the expression is. A property test has `re` as the referee.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from policy.as_path_syntax import (
    BOUNDARIES,
    AsPathRegexError,
    Boundary,
    Either,
    End,
    Node,
    Repeated,
    Sequence,
    parse,
)
from policy.attributes import PathAttributes, SegmentType

MOST_STATES = 512
"""States that an expression may take; repetitions are written out for it."""

REMEMBERED = 512
"""So many sets of states are remembered before all are forgotten."""

_FORMS = {
    SegmentType.AS_SEQUENCE: ("", " ", ""),
    SegmentType.AS_SET: ("{", ",", "}"),
    SegmentType.AS_CONFED_SEQUENCE: ("(", " ", ")"),
    SegmentType.AS_CONFED_SET: ("[", ",", "]"),
}


def matched_text(attributes: PathAttributes) -> str:
    """Write the AS_PATH as expressions see it."""
    parts = []
    for kind, numbers in attributes.as_path:
        before, between, behind = _FORMS[SegmentType(kind)]
        parts.append(before + between.join(map(str, numbers)) + behind)
    return " ".join(parts)


@dataclass(slots=True)
class _State:
    """A state of the automaton: what leads on from it, by a character or without one."""

    free: list[int] = field(default_factory=list)
    at_start: int | None = None
    at_end: int | None = None
    characters: frozenset[str] = frozenset()
    behind: int = 0


@dataclass(slots=True, eq=False)
class _Stand:
    """All states in which a search may be, with what characters make of it."""

    states: frozenset[int]
    has_matched: bool
    matches_here: bool
    by_character: dict[str, _Stand] = field(default_factory=dict)


_ACCEPTING = 0


class AsPathRegex:
    """An expression, compiled; equal by its text.

    Args:
        pattern: the text.

    Raises:
        AsPathRegexError: it is none; the message says where and why.
    """

    __slots__ = ("_begin", "_known", "_start", "_states", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._states, self._start = _Builder().build(parse(pattern))
        self._known: dict[frozenset[int], _Stand] = {}
        self._begin = self._stand({self._start}, at_start=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsPathRegex) and self.pattern == other.pattern

    def __hash__(self) -> int:
        return hash((AsPathRegex, self.pattern))

    def __repr__(self) -> str:
        return f"AsPathRegex({self.pattern!r})"

    def matches(self, text: str) -> bool:
        """Tell whether the expression matches somewhere in the text of a path."""
        stand = self._begin
        for character in text:
            if stand.has_matched:
                return True
            after = stand.by_character.get(character)
            stand = self._step(stand, character) if after is None else after
        return stand.matches_here

    def _step(self, stand: _Stand, character: str) -> _Stand:
        states = self._states
        seeds = {states[n].behind for n in stand.states if character in states[n].characters}
        # It may begin to match at every character.
        seeds.add(self._start)
        key = frozenset(seeds)
        after = self._known.get(key)
        if after is None:
            if len(self._known) >= REMEMBERED:
                # Stands know each other: they go all at once.
                self._known.clear()
                self._begin.by_character.clear()
            after = self._known[key] = self._stand(key, at_start=False)
        stand.by_character[character] = after
        return after

    def _stand(self, seeds: Iterable[int], *, at_start: bool) -> _Stand:
        states = self._closure(seeds, at_start=at_start, at_end=False)
        ended = self._closure(seeds, at_start=at_start, at_end=True)
        return _Stand(states, _ACCEPTING in states, _ACCEPTING in ended)

    def _closure(self, seeds: Iterable[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """Give the states that can be had without a character."""
        found: set[int] = set()
        waiting = list(seeds)
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            state = self._states[number]
            waiting += state.free
            if at_start and state.at_start is not None:
                waiting.append(state.at_start)
            if at_end and state.at_end is not None:
                waiting.append(state.at_end)
        return frozenset(found)


@lru_cache(maxsize=256)
def as_path_regex(pattern: str) -> AsPathRegex:
    """Compile an expression, each once.

    Raises:
        AsPathRegexError: it is none.
    """
    return AsPathRegex(pattern)


class _Builder:
    """Makes an automaton, from the end of the expression to its start."""

    def __init__(self) -> None:
        self._states: list[_State] = [_State()]

    def build(self, node: Node) -> tuple[list[_State], int]:
        """Give the states, the accepting one first, and the number of the starting one."""
        start = self._build(node, _ACCEPTING)
        return self._states, start

    def _new(self, state: _State) -> int:
        if len(self._states) >= MOST_STATES:
            raise AsPathRegexError("its repetitions make it too large")
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, node: Node, behind: int) -> int:
        """Make the states of a node that leads to one behind it; give where it begins."""
        match node:
            case Repeated():
                return self._build_repeated(node, behind)
            case Sequence(parts):
                for part in reversed(parts):
                    behind = self._build(part, behind)
                return behind
            case Either(ways):
                return self._new(_State(free=[self._build(way, behind) for way in ways]))
            case End(is_start):
                return self._new(_State(at_start=behind) if is_start else _State(at_end=behind))
            case Boundary():
                return self._new(
                    _State(at_start=behind, at_end=behind, characters=BOUNDARIES, behind=behind)
                )
            case characters:
                return self._new(_State(characters=characters, behind=behind))

    def _build_repeated(self, node: Repeated, behind: int) -> int:
        if node.most is None:
            last = loop = self._new(_State(free=[behind]))
            self._states[loop].free.append(self._build(node.of, loop))
        else:
            last = behind
            for _ in range(node.most - node.least):
                last = self._new(_State(free=[self._build(node.of, last), behind]))
        for _ in range(node.least):
            before, last = last, self._build(node.of, last)
            if last == before:
                # Nothing, however often.
                break
        return last
