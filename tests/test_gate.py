"""The gate: what failed beside others decides when it is alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate import A_FEW, main

ONCE = """
from pathlib import Path

def test_once():
    mark = Path("was_here")
    first = not mark.exists()
    mark.touch()
    assert not first
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run() -> int:
    return main(["--workers", "1", "-q"])


def test_what_fails_only_beside_others_passes(
    elsewhere: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "test_it.py").write_text(ONCE + "\ndef test_good():\n    pass\n")
    assert run() == 0
    said = capfd.readouterr().out
    assert "1 failed beside others; once more, alone:\n  test_it.py::test_once\n" in said


def test_what_fails_twice_fails(elsewhere: Path) -> None:
    (elsewhere / "test_it.py").write_text("def test_bad():\n    assert False\n")
    assert run() == 1


def test_many_failures_are_no_accident(elsewhere: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tests = [
        ONCE.replace("once", f"once_{n}").replace("was_here", f"w{n}") for n in range(A_FEW + 1)
    ]
    (elsewhere / "test_it.py").write_text("\n".join(tests))
    assert run() == 1
    assert "once more" not in capfd.readouterr().out


def test_a_file_that_cannot_be_read_fails(elsewhere: Path) -> None:
    (elsewhere / "test_it.py").write_text("def test_bad(:\n")
    assert run() != 0
