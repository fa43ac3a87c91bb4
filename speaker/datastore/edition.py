"""Edits of a directory of resources by command: prepared in memory, written in one go.

`editing` reads all files under a lock that other commands respect, and gives an `Edition`: what
is stored under which name, and three verbs for it. Nothing is written before `Edition.write`;
until then `Edition.texts` says what the directory would hold, so that somebody can look at it
first. A resource is changed where it stands, and the rest of its file stays to the character
(`speaker.config.splices`); a new one gets a file of its own. Secrets that are directories of files
(`speaker.datastore.secret_files`) are shown, and left to whoever mounts them.

Files are written as `speaker.datastore.files` does it: who watches the directory sees the old text
or the new one. A file that somebody changed since it was read is left alone, and the edit fails.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from speaker.config.documents import Document, Tree, parse_documents
from speaker.config.kinds import Kind
from speaker.config.problems import Problem
from speaker.config.splices import splice
from speaker.config.stored import Key, Stored, stored
from speaker.config.writing import as_yaml
from speaker.datastore.directory import resource_files
from speaker.datastore.files import (
    LONGEST_NAME,
    OWNERS_ONLY,
    FileChange,
    locked,
    need,
    read_text,
    write_files,
)
from speaker.datastore.secret_files import secret_document, secret_folders
from speaker.errors import ConfigError

BOM = "\ufeff"


def look(path: Path) -> Edition:
    """Read a directory, or a single file, without any mind to edit it.

    Raises:
        ConfigError: there is nothing at that path.
    """
    need(path)
    return Edition(path)


@contextmanager
def editing(path: Path) -> Iterator[Edition]:
    """Read a directory, or a single file, to edit it; other commands wait meanwhile.

    Raises:
        ConfigError: there is nothing at that path, or it cannot be locked.
    """
    with locked(path):
        yield Edition(path)


class Edition:
    """What a directory holds, and what it is to hold.

    Args:
        path: a directory, or one file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._texts = {
            file: text for file in resource_files(path) if (text := read_text(file)) is not None
        }
        self.problems: list[Problem] = []
        """Pieces of files that are no documents, and may hide resources."""
        self._resources: dict[Key, Stored] = {}
        self._places: dict[Key, list[tuple[Path, int]]] = {}
        for file, text in self._texts.items():
            self._index(file, text)
        self._mounted: dict[Key, Path] = {}
        for folder in secret_folders(path):
            self._index_secret(folder)
        self._edits: dict[Path, dict[int, Tree | None]] = {}
        self._added: dict[Path, list[Stored]] = {}

    def _index(self, file: Path, text: str) -> None:
        for number, document in enumerate(parse_documents(text.removeprefix(BOM), str(file))):
            if not isinstance(document, Document):
                self.problems.append(document)
                continue
            found = stored(document)
            if found is not None:
                self._resources.setdefault(found.key, found)
                self._places.setdefault(found.key, []).append((file, number))

    def _index_secret(self, folder: Path) -> None:
        found = stored(secret_document(folder))
        if found is not None and found.key not in self._resources:
            self._resources[found.key] = found
            self._mounted[found.key] = folder

    def refusal(self, key: Key) -> str:
        """Say why a resource cannot be edited here, empty if it can."""
        folder = self._mounted.get(key)
        return "" if folder is None else f"it is the files in {folder}, which are edited themselves"

    @property
    def resources(self) -> Mapping[Key, Stored]:
        """Everything that is stored under a name, edits included, also what is not valid."""
        return self._resources

    def put(self, resource: Stored) -> None:
        """Keep a resource: in its place if there is one of its name, else in a new file."""
        places = self._places.get(resource.key)
        if resource.key in self._resources and places:
            file, number = places[0]
            self._edits.setdefault(file, {})[number] = resource.tree
        elif resource.key in self._resources:
            self._forget_added(resource.key)
            self._add(resource)
        else:
            self._places.pop(resource.key, None)
            self._add(resource)
        self._resources[resource.key] = resource

    def delete(self, key: Key) -> None:
        """Drop a resource wherever it stands: another one of its name must not take over."""
        del self._resources[key]
        self._forget_added(key)
        for file, number in self._places.get(key, ()):
            self._edits.setdefault(file, {})[number] = None

    def _add(self, resource: Stored) -> None:
        file = self.path if self.path.is_file() else self._new_file(resource)
        self._added.setdefault(file, []).append(resource)

    def _forget_added(self, key: Key) -> None:
        for file, added in list(self._added.items()):
            self._added[file] = [item for item in added if item.key != key]
            if not self._added[file]:
                del self._added[file]

    def _new_file(self, resource: Stored) -> Path:
        stem = f"{resource.kind.lower()}-{resource.name}"
        if len(stem) > LONGEST_NAME:
            stem = f"{stem[:LONGEST_NAME]}-{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
        number = 1
        while True:
            file = self.path / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
            if not os.path.lexists(file) and file not in self._added:
                return file
            number += 1

    def changes(self) -> list[FileChange]:
        """Give what is to be done to which file.

        Raises:
            ConfigError: a file is of a form that cannot be edited.
        """
        found = []
        for file in sorted({*self._edits, *self._added}):
            before = self._texts.get(file)
            added = self._added.get(file, [])
            text = "" if before is None else before.removeprefix(BOM)
            after = splice(text, str(file), self._edits.get(file, {}), list(map(_written, added)))
            if after is not None and before is not None and before.startswith(BOM):
                after = BOM + after
            is_secret = before is None and any(item.kind is Kind.SECRET for item in added)
            if after != before:
                mode = OWNERS_ONLY if is_secret else None
                found.append(FileChange(file, before, after, mode))
        return found

    def originals(self) -> list[tuple[str, str]]:
        """Give the files with their texts, as they were read."""
        return _without_marks(self._texts)

    def texts(self) -> list[tuple[str, str]]:
        """Give the files with their texts, as they would be after the edit."""
        changed = {change.path: change.after for change in self.changes()}
        return _without_marks({**self._texts, **changed})

    def write(self) -> list[FileChange]:
        """Make the edit, and say what was done.

        Raises:
            ConfigError: a file cannot be edited or written, or changed meanwhile; then no file
                was touched, unless the disk failed in between.
        """
        changes = self.changes()
        for change in changes:
            if change.before is not None and read_text(change.path) != change.before:
                raise ConfigError(f"{change.path} was changed meanwhile", "try again")
        write_files(changes)
        return changes


def _written(resource: Stored) -> str:
    """Write a new resource, as somebody wrote it if that is known."""
    if not resource.source:
        return as_yaml(resource.tree)
    return splice(resource.source, str(resource), {0: resource.tree}) or ""


def _without_marks(texts: Mapping[Path, str | None]) -> list[tuple[str, str]]:
    return [
        (str(file), text.removeprefix(BOM))
        for file, text in sorted(texts.items())
        if text is not None
    ]
