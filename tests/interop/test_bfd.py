"""BFD with BIRD and with FRR's bfdd, in network namespaces."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import RunningNode
from tests.support.bfd import FRR_PATIENT, birds_view, protocol, sessions, state, watched
from tests.support.bfdd import bfdd, vtysh
from tests.support.birds import WREN, Bird, around, at
from tests.support.datastores import log_of, put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]


class World:
    """A Wren, a BIRD with BFD, and one without."""

    def __init__(self, wren: RunningNode, bird: RunningNode, directory: Path) -> None:
        self.wren = wren
        self.bird = bird
        self.edited = Edited(wren, directory)
        self.directory = directory


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))
    put(directory, watched(2), watched(3))
    birds = {
        2: Bird(65002, lines="bfd on;", more={"extra": protocol()}),
        3: Bird(65003),
    }
    with lab_of(around(directory, birds)) as lab:
        world = World(lab.node("w"), lab.node("b2"), directory)
        world.edited.peers_up([at(2), at(3)])
        becomes("BFD is up", lambda: state(world.wren, 2), "Up")
        yield world


def test_both_ends_agree_on_timers(world: World) -> None:
    """RFC 5880 §6.8.4, §6.8.7: the slower wish counts, times the sender's multiplier."""
    becomes("BIRD agrees", lambda: birds_view(world.bird), ["Up", "0.150", "0.500"])
    session = sessions(world.wren)[at(2)]
    agreed = {
        "txIntervalUs": 100_000,
        "rxIntervalUs": 150_000,
        "detectionTimeUs": 600_000,
        "diagnostic": "No Diagnostic",
        "remoteState": "Up",
        "interface": "eth0",
        "polling": False,
        "discarded": {},
    }
    assert {name: session[name] for name in agreed} == agreed
    table = wren_in(world.wren, "bfd").splitlines()
    assert table[0].split()[:4] == ["PEER", "INTERFACE", "STATE", "SINCE"]
    assert table[1].split()[:3] == [at(2), "eth0", "Up"]


def test_an_edit_of_timers_is_told_by_a_poll_sequence(world: World) -> None:
    """RFC 5880 §6.8.3; neither session notices."""
    before = world.edited.since()
    interfaces = [
        {"matchPattern": "bond*", "multiplier": 9},
        {
            "matchPattern": "eth0",
            "minimumSendInterval": "250ms",
            "minimumRecvInterval": "400ms",
            "multiplier": 3,
        },
    ]
    put(world.directory, document("BFDConfiguration", "slow", {"interfaces": interfaces}))
    becomes("BIRD agrees", lambda: birds_view(world.bird), ["Up", "0.400", "0.750"])
    session = sessions(world.wren)[at(2)]
    assert (session["txIntervalUs"], session["detectionTimeUs"]) == (250_000, 1_600_000)
    assert session["downs"] == 0
    assert world.edited.since() == before


def test_a_peer_without_bfd_has_its_session_all_the_same(world: World) -> None:
    assert state(world.wren, 3) == "Down"
    assert at(3) in world.edited.since()


def test_a_peer_that_stands_still_is_found_out(world: World) -> None:
    """Within one and a half times the detection time, where the hold time is 90 s.

    By the clock of the process: from the last packet to the change of state.
    """
    world.bird.signal(signal.SIGSTOP)
    try:
        becomes("the session is gone", lambda: at(2) in world.edited.since(), False)
        log = log_of(world.wren)
        assert "Cease/BFD Down" in log or "Cease/Hard Reset" in log
        session = sessions(world.wren)[at(2)]
        assert session["diagnostic"] == "Control Detection Time Expired"
        assert 0.6 <= session["silence"] < 1.5 * 0.6
    finally:
        world.bird.signal(signal.SIGCONT)
    world.edited.peers_up([at(2), at(3)])
    becomes("BFD is up again", lambda: state(world.wren, 2), "Up")
    assert sessions(world.wren)[at(2)]["downs"] >= 1


