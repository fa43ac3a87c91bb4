"""What an edit changed, and how it is put back."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from speaker.datastore.unconfirmed import STATE_FILE, Unconfirmed, digest, forget
from speaker.errors import ConfigError

BEFORE = {"a.yaml": "a: 1\n", "gone.yaml": "g: 1\n", "same.yaml": "s: ü\r\n"}
AFTER = {"a.yaml": "a: 2\n", "new.yaml": "n: 1\n", "same.yaml": "s: ü\r\n"}


def fill(folder: Path, texts: dict[str, str]) -> None:
    for file in folder.iterdir():
        file.unlink()
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())


def texts(folder: Path) -> dict[str, str]:
    return {file.name: file.read_bytes().decode() for file in sorted(folder.iterdir())}


def files() -> list[dict[str, Any]]:
    return [
        {"name": name, "before": digest(BEFORE.get(name)), "after": digest(AFTER.get(name))}
        for name in sorted(BEFORE | AFTER)
    ]


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    fill(folder, BEFORE)
    return folder


def test_what_was_changed_comes_back_goes_and_is_there_again(etc: Path, tmp_path: Path) -> None:
    (etc / "gone.yaml").chmod(0o600)
    Unconfirmed.of(etc, files(), 60.0, 5.0).save(tmp_path)
    fill(etc, AFTER)
    held = Unconfirmed.load(tmp_path)
    assert held is not None
    assert (held.deadline, held.within) == (60.0, 5.0)
    assert held.put_back(etc) == []
    assert texts(etc) == BEFORE
    assert stat.S_IMODE((etc / "gone.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / STATE_FILE).stat().st_mode) == 0o600
    assert held.put_back(etc) == []
    forget(tmp_path)
    assert Unconfirmed.load(tmp_path) is None


def test_an_edit_that_was_never_made_or_made_in_part_is_put_back_too(etc: Path) -> None:
    held = Unconfirmed.of(etc, files(), 0.0, 1.0)
    assert held.put_back(etc) == []
    assert texts(etc) == BEFORE
    fill(etc, {**BEFORE, "a.yaml": AFTER["a.yaml"]})
    assert held.put_back(etc) == []
    assert texts(etc) == BEFORE


def test_what_was_edited_since_is_left_and_named(etc: Path) -> None:
    held = Unconfirmed.of(etc, files(), 0.0, 1.0)
    since = {"a.yaml": "a: 3\n", "new.yaml": "n: 2\n", "gone.yaml": "g: 2\n"}
    fill(etc, {**AFTER, **since})
    assert held.put_back(etc) == ["a.yaml", "gone.yaml", "new.yaml"]
    assert texts(etc) == {**since, "same.yaml": BEFORE["same.yaml"]}
    fill(etc, {})
    assert held.put_back(etc) == ["a.yaml", "same.yaml"]


@pytest.mark.parametrize(
    ("name", "before", "why"),
    [
        ("../run/x", "", "no file of the datastore"),
        ("/etc/passwd", "", "no file of the datastore"),
        ("a.yaml", digest("a: 9\n"), "holds something else"),
        ("new.yaml", digest("n: 1\n"), "holds something else"),
    ],
)
def test_what_is_not_as_it_was_thought_to_be_is_refused(
    etc: Path, name: str, before: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        Unconfirmed.of(etc, [{"name": name, "before": before, "after": ""}], 0.0, 1.0)


@pytest.mark.parametrize(
    "text", ["", "[]", json.dumps({"files": [{}], "deadline": 1, "within": 1})]
)
def test_a_state_that_makes_no_sense_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    with pytest.raises(ConfigError, match=STATE_FILE):
        Unconfirmed.load(tmp_path)
