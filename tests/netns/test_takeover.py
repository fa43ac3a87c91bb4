"""A Wren that takes the place of another one, on a real kernel, with peers that watch.

``w`` has a BIRD and another Wren as peers, and a host that connects to its BGP port all the time.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.probes import kernel_routes, wait_until
from speaker.succession import Marks, TakeOver
from tests.support.datastores import log_of
from tests.support.heirs import heirs, who_answers
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.prober import Prober
from tests.support.watching import watched
from tests.support.wiretap import Tap

pytestmark = [pytest.mark.netns, pytest.mark.interop]

BIRD, WREN, HOST = "172.31.2.2", "172.31.3.3", "172.31.4.4"
TO_BIRD, TO_WREN, TO_HOST = "172.31.2.1", "172.31.3.1", "172.31.4.1"
WANTED = {"10.2.0.0/24": (BIRD,), "10.3.0.0/24": (WREN,)}


def topology(args: str = "[]") -> str:
    return f"""
nodes:
  w:
    kind: wren
    asn: 65001
    networks: [10.1.0.0/24]
    args: {args}
    peers: [{{address: {HOST}, asn: 65004, passive: true, families: [ipv4]}}]
  b: {{kind: bird, asn: 65002, networks: [10.2.0.0/24]}}
  x: {{kind: wren, asn: 65003, networks: [10.3.0.0/24]}}
  h: {{kind: host}}
links:
  - {{w: [{TO_BIRD}/24], b: [{BIRD}/24]}}
  - {{w: [{TO_WREN}/24], x: [{WREN}/24]}}
  - {{w: [{TO_HOST}/24], h: [{HOST}/24]}}
bgp:
  - {{between: [w, b], hold_time: 9}}
  - {{between: [w, x], hold_time: 9}}
