"""A node is drained while packets flow through it, and put back: others take over without loss.

Between two BIRDs stand Wren and, beside it, a third BIRD; both ways are there all the time, and
Wren's is the better one.
"""

from __future__ import annotations

import pytest

from lab import Family
from lab.probes import wait_until
from tests.support.datastores import wren_in
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes, gateways
from tests.support.traffic import Flow, flowing, lost

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

LEFT, RIGHT = "10.1.0.0/24", "10.2.0.0/24"

_LAST_CHOICE = "if (65535, 0) ~ bgp_community then bgp_local_pref = 0; else bgp_local_pref = 200;"
_BETTER = f"ipv4 import filter {{ {_LAST_CHOICE} accept; }};"

TOPOLOGY = f"""
nodes:
  left: {{kind: bird, asn: 65002, networks: [{LEFT}], addresses: [10.1.0.1/32]}}
  w: {{kind: wren, asn: 65001}}
  other: {{kind: bird, asn: 65004}}
  right: {{kind: bird, asn: 65003, networks: [{RIGHT}], addresses: [10.2.0.1/32]}}
links:
  - {{left: [172.31.1.2/24], w: [172.31.1.1/24]}}
  - {{left: [172.31.2.2/24], other: [172.31.2.1/24]}}
  - {{w: [172.31.3.1/24], right: [172.31.3.2/24]}}
  - {{other: [172.31.4.1/24], right: [172.31.4.2/24]}}
bgp:
  - {{between: [w, left], hold_time: 9, extra: {{left: "{_BETTER}"}}}}
  - {{between: [w, right], hold_time: 9, extra: {{right: "{_BETTER}"}}}}
  - {{between: [other, left], hold_time: 9}}
  - {{between: [other, right], hold_time: 9}}
"""

BY_WREN, BY_THE_OTHER = ["172.31.1.1", "172.31.3.1"], ["172.31.2.1", "172.31.4.1"]


def test_a_node_is_drained_and_put_back_under_traffic_without_loss() -> None:
    with lab_of(TOPOLOGY) as lab:
        left, right, w = lab.node("left"), lab.node("right"), lab.node("w")

        def ways() -> list[str]:
            found = (
                gateways(left, Family.IPV4).get(RIGHT, ()),
                gateways(right, Family.IPV4).get(LEFT, ()),
            )
            return [gateway for hops in found for gateway in hops]

        lab.wait_established()
        becomes("both lead by Wren", ways, BY_WREN)
        flow = Flow(left, "10.1.0.1", right, "10.2.0.1")
        with flowing([flow, flow.back]) as counts:
            said = wren_in(w, "drain", "--wait", "2", "--reason", "new kernel").splitlines()
            assert ways() == BY_THE_OTHER
            assert not w.is_up_with()
            wait_until(lambda: w.routes() == {}, "all sessions are down", nodes=[w])
            assert wren_in(w, "undrain").startswith("returning: sessions come up")
            lab.wait_established("w")
            becomes("both lead by Wren again", ways, BY_WREN)
        assert lost(counts) == {}
        assert said[0] == "telling all routes as a last choice"
        assert said[-1] == "drained: all sessions are down; 'wren undrain' lets them come up"
