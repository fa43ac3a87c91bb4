"""Kernel routes through kills, stops, meddling and moves: what stays wanted is never missing.

One Wren between two BIRDs of one AS, on a link to each. Both announce a network of their own and
one that they share, so that the shared one has two equal paths. A route of a third party stands in
the kernel all the time, and nobody but its owner may touch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed, link_down
from lab.kinds.wren import Wren
from lab.probes import kernel_routes
from tests.support.datastores import log_of
from tests.support.labs import lab_of
from tests.support.pairs import becomes, gateways
from tests.support.watching import Watch, watched

pytestmark = [pytest.mark.netns, pytest.mark.interop]

B2, B3 = "172.31.2.2", "172.31.3.3"
FOREIGN = "10.55.0.0/16"
SHARED = "10.9.0.0/24"
BOTH = {
    "10.2.0.0/24": (B2,),
    "10.3.0.0/24": (B3,),
    SHARED: (B2, B3),
}
BOTH_V6 = {"fd00:2::/64": ("fd31:2::2",), "fd00:3::/64": ("fd31:3::3",)}


def topology(args: str = "[]") -> str:
    return f"""
nodes:
  w: {{kind: wren, asn: 65001, networks: [10.1.0.0/24, "fd00:1::/64"], args: {args}}}
  b2: {{kind: bird, asn: 65002, networks: [10.2.0.0/24, {SHARED}, "fd00:2::/64"]}}
  b3: {{kind: bird, asn: 65002, networks: [10.3.0.0/24, {SHARED}, "fd00:3::/64"]}}
links:
  - {{w: [172.31.2.1/24, "fd31:2::1/64"], b2: [{B2}/24, "fd31:2::2/64"]}}
  - {{w: [172.31.3.1/24, "fd31:3::1/64"], b3: [{B3}/24, "fd31:3::3/64"]}}
bgp:
  - {{between: [w, b2], hold_time: 9}}
  - {{between: [w, b3], hold_time: 9}}
"""


@contextmanager
def two_birds(args: str = "[]") -> Iterator[tuple[Lab, RunningNode]]:
    """Bring the lab up until Wren has all routes."""
    with lab_of(topology(args)) as lab:
        w = lab.node("w")
        w.execute(["ip", "route", "add", FOREIGN, "via", B2, "proto", "static"])
        becomes("w has all routes", partial(ours, w), {**BOTH, **BOTH_V6})
        yield lab, w


def ours(node: RunningNode) -> dict[str, tuple[str, ...]]:
    """Give the gateways of the kernel routes that are Wren's."""
    found = [kernel_routes(node, family) for family in Family]
    return {
        prefix: route.gateways
        for table in found
        for prefix, route in table.items()
        if route.protocol == "bird"
    }


def has_foreign(node: RunningNode) -> bool:
    route = kernel_routes(node, Family.IPV4).get(FOREIGN)
    return route is not None and (route.protocol, route.gateways) == ("static", (B2,))


def heard(node: RunningNode) -> int:
    """Tell how many prefixes the peers of a Wren node have told."""
    assert isinstance(node.speaks, Wren)
    status = node.speaks.status()
    peers = [] if status is None else status["peers"]
    return sum(view["received"] for peer in peers for view in peer["families"].values())


def removed(watch: Watch) -> list[str]:
    """Give the prefixes of routes that were removed."""
    return sorted({line.split()[1] for line in watch.removed})


def test_a_kill_takes_no_wanted_route_away_and_unwanted_ones_go_after_the_restart() -> None:
    with two_birds() as (lab, w):
        late = ip_network("10.22.0.0/24")
        lab.node("b2").announce(late)
        becomes("w has one more", partial(ours, w), {**BOTH, **BOTH_V6, str(late): (B2,)})
        with watched(w) as watches:
            with killed(w):
                assert ours(w) == {**BOTH, **BOTH_V6, str(late): (B2,)}
                lab.node("b2").withdraw(late)
                w.execute(["ip", "route", "add", "10.66.0.0/24", "via", B3, "proto", "bird"])
            becomes("only unwanted routes go", partial(ours, w), {**BOTH, **BOTH_V6})
            lab.wait_established()
            assert has_foreign(w)
        assert removed(watches["w"]) == ["10.22.0.0/24", "10.66.0.0/24"]
        before, told, after = log_of(w).partition("every peer has told all it has")
        assert told
        assert "unwanted ipv4 kernel routes go" in after
        assert "kernel routes go" not in before


