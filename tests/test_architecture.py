"""The drawing of the house holds: pure floors are pure, arrows go down."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMPURE = ["asyncio", "socket", "time", "random", "logging", "os", "threading", "selectors"]

_PROBE = """
import importlib, json, pkgutil, sys, types
package = importlib.import_module(sys.argv[1])
names = [package.__name__]
names += [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
found = {}
for name in names:
    module = importlib.import_module(name)
    held = {v.__name__ for v in vars(module).values() if isinstance(v, types.ModuleType)}
    found[name] = sorted(held)
print(json.dumps(found))
"""


@pytest.mark.parametrize("package", ["fsm", "policy", "speaker.rib", "speaker.wire"])
def test_pure_rooms_hold_no_impure_module(package: str) -> None:
    out = subprocess.run(
        [sys.executable, "-c", _PROBE, package],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    held: dict[str, list[str]] = json.loads(out.stdout)
    assert held
    assert {name: [m for m in modules if m in IMPURE] for name, modules in held.items()} == {
        name: [] for name in held
    }


@pytest.mark.parametrize("package", ["fsm", "policy"])
def test_floor_zero_imports_nothing_but_the_standard_library(package: str) -> None:
    probe = (
        f"import sys, {package}, pkgutil, importlib\n"
        f"for m in pkgutil.walk_packages({package}.__path__, '{package}.'):\n"
        "    importlib.import_module(m.name)\n"
        "tops = {n.partition('.')[0] for n in sys.modules}\n"
        "print(*sorted(t for t in tops if t not in sys.stdlib_module_names))"
    )
    out = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{probe}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    foreign = set(out.stdout.split()) - {"fsm", "policy", "__main__", "__mp_main__"}
    assert foreign == set()


def test_arrows_go_down() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_module_of_the_speaker_has_its_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = " ".join(contracts["contracts"][0]["layers"]).split()
    rooms = {
        f"speaker.{path.stem}"
        for path in (ROOT / "speaker").iterdir()
        if not path.name.startswith("_") and path.name != "py.typed"
    }
    assert rooms
    assert rooms - set(floors) == set()


def test_the_version_is_told_without_an_event_loop() -> None:
    probe = (
        "import sys, speaker; assert speaker.__version__\n"
        "print(*[m for m in ('asyncio', 'uvloop', 'exabgp', 'pydantic', 'pyroute2')"
        " if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == []


def test_no_module_is_called_utils() -> None:
    modules = [
        p.stem for d in ("fsm", "policy", "speaker", "lab") for p in (ROOT / d).rglob("*.py")
    ]
    assert modules
    assert not [name for name in modules if name in {"utils", "util", "helpers", "misc", "common"}]


def test_every_module_opens_with_a_chapter() -> None:
    modules = [
        path for d in ("fsm", "policy", "speaker", "lab") for path in (ROOT / d).rglob("*.py")
    ]
    bare = [path.name for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]
    assert modules
    assert bare == []
