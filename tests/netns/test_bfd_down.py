"""What follows when BFD finds a peer gone, in its order: the kernel's next hop first of all."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.bfd import protocol, state, watched
from tests.support.birds import WREN, Bird, around, at
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

SHARED = [f"10.50.{number}.0/24" for number in range(200)]
ONLY = [f"10.60.{number}.0/24" for number in range(200)]
PROBE = "198.51.100.0/24"


def test_packets_leave_a_dead_next_hop_before_a_single_route_is_touched(tmp_path: Path) -> None:
    """One message about the group of next hops comes before all those about routes."""
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    plain = {"wren.bgp/policy": "plain"}
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=plain))
    put(directory, watched(2), watched(3))
    extra = {"extra": protocol()}
    birds = {
        2: Bird(65002, lines="bfd on;", more={**extra, "networks": SHARED + ONLY}),
        3: Bird(65003, lines="bfd on;", more={**extra, "networks": SHARED}),
    }
    with lab_of(around(directory, birds)) as lab:
        w = lab.node("w")
        Edited(w, directory).peers_up([at(2), at(3)])
        becomes("BFD is up", lambda: [state(w, 2), state(w, 3)], ["Up", "Up"])

        def gateways() -> list[list[str]]:
            routes = json.loads(w.execute(["ip", "-j", "route", "show", "proto", "bird"]) or "[]")
            ways = {r["dst"]: [h["gateway"] for h in r.get("nexthops", [r])] for r in routes}
            return [sorted(ways.get(prefix, [])) for prefix in (SHARED[0], SHARED[-1], ONLY[-1])]

        becomes("two share", gateways, [[at(2), at(3)], [at(2), at(3)], [at(2)]])
        heard = tmp_path / "heard"
        with heard.open("wb") as out:
            argv = w.inside(["stdbuf", "-oL", "ip", "monitor", "nexthop", "route"])
            monitor = subprocess.Popen(argv, stdout=out)
        try:

            def hears() -> bool:
                for word in ("add", "del"):
                    w.execute(["ip", "route", word, "blackhole", PROBE])
                return PROBE in heard.read_text()

            becomes("it hears", hears, True)
            before = len(heard.read_text())
            lab.node("b2").signal(signal.SIGSTOP)
            try:
                becomes("one is left", gateways, [[at(3)], [at(3)], []])
            finally:
                lab.node("b2").signal(signal.SIGCONT)
            told = heard.read_text()[before:].splitlines()
            # The last of the probes may have come late.
            lines = [line for line in told if PROBE not in line]
        finally:
            monitor.terminate()
            monitor.wait()
        first = [what(line) for line in lines]
        groups = [number for number, kind in enumerate(first) if kind == "group"]
        deleted = [number for number, kind in enumerate(first) if kind == "deleted route"]
        assert groups
        assert len(deleted) >= len(ONLY)
        assert groups[0] < deleted[0], lines[: deleted[0] + 1]


def what(line: str) -> str:
    """Say what a line of the monitor is about."""
    is_gone = line.startswith("Deleted")
    if re.match(r"(Deleted )?id \d+ .*group", line):
        return "group"
    if re.match(r"(Deleted )?id \d+", line):
        return "next hop"
    return "deleted route" if is_gone else "route"
