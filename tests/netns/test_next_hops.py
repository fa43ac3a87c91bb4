"""A next hop dies with routes behind it: what the kernel's table says at once, and whom it is told.

One Wren between two BIRDs of one AS that announce the same networks, on a link to each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed, link_down
from lab.kinds.wren import Wren
from lab.probes import kernel_routes
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.watching import watched

pytestmark = [pytest.mark.netns, pytest.mark.interop]

B2, B3 = "172.31.2.2", "172.31.3.3"
NETWORKS = [f"10.9.{n}.0/24" for n in range(20)]


def topology(args: str) -> str:
    networks = ", ".join(NETWORKS)
    return f"""
nodes:
  w: {{kind: wren, asn: 65001, args: {args}}}
  b2: {{kind: bird, asn: 65002, networks: [{networks}]}}
  b3: {{kind: bird, asn: 65002, networks: [{networks}]}}
links:
  - {{w: [172.31.2.1/24], b2: [{B2}/24]}}
  - {{w: [172.31.3.1/24], b3: [{B3}/24]}}
bgp:
  - {{between: [w, b2], hold_time: 9}}
  - {{between: [w, b3], hold_time: 9}}
"""


@contextmanager
def equal_birds(args: str = "[]") -> Iterator[tuple[Lab, RunningNode]]:
    with lab_of(topology(args)) as lab:
        yield lab, lab.node("w")


def ways(node: RunningNode) -> set[tuple[str, ...]]:
    """Give the sets of gateways that our routes lead by."""
    found = kernel_routes(node, Family.IPV4).values()
    return {route.gateways for route in found if route.protocol == "bird"}


def hidden_ways(node: RunningNode) -> set[int]:
    """Give how many gateways the objects of our routes have; the routes do not say it."""
    named = re.findall(r"nhid (\d+)", node.execute(["ip", "route", "show", "proto", "bird"]))
    shown = (node.execute(["ip", "nexthop", "get", "id", number]) for number in set(named))
    return {text.split("proto")[0].count("/") + 1 for text in shown}


def mode(node: RunningNode) -> object:
    assert isinstance(node.speaks, Wren)
    status = node.speaks.status()
    return None if status is None else status["kernel"]["nexthopCompatMode"]


def test_routes_of_two_equal_peers_do_without_the_one_that_dies() -> None:
    with equal_birds() as (lab, w):
        becomes("both share the traffic", partial(ways, w), {(B2, B3)})
        assert mode(w) == 1
        with watched(w) as watches:
            with killed(lab.node("b3")):
                becomes("one carries on", partial(ways, w), {(B2,)})
            becomes("both again", partial(ways, w), {(B2, B3)})
            with link_down(w, "eth0"):
                becomes("the other carries on", partial(ways, w), {(B3,)})
            becomes("both again", partial(ways, w), {(B2, B3)})
        assert [line for line in watches["w"].removed if "proto bird" in line] == []


def test_with_the_switch_off_only_objects_are_told() -> None:
    with equal_birds("[--nexthop-compat, 'off']") as (lab, w):
        becomes("both share the traffic", partial(hidden_ways, w), {2})
        assert mode(w) == 0
        with watched(w) as watches, killed(lab.node("b3")):
            becomes("one carries on", partial(hidden_ways, w), {1})
        assert [line for line in watches["w"].removed if "proto bird" in line] == []


def test_without_objects_routes_follow_all_the_same() -> None:
    with equal_birds("[--no-nexthop-objects]") as (lab, w):
        becomes("both share the traffic", partial(ways, w), {(B2, B3)})
        assert w.execute(["ip", "nexthop"]) == ""
        with killed(lab.node("b3")):
            becomes("one carries on", partial(ways, w), {(B2,)})
        becomes("both again", partial(ways, w), {(B2, B3)})
