"""The commands ``wren lab …``: up, down, exec, status.

What goes wrong is one line on stderr that says what to do, and exit status 1. `up` and `down` end
what they are about when they are interrupted: `up` removes what it made, `down` goes on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from lab import topology_file
from lab.errors import LabError
from lab.ground import search_path
from lab.lab import Lab, remove
from lab.state import StateDirectory, labs
from speaker.cli.options import Output, OutputOption

app = typer.Typer(
    name="lab",
    help="Laboratories of network namespaces.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str | None, typer.Option("--lab", help="Name of the lab, if several are up.")]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong into one line and exit status 1."""
    try:
        yield
    except LabError as error:
        # An error may bring the logs along for those who read the reports of tests.
        typer.echo(f"wren lab: {str(error).splitlines()[0]}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _ending(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """Have the signals that end a command handled so; nohup and the like keep their say."""
    heard = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, old in before.items():
            if signal.getsignal(number) is handler:  # who unwinds is deaf to the end
                signal.signal(number, old)


def _unwind(number: int, _: FrameType | None) -> None:
    """Unwind, so that what was begun is removed; who presses again and again waits for that."""
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    typer.echo("wren lab: interrupted; removing what was made", err=True)
    raise SystemExit(128 + number)


def _which(name: str | None, how: str = "with --lab") -> str:
    up = labs()
    if name is not None:
        return name
    if len(up) == 1:
        return up[0]
    known = ", ".join(up)
    if not up:
        raise LabError("no lab is up: wren lab up FILE")
    raise LabError(f"say which lab {how}; up are: {known}")


@app.command()
def up(
    file: Annotated[Path, typer.Argument(help="The topology, YAML.")],
    name: Annotated[str | None, typer.Option("--name", help="Another name for the lab.")] = None,
) -> None:
    """Bring a lab up."""
    with _told():
        topology = topology_file.load(file)
        lab = Lab(topology if name is None else replace(topology, name=name))
        with _ending(_unwind):
            lab.up()
    typer.echo(f"lab {lab.topology.name} is up: {', '.join(lab.nodes)}")
    typer.echo("look around: wren lab status; wren lab exec NODE -- COMMAND")


@app.command()
def down(
    name: Annotated[str | None, typer.Argument(help="Name of the lab, or its file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every lab there is.")] = False,
) -> None:
    """Take a lab down; also what a crash left of it."""
    with _told(), _ending(signal.SIG_IGN):
        chosen = labs() if every else [_which(_name_in(name), "by its name, or --all")]
        for lab in chosen:
            state = StateDirectory(lab)
            if not state.exists and not every:
                typer.echo(f"lab {lab} is not up")
                continue
            remove(state)
            typer.echo(f"lab {lab} is down")


def _name_in(name: str | None) -> str | None:
    if name is not None and Path(name).is_file():
        return topology_file.load(Path(name)).name
    return name


@app.command("exec", context_settings={"allow_interspersed_args": False})
def execute(
    node: Annotated[str, typer.Argument(help="Name of the node.")],
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run there; a shell if nothing.")
    ] = None,
    name: Name = None,
) -> None:
    """Run a command in a node; what follows the node's name is the command's own."""
    words = command or []
    words = words[1:] if words[:1] == ["--"] else words
    with _told():
        argv = Lab.find(_which(name)).node(node).inside(words or ["sh"])
    try:
        os.execvpe(argv[0], argv, {**os.environ, "PATH": search_path()})
    except OSError as error:
        typer.echo(f"wren lab: cannot run {argv[0]}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


@app.command()
def status(name: Name = None, output: OutputOption = Output.TEXT) -> None:
    """Show nodes, their programs and their sessions."""
    with _told():
        chosen = [_which(name)] if name is not None else labs()
        views = [_view(Lab.find(lab)) for lab in chosen]
    if output is Output.JSON:
        json.dump({"labs": views}, sys.stdout, indent=2)
        typer.echo()
        return
    if not views:
        typer.echo("no lab is up")
    for view in views:
        typer.echo(f"lab {view['name']}")
        for node in view["nodes"]:
            typer.echo(_line(node))


def _view(lab: Lab) -> dict[str, Any]:
    nodes = []
    for node in lab.nodes.values():
        sessions = node.sessions() if node.daemon is not None else {}
        nodes.append(
            {
                "name": node.name,
                "kind": node.node.kind.value,
                "processes": [process.pid for process in node.programs()],
                "sessions": sessions,
            }
        )
    return {"name": lab.topology.name, "nodes": nodes}


def _line(node: dict[str, Any]) -> str:
    sessions = node["sessions"]
    up = sum(sessions.values())
    down = ", ".join(address for address, is_up in sessions.items() if not is_up)
    told = f"{up} of {len(sessions)} sessions up" if sessions else "no sessions"
    if node["kind"] != "host" and not node["processes"]:
        told = "not running"
    return f"  {node['name']:16} {node['kind']:10} {told}" + (f"; down: {down}" if down else "")
