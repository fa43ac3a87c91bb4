"""``wren bfd``: how BFD watches the peers of the running daemon."""

from __future__ import annotations

import time

import typer

from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import Table, write_json, write_lines, write_table
from speaker.control.client import ask
from speaker.control.views import BfdProcessView, BfdSessionView, BfdView
from speaker.moments import show_since

LONG = 10_000_000
"""Microseconds from which on an interval is told in seconds."""


def bfd(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Show BFD sessions: their state, the timers that both ends agreed, and why they fell last.

    TX and RX are the intervals of our packets and the peer's, DETECTION is the silence after which
    the peer counts as gone. LATE counts packets that came more than half an interval late.
    """
    found: BfdView = ask(run_dir, "bfd")
    if output is Output.JSON:
        write_json(found)
        return
    if found["sessions"]:
        write_table(session_table(found["sessions"]))
    elif not found["notConnected"] and not found["withoutKey"]:
        typer.echo("no BGPPeer of this node asks for BFD", err=True)
    write_lines(show_rest(found))


def session_table(sessions: list[BfdSessionView]) -> Table:
    """Give a row for each session."""
    headings = (
        *("PEER", "INTERFACE", "STATE", "SINCE", "TX", "RX", "DETECTION", "DOWNS", "LATE"),
        *("DIAGNOSTIC", "PEER'S DIAGNOSTIC"),
    )
    rows = [
        (
            item["name"],
            item["interface"] or "-",
            item["state"],
            "-" if item["since"] is None else show_since(item["since"], time.time()),
            show_us(item["txIntervalUs"]),
            show_us(item["rxIntervalUs"]),
            show_us(item["detectionTimeUs"]),
            _show_count(item["downs"]),
            _show_count(item["late"]),
            item["diagnostic"] or "-",
            item["remoteDiagnostic"] or "-",
        )
        for item in sessions
    ]
    numbers = {"TX", "RX", "DETECTION", "DOWNS", "LATE"}
    return Table(headings, rows, right=frozenset(numbers))


def _show_count(count: int | None) -> str:
    return "-" if count is None else str(count)


def show_us(microseconds: int) -> str:
    """Write an interval in milliseconds, or in seconds if it is long."""
    if microseconds >= LONG:
        return f"{microseconds / 1e6:g}s"
    return f"{microseconds / 1000:g}ms" if microseconds else "-"


def show_rest(found: BfdView) -> list[str]:
    """Say what keeps sessions from working, and how the process fares."""
    lines = [
        f"{item['name']}: {'not watched' if found['witness'] else 'packets cannot be sent'}: "
        f"{item['trouble']}"
        for item in found["sessions"]
        if item["trouble"]
    ]
    lines += [
        f"{item['name']}: echo packets are not taken: {item['echoTrouble']}"
        for item in found["sessions"]
        if item["echoTrouble"]
    ]
    lines += [
        f"{address}: not watched, it is on no link of this node (wren.bgp/bfd: multihop lets it)"
        for address in found["notConnected"]
    ]
    lines += [
        f"{item['name']}: packets of the peer dropped: {show_counts(item['discarded'])}"
        for item in found["sessions"]
        if item["discarded"]
    ]
    lines += [f"{item['address']}: not watched, {item['reason']}" for item in found["withoutKey"]]
    if found["witness"]:
        trouble = f": {found['trouble']}" if found["trouble"] else ""
        lines.append(f"watched by {found['witness']}{trouble}")
    process = found["process"]
    return lines + ([] if process is None else [show_process(process)])


def show_counts(counts: dict[str, int]) -> str:
    """Give reasons with their numbers."""
    return ", ".join(f"{number} for {reason}" for reason, number in counts.items())


def show_process(process: BfdProcessView) -> str:
    """Say in one line how late the process ran."""
    wakings = sum(process["lateness"])
    words = [f"process {process['pid']} woke up {wakings} times"]
    if wakings:
        usual, seldom = (late_at_most(process, share) for share in (0.5, 0.99))
        words[0] += (
            f", half of them within {usual}, 99 % within {seldom},"
            f" the last of all {process['latest'] * 1000:.1f}ms late"
        )
    if not process["outlives"]:
        words.append("it ends with the daemon")
    if process["spared"]:
        words.append(f"{process['spared']} times a peer's packet lay unread, which cost nothing")
    unread = process["unread"]
    if unread["ours"]:
        words.append(f"{unread['ours']} packets of peers are lost, since the buffer was full")
    if strangers := unread["first"] + unread["junk"]:
        words.append(f"{strangers} packets of strangers were dropped unread")
    if process["trouble"]:
        words.append(process["trouble"])
    return "; ".join(words)


def late_at_most(process: BfdProcessView, share: float) -> str:
    """Say how late the process was in so many cases, by the upper end of the histogram."""
    wanted, seen = share * sum(process["lateness"]), 0
    for bound, count in zip(process["latenessBounds"], process["lateness"], strict=False):
        seen += count
        if seen >= wanted:
            return f"{bound * 1000:g}ms"
    return f"{process['latest'] * 1000:.1f}ms"
