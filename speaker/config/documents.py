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
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeAlias

import yaml

from speaker.config.problems import FieldPath, Problem, Violation, did_you_mean, show_path

Tree: TypeAlias = Any
"""dict, list, str, int, bool, `YamlFloat` or None."""

Position: TypeAlias = tuple[int, int]

Extent: TypeAlias = tuple[int, int]
"""Where in a text something begins and ends, in characters; comments after it do not count."""

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

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as written: its tree and the place of each field.

    Attributes:
        index: number of the document in its file, counted after Lists are unpacked.
        root: where in the YAML document this one begins (items of a List).
        renamed: for trees that were converted: path here → path in the file.
        extents: where in the text the whole YAML document, its Lists and their items stand.
        problems: what is wrong with its text and costs no more than one field.
    """

    file: str
    index: int
    tree: Tree
    positions: Mapping[FieldPath, Position]
    root: FieldPath = ()
    renamed: Mapping[FieldPath, FieldPath] | None = None
    extents: Mapping[FieldPath, Extent] = field(default_factory=dict, compare=False)
    problems: tuple[Problem, ...] = ()

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
    for chunk in chunks(text):
        for item in _documents(chunk, file):
            found.append(replace(item, index=len(found)) if isinstance(item, Document) else item)
    return found


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file, from one ``---`` to the next.

    Attributes:
        start: characters before it.
        line: lines before it.
    """

    start: int
    line: int
    text: str


def separators(text: str) -> list[int]:
    """Give where the pieces begin that a file is cut into: its start, and its ``---`` lines."""
    return [0, *(match.start() for match in _SEPARATOR.finditer(text))]


def chunks(text: str) -> Iterator[Chunk]:
    """Cut at ``---`` lines, and leave out what is empty."""
    line = 0
    for start, end in pairwise([*separators(text), len(text)]):
        chunk = Chunk(start, line, text[start:end])
        if not _ONLY_COMMENTS.match(chunk.text.removeprefix("---")):
            yield chunk
        line += chunk.text.count("\n")


def _documents(chunk: Chunk, file: str) -> Iterator[Document | Problem]:
    try:
        for node in yaml.compose_all(chunk.text, Loader=_LOADER):
            builder = _Builder(file, chunk)
            tree = builder.build(node, (), 0)
            if builder.problem is not None:
                yield builder.problem
            elif tree is not None:
                document = Document(file, 0, tree, builder.positions, extents=builder.extents)
                yield from _unpack(document, builder.repeated)
    except yaml.MarkedYAMLError as error:
        yield _syntax_problem(error, file, chunk.line)
    except (yaml.YAMLError, UnicodeError) as error:
        message = str(error).partition("\n")[0]
        yield Problem(file, chunk.line + 1, 1, "", "yaml", f"not readable as YAML: {message}")


def _syntax_problem(error: yaml.MarkedYAMLError, file: str, first_line: int) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (first_line + mark.line + 1, mark.column + 1) if mark else (first_line + 1, 1)
    # A name that is quoted back may be a password that begins with * or &.
    problem = _NAMES.sub(r"\1; quote a text that begins so", error.problem or "")
    words = " ".join(filter(None, (error.context, problem)))
    return Problem(file, line, column, "", "yaml", f"not readable as YAML: {words}")


_NAMES = re.compile(r"((?:alias|anchor)) .*")


def _unpack(
    document: Document, repeated: Mapping[FieldPath, Problem]
) -> Iterator[Document | Problem]:
    """Give the items of a List, else the document itself; each with its keys given twice."""
    tree = document.tree
    kind = tree.get("kind") if isinstance(tree, dict) else None
    if isinstance(tree, list):
        yield from _items(document, tree, (), None, repeated)
    elif isinstance(kind, str) and kind.endswith(_LIST):
        yield from _list_problems(document, repeated)
        items = tree.get("items")
        if isinstance(items, list):
            kind = kind.removesuffix(_LIST) or None
            yield from _items(document, items, ("items",), kind, repeated)
    else:
        own = len(document.root)
        yield replace(
            document,
            problems=tuple(
                replace(problem, field=show_path(path[own:]))
                for path, problem in repeated.items()
                if path[:own] == document.root
            ),
        )


_LIST = "List"
_LIST_FIELDS = ("apiVersion", "kind", "metadata", "items")


