"""What is made of a topology: names, batches for iproute2, and the real things."""

from __future__ import annotations

import json
from functools import partial

import pytest

from lab.ground import Ground
from lab.namespaces import PREFIX, existing, namespace_of, plan
from lab.probes import ping, wait_until
from lab.topology_file import loads
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces

TEXT = """
nodes:
  r: {kind: bird, asn: 65001, addresses: [10.1.0.1/32, "fd00:1::1/128"]}
  a: {kind: host, gateways: [10.9.0.1, "fd09::1"]}
  b: {kind: host}
links:
  - {r: [10.0.0.1/24, "fd00::1/64"], a: [10.0.0.2/24]}
segments:
  lan: {a: [10.9.0.2/24, "fd09::2/64"], r: [10.9.0.1/24, "fd09::1/64"], b: }
"""


def test_a_plan_has_a_namespace_for_each_node_and_segment() -> None:
    made = plan(loads(TEXT, name="t"))

    assert made.namespaces == ("wl-t.r", "wl-t.a", "wl-t.b", "wl-t.lan")


def test_interfaces_are_born_inside_the_namespaces() -> None:
    assert plan(loads(TEXT, name="t")).links == (
        ("wl-t.r/eth0", "link add eth0 netns wl-t.r type veth peer name eth0 netns wl-t.a"),
        ("wl-t.lan/br0", "link add br0 netns wl-t.lan type bridge forward_delay 0"),
        ("wl-t.a/eth1", "link add eth1 netns wl-t.a type veth peer name p0 netns wl-t.lan"),
        ("wl-t.r/eth1", "link add eth1 netns wl-t.r type veth peer name p1 netns wl-t.lan"),
        ("wl-t.b/eth0", "link add eth0 netns wl-t.b type veth peer name p2 netns wl-t.lan"),
    )


def test_each_namespace_gets_its_addresses_and_then_its_routes() -> None:
    settings = dict(plan(loads(TEXT, name="t")).settings)

    assert settings["wl-t.a"] == (
        "link set lo up",
        "addr add 10.0.0.2/24 dev eth0",
        "link set eth0 up",
        "addr add 10.9.0.2/24 dev eth1",
        "addr add fd09::2/64 dev eth1 nodad",
        "link set eth1 up",
        "route add default via 10.9.0.1",
        "route add default via fd09::1",
    )
    assert settings["wl-t.r"][:3] == (
        "link set lo up",
        "addr add 10.1.0.1/32 dev lo",
        "addr add fd00:1::1/128 dev lo nodad",
    )
    assert settings["wl-t.lan"] == (
        "link set lo up",
        "link set br0 up",
        *(f"link set p{number} master br0 up" for number in range(3)),
    )


def test_no_two_labs_share_the_name_of_a_namespace() -> None:
    text = "nodes: {%s: {kind: host}}"
    one = plan(loads(text % "b-c", name="a")).namespaces
    other = plan(loads(text % "c", name="a-b")).namespaces

    assert one != other
    assert all(name.startswith(PREFIX) for name in (*one, *other))


@pytest.mark.netns
@needs_namespaces
def test_what_is_planned_is_there_forwards_and_goes_away() -> None:
    # Three hosts in a row: the one in the middle is a router without a daemon.
    text = """
nodes:
  left: {kind: host, gateways: [10.0.0.1, "fd00::1"]}
  middle: {kind: host}
  right: {kind: host, gateways: [10.9.0.1, "fd09::1"]}
links:
  - {left: [10.0.0.2/24, "fd00::2/64"], middle: [10.0.0.1/24, "fd00::1/64"]}
segments:
  lan: {middle: [10.9.0.1/24, "fd09::1/64"], right: [10.9.0.2/24, "fd09::2/64"]}
"""
    with lab_of(text) as lab:
        left, middle = lab.node("left"), lab.node("middle")
        links = json.loads(middle.execute(["ip", "-j", "link", "show"]))
        assert [link["ifname"] for link in links] == ["lo", "eth0", "eth1"]
        for address in ("10.9.0.2", "fd09::2"):
            # A bridge forwards a moment after its ports are up.
            wait_until(partial(ping, left, address), f"{address} answers")
        made = [namespace_of(lab.topology.name, name) for name in ("left", "middle", "lan")]
        assert set(made) <= set(existing(Ground()))
    assert not set(made) & set(existing(Ground()))
