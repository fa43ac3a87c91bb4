"""``wren routes``: what the running daemon knows, chose and installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from fsm.family import RELAYED, parse_family
from speaker.cli.options import Output, OutputOption, RunDirOption, family_name, read_prefix
from speaker.cli.tables import Table, write_json, write_lines, write_table
from speaker.control.client import stream
from speaker.control.views import RouteView


def routes(
    run_dir: RunDirOption,
    prefix: Annotated[
        str | None, typer.Argument(metavar="PREFIX", help="Only this prefix or address.")
    ] = None,
    peer: Annotated[str | None, typer.Option(help="Only paths from this peer.")] = None,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Also reasons and all attributes.")
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(
            metavar="FAMILY",
            help="Only routes of this family: ipv4, ipv6, or one that is relayed (ipv4-vpn, "
            "l2vpn-evpn, ipv4-flow …); without it, those of ipv4 and ipv6.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="No more paths than this.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show all paths to prefixes; an asterisk marks the best one, and what the kernel has of it.

    With --all also the rule by which each path lost, and every attribute.
    """
    wanted_family = None if family is None else family_name(family)
    if prefix is not None and wanted_family and parse_family(wanted_family) in RELAYED:
        raise typer.BadParameter("it is looked for in ipv4 and ipv6 alone", param_hint="PREFIX")
    wanted = {
        "prefix": None if prefix is None else read_prefix(prefix),
        "peer": peer,
        "all": all_,
        "family": wanted_family,
        "limit": limit,
    }
    found = [route for chunk in stream(run_dir, "routes", **wanted) for route in chunk["routes"]]
    if output is Output.JSON:
        write_json({"routes": found})
    elif not found:
        typer.echo("no routes", err=True)
    elif all_:
        write_lines(show_all(found))
    else:
        write_table(route_table(found))


def route_table(found: Sequence[RouteView]) -> Table:
    """Give a row for each path, with its identifiers where any path has some."""
    with_ids = any(route["pathIDs"] for route in found)
    headings = (
        *("", "PREFIX", *(["PATH ID"] if with_ids else [])),
        *("NEXT HOP", "INTERFACE", "PEER", "PREF", "MED", "AS PATH", "ORIGIN", "KERNEL"),
    )
    rows = [
        (
            "*" if route["best"] else "",
            route["prefix"],
            *([",".join(map(str, route["pathIDs"])) or "-"] if with_ids else []),
            route["nextHop"] or "-",
            route["interface"] or "-",
            route["peer"] or "-",
            _number(route["localPref"]),
            _number(route["med"]),
            route["asPath"] or "-",
            route["origin"] or "-",
            route["kernel"] or "-",
        )
        for route in found
    ]
    return Table(headings, rows, right=frozenset({"PREF", "MED"}))


def show_all(found: Sequence[RouteView]) -> list[str]:
    """Give each path in a line, with its reason and attributes below it."""
    heading, *rows = route_table(found).lines()
    lines = [heading]
    for row, route in zip(rows, found, strict=True):
        lines.append(row)
        lines += [f"     {name}: {value}" for name, value in _details(route)]
    return lines


def _details(route: RouteView) -> list[tuple[str, str]]:
    details = [
        ("reason", route["reason"]),
        ("via", ", ".join(route["via"])),
        ("table", _number(route.get("table"), absent="")),
        ("rpki", route.get("rpki", "")),
        ("preference", _number(route["preference"], absent="")),
        ("communities", " ".join(route["communities"])),
        ("large communities", " ".join(route["largeCommunities"])),
        *route["attributes"].items(),
    ]
    return [(name, value) for name, value in details if value]


def _number(value: int | None, absent: str = "-") -> str:
    return absent if value is None else str(value)
