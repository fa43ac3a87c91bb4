"""Next-hop objects on the real kernel: what moves, what stays, and what others may do to them."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from policy.path import Hop
from policy.resilience import Resilience
from speaker.kernel.objects import COMPAT
from speaker.kernel.routes import Forwarding, RoutesChanged, RoutesRepaired
from tests.support.kernels import (
    BLACKHOLE,
    IPV4,
    IPV6,
    Running,
    address,
    many,
    nlri,
    plain,
    routes,
    routes6,
    running,
    via,
    wires,
)
from tests.support.netns import in_namespace, needs_namespaces, route_monitor, sh, wait_until

ONE, TWO = "10.9.0.0/24", "10.9.1.0/24"


def over(*hops: tuple[str, str, int], way: int = 0, **more: Any) -> Forwarding:
    """Lead through gateways behind interfaces, with weights."""
    made = (
        Hop(socket.if_nametoindex(dev), address(gateway), dev, weight)
        for gateway, dev, weight in hops
    )
    return Forwarding(hops=tuple(made), way=way, **more)


def objects(selector: str = "proto 12") -> dict[int, str]:
    """Give what iproute2 says of objects, by number."""
    lines = sh(f"ip nexthop show {selector}").splitlines()
    return {int(line.split()[1]): " ".join(line.split()[2:]) for line in lines}


def groups() -> dict[int, str]:
    return {number: text for number, text in objects().items() if text.startswith("group")}


def numbers_named() -> set[int]:
    """Give the numbers of the objects that routes of ours name."""
    found = sh("ip route show proto bird") + sh("ip -6 route show proto bird")
    return {int(number) for number in re.findall(r"nhid (\d+)", found)}


def told_routes(lines: list[str]) -> list[str]:
    return [plain(line) for line in lines if "proto bird" in line]


@in_namespace
def test_routes_of_one_set_of_hops_name_one_group_and_gateways_are_shared() -> None:
    wires()
    both = over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 3))
    with running() as r:
        assert r.snapshot.facts.nexthop_objects
        r.install(IPV4, (via("10.1.1.2"), [ONE, "10.9.5.0/24"]), (both, [TWO]))
        r.install(IPV4, (BLACKHOLE, ["10.9.6.0/24"]))
        assert len(objects()) == 4
        assert len(numbers_named()) == 2
        hops = "nexthop via 10.1.1.2 dev v0 weight 1 nexthop via 10.1.2.2 dev w0 weight 3"
        assert routes(TWO) == [f"{TWO} proto bird {hops}"]
        installed = r.kernel.installed(IPV4, nlri(ONE))
        assert installed is not None
        assert installed.hops == via("10.1.1.2").hops


@in_namespace
def test_onlink_gateways_and_ipv6_ones_go_by_objects_too() -> None:
    wires()
    far = over(("192.0.2.77", "v0", 1), onlink=True)
    six = over(("2001:db8:1::2", "v0", 1))
    with running() as r:
        r.install(IPV4, (far, [ONE]), (six, [TWO]))
        r.install(IPV6, (six, ["2001:db8:a::/48"]))
        assert routes() == [
            f"{ONE} via 192.0.2.77 dev v0 onlink",
            f"{TWO} via inet6 2001:db8:1::2 dev v0",
        ]
        assert routes6() == ["2001:db8:a::/48 via 2001:db8:1::2 dev v0 metric 1024"]
        assert len(numbers_named()) == 3


@in_namespace
def test_a_way_that_leads_elsewhere_takes_its_routes_along_by_one_message() -> None:
    wires()
    COMPAT.write_text("0")
    everything = many(3000)
    with running() as r:
        r.install(IPV4, (over(("10.1.1.2", "v0", 1), way=7), everything))
        with route_monitor() as lines:
            now = over(("10.1.1.3", "v0", 1), ("10.1.2.3", "w0", 1), way=7)
            r.kernel.lead(IPV4, [now])
            r.install(IPV4, (now, everything))
            assert told_routes(lines) == []
        [group] = numbers_named()
        assert sh(f"ip nexthop get id {group}").count("/") == 1
        installed = r.kernel.installed(IPV4, everything[0])
        assert installed is not None
        assert len(installed.hops) == 2


@in_namespace
def test_a_set_of_which_one_dies_becomes_the_set_of_the_other() -> None:
    wires()
    COMPAT.write_text("0")
    everything = many(2000)
    a, b = ("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 1)
    both, other = over(a, b, way=1), over(b, way=2)
    with running() as r:
        r.install(IPV4, (both, everything), (other, [ONE]))
        before = numbers_named()
        with route_monitor() as lines:
            r.kernel.merge(IPV4, 1, other)
            r.install(IPV4, (other, everything))
            assert numbers_named() == before
            assert len(set(groups().values())) == 1
            assert told_routes(lines) == []
        # From now on both groups are that one way.
        moved = over(("10.1.2.3", "w0", 1), way=2)
        r.kernel.lead(IPV4, [moved])
        r.kernel.wait_drained(5)
        [text] = set(groups().values())
        assert "10.1.2.3" in objects()[int(text.split()[1])]
        # The set of both, should it come again, is another one, and what it left is removed.
        r.install(IPV4, (both, everything))
        assert len(numbers_named()) == 2
        r.install(IPV4, (None, [*everything, nlri(ONE)]))
        assert routes() == []


@in_namespace
def test_adopted_routes_keep_their_objects_or_are_replaced_in_place() -> None:
    wires()
    two = over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 2))
    six = via("2001:db8:1::2", "2001:db8:1::3")
    with running(nexthop_objects=False) as first:
        first.install(IPV4, (via("10.1.1.2"), [ONE]), (two, [TWO]))
        first.install(IPV6, (six, ["2001:db8:a::/48"]))
        assert objects() == {}
    for wanted in (True, True, False, False):
        with route_monitor() as lines, running(nexthop_objects=wanted) as again:
            assert again.snapshot.adopted == {IPV4: 2, IPV6: 1}
            was_plain = not numbers_named()
            there = routes(), routes6()
            again.install(IPV4, (replace(two, way=3), [TWO]), (via("10.1.1.2"), [ONE]))
            again.install(IPV6, (replace(six, way=3), ["2001:db8:a::/48"]))
            again.kernel.sweep(IPV4)
            again.kernel.sweep(IPV6)
            again.kernel.wait_drained(5)
            assert (routes(), routes6()) == there
            assert bool(numbers_named()) == wanted
            told = told_routes(lines)
            assert [line for line in told if line.startswith("Deleted")] == []
            assert bool(told) == (was_plain == wanted)


@in_namespace
def test_objects_that_no_route_names_go_with_the_next_scan_and_those_of_others_stay() -> None:
    wires()
    sh("ip nexthop add id 5 via 10.1.1.77 dev v0 proto static")
    sh("ip nexthop add id 6 group 5 proto 12")
    with running(scan_interval=0.1) as r:
        r.install(IPV4, (via("10.1.1.2"), [ONE, TWO]))
        first = groups()
        r.install(IPV4, (via("10.1.1.3"), [ONE, TWO]))
        wait_until(lambda: len(objects()) == 3)
        assert not groups().keys() & first.keys() - {6}
        assert 6 in groups()
    assert objects("proto 4") == {5: "via 10.1.1.77 dev v0 scope link proto static"}


@in_namespace
def test_a_stop_that_withdraws_takes_the_objects_too() -> None:
    wires()
    r = Running()
    r.install(IPV4, (via("10.1.1.2"), [ONE]))
    assert objects()
    r.kernel.stop(withdraw=True)
    assert objects() == {}


@pytest.mark.parametrize(
    "meddling",
    [
        "ip nexthop del id GROUP",
        "ip nexthop del id SINGLE",
        "ip nexthop flush proto 12",
        "ip nexthop replace id GROUP group OTHER",
        "ip nexthop replace id GROUP group OTHER proto static",
        "ip nexthop replace id SINGLE via 10.1.1.99 dev v0",
    ],
)
@pytest.mark.parametrize("compat", ["0", "1"])
@pytest.mark.netns
@needs_namespaces
def test_what_others_do_to_our_objects_is_repaired(meddling: str, compat: str) -> None:
    @in_namespace
    def repaired() -> None:
        wires()
        COMPAT.write_text(compat)
        sh("ip nexthop add id 99 via 10.1.1.98 dev v0")
        with running() as r:
            r.install(IPV4, (via("10.1.1.2"), [ONE, TWO]))
            r.install(IPV6, (via("2001:db8:1::2"), ["2001:db8:a::/48"]))
            group, *_ = re.findall(r"nhid (\d+)", sh(f"ip route show {ONE}"))
            single = groups()[int(group)].split()[1]
            words = {"GROUP": group, "SINGLE": single, "OTHER": "99"}
            sh(" ".join(words.get(word, word) for word in meddling.split()))
            wanted = [ONE + " via 10.1.1.2 dev v0", TWO + " via 10.1.1.2 dev v0"]

            def is_whole() -> bool:
                return shown_with_hops() == (wanted, ["2001:db8:a::/48 via 2001:db8:1::2 dev v0"])

            wait_until(is_whole, 3, meddling)

    repaired()


def shown_with_hops() -> tuple[list[str], list[str]]:
    """Give our routes of both families with where their objects lead, whatever the switch says."""
    switch = COMPAT.read_text()
    COMPAT.write_text("1")
    try:
        return routes(), [line.removesuffix(" metric 1024") for line in routes6()]
    finally:
        COMPAT.write_text(switch)


@in_namespace
def test_without_objects_routes_carry_their_hops() -> None:
    wires()
    with running(nexthop_objects=False) as r:
        r.install(IPV4, (over(("10.1.1.2", "v0", 1), way=4), [ONE]))
        assert not r.snapshot.facts.nexthop_objects
        assert objects() == {}
        r.kernel.lead(IPV4, [over(("10.1.1.3", "v0", 1), way=4)])
        r.kernel.merge(IPV4, 4, over(("10.1.1.3", "v0", 1), way=5))
        r.install(IPV4, (over(("10.1.1.3", "v0", 1), way=5), [ONE]))
        assert routes() == [f"{ONE} via 10.1.1.3 dev v0"]


@in_namespace
def test_of_two_links_one_falls_and_the_other_carries_on() -> None:
    wires()
    everything = many(1000)
    both = over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 1), way=1)
    with running() as r:
        r.install(IPV4, (both, everything), (over(("10.1.1.2", "v0", 1), way=2), [ONE]))
        sh("ip link set v0 down")
        wait_until(lambda: r.kernel.installed(IPV4, nlri(ONE)) is None)
        assert len(routes()) == 1000
        assert "v0" not in sh("ip route show proto bird")
        assert r.kernel.count(IPV4) == 1000
        sh("ip link set v0 up")
        wait_until(lambda: len(routes()) == 1001)
        wait_until(lambda: sh("ip route show proto bird").count("dev v0") == 1001)


@in_namespace
def test_a_lost_carrier_takes_objects_and_routes_and_they_come_back_with_it() -> None:
    wires()
    with running() as r:
        r.install(IPV4, (over(("10.1.1.2", "v0", 1)), [ONE]))
        r.install(IPV6, (over(("2001:db8:1::2", "v0", 1)), ["2001:db8:a::/48"]))
        sh("ip link set v1 down")
        wait_until(lambda: r.kernel.installed(IPV4, nlri(ONE)) is None)
        wait_until(lambda: "object" not in r.kernel.why(IPV4, nlri(ONE)))
        sh("ip link set v1 up")
        wait_until(lambda: len(routes()) == 1 and len(routes6()) == 1)


@pytest.mark.parametrize("objects_wanted", [True, False], ids=["objects", "plain"])
@pytest.mark.netns
@needs_namespaces
def test_a_link_that_blinks_takes_routes_that_are_back_at_once(objects_wanted: bool) -> None:
    @in_namespace
    def blinked() -> None:
        wires()
        with running(nexthop_objects=objects_wanted) as r:
            r.install(IPV4, (over(("10.1.1.2", "v0", 1)), [ONE, TWO]))
            busy = threading.Event()

            def keep_busy() -> None:
                busy.wait(5)

            # So that it hears of both at once.
            r.kernel._post(keep_busy)
            sh("ip link set v0 down\nip link set v0 up")
            assert routes() == []
            busy.set()
            wait_until(lambda: len(routes()) == 2)

    blinked()


def gateways(r: Running, prefix: str) -> list[tuple[bytes, int]]:
    """Give gateways and weights of a foreign route as last told."""
    now = r.snapshot.routes[IPV4].get(nlri(prefix), ())
    for event in r.told(RoutesChanged):
        now = dict(event.changes).get(nlri(prefix), now)
    return [(hop.gateway, hop.weight) for one in now for hop in one.hops]


def leads(r: Running, prefix: str, where: list[tuple[bytes, int]]) -> bool:
    return gateways(r, prefix) == where


@in_namespace
def test_foreign_routes_that_name_objects_are_understood() -> None:
    wires()
    for compat in ("1", "0"):
        COMPAT.write_text(compat)
        sh("""
            ip nexthop add id 1 via 10.1.1.8 dev v0
            ip nexthop add id 2 via 10.1.2.8 dev w0
            ip nexthop add id 3 group 1/2,2
            ip route add 10.8.0.0/24 nhid 3 proto static
        """)
        with running() as r:
            eight, nine = (address("10.1.1.8"), 1), (address("10.1.2.8"), 2)
            assert gateways(r, "10.8.0.0/24") == [eight, nine]
            sh("ip nexthop replace id 3 group 2")
            wait_until(partial(leads, r, "10.8.0.0/24", [(address("10.1.2.8"), 1)]))
            sh("ip route add 10.8.1.0/24 nhid 1 proto static")
            wait_until(partial(leads, r, "10.8.1.0/24", [eight]))
        sh("""
            ip nexthop del id 3
            ip nexthop del id 1
            ip nexthop del id 2
        """)


@in_namespace
def test_the_switch_is_set_when_asked_and_told() -> None:
    wires()
    with running() as r:
        assert r.snapshot.facts.nexthop_compat is True
    with running(nexthop_compat=False) as r:
        assert r.snapshot.facts.nexthop_compat is False
    assert COMPAT.read_text().strip() == "0"


@in_namespace
def test_a_gateway_of_several_that_cannot_be_is_left_out_until_it_can() -> None:
    wires()
    both = over(("10.1.1.2", "v0", 1), ("10.77.0.1", "v0", 1))
    with running() as r:
        r.install(IPV4, (both, [ONE]))
        assert routes() == [f"{ONE} via 10.1.1.2 dev v0"]
        sh("ip addr add 10.77.0.2/24 dev v0")
        wait_until(lambda: "10.77.0.1" in routes()[0])
        assert r.told(RoutesRepaired) == []


FLOWS = Resilience(64, idle=300)


def deleted(lines: list[str]) -> list[str]:
    return [line for line in told_routes(lines) if line.startswith("Deleted")]


def owners(group: int) -> dict[int, int]:
    """Give to which single each bucket of a group belongs."""
    lines = sh("ip nexthop bucket show").splitlines()
    lines = [line for line in lines if line.startswith(f"id {group} ")]
    words = [dict(zip(line.split()[::2], line.split()[1::2], strict=False)) for line in lines]
    return {int(one["index"]): int(one["nhid"]) for one in words}


def all_are(resilience: Resilience | None) -> bool:
    """Tell whether all groups are of one kind, in the words of iproute2."""
    words = "proto bird"
    if resilience is not None:
        timers = f"idle_timer {resilience.idle} unbalanced_timer {resilience.unbalanced}"
        words = f"type resilient buckets {resilience.buckets} {timers} {words}"
    texts = (re.sub(r"unbalanced_time \S+ ", "", text) for text in groups().values())
    return {text.split(" ", 2)[2] for text in texts} == {words}


@in_namespace
def test_a_resilient_group_keeps_the_buckets_of_those_that_live() -> None:
    wires()
    everything = many(500)
    a, b, c = ("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 1), ("10.1.1.3", "v0", 2)
    with running() as r:
        assert r.snapshot.facts.resilient_groups
        r.kernel.set_resilience(FLOWS)
        r.install(IPV4, (over(a, b, c, way=1), everything))
        assert all_are(FLOWS)
        [group] = numbers_named()
        before = owners(group)
        assert sorted(Counter(before.values()).values()) == [16, 16, 32]
        [dead] = [n for n, text in objects().items() if "10.1.2.2" in text]
        with route_monitor() as lines:
            r.kernel.lead(IPV4, [over(a, c, way=1)])
            r.kernel.wait_drained(5)
            assert numbers_named() == {group}
            assert deleted(lines) == []
        after = owners(group)
        assert dead not in after.values()
        assert {n: one for n, one in before.items() if one != dead}.items() <= after.items()


@in_namespace
def test_flows_stay_when_a_link_takes_a_next_hop_along() -> None:
    wires()
    with running() as r:
        r.kernel.set_resilience(FLOWS)
        r.install(IPV4, (over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 1)), [ONE]))
        [group] = numbers_named()
        before = owners(group)
        [alive] = [n for n, text in objects().items() if "10.1.1.2" in text]
        sh("ip link set w0 down")
        wait_until(lambda: set(owners(group).values()) == {alive})
        sh("ip link set w0 up")
        wait_until(lambda: "/" in objects()[group])
        after = owners(group)
        kept = {n: one for n, one in before.items() if one == alive}
        assert kept.items() <= after.items()


@in_namespace
def test_resilience_comes_and_goes_without_a_route_that_goes() -> None:
    wires()
    v4, v6 = many(1000), [nlri(f"2001:db8:{n:x}::/48") for n in range(2, 200)]
    four = over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 3), way=1)
    six = over(("2001:db8:1::2", "v0", 1), way=1)
    with running(scan_interval=0.2) as r:
        r.install(IPV4, (four, v4))
        r.install(IPV6, (six, v6))
        for resilience in (FLOWS, Resilience(64, 7, 9), Resilience(128, 7), None):
            with route_monitor() as lines:
                r.kernel.set_resilience(resilience)
                r.kernel.wait_drained(10)
                # What no route names any more goes with a scan.
                wait_until(partial(all_are, resilience), 30)
                assert deleted(lines) == []
            assert (len(routes()), len(routes6())) == (len(v4), len(v6))
            assert r.told(RoutesRepaired) == []
        assert len(groups()) == 2


@in_namespace
def test_resilient_groups_are_adopted_by_the_next_run() -> None:
    wires()
    two = over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 2))
    for resilience, stays in ((None, False), (FLOWS, False), (FLOWS, True), (None, False)):
        with running(scan_interval=0.2) as r, route_monitor() as lines:
            before = numbers_named()
            r.kernel.set_resilience(resilience)
            r.install(IPV4, (two, [ONE, TWO]))
            r.kernel.sweep(IPV4)
            r.kernel.wait_drained(5)
            assert deleted(lines) == []
            assert len(routes()) == 2
            assert (numbers_named() == before) == stays
            wait_until(partial(all_are, resilience), 30)


@pytest.mark.parametrize(
    "meddling",
    [
        "ip nexthop del id GROUP",
        "ip nexthop replace id GROUP group SINGLE type resilient idle_timer 3",
    ],
)
@pytest.mark.netns
@needs_namespaces
def test_what_others_do_to_resilient_groups_is_repaired(meddling: str) -> None:
    @in_namespace
    def repaired() -> None:
        wires()
        with running() as r:
            r.kernel.set_resilience(FLOWS)
            r.install(IPV4, (over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 1)), [ONE, TWO]))
            [group] = numbers_named()
            single = groups()[group].split()[1].split("/")[0]
            words = {"GROUP": str(group), "SINGLE": single}
            sh(" ".join(words.get(word, word) for word in meddling.split()))

            def is_whole() -> bool:
                both = len(set(owners(group).values())) == 2
                return both and all_are(FLOWS) and len(routes()) == 2

            wait_until(is_whole, 3, meddling)

    repaired()


@in_namespace
def test_without_objects_nothing_is_resilient() -> None:
    wires()
    with running(nexthop_objects=False) as r:
        assert not r.snapshot.facts.resilient_groups
        r.kernel.set_resilience(FLOWS)
        r.install(IPV4, (over(("10.1.1.2", "v0", 1), ("10.1.2.2", "w0", 2)), [ONE]))
        assert objects() == {}
        hops = "nexthop via 10.1.1.2 dev v0 weight 1 nexthop via 10.1.2.2 dev w0 weight 2"
        assert routes() == [f"{ONE} {hops}"]
