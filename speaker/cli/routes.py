"""``wren routes``: what the running daemon knows, chose and installed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_interface
from typing import Annotated

import typer

from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import Table, write_json, write_lines, write_table
from speaker.control.client import stream
from speaker.control.views import RouteView


class Family(StrEnum):
    """Which routes."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


def routes(
    run_dir: RunDirOption,
    prefix: Annotated[
        str | None, typer.Argument(metavar="PREFIX", help="Only this prefix or address.")
    ] = None,
    peer: Annotated[str | None, typer.Option(help="Only paths from this peer.")] = None,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Also reasons and all attributes.")
    ] = False,
    family: Annotated[Family | None, typer.Option(help="Only routes of this family.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="No more paths than this.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show all paths to prefixes; an asterisk marks the best one, and what the kernel has of it.

    With --all also the rule by which each path lost, and every attribute.
    """
    wanted = {
        "prefix": None if prefix is None else _prefix(prefix),
        "peer": peer,
        "all": all_,
        "family": None if family is None else family.value,
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


def _prefix(text: str) -> str:
    """Make the one spelling of a prefix; an address is a prefix of its whole length."""
    try:
        found = ip_interface(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no prefix", param_hint="PREFIX") from None
    if found.ip != found.network.network_address:
        message = f"{text} has host bits set; the prefix is {found.network}"
        raise typer.BadParameter(message, param_hint="PREFIX")
    return str(found.network)


def route_table(found: Sequence[RouteView]) -> Table:
    """Give a row for each path."""
    headings = (
        *("", "PREFIX", "NEXT HOP", "INTERFACE", "PEER", "PREF", "MED"),
        *("AS PATH", "ORIGIN", "KERNEL"),
    )
    rows = [
        (
            "*" if route["best"] else "",
            route["prefix"],
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
        ("preference", _number(route["preference"], absent="")),
        ("communities", " ".join(route["communities"])),
        ("large communities", " ".join(route["largeCommunities"])),
        *route["attributes"].items(),
    ]
    return [(name, value) for name, value in details if value]


def _number(value: int | None, absent: str = "-") -> str:
    return absent if value is None else str(value)
