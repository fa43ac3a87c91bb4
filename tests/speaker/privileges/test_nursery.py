"""Children that are born elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from speaker.privileges import nursery
from speaker.privileges.nursery import Nursery, spawn


def test_a_child_is_born_in_the_nursery(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[int] = []
    made = Nursery(lambda: prepared.append(1))
    monkeypatch.setattr(nursery, "_open", [made])
    child = spawn([sys.executable, "-I", "-c", "print('born')"], stdout=subprocess.PIPE)
    assert child.communicate()[0] == b"born\n"
    assert (child.returncode, prepared) == (0, [1])


def test_what_cannot_be_started_raises_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nursery, "_open", [Nursery(lambda: None)])
    with pytest.raises(FileNotFoundError):
        spawn(["/no/such/program"])
    # And the nursery goes on.
    assert spawn([sys.executable, "-I", "-c", ""]).wait() == 0


def test_a_nursery_that_cannot_be_prepared_is_none() -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Nursery(fails)


def test_without_one_a_child_is_started_as_ever() -> None:
    child = spawn([sys.executable, "-I", "-c", "print('born')"], stdout=subprocess.PIPE)
    assert child.communicate()[0] == b"born\n"
