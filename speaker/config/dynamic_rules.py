"""What the keys of a BGPPeer that accepts whoever connects from a range demand of its fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.annotations import TEXT_MAPS
from speaker.config.keys import PREFIX
from speaker.config.problems import FieldPath, Violation
from speaker.config.trees import given_asn, spec_of, text_map

LISTEN_RANGE, AS_RANGE = f"{PREFIX}listenRange", f"{PREFIX}asRange"
_LIMIT, _PASSIVE, _RETRY = f"{PREFIX}maxDynamicPeers", f"{PREFIX}passive", f"{PREFIX}connectRetry"


def place_of(tree: Mapping[str, Any], key: str) -> FieldPath | None:
    """Tell where a key stands that counts; None where it is not given."""
    found = [path for path in TEXT_MAPS if key in text_map(tree, path)]
    return (*found[-1], key) if found else None


def range_excludes_targets(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: who connects from a range is not named otherwise too."""
    place, spec = place_of(tree, LISTEN_RANGE), spec_of(tree)
    for field in ("peerIP", "peerSelector", "localWorkloadSelector"):
        if place and spec.get(field):
            yield Violation(place, "exclusive", f"{LISTEN_RANGE} and {field} cannot both be given")


def range_needs_an_as(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: of who connects from a range the AS has to be known, or a range of them."""
    place, other = place_of(tree, LISTEN_RANGE), place_of(tree, AS_RANGE)
    given = given_asn(spec_of(tree).get("asNumber"))
    if place and not other and given == 0:
        yield Violation(
            place, "required", f"{LISTEN_RANGE} needs an asNumber above 0, or {AS_RANGE}"
        )
    if other and given:
        yield Violation(other, "exclusive", f"{AS_RANGE} and asNumber cannot both be given")


def keys_of_ranges(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: these mean nothing where nobody is accepted from a range."""
    if place_of(tree, LISTEN_RANGE):
        return
    for key in (AS_RANGE, _LIMIT):
        place = place_of(tree, key)
        if place:
            yield Violation(place, "required", f"{key} needs {LISTEN_RANGE}")


def range_is_passive(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a range has nobody who could be dialled."""
    if not place_of(tree, LISTEN_RANGE):
        return
    for path in TEXT_MAPS:
        if text_map(tree, path).get(_PASSIVE, "on").lower() in ("off", "false", "no"):
            yield Violation(
                (*path, _PASSIVE), "exclusive", f"{_PASSIVE} cannot be off with {LISTEN_RANGE}"
            )


def range_is_not_dialled(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: nobody in a range is dialled again."""
    place = place_of(tree, _RETRY)
    if place and place_of(tree, LISTEN_RANGE):
        yield Violation(place, "idle-key", f"{_RETRY} does nothing with {LISTEN_RANGE}")
