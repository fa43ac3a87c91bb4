"""Single documents of a text put in, replaced and taken out; all else stays to the character.

A file of resources belongs to whoever wrote it: comments, order, quotes and blanks around the
document that changes are left alone, also where it is an item of a List, and inside it what does
not change (`speaker.config.amendments`) where it is in block style. What goes with a
document that is taken out are the comments directly above it; comments set apart by an empty line
stay.

The result is read again before it is given out. Where that does not give exactly the documents
that were meant (an anchor was taken away that another document refers to, say), the edit is
refused, and somebody has to make it by hand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from speaker.config.amendments import Cut, amendments, indented, line_end
from speaker.config.documents import Document, Extent, Nodes, Tree, parse_documents, separators
from speaker.config.kinds import find_kind
from speaker.config.problems import FieldPath, Problem
from speaker.config.stored import normal, stored
from speaker.config.writing import as_json, as_yaml
from speaker.errors import ConfigError


def splice(
    text: str, file: str, edits: Mapping[int, Tree | None], added: Sequence[str] = ()
) -> str | None:
    """Edit the documents of a text.

    Args:
        text: of the whole file.
        file: its name, for errors.
        edits: number of the document → what takes its place; None takes it out.
        added: texts of documents to put at the end.

    Returns:
        The new text, or None if nothing is left in it.

    Raises:
        ConfigError: the text is of a form that cannot be edited.
    """
    found = parse_documents(text, file)
    kept = [
        (number, item) for number, item in enumerate(found) if edits.get(number, item) is not None
    ]
    wanted = [_content(edits.get(number) or item) for number, item in kept]
    wanted += [_content(item) for each in added for item in parse_documents(each, file)]
    for amend in (True, False):
        new = _spliced(text, _cuts(text, found, edits, amend=amend), added)
        if [_content(item) for item in parse_documents(new, file)] == wanted:
            return new if wanted else None
    raise ConfigError(
        f"{file} cannot be edited without touching other documents (anchors, perhaps)",
        "edit the file by hand, or give the document a file of its own",
    )


def _spliced(text: str, cuts: list[Cut], added: Sequence[str]) -> str:
    """Make the cuts, and put documents at the end."""
    newline = "\r\n" if "\r\n" in text else "\n"
    for cut in sorted(cuts, key=lambda cut: cut.extent, reverse=True):
        start, end = cut.extent
        text = text[:start] + cut.text.replace("\n", newline) + text[end:]
    for document in added:
        lines = document.replace("\r\n", "\n").replace("\n", newline)
        text = _appended(text, lines, newline) if text.strip() else text + lines
    return text


def _cuts(
    text: str,
    found: Sequence[Document | Problem],
    edits: Mapping[int, Tree | None],
    *,
    amend: bool,
) -> list[Cut]:
    """Give what is cut for all edits; fields alone where that is wanted and can be done."""
    cuts: list[Cut] = []
    gone: list[Document] = []
    nodes = Nodes(text)
    for number, tree in edits.items():
        document = found[number]
        assert isinstance(document, Document)
        if tree is None:
            gone.append(document)
            continue
        known = stored(document) if amend else None
        fields = None
        # Of a document of Calico 2.x the fields stand elsewhere.
        if known is not None and known.document.renamed is None:
            fields = amendments(text, nodes.of(document), known.tree, tree)
        whole = _in_place(text, document.extents[document.root], tree)
        cuts += [whole] if fields is None else fields
    return cuts + _Removal(text).cuts(gone)


def _content(item: Document | Problem | Tree) -> object:
    """Give what must not change by itself: what resources say, and what is wrong with pieces."""
    if isinstance(item, Problem):
        return ("problem", item.rule, item.field)
    tree = item.tree if isinstance(item, Document) else item
    kind = find_kind(str(tree.get("kind"))) if isinstance(tree, dict) else None
    return tree if kind is None else normal(kind, tree)


def _in_place(text: str, extent: Extent, tree: Tree) -> Cut:
    """Write a tree so that it fits where another one stands: its style and its indentation."""
    start, end = extent
    line = text.rfind("\n", 0, start) + 1
    if text[start] not in "{[":
        # What stands behind the last word of the old document is about it.
        return Cut((start, line_end(text, end)), indented(as_yaml(tree).rstrip(), start - line))
    if "\n" not in text[start:end]:
        return Cut(extent, as_json(tree, indent=None))
    indentation = len(text[line:start]) - len(text[line:start].lstrip(" "))
    return Cut(extent, indented(as_json(tree), indentation))


def _appended(text: str, document: str, newline: str) -> str:
    return text + ("" if text.endswith("\n") else newline) + f"---{newline}" + document


class _Removal:
    """Finds what has to go for some documents to be gone.

    Args:
        text: the whole file.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._separators = separators(text)

    def cuts(self, gone: list[Document]) -> list[Cut]:
        """Give what to cut for these documents."""
        found: list[Cut] = []
        chunks: dict[int, set[FieldPath]] = {}
        extents: dict[int, Mapping[FieldPath, Extent]] = {}
        for document in gone:
            key = document.extents[()][0]
            chunks.setdefault(key, set()).add(document.root)
            extents[key] = document.extents
        for key, roots in chunks.items():
            found += self._of_chunk(extents[key], roots)
        return found

    def _of_chunk(self, extents: Mapping[FieldPath, Extent], roots: set[FieldPath]) -> list[Cut]:
        """Cut items out of the Lists of one YAML document; a List that gets empty goes whole."""
        lists: dict[FieldPath, list[FieldPath]] = {}
        for path in extents:
            if path and isinstance(path[-1], int):
                lists.setdefault(path[:-1], []).append(path)
        for holder in sorted(lists, key=len, reverse=True):
            if set(lists[holder]) <= roots:
                roots = roots - set(lists[holder]) | {_owner(holder)}
        if () in roots:
            return [Cut(self._whole(extents[()]))]
        cuts: list[Cut] = []
        for items in lists.values():
            going = [number for number, path in enumerate(items) if path in roots]
            if going:
                places = [extents[path] for path in items]
                cuts += self._items(places, going)
        return cuts

    def _items(self, places: list[Extent], going: list[int]) -> list[Cut]:
        """Cut some of the items of a list; some others stay."""
        last_kept = max(set(range(len(places))) - set(going))
        between = self._text[places[0][1] : places[1][0]]
        if "," not in between.partition("#")[0]:
            return [
                Cut(self._lines(self._dash(places[number][0]), places[number][1]))
                for number in going
            ]
        cuts = [
            Cut((places[number][0], places[number + 1][0]))
            for number in going
            if number < last_kept
        ]
        if last_kept + 1 < len(places):
            cuts.append(Cut((places[last_kept][1], places[-1][1])))
        return cuts

    def _dash(self, start: int) -> int:
        """Find the dash of a list's item."""
        while start > 0:
            start -= 1
            if self._text[start] == "-" and not self._line_of(start).lstrip().startswith("#"):
                break
        return start

    def _line_of(self, place: int) -> str:
        return self._text[self._text.rfind("\n", 0, place) + 1 : place + 1]

    def _lines(self, start: int, end: int) -> Extent:
        """Give the whole lines from one place to another."""
        after = self._text.find("\n", end)
        return self._text.rfind("\n", 0, start) + 1, after + 1 or len(self._text)

    def _whole(self, extent: Extent) -> Extent:
        """Give a whole YAML document, with its ``---`` and the comments directly above it."""
        start, end = extent
        begin = self._separators[bisect_right(self._separators, start) - 1]
        above = self._text[begin:start]
        apart = max(above.rfind("\n\n"), above.rfind("\n\r\n"))
        head = begin + (apart + 1 if apart >= 0 and "#" in above[:apart] else 0)
        return head, self._lines(start, end)[1]


def _owner(items: FieldPath) -> FieldPath:
    """Give the document that a list of items belongs to: a List, or the list itself."""
    return items[:-1] if items and items[-1] == "items" else items
