"""``wren peer``: the sessions of the running daemon, or one of them in detail."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated

import typer

from speaker.cli.moments import show_duration, show_moment
from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import Table, facts, write_json, write_lines, write_table
from speaker.control.client import ask
from speaker.control.views import FamilyView, PeerDetailView, PeerView, StatusView


def peer(
    run_dir: RunDirOption,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A peer's name or address.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Show the last events of the session NAME too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show all peers and what is wrong with the resources; or one peer, and why it is not up.

    Times are hours:minutes:seconds since the session came up, or until the next attempt.
    """
    if name is not None:
        detail: PeerDetailView = ask(run_dir, "peer", name=name)
        if output is Output.JSON:
            write_json(detail)
            return
        write_lines(show_peer(detail))
        if history:
            write_lines(show_history(detail))
        return
    if history:
        raise typer.BadParameter("of which peer? give its NAME")
    status: StatusView = ask(run_dir, "status")
    if output is Output.JSON:
        write_json({"peers": status["peers"], "conditions": status["conditions"]})
        return
    write_table(peer_table(status["peers"]))
    write_lines(show_troubles(status))


def peer_table(peers: list[PeerView]) -> Table:
    """Give a row for each peer."""
    headings = (
        *("NAME", "ADDRESS", "AS", "STATE", "BGP STATE", "UPTIME"),
        *("RECEIVED", "ACCEPTED", "ADVERTISED", "INFO"),
    )
    rows = [
        (
            item["name"],
            item["address"],
            str(item["remoteAS"]),
            item["state"],
            item["bgpState"],
            show_duration(item["uptime"]) or "-",
            *_sums(item),
            item["info"] or item["lastError"] or "-",
        )
        for item in peers
    ]
    return Table(
        headings, rows, right=frozenset({"AS", "UPTIME", "RECEIVED", "ACCEPTED", "ADVERTISED"})
    )


def _sums(item: PeerView) -> tuple[str, str, str]:
    families = item["families"].values()
    return (
        str(sum(family["received"] for family in families)),
        str(sum(family["accepted"] for family in families)),
        str(sum(family["advertised"] for family in families)),
    )


def show_troubles(status: StatusView) -> list[str]:
    """Give the conditions of the resources and the routes that the kernel refused."""
    lines = [
        f"{condition['severity']}: {condition['resource']}: {condition['message']}"
        for condition in status["conditions"]
    ]
    return lines + [f"error: kernel: {refused}" for refused in status["kernel"]["refused"]]


def show_peer(detail: PeerDetailView) -> list[str]:
    """Give what there is to know about one peer, save what happened before."""
    item = detail["peer"]
    ends = f"AS {item['localAS']} here, AS {item['remoteAS']} there"
    lines = [item["name"]]
    lines += facts(
        [
            ("resource", item["resource"]),
            ("type", item["type"]),
            ("address", f"{item['address']} port {item['port']}"),
            ("session", f"{ends}{', passive' if item['passive'] else ''}"),
            ("state", f"{item['state']} ({item['bgpState']} {item['info']}".rstrip() + ")"),
            ("why", item["why"]),
            ("up for", show_duration(item["uptime"])),
            ("next attempt", _in(item["nextTry"])),
            ("last error", item["lastError"]),
        ],
        indent="  ",
    )
    lines += _negotiated(item)
    for family, counts in item["families"].items():
        lines.append(f"  {family}: {_counts(counts)}")
    return lines


def show_history(detail: PeerDetailView, zone: tzinfo | None = None) -> list[str]:
    """Give the last events of a session, with times in a zone, by default the machine's."""
    return ["", "history", *(f"  {_happened(line, zone)}" for line in detail["history"])]


def _happened(line: str, zone: tzinfo | None) -> str:
    at, _, words = line.partition(" ")
    return f"{show_moment(float(at), zone)} {words}"


def _in(seconds: float | None) -> str:
    return "" if seconds is None else f"in {show_duration(seconds)}"


def _counts(counts: FamilyView) -> str:
    end = "" if counts["endOfRib"] else ", no End-of-RIB yet"
    return (
        f"{counts['received']} received, {counts['accepted']} accepted, "
        f"{counts['advertised']} advertised{end}"
    )


def _negotiated(item: PeerView) -> list[str]:
    if not item["negotiated"]:
        return []
    pairs = [(name, _word(value)) for name, value in item["negotiated"].items()]
    return ["  negotiated", *facts(pairs, indent="    ")]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
