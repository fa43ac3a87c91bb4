"""What takes minutes: sessions that stand, and kernels that follow, while routes come and go."""

from __future__ import annotations

import itertools
import time
from ipaddress import IPv4Network
from typing import Any

import pytest

from lab import Family, RunningNode
from lab.kinds.wren import Wren
from lab.probes import wait_until
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces

pytestmark = [
    pytest.mark.netns,
    pytest.mark.interop,
    pytest.mark.soak,
    pytest.mark.timeout(900),
    needs_namespaces,
]

MINUTES = 5.0

STAR = """
nodes:
  hub: {kind: wren, asn: 65000}
  wren: {kind: wren, asn: 65001, networks: [10.1.0.0/24]}
  bird: {kind: bird, asn: 65002, networks: [10.2.0.0/24]}
  frr: {kind: frr, asn: 65003, networks: [10.3.0.0/24]}
segments:
  lan:
    hub: [172.31.0.1/24, "fd31::1/64"]
    wren: [172.31.0.2/24, "fd31::2/64"]
    bird: [172.31.0.3/24, "fd31::3/64"]
    frr: [172.31.0.4/24, "fd31::4/64"]
bgp:
  - {between: [hub, wren], hold_time: 3}
  - {between: [hub, bird], hold_time: 3}
  - {between: [hub, frr], hold_time: 3}
"""


def test_sessions_of_three_seconds_stand_for_minutes_while_routes_come_and_go() -> None:
    """RFC 4271 §4.4: three seconds is the shortest hold time that there is."""
    with lab_of(STAR) as lab:
        lab.wait_established()
        hub, everybody = lab.node("hub"), list(lab.nodes.values())
        since = {peer["name"]: peer["since"] for peer in status(hub)["peers"]}
        end = time.monotonic() + MINUTES * 60
        for number in itertools.count():
            prefix = IPv4Network((0x0A640000 + (number % 200 << 8), 24))
            speaker = lab.node(("wren", "bird")[number % 2])
            others = [node for node in everybody if node is not speaker]
            speaker.announce(prefix)
            becomes(others, prefix, everywhere=True)
            speaker.withdraw(prefix)
            becomes(others, prefix, everywhere=False)
            if time.monotonic() > end:
                break
        assert {peer["name"]: peer["since"] for peer in status(hub)["peers"]} == since


def becomes(nodes: list[RunningNode], prefix: IPv4Network, *, everywhere: bool) -> None:
    """Wait until a prefix is in all these kernels, or in none."""

    def holds() -> bool:
        return all((str(prefix) in n.kernel_routes(Family.IPV4)) is everywhere for n in nodes)

    where = "everywhere" if everywhere else "nowhere"
    wait_until(holds, f"{prefix} is {where}", nodes=nodes)


def status(node: RunningNode) -> dict[str, Any]:
    assert isinstance(node.daemon, Wren)
    found = node.daemon.status()
    assert found is not None
    return found
