"""BIRDs around a Wren node on one segment, and what one of them tells.

Wren ``w`` is at .1 and runs on a directory of resources; the BIRDs are named after their last
number. What each of them takes Wren for is said beside it, since that is what tests change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import RunningNode

WREN, WREN_AS = "172.31.0.1", 65001

QUICK = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2", "wren.bgp/holdTime": "9"}
"""Keys of a BGPPeer whose session comes soon."""


@dataclass(frozen=True)
class Bird:
    """One BIRD.

    Attributes:
        asn: its own AS.
        sees: the AS that it takes Wren for.
        at: the address at which it expects Wren.
        passive: it waits for Wren.
        lines: of its session.
        addresses: on its ``lo``.
        more: further keys of its node in the topology.
    """

    asn: int
    sees: int = WREN_AS
    at: str = WREN
    passive: bool = False
    lines: str = ""
    addresses: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def at(number: int) -> str:
    """Give a BIRD's address on the segment."""
    return f"172.31.0.{number}"


def two(number: int) -> list[str]:
    """Give what a BIRD announces."""
    return [f"10.{number}.0.0/24", f"10.{number}.1.0/24"]


def around(
    directory: Path, birds: Mapping[int, Bird], nodes: Mapping[str, Any] | None = None, **w: Any
) -> str:
    """Write the topology.

    Args:
        directory: Wren's resources.
        birds: by last number of their addresses.
        nodes: further nodes, each with its address on the segment as ``at``.
        w: further keys of Wren's node.
    """
    written: dict[str, Any] = {"w": {"kind": "wren", "datastore": str(directory), **w}}
    lan = {"w": [f"{WREN}/24"]}
    for number, bird in birds.items():
        peer = {"address": bird.at, "asn": bird.sees, "families": ["ipv4"], "hold_time": 9}
        written[f"b{number}"] = {
            "kind": "bird",
            "asn": bird.asn,
            "networks": two(number),
            "addresses": list(bird.addresses),
            "peers": [{**peer, "passive": bird.passive, "extra": bird.lines}],
            **bird.more,
        }
        lan[f"b{number}"] = [f"{at(number)}/24"]
    for name, node in (nodes or {}).items():
        written[name] = {key: value for key, value in node.items() if key != "at"}
        lan[name] = [node["at"]]
    return json.dumps({"nodes": written, "segments": {"lan": lan}})


def told(node: RunningNode, prefix: str) -> dict[str, str] | None:
    """Ask a BIRD for the attributes of its best route to a prefix; None where it has none."""
    ask = ["birdc", "-s", str(node.home / "bird.ctl"), "show", "route", "all", "primary"]
    blocks = re.split(r"^(?=\S+/\d+ )", node.execute(ask), flags=re.MULTILINE)
    lines = [
        line.strip()
        for block in blocks
        if block.startswith(f"{prefix} ")
        for line in block.splitlines()
    ]
    pairs = (line.removeprefix("BGP.").partition(": ") for line in lines if line[:4] == "BGP.")
    return {name: value.strip() for name, _, value in pairs} or None
