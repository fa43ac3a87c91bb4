"""Looking at a laboratory: wait for a condition, read kernel routes, ping."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lab.errors import LabError
from lab.topology import Family

POLL = 0.05
"""Seconds between two looks."""


class Watched(Protocol):
    """What can be looked at: `lab.lab.RunningNode`, or whatever runs commands like one."""

    name: str

    def execute(self, argv: Sequence[str]) -> str:
        """Run a command there and give what it prints."""

    def last_words(self) -> str:
        """Give the end of its log."""


class StillNot(LabError):  # noqa: N818 - reads as what it says
    """A condition did not come true in time."""


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    seconds: float = 30.0,
    nodes: Sequence[Watched] = (),
) -> float:
    """Look again and again until a condition holds.

    Args:
        condition: looks once.
        what: is waited for, in words.
        seconds: at the most.
        nodes: whose last log lines tell what went wrong.

    Returns:
        How many seconds it took.

    Raises:
        StillNot: it did not hold in time.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            logs = "".join(f"\n--- {node.name}\n{node.last_words()}" for node in nodes)
            raise StillNot(f"still not after {seconds:.0f} s: {what}{logs}")
        time.sleep(POLL)
    return time.monotonic() - began


def holds_for(seconds: float, condition: Callable[[], bool]) -> bool:
    """Tell whether a condition holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(POLL)
    return True


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A route of the kernel.

    Attributes:
        gateways: of all hops, sorted; an on-link hop has none.
        protocol: as iproute2 names it.
        kind: ``unicast``, ``blackhole``, ``unreachable`` …
    """

    prefix: str
    gateways: tuple[str, ...]
    protocol: str
    kind: str = "unicast"
    metric: int = 0


def kernel_routes(node: Watched, family: Family) -> dict[str, KernelRoute]:
    """Read a node's main table, best metric of each prefix first."""
    said = node.execute(["ip", "-j", f"-{family.version}", "-d", "route", "show", "table", "main"])
    found: dict[str, KernelRoute] = {}
    for route in json.loads(said or "[]"):
        prefix = _prefix(route["dst"], family)
        hops = route.get("nexthops", [route])
        gateways = sorted(g for hop in hops if (g := _gateway(hop)))
        made = KernelRoute(
            prefix,
            tuple(gateways),
            route.get("protocol", ""),
            route.get("type", "unicast"),
            route.get("metric", 0),
        )
        old = found.get(prefix)
        if old is None:
            found[prefix] = made
        elif old.metric == made.metric:
            # Some releases of iproute2 tell each IPv6 hop as a route of its own.
            both = tuple(sorted({*old.gateways, *made.gateways}))
            found[prefix] = KernelRoute(prefix, both, old.protocol, old.kind, old.metric)
        elif made.metric < old.metric:
            found[prefix] = made
    return found


def _gateway(hop: dict[str, object]) -> str:
    via = hop.get("via")
    if isinstance(via, dict):
        return str(via.get("host", ""))
    return str(hop.get("gateway", ""))


def _prefix(text: str, family: Family) -> str:
    if text == "default":
        return "0.0.0.0/0" if family is Family.IPV4 else "::/0"
    if "/" in text:
        return text
    return f"{text}/{32 if family is Family.IPV4 else 128}"


def ping(node: Watched, address: str, *, source: str | None = None, count: int = 1) -> bool:
    """Tell whether a ping from a node is answered."""
    argv = ["ping", "-q", "-n", "-c", str(count), "-i", "0.2", "-W", "1"]
    argv += ["-I", source] if source else []
    try:
        node.execute([*argv, address])
    except LabError:
        return False
    return True