def test_a_peer_that_is_watched_no_more_is_told_so(world: World) -> None:
    """Its session goes on here; BIRD 2 takes AdminDown for a failure, and begins another."""
    put(world.directory, watched(2, failureDetectionMode="None"))
    becomes("BIRD is told", lambda: birds_view(world.bird)[0], "Down")
    becomes("it is not watched", lambda: state(world.wren, 2), None)
    put(world.directory, watched(2))
    becomes("it is watched again", lambda: state(world.wren, 2), "Up")
    assert "BFD Down" not in log_of(world.wren)


def test_a_process_that_was_kept_from_running_takes_nobody_for_dead(world: World) -> None:
    """For longer than our detection time, 600 ms, and less than BIRD's, which is set to 20 s."""
    patient = {"interfaces": [{"multiplier": 200}]}
    put(world.directory, document("BFDConfiguration", "patient", patient))
    becomes("BIRD is patient", lambda: birds_view(world.bird), ["Up", "0.150", "20.000"])
    before = world.edited.since()
    pid = str(json.loads(wren_in(world.wren, "bfd", "-o", "json"))["process"]["pid"])
    world.wren.execute(["kill", "-STOP", pid])
    time.sleep(1.2)  # it is time itself that passes unnoticed
    world.wren.execute(["kill", "-CONT", pid])
    process = json.loads(wren_in(world.wren, "bfd", "-o", "json"))["process"]
    assert process["spared"] >= 1
    assert process["latest"] >= 1.0
    assert sessions(world.wren)[at(2)]["downs"] == 0
    assert world.edited.since() == before


def test_a_process_that_is_killed_takes_no_session_along(world: World) -> None:
    before = world.edited.since()
    shown = json.loads(wren_in(world.wren, "bfd", "-o", "json"))["process"]
    world.wren.execute(["kill", "-9", str(shown["pid"])])

    def is_another() -> bool:
        now = json.loads(wren_in(world.wren, "bfd", "-o", "json"))["process"]
        return now is not None and now["pid"] != shown["pid"] and state(world.wren, 2) == "Up"

    becomes("another watches", is_another, True)
    assert world.edited.since() == before


@pytest.fixture
def beside_frr(tmp_path: Path) -> Iterator[World]:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))
    put(directory, watched(4))
    # Neither end is to lose the other on a machine that is busy with other tests.
    put(directory, document("BFDConfiguration", "patient", {"interfaces": [{"multiplier": 30}]}))
    frr = {
        "kind": "frr",
        "asn": 65004,
        "at": f"{at(4)}/24",
        "peers": [{"address": WREN, "asn": 65001, "families": ["ipv4"], "hold_time": 90}],
    }
    with lab_of(around(directory, {}, {"f": frr})) as lab, bfdd(lab.node("f"), FRR_PATIENT):
        world = World(lab.node("w"), lab.node("f"), directory)
        lines = ("configure terminal", "router bgp 65004")
        vtysh(world.bird, *lines, f"neighbor {WREN} bfd profile quick")
        world.edited.peers_up([at(4)])
        becomes("BFD is up", lambda: state(world.wren, 4), "Up")
        yield world


def test_frr_agrees_on_timers_and_their_changes(beside_frr: World) -> None:
    """RFC 5880 §6.5, §6.8.3: a change while the session is Up, by a Poll Sequence."""
    wren, frr = beside_frr.wren, beside_frr.bird

    def agreed() -> tuple[int, int, int]:
        session = sessions(wren)[at(4)]
        return session["txIntervalUs"], session["rxIntervalUs"], session["detectionTimeUs"]

    becomes("timers are agreed", agreed, (120_000, 80_000, 2_400_000))
    profile = ("configure terminal", "bfd", "profile quick")
    vtysh(frr, *profile, "receive-interval 400", "transmit-interval 300")
    becomes("the slower ones too", agreed, (400_000, 300_000, 9_000_000))
    vtysh(frr, *profile, "receive-interval 50", "transmit-interval 60")
    becomes("and faster ones", agreed, (100_000, 60_000, 1_800_000))
    [said] = json.loads(vtysh(frr, "show bfd peers json"))
    assert (said["status"], said["remote-transmit-interval"]) == ("up", 100)
    assert sessions(wren)[at(4)]["downs"] == 0


