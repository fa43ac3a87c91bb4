"""Filters with which a relay is measured: valid ones, which let everything pass."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from benchmarks import dut
from benchmarks.peers.__main__ import read_order
from benchmarks.peers.daemons import Neighbor, Topology
from benchmarks.table.blob import draw
from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.filters import compile_filter
from policy.path import PeerType
from policy.rules import NO_MATCH, Direction, Scope
from tests.support import resources
from tests.support.routes import route


def described(family: int, filters: str) -> dict[str, object]:
    address = "10.1.0.2" if family == 4 else "fd00:1::2"
    neighbor = Neighbor("s1", address, 4200000001, "10.1.0.1", "send")
    listen = ("10.1.0.1",) if family == 4 else ("fd00:1::1",)
    topology = Topology(65000, "10.1.0.1", family, False, listen, (neighbor,), filters)
    return json.loads(json.dumps(asdict(topology)))  # type: ignore[no-any-return]  # a description


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("filters", "rules"), [("none", 0), ("attributes", 6), ("prefixes", 200)])
def test_filters_let_everything_pass(family: int, filters: str, rules: int) -> None:
    documents = list(dut.resources(described(family, filters)))
    [peer] = resources.plan(dut.NODE, *documents).peers.values()
    table = draw(500, family).prefixes
    for found in (peer.import_rules, peer.export_rules):
        chain = dict(found).get(IPV4_UNICAST if family == 4 else IPV6_UNICAST, ())
        assert len(chain) == rules
        compiled = compile_filter(chain)
        if compiled is not None:
            scope = Scope(PeerType.EXTERNAL, Direction.IMPORT)
            assert compiled.partition(table, route(), scope) == [(NO_MATCH, table)]


def test_filters_are_chosen_on_the_command_line() -> None:
    order, _, _ = read_order(["--mode", "relay", "--filters", "prefixes"])
    assert order.filters == "prefixes"
    assert read_order(["--mode", "relay"])[0].filters == "none"
