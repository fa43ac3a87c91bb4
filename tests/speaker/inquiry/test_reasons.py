"""No reason without its sentence and its situation."""

from __future__ import annotations

import string
from collections.abc import Iterable
from enum import StrEnum

from policy.decision import Reason
from speaker.inquiry.answer import Because
from speaker.inquiry.reasons import REASONS, Arrival, Choice
from tests.speaker.inquiry import test_calico, test_deciding, test_plain, test_restarting
from tests.speaker.rib import test_resolving

DECIDED = (Choice.ONLY, Choice.SHARES, Choice.KEPT_UNREACHABLE, Reason.BEST, Reason.SAME_PEER)


def names(reasons: Iterable[StrEnum]) -> set[str]:
    """Give members by name: those of two enumerations are equal where their words are."""
    return {f"{type(each).__name__}.{each.name}" for each in reasons}


def test_every_reason_has_a_situation() -> None:
    """Each set is of reasons that tests of its module look for."""
    situations = [
        *test_plain.COVERED,
        *test_calico.COVERED,
        *test_restarting.COVERED,
        *(reason for reason, _, _, _ in test_deciding.STEPS),
        *DECIDED,
        *(found for _, found in test_resolving.CASES.values()),
        *test_resolving.ELSEWHERE,
    ]
    reasons = [each for enumeration in REASONS for each in enumeration]
    assert names(reasons) - names(situations) == set()
    assert len(reasons) >= 100


def test_every_reason_is_a_sentence() -> None:
    for enumeration in REASONS:
        for each in enumeration:
            assert each.value.strip() == each.value
            assert each.value[-1] not in ".;,"


def test_words_are_filled_in() -> None:
    found = Because.of(Arrival.REACHABLE_BY, gateway="10.0.0.1", resource="BGPPeer/x reachableBy")
    assert str(found) == "a static route by way of 10.0.0.1, by BGPPeer/x reachableBy"
    # What is filled in may have braces of its own.
    assert str(Because.of(Arrival.REFUSED, why="AS_PATH {1 2}")) == "refused: AS_PATH {1 2}"


def test_each_field_in_a_sentence_has_a_name() -> None:
    for enumeration in REASONS:
        for each in enumeration:
            names = [name for _, name, _, _ in string.Formatter().parse(each.value) if name == ""]
            assert names == []
