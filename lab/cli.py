"""The commands ``wren lab …``: up, down, exec, status."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from lab import topology_file
from lab.errors import LabError
from lab.lab import Lab, remove
from lab.state import StateDirectory, labs

app = typer.Typer(
    name="lab",
    help="Laboratories of network namespaces.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Output = Annotated[str, typer.Option("-o", "--output", help="text or json.")]
Name = Annotated[str | None, typer.Option("--lab", help="Name of the lab, if several are up.")]


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong into one line and exit status 1."""
    try:
        yield
    except LabError as error:
        typer.echo(f"wren lab: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C, so that what was begun is removed."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _which(name: str | None) -> str:
    up = labs()
    if name is not None:
        return name
    if len(up) == 1:
        return up[0]
    known = ", ".join(up) or "none"
    raise LabError(f"say which lab with --lab; up are: {known}")


@app.command()
def up(file: Annotated[Path, typer.Argument(help="The topology, YAML.")]) -> None:
    """Bring a lab up."""
    with _told(), _interruptible():
        lab = Lab(topology_file.load(file))
        lab.up()
        typer.echo(f"lab {lab.topology.name} is up: {', '.join(lab.nodes)}")
        typer.echo("look around: wren lab status; wren lab exec NODE -- COMMAND")


@app.command()
def down(
    name: Annotated[str | None, typer.Argument(help="Name of the lab, or its file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every lab there is.")] = False,
) -> None:
    """Take a lab down; also what a crash left of it."""
    with _told():
        chosen = labs() if every else [_which(_name_in(name))]
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


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    node: Annotated[str, typer.Argument(help="Name of the node.")],
    command: Annotated[list[str], typer.Argument(help="What to run there.")],
    name: Name = None,
) -> None:
    """Run a command in a node."""
    with _told():
        argv = Lab.find(_which(name)).node(node).inside(command)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        typer.echo(f"wren lab: cannot run {argv[0]}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


@app.command()
def status(name: Name = None, output: Output = "text") -> None:
    """Show nodes, their programs and their sessions."""
    with _told():
        chosen = [_which(name)] if name is not None else labs()
        views = [_view(Lab.find(lab)) for lab in chosen]
    if output == "json":
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
