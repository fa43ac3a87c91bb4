"""A Wren with many BFD sessions to a BIRD, some of them fast, and how its BFD process fares."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import RunningNode
from speaker.cli.bfd import late_at_most
from speaker.control.views import BfdProcessView
from tests.support.datastores import put, wren_in
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node, peer, settings

FEEDER = 65009
WREN, SENDER = "172.31.9.1", "172.31.9.2"
"""Of the link to a host that may feed Wren with routes."""

FAST = (100, 50)
"""Milliseconds of the sessions of either link, three of which are the detection time."""

PATIENT = (300, 200)
"""The same for a machine that has other tests to run; less than the speaker stands still."""


def ends(number: int) -> tuple[str, str]:
    """Give Wren's and BIRD's address of a session."""
    return f"10.99.{number}.1", f"10.99.{number}.2"


class Crowd:
    """The nodes, and what Wren says of its sessions."""

    def __init__(self, wren: RunningNode, bird: RunningNode, host: RunningNode) -> None:
        self.wren, self.bird, self.host = wren, bird, host

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(wren_in(self.wren, "bfd", "-o", "json"))
        return found

    def up(self) -> int:
        return sum(each["state"] == "Up" for each in self.shown()["sessions"])

    def falls(self) -> dict[str, tuple[int, str]]:
        """Give the sessions that have left Up: how often, and why last."""
        sessions = self.shown()["sessions"]
        return {s["name"]: (s["downs"], s["diagnostic"]) for s in sessions if s["downs"]}


class Meter:
    """What the BFD process used and how late it ran, from now on."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._before = self._look()

    def _look(self) -> tuple[dict[str, Any], int, int]:
        """Give the process, its time on a processor and the time, in nanoseconds."""
        shown = self._crowd.shown()
        stat = Path(f"/proc/{shown['process']['pid']}/schedstat").read_text(encoding="ascii")
        uptime = Path("/proc/uptime").read_text(encoding="ascii").split()[0]
        return shown, int(stat.split()[0]), int(float(uptime) * 1e9)

    def figures(self) -> str:
        """Say it in a line."""
        (old, used, began), (new, now_used, now) = self._before, self._look()
        packets = sum(s["received"] + s["sent"] for s in new["sessions"])
        packets -= sum(s["received"] + s["sent"] for s in old["sessions"])
        process: BfdProcessView = new["process"]
        counts = [
            b - a for a, b in zip(old["process"]["lateness"], process["lateness"], strict=True)
        ]
        since: BfdProcessView = {**process, "lateness": counts}
        seconds = (now - began) / 1e9
        return (
            f"{len(new['sessions'])} sessions, {seconds:.0f} s,"
            f" {packets / seconds:.0f} packets/s: {(now_used - used) / (now - began):.1%} of a"
            f" processor; late p50 < {late_at_most(since, 0.5)}, p99 < {late_at_most(since, 0.99)},"
            f" max {process['latest'] * 1000:.1f}ms; spared {process['spared']},"
            f" late packets {sum(s['late'] for s in new['sessions'])}, unread {process['unread']}"
        )


def topology(directory: Path, slow: int, fast: int, timers: tuple[int, int]) -> str:
    sessions = [ends(number) for number in range(slow + fast)]
    neighbors = [
        f'neighbor {ours} dev "eth{int(number >= slow)}" local {theirs};'
        for number, (ours, theirs) in enumerate(sessions)
    ]
    interfaces = [
        f'interface "eth{number}" {{ interval {ms} ms; multiplier 3; }};'
        for number, ms in enumerate(timers)
    ]
    protocol = f"protocol bfd {{ {' '.join([*interfaces, *neighbors])} }}"
    places = [sessions[:slow], sessions[slow:]]
    links: list[dict[str, list[str]]] = [
        {"w": [f"{ours}/30" for ours, _ in place], "b": [f"{theirs}/30" for _, theirs in place]}
        for place in places
    ]
    links.append({"w": [f"{WREN}/24"], "f": [f"{SENDER}/24"]})
    nodes = {
        "w": {"kind": "wren", "datastore": str(directory)},
        "b": {"kind": "bird", "asn": 65002, "extra": protocol},
        "f": {"kind": "host"},
    }
    return json.dumps({"nodes": nodes, "links": links})


@contextmanager
def crowd(directory: Path, slow: int, fast: int, timers: tuple[int, int] = FAST) -> Iterator[Crowd]:
    """Have so many sessions Up on either link."""
    passive = {"wren.bgp/passive": "true"}
    common = {"node": "w", "sourceAddress": "None", "extensions": passive}
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))
    interfaces = [
        {
            "matchPattern": f"eth{number}",
            "minimumSendInterval": f"{ms}ms",
            "minimumRecvInterval": f"{ms}ms",
            "multiplier": 3,
            "idleSendInterval": "1s",
        }
        for number, ms in enumerate(timers)
    ]
    put(directory, document("BFDConfiguration", "default", {"interfaces": interfaces}))
    put(directory, peer("feeder", peerIP=SENDER, asNumber=FEEDER, **common))
    for number in range(slow + fast):
        watched = {**common, "failureDetectionMode": "BFDIfDirectlyConnected"}
        put(directory, peer(f"p{number}", peerIP=ends(number)[1], asNumber=65002, **watched))
    with lab_of(topology(directory, slow, fast, timers)) as lab:
        made = Crowd(lab.node("w"), lab.node("b"), lab.node("f"))
        # The far end runs when it is due: what is measured is ours.
        for program in made.bird.programs():
            for task in os.listdir(f"/proc/{program.pid}/task"):
                os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(2))
        becomes("all are up", made.up, slow + fast, seconds=60)
        yield made