def _list_problems(document: Document, repeated: Mapping[FieldPath, Problem]) -> Iterator[Problem]:
    """Find what is wrong with a List itself; one whose items are null is empty, as in Go."""
    tree, own = document.tree, len(document.root) + 1
    if not isinstance(tree.get("items", ""), list | None):
        word = "must be a list" if "items" in tree else "items is required"
        rule = "type" if "items" in tree else "required"
        yield document.problem(Violation(("items",), rule, word))
    for name in tree:
        if name not in _LIST_FIELDS:
            message = f"{name} is no field here{did_you_mean(name, _LIST_FIELDS)}"
            yield document.problem(Violation((name,), "unknown-field", message))
    yield from (found for path, found in repeated.items() if len(path) == own)


def _items(
    document: Document,
    items: list[Tree],
    under: FieldPath,
    kind: str | None,
    repeated: Mapping[FieldPath, Problem],
) -> Iterator[Document | Problem]:
    for number, item in enumerate(items):
        if kind and isinstance(item, dict):
            # Items of a typed list may leave out what the list already says.
            item = {"apiVersion": document.tree.get("apiVersion"), "kind": kind, **item}
        root = (*document.root, *under, number)
        yield from _unpack(replace(document, tree=item, root=root), repeated)


class _Builder:
    """Turns the nodes of one YAML document into a tree and a table of positions.

    A document that must not be looked at any further has a `problem`. A key that is given twice
    costs no more than itself: the first one counts, and `repeated` says so by its path.
    """

    def __init__(self, file: str, chunk: Chunk) -> None:
        self.file = file
        self.chunk = chunk
        self.positions: dict[FieldPath, Position] = {}
        self.extents: dict[FieldPath, Extent] = {}
        self.problem: Problem | None = None
        self.repeated: dict[FieldPath, Problem] = {}
        self._seen: set[int] = set()
        self._unfolded = 0

    def build(self, node: yaml.Node, path: FieldPath, depth: int) -> Tree:
        self.positions.setdefault(path, self._position(node))
        if not self._is_bounded(node, path, depth):
            return None
        if all(step == "items" or isinstance(step, int) for step in path):
            self.extents[path] = extent_of(node, self.chunk.text, self.chunk.start)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, (*path, number), depth + 1)
                for number, item in enumerate(node.value)
            ]
        return _scalar(node)

    def _position(self, node: yaml.Node) -> Position:
        return self.chunk.line + node.start_mark.line + 1, node.start_mark.column + 1

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

    def _repeat(self, node: yaml.Node, path: FieldPath) -> None:
        line, column = self._position(node)
        message = f"{path[-1]} is given twice"
        self.repeated[path] = Problem(
            self.file, line, column, show_path(path), "duplicate-key", message
        )

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
                self._repeat(key_node, (*path, key))
                continue
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


def extent_of(node: yaml.Node, text: str, start: int) -> Extent:
    """Tell where a node stands: it ends with its last word, whatever comes before the next one.

    Args:
        node: of the piece of a file between two ``---``.
        text: of that piece.
        start: characters of the file before the piece.
    """
    end, last = node.end_mark.index, _last_leaf(node).end_mark.index
    while end > last:
        line = text.rfind("\n", 0, end - 1) + 1
        if text[line:end].strip() and not text[line:end].lstrip().startswith("#"):
            break
        end = line
    begin = node.start_mark.index
    end = begin + len(text[begin : max(end, last)].rstrip())
    return start + begin, start + end


class Nodes:
    """The YAML nodes of a text's documents, for who has to write into the text.

    Args:
        text: of a whole file.
    """

    def __init__(self, text: str) -> None:
        self._chunks = list(chunks(text))
        self._roots: dict[int, Any] = {}

    def of(self, document: Document) -> tuple[yaml.Node, Chunk]:
        """Give the node of a document, and the piece of the file that it stands in."""
        place = document.extents[()][0]
        number = bisect_right(self._chunks, place, key=lambda chunk: chunk.start) - 1
        chunk = self._chunks[number]
        if number not in self._roots:
            self._roots[number] = yaml.compose(chunk.text, Loader=_LOADER)
        node = self._roots[number]
        for step in document.root:
            if isinstance(step, int):
                node = node.value[step]
            else:
                node = next(value for key, value in node.value if key.value == step)
        return node, chunk


def _last_leaf(node: yaml.Node) -> yaml.Node:
    """Find the last thing in a node whose end is known for sure.

    An alias stands for a node that begins before the one it is in, or is that one.
    """
    while not getattr(node, "flow_style", True) and node.value:
        last: yaml.Node = node.value[-1]
        if isinstance(node, yaml.MappingNode):
            last = node.value[-1][1]
        if last.start_mark.index <= node.start_mark.index:
            return last
        node = last
    return node


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
