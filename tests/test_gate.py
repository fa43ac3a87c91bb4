"""The gate: what failed beside others decides when it is alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate import A_FEW, main
from tests.support.order import longest_first

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


def test_what_is_compiled_is_kept(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    test = "import sys\n\ndef test_it():\n    assert not sys.dont_write_bytecode\n"
    (elsewhere / "test_it.py").write_text(test)
    assert run() == 0


def test_the_longest_files_come_first(pytester: pytest.Pytester) -> None:
    lab = "import pytest\npytestmark = pytest.mark.netns\n"
    scope = "asyncio_default_fixture_loop_scope = function"
    pytester.makeini(f"[pytest]\n{scope}\nmarkers =\n    netns\n")
    lengths = {"a": 1, "b": 3, "c": 2, "d": 1}
    for name, length in lengths.items():
        text = "".join(f"def test_{n}(): pass\n" for n in range(length))
        pytester.makepyfile(**{f"test_{name}": lab + text if name == "d" else text})
    items, _ = pytester.inline_genitems()
    longest_first(items)
    assert "".join(item.path.stem.removeprefix("test_") for item in items) == "dbbbcca"
