"""``wren policy diff``: on which routes do two versions of the policies differ?"""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from fsm.errors import SpeakerError
from speaker.cli.options import Output, OutputOption, RunDirOption, this_node
from speaker.cli.tables import count, write_json, write_lines
from speaker.config.chains import names
from speaker.config.store import Resources
from speaker.control.client import NotRunning, ask, stream
from speaker.datastore.directory import load_resources
from speaker.environment import resolve_here
from speaker.errors import ConfigError
from speaker.trials.comparing import Comparison, Group, Told
from speaker.trials.dumps import from_daemon, from_mrt, from_views
from speaker.trials.inventing import invented
from speaker.trials.node import TrialNode

FAILED = 2
"""Exit code where nothing could be compared."""


def _route(group: Group, prefix: str) -> str:
    """Give the line of one route."""
    return f"{names(group.peers)} {group.direction} {prefix}: {group.old} → {group.new}"


def _lines(group: Group) -> list[str]:
    """Give the lines of a group."""
    more = ", …" if group.count > len(group.examples) else ""
    return [
        f"{names(group.peers)} {group.direction} {group.family}: {count(group.count, 'route')}",
        f"  {group.old} → {group.new}",
        f"  {', '.join(group.examples)}{more}",
    ]


def _as_json(group: Group) -> dict[str, Any]:
    """Give the object of ``-o json``."""
    return {
        "peers": list(group.peers),
        "direction": group.direction.value,
        "family": str(group.family),
        "old": group.old,
        "new": group.new,
        "count": group.count,
        "prefixes": group.examples,
    }