"""


def learnt(node: RunningNode) -> dict[str, tuple[str, ...]]:
    """Give the gateways of the kernel routes that BGP has made."""
    found = kernel_routes(node, Family.IPV4)
    return {p: route.gateways for p, route in found.items() if route.protocol == "bird"}


@contextmanager
def town(args: str = "[]") -> Iterator[tuple[Lab, RunningNode]]:
    """Bring the lab up until everybody has all routes."""
    with lab_of(topology(args)) as lab:
        w = lab.node("w")
        becomes("w has all routes", partial(learnt, w), WANTED)
        for name, gateway in (("b", TO_BIRD), ("x", TO_WREN)):
            node = lab.node(name)
            becomes(f"{name} has w's", lambda n=node: learnt(n).get("10.1.0.0/24"), (gateway,))  # type: ignore[misc]
        yield lab, w


def is_up(node: RunningNode) -> bool:
    sessions = node.speaks.sessions()
    return sessions.get(BIRD, False) and sessions.get(WREN, False)


def ended_well(node: RunningNode) -> bool:
    """Tell whether the first Wren of a node has exited with 0."""
    [child] = node._children
    return child.wait(20) == 0


def restart_told(tap: Tap, own: str, far: str) -> tuple[bool, dict[int, bool]]:
    """Give the R bit of the first OPEN, and the F bit of each AFI (RFC 4724 §3)."""
    [value] = [value for code, value in tap.opens(own, far)[0].capabilities if code == 64]
    tuples = [value[at : at + 4] for at in range(2, len(value), 4)]
    return bool(value[0] & 0x80), {afi[1]: bool(afi[3] & 0x80) for afi in tuples}


def test_nobody_is_refused_and_no_route_goes() -> None:
    with town() as (lab, w), heirs(w) as start:
        nodes = [lab.node(name) for name in ("w", "b", "x")]
        with watched(*nodes) as watches, Tap(w) as tap, Prober(lab.node("h"), TO_HOST) as prober:
            heir = start()
            heir.wait_until_it_runs()
            assert ended_well(w)
            becomes("sessions are up again", partial(is_up, w), wanted=True)
            wait_until(lambda: heir.has_said("recovered"), "the start is over", nodes=[w])
            assert learnt(w) == WANTED
        assert prober.found.total() > 100
        assert prober.found.keys() == {"served"}
        assert {n: watch.removed for n, watch in watches.items()} == {"w": [], "b": [], "x": []}
        for own, far in ((TO_BIRD, BIRD), (TO_WREN, WREN)):
            assert restart_told(tap, own, far) == (True, {1: True})
            # One of two connections at once has to go (RFC 4271 §6.8).
            assert {told[:2] for told in tap.notifications(own, far)} <= {(6, 7)}


def test_the_heir_follows_a_plan_of_its_own() -> None:
    with town() as (_, w), heirs(w) as start, watched(w) as watches:
        moved = put_aside(w, listenPort=1790, bindMode="NodeIP")
        heir = start("--datastore", str(moved))
        heir.wait_until_it_runs()
        assert ended_well(w)
        assert listening(w) == [f"{TO_BIRD}:1790"]
        becomes("sessions are up again", partial(is_up, w), wanted=True)
        wait_until(lambda: heir.has_said("recovered"), "the start is over", nodes=[w])
        assert learnt(w) == WANTED
        back = start()
        back.wait_until_it_runs()
        assert heir.process.wait(20) == 0
        assert listening(w) == ["*:179", "0.0.0.0:179"]
        becomes("sessions are up again", partial(is_up, w), wanted=True)
        wait_until(lambda: back.has_said("recovered"), "the start is over", nodes=[w])
    assert watches["w"].removed == []


def test_of_the_same_port_the_heir_listens_on_fewer_addresses() -> None:
    with town() as (_, w), heirs(w) as start:
        heir = start("--datastore", str(put_aside(w, bindMode="NodeIP")))
        heir.wait_until_it_runs()
        assert ended_well(w)
        assert listening(w) == [f"{TO_BIRD}:179"]


def test_a_port_that_somebody_else_has_leaves_everything_as_it_was() -> None:
    with town() as (_, w), heirs(w) as start:
        before = w.speaks.status()  # type: ignore[attr-defined]
        with taken(w, 1790):
            heir = start("--datastore", str(put_aside(w, listenPort=1790)))
            assert heir.process.wait(20) == 1
        assert "cannot listen on 0.0.0.0 port 1790: it is in use" in heir.lines()[-1]["message"]
        after = w.speaks.status()  # type: ignore[attr-defined]
        assert [peer["since"] for peer in after["peers"]] == [
            peer["since"] for peer in before["peers"]
        ]
        becomes("the offer is forgotten", lambda: "did not; nothing has changed" in log_of(w), True)
        # Nobody stands in the way of the next one.
        start().wait_until_it_runs()
        assert ended_well(w)


def test_routes_that_would_be_nobodys_are_a_reason_to_refuse() -> None:
    with town() as (_, w), heirs(w) as start:
        heir = start("--protocol", "186")
        assert heir.process.wait(20) == 1
        assert (
            "its kernel routes stand in table 254 with protocol number 12"
            in (heir.lines()[-1]["message"])
        )
        assert is_up(w)


def test_where_the_heir_dies_half_way_the_old_one_starts_again() -> None:
    with town("[--withdraw-on-exit]") as (lab, w):
        [first] = w.programs()
        nodes = [lab.node(name) for name in ("w", "b", "x")]
        with watched(*nodes) as watches, Prober(lab.node("h"), TO_HOST) as prober:
            heir = TakeOver.ask(w.home, Marks("w", 254, 12))
            assert heir is not None
            heir.reserve({("0.0.0.0", 179): False, ("::", 179): False})
            asyncio.run(heir.go(asyncio.Event()))
            assert who_answers(w) is None
            heir.close()
            becomes("the old one runs again", lambda: who_answers(w), first.pid)
            becomes("sessions are up again", partial(is_up, w), wanted=True)
            wait_until(
                lambda: "start of ipv4 unicast is over" in log_of(w), "it is over", nodes=[w]
            )
        assert "this one starts again" in log_of(w)
        assert learnt(w) == WANTED
        assert {n: watch.removed for n, watch in watches.items()} == {"w": [], "b": [], "x": []}
        assert prober.found.keys() == {"served"}
        w.stop()
        assert learnt(w) == {}


def test_without_a_daemon_it_is_an_ordinary_start() -> None:
    with town() as (_, w), heirs(w) as start:
        w.kill()
        heir = start()
        heir.wait_until_it_runs()
        assert heir.has_said("nobody_to_succeed")
        becomes("sessions are up again", partial(is_up, w), wanted=True)


def put_aside(node: RunningNode, **spec: Any) -> Path:
    """Write the resources of a node into another directory, with other settings."""
    found = json.loads((node.home / "datastore" / "resources.json").read_text())
    for item in found["items"]:
        if item["kind"] == "BGPConfiguration":
            item["spec"].update(spec)
    place = node.home / "other"
    place.mkdir(exist_ok=True)
    (place / "resources.json").write_text(json.dumps(found))
    return place


def listening(node: RunningNode) -> list[str]:
    """Give where anybody on a node listens on TCP."""
    lines = node.execute(["ss", "-Hnlt"]).splitlines()
    return sorted(line.split()[3].replace("[::]", "*") for line in lines)


@contextmanager
def taken(node: RunningNode, port: int) -> Iterator[None]:
    """Let somebody else listen on a port of a node."""
    program = (
        f"import socket; s = socket.create_server(('', {port})); print(1, flush=True); input()"
    )
    words = node.inside([sys.executable, "-c", program])
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        try:
            yield
        finally:
            other.terminate()
