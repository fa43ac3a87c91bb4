"""The keys ``wren.bgp/bfd…`` with BIRD: behind a router in both families, and on a link by its
link-local address; keys that change, and a wrong one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import RunningNode
from tests.support.bfdd import bfdd, vtysh
from tests.support.datastores import log_of, put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.link_local import begin_again, keep_only_ours
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

OURS = {4: "172.31.1.1", 6: "fd31:1::1"}
FAR = {4: "172.31.2.2", 6: "fd31:2::2"}
NEAR = "fe80::2%eth1"
ALL = [*FAR.values(), NEAR]

BFD = """
protocol bfd {{
  accept {accept};
  {place} {{ min rx interval 200 ms; min tx interval 100 ms; multiplier 10;
    authentication {kind}; {keys} }};
}}
"""


def far_lines(keys: Mapping[int, str]) -> str:
    """Write the part of BIRD that signs with the first key, and accepts all."""
    words = " ".join(f'password "{key}" {{ id {number}; }};' for number, key in keys.items())
    kind = "meticulous keyed sha1"
    return BFD.format(accept="multihop", place="multihop", kind=kind, keys=words)


def near_lines() -> str:
    keys = 'password "near" { id 0; };'
    return BFD.format(accept="direct", place='interface "*"', kind="simple", keys=keys)


def topology(directory: Path) -> str:
    def session(address: str, family: str, lines: str, **more: str) -> dict[str, Any]:
        made = {"address": address, "asn": 65001, "hold_time": 90, "families": [family]}
        return {**made, "extra": f"bfd on; {lines}", **more}

    nodes = {
        "w": {
            "kind": "wren",
            "datastore": str(directory),
            "gateways": ["172.31.1.254", "fd31:1::ff"],
        },
        "hop": {"kind": "host"},
        "far": {
            "kind": "bird",
            "asn": 65002,
            "gateways": ["172.31.2.254", "fd31:2::ff"],
            "peers": [
                session(OURS[number], f"ipv{number}", "multihop 2;", local=FAR[number])
                for number in FAR
            ],
            "extra": far_lines({3: "secret"}),
        },
        "near": {
            "kind": "bird",
            "asn": 65003,
            "peers": [session("fe80::1%eth0", "ipv6", "")],
            "extra": near_lines(),
        },
    }
    links = [
        {"w": ["172.31.1.1/24", "fd31:1::1/64"], "hop": ["172.31.1.254/24", "fd31:1::ff/64"]},
        {"far": ["172.31.2.2/24", "fd31:2::2/64"], "hop": ["172.31.2.254/24", "fd31:2::ff/64"]},
        {"w": ["fe80::1/64"], "near": ["fe80::2/64"]},
    ]
    return json.dumps({"nodes": nodes, "links": links})


QUICK = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2", "wren.bgp/holdTime": "90"}


def resources(auth: str = "3 far/current") -> list[dict[str, Any]]:
    timers = {"wren.bgp/bfdTimers": "send 150ms, receive 100ms, multiplier 20, idle 1s"}
    far = {
        **QUICK,
        **timers,
        "wren.bgp/bfd": "multihop",
        "wren.bgp/bfdAuth": f"meticulous-keyed-sha1 {auth}",
    }
    near = {
        **QUICK,
        **timers,
        "wren.bgp/bfd": "on",
        "wren.bgp/bfdAuth": "simple 0 near/password",
        "wren.bgp/interface": "eth1",
    }
    spec = {"node": "w", "sourceAddress": "UseNodeIP"}
    return [
        *(
            peer(f"far{number}", **spec, peerIP=FAR[number], asNumber=65002, extensions=far)
            for number in FAR
        ),
        peer("near", node="w", peerIP="fe80::2", asNumber=65003, extensions=near),
    ]


def give(directory: Path, secret: str, key: str, value: str) -> None:
    path = directory / "secrets" / secret / key
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name("..fresh")
    fresh.write_text(value)
    fresh.rename(path)


class World:
    """Wren, a BIRD behind a router, and one on a link."""

    def __init__(self, wren: RunningNode, far: RunningNode, directory: Path) -> None:
        self.wren = wren
        self.far = far
        self.directory = directory
        self.edited = Edited(wren, directory)

    def view(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(wren_in(self.wren, "bfd", "-o", "json"))
        return found

    def sessions(self) -> dict[str, dict[str, Any]]:
        return {session["name"]: session for session in self.view()["sessions"]}

    def states(self) -> dict[str, str]:
        return {name: session["state"] for name, session in self.sessions().items()}

    def sign_far(self, **keys: str) -> None:
        """Have the BIRD behind the router sign with the first of some keys, and accept all."""
        conf = self.far.home / "bird.conf"
        head, _, _ = conf.read_text().partition("protocol bfd")
        conf.write_text(head + far_lines({int(name[1:]): key for name, key in keys.items()}))
        self.far.execute(["birdc", "-s", str(self.far.home / "bird.ctl"), "configure"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("keys") / "datastore"
    put(directory, node("w", f"{OURS[4]}/24", f"{OURS[6]}/64"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))
    give(directory, "far", "current", "secret")
    give(directory, "near", "password", "near")
    with lab_of(topology(directory)) as lab:
        # A BIRD remembers the numbers of packets for long: Wren is not to begin again.
        keep_only_ours(lab.node("w"))
        begin_again([lab.node("near")])
        put(directory, *resources())
        world = World(lab.node("w"), lab.node("far"), directory)
        world.edited.peers_up(ALL)
        becomes("BFD is up", world.states, dict.fromkeys(ALL, "Up"))
        yield world


def test_sessions_come_up_with_their_timers(world: World) -> None:
    """RFC 5883 in both families, RFC 5881 on a link; the slower wish of both counts."""

    def agreed() -> list[tuple[Any, ...]]:
        names = ("multihop", "txIntervalUs", "rxIntervalUs", "authentication", "polling")
        return [tuple(s[name] for name in names) for s in world.sessions().values()]

    wanted = [(far, 200_000, 100_000, True, False) for far in (True, True, False)]
    becomes("timers are agreed", lambda: sorted(agreed(), reverse=True), wanted)
    assert world.view()["notConnected"] == []
    assert "secret" not in log_of(world.wren)


def test_keys_that_change_one_end_after_the_other_cost_no_session(world: World) -> None:
    """RFC 5880 §6.7: each end accepts both keys before any end signs with the other."""
    before = world.edited.since()
    downs = {name: session["downs"] for name, session in world.sessions().items()}
    give(world.directory, "far", "next", "changed")
    planned = world.edited.edit(*resources("3 far/current, 4 far/next"))
    assert {change["description"].partition("; ")[2] for change in planned["changes"]} == {
        "no reset"
    }
    world.sign_far(k3="secret", k4="changed")
    world.edited.edit(*resources("4 far/next, 3 far/current"))
    world.sign_far(k4="changed", k3="secret")
    received = {name: session["received"] for name, session in world.sessions().items()}

    def hears() -> bool:
        now = world.sessions()
        return all(now[name]["received"] > received[name] + 30 for name in now)

    becomes("packets come under the new key", hears, True)
    world.edited.edit(*resources("4 far/next"))
    world.sign_far(k4="changed")
    assert {name: session["downs"] for name, session in world.sessions().items()} == downs
    assert world.edited.since() == before


def test_a_wrong_key_is_counted_and_ends_the_session(world: World) -> None:
    # Whichever it is now: other tests may have run on these sessions, or on others.
    is_changed = (world.directory / "secrets" / "far" / "next").exists()
    key, right = ("next", "changed") if is_changed else ("current", "secret")
    give(world.directory, "far", key, "wrong")
    becomes("sessions are down", world.states, {**dict.fromkeys(FAR.values(), "Down"), NEAR: "Up"})

    def unsigned() -> list[bool]:
        found = world.sessions()
        return [found[a]["discarded"].get("wrong authentication", 0) > 0 for a in FAR.values()]

    becomes("packets are counted", unsigned, [True, True])
    assert "for wrong authentication" in wren_in(world.wren, "bfd")
    (world.directory / "secrets" / "far" / key).unlink()
    lacks = [{"address": a, "reason": f"Secret far has no key {key}"} for a in FAR.values()]
    becomes("they are not watched", lambda: world.view()["withoutKey"], lacks)
    assert world.states().keys() == {NEAR}
    give(world.directory, "far", key, right)
    becomes("BFD is up again", world.states, dict.fromkeys(ALL, "Up"))
    world.edited.peers_up(ALL)


@pytest.mark.soak
@pytest.mark.parametrize("first", ["Wren", "BIRD"])
def test_a_key_that_changes_within_the_detection_time_costs_no_session(
    world: World, first: str
) -> None:
    """RFC 5880 §6.7: without a second key, whoever is first. It stands last in this world."""
    before, key = world.edited.since(), f"at-once-{first}"

    def wrens() -> None:
        give(world.directory, "far", "next", key)

    def birds() -> None:
        world.sign_far(k4=key)

    for change in (wrens, birds) if first == "Wren" else (birds, wrens):
        change()
        time.sleep(0.5)  # it is time itself that passes between the two
    received = {name: session["received"] for name, session in world.sessions().items()}

    def hears() -> bool:
        return all(s["received"] > received[n] + 60 for n, s in world.sessions().items())

    becomes("packets come for longer than any detection time", hears, True)
    assert world.edited.since() == before
    assert set(world.states().values()) == {"Up"}


FRR_PROFILE = """bfd
 profile far
  receive-interval 150
  transmit-interval 120
  detect-multiplier 4
 exit
