"""Every foreign daemon beside BIRD: what the lab writes for it works, and what it says is read."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from lab import Family, Lab, faults
from lab.errors import LabError
from lab.probes import holds_for, ping, wait_until
from lab.processes import name_of
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces

pytestmark = [pytest.mark.interop, pytest.mark.netns, needs_namespaces]

TOPOLOGY = """
nodes:
  bird:
    kind: bird
    asn: 65001
    networks: [10.1.0.0/24, "fd00:1::/64"]
    addresses: [10.1.0.1/32, "fd00:1::1/128"]
  other:
    kind: {kind}
    asn: 65002
    networks: [10.2.0.0/24, "fd00:2::/64"]
    addresses: [10.2.0.1/32, "fd00:2::1/128"]
    extra: {extra}
links:
  - bird: [172.31.0.1/24, "fd31::1/64"]
    other: [172.31.0.2/24, "fd31::2/64"]
bgp:
  - {{between: [bird, other], hold_time: 9}}
"""

KINDS = ("bird", "frr", "gobgp", "openbgpd", "exabgp")

THEIRS = {Family.IPV4: "10.2.0.0/24", Family.IPV6: "fd00:2::/64"}
OURS = {Family.IPV4: "10.1.0.0/24", Family.IPV6: "fd00:1::/64"}
MORE = {Family.IPV4: "10.77.0.0/16", Family.IPV6: "fd00:77::/48"}


# FRR offers to restart gracefully, so BIRD would keep the routes of a killed one for two minutes.
EXTRA = {"frr": '"router bgp 65002\\n bgp graceful-restart-disable"'}


def lab_with(kind: str) -> str:
    return TOPOLOGY.format(kind=kind, extra=EXTRA.get(kind, '""'))


def eventually(lab: Lab, what: str, condition: Callable[[], bool]) -> None:
    wait_until(condition, what, nodes=list(lab.nodes.values()))


def has(lab: Lab, node: str, prefix: str, family: Family) -> Callable[[], bool]:
    return lambda: prefix in lab.node(node).routes(family)


def lacks(lab: Lab, node: str, prefix: str, family: Family) -> Callable[[], bool]:
    return lambda: prefix not in lab.node(node).routes(family)


@pytest.mark.parametrize("kind", KINDS)
def test_routes_go_both_ways_and_follow_what_is_announced(kind: str) -> None:
    with lab_of(lab_with(kind)) as lab:
        lab.wait_established()
        other = lab.node("other")
        assert other.sessions() == {"172.31.0.1": True, "fd31::1": True}
        for family in Family:
            eventually(lab, "bird hears", has(lab, "bird", THEIRS[family], family))
            eventually(lab, "the other hears", has(lab, "other", OURS[family], family))
            assert other.routes(family)[OURS[family]].as_path == (65001,)
            assert lab.node("bird").routes(family)[THEIRS[family]].as_path == (65002,)

            other.announce(ip_network(MORE[family]))
            eventually(lab, "bird hears more", has(lab, "bird", MORE[family], family))
            other.withdraw(ip_network(MORE[family]))
            eventually(lab, "bird hears no more", lacks(lab, "bird", MORE[family], family))
            assert has(lab, "bird", THEIRS[family], family)()
        programs_the_kernel_if_it_says_so(lab)


def programs_the_kernel_if_it_says_so(lab: Lab) -> None:
    bird, other = lab.node("bird"), lab.node("other")
    eventually(lab, "bird installs", lambda: "10.2.0.0/24" in bird.kernel_routes())
    if other.speaks.programs_kernel:
        eventually(lab, "it installs", lambda: "10.1.0.0/24" in other.kernel_routes())
        assert ping(other, "10.1.0.1", source="10.2.0.1")
    else:
        assert holds_for(0.5, lambda: "10.1.0.0/24" not in other.kernel_routes())


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_daemon_is_missed_and_comes_back(kind: str) -> None:
    with lab_of(lab_with(kind)) as lab:
        lab.wait_established()
        bird = lab.node("bird")
        for family in Family:
            eventually(lab, "bird hears", has(lab, "bird", THEIRS[family], family))
        with faults.killed(lab.node("other")):
            assert lab.node("other").programs() == []
            for family in Family:
                eventually(lab, "bird forgets", lacks(lab, "bird", THEIRS[family], family))
            assert not bird.is_up_with()
        lab.wait_established()
        for family in Family:
            eventually(lab, "bird hears again", has(lab, "bird", THEIRS[family], family))


def test_one_program_of_a_node_may_be_killed_while_the_other_goes_on() -> None:
    with lab_of(lab_with("frr")) as lab:
        lab.wait_established()
        other = lab.node("other")
        zebra = [each for each in other.programs() if name_of(each) == "zebra"]
        assert len(zebra) == 1
        with faults.killed(other, "bgpd"):
            assert other.programs() == zebra
            eventually(lab, "the session falls", lambda: not lab.node("bird").is_up_with())
        lab.wait_established()
        assert zebra[0] in other.programs()
        assert len(other.programs()) == 2
        with pytest.raises(LabError, match="runs already"):
            other.start("bgpd")


def test_a_frozen_daemon_goes_on_where_it_stood() -> None:
    with lab_of(lab_with("bird").replace("hold_time: 9", "hold_time: 3")) as lab:
        lab.wait_established()
        other = lab.node("other")
        before = other.programs()
        with faults.frozen(other):
            eventually(lab, "the hold timer expires", lambda: not lab.node("bird").is_up_with())
        lab.wait_established()
        assert other.programs() == before


def test_a_link_that_is_down_takes_the_sessions_with_it() -> None:
    with lab_of(lab_with("bird")) as lab:
        lab.wait_established()
        with faults.link_down(lab.node("other")):
            eventually(lab, "sessions fall", lambda: not lab.node("bird").is_up_with())
        lab.wait_established()
        for family in Family:
            eventually(lab, "bird hears again", has(lab, "bird", THEIRS[family], family))


def test_two_labs_at_once_do_not_disturb_each_other() -> None:
    with lab_of(lab_with("gobgp")) as staying:
        with lab_of(lab_with("gobgp")) as leaving:
            staying.wait_established()
            leaving.wait_established()
            before = [node.programs() for node in staying.nodes.values()]
            leaving.node("other").announce(ip_network("10.77.0.0/16"))
            eventually(leaving, "heard", has(leaving, "bird", "10.77.0.0/16", Family.IPV4))
        assert [node.programs() for node in staying.nodes.values()] == before
        assert all(before)
        assert holds_for(1, staying.node("bird").is_up_with)
        assert "10.77.0.0/16" not in staying.node("bird").routes()
