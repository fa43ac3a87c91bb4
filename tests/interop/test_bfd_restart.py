"""Wren restarts while BFD watches it, beside BIRD and FRR: neither of them notices by BFD.

RFC 5882 §4.3: the process of BFD does not share the fate of its control plane.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import RunningNode
from lab.processes import identify, wait_gone
from tests.support.bfd import FRR_PATIENT, PATIENT, protocol, sessions, shown, state, watched
from tests.support.bfdd import bfdd, vtysh
from tests.support.birds import WREN, around, at
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.heirs import heirs
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, settings
from tests.support.restarters import restarting
from tests.support.traffic import Flow, flowing, lost
from tests.support.watching import removed
from tests.support.watching import watched as routes_watched

pytestmark = [pytest.mark.netns, pytest.mark.interop]


class World:
    """Wren in the middle, a BIRD and an FRR that keep its routes while it restarts."""

    def __init__(self, wren: RunningNode, bird: RunningNode, frr: RunningNode, home: Path) -> None:
        self.wren, self.bird, self.frr = wren, bird, frr
        self.edited = Edited(wren, home)

    def process(self) -> dict[str, Any]:
        """Tell of Wren's process of BFD."""
        return dict(shown(self.wren)["process"] or {})

    def told_by_peers(self) -> list[Any]:
        """Give what BIRD and FRR say of their BFD sessions: that they are up, and since when."""
        ask = ["birdc", "-s", str(self.bird.home / "bird.ctl"), "show", "bfd", "sessions"]
        [bird] = [line for line in self.bird.execute(ask).splitlines() if line.startswith(WREN)]
        _, _, at_bird, since, *_ = bird.split()
        hours, minutes, seconds = map(float, since.split(":"))
        # It reads its clock anew each time, and may be a millisecond off.
        moment = pytest.approx(hours * 3600 + minutes * 60 + seconds, abs=0.1)
        [told] = json.loads(vtysh(self.frr, "show bfd peers json"))
        # FRR says how long ago that was, in whole seconds; what it has counted is exact.
        [counters] = json.loads(vtysh(self.frr, "show bfd peers counters json"))
        moves = [counters["session-up"], counters["session-down"]]
        return [at_bird, moment, told["status"], *moves, told["remote-id"]]

    def is_back(self) -> None:
        self.edited.peers_up([at(2), at(4)])
        becomes(
            "BFD is watched", lambda: [state(self.wren, number) for number in (2, 4)], ["Up"] * 2
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    plain = {"wren.bgp/policy": "plain", "wren.bgp/networks": "10.1.0.0/24"}
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=plain))
    for number in (2, 4):
        peer = watched(number)
        peer["spec"]["extensions"]["wren.bgp/bfdTimers"] = "multiplier 30"
        put(directory, peer)
    bird: dict[str, Any] = {
        "kind": "bird",
        "asn": 65002,
        "at": f"{at(2)}/24",
        "extra": protocol(PATIENT),
    }
    frr: dict[str, Any] = {"kind": "frr", "asn": 65004, "at": f"{at(4)}/24"}
    nodes = {"b": bird, "f": frr}
    for number, other in zip((2, 4), nodes.values(), strict=True):
        other["networks"] = [f"10.{number}.0.0/24"]
        other["addresses"] = [f"10.{number}.0.1/32"]
        other["peers"] = [{"address": WREN, "asn": 65001, "families": ["ipv4"], "hold_time": 90}]
    bird["peers"][0]["extra"] = "bfd on; graceful restart on;"
    with lab_of(around(directory, {}, nodes)) as lab, bfdd(lab.node("f"), FRR_PATIENT):
        found = World(lab.node("w"), lab.node("b"), lab.node("f"), directory)
        vtysh(
            found.frr,
            *("configure terminal", "router bgp 65004"),
            f"neighbor {WREN} bfd profile quick",
        )
        found.is_back()
        process = found.process()["pid"]
        yield found
    # Whoever's speaker is gone goes with the lab all the same.
    assert identify(process) is None


def by_kill(world: World) -> None:
    """Kill the speaker alone, where a node's `kill` ends its children as well."""
    programs = world.wren.programs()
    world.wren.signal(signal.SIGKILL)
    assert wait_gone(programs, 10) == []
    world.wren.start()


@contextmanager
def undisturbed(world: World) -> Iterator[None]:
    """See to it that a block costs no packet and no route, and that no BFD session moves."""
    before, ours = world.told_by_peers(), sessions(world.wren)
    process = world.process()["pid"]
    nodes = (world.wren, world.bird, world.frr)
    flow = Flow(world.bird, "10.2.0.1", world.frr, "10.4.0.1")
    with routes_watched(*nodes) as watches, flowing([flow, flow.back]) as counts:
        yield
        world.is_back()
        becomes("the restart is over", lambda: restarting(world.wren), [])
    assert (lost(counts), removed(watches)) == ({}, {})
    assert world.told_by_peers() == before
    assert world.process()["pid"] == process
    for name, session in sessions(world.wren).items():
        same = ("since", "downs", "discriminator", "remoteDiscriminator")
        assert [session[key] for key in same] == [ours[name][key] for key in same]


def test_a_kill_and_a_take_over_are_not_noticed_by_bfd(world: World) -> None:
    """The peers' sessions are the same ones afterwards."""
    with undisturbed(world):
        by_kill(world)
    with heirs(world.wren) as start, undisturbed(world):
        start().wait_until_it_runs()


@pytest.mark.soak
def test_a_planned_restart_is_not_noticed_by_bfd(world: World) -> None:
    with undisturbed(world):
        world.wren.restart()