"""


def beside_frr(directory: Path) -> str:
    """Write the topology of a Wren, a router, and an FRR behind it."""
    peers = [
        {
            "address": OURS[number],
            "asn": 65001,
            "hold_time": 90,
            "local": FAR[number],
            "families": [f"ipv{number}"],
            "extra": "ebgp-multihop 2",
        }
        for number in FAR
    ]
    gateways = {"w": ["172.31.1.254", "fd31:1::ff"], "f": ["172.31.2.254", "fd31:2::ff"]}
    nodes = {
        "w": {"kind": "wren", "datastore": str(directory), "gateways": gateways["w"]},
        "hop": {"kind": "host"},
        "f": {"kind": "frr", "asn": 65002, "gateways": gateways["f"], "peers": peers},
    }
    links = [
        {"w": ["172.31.1.1/24", "fd31:1::1/64"], "hop": ["172.31.1.254/24", "fd31:1::ff/64"]},
        {"f": ["172.31.2.2/24", "fd31:2::2/64"], "hop": ["172.31.2.254/24", "fd31:2::ff/64"]},
    ]
    return json.dumps({"nodes": nodes, "links": links})


def test_frr_is_watched_over_two_hops_and_no_more(tmp_path: Path) -> None:
    """RFC 5883, with the least TTL that two hops leave, which FRR's packets have."""
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{OURS[4]}/24", f"{OURS[6]}/64"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))

    def far(hops: int) -> list[dict[str, Any]]:
        keys = {**QUICK, "wren.bgp/bfd": f"multihop {hops}", "wren.bgp/bfdTimers": "idle 1s"}
        return [
            peer(f"f{number}", node="w", peerIP=FAR[number], asNumber=65002, extensions=keys)
            for number in FAR
        ]

    put(directory, *far(2))
    with lab_of(beside_frr(directory)) as lab, bfdd(lab.node("f"), FRR_PROFILE):
        world = World(lab.node("w"), lab.node("f"), directory)
        lines = [f"neighbor {address} bfd profile far" for address in OURS.values()]
        vtysh(world.far, "configure terminal", "router bgp 65002", *lines)
        world.edited.peers_up(FAR.values())
        becomes("BFD is up", world.states, dict.fromkeys(FAR.values(), "Up"))

        def agreed() -> list[tuple[Any, ...]]:
            names = ("multihop", "txIntervalUs", "rxIntervalUs", "detectionTimeUs")
            return [tuple(s[name] for name in names) for s in world.sessions().values()]

        becomes("timers are agreed", agreed, [(True, 150_000, 120_000, 480_000)] * 2)
        world.edited.edit(*far(1))
        becomes("it is farther than one", lambda: "for TTL" in wren_in(world.wren, "bfd"), True)
        becomes("BFD is down", world.states, dict.fromkeys(FAR.values(), "Down"))
