"""The root of the commands: what is loaded when, and what becomes of errors."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from speaker import __version__
from speaker.__main__ import main
from speaker.cli.app import COMMANDS

PROJECT = Path(__file__).parents[3]

LIBRARIES = {"exabgp", "pyroute2", "pydantic", "yaml", "uvloop", "watchfiles", "typer", "rich"}


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"wren {project['version']}\n"


def test_version_among_other_options_is_still_only_the_version(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--version", "validate"]) == 0
    assert capsys.readouterr().out == f"wren {__version__}\n"


def modules_after(arguments: list[str]) -> set[str]:
    """Give all modules that a command line has loaded when it is done."""
    program = (
        "import sys; from speaker.__main__ import main; "
        f"main({arguments!r}); sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    return set(done.stderr.split())


def test_version_loads_next_to_nothing() -> None:
    loaded = modules_after(["--version"])
    assert not {"typer", "asyncio", "logging", "dataclasses", "importlib.metadata"} & loaded
    assert not (LIBRARIES | {"fsm", "policy", "lab"}) & loaded
    assert {name for name in loaded if name.startswith("speaker")} == {
        "speaker",
        "speaker.__main__",
    }


def test_run_asked_for_help_has_not_loaded_what_a_router_may_do_without() -> None:
    """The kernel, the loop, the watcher and the decoders come when they are first needed."""
    loaded = modules_after(["run", "--help"])
    assert "speaker.daemon" in loaded
    assert not {"pyroute2", "uvloop", "watchfiles", "anyio", "exabgp", "rich", "lab"} & loaded


@pytest.mark.parametrize("command", ["node", "peer", "routes", "reload", "refresh", "disable"])
def test_commands_that_only_ask_the_daemon_load_no_router(command: str) -> None:
    loaded = modules_after([command, "--help"])
    assert not {"asyncio", "yaml", "exabgp", "pyroute2", "uvloop", "watchfiles"} & loaded
    assert not {"speaker.speaker", "speaker.config.resources", "speaker.kernel"} & loaded


def test_help_loads_no_command() -> None:
    loaded = modules_after(["--help"])
    assert not {"rich", "pydantic", "asyncio", "yaml", "exabgp"} & loaded
    assert not {command.place.partition(":")[0] for command in COMMANDS} & loaded


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command.name} " in out
        assert command.summary in out
    assert "Exit codes:" in out


def test_without_arguments_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_can_be_loaded_and_has_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    assert f"Usage: wren {name}" in capsys.readouterr().out


def test_an_unknown_command_is_wrong_usage_and_gets_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["vaildate"]) == 2
    assert "Did you mean 'validate'" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["routes", "--run-dir", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"wren: no Wren daemon answers at {tmp_path}/wren.sock; ")
    assert err.count("\n") == 1


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "speaker", "nonsense"],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr
