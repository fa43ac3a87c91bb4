"""The status table of ``calicoctl node status``, to the character.

Scripts read this table, so it has one form that nothing changes. Headings are centred; so are the
shorter ones of the cells, save STATE, SINCE and IPv6 addresses, which Calico's documents show to
the left. Peers that are local workloads are not shown, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TypeAlias

from speaker.control.views import PeerView, StatusView
from speaker.moments import show_since

HEADINGS = ("PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO")

Alignment: TypeAlias = Callable[[str, int], str]


def show_status(status: StatusView, now: float, zone: tzinfo | None = None) -> str:
    """Give the whole text, up to the empty line at its end.

    Args:
        status: what the daemon answered.
        now: seconds since 1970.
        zone: in which times are shown; by default that of the machine.
    """
    parts = ["Calico process is running.\n"]
    for family, name in (("ipv4", "IPv4"), ("ipv6", "IPv6")):
        peers = [peer for peer in status["peers"] if _is_shown(peer, family)]
        rows = [_row(peer, now, zone) for peer in peers]
        parts.append(f"{name} BGP status")
        parts += _table(rows) if rows else [f"No {name} peers found."]
        parts.append("")
    return "\n".join(parts)


def _is_shown(peer: PeerView, family: str) -> bool:
    return peer["family"] == family and peer["type"] != "local workload"


def _row(peer: PeerView, now: float, zone: tzinfo | None) -> tuple[str, ...]:
    info = f"{peer['bgpState']} {peer['info']}".strip()
    since = show_since(peer["since"], now, zone)
    return (peer["address"], peer["type"], peer["state"], since, info)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [_line(HEADINGS, widths, [_centred] * len(HEADINGS))]
    for row in rows:
        address = str.ljust if ":" in row[0] else _centred
        alignments = [address, _centred_right, str.ljust, str.ljust, _centred]
        lines.append(_line(row, widths, alignments))
    return [rule, lines[0], rule, *lines[1:], rule]


def _line(cells: Sequence[str], widths: Sequence[int], alignments: Sequence[Alignment]) -> str:
    aligned = (
        align(cell, width) for cell, width, align in zip(cells, widths, alignments, strict=True)
    )
    return "| " + " | ".join(aligned) + " |"


def _centred(text: str, width: int) -> str:
    """Centre a cell; an odd blank goes to the right."""
    return (" " * ((width - len(text)) // 2) + text).ljust(width)


def _centred_right(text: str, width: int) -> str:
    """Centre a cell; an odd blank goes to the left."""
    return (text + " " * ((width - len(text)) // 2)).rjust(width)
