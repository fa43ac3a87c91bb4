"""Calico's label selectors: ``has(rack) && role in {'a', 'b'}``.

Text becomes tokens with positions, tokens become a tree of frozen nodes, and the tree answers
`Selector.matches` for a mapping of labels. The tree also prints itself in the one canonical form,
which reads back to an equal tree.

Two things surprise: ``!=`` and ``not in`` hold where the label is absent, and operator words
(``in``, ``contains`` …) are operators only directly after a label name, so that labels may be
called that.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha224
from typing import NoReturn, TypeAlias

MAX_DEPTH = 100
"""Nesting of parentheses; a bound for hostile input only."""


class SelectorError(ValueError):
    """A selector that cannot be read.

    Attributes:
        position: where in the text, counted from 0.
        reason: what is wrong, without the position.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"{reason} at character {position + 1}")
        self.position = position
        self.reason = reason


class Operator(StrEnum):
    """What a label is compared with one string by."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"


@dataclass(frozen=True, slots=True)
class All:
    """``all()`` or ``global()``: true for everything."""

    word: str = "all"


@dataclass(frozen=True, slots=True)
class Has:
    """The label is present, be its value empty."""

    label: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A label and a string."""

    label: str
    operator: Operator
    value: str


@dataclass(frozen=True, slots=True)
class InSet:
    """A label and a set of strings, sorted."""

    label: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    operands: tuple[Node, ...]


Node: TypeAlias = All | Has | Compare | InSet | Not | And | Or


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector that was read; equal when their meaning is written alike."""

    root: Node

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether something with these labels is selected."""
        return _holds(self.root, labels)

    def nodes(self) -> Iterator[Node]:
        """Give all nodes of the tree, each before what is below it."""
        pending: list[Node] = [self.root]
        while pending:
            node = pending.pop()
            yield node
            if isinstance(node, Not):
                pending.append(node.operand)
            elif isinstance(node, And | Or):
                pending.extend(reversed(node.operands))

    @property
    def uid(self) -> str:
        """Give Calico's unique id of the canonical text."""
        digest = sha224(f"s:{self}".encode()).digest()
        return "s:" + urlsafe_b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return _show(self.root)


def parse_selector(text: str) -> Selector:
    """Read a selector; the empty one matches everything.

    Raises:
        SelectorError: with the position of the first thing that makes no sense.
    """
    return Selector(_Parser(text).parse())


def _holds(node: Node, labels: Mapping[str, str]) -> bool:
    match node:
        case Compare(label, operator, value):
            return _compare(labels.get(label), operator, value)
        case InSet(label, values, negated):
            return (labels.get(label) in values) != negated
        case Has(label):
            return label in labels
        case Not(operand):
            return not _holds(operand, labels)
        case And(operands):
            return all(_holds(operand, labels) for operand in operands)
        case Or(operands):
            return any(_holds(operand, labels) for operand in operands)
        case _:
            return True


def _compare(found: str | None, operator: Operator, value: str) -> bool:
    if found is None:
        return operator is Operator.NOT_EQUAL
    match operator:
        case Operator.EQUAL:
            return found == value
        case Operator.NOT_EQUAL:
            return found != value
        case Operator.CONTAINS:
            return value in found
        case Operator.STARTS_WITH:
            return found.startswith(value)
        case Operator.ENDS_WITH:
            return found.endswith(value)


def _show(node: Node) -> str:
    match node:
        case All(word):
            return f"{word}()"
        case Has(label):
            return f"has({label})"
        case Compare(label, operator, value):
            return f"{label} {operator} {_quote(value)}"
        case InSet(label, values, negated):
            word = "not in" if negated else "in"
            return f"{label} {word} {{{', '.join(map(_quote, values))}}}"
        case Not(operand):
            return f"!{_show(operand)}"
        case And(operands):
            return f"({' && '.join(map(_show, operands))})"
        case Or(operands):
            return f"({' || '.join(map(_show, operands))})"


