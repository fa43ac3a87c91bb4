"""The root of the commands: their names, and which of them to load.

A command's module is imported only when the command is called, for the speaker's own modules take
a while to load; for the others a name and a line of help are enough. An error of this project that
a command lets through becomes one line on stderr and exit code 1.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fsm.errors import SpeakerError
from speaker import __version__

EPILOG = "Exit codes: 0 done; 1 it failed, or what was looked at is not right; 2 wrong usage."


@dataclass(frozen=True, slots=True)
class Command:
    """One command or group of commands.

    Attributes:
        place: ``module:name`` of its function or its `typer.Typer`.
        summary: its line in ``wren --help``.
    """

    name: str
    place: str
    summary: str

    def load(self) -> Any:
        """Import it."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


COMMANDS = (
    Command("run", "speaker.cli.run:run", "Run the router in the foreground."),
    Command("validate", "speaker.cli.validate:validate", "Check resources in files."),
    Command("resolve", "speaker.cli.resolve:resolve", "Show what a node would run."),
    Command("plan", "speaker.cli.plan:plan", "Show what an edit would do to a node."),
    Command("selector", "speaker.cli.selector:selector", "Try a label selector."),
    Command("node", "speaker.cli.node:app", "Look at this node."),
    Command("peer", "speaker.cli.peer:peer", "Show peers, or one in detail."),
    Command("routes", "speaker.cli.routes:routes", "Show routes of the running daemon."),
    Command("reload", "speaker.cli.reload:reload", "Have the daemon read its datastore now."),
    Command("lab", "lab.cli:app", "Laboratories of network namespaces."),
    Command("version", "speaker.cli.version:version", "Show versions."),
)


class WrenGroup(TyperGroup):
    """The root command: turns errors into lines."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it raises on purpose is told in one line."""
        try:
            return super().invoke(ctx)
        except SpeakerError as error:
            typer.echo(f"wren: {error}", err=True)
            raise typer.Exit(1) from None


def build(called: str | None = None) -> typer.Typer:
    """Make the root command.

    Args:
        called: the command to load; all others are names only. None loads all of them.
    """
    app = typer.Typer(
        name="wren",
        cls=WrenGroup,
        callback=_root,
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in COMMANDS:
        loaded = command.load() if called in (None, command.name) else _not_loaded
        _mount(app, command, loaded)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run a command line and give its exit code."""
    words = [word for word in arguments if not word.startswith("-")]
    # A shell that asks for completions has the command line in its environment only.
    called = None if "_WREN_COMPLETE" in os.environ else (words or [""])[0]
    try:
        build(called)(list(arguments), prog_name="wren")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    return 0


def _mount(app: typer.Typer, command: Command, loaded: Any) -> None:
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=command.name, short_help=command.summary)
        return
    app.command(command.name, short_help=command.summary, epilog=EPILOG)(loaded)


def _not_loaded() -> None:
    """Stand for a command that was not called."""


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"wren {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Wren, a BGP speaker driven by Calico's resources."""
