"""BIRD takes over from Wren, and Wren from BIRD, on a node that a thousand routes lead through.

BIRD is configured as Calico configures it: it learns, leaves its routes in the kernel at its end,
and recovers at its start. Both mark their routes with the same protocol number.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from lab import Family, Lab, LabError, RunningNode
from lab.probes import kernel_routes
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes
from tests.support.restarters import BIRD_RESTARTS, restarting
from tests.support.traffic import Flow, flowing, lost
from tests.support.watching import removed, watched

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

PEERS = (1, 2, 3)
EACH = 334
"""Routes of each peer."""

SECONDS = 40.0


def networks(peer: int) -> list[str]:
    return [f"10.{peer * 10 + number // 256}.{number % 256}.0/24" for number in range(EACH)]


def topology() -> str:
    return json.dumps(
        {
            "nodes": {
                "w": {"kind": "wren", "asn": 65001},
                **{
                    f"b{peer}": {
                        "kind": "bird",
                        "asn": 65001 + peer,
                        "networks": networks(peer),
                        "addresses": [f"10.{peer * 10}.0.1/32"],
                    }
                    for peer in PEERS
                },
            },
            "links": [
                {"w": [f"172.31.{peer}.1/24"], f"b{peer}": [f"172.31.{peer}.2/24"]}
                for peer in PEERS
            ],
            "bgp": [
                {"between": ["w", f"b{peer}"], "hold_time": 9, "extra": {f"b{peer}": BIRD_RESTARTS}}
                for peer in PEERS
            ],
        }
    )


def calico() -> Iterator[str]:
    """Write BIRD's configuration for Wren's node; its routes have Wren's metric."""
    yield "router id 172.31.1.1;"
    yield "log stderr all;"
    yield "protocol device { scan time 2; }"
    yield 'protocol direct { ipv4; interface "eth*"; }'
    yield "protocol kernel { learn; persist; scan time 2; graceful restart; merge paths on;"
    yield "  metric 0; ipv4 { import all; export where source = RTS_BGP; }; }"
    for peer in PEERS:
        yield f"protocol bgp b{peer} {{"
        yield f"  local 172.31.{peer}.1 as 65001; neighbor 172.31.{peer}.2 as {65001 + peer};"
        yield "  graceful restart; hold time 9;"
        yield "  connect delay time 1; connect retry time 1; error wait time 1, 2;"
        yield "  ipv4 { import all; export where source = RTS_BGP; };"
        yield "}"


class Bird:
    """BIRD in the place of Wren.

    Args:
        node: Wren's, where Wren does not run.
    """

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self._control = str(node.home / "calico.ctl")
        path = node.home / "calico.cfg"
        path.write_text("\n".join(calico()) + "\n")
        argv = ["bird", "-f", "-R", "-c", str(path), "-s", self._control]
        with (node.home / "calico.log").open("ab") as log:
            self._process = subprocess.Popen(
                node.inside([*argv, "-P", str(node.home / "calico.pid")]), stdout=log, stderr=log
            )
        becomes("BIRD has recovered", self._is_ready, wanted=True, seconds=SECONDS)

    def ask(self, *words: str) -> str:
        return self._node.execute(["birdc", "-s", self._control, *words])

    def _is_ready(self) -> bool:
        try:
            told = self.ask("show", "protocols")
            recovers = "recovery in progress" in self.ask("show", "status")
        except LabError:
            return False
        return told.count("Established") == len(PEERS) and not recovers

    def leave(self) -> None:
        """End it as for a planned restart."""
        self.ask("graceful", "restart")
        assert self._process.wait(SECONDS) == 0

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


def installed(node: RunningNode, how: str) -> int:
    """Count the routes that whoever is there has installed, by objects or not."""
    lines = node.execute(["ip", "route", "show", "proto", "bird", "type", "unicast"]).splitlines()
    return len([line for line in lines if ("nhid" in line) == (how == "objects")])


@contextmanager
def through(lab: Lab) -> Iterator[None]:
    """Have packets flow between the peers; none may be lost, and no route."""
    nodes = [lab.node(f"b{peer}") for peer in PEERS]
    flows = [
        Flow(here, f"10.{PEERS[at] * 10}.0.1", there, f"10.{PEERS[at - 1] * 10}.0.1")
        for at, (here, there) in enumerate(zip(nodes, [nodes[-1], *nodes], strict=False))
    ]
    with watched(lab.node("w"), *nodes) as watches, flowing(flows) as counts:
        yield
    assert (lost(counts), removed(watches)) == ({}, {})


def test_bird_takes_over_from_wren_and_wren_from_bird() -> None:
    everything = len(PEERS) * EACH
    with lab_of(topology()) as lab:
        w = lab.node("w")
        lab.wait_established()
        for peer in PEERS:
            becomes("all is told", partial(learned, lab.node(f"b{peer}")), everything - EACH)
        leave: Callable[[Bird], None]
        with through(lab):
            for leave in (Bird.leave, Bird.kill):
                w.stop()
                bird = Bird(w)
                becomes("BIRD has its routes there", lambda: installed(w, "plain"), everything)
                leave(bird)
                w.start()
                lab.wait_established("w")
                becomes("Wren waits for nobody", lambda: restarting(w), [])
                becomes("Wren has its routes there", lambda: installed(w, "objects"), everything)


def learned(node: RunningNode) -> int:
    """Count what a peer's kernel has from others."""
    found = kernel_routes(node, Family.IPV4).values()
    return len([route for route in found if (route.protocol, route.kind) == ("bird", "unicast")])
