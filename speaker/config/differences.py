"""What an edit changes in the resources: which come and go, and which fields of the others differ.

`differences` compares two sets of resources and names fields as documents do, ``spec.asNumber``,
with both values where they are short. Values of a Secret are never among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from speaker.config.kinds import Kind
from speaker.config.models import Resource
from speaker.config.store import Resources

Fate: TypeAlias = Literal["created", "changed", "deleted"]

LONGEST_VALUE = 48
"""Characters of a value that is shown."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one resource.

    Attributes:
        fields: of one that changes: where, and what from and to if that is short.
    """

    kind: Kind
    name: str
    fate: Fate
    fields: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say it in one line."""
        if self.fate == "changed":
            return f"{self.kind}/{self.name}: {', '.join(self.fields)}"
        return f"{self.kind}/{self.name}: {self.fate}"

    def as_json(self) -> dict[str, Any]:
        """Give the object for programs."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "fate": self.fate,
            "fields": list(self.fields),
        }


def differences(old: Resources, new: Resources) -> list[Difference]:
    """Give what becomes of each resource that is not the same in both, by kind and name."""
    found: list[Difference] = []
    new_kinds = new.by_kind()
    for kind, before in old.by_kind().items():
        after = new_kinds[kind]
        if before == after:
            continue
        for name in sorted(before.keys() | after.keys()):
            difference = _difference(kind, name, before.get(name), after.get(name))
            if difference is not None:
                found.append(difference)
    return found


def _difference(
    kind: Kind, name: str, before: Resource | None, after: Resource | None
) -> Difference | None:
    if before == after:
        return None
    if before is None or after is None:
        return Difference(kind, name, "created" if before is None else "deleted")
    fields = _fields(before, after, "", hides=kind is Kind.SECRET)
    return Difference(kind, name, "changed", tuple(fields))


def _fields(before: Any, after: Any, path: str, *, hides: bool) -> Iterator[str]:
    """Name what differs between two values of one field, as deep down as it can be named."""
    if before == after:
        return
    if isinstance(before, BaseModel | None) and isinstance(after, BaseModel | None):
        model = type(after) if before is None else type(before)
        fields = model.model_fields if issubclass(model, BaseModel) else {}
        for name, field in fields.items():
            under = f"{path}.{field.alias or name}".removeprefix(".")
            yield from _fields(
                getattr(before, name, None), getattr(after, name, None), under, hides=hides
            )
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from _fields(before.get(key), after.get(key), f"{path}.{key}", hides=hides)
        return
    values = "" if hides else _values(before, after)
    yield f"{path}{values}"


def _values(before: Any, after: Any) -> str:
    """Show both values, if they are of a kind that is short in words."""
    if any(isinstance(value, list | tuple | Mapping | BaseModel) for value in (before, after)):
        return ""
    texts = [_text(value) for value in (before, after)]
    return "" if max(map(len, texts)) > LONGEST_VALUE else f" {texts[0]} → {texts[1]}"


def _text(value: Any) -> str:
    if value is None:
        return "unset"
    if value == "":
        return '""'
    if isinstance(value, float):
        return f"{value:g} s"  # durations are all that has fractions
    return str(value).lower() if isinstance(value, bool) else str(value)
