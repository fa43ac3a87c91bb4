"""``wren peer``: the sessions of the running daemon, or one of them in detail."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated

import typer

from speaker.cli.completion import complete_peer
from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import Table, count, facts, write_json, write_lines, write_table
from speaker.control.client import ask
from speaker.control.views import (
    FamilyView,
    PasswordView,
    PeerDetailView,
    PeerView,
    RangeView,
    StatusView,
    TcpAoView,
)
from speaker.moments import show_duration, show_moment


def peer(
    run_dir: RunDirOption,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A peer's name or address.", autocompletion=complete_peer
        ),
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
        write_json({name: status[name] for name in ("peers", "ranges", "conditions")})
        return
    write_table(peer_table(status["peers"]))
    write_lines(map(show_range, status["ranges"]))
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


def show_range(item: RangeView) -> str:
    """Tell of a range from which peers are accepted, in a line."""
    waiting = f", {item['waiting']} without an OPEN yet" if item["waiting"] else ""
    refused = ", ".join(f"{count} ({why})" for why, count in item["refused"].items())
    return (
        f"{item['name']}: {item['peers']} of {item['limit']} peers"
        f" from {', '.join(item['networks'])} in AS {item['remoteAS']}"
        f" (BGPPeer/{item['resource']}){waiting}" + (f"; turned away: {refused}" if refused else "")
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


def show_peer(detail: PeerDetailView, zone: tzinfo | None = None) -> list[str]:
    """Give what there is to know about one peer, save what happened before.

    Args:
        detail: as the daemon tells it.
        zone: of the times, by default the machine's.
    """
    item = detail["peer"]
    ends = f"AS {item['localAS']} here, AS {item['remoteAS']} there"
    lines = [item["name"]]
    lines += facts(
        [
            ("resource", item["resource"]),
            ("type", item["type"]),
            ("accepted from", item.get("range", "")),
            ("address", f"{item['address']} port {item['port']}"),
            ("session", f"{ends}{', passive' if item['passive'] else ''}"),
            ("state", f"{item['state']} ({item['bgpState']} {item['info']}".rstrip() + ")"),
            ("why", item["why"]),
            ("up for", show_duration(item["uptime"])),
            ("next attempt", _in(item["nextTry"])),
            ("last error", item["lastError"]),
            ("password", _password(item["password"], zone)),
            ("TCP-AO", _tcp_ao(item["tcpAO"])),
            ("distance", _distance(item["ttlSecurity"])),
            ("BFD", item["bfd"]),
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


def _password(view: PasswordView, zone: tzinfo | None) -> str:
    """Say which password is in use; nothing where none is to be."""
    since = view["inUseSince"]
    source = f" ({view['secret']})" if view["secret"] else ""
    used = "none in use" if since is None else f"in use since {show_moment(since, zone)}{source}"
    if view["changes"]:
        later = "a newer one" if since is not None else f"one{source}"
        if not view["configured"]:
            return f"{used}; the next connection has none"
        return f"{used}; {later} waits for the next connection"
    if since is not None:
        return used
    return f"set{source}" if view["configured"] else ""


def _tcp_ao(view: TcpAoView | None) -> str:
    """Say which keys there are, and which of them are in use; nothing where there are none."""
    if view is None:
        return ""
    keys = [
        f"{_ids(key['sendID'], key['receiveID'])} ({key['secret']}, {key['algorithm']})"
        for key in view["keys"]
    ]
    parts = [f"keys {', '.join(keys)}" if keys else "no keys any more"]
    if view["signsBy"] is not None:
        parts.append(f"signs by {view['signsBy']}, asks the peer for {view['asksFor']}")
    if view["changes"]:
        parts.append("the session still has other keys")
    if view["bad"]:
        parts.append(f"{count(view['bad'], 'segment')} with a wrong signature dropped")
    return "; ".join(parts)


def _ids(send: int, receive: int) -> str:
    return str(send) if send == receive else f"{send}:{receive}"


def _distance(hops: int) -> str:
    plural = "" if hops == 1 else "s"
    return f"{hops} hop{plural} at the most (ttlSecurity)" if hops else ""


def _in(seconds: float | None) -> str:
    return "" if seconds is None else f"in {show_duration(seconds)}"


def _counts(counts: FamilyView) -> str:
    end = "" if counts["endOfRib"] else ", no End-of-RIB yet"
    wait = counts.get("restart")
    if wait is not None:
        left = show_duration(wait["seconds"])
        end = f", {wait['phase']}: {wait['stale']} stale for {left} at the most"
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
        return ", ".join(map(str, value)) or "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {word}" for name, word in value.items()) or "no"
    return str(value)
