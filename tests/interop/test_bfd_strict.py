"""Strict mode beside BIRDs: one with BFD, and one that gets it later."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import RunningNode
from speaker.control.client import ask
from tests.support.birds import WREN, Bird, around, at
from tests.support.datastores import put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

BFD = 'protocol bfd { interface "*" { min rx interval 100 ms; min tx interval 100 ms; }; }\n'
WAITS = "waits for BFD to be up: is it on at the peer?"


def strict(number: int, how: str = "on") -> dict[str, Any]:
    keys = {
        "wren.bgp/connectRetry": "1",
        "wren.bgp/idleHold": "1,2",
        "wren.bgp/holdTime": "90",
        "wren.bgp/bfd": "on",
        "wren.bgp/bfdStrict": how,
        "wren.bgp/bfdTimers": "idle 1s",
    }
    return peer(f"b{number}", node="w", peerIP=at(number), asNumber=65000 + number, extensions=keys)


class World:
    """A Wren, a BIRD with BFD, and one without."""

    def __init__(self, wren: RunningNode, birds: dict[int, RunningNode], directory: Path) -> None:
        self.wren = wren
        self.birds = birds
        self.edited = Edited(wren, directory)

    def why(self, number: int) -> str:
        return str(ask(self.wren.home, "peer", name=at(number))["peer"]["why"])

    def states(self) -> dict[str, str]:
        shown = json.loads(wren_in(self.wren, "bfd", "-o", "json"))
        return {session["name"]: session["state"] for session in shown["sessions"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001), strict(2), strict(3))
    birds = {2: Bird(65002, lines="bfd on;", more={"extra": BFD}), 3: Bird(65003)}
    with lab_of(around(directory, birds)) as lab:
        yield World(lab.node("w"), {number: lab.node(f"b{number}") for number in birds}, directory)


def test_no_session_comes_up_before_bfd_does(world: World) -> None:
    world.edited.peers_up([at(2)])
    assert world.why(3).startswith(WAITS)
    assert WAITS in wren_in(world.wren, "peer", at(3))
    # Its own attempts are turned away, and it is told no more than that.
    log = world.birds[3].home / "b3.log"
    becomes("BIRD is refused", lambda: "Connection rejected" in log.read_text(), True)
    conf = world.birds[3].home / "bird.conf"
    conf.write_text(conf.read_text().replace("neighbor", "bfd on; neighbor", 1) + BFD)
    world.birds[3].execute(["birdc", "-s", str(world.birds[3].home / "bird.ctl"), "configure"])
    world.edited.peers_up([at(2), at(3)])


@pytest.mark.soak
def test_a_session_that_bfd_ended_waits_for_it(world: World) -> None:
    world.edited.peers_up([at(2)])
    planned = world.edited.edit(strict(2, "2"))
    assert planned["changes"][0]["description"].endswith("from its next session on; no reset")
    bird = world.birds[2]
    bird.signal(signal.SIGSTOP)
    try:
        becomes("it waits for BFD", lambda: WAITS in world.why(2), True)
        assert world.states()[at(2)] == "Down"
    finally:
        bird.signal(signal.SIGCONT)
    becomes("BFD is up, and has to stay so", lambda: "has to stay so for" in world.why(2), True)
    world.edited.peers_up([at(2)])
