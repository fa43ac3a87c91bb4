"""Sessions between link-local addresses: two Wrens with addresses on ``lo`` alone, and two links.

On both links the ends are fe80::1 and fe80::2, so only the interface tells which peer is meant.
"""

from __future__ import annotations

import json
from functools import partial

import pytest

from lab import Family, RunningNode
from lab.faults import link_down
from lab.kinds.wren import Wren
from lab.probes import kernel_routes, ping
from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.link_local import begin_again, keep_only_ours
from tests.support.pairs import becomes

pytestmark = pytest.mark.netns

NETWORK = "10.2.0.0/24"


def topology(*fields: str) -> str:
    """Write two nodes; fields are of all their sessions besides."""
    extra = json.dumps("\n".join(("wren.bgp/extendedNextHop: on", *fields)))

    def node(number: int, other: int, passive: str) -> str:
        peers = "".join(
            f"""
      - address: "fe80::{other}%{link}"
        asn: {65000 + other}
        families: [ipv4, ipv6]
        hold_time: 9
        passive: {passive}
        extra: {extra}
"""
            for link in ("eth0", "eth1")
        )
        return f"""
    kind: wren
    asn: {65000 + number}
    networks: [10.{number}.0.0/24, "fd00:{number}::/64"]
    addresses: [10.{number}.0.1/32, "fd00:{number}::1/128"]
    peers: {peers}"""

    return f"""
nodes:
  a: {node(1, 2, "false")}
  b: {node(2, 1, "true")}
links:
  - {{a: ["fe80::1/64"], b: ["fe80::2/64"]}}
  - {{a: ["fe80::1/64"], b: ["fe80::2/64"]}}
"""


def ways(node: RunningNode, family: Family) -> list[tuple[str, str]]:
    """Give gateway and interface of each hop of Wren's route to the other's network."""
    network = NETWORK if family is Family.IPV4 else "fd00:2::/64"
    command = ["ip", "-j", f"-{family.version}", "route", "show", network, "proto", "bird"]
    found = []
    for route in json.loads(node.execute(command) or "[]"):
        for hop in route.get("nexthops", [route]):
            gateway = hop.get("gateway") or hop.get("via", {}).get("host", "")
            found.append((hop["dev"], gateway))
    return sorted(found)


BOTH = [("eth0", "fe80::2"), ("eth1", "fe80::2")]


def test_the_same_addresses_on_two_links_are_two_peers() -> None:
    with lab_of(topology()) as lab:
        a, b = lab.node("a"), lab.node("b")
        begin_again([a, b])
        lab.wait_established(seconds=20)
        assert isinstance(b.speaks, Wren)
        assert set(b.speaks.sessions()) == {"fe80::1%eth0", "fe80::1%eth1"}
        for family in Family:
            becomes("a has both ways", partial(ways, a, family), BOTH)
        assert kernel_routes(b, Family.IPV4)["10.1.0.0/24"].gateways == ("fe80::1", "fe80::1")
        arrives = partial(ping, a, "10.2.0.1", source="10.1.0.1")
        becomes("a ping is answered", arrives, wanted=True)
        with link_down(a, "eth0"):
            for family in Family:
                becomes("one way is left", partial(ways, a, family), BOTH[1:])
            becomes("a ping is answered", arrives, wanted=True)
            becomes(
                "the other session stands",
                lambda: b.speaks.sessions(),
                {"fe80::1%eth0": False, "fe80::1%eth1": True},
            )
        # Addresses go with a link, and the kernel brings back its own only.
        a.execute(["ip", "address", "add", "fe80::1/64", "dev", "eth0", "nodad"])
        keep_only_ours(a)
        for family in Family:
            becomes("both ways are back", partial(ways, a, family), BOTH)


def test_they_are_signed_and_near_where_that_is_asked_for() -> None:
    password = "password: {secretKeyRef: {name: s, key: k}}"
    with lab_of(topology(password, "ttlSecurity: 1")) as lab:
        nodes = [lab.node("a"), lab.node("b")]
        for node in nodes:
            path = node.home / "datastore" / "secrets" / "s" / "k"
            path.parent.mkdir(parents=True)
            path.write_text("hush")
        begin_again(nodes)

        def signed() -> list[bool]:
            told = [peer for node in nodes for peer in ask(node.home, "status")["peers"]]
            return [peer["password"]["inUseSince"] is not None for peer in told]

        becomes("all are signed", signed, [True] * 4, seconds=40)