def _quote(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


class _Kind(StrEnum):
    PUNCTUATION = "punctuation"
    STRING = "a quoted string"
    LABEL = "a label name"
    HAS = "has(…)"
    ALL = "all()"
    GLOBAL = "global()"
    OPERATOR = "an operator"
    END = "the end"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    position: int


_BLANKS = re.compile(r"[ \t]*")
_PUNCTUATION = re.compile(r"==|!=|&&|\|\||[(){},!]")
_STRING = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_CALL = re.compile(r"(has|all|global)\([ \t]*([A-Za-z0-9_./-]*)[ \t]*\)")
_WORD = re.compile(
    r"(contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)\b(?![./-]|[A-Za-z0-9_])"
)
_MAX_LABEL = 512


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = _BLANKS.match(text).end()  # type: ignore[union-attr]  # it matches nothing too
    while at < len(text):
        after_label = bool(tokens) and tokens[-1].kind is _Kind.LABEL
        token, at = _token(text, at, after_label=after_label)
        tokens.append(token)
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
    tokens.append(_Token(_Kind.END, "", len(text)))
    return tokens


def _token(text: str, at: int, *, after_label: bool) -> tuple[_Token, int]:
    if found := _PUNCTUATION.match(text, at):
        kind = _Kind.OPERATOR if found[0] in ("==", "!=") else _Kind.PUNCTUATION
        return _Token(kind, found[0], at), found.end()
    if text[at] in "'\"":
        if found := _STRING.match(text, at):
            return _Token(_Kind.STRING, found[0][1:-1], at), found.end()
        raise SelectorError(at, "a string is not closed")
    if after_label:
        if found := _WORD.match(text, at):
            word = re.sub(r"[ \t]+", "", found[1])
            return _Token(_Kind.OPERATOR, _SPELLED.get(word, word), at), found.end()
        raise SelectorError(at, "an operator is expected after a label name")
    return _name(text, at)


_SPELLED = {"startswith": "starts with", "endswith": "ends with", "notin": "not in"}


def _name(text: str, at: int) -> tuple[_Token, int]:
    """Read a label name, or one of the words that open a parenthesis."""
    found = _LABEL.match(text, at)
    if not found:
        raise SelectorError(at, f"{text[at]!r} is not expected")
    if found[0] in ("has", "all", "global") and text[found.end() : found.end() + 1] == "(":
        call = _CALL.match(text, at)
        if not call or (call[1] == "has") != bool(call[2]):
            expects = "one label name" if found[0] == "has" else "nothing"
            raise SelectorError(found.end() + 1, f"{found[0]}(…) takes {expects}")
        _check_length(call[2], call.start(2))
        return _Token(_CALLS[call[1]], call[2], at), call.end()
    _check_length(found[0], at)
    return _Token(_Kind.LABEL, found[0], at), found.end()


_CALLS = {"has": _Kind.HAS, "all": _Kind.ALL, "global": _Kind.GLOBAL}


def _check_length(label: str, at: int) -> None:
    if len(label) > _MAX_LABEL:
        raise SelectorError(at, f"a label name has at most {_MAX_LABEL} characters")


class _Parser:
    """Recursive descent over the tokens: ``||`` below ``&&`` below ``!``."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        if self._peek().kind is _Kind.END:
            return All()
        node = self._or()
        if self._peek().kind is not _Kind.END:
            self._refuse("&&, || or the end")
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token.kind is _Kind.PUNCTUATION and token.text == text:
            self._at += 1
            return True
        return False

    def _refuse(self, expected: str) -> NoReturn:
        token = self._peek()
        found = repr(token.text) if token.kind is _Kind.PUNCTUATION else token.kind.value
        raise SelectorError(token.position, f"{expected} expected, found {found}")

    def _or(self) -> Node:
        operands = [self._and()]
        while self._take("||"):
            operands.append(self._and())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _and(self) -> Node:
        operands = [self._unary()]
        while self._take("&&"):
            operands.append(self._unary())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _unary(self) -> Node:
        negated = False
        while self._take("!"):
            negated = not negated
        node = self._operation()
        if not negated:
            return node
        return node.operand if isinstance(node, Not) else Not(node)

    def _operation(self) -> Node:
        token = self._peek()
        if self._take("("):
            return self._group(token)
        match token.kind:
            case _Kind.HAS:
                node: Node = Has(self._next().text)
            case _Kind.ALL:
                self._next()
                node = All()
            case _Kind.GLOBAL:
                self._next()
                node = All("global")
            case _Kind.LABEL:
                node = self._comparison(self._next().text)
            case _:
                self._refuse("a label name, has(), all(), global(), ! or (")
        return node

    def _group(self, opening: _Token) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SelectorError(opening.position, "too many nested parentheses")
        node = self._or()
        if not self._take(")"):
            self._refuse(")")
        self._depth -= 1
        return node

    def _comparison(self, label: str) -> Node:
        token = self._peek()
        if token.kind is not _Kind.OPERATOR:
            self._refuse("an operator")
        self._next()
        if token.text in ("in", "not in"):
            return InSet(label, self._set(), negated=token.text == "not in")
        if self._peek().kind is not _Kind.STRING:
            self._refuse("a quoted string")
        return Compare(label, Operator(token.text), self._next().text)

    def _set(self) -> tuple[str, ...]:
        if not self._take("{"):
            self._refuse("{")
        values: set[str] = set()
        while not self._take("}"):
            if self._peek().kind is not _Kind.STRING:
                self._refuse("a quoted string or }")
            values.add(self._next().text)
            if not self._take(","):
                if not self._take("}"):
                    self._refuse(", or }")
                break
        return tuple(sorted(values))
