"""Where rules stand in their files, for what is said about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from speaker.config.chains import RuleName, rule_name
from speaker.config.kinds import find_kind
from speaker.config.stored import Key, Stored
from speaker.datastore.edition import look

_PLACE = re.compile(r"(\w+/\S+ \w+\[\d+\])(?: \([^)]*:\d+\))?")
"""The origin of a rule (`speaker.config.filters.rules_of`), with the place of its document."""


class RulePlaces:
    """Finds the lines of rules in a directory of resources, or a file.

    Args:
        resources: that were read there.
    """

    def __init__(self, resources: Mapping[Key, Stored]) -> None:
        self._resources = resources

    @classmethod
    def of(cls, path: Path) -> RulePlaces:
        """Read a directory, or a file."""
        return cls(look(path).resources)

    def place(self, rule: RuleName) -> str:
        """Give ``file:line`` of a rule; empty where it is not known."""
        kind = find_kind(rule.kind)
        stored = None if kind is None else self._resources.get((kind, rule.name))
        if stored is None:
            return ""
        document = stored.document
        return f"{document.file}:{document.at(rule.path)[0]}"

    def written(self, words: str) -> str:
        """Put the line of each rule that a sentence names behind it."""
        return _PLACE.sub(self._with_place, words)

    def _with_place(self, found: re.Match[str]) -> str:
        rule = rule_name(found[1])
        place = "" if rule is None else self.place(rule)
        return f"{found[1]} ({place})" if place else found[0]
