"""Single fields of a document written anew where they stand; the document is otherwise as it was.

Where two versions of a resource differ in a few fields, only those are changed in the text: order,
comments and quotes of all others stay. This is for the block style that people write; what is of
another form (braces, JSON, aliases, merge keys) is not amended, and is replaced as a whole by the
caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import yaml

from speaker.config.documents import Chunk, Extent, Tree, extent_of
from speaker.config.writing import as_yaml


@dataclass(frozen=True, slots=True)
class Cut:
    """Characters of a text that give way to others."""

    extent: Extent
    text: str = ""


class _Unamendable(Exception):  # noqa: N818 - no error: the other way is taken
    """The text is of a form that is not amended."""


def amendments(
    text: str, place: tuple[yaml.Node, Chunk], before: Tree, after: Tree
) -> list[Cut] | None:
    """Give what to cut so that a document says something else.

    Args:
        text: the whole file.
        place: the document's node, and the piece of the file that it is of.
        before: what the document says now, in normal form.
        after: what it is to say, in normal form.

    Returns:
        The cuts, where those of the same place stand in reverse order; None if the text is of
        another form than this can amend.
    """
    node, chunk = place
    try:
        cuts = _Amender(text, chunk).mapping(node, before, after)
    except _Unamendable:
        return None
    extents = sorted(cut.extent for cut in cuts)
    return None if any(one[1] > next_[0] for one, next_ in pairwise(extents)) else cuts


def line_end(text: str, place: int) -> int:
    """Find the end of a line, without its line end."""
    end = text.find("\n", place)
    return len(text) if end < 0 else end - text[:end].endswith("\r")


def indented(text: str, columns: int) -> str:
    """Indent all lines but the first; empty ones stay empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * columns + line if line else line for line in rest)])


class _Amender:
    """Walks a node along two versions of its tree.

    Args:
        text: the whole file.
        chunk: the piece of it that the nodes are of.
    """

    def __init__(self, text: str, chunk: Chunk) -> None:
        self._text = text
        self._chunk = chunk

    def mapping(
        self, node: yaml.Node, before: Mapping[str, Tree], after: Mapping[str, Tree]
    ) -> list[Cut]:
        """Give the cuts for a mapping in block style.

        Raises:
            _Unamendable: it is of another form.
        """
        if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value or not after:
            raise _Unamendable
        cuts: list[Cut] = []
        last = -1
        for key_node, value_node in node.value:
            start, end = self._entry(key_node, value_node)
            key = key_node.value
            if key in before and key not in after:
                cuts.append(self._removal(start, end))
                continue
            last = end
            if before.get(key) != after.get(key):
                cuts += self._change(key_node, value_node, before.get(key), after[key])
        known = {key_node.value for key_node, _ in node.value}
        new = {key: value for key, value in after.items() if key not in known}
        if new and last < 0:
            raise _Unamendable
        if new:
            column = node.value[0][0].start_mark.column
            lines = "\n" + " " * column + indented(as_yaml(new).rstrip("\n"), column)
            place = line_end(self._text, last)
            # First, so that what is put into the last entry at the same place comes before it.
            cuts.insert(0, Cut((place, place), lines))
        return cuts

    def _entry(self, key: yaml.Node, value: yaml.Node) -> Extent:
        """Give where a key and its value stand."""
        is_plain = isinstance(key, yaml.ScalarNode) and not key.tag.endswith("merge")
        # The value of an alias stands elsewhere.
        if not is_plain or value.start_mark.index < key.end_mark.index:
            raise _Unamendable
        start, end = self._extent(key)[0], self._extent(value)[1]
        return start, max(end, self._extent(key)[1])

    def _extent(self, node: yaml.Node) -> Extent:
        return extent_of(node, self._chunk.text, self._chunk.start)

    def _removal(self, start: int, end: int) -> Cut:
        line = self._text.rfind("\n", 0, start) + 1
        if self._text[line:start].strip():
            raise _Unamendable
        return Cut((line, self._text.find("\n", end) + 1 or len(self._text)))

    def _change(self, key: yaml.Node, value: yaml.Node, before: Tree, after: Tree) -> list[Cut]:
        """Write another value behind a key."""
        if isinstance(before, dict) and isinstance(after, dict):
            try:
                return self.mapping(value, before, after)
            except _Unamendable:
                pass
        start, end = self._entry(key, value)
        if _is_short(value) and not isinstance(after, dict | list) and "\n" not in str(after):
            short = as_yaml({"": after}).partition(": ")[2].rstrip("\n")
            return [Cut(self._extent(value), short)]
        column = start - self._text.rfind("\n", 0, start) - 1
        entry = as_yaml({key.value: after}).rstrip("\n")
        return [Cut((start, end), indented(entry, column))]


def _is_short(node: yaml.Node) -> bool:
    """Tell whether a value is one word or text on one line."""
    is_one_line = node.start_mark.line == node.end_mark.line
    return isinstance(node, yaml.ScalarNode) and bool(node.value) and is_one_line
