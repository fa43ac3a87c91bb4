"""Watching the kernel routes of a lab's node: whatever is removed meanwhile is known afterwards."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from lab import RunningNode
from lab.probes import wait_until

_FIRST, _LAST = "198.18.255.255", "198.18.255.254"


@dataclass(slots=True)
class Watch:
    """What `ip monitor route` has told of a node.

    Attributes:
        lines: in order, of all tables and both families.
    """

    lines: list[str] = field(default_factory=list)

    @property
    def removed(self) -> list[str]:
        """Give the lines of routes that were removed from the main table."""
        return [
            line.strip()
            for line in self.lines
            if line.startswith("Deleted ") and not line.startswith(_NOT_OURS)
        ]


_NOT_OURS = ("Deleted local", "Deleted broadcast", "Deleted multicast", "Deleted blackhole 198.18.")


def removed(watches: Mapping[str, Watch]) -> dict[str, list[str]]:
    """Give the nodes that lost routes, with them."""
    return {name: watch.removed for name, watch in watches.items() if watch.removed}


@contextmanager
def watched(*nodes: RunningNode) -> Iterator[dict[str, Watch]]:
    """Watch nodes for the time of a ``with`` block; afterwards everything is told."""
    with ExitStack() as stack:
        yield {node.name: stack.enter_context(_watched(node)) for node in nodes}


@contextmanager
def _watched(node: RunningNode) -> Iterator[Watch]:
    watch = Watch()
    monitor = node.inside(["stdbuf", "-oL", "ip", "monitor", "route"])
    with subprocess.Popen(monitor, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout
        reader = threading.Thread(target=lambda: watch.lines.extend(iter(output.readline, "")))
        reader.start()
        try:
            _hears(node, watch, _FIRST)
            yield watch
            _hears(node, watch, _LAST)
        finally:
            process.terminate()
            reader.join()


def _hears(node: RunningNode, watch: Watch, address: str) -> None:
    """Make a route and remove it until the monitor has told of it: so it hears, and heard all."""

    def heard() -> bool:
        node.execute(["ip", "route", "add", "blackhole", address])
        node.execute(["ip", "route", "del", "blackhole", address])
        return any(address in line for line in watch.lines)

    wait_until(heard, f"the routes of {node.name} are watched", nodes=[node])
