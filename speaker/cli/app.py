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
    Command("doctor", "speaker.cli.doctor:doctor", "Look at the ground before a start."),
    Command("validate", "speaker.cli.validate:validate", "Check resources in files."),
    Command("get", "speaker.cli.get:get", "Show resources."),
    Command("create", "speaker.cli.change:create", "Keep new resources."),
    Command("apply", "speaker.cli.change:apply", "Keep resources, new ones and others."),
    Command("replace", "speaker.cli.change:replace", "Replace resources that exist."),
    Command("delete", "speaker.cli.delete:delete", "Delete resources."),
    Command("patch", "speaker.cli.patch:patch", "Change fields of a resource."),
    Command("label", "speaker.cli.patch:label", "Set or remove a label of a resource."),
    Command("confirm", "speaker.cli.confirm:confirm", "Keep an edit made with --confirm-within."),
    Command("rollback", "speaker.cli.confirm:rollback", "Roll an edit back that is not confirmed."),
    Command("config", "speaker.cli.config:app", "Settings by name, as in Calico 2.x."),
    Command("convert", "speaker.cli.convert:convert", "Show documents of Calico 2.x as v3."),
    Command("schema", "speaker.cli.schema:schema", "Show the JSON Schema of resources."),
    Command("resolve", "speaker.cli.resolve:resolve", "Show what a node would run."),
    Command("plan", "speaker.cli.plan:plan", "Show what an edit would do."),
    Command("policy", "speaker.cli.policy:app", "Test, check and compare policies."),
    Command("selector", "speaker.cli.selector:selector", "Try a label selector."),
    Command("node", "speaker.cli.node:app", "Look at this node."),
    Command("status", "speaker.cli.status:status", "Show what resources have come to."),
    Command("peer", "speaker.cli.peer:peer", "Show peers, or one in detail."),
    Command("routes", "speaker.cli.routes:routes", "Show routes of the running daemon."),
    Command("why", "speaker.cli.why:why", "Say why a route is there, or is not."),
    Command("rpki", "speaker.cli.rpki:rpki", "Show caches of RPKI, or what they say of a route."),
    Command("bfd", "speaker.cli.bfd:bfd", "Show how BFD watches peers."),
    Command("reload", "speaker.cli.reload:reload", "Have the daemon read its datastore now."),
    Command("refresh", "speaker.cli.refresh:refresh", "Have routes told again, without a reset."),
    Command("disable", "speaker.cli.disable:disable", "End a peer's session and keep it down."),
    Command("enable", "speaker.cli.disable:enable", "Let a disabled peer's session come up."),
    Command("drain", "speaker.cli.drain:drain", "Take the node out of service without loss."),
    Command("undrain", "speaker.cli.drain:undrain", "Put a drained node back into service."),
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
    try:
        build(_called(arguments))(list(arguments), prog_name="wren")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    return 0


def _called(arguments: Sequence[str]) -> str:
    """Find the command in a command line.

    A shell that asks for completions has that in the environment: bash as COMP_WORDS, the others
    as _TYPER_COMPLETE_ARGS, with the program's name in front.
    """
    if "_WREN_COMPLETE" in os.environ:
        line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
        arguments = line.split()[1:]
    return next((word for word in arguments if not word.startswith("-")), "")


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
