"""Several paths to a prefix (RFC 7911) between Wren and BIRD, FRR, GoBGP and OpenBGPD.

One bridge, one AS: two upstream routers announce the same networks to a route reflector, whose
clients they and Wren are. What Wren hears of it are two paths with next hops of their own, so that
its kernel spreads packets over both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest

from lab import Family, RunningNode
from lab.probes import kernel_routes
from speaker.control.client import stream
from tests.support.labs import lab_of
from tests.support.pairs import becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]

ASN = 65001
NETWORKS = {Family.IPV4: "10.9.0.0/24", Family.IPV6: "fd00:9::/64"}
PLACES = {"wren": 1, "other": 2, "up1": 11, "up2": 12}

SENDS = {
    "bird": "ipv4 add paths tx;\nipv6 add paths tx;",
    "frr": "ipv4 addpath-tx-all-paths\nipv6 addpath-tx-all-paths",
    "gobgp": "\n".join(
        f"{family} {line}"
        for family in Family
        for line in ("[neighbors.afi-safis.add-paths.config]", "send-max = 8")
    ),
    "openbgpd": "announce add-path send all",
}


def address(name: str, family: Family) -> str:
    return f"172.31.0.{PLACES[name]}" if family is Family.IPV4 else f"fd31::{PLACES[name]}"


def reflected(kind: str, *, other: str, wren: str) -> str:
    """Write the topology.

    Args:
        kind: of the reflector.
        other: lines of its sessions with Wren.
        wren: Wren's lines of these.
    """
    announced = list(NETWORKS.values())
    upstream = {"kind": "bird", "asn": ASN, "networks": announced}
    ends = {
        name: [f"{address(name, Family.IPV4)}/24", f"{address(name, Family.IPV6)}/64"]
        for name in PLACES
    }
    topology: dict[str, Any] = {
        "nodes": {
            "wren": {"kind": "wren", "asn": ASN},
            "other": {"kind": kind, "asn": ASN},
            "up1": upstream,
            "up2": upstream,
        },
        "segments": {"lan": ends},
        "bgp": [
            {"between": ["other", "up1"], "client": "up1", "hold_time": 9},
            {"between": ["other", "up2"], "client": "up2", "hold_time": 9},
            {
                "between": ["other", "wren"],
                "client": "wren",
                "hold_time": 9,
                "extra": {"other": other, "wren": wren},
            },
        ],
    }
    return json.dumps(topology)


@contextmanager
def nodes(text: str) -> Iterator[Mapping[str, RunningNode]]:
    with lab_of(text) as lab:
        lab.wait_established(seconds=30)
        yield {name: lab.node(name) for name in PLACES}


def paths(wren: RunningNode, family: Family) -> dict[str, list[int]]:
    """Give the next hops of Wren's paths to the network, with their path identifiers."""
    chunks = stream(wren.home, "routes", prefix=NETWORKS[family], all=True)
    return {route["nextHop"]: route["pathIDs"] for chunk in chunks for route in chunk["routes"]}


def identifiers(wren: RunningNode, family: Family) -> list[list[int]]:
    return list(paths(wren, family).values())


def gateways(wren: RunningNode, family: Family) -> set[str]:
    """Give the gateways of the network in Wren's kernel."""
    route = kernel_routes(wren, family).get(NETWORKS[family])
    return set() if route is None else set(route.gateways)


def leads_over(wren: RunningNode, family: Family, *names: str) -> None:
    """Wait until Wren has paths over these, in its table and in its kernel."""
    wanted = {address(name, family) for name in names}
    becomes(f"paths over {names}", lambda: paths(wren, family).keys(), wanted)
    becomes(f"gateways {names}", lambda: gateways(wren, family), wanted)


@pytest.mark.parametrize("kind", list(SENDS))
def test_wren_hears_both_paths_and_each_comes_and_goes_by_itself(kind: str) -> None:
    text = reflected(kind, other=SENDS[kind], wren="wren.bgp/addPath: receive")
    with nodes(text) as at:
        wren = at["wren"]
        for family in Family:
            leads_over(wren, family, "up1", "up2")
            one, two = identifiers(wren, family)
            assert len(one) == len(two) == 1
            assert one != two
        for gone, left in (("up1", "up2"), ("up2", "up1")):
            for family, network in NETWORKS.items():
                at[gone].withdraw(ip_network(network))
                leads_over(wren, family, left)
                at[gone].announce(ip_network(network))
                leads_over(wren, family, "up1", "up2")


@pytest.mark.parametrize(("other", "wren"), [("sends", "off"), ("", "receive")])
@pytest.mark.parametrize("kind", list(SENDS))
def test_where_one_end_does_not_agree_there_is_one_path(kind: str, other: str, wren: str) -> None:
    text = reflected(kind, other=SENDS[kind] if other else "", wren=f"wren.bgp/addPath: {wren}")
    with nodes(text) as at:
        for family in Family:
            becomes("there is one path", partial(identifiers, at["wren"], family), [[]])
