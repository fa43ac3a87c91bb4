"""A resource as it is kept: its kind and name, and its document in v3's form.

Documents are looked at here without being judged: also one that is not valid has a name under
which it can be shown, replaced and deleted. `normal` gives the form in which resources are kept
and shown: v3, AS numbers as plain numbers, label values as text, as Calico's tools do it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from speaker.config import legacy
from speaker.config.documents import Document, Tree, parse_documents
from speaker.config.kinds import Kind, find_kind, versions_of
from speaker.config.scalars import ScalarError, as_text, parse_asn
from speaker.config.trees import name_of
from speaker.config.writing import as_json

Key: TypeAlias = tuple[Kind, str]

_AS_NUMBERS = frozenset({"asNumber", "localASNumber"})
_AS_LISTS = frozenset({"asPathPrefix", "prefix"})
_TEXT_MAPS = frozenset({"labels", "annotations", "extensions"})


@dataclass(frozen=True, slots=True)
class Stored:
    """A document under its name.

    Attributes:
        document: with its tree in normal form, and the places of what was written.
        source: how somebody wrote it, with the comments above it and in it; empty where that is
            not known, or is no block style.
    """

    kind: Kind
    name: str
    document: Document
    source: str = field(default="", compare=False)

    @property
    def tree(self) -> Tree:
        """The document's tree."""
        return self.document.tree

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.kind, self.name

    @property
    def version(self) -> str:
        """A number that is another one after each change: its ``resourceVersion``."""
        digest = hashlib.sha256(as_json(without_version(self.tree), sort=True).encode()).digest()
        return str(int.from_bytes(digest[:6], "big"))

    def __str__(self) -> str:
        return f"{self.kind}({self.name})"


def stored(document: Document) -> Stored | None:
    """Find out which resource a document is; None if it names none that is known."""
    tree = document.tree
    word = tree.get("kind") if isinstance(tree, dict) else None
    kind = find_kind(word) if isinstance(word, str) else None
    if kind is None:
        return None
    if legacy.is_legacy(document, kind):
        document = legacy.convert(document, kind)
    name = name_of(document.tree)
    if not name:
        return None
    return Stored(kind, name, replace(document, tree=normal(kind, document.tree)))


def source_of(document: Document, text: str) -> str:
    """Cut a document out of the text that it stands in, with the comments directly above it.

    Empty for items of Lists, for what is in braces or indented as a whole, and for what cannot be
    read without the rest.
    """
    start, end = document.extents.get((), (0, 0))
    is_block = text[start:end][:1] not in ("", "{", "[")
    if document.root or not is_block or text[start - 1 : start] not in ("", "\n"):
        return ""
    above = text[:start].splitlines(keepends=True)
    while above and above[-1].startswith("#"):
        start -= len(above.pop())
    source = text[start:end] + "\n"
    match parse_documents(source, document.file):
        case [Document(tree=tree)] if tree == document.tree:
            return source
        case _:
            return ""


def normal(kind: Kind, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give a v3 document in the form in which it is kept; what makes no sense stays as it is."""
    found = {"apiVersion": versions_of(kind)[0], "kind": kind.value}
    found |= {
        key: _normal(key, value)
        for key, value in tree.items()
        if key not in found and value is not None
    }
    return found


def _normal(key: str, value: Tree) -> Tree:
    try:
        if key in _AS_NUMBERS:
            return parse_asn(value)
        if key in _AS_LISTS and isinstance(value, list):
            return [parse_asn(item) for item in value]
        if key in _TEXT_MAPS and isinstance(value, dict):
            return {name: as_text(item) for name, item in value.items()}
    except ScalarError:
        return value
    if isinstance(value, dict):
        return {name: _normal(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_normal("", item) for item in value]
    return value


def without_version(tree: Tree) -> Tree:
    """Give a tree without its ``resourceVersion``, which is computed and never kept."""
    if not isinstance(tree.get("metadata"), dict):
        return tree
    kept = {key: item for key, item in tree["metadata"].items() if key != "resourceVersion"}
    return {**tree, "metadata": kept}