def test_frr_that_is_shut_down_by_hand_keeps_its_session_here(beside_frr: World) -> None:
    """RFC 5882 §3.2: AdminDown is no failure to Wren."""
    wren, frr = beside_frr.wren, beside_frr.bird
    vtysh(frr, "configure terminal", "bfd", "profile quick", "shutdown")
    becomes("it is down", lambda: state(wren, 4), "Down")
    assert sessions(wren)[at(4)]["diagnostic"] == "Neighbor Signaled Session Down"
    assert "has ended BFD on purpose" in log_of(wren)
    assert "BFD Down" not in log_of(wren)


ALONE = """
import asyncio, json, sys
from fsm.bfd import Authentication, AuthType, Settings
from speaker.bfd.client import BfdClient
from speaker.bfd.words import Watch

async def main(kind, *watches):
    auth = Authentication(AuthType(int(kind)), {3: b"secret"}, 3) if int(kind) else None
    settings = Settings(100_000, 100_000, 3, authentication=auth)
    client = BfdClient(lambda verdict: None)
    for watch in watches:
        client.watch(Watch(*json.loads(watch), settings=settings))
    while True:
        shown = await client.show() or {"sessions": []}
        print(json.dumps({s["name"]: [s["state"], s["discarded"]] for s in shown["sessions"]}))
        sys.stdout.flush()
        await asyncio.sleep(0.1)

asyncio.run(main(*sys.argv[1:]))
"""
"""A client of the BFD process without a router around it."""

WATCHES = [
    ["v4", "172.31.0.2", "172.31.0.1", "eth0"],
    ["v6", "fd31::2", "fd31::1", "eth0"],
    ["ll", "fe80::2", "fe80::1", "eth0"],
    ["far", "10.2.0.1", "10.1.0.1", None, True],
]

BIRDS = """
protocol bfd alone {
  interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; AUTH };
  multihop { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; AUTH };
  neighbor 172.31.0.1 dev "eth0" local 172.31.0.2;
  neighbor fd31::1 dev "eth0" local fd31::2;
  neighbor fe80::1 dev "eth0" local fe80::2;
  neighbor 10.1.0.1 local 10.2.0.1 multihop on;
}
"""

KINDS = {
    "none": 0,
    "simple": 1,
    "keyed md5": 2,
    "meticulous keyed md5": 3,
    "keyed sha1": 4,
    "meticulous keyed sha1": 5,
}


@pytest.mark.parametrize("kind", KINDS)
def test_sessions_of_every_kind_come_up_with_bird(kind: str) -> None:
    """RFC 5880 §6.7, RFC 5881, RFC 5883: IPv4, IPv6, link-local, far, with keys."""
    auth = f'authentication {kind}; password "secret" {{ id 3; }};' if KINDS[kind] else ""
    topology = {
        "nodes": {
            "w": {"kind": "host", "addresses": ["10.1.0.1/32"]},
            "b": {
                "kind": "bird",
                "asn": 65002,
                "addresses": ["10.2.0.1/32"],
                "extra": BIRDS.replace("AUTH", auth),
            },
        },
        "links": [
            {
                "w": ["172.31.0.1/24", "fd31::1/64", "fe80::1/64"],
                "b": ["172.31.0.2/24", "fd31::2/64", "fe80::2/64"],
            }
        ],
    }
    with lab_of(json.dumps(topology)) as lab:
        w, b = lab.node("w"), lab.node("b")
        w.execute(["ip", "route", "add", "10.2.0.1", "via", "172.31.0.2"])
        b.execute(["ip", "route", "add", "10.1.0.1", "via", "172.31.0.1"])
        watches = [json.dumps(watch) for watch in WATCHES]
        argv = [sys.executable, "-c", ALONE, str(KINDS[kind]), *watches]
        alone = subprocess.Popen(w.inside(argv), stdout=subprocess.PIPE, text=True)
        assert alone.stdout is not None
        try:
            wanted = {name: ["Up", {}] for name in ("v4", "v6", "ll", "far")}
            lines = alone.stdout
            becomes("all are up", lambda: json.loads(lines.readline()), wanted)
            # And stay so for some detection times.
            for _ in range(10):
                assert json.loads(lines.readline()) == wanted
        finally:
            alone.kill()
            alone.wait()
            alone.stdout.close()
