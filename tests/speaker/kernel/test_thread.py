"""The whole room on the real kernel, each test in a network namespace of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from policy.prefix import Nlri
from speaker.errors import KernelError
from speaker.kernel.routes import (
    AddressesChanged,
    Forwarding,
    KernelFailed,
    LinksChanged,
    RouteConflict,
    RoutesChanged,
    RoutesRefused,
    RoutesRepaired,
)
from speaker.rib.underlay import RouteKind
from tests.support.kernels import (
    BLACKHOLE,
    IPV4,
    IPV6,
    UNREACHABLE,
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


@in_namespace
def test_ipv4_routes_of_every_kind_are_installed_replaced_and_withdrawn() -> None:
    wires()
    with running() as r:
        r.install(
            IPV4,
            (via("10.1.1.2"), ["10.9.0.0/24", "0.0.0.0/0"]),
            (via("10.1.1.3", "10.1.1.2"), ["10.9.1.0/24"]),
            (BLACKHOLE, ["10.9.2.0/24"]),
            (Forwarding(RouteKind.UNREACHABLE, metric=7), ["10.9.3.0/32"]),
            (via("2001:db8:1::2"), ["10.9.4.0/24"]),
            (via("10.77.0.1", onlink=True), ["10.9.5.0/24"]),
        )
        assert routes() == [
            "default via 10.1.1.2 dev v0",
            "10.9.0.0/24 via 10.1.1.2 dev v0",
            "10.9.1.0/24 nexthop via 10.1.1.2 dev v0 weight 1 nexthop via 10.1.1.3 dev v0 weight 1",
            "blackhole 10.9.2.0/24",
            "unreachable 10.9.3.0 metric 7",
            "10.9.4.0/24 via inet6 2001:db8:1::2 dev v0",
            "10.9.5.0/24 via 10.77.0.1 dev v0 onlink",
        ]
        r.install(
            IPV4,
            (via("10.1.1.2", "10.1.1.4"), ["10.9.0.0/24"]),
            (via("10.1.1.3"), ["10.9.1.0/24"]),
            (via("10.1.1.3", metric=5), ["10.9.2.0/24"]),
            (None, ["10.9.3.0/32", "10.9.4.0/24", "10.9.5.0/24", "0.0.0.0/0"]),
        )
        assert routes() == [
            "10.9.0.0/24 nexthop via 10.1.1.2 dev v0 weight 1 nexthop via 10.1.1.4 dev v0 weight 1",
            "10.9.1.0/24 via 10.1.1.3 dev v0",
            "10.9.2.0/24 via 10.1.1.3 dev v0 metric 5",
        ]
        assert r.events == []
        assert r.kernel.installed(IPV4, nlri("10.9.1.0/24")) == via("10.1.1.3")


@in_namespace
def test_ipv6_routes_of_every_kind_are_installed_replaced_and_withdrawn() -> None:
    wires()
    g2, g3, g4 = "2001:db8:1::2", "2001:db8:1::3", "2001:db8:1::4"
    with running() as r:
        r.install(
            IPV6,
            (via(g2), ["2001:db8:a::/48", "::/0"]),
            (via(g3, g2), ["2001:db8:b::/48", "2001:db8:e::/48"]),
            (BLACKHOLE, ["2001:db8:c::/48"]),
            (UNREACHABLE, ["2001:db8:d::/48"]),
        )
        two = f"nexthop via {g2} dev v0 weight 1 nexthop via {g3} dev v0 weight 1"
        other = f"nexthop via {g2} dev v0 weight 1 nexthop via {g4} dev v0 weight 1"
        assert routes6() == [
            f"2001:db8:a::/48 via {g2} dev v0 metric 1024",
            f"2001:db8:b::/48 metric 1024 {two}",
            "blackhole 2001:db8:c::/48 dev lo metric 1024",
            "unreachable 2001:db8:d::/48 dev lo metric 1024",
            f"2001:db8:e::/48 metric 1024 {two}",
            f"default via {g2} dev v0 metric 1024",
        ]
        r.install(
            IPV6,
            (via(g2, g4), ["2001:db8:a::/48"]),
            (via(g3), ["2001:db8:b::/48"]),
            (via(g3), ["2001:db8:c::/48"]),
            (via(g2, g3), ["2001:db8:d::/48"]),
            (BLACKHOLE, ["2001:db8:e::/48"]),
            (None, ["::/0"]),
        )
        assert routes6() == [
            f"2001:db8:a::/48 metric 1024 {other}",
            f"2001:db8:b::/48 via {g3} dev v0 metric 1024",
            f"2001:db8:c::/48 via {g3} dev v0 metric 1024",
            f"2001:db8:d::/48 metric 1024 {two}",
            "blackhole 2001:db8:e::/48 dev lo metric 1024",
        ]
        r.install(IPV6, (None, [f"2001:db8:{x}::/48" for x in "abcde"]))
        assert routes6() == []
        assert r.events == []


@in_namespace
def test_a_foreign_route_in_our_place_is_left_alone_until_it_goes() -> None:
    wires()
    sh("ip route add 10.9.0.0/24 via 10.1.1.9 proto static")
    sh("ip -6 route add 2001:db8:a::/48 via 2001:db8:1::9 proto static")
    with running() as r:
        r.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
        r.install(IPV6, (via("2001:db8:1::2"), ["2001:db8:a::/48"]))
        assert len(r.told(RouteConflict)) == 2
        assert routes("10.9.0.0/24") == ["10.9.0.0/24 via 10.1.1.9 dev v0 proto static"]
        assert routes6() == []
        assert "protocol 4" in r.kernel.why(IPV4, nlri("10.9.0.0/24"))
        sh("ip route del 10.9.0.0/24")
        sh("ip -6 route del 2001:db8:a::/48")
        wait_until(lambda: routes() == ["10.9.0.0/24 via 10.1.1.2 dev v0"], 1)
        wait_until(routes6, 1)
        r.install(IPV4, (None, ["10.9.0.0/24"]))
        assert routes() == []


@in_namespace
def test_a_foreign_route_of_another_metric_or_table_is_untouched() -> None:
    wires()
    sh("ip route add 10.9.0.0/24 via 10.1.1.9 proto static metric 20")
    sh("ip route add 10.9.0.0/24 via 10.1.1.9 proto bird table 77")
    with running() as r:
        r.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
        r.install(IPV4, (via("10.1.1.3"), ["10.9.0.0/24"]))
        r.install(IPV4, (None, ["10.9.0.0/24"]))
        r.kernel.sweep(IPV4)
        r.kernel.wait_drained(5)
    assert routes("10.9.0.0/24") == ["10.9.0.0/24 via 10.1.1.9 dev v0 proto static metric 20"]
    assert routes("table 77") == ["10.9.0.0/24 via 10.1.1.9 dev v0 proto bird"]


@in_namespace
def test_routes_go_into_the_table_and_bear_the_protocol_they_are_told() -> None:
    wires()
    with running(table=1000, protocol=186) as r:
        r.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
        r.install(IPV6, (via("2001:db8:1::2"), ["2001:db8:a::/48"]))
        assert routes("table 1000") == ["10.9.0.0/24 via 10.1.1.2 dev v0 proto bgp"]
        assert len(routes6("table 1000 proto bgp")) == 1


@pytest.mark.parametrize(
    "meddling",
    [
        "ip route del 10.9.0.0/24",
        "ip route replace 10.9.0.0/24 via 10.1.1.9",
        "ip route change 10.9.0.0/24 via 10.1.1.9",
        "ip route replace 10.9.0.0/24 via 10.1.1.9 proto bird",
        "ip route replace blackhole 10.9.0.0/24",
        "ip route flush proto bird",
    ],
)
@pytest.mark.netns
@needs_namespaces
def test_what_others_do_to_our_ipv4_route_is_repaired(meddling: str) -> None:
    @in_namespace
    def repaired() -> None:
        wires()
        # iproute2 cannot flush routes that name objects.
        with running(nexthop_objects="flush" not in meddling) as r:
            r.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
            sh(meddling)
            wait_until(
                lambda: routes("10.9.0.0/24") == ["10.9.0.0/24 via 10.1.1.2 dev v0 proto bird"], 1
            )
            assert r.told(RoutesRepaired)

    repaired()


@pytest.mark.parametrize(
    "meddling",
    [
        "ip -6 route del 2001:db8:a::/48",
        "ip -6 route del 2001:db8:a::/48 via 2001:db8:1::2",
        "ip -6 route replace 2001:db8:a::/48 via 2001:db8:1::9",
        "ip -6 route replace 2001:db8:a::/48 via 2001:db8:1::9 proto bird",
        "ip -6 route append 2001:db8:a::/48 via 2001:db8:1::9 proto bird",
        "ip -6 route flush proto bird",
    ],
)
@pytest.mark.netns
@needs_namespaces
def test_what_others_do_to_our_ipv6_multipath_route_is_repaired(meddling: str) -> None:
    @in_namespace
    def repaired() -> None:
        wires()
        with running(nexthop_objects="flush" not in meddling) as r:
            r.install(IPV6, (via("2001:db8:1::2", "2001:db8:1::3"), ["2001:db8:a::/48"]))
            good = routes6("2001:db8:a::/48")
            sh(meddling)
            wait_until(lambda: routes6("2001:db8:a::/48") == good, 1, str(good))

    repaired()


@in_namespace
def test_a_new_kernel_object_adopts_and_removes_no_wanted_route() -> None:
    wires()
    with running() as first:
        first.install(
            IPV4,
            (via("10.1.1.2"), ["10.9.0.0/24", "10.9.1.0/24", "10.9.9.0/24"]),
            (via("10.1.1.2", metric=100), ["10.9.2.0/24"]),
        )
        first.install(IPV6, (via("2001:db8:1::2", "2001:db8:1::3"), ["2001:db8:a::/48"]))
    with route_monitor() as lines, running() as second:
        assert second.snapshot.adopted == {IPV4: 4, IPV6: 1}
        second.install(
            IPV4,
            (via("10.1.1.2"), ["10.9.0.0/24"]),
            (via("10.1.1.3"), ["10.9.1.0/24"]),
            (via("10.1.1.2", metric=50), ["10.9.2.0/24"]),
        )
        second.install(IPV6, (via("2001:db8:1::3", "2001:db8:1::2"), ["2001:db8:a::/48"]))
        second.kernel.sweep(IPV4)
        second.kernel.sweep(IPV6)
        second.kernel.wait_drained(5)
    told = [plain(line) for line in lines if "proto bird" in line]
    assert told == [
        "10.9.1.0/24 via 10.1.1.3 dev v0 proto bird",
        "10.9.2.0/24 via 10.1.1.2 dev v0 proto bird metric 50",
        "Deleted 10.9.2.0/24 via 10.1.1.2 dev v0 proto bird metric 100",
        "Deleted 10.9.9.0/24 via 10.1.1.2 dev v0 proto bird",
    ]


@in_namespace
def test_ipv4_over_ipv6_gateways_is_mixed_with_others_adopted_and_put_back() -> None:
    """RFC 8950. A route of others over such gateways is told as it is."""
    wires()
    sh("ip route add 10.55.0.0/16 via inet6 2001:db8:1::9 dev v0 proto static")
    one, mixed = "10.9.0.0/24", "10.9.1.0/24"
    gateways = (
        "nexthop via inet6 2001:db8:1::2 dev v0 weight 1 nexthop via 10.1.1.2 dev v0 weight 1"
    )
    shown = [f"{one} via inet6 2001:db8:1::2 dev v0", f"{mixed} {gateways}"]
    wanted = [(via("2001:db8:1::2"), [one]), (via("2001:db8:1::2", "10.1.1.2"), [mixed])]
    with running() as first:
        first.install(IPV4, *wanted)
        assert routes() == shown
    with route_monitor() as lines, running() as second:
        assert second.snapshot.adopted == {IPV4: 2, IPV6: 0}
        [foreign] = second.snapshot.routes[IPV4][nlri("10.55.0.0/16")]
        assert [hop.gateway for hop in foreign.hops] == [address("2001:db8:1::9")]
        second.install(IPV4, *wanted)
        second.kernel.sweep(IPV4)
        second.kernel.wait_drained(5)
        assert [line for line in lines if "proto bird" in line] == []
        sh(f"ip route del {one}")
        wait_until(lambda: routes() == shown, 3)


@in_namespace
def test_routes_stay_at_the_end_unless_they_are_to_be_withdrawn() -> None:
    wires()
    sh("ip route add 10.8.0.0/24 via 10.1.1.9 proto static")
    with running() as first:
        first.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
    assert len(routes()) == 1
    second = Running()
    second.install(IPV6, (via("2001:db8:1::2"), ["2001:db8:a::/48"]))
    second.kernel.stop(withdraw=True)
    assert routes() == []
    assert routes6() == []
    assert len(routes("proto static")) == 1


@in_namespace
def test_a_hundred_thousand_routes_go_in_change_and_go_out() -> None:
    wires()
    everything = many(100_000)
    with running() as r:
        r.install(IPV4, (via("10.1.1.2"), everything))
        assert sh("ip route show proto bird").count("via 10.1.1.2") == 100_000
        r.install(IPV4, (via("10.1.1.3"), everything))
        assert sh("ip route show proto bird").count("via 10.1.1.3") == 100_000
        assert r.kernel.pending() == 0
        r.install(IPV4, (None, everything))
        assert routes() == []
        assert r.events == []


@in_namespace
def test_when_a_link_falls_its_routes_are_looked_for_and_come_back_with_it() -> None:
    wires()
    with running() as r:
        r.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
        sh("ip link set v0 down")
        wait_until(lambda: r.told(RoutesRefused), 2)
        assert any(
            link.name == "v0" and not link.is_up
            for event in r.told(LinksChanged)
            for link in event.links
        )
        # The kernel dropped the connected subnet too, without a word.
        wait_until(
            lambda: any(
                change == (nlri("10.1.1.0/24"), ())
                for event in r.told(RoutesChanged)
                for change in event.changes
            ),
            2,
        )
        sh("ip link set v0 up")
        wait_until(lambda: routes() == ["10.9.0.0/24 via 10.1.1.2 dev v0"], 2)


@in_namespace
def test_links_addresses_and_foreign_routes_are_told() -> None:
    wires()
    with running(learn_tables=(254, 50)) as r:
        names = {link.name: link for link in r.snapshot.links}
        assert names["v0"].is_usable
        assert names["v0"].kind == "veth"
        assert address("10.1.2.1") in {a.address for a in r.snapshot.addresses}
        assert nlri("10.1.1.0/24") in r.snapshot.routes[IPV4]
        sh("ip addr add 10.3.3.3/24 dev w0")
        sh("ip route add 10.8.0.0/24 table 50 nexthop via 10.1.1.8 weight 2 nexthop via 10.1.2.8")
        sh("ip link add x0 type veth peer name x1")
        sh("ip link del x0")

        def learned() -> dict[Nlri, Any]:
            return {n: now for event in r.told(RoutesChanged) for n, now in event.changes}

        wait_until(lambda: nlri("10.8.0.0/24") in learned())
        (route,) = learned()[nlri("10.8.0.0/24")]
        assert (route.table, [hop.weight for hop in route.hops]) == (50, [2, 1])
        assert nlri("10.3.3.0/24") in learned()
        assert any(
            a.address == address("10.3.3.3")
            for event in r.told(AddressesChanged)
            for a in event.addresses
        )
        wait_until(lambda: any(event.gone for event in r.told(LinksChanged)))


@in_namespace
def test_lost_notifications_are_made_up_for() -> None:
    """A receive buffer of next to nothing overflows when others make thousands of changes."""
    wires()
    mine, batch = (
        many(300),
        "\n".join(
            f"route add 77.{n >> 8}.{n & 255}.0/24 via 10.1.1.9 proto static" for n in range(3000)
        ),
    )
    with running(receive_buffer=2048) as r:
        r.install(IPV4, (via("10.1.1.2"), mine))
        subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
        sh("ip nexthop flush proto 12")
        wait_until(lambda: len(routes()) == 300)

        def learned() -> set[Nlri]:
            return {n for event in r.told(RoutesChanged) for n, now in event.changes if now}

        wait_until(lambda: len([n for n in learned() if n[1] == 77]) == 3000)


@in_namespace
def test_a_scan_finds_what_no_notification_told() -> None:
    wires()
    with running(scan_interval=0.2) as r:
        r.install(IPV4, (via("10.1.1.2"), ["10.9.0.0/24"]))
        # An address that goes takes the routes with its subnet's gateways along in silence.
        sh("ip addr del 10.1.1.1/24 dev v0")
        sh("ip addr add 10.1.1.1/24 dev v0")
        wait_until(lambda: routes() == ["10.9.0.0/24 via 10.1.1.2 dev v0"], 2)


@in_namespace
def test_an_impossible_gateway_is_refused_with_the_kernels_words() -> None:
    wires()
    with running() as r:
        r.install(
            IPV4,
            (via("10.77.0.1"), ["10.9.0.0/24", "10.9.1.0/24"]),
            (via("10.1.1.2"), ["10.9.2.0/24"]),
        )
        (refused,) = r.told(RoutesRefused)
        assert refused.nlris == (nlri("10.9.0.0/24"), nlri("10.9.1.0/24"))
        assert refused.text == "Nexthop has invalid gateway"
        assert routes() == ["10.9.2.0/24 via 10.1.1.2 dev v0"]
        sh("ip addr add 10.77.0.2/24 dev v0")
        wait_until(lambda: len(routes()) == 3, 2)


@in_namespace
def test_draining_can_be_awaited_from_another_loop() -> None:
    wires()
    with running() as r:
        r.kernel.install(IPV4, [(via("10.1.1.2"), many(20_000))])
        asyncio.run(r.kernel.drain(30))
        assert r.kernel.pending() == 0
        assert len(routes()) == 20_000


@pytest.mark.netns
@needs_namespaces
def test_without_the_privilege_one_line_says_what_to_do() -> None:
    program = (
        "from speaker.kernel.thread import Kernel\n"
        "from speaker.errors import KernelError\n"
        "try: Kernel(on_events=print).start()\n"
        "except KernelError as error: print(error)\n"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("\n") == 1, done.stderr
    assert "CAP_NET_ADMIN" in done.stdout


@in_namespace
def test_a_fault_in_the_thread_is_told_and_ends_it() -> None:
    wires()
    with running() as r:
        r.kernel._worker.sweep = None  # type: ignore[assignment,method-assign]  # the fault
        r.kernel.sweep(IPV4)
        wait_until(lambda: r.told(KernelFailed))


@in_namespace
def test_a_stopped_kernel_says_so() -> None:
    started = Running()
    assert started.kernel.is_running
    started.kernel.stop()
    assert not started.kernel.is_running
    with pytest.raises(KernelError, match="not running"):
        started.kernel.sweep(IPV4)
