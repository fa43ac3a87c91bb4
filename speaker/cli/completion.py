"""What a shell offers to complete: kinds of resources, names of those that there are, and peers.

Names are read from the datastore that the command would use, peers asked of the running daemon. A
shell waits for this at each press of a key, so documents are only looked at, and whatever goes
wrong just offers nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from speaker.cli.options import default_run_dir, find_datastore
from speaker.errors import SpeakerError

KINDS = (
    "BGPPeer",
    "BGPFilter",
    "RoutePolicy",
    "BGPConfiguration",
    "Node",
    "IPPool",
    "BlockAffinity",
    "Secret",
    "CalicoNodeStatus",
    "RPKICache",
    "BFDConfiguration",
)
"""The kinds, as they are spelt; people type them in lower case, too."""

SETTINGS = ("asNumber", "nodeToNodeMesh", "logLevel", "ipip")


def complete_setting(ctx: Any, incomplete: str) -> list[str]:
    """Offer the settings of ``wren config``."""
    return [name for name in SETTINGS if name.startswith(incomplete)]


def complete_kind(ctx: Any, incomplete: str) -> list[str]:
    """Offer kinds, in lower case unless capitals were typed."""
    spelt = [kind if incomplete != incomplete.lower() else kind.lower() for kind in KINDS]
    return [kind for kind in spelt if kind.startswith(incomplete)]


def complete_names(ctx: Any, incomplete: str) -> list[str]:
    """Offer the names of resources of the kind that was typed before."""
    # Imported here: a kind is completed without reading a document.
    from speaker.config.kinds import find_kind

    kind = find_kind(str(ctx.params.get("kind") or ""))
    if kind is None:
        return []
    have = set(ctx.params.get("names") or ())
    found = _names(ctx).get(kind.value, [])
    return sorted(name for name in found if name.startswith(incomplete) and name not in have)


def complete_node(ctx: Any, incomplete: str) -> list[str]:
    """Offer the names of nodes."""
    return sorted(name for name in _names(ctx).get("Node", []) if name.startswith(incomplete))


def complete_peer(ctx: Any, incomplete: str) -> list[str]:
    """Offer the names of the running daemon's peers, and their addresses where one is begun."""
    from speaker.control.client import ask

    try:
        peers = ask(_run_dir(ctx), "status")["peers"]
    except (SpeakerError, OSError):
        return []
    names = [peer["name"] for peer in peers]
    if incomplete:
        names += [peer["address"] for peer in peers]
    return sorted(name for name in names if name.startswith(incomplete))


def _run_dir(ctx: Any) -> Path:
    given = ctx.params.get("run_dir") or os.environ.get("WREN_RUN_DIR")
    return Path(given) if given else default_run_dir()


def _names(ctx: Any) -> dict[str, list[str]]:
    from speaker.datastore.edition import look

    given = ctx.params.get("datastore") or os.environ.get("WREN_DATASTORE")
    found: dict[str, list[str]] = {}
    try:
        path = find_datastore(Path(given) if given else None, _run_dir(ctx))
        for kind, name in look(path).resources:
            found.setdefault(kind.value, []).append(name)
    except (SpeakerError, OSError, typer.BadParameter):
        return {}
    return found
