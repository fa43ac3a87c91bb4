r"""The language of regular expressions over the AS_PATH: from a text to what it is made of.

Digits, blank and comma stand for themselves, and so do ``( ) [ ] { }`` behind a backslash; ``.`` is
any character, ``\d`` a digit, ``[…]`` one of some and ``[^…]`` one of all others; ``( )`` and
``(?: )`` group, ``|`` separates alternatives, and ``* + ? {m} {m,} {m,n}`` repeat; ``^`` and ``$``
are the ends of the path. ``_`` is the boundary of a number, as with Cisco, FRR and GoBGP: an end of
the path, a blank, a comma, or one of ``( ) [ ] { }``.

What can match no path (a letter, say) is refused, since somebody meant something by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

LONGEST = 256
"""Characters of an expression at most."""

DEEPEST = 16
"""How deep groups may stand in each other."""

DIGITS = frozenset("0123456789")
BOUNDARIES = frozenset(" ,{}()[]")
ALPHABET = DIGITS | BOUNDARIES
"""All characters of which paths are written."""

_SPECIAL = frozenset("(){}[].*+?|^$_\\")


class AsPathRegexError(ValueError):
    """A text that is no expression."""


def parse(pattern: str) -> Node:
    """Read an expression.

    Raises:
        AsPathRegexError: it is none; the message says where and why.
    """
    return _Parser(pattern).parse()


@dataclass(frozen=True, slots=True)
class Repeated:
    """Something so many times."""

    of: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """One behind the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several."""

    ways: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class End:
    """An end of the path."""

    is_start: bool


@dataclass(frozen=True, slots=True)
class Boundary:
    """Either end of the path, or a character that stands between numbers."""


Node: TypeAlias = Repeated | Sequence | Either | End | Boundary | frozenset[str]
_REPEATS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_COUNTS = re.compile(r"\{([0-9]{1,4})(,([0-9]{1,4})?)?\}")


class _Parser:
    """Reads an expression."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        if len(self._text) > LONGEST:
            raise AsPathRegexError(f"it has more than {LONGEST} characters")
        if not self._text:
            raise AsPathRegexError("it is empty; .* matches every path and ^$ an empty one")
        node = self._either()
        if self._at < len(self._text):
            raise self._wrong("a ) without its (")
        return node

    def _wrong(self, words: str) -> AsPathRegexError:
        return AsPathRegexError(f"{words}, at character {self._at + 1}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _either(self) -> Node:
        ways = [self._sequence()]
        while self._take("|"):
            ways.append(self._sequence())
        return ways[0] if len(ways) == 1 else Either(tuple(ways))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return Sequence(tuple(parts))

    def _repeated(self, node: Node) -> Node:
        counts = self._counts()
        if counts is None:
            return node
        if isinstance(node, End):
            self._at -= 1
            raise self._wrong("an end of the path cannot be repeated")
        if self._peek() in ("*", "+", "?", "{"):
            raise self._wrong("a repetition of a repetition; put the first in ( )")
        return Repeated(node, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        if self._peek() in _REPEATS:
            self._at += 1
            return _REPEATS[self._text[self._at - 1]]
        if self._peek() != "{":
            return None
        match = _COUNTS.match(self._text, self._at)
        if match is None:
            raise self._wrong("{ without numbers of repetitions; an AS_SET begins with \\{")
        least = int(match[1])
        most = least if match[2] is None else None if match[3] is None else int(match[3])
        if most is not None and most < least:
            raise self._wrong("repetitions from more to less")
        self._at = match.end()
        return least, most

    def _atom(self) -> Node:
        character = self._peek()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._one_of()
            case "*" | "+" | "?":
                raise self._wrong("nothing to repeat")
            case "{" | "}" | "]":
                raise self._wrong(f"{character} stands for itself as \\{character} only")
        self._at += 1
        match character:
            case "^" | "$":
                return End(is_start=character == "^")
            case "_":
                return Boundary()
            case ".":
                return ALPHABET
            case "\\":
                return self._escaped()
        return frozenset(self._literal(character))

    def _literal(self, character: str) -> str:
        if character not in ALPHABET:
            self._at -= 1
            raise self._wrong(f"no AS path has a {character!r}")
        return character

    def _escaped(self) -> frozenset[str]:
        character = self._peek()
        if character == "d":
            self._at += 1
            return DIGITS
        if character not in _SPECIAL or not character:
            raise self._wrong(f"\\{character} means nothing here")
        self._at += 1
        # What no path has matches nothing.
        return frozenset(character) & ALPHABET

    def _group(self) -> Node:
        opened = self._at
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(f"groups deeper than {DEEPEST}")
        self._at += 1
        if self._peek() == "?" and not self._take("?:"):
            raise self._wrong("of groups that begin with ? there is (?: ) alone")
        node = self._either()
        if not self._take(")"):
            self._at = opened
            raise self._wrong("a ( without its )")
        self._depth -= 1
        return node

    def _one_of(self) -> frozenset[str]:
        opened = self._at
        self._at += 1
        others = self._take("^")
        # A ] that comes first is one of them.
        found = set(self._range())
        while not self._take("]"):
            if not self._peek():
                self._at = opened
                raise self._wrong("a [ without its ]")
            found |= self._range()
        return ALPHABET - found if others else frozenset(found)

    def _range(self) -> frozenset[str]:
        first = self._member()
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return first
        self._at += 1
        last = self._member()
        if not (
            len(first) == len(last) == 1 and first | last <= DIGITS and min(first) <= min(last)
        ):
            raise self._wrong("a range goes from a digit to a higher one")
        return frozenset(each for each in DIGITS if min(first) <= each <= min(last))

    def _member(self) -> frozenset[str]:
        character = self._peek()
        if not character:
            raise self._wrong("a [ without its ]")
        self._at += 1
        return self._escaped() if character == "\\" else frozenset(self._literal(character))
