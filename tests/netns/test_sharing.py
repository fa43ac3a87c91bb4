"""Next hops that share traffic, by weights and by resilient groups, also of edits on the way.

One Wren between two BIRDs of one AS that announce the same networks. Such an edit touches no
session, and no route goes meanwhile.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import RunningNode
from lab.faults import killed
from tests.support.datastores import put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings
from tests.support.watching import watched

pytestmark = [pytest.mark.netns, pytest.mark.interop]

QUICK = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2", "wren.bgp/holdTime": "9"}
NETWORKS = [f"10.9.{n}.0/24" for n in range(20)]
B2, B3 = "172.31.0.2", "172.31.0.3"


def topology(directory: Path, args: str) -> str:
    bird = f"{{kind: bird, asn: 65002, networks: [{', '.join(NETWORKS)}]}}"
    return f"""
nodes:
  w: {{kind: wren, asn: 65001, datastore: {directory}, args: {args}}}
  b2: {bird}
  b3: {bird}
segments:
  lan: {{w: [172.31.0.1/24], b2: [{B2}/24], b3: [{B3}/24]}}
bgp:
  - {{between: [w, b2], hold_time: 9}}
  - {{between: [w, b3], hold_time: 9}}
"""


def tor(address: str, weight: str) -> dict[str, Any]:
    keys = {**QUICK, "wren.bgp/weight": weight}
    given = {"node": "w", "peerIP": address, "asNumber": 65002, "extensions": keys}
    return peer(f"b{address[-1]}", **given)


def shares(running: RunningNode) -> set[tuple[tuple[str, int], ...]]:
    """Give the sets of gateways with their weights that our routes lead by."""
    said = running.execute(["ip", "-j", "route", "show", "proto", "bird"])
    return {
        tuple(sorted((hop["gateway"], hop["weight"]) for hop in route.get("nexthops", [])))
        for route in json.loads(said or "[]")
    }


def told(running: RunningNode) -> set[str]:
    """Give where `wren routes` says that packets of one prefix go."""
    routes = json.loads(wren_in(running, "routes", NETWORKS[0], "-o", "json"))["routes"]
    return {way for route in routes for way in route["via"]}


def buckets(running: RunningNode) -> dict[str, int]:
    """Give how many buckets each gateway has of the group that our routes name, if it is one."""
    routes = running.execute(["ip", "route", "show", "proto", "bird"])
    group, *more = {*re.findall(r"nhid (\d+)", routes)} or {""}
    if more:
        return {}
    said = running.execute(["ip", "nexthop", "bucket", "show"])
    owners = re.findall(rf"^id {group} .* nhid (\d+)", said, re.MULTILINE)
    objects = running.execute(["ip", "nexthop", "show"])
    gateways = dict(re.findall(r"^id (\d+) via (\S+)", objects, re.MULTILINE))
    return dict(Counter(gateways[owner] for owner in owners))


def keeping(flows: str) -> dict[str, Any]:
    keys = {"wren.bgp/policy": "plain", "wren.bgp/resilientGroups": flows}
    return settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys)


def conditions(running: RunningNode) -> list[str]:
    status = json.loads(wren_in(running, "node", "status", "-o", "json"))
    return [condition["message"] for condition in status["conditions"]]


def write_node(directory: Path, flows: str) -> None:
    put(directory, node("w", "172.31.0.1/24"))
    put(directory, keeping(flows), tor(B2, "3"), tor(B3, "1"))


@pytest.mark.parametrize("args", ["[]", "[--no-nexthop-objects]"], ids=["objects", "plain"])
def test_weights_are_followed_while_sessions_and_routes_stay(tmp_path: Path, args: str) -> None:
    directory = tmp_path / "datastore"
    write_node(directory, "off")
    with lab_of(topology(directory, args)) as lab:
        w = lab.node("w")
        edited = Edited(w, directory)
        becomes("three to one", partial(shares, w), {((B2, 3), (B3, 1))})
        assert told(w) == {f"{B2} dev eth0 weight 3", f"{B3} dev eth0"}
        before = edited.since()
        with watched(w) as watches:
            plan = edited.edit(tor(B3, "10"))
            assert [change["description"] for change in plan["changes"]] == [
                "shares traffic anew with Node_172_31_0_3: weight; no reset"
            ]
            becomes("three to ten", partial(shares, w), {((B2, 3), (B3, 10))})
            edited.edit(tor(B2, "10"))
            becomes("half each", partial(shares, w), {((B2, 1), (B3, 1))})
        assert [line for line in watches["w"].removed if "proto bird" in line] == []
        assert edited.since() == before


def test_flows_are_kept_from_an_edit_on_by_groups_that_share_by_weights(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_node(directory, "off")
    with lab_of(topology(directory, "[]")) as lab:
        w = lab.node("w")
        edited = Edited(w, directory)
        becomes("three to one", partial(shares, w), {((B2, 3), (B3, 1))})
        before = edited.since()
        with watched(w) as watches:
            plan = edited.edit(keeping("64 idle 5"))
            assert [change["description"] for change in plan["changes"]] == [
                "keeps flows by groups of 64 idle 5; replaces kernel routes in place"
            ]
            becomes("buckets by weights", partial(buckets, w), {B2: 48, B3: 16})
            with killed(lab.node("b3")):
                becomes("one carries on", partial(buckets, w), {B2: 64})
        assert [line for line in watches["w"].removed if "proto bird" in line] == []
        assert edited.since()[B2] == before[B2]
        assert conditions(w) == []


def test_without_objects_flows_are_not_kept_and_the_status_says_why(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_node(directory, "64")
    with lab_of(topology(directory, "[--no-nexthop-objects]")) as lab:
        w = lab.node("w")
        becomes("three to one", partial(shares, w), {((B2, 3), (B3, 1))})
        [said] = conditions(w)
        assert "resilientGroups: routes name no next-hop objects here" in said
        assert f"warning: kernel: {said}" in wren_in(w, "peer")
