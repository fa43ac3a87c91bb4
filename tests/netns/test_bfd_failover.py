"""A link is cut that looks well from our end: traffic moves to the second next hop once BFD knows.

One Wren between a host that sends and two BIRDs that forward to another. Between Wren and each BIRD
is a bridge, so that nothing tells Wren of the cut but BFD.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lab import Lab, LabError, RunningNode
from lab.faults import link_down
from tests.support.bfd import protocol
from tests.support.datastores import put
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes
from tests.support.resources import document, node, peer, settings
from tests.support.traffic import Flow, flowing

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

B2, B3, SENDER, GATEWAY = "172.31.2.2", "172.31.3.3", "10.8.0.2", "10.8.0.1"
TARGETS = [f"10.9.0.{number}" for number in range(1, 33)]
DETECTION = 150
"""Milliseconds: three intervals of 50."""

GRACE = 50
"""Milliseconds that may pass beside the detection time."""

TIMERS = "interval 50 ms; multiplier 3;"
BACKUP = "ipv4 export filter { bgp_path.prepend(65002); accept; };"


def bird(number: int, networks: list[str], extra: str) -> dict[str, object]:
    w = {"address": f"172.31.{number}.1", "asn": 65001, "families": ["ipv4"], "hold_time": 90}
    return {
        "kind": "bird",
        "asn": 65002,
        "networks": networks,
        "peers": [{**w, "extra": f"bfd on;\n{extra}"}],
        "extra": protocol(TIMERS),
    }


def topology(directory: Path, count: int, backup: str) -> str:
    more = [f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(count - 1)]
    networks = ["10.9.0.0/24", *more]
    nodes = {
        "w": {"kind": "wren", "datastore": str(directory)},
        "b2": bird(2, networks, ""),
        "b3": bird(3, networks, backup),
        "s": {"kind": "host", "gateways": [GATEWAY]},
        "r": {"kind": "host", "addresses": [f"{target}/32" for target in TARGETS]},
    }
    segments = {
        "two": {"w": ["172.31.2.1/24"], "b2": [f"{B2}/24"]},
        "three": {"w": ["172.31.3.1/24"], "b3": [f"{B3}/24"]},
    }
    links = [
        {"w": [f"{GATEWAY}/24"], "s": [f"{SENDER}/24"]},
        {"b2": ["10.7.2.1/24"], "r": ["10.7.2.2/24"]},
        {"b3": ["10.7.3.1/24"], "r": ["10.7.3.2/24"]},
    ]
    return json.dumps({"nodes": nodes, "segments": segments, "links": links})


@contextmanager
def two_ways(directory: Path, count: int, *, equal: bool) -> Iterator[tuple[Lab, Flow]]:
    """Bring it up, with so many kernel routes; give a flow that goes by the first BIRD."""
    put(directory, node("w", "172.31.2.1/24"))
    plain = {"wren.bgp/policy": "plain"}
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=plain))
    each = {"minimumSendInterval": "50ms", "minimumRecvInterval": "50ms", "multiplier": 3}
    interfaces = [{"idleSendInterval": "1s", **each}]
    put(directory, document("BFDConfiguration", "default", {"interfaces": interfaces}))
    for address in (B2, B3):
        spec = {"node": "w", "peerIP": address, "asNumber": 65002, "sourceAddress": "None"}
        watched = {"failureDetectionMode": "BFDIfDirectlyConnected"}
        keys = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2"}
        put(directory, peer(f"b{address[-1]}", **spec, **watched, extensions=keys))
    with lab_of(topology(directory, count, "" if equal else BACKUP)) as lab:
        w = lab.node("w")
        for number in (2, 3):
            route = ["10.9.0.0/24", "via", f"10.7.{number}.2"]
            lab.node(f"b{number}").execute(["ip", "route", "add", *route])
            back = ["10.8.0.0/24", "via", f"172.31.{number}.1"]
            lab.node(f"b{number}").execute(["ip", "route", "add", *back])
        lab.node("r").execute(["ip", "route", "add", "10.8.0.0/24", "via", "10.7.3.1"])
        becomes("all routes are there", lambda: routes(w) >= count, True, seconds=120)
        becomes("both are used", partial(ways, w), {B2, B3} if equal else {B2}, seconds=60)
        [target, *_] = [target for target in TARGETS if way(w, target) == B2]
        yield lab, Flow(lab.node("s"), SENDER, lab.node("r"), target)


def routes(w: RunningNode) -> int:
    shown = w.execute(["ip", "route", "show", "proto", "bird"])
    # A line that begins with white space is a next hop of the route above.
    return shown.count("\n") - shown.count("\n\t")


def way(w: RunningNode, target: str) -> str:
    """Give by which gateway packets go; empty if there is no way."""
    asked = ["ip", "-j", "route", "get", target, "from", SENDER, "iif", "eth0"]
    try:
        [found] = json.loads(w.execute(asked))
    except LabError:
        return ""
    return str(found["gateway"])


def ways(w: RunningNode) -> set[str]:
    return {way(w, target) for target in TARGETS}


def lost_by_cut(lab: Lab, flow: Flow, cut: str) -> int:
    """Cut the link to the first BIRD, at its end or at ours; give how many packets are lost."""
    end = lab.node("b2" if cut == "far" else "w")
    with flowing([flow]) as counts:
        w = lab.node("w")
        with link_down(end, "eth1"):
            becomes("traffic goes by the other", partial(ways, w), {B3}, seconds=30)
    return counts[flow].lost


Tell = Callable[[str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Note figures with the test's result, and print them (`-s`)."""

    def note(figures: str) -> None:
        print(figures)  # noqa: T201 - for people
        record_property("figures", figures)

    return note


@pytest.mark.timeout(180)
def test_traffic_moves_with_its_next_hop(tmp_path: Path, tell: Tell) -> None:
    """The bound is for a machine that has other tests to run; the soak test has the real one."""
    with two_ways(tmp_path / "datastore", 1000, equal=True) as (lab, flow):
        lost = lost_by_cut(lab, flow, "far")
        tell(f"1,000 routes, far end cut: {lost} ms without traffic")
        assert 0 < lost < DETECTION + 1000


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("cut", "equal"),
    # With our own end of the link the kernel removes the routes that have no other next hop.
    [("far", True), ("ours", True), ("far", False)],
)
def test_a_hundred_thousand_routes_move_with_their_next_hop(
    tmp_path: Path, tell: Tell, cut: str, *, equal: bool
) -> None:
    with two_ways(tmp_path / "datastore", 100_000, equal=equal) as (lab, flow):
        lost = lost_by_cut(lab, flow, cut)
        second = "an equal" if equal else "a worse"
        tell(f"100,000 routes, {second} second, {cut} end cut: {lost} ms without traffic")
        assert lost <= DETECTION + GRACE
