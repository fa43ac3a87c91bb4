"""Peers that must be near (RFC 5082): a Wren, a router in between, and a Wren and a BIRD behind it.

The router is a host that forwards, so every segment of the sessions passes two hops.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.pairs import becomes

pytestmark = [pytest.mark.netns, pytest.mark.interop]

ROOT = Path(__file__).parents[2]
NEAR = ("172.31.1.1", "fd31:1::1")
FAR = {"far": ("172.31.2.2", "fd31:2::2"), "bird": ("172.31.3.2", "fd31:3::2")}
MORE = (ip_network("10.77.0.0/16"), ip_network("fd00:77::/48"))
DROPS = "TCPMinTTLDrop"


def topology() -> str:
    def peers(addresses: tuple[str, ...], local: tuple[str, ...], asn: int, extra: str) -> Any:
        return [
            {"address": there, "asn": asn, "hold_time": 9, "extra": extra, "local": here}
            for there, here in zip(addresses, local, strict=True)
        ]

    links: list[Any] = [{"near": on_link(NEAR), "hop": ["172.31.1.254/24", "fd31:1::ff/64"]}]
    nodes: dict[str, Any] = {
        "near": {"kind": "wren", "asn": 65001, "gateways": ["172.31.1.254", "fd31:1::ff"]},
        "hop": {"kind": "host"},
        "far": {"kind": "wren", "asn": 65002, "gateways": ["172.31.2.254", "fd31:2::ff"]},
        "bird": {"kind": "bird", "asn": 65003, "gateways": ["172.31.3.254", "fd31:3::ff"]},
    }
    nodes["near"]["peers"] = [
        *peers(FAR["far"], NEAR, 65002, "ttlSecurity: 2"),
        *peers(FAR["bird"], NEAR, 65003, "ttlSecurity: 2"),
    ]
    nodes["far"]["peers"] = peers(NEAR, FAR["far"], 65001, "ttlSecurity: 2")
    nodes["bird"]["peers"] = peers(NEAR, FAR["bird"], 65001, "multihop 2; ttl security on;")
    for number, (name, addresses) in enumerate(FAR.items(), 2):
        there = [f"172.31.{number}.254/24", f"fd31:{number}::ff/64"]
        links.append({name: on_link(addresses), "hop": there})
    return json.dumps({"nodes": nodes, "links": links})


def on_link(addresses: tuple[str, ...]) -> list[str]:
    return [f"{address}/{64 if ':' in address else 24}" for address in addresses]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of(topology()) as lab:
        lab.wait_established(seconds=30)
        yield lab


def ask_for(node: RunningNode, addresses: tuple[str, ...], hops: int) -> None:
    """Have a Wren ask some peers to be so near."""
    path = node.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    for item in resources["items"]:
        if item["kind"] == "BGPPeer" and item["spec"]["peerIP"] in addresses:
            item["spec"]["ttlSecurity"] = hops
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)


def whys(node: RunningNode, addresses: tuple[str, ...]) -> list[str]:
    return [view(node, address)["why"] for address in addresses]


def view(node: RunningNode, address: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(node.home, "peer", name=address)["peer"]
    return found


def dropped(node: RunningNode) -> int:
    lines = node.execute(["cat", "/proc/net/netstat"]).splitlines()
    return int(dict(zip(lines[0].split(), lines[1].split(), strict=True))[DROPS])


def test_two_hops_are_allowed_and_every_segment_passes(lab: Lab) -> None:
    near = lab.node("near")
    lab.wait_established(seconds=30)
    assert [view(near, a)["ttlSecurity"] for name in FAR for a in FAR[name]] == [2] * 4
    # What was refused before the others listened came with a TTL of 64, and was dropped.
    before = dropped(near)
    for network in MORE:
        near.announce(network)
    for name in FAR:
        becomes(f"{name} hears of it", partial(hears, lab.node(name)), wanted=True)
    assert dropped(near) == before


@pytest.mark.parametrize("name", list(FAR))
def test_one_hop_too_far_is_down_and_suspected(lab: Lab, name: str) -> None:
    near, addresses = lab.node("near"), FAR[name]

    def suspected() -> bool:
        text = "farther away than 1 hop (ttlSecurity)"
        return all(text in why for why in whys(near, addresses))

    ask_for(near, addresses, 1)
    becomes("both are suspected to be too far", suspected, wanted=True)
    assert not any(near.sessions()[address] for address in addresses)
    ask_for(near, addresses, 2)
    lab.wait_established(seconds=40)


@pytest.mark.parametrize("number", [0, 1], ids=["ipv4", "ipv6"])
def test_a_forged_reset_from_too_far_does_no_harm_and_one_from_near_does(
    lab: Lab, number: int
) -> None:
    """The forger has the right sequence number; only its TTL gives it away."""
    near, address = lab.node("near"), FAR["far"][number]
    since, before = view(near, address)["since"], dropped(near)
    forge(lab.node("hop"), address, NEAR[number], ttl=253)
    becomes("it is dropped", partial(is_more, near, before), wanted=True)
    assert (view(near, address)["state"], view(near, address)["since"]) == ("up", since)
    forge(lab.node("hop"), address, NEAR[number], ttl=254)
    becomes("the session falls", lambda: view(near, address)["since"] != since, wanted=True)
    lab.wait_established(seconds=40)


def hears(node: RunningNode) -> bool:
    return all(str(net) in node.routes(family) for net, family in zip(MORE, Family, strict=True))


def is_more(node: RunningNode, before: int) -> bool:
    return dropped(node) > before


def forge(hop: RunningNode, source: str, target: str, *, ttl: int) -> None:
    """Send a forged RST on the last link to its target."""
    argv = [sys.executable, "-m", "tests.support.resetter", "eth0", source, target, str(ttl)]
    subprocess.run(hop.inside(argv), cwd=ROOT, check=True, timeout=30)