def test_a_clean_stop_leaves_every_route() -> None:
    with two_birds() as (_, w):
        with watched(w) as watches:
            w.stop()
            assert ours(w) == {**BOTH, **BOTH_V6}
            w.start()
            becomes("sessions are up again", w.is_up_with, wanted=True)
            becomes("w has every way again", partial(ours, w), {**BOTH, **BOTH_V6})
        assert removed(watches["w"]) == []


def test_a_stop_that_is_asked_to_takes_all_own_routes_and_no_other() -> None:
    with two_birds("[--withdraw-on-exit]") as (_, w):
        w.stop()
        assert ours(w) == {}
        assert has_foreign(w)


def test_what_somebody_does_to_our_routes_is_repaired() -> None:
    with two_birds() as (_, w):
        wanted = {**BOTH, **BOTH_V6}
        w.execute(["ip", "route", "del", "10.2.0.0/24"])
        becomes("the route is back", partial(ours, w), wanted, seconds=5)
        w.execute(["ip", "route", "del", SHARED])
        becomes("the multipath route is back", partial(ours, w), wanted, seconds=5)
        w.execute(["ip", "-6", "route", "del", "fd00:3::/64"])
        becomes("the IPv6 route is back", partial(ours, w), wanted, seconds=5)
        w.execute(["ip", "route", "replace", "10.3.0.0/24", "via", B2, "proto", "bird"])
        becomes("the route leads where it did", partial(ours, w), wanted, seconds=5)
        w.execute(["ip", "route", "del", FOREIGN])
        assert FOREIGN not in kernel_routes(w, Family.IPV4)


def test_two_equal_paths_share_the_traffic_until_one_dies() -> None:
    with two_birds() as (lab, w):
        left = {"10.2.0.0/24": (B2,), SHARED: (B2,), "fd00:2::/64": ("fd31:2::2",)}
        with watched(w) as watches:
            with killed(lab.node("b3")):
                becomes("one path is left", partial(ours, w), left)
            becomes("both are back", partial(ours, w), {**BOTH, **BOTH_V6})
        assert removed(watches["w"]) == ["10.3.0.0/24", "fd00:3::/64"]
        with link_down(w, "eth1"):
            becomes("one link is left", partial(ours, w), left)
        becomes("both are back", partial(ours, w), {**BOTH, **BOTH_V6})
        assert has_foreign(w)


def test_routes_follow_the_way_to_their_next_hop() -> None:
    topology = """
nodes:
  w: {kind: wren, asn: 65001}
  g: {kind: gobgp, asn: 65001}
links:
  - {w: [172.31.2.1/24], g: [172.31.2.2/24]}
  - {w: [172.31.3.1/24], g: [172.31.3.2/24]}
bgp:
  - {between: [w, g], hold_time: 9}
"""
    prefix, far = "10.7.0.0/24", "172.31.9.0/24"
    with lab_of(topology) as lab:
        w, g = lab.node("w"), lab.node("g")
        lab.wait_established()
        words = ["global", "rib", "add", prefix, "nexthop", "172.31.9.1"]
        g.execute(["gobgp", "-u", "127.0.0.1", *words])
        becomes("the path is heard", partial(heard, w), wanted=1)
        assert prefix not in w.routes(Family.IPV4)
        w.execute(["ip", "route", "add", far, "via", "172.31.2.2"])
        becomes("the route is there", lambda: gateways(w, Family.IPV4).get(prefix), ("172.31.2.2",))
        with watched(w) as watches:
            w.execute(["ip", "route", "replace", far, "via", "172.31.3.2"])
            becomes("it moves", lambda: gateways(w, Family.IPV4).get(prefix), ("172.31.3.2",))
        assert removed(watches["w"]) == []
        w.execute(["ip", "route", "del", far])
        becomes("it goes", lambda: gateways(w, Family.IPV4).get(prefix), None)
        assert w.is_up_with()
