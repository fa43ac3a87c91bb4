"""Restarts where there are several ways, several who restart at once, or a reflector between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from lab import Family, Lab
from lab.faults import killed
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes, gateways
from tests.support.restarters import BIRD_RESTARTS, restarting
from tests.support.traffic import Flow, flowing, lost
from tests.support.watching import removed, watched

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]


def bird(asn: int, number: int | None = None) -> dict[str, Any]:
    """Write a BIRD that recovers at its start, with a network if it has a number."""
    node: dict[str, Any] = {"kind": "bird", "asn": asn, "args": ["-R"]}
    if number is not None:
        node |= {"networks": [f"10.{number}.0.0/24"], "addresses": [f"10.{number}.0.1/32"]}
    return node


def chain(nodes: dict[str, Any], pairs: Sequence[tuple[str, str]]) -> str:
    """Write a topology in which each pair has a link and a session."""
    links, peerings = [], []
    for number, (one, two) in enumerate(pairs, 1):
        links.append({one: [f"172.31.{number}.1/24"], two: [f"172.31.{number}.2/24"]})
        birds = [name for name in (one, two) if nodes[name]["kind"] == "bird"]
        extra = dict.fromkeys(birds, BIRD_RESTARTS)
        peerings.append({"between": [one, two], "hold_time": 9, "extra": extra})
    return json.dumps({"nodes": nodes, "links": links, "bgp": peerings})


def both_ways(lab: Lab, one: str, two: str) -> list[Flow]:
    """Give the flows between the networks 10.1 and 10.2 of two nodes."""
    flow = Flow(lab.node(one), "10.1.0.1", lab.node(two), "10.2.0.1")
    return [flow, flow.back]


def test_two_equal_paths_stay_two_while_one_teller_restarts_or_wren_does() -> None:
    nodes = {
        "left": bird(65010, 1),
        "w": {"kind": "wren", "asn": 65001},
        "b2": bird(65002),
        "b3": bird(65002),
        "right": bird(65020, 2),
    }
    pairs = [("left", "w"), ("w", "b2"), ("w", "b3"), ("b2", "right"), ("b3", "right")]
    both = ("172.31.2.2", "172.31.3.2")
    with lab_of(chain(nodes, pairs)) as lab:
        w = lab.node("w")
        lab.wait_established()

        def hops() -> tuple[str, ...]:
            return gateways(w, Family.IPV4).get("10.2.0.0/24", ())

        becomes("both lead there", hops, both)
        with watched(*lab.nodes.values()) as watches, flowing(both_ways(lab, "left", "right")) as n:
            for name in ("b2", "w"):
                with killed(lab.node(name)):
                    assert hops() == both
                lab.wait_established()
                becomes("nobody is waited for", partial(restarting, w), [])
                assert hops() == both
        assert (lost(n), removed(watches)) == ({}, {})


def test_two_wrens_that_are_killed_together_do_not_wait_for_each_other() -> None:
    nodes = {
        "left": bird(65010, 1),
        "w1": {"kind": "wren", "asn": 65001},
        "w2": {"kind": "wren", "asn": 65002},
        "right": bird(65020, 2),
    }
    with lab_of(chain(nodes, [("left", "w1"), ("w1", "w2"), ("w2", "right")])) as lab:
        wrens = [lab.node("w1"), lab.node("w2")]
        lab.wait_established()
        with watched(*lab.nodes.values()) as watches, flowing(both_ways(lab, "left", "right")) as n:
            for node in wrens:
                node.kill()
            for node in wrens:
                node.launch()
            for node in wrens:
                node.wait_for_answer()
            lab.wait_established()
            for node in wrens:
                becomes("nobody is waited for", partial(restarting, node), [], seconds=30)
        assert (lost(n), removed(watches)) == ({}, {})


def test_a_reflector_restarts_and_its_clients_keep_what_it_told() -> None:
    nodes = {
        "w": {"kind": "wren", "asn": 65001},
        "left": bird(65001, 1),
        "right": bird(65001, 2),
    }
    lan = {"w": ["172.31.0.1/24"], "left": ["172.31.0.2/24"], "right": ["172.31.0.3/24"]}
    peerings = [
        {
            "between": ["w", name],
            "client": name,
            "next_hop_self": [name],
            "hold_time": 9,
            "extra": {name: BIRD_RESTARTS},
        }
        for name in ("left", "right")
    ]
    with lab_of(json.dumps({"nodes": nodes, "segments": {"lan": lan}, "bgp": peerings})) as lab:
        w = lab.node("w")
        lab.wait_established()
        with watched(*lab.nodes.values()) as watches, flowing(both_ways(lab, "left", "right")) as n:
            for name in ("w", "left"):
                with killed(lab.node(name)):
                    pass
                lab.wait_established()
                becomes("nobody is waited for", partial(restarting, w), [])
        assert (lost(n), removed(watches)) == ({}, {})
