"""Secrets as Kubernetes mounts them: a directory for each, and in it a file for each key.

They stand below ``secrets`` in a directory of resources: ``secrets/tor/password`` is the key
``password`` of the Secret ``tor``. The octets of the file are the value, whatever they are.
Kubernetes swaps a mounted Secret by turning the link ``..data``; names that begin with two dots are
its own and no keys. A Secret that is written as a YAML document may stand in ``secrets`` beside
them, as anywhere else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from speaker.config.documents import Document
from speaker.config.problems import Problem
from speaker.config.reading import read_document
from speaker.config.report import Report
from speaker.datastore.files import only_regular

FOLDER = "secrets"

MAX_SECRET = 1024 * 1024
"""Bytes of all keys together, as in Kubernetes."""


def secret_folders(path: Path) -> list[Path]:
    """Give the directories that are Secrets, below a directory of resources."""
    try:
        found = sorted((path / FOLDER).iterdir())
    except OSError:
        return []
    return [folder for folder in found if folder.is_dir() and not folder.name.startswith(".")]


def key_files(folder: Path) -> Iterator[Path]:
    """Give the files of a Secret, by key."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for file in found:
        if not file.name.startswith("..") and not file.is_dir():
            yield file


def read_secret(folder: Path) -> Report:
    """Read a Secret; what is wrong with it is said without its values."""
    report = read_document(secret_document(folder))
    return replace(report, warnings=tuple(_at_its_file(item) for item in report.warnings))


def secret_document(folder: Path) -> Document:
    """Give the document that a Secret of files stands for."""
    data: dict[str, str] = {}
    problems: list[Problem] = []
    room = MAX_SECRET
    for file in key_files(folder):
        try:
            with open(file, "rb", opener=only_regular) as opened:
                value = opened.read(room + 1)
            room -= len(value)
            if room < 0:
                problems.append(_unreadable(folder, f"bigger than {MAX_SECRET} bytes"))
                break
            data[file.name] = b64encode(value).decode()
        except OSError as error:
            problems.append(_unreadable(file, error.strerror or str(error)))
    tree: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": folder.name},
        "data": data,
    }
    return Document(str(folder), 0, tree, {}, problems=tuple(problems))


def _at_its_file(warning: Problem) -> Problem:
    """Name the file of a key in place of the directory."""
    _, _, key = warning.field.partition(".")
    return replace(warning, file=f"{warning.file}/{key}", field="")


def _unreadable(place: Path, why: str) -> Problem:
    return Problem(str(place), 1, 1, "", "unreadable", f"cannot be read: {why}")
