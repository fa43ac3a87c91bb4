"""What an edit would do to routes, as the running daemon foresees it.

The daemon of a node is asked (`speaker.foresight`) where its resources are those that would be
edited; it is given what would differ. Nobody has to be there: then nothing is said of routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speaker.config.differences import Difference
from speaker.config.stored import Key, Stored
from speaker.control.client import NotRunning, stream
from speaker.control.protocol import MAX_REQUEST, ControlError, encode_line
from speaker.control.views import (
    ForecastView,
    MoveView,
    PeerRoutesView,
    RouteDifferenceView,
)

_ONE = {"appear": "appears", "vanish": "vanishes", "move": "moves", "change": "changes"}

FEW = 3
"""Routes that are named in text."""


def forecast(
    run_dir: Path, differences: Iterable[Difference], resources: Mapping[Key, Stored]
) -> ForecastView | str:
    """Ask the daemon what an edit would do to its routes.

    Args:
        run_dir: of the daemon.
        differences: what the edit changes.
        resources: as they would be.

    Returns:
        All of its answer, or why there is none; empty where no daemon runs.
    """
    put: list[Any] = []
    gone: list[tuple[str, str]] = []
    for each in differences:
        if each.fate == "deleted":
            gone.append((each.kind.value, each.name))
        else:
            put.append(resources[each.kind, each.name].tree)
    if len(encode_line({"put": put, "delete": gone})) > MAX_REQUEST - 100:
        return "the edit is too large for the daemon to be asked about routes"
    try:
        return _joined(stream(run_dir, "forecast", put=put, delete=gone))
    except NotRunning:
        return ""
    except ControlError as error:
        return f"the daemon says nothing about routes: {error}"


def _joined(chunks: Iterable[ForecastView]) -> ForecastView:
    """Put the chunks of an answer together."""
    whole: ForecastView = {
        "used": {"appear": [], "vanish": [], "move": []},
        "peers": [],
        "left": 0,
        "unforeseen": [],
        "sessions": [],
    }
    peers: dict[str, PeerRoutesView] = {}
    for chunk in chunks:
        whole["used"]["appear"] += chunk["used"]["appear"]
        whole["used"]["vanish"] += chunk["used"]["vanish"]
        whole["used"]["move"] += chunk["used"]["move"]
        whole["left"] += chunk["left"]
        whole["unforeseen"] += chunk["unforeseen"]
        whole["sessions"] += chunk["sessions"]
        for part in chunk["peers"]:
            known = peers.setdefault(part["peer"], part)
            if known is not part:
                _extend(known["accepted"], part["accepted"])
                _extend(known["advertised"], part["advertised"])
    whole["peers"] = [peers[name] for name in sorted(peers)]
    return whole


def _extend(known: RouteDifferenceView, more: RouteDifferenceView) -> None:
    known["appear"] += more["appear"]
    known["vanish"] += more["vanish"]
    known["change"] += more["change"]


def forecast_lines(view: ForecastView) -> list[str]:
    """Give a line about best routes, and one for each peer and way in which something differs."""
    used = view["used"]
    parts = [
        *_part("appear", used["appear"]),
        *_part("vanish", used["vanish"]),
        *_part("move", [_moved(move) for move in used["move"]]),
    ]
    lines = [f"  {sentence}" for sentence in view["sessions"]]
    lines += [f"  routes: {'; '.join(parts) or 'none appears, vanishes or moves'}"]
    for peer in view["peers"]:
        for way, words in (("accepted", "taken from"), ("advertised", "told to")):
            differs: RouteDifferenceView = peer[way]  # type: ignore[literal-required]  # two keys
            parts = [
                *_part("appear", differs["appear"]),
                *_part("vanish", differs["vanish"]),
                *_part("change", differs["change"]),
            ]
            if parts:
                lines.append(f"  {words} {peer['peer']}: {'; '.join(parts)}")
    if view["left"]:
        lines.append(f"  about {view['left']} more prefixes were not looked at")
    return lines + [f"  not foreseen: {sentence}" for sentence in view["unforeseen"]]


def _part(verb: str, routes: Sequence[str]) -> list[str]:
    """Count routes, and name the first few."""
    if not routes:
        return []
    named = ", ".join(routes[:FEW]) + (", …" if len(routes) > FEW else "")
    return [f"{len(routes)} {_ONE[verb] if len(routes) == 1 else verb} ({named})"]


def _moved(move: MoveView) -> str:
    return f"{move['prefix']}: {move['was']} → {move['becomes']}"
