"""Peers that must be near (RFC 5082): a Wren, a router in between, and all others behind it.

The router is a host that forwards, so every segment of the sessions passes two hops.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
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
TWO_HOPS = {
    "wren": "ttlSecurity: 2\nwren.bgp/idleHold: 1,2",
    "bird": "multihop 2; ttl security on;",
    "frr": "ttl-security hops 2",
    "gobgp": "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 254",
    "openbgpd": "multihop 2\nttl-security yes",
}
FAR = {
    name: (f"172.31.{number}.2", f"fd31:{number}::2")
    for number, name in enumerate(("far", "bird", "frr", "gobgp", "openbgpd"), 2)
}
MORE = (ip_network("10.77.0.0/16"), ip_network("fd00:77::/48"))
AGAIN = ip_network("10.78.0.0/16")
DROPS, UNSIGNED = "TCPMinTTLDrop", "TCPMD5NotFound"
FORGED = ("rst", "syn", "data")


def topology() -> str:
    def peers(addresses: tuple[str, ...], local: tuple[str, ...], asn: int, extra: str) -> Any:
        return [
            {"address": there, "asn": asn, "hold_time": 9, "extra": extra, "local": here}
            for there, here in zip(addresses, local, strict=True)
        ]

    links: list[Any] = [{"near": on_link(NEAR), "hop": ["172.31.1.254/24", "fd31:1::ff/64"]}]
    nodes: dict[str, Any] = {
        "near": {"kind": "wren", "asn": 65001, "peers": []},
        "hop": {"kind": "host"},
    }
    nodes["near"]["gateways"] = ["172.31.1.254", "fd31:1::ff"]
    for number, (name, addresses) in enumerate(FAR.items(), 2):
        gateways = [f"172.31.{number}.254", f"fd31:{number}::ff"]
        kind, asn = "wren" if name == "far" else name, 65000 + number
        nodes[name] = {"kind": kind, "asn": asn, "gateways": gateways}
        nodes[name]["peers"] = peers(NEAR, addresses, 65001, TWO_HOPS[kind])
        nodes["near"]["peers"] += peers(addresses, NEAR, asn, TWO_HOPS["wren"])
        there = [f"{gateways[0]}/24", f"{gateways[1]}/64"]
        links.append({name: on_link(addresses), "hop": there})
    return json.dumps({"nodes": nodes, "links": links})


def on_link(addresses: tuple[str, ...]) -> list[str]:
    return [f"{address}/{64 if ':' in address else 24}" for address in addresses]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of(topology()) as lab:
        # The way to the next hops is by the default route, which FRR takes only when it is told.
        by_default = [f"{family} nht resolve-via-default" for family in ("ip", "ipv6")]
        words = [word for line in ("configure terminal", *by_default) for word in ("-c", line)]
        frr = lab.node("frr")
        frr.execute(["vtysh", "--vty_socket", str(frr.home), *words])
        lab.wait_established(seconds=30)
        yield lab


def ask_for(node: RunningNode, addresses: tuple[str, ...], **values: Any) -> None:
    """Have a Wren ask something else of some peers."""
    path = node.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    for item in resources["items"]:
        if item["kind"] == "BGPPeer" and item["spec"]["peerIP"] in addresses:
            item["spec"].update(values)
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)


def whys(node: RunningNode, addresses: tuple[str, ...]) -> list[str]:
    return [view(node, address)["why"] for address in addresses]


def view(node: RunningNode, address: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(node.home, "peer", name=address)["peer"]
    return found


def dropped(node: RunningNode, counter: str = DROPS) -> int:
    lines = node.execute(["cat", "/proc/net/netstat"]).splitlines()
    return int(dict(zip(lines[0].split(), lines[1].split(), strict=True))[counter])


def test_two_hops_are_allowed_with_every_speaker(lab: Lab) -> None:
    near = lab.node("near")
    lab.wait_established(seconds=30)
    assert [view(near, a)["ttlSecurity"] for name in FAR for a in FAR[name]] == [2] * 10
    for network in MORE:
        near.announce(network)
    for name in FAR:
        becomes(f"{name} hears of it", partial(hears, lab.node(name)), wanted=True)


def test_one_hop_too_far_is_down_and_suspected(lab: Lab) -> None:
    near, everybody = lab.node("near"), tuple(a for pair in FAR.values() for a in pair)

    def suspected() -> bool:
        text = "farther away than 1 hop (ttlSecurity)"
        return all(text in why for why in whys(near, everybody))

    ask_for(near, everybody, ttlSecurity=1)
    becomes("all are suspected to be too far", suspected, wanted=True)
    assert not any(near.sessions()[address] for address in everybody)
    ask_for(near, everybody, ttlSecurity=2)
    asked = lambda: {view(near, address)["ttlSecurity"] for address in everybody}  # noqa: E731
    becomes("two hops are allowed again", asked, {2})
    # After some failures it takes no calls for long.
    openbgpd = lab.node("openbgpd")
    for address in NEAR:
        openbgpd.execute(
            ["bgpctl", "-s", str(openbgpd.home / "bgpd.sock"), "neighbor", address, "clear"]
        )
    lab.wait_established(seconds=60)


@pytest.mark.parametrize(("number", "harm"), [(0, "rst"), (1, "data")], ids=["ipv4", "ipv6"])
def test_what_is_forged_from_too_far_does_no_harm_and_from_near_it_does(
    lab: Lab, number: int, harm: str
) -> None:
    """The forger has the right sequence number; only its TTL gives it away."""
    near, since = lab.node("near"), stands(lab, number)
    for kind in FORGED:
        before = dropped(near)
        forge(lab, number, kind, ttl=253)
        becomes(f"{kind} is dropped", partial(is_more, near, DROPS, before), wanted=True)
    assert stands(lab, number) == since
    forge(lab, number, harm, ttl=254)
    becomes("the session falls", lambda: view(near, FAR["far"][number])["since"] != since, True)
    lab.wait_established(seconds=60)


def test_what_is_forged_without_a_signature_does_no_harm(lab: Lab) -> None:
    """It comes from near enough, with the right sequence number; only the signature is missing."""
    for name, addresses in (("near", FAR["far"]), ("far", NEAR)):
        node = lab.node(name)
        secret = node.home / "datastore" / "secrets" / "key" / "password"
        secret.parent.mkdir(parents=True)
        secret.write_text("hush", encoding="utf-8")
        reference = {"secretKeyRef": {"name": "key", "key": "password"}}
        ask_for(node, addresses, password=reference)
    near = lab.node("near")

    def signed() -> bool:
        peers = [view(near, address) for address in FAR["far"]]
        return all(peer["password"]["inUseSince"] and peer["state"] == "up" for peer in peers)

    becomes("both sessions are signed", signed, wanted=True, seconds=40)
    for number in (0, 1):
        since = stands(lab, number)
        for kind in FORGED:
            before = dropped(near, UNSIGNED)
            forge(lab, number, kind, ttl=254)
            becomes(f"{kind} is dropped", partial(is_more, near, UNSIGNED, before), wanted=True)
        assert stands(lab, number) == since


def hears(node: RunningNode) -> bool:
    return all(str(net) in node.routes(family) for net, family in zip(MORE, Family, strict=True))


def stands(lab: Lab, number: int) -> float:
    """Tell since when the session with the far Wren is up, in one of the families."""
    told = view(lab.node("near"), FAR["far"][number])
    assert told["state"] == "up"
    since: float = told["since"]
    return since


def is_more(node: RunningNode, counter: str, before: int) -> bool:
    return dropped(node, counter) > before


def forge(lab: Lab, number: int, kind: str, *, ttl: int) -> None:
    """Send a forged segment of the far Wren on the last link to the near one."""
    hop, far = lab.node("hop"), lab.node("far")
    words = ["eth0", FAR["far"][number], NEAR[number], str(ttl), kind]
    argv = hop.inside([sys.executable, "-m", "tests.support.forger", *words])
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as forger:
        assert forger.stdout is not None
        assert forger.stdout.readline() == "listening\n"
        try:
            # It waits for a segment that says something.
            for turn in range(60):
                (far.withdraw if turn % 2 else far.announce)(AGAIN)
                with suppress(subprocess.TimeoutExpired):
                    assert forger.wait(0.5) == 0
                    break
            else:
                pytest.fail("nothing was said that could be forged")
        finally:
            forger.kill()
    far.withdraw(AGAIN)
