"""Text of a file, cut into documents that still know where each of their fields stood.

YAML (and JSON, which is read as YAML) is composed into nodes rather than loaded into objects,
because a node remembers line and column and whether a scalar was quoted. From the nodes come
plain trees of dict, list and scalar, and beside them the position of every field. A file is first
cut at its ``---`` lines, so that a syntax error costs one document and not the file. Lists
(``kind: List``, ``BGPPeerList``, or a bare YAML sequence) are unpacked; each item is a document.

Scalars follow the YAML 1.1 that Calico's own tools speak: ``yes`` is a boolean. Two traps are
defused here: a float keeps its text (`YamlFloat`), so that ``asNumber: 1.10`` can be refused
instead of becoming AS 1, and ``65000:10`` stays text instead of becoming a number of base sixty.

Nothing here may be made to work for long by a hostile file: aliases unfold to a bounded number of
nodes, nesting has a limit, and a node that contains itself is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import yaml

from speaker.config.problems import FieldPath, Problem, Violation, show_path

Tree: TypeAlias = Any
"""dict, list, str, int, bool, `YamlFloat` or None."""

Position: TypeAlias = tuple[int, int]

MAX_UNFOLDED = 10_000
"""Nodes that aliases of one document may add."""

MAX_DEPTH = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_ONLY_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n|[ \t]*#[^\n]*$|%[^\n]*\n?|[ \t]*$)*\Z")
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*\Z")
_TAG = "tag:yaml.org,2002:"


class YamlFloat(float):
    """A number with a point, with the text it was written as."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> YamlFloat:
        self = super().__new__(cls, _float(text))
        self.text = text
        return self


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as written: its tree and the place of each field.

    Attributes:
        index: number of the document in its file, counted after Lists are unpacked.
        root: where in the YAML document this one begins (items of a List).
        renamed: for trees that were converted: path here → path in the file.
    """

    file: str
    index: int
    tree: Tree
    positions: Mapping[FieldPath, Position]
    root: FieldPath = ()
    renamed: Mapping[FieldPath, FieldPath] | None = None

    def at(self, path: FieldPath) -> Position:
        """Give line and column of a field, or of the nearest thing around it."""
        path = self._as_written(path)
        for length in range(len(path), -1, -1):
            found = self.positions.get(self.root + path[:length])
            if found is not None:
                return found
        return (1, 1)

    def problem(self, violation: Violation) -> Problem:
        """Add the place to a violation."""
        line, column = self.at(violation.path)
        field = show_path(self._as_written(violation.path))
        return Problem(self.file, line, column, field, violation.rule, violation.message)

    def _as_written(self, path: FieldPath) -> FieldPath:
        return (self.renamed or {}).get(path, path)


def parse_documents(text: str, file: str) -> list[Document | Problem]:
    """Cut a file into its documents; what is no document becomes a problem in its place."""
    found: list[Document | Problem] = []
    for first_line, chunk in _chunks(text):
        for item in _documents(chunk, first_line, file):
            if isinstance(item, Document):
                item = Document(file, len(found), item.tree, item.positions, item.root)
            found.append(item)
    return found


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Cut at ``---`` lines: (lines before the chunk, chunk), without those that are empty."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text)), len(text)]
    line = 0
    for start, end in pairwise(starts):
        chunk = text[start:end]
        if not _ONLY_COMMENTS.match(chunk.removeprefix("---")):
            yield line, chunk
        line += chunk.count("\n")


def _documents(chunk: str, first_line: int, file: str) -> Iterator[Document | Problem]:
    try:
        for node in yaml.compose_all(chunk, Loader=_LOADER):
            builder = _Builder(file, first_line)
            tree = builder.build(node, (), 0)
            if builder.problem is not None:
                yield builder.problem
            elif tree is not None:
                yield from _unpack(Document(file, 0, tree, builder.positions))
    except yaml.MarkedYAMLError as error:
        yield _syntax_problem(error, file, first_line)
    except (yaml.YAMLError, UnicodeError) as error:
        message = str(error).partition("\n")[0]
        yield Problem(file, first_line + 1, 1, "", "yaml", f"not readable as YAML: {message}")


def _syntax_problem(error: yaml.MarkedYAMLError, file: str, first_line: int) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (first_line + mark.line + 1, mark.column + 1) if mark else (first_line + 1, 1)
    words = " ".join(filter(None, (error.context, error.problem)))
    return Problem(file, line, column, "", "yaml", f"not readable as YAML: {words}")


def _unpack(document: Document) -> Iterator[Document]:
    """Give the items of a List, else the document itself."""
    tree = document.tree
    if isinstance(tree, list):
        yield from _items(document, tree, (), None)
        return
    kind = tree.get("kind") if isinstance(tree, dict) else None
    if isinstance(kind, str) and kind.endswith("List") and isinstance(tree.get("items"), list):
        yield from _items(document, tree["items"], ("items",), kind.removesuffix("List") or None)
    else:
        yield document


def _items(
    document: Document, items: list[Tree], under: FieldPath, kind: str | None
) -> Iterator[Document]:
    for number, item in enumerate(items):
        if kind and isinstance(item, dict):
            # Items of a typed list may leave out what the list already says.
            item = {"apiVersion": document.tree.get("apiVersion"), "kind": kind, **item}
        root = (*document.root, *under, number)
        yield from _unpack(Document(document.file, 0, item, document.positions, root))


class _Builder:
    """Turns the nodes of one YAML document into a tree and a table of positions."""

    def __init__(self, file: str, first_line: int) -> None:
        self.file = file
        self.first_line = first_line
        self.positions: dict[FieldPath, Position] = {}
        self.problem: Problem | None = None
        self._seen: set[int] = set()
        self._unfolded = 0

    def build(self, node: yaml.Node, path: FieldPath, depth: int) -> Tree:
        self.positions.setdefault(path, self._position(node))
        if not self._is_bounded(node, path, depth):
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, (*path, number), depth + 1)
                for number, item in enumerate(node.value)
            ]
        return _scalar(node)

    def _position(self, node: yaml.Node) -> Position:
        return self.first_line + node.start_mark.line + 1, node.start_mark.column + 1

    def _is_bounded(self, node: yaml.Node, path: FieldPath, depth: int) -> bool:
        if self.problem is not None:
            return False
        if id(node) in self._seen:
            self._unfolded += 1
        self._seen.add(id(node))
        if self._unfolded > MAX_UNFOLDED:
            self._refuse(node, path, "aliases", "its aliases unfold to too many nodes")
        elif depth > MAX_DEPTH:
            self._refuse(node, path, "nesting", f"nested deeper than {MAX_DEPTH} levels")
        return self.problem is None

    def _refuse(self, node: yaml.Node, path: FieldPath, rule: str, message: str) -> None:
        line, column = self._position(node)
        shown = show_path(path[:4])
        self.problem = self.problem or Problem(self.file, line, column, shown, rule, message)

    def _mapping(self, node: yaml.MappingNode, path: FieldPath, depth: int) -> dict[str, Tree]:
        tree: dict[str, Tree] = {}
        merged: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                self._merge(merged, value_node, path, depth)
                continue
            key = _key(key_node)
            if key is None:
                self._refuse(key_node, path, "key", "a key must be plain text")
                return {}
            if key in tree:
                self._refuse(key_node, (*path, key), "duplicate-key", f"{key} is given twice")
                return {}
            self.positions[*path, key] = self._position(key_node)
            tree[key] = self.build(value_node, (*path, key), depth + 1)
        return merged | tree

    def _merge(self, merged: dict[str, Tree], node: yaml.Node, path: FieldPath, depth: int) -> None:
        """Take over the fields of a ``<<`` key; the earlier of several mappings wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._refuse(node, path, "key", "<< takes a mapping")
                return
            if not self._is_bounded(source, path, depth + 1):
                return
            for key, value in self._mapping(source, path, depth + 1).items():
                merged.setdefault(key, value)


def _key(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        return None
    value = _scalar(node)
    return ("true" if value else "false") if isinstance(value, bool) else str(node.value)


def _scalar(node: yaml.Node) -> Tree:
    text: str = node.value
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "int":
            return _integer(text)
        case "float":
            return text if ":" in text else YamlFloat(text)
        case _:
            return text


def _integer(text: str) -> int | str:
    """Read a YAML integer; a number of base sixty is text, for it is somebody's ``65000:10``."""
    if ":" in text:
        return text
    plain = text.replace("_", "")
    try:
        if _DECIMAL.match(text) and plain.lstrip("+-").startswith("0"):
            return int(plain, 8)
        return int(plain, 0)
    except ValueError:
        return text


def _float(text: str) -> float:
    plain = text.replace("_", "").lower()
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
