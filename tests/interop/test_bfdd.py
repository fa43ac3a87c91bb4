"""FRR's bfdd as the witness of Wren's peers, in place of its own process.

Beside Wren run zebra and bfdd; the peers are BIRDs, one on a link, one behind a router.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lab import RunningNode
from speaker.control.client import ask
from tests.support.bfdd import vtysh, zebra_and_bfdd
from tests.support.birds import WREN, Bird, around, at
from tests.support.datastores import log_of, put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

TIMERS = "min rx interval 150 ms; min tx interval 120 ms; multiplier 5;"
BFD = 'protocol bfd { interface "*" { ' + TIMERS + " }; }\n"
ALONE = BFD.replace(" }; }", f' }}; neighbor {WREN} dev "eth0" local {at(4)}; }}')
"""A session that nobody there asks for, so that its end ends nothing."""


def watched(number: int, **more: str) -> dict[str, Any]:
    keys = {
        "wren.bgp/connectRetry": "1",
        "wren.bgp/idleHold": "1,2",
        "wren.bgp/holdTime": "90",
        "wren.bgp/bfd": "on",
        "wren.bgp/bfdTimers": "send 200ms, receive 100ms, multiplier 10",
        **more,
    }
    return peer(f"b{number}", node="w", peerIP=at(number), asNumber=65000 + number, extensions=keys)


class World:
    """A Wren, a BIRD with BFD, one that is to have keys, and one with BFD that no BGP asks for."""

    def __init__(self, wren: RunningNode, bird: RunningNode, directory: Path, frr: Path) -> None:
        self.wren = wren
        self.bird = bird
        self.frr = frr
        self.edited = Edited(wren, directory)

    def frr_runs(self) -> AbstractContextManager[Path]:
        """Run zebra and bfdd beside Wren."""
        return zebra_and_bfdd(self.wren, self.frr)

    def view(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(wren_in(self.wren, "bfd", "-o", "json"))
        return found

    def session(self, number: int = 2) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {s["name"]: s for s in self.view()["sessions"]}
        return found[at(number)]

    def state(self, number: int = 2) -> str:
        return str(self.session(number)["state"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))
    keyed = watched(3, **{"wren.bgp/bfdAuth": "keyed-sha1 1 s/k"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    put(directory, watched(2), watched(4), keyed, {**secret, "stringData": {"k": "hush"}})
    birds = {
        2: Bird(65002, lines="bfd on;", more={"extra": BFD}),
        3: Bird(65003),
        4: Bird(65004, more={"extra": ALONE}),
    }
    # Where FRR's own user may go, and Wren sees it.
    with TemporaryDirectory() as home:
        args = ["--bfd", f"frr:{home}/bfdd.sock"]
        with lab_of(around(directory, birds, args=args)) as lab:
            yield World(lab.node("w"), lab.node("b2"), directory, Path(home))


def test_bfdd_watches_and_finds_out(world: World) -> None:
    # Before bfdd is there sessions come up all the same, and it is said clearly.
    world.edited.peers_up([at(2), at(3), at(4)])
    assert "no such file or directory" in wren_in(world.wren, "bfd")
    assert "nobody counts as down meanwhile" in log_of(world.wren)
    with world.frr_runs():
        becomes("BFD is up", world.state, "Up")

        def agreed() -> tuple[int, int, int]:
            session = world.session()
            return session["txIntervalUs"], session["rxIntervalUs"], session["detectionTimeUs"]

        becomes("timers are those of both", agreed, (200_000, 120_000, 600_000))
        assert "watched by FRR's bfdd at" in wren_in(world.wren, "bfd")
        assert f"BFD does not watch {at(3)}: FRR's bfdd has no keys" in log_of(world.wren)
        world.edited.edit(watched(2, **{"wren.bgp/bfdTimers": "send 300ms, multiplier 10"}))
        becomes("an edit is followed", lambda: world.session()["txIntervalUs"], 300_000)
        world.bird.signal(signal.SIGSTOP)
        try:
            becomes("the session is gone", lambda: at(2) in world.edited.since(), False)
            assert "Control Detection Time Expired" in log_of(world.wren)
            assert at(3) in world.edited.since()
        finally:
            world.bird.signal(signal.SIGCONT)
        world.edited.peers_up([at(2), at(3), at(4)])
        becomes("BFD is up again", world.state, "Up")
        world.edited.edit(watched(2, **{"wren.bgp/bfd": "off"}))

        def kept() -> list[str]:
            found = json.loads(vtysh(world.wren, "show bfd peers json", home=world.frr))
            return [session["peer"] for session in found]

        becomes("bfdd forgets", kept, [at(4)])


@pytest.mark.soak
def test_nobody_is_down_because_bfdd_is_gone(world: World) -> None:
    """Nor because its peer's BFD is for a moment, whose BGP asks nothing of it."""
    more = {"wren.bgp/bfdTimers": "send 200ms, multiplier 25", "wren.bgp/bfdStrict": "on"}
    world.edited.edit(watched(4, **more))
    for word in ("disable", "enable"):
        wren_in(world.wren, word, at(4))

    def why() -> str:
        return str(ask(world.wren.home, "peer", name=at(4))["peer"]["why"])

    becomes("it waits for bfdd", lambda: "does not watch the peer: no such file" in why(), True)
    with world.frr_runs():
        world.edited.peers_up([at(2), at(3), at(4)])
        becomes("BFD is up", lambda: world.state(4), "Up")
        before = world.edited.since()
    becomes("bfdd is gone", lambda: world.view()["trouble"] != "", True)
    with world.frr_runs():
        becomes("it is found again", lambda: world.view()["trouble"], "")
        becomes("BFD is up", lambda: world.state(4), "Up")
        assert world.edited.since()[at(4)] == before[at(4)]
