"""What communities and limits of others do, beside BIRD and FRR."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from lab import Family
from lab.probes import kernel_routes
from tests.support.labs import lab_of
from tests.support.pairs import becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]

NODES = """
nodes:
  wren: {{kind: wren, asn: 65001, networks: [{networks}]}}
  other: {{kind: {kind}, asn: 65002, networks: [{theirs}]}}
links:
  - {{wren: [172.31.0.1/24], other: [172.31.0.2/24]}}
bgp:
  - between: [wren, other]
    families: [ipv4]
    hold_time: 9
    extra:
      wren: |
        {keys}
      other: |
        {lines}
"""


def test_packets_to_a_blackhole_of_bird_are_dropped_by_the_kernel() -> None:
    """RFC 7999 §3: BIRD marks what it tells; a longer prefix than its own is dropped."""
    topology = NODES.format(
        kind="bird",
        networks="10.1.0.0/24",
        theirs="10.2.0.9/32, 10.2.1.0/24",
        keys="wren.bgp/blackhole: on",
        lines="ipv4 export filter { bgp_community.add((65535, 666)); accept; };",
    )
    with lab_of(topology) as lab:
        lab.wait_established()
        w = lab.node("wren")

        def kinds() -> dict[str, str]:
            found = kernel_routes(w, Family.IPV4)
            return {prefix: r.kind for prefix, r in found.items() if prefix.startswith("10.2.")}

        becomes("the kernel drops", kinds, {"10.2.0.9/32": "blackhole", "10.2.1.0/24": "unicast"})


@pytest.mark.parametrize(
    ("kind", "line"),
    [("bird", "ipv4 import limit 3 action disable;"), ("frr", "ipv4 maximum-prefix 3")],
)
def test_a_peer_that_closes_beyond_a_number_is_never_told_more(kind: str, line: str) -> None:
    topology = NODES.format(
        kind=kind,
        networks=", ".join(f"10.1.{n}.0/24" for n in range(6)),
        theirs="10.2.0.0/24",
        keys="wren.bgp/maxPrefixesOut: 3 drop",
        lines=line,
    )
    with lab_of(topology) as lab:
        lab.wait_established()
        w, other = lab.node("wren"), lab.node("other")

        def told() -> set[str]:
            return {p for p in other.routes(Family.IPV4) if p.startswith("10.1.")}

        becomes("three are told", lambda: len(told()), 3)
        first = min(told())
        w.withdraw(ip_network(first))
        becomes("another one follows", lambda: (len(told()), first in told()), (3, False))
        lab.wait_established()
