"""What fields of a Secret and a CalicoNodeStatus demand of each other.

See `speaker.config.rules`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.problems import Violation
from speaker.config.trees import list_at, map_at, spec_of


def repeated_classes(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: the classes of a CalicoNodeStatus are a set, and there is one at least."""
    path = ("spec", "classes")
    classes = spec_of(tree).get("classes")
    if classes == []:
        yield Violation(path, "size", "must have at least 1 of Agent, BGP, Routes")
    seen: list[Any] = []
    for number, word in enumerate(list_at(spec_of(tree), "classes")):
        if word in seen:
            yield Violation((*path, number), "duplicate", f"{word!r} is there twice")
        seen.append(word)


def secret_keys(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Kubernetes: the keys of a Secret are letters, digits, ``-``, ``_`` and ``.``."""
    for field in ("data", "stringData"):
        for key in map_at(tree, field):
            if not _KEY.match(key):
                message = "a key has at most 253 letters, digits, '-', '_' and '.'"
                yield Violation((field, key), "secret-key", message)


_KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}\Z")


def trailing_newline(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a line end at the end of a password is nearly always an accident."""
    values = [
        *((("stringData", key), value) for key, value in map_at(tree, "stringData").items()),
        *((("data", key), _decoded(value)) for key, value in map_at(tree, "data").items()),
    ]
    for path, value in values:
        if isinstance(value, str) and value.endswith("\n"):
            yield Violation(path, "newline", "ends with a line end; as a password it is used so")


def _decoded(value: object) -> str:
    try:
        return base64.b64decode(str(value), validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