def diff(
    run_dir: RunDirOption,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The resources as they are.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The resources as they would be.")],
    node: Annotated[str, typer.Option(help="The node whose policies are compared.")] = "",
    routes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The routes: an MRT table dump (also .gz, .bz2), or 'wren routes -o json'; by"
            " default what the running daemon has heard.",
        ),
    ] = None,
    as_peer: Annotated[
        str,
        typer.Option(metavar="PEER", help="Take all routes of an MRT dump to come from this peer."),
    ] = "",
    random: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Make N routes up, at the borders of the rules."),
    ] = None,
    seed: Annotated[int, typer.Option(help="For --random: another one makes other routes.")] = 1,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Show every route, not some.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Judge routes under two versions of the resources, and show where they differ.

    Routes that differ are grouped by peer, direction and the rules that decide, old → new. Exits
    with 0 if nothing differs, 1 if something does, and 2 if they could not be compared.
    """
    if routes is not None and random is not None:
        raise typer.BadParameter("give either --routes or --random", param_hint="--random")
    if as_peer and routes is None:
        raise typer.BadParameter("it goes with --routes and an MRT dump", param_hint="--as-peer")
    try:
        differs = _compare(
            old, new, node, run_dir, routes, as_peer, random, seed, output, all_=all_
        )
    except SpeakerError as error:
        typer.echo(f"wren: {error}", err=True)
        raise typer.Exit(FAILED) from None
    if differs:
        raise typer.Exit(1)


def _compare(
    old: Path,
    new: Path,
    node: str,
    run_dir: Path,
    routes: Path | None,
    as_peer: str,
    random: int | None,
    seed: int,
    output: Output,
    *,
    all_: bool,
) -> bool:
    before, after = _load("OLD", old), _load("NEW", new)
    name = node or _node(before, run_dir, asks=routes is None and random is None)
    versions = _trial("OLD", old, before, name), _trial("NEW", new, after, name)

    def tell(group: Group, prefix: str) -> None:
        typer.echo(_route(group, prefix))

    comparison = Comparison(
        *versions,
        tell if all_ and output is Output.TEXT else None,
        keeps_all=all_ and output is Output.JSON,
    )
    if as_peer:
        # Said at once, and not after the whole dump.
        versions[0].session(as_peer)
    comparison.take_own()
    if random is not None:
        _take(comparison, invented(*versions, random, seed))
    elif routes is not None:
        with _opened(routes) as file:
            _take(comparison, _read(file, as_peer))
    else:
        _take(comparison, from_daemon(stream(run_dir, "heard")))
    _show(comparison, name, output, lists=not all_)
    return bool(comparison.groups)


def _load(word: str, path: Path) -> Resources:
    """Read one of the two versions.

    Raises:
        ConfigError: it is not there, or something in it is not valid.
    """
    if not path.exists():
        raise ConfigError(
            f"{word}: there is no file or directory {path}",
            "give the resources as they are and as they would be, each as a directory or a file"
            " ('git worktree add /tmp/old main' gives an older version a directory)",
        )
    try:
        return load_resources(path)
    except ConfigError as error:
        raise ConfigError(
            f"{word}: {path} has documents that are not valid, so nothing is compared:\n"
            f"{error.message}\ncorrect them, and ask 'wren validate {path}' again"
        ) from None


def _trial(word: str, path: Path, resources: Resources, node: str) -> TrialNode:
    """Make the node of one of the two versions.

    Raises:
        ConfigError: it has no plan there.
    """
    try:
        return TrialNode(resolve_here(resources, node))
    except ConfigError as error:
        raise ConfigError(f"{word}: {path}: {error.message}", error.hint) from None


def _take(comparison: Comparison, told: Iterable[Told]) -> None:
    for each in told:
        comparison.take(each)


def _node(resources: Resources, run_dir: Path, *, asks: bool) -> str:
    """Find out whose policies are compared.

    Raises:
        ConfigError: nobody says it, or there is no daemon whose routes could be asked for.
    """
    if asks:
        try:
            return str(ask(run_dir, "datastore")["node"])
        except NotRunning:
            raise ConfigError(
                "no daemon runs whose routes could be compared",
                "give them with --routes FILE, or have some made up with --random N",
            ) from None
    known = this_node(None)
    if known in resources.nodes or len(resources.nodes) != 1:
        if not known:
            raise ConfigError(
                "whose policies are compared?",
                f"give --node, one of {names(resources.nodes)}"
                if resources.nodes
                else "OLD has no Node; add one, and give --node",
            )
        return known
    return next(iter(resources.nodes))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, compressed or not.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(3)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                yield file  # type: ignore[misc]  # it reads as one
        elif magic == b"BZh":
            with bz2.open(path) as file:
                yield file  # type: ignore[misc]  # it reads as one
        else:
            with path.open("rb") as file:
                yield file
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


def _read(file: BinaryIO, as_peer: str) -> Iterator[Told]:
    """Tell by its first octet what a file is, and read it."""
    first = file.read(1)
    file.seek(0)
    if first not in (b"{", b"["):
        return from_mrt(file, as_peer)
    if as_peer:
        raise ConfigError("--as-peer goes with an MRT dump", "routes in JSON say whose they are")
    try:
        found = json.load(file)
        views = found["routes"] if isinstance(found, dict) else found
    except (ValueError, KeyError) as error:
        raise ConfigError(f"it is no output of 'wren routes -o json': {error!r}") from None
    return from_views(views)


def _show(comparison: Comparison, node: str, output: Output, *, lists: bool) -> None:
    groups = comparison.groups
    for line in _asides(comparison):
        typer.echo(line, err=True)
    differing = sum(group.count for group in groups)
    if output is Output.JSON:
        write_json(
            {
                "node": node,
                "compared": comparison.routes,
                "differing": differing,
                "groups": [_as_json(group) for group in groups],
                "notCompared": comparison.unknown,
                "notLetIn": comparison.unread,
            }
        )
        return
    for group in groups if lists else ():
        write_lines(_lines(group))
    ways = f" in {count(len(groups), 'way')}" if groups else ""
    found = count(differing, "difference") if groups else "no difference"
    write_lines([f"node {node}: {count(comparison.routes, 'route')} compared, {found}{ways}"])


def _asides(comparison: Comparison) -> Iterator[str]:
    """Say what was not compared."""
    for words, found in zip(("OLD", "NEW"), comparison.only, strict=True):
        if found:
            yield f"not compared, since only {words} has them: {names(found)}"
    for source, number in comparison.unknown.items():
        yield f"{count(number, 'route')} not compared: both have no such session as {source}"
    for why, number in comparison.unread.items():
        yield f"{count(number, 'route')} let in by neither: {why.removeprefix('reject: ')}"
