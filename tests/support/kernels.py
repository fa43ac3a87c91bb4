"""The kernel room on the real kernel: a started thread, links to route over, iproute2."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import Nlri, parse_prefix
from speaker.kernel.routes import Forwarding, KernelEvent, Snapshot
from speaker.kernel.thread import Kernel
from speaker.rib.underlay import RouteKind
from tests.support.netns import sh

IPV4, IPV6 = Afi.IPV4, Afi.IPV6


def nlri(text: str) -> Nlri:
    return parse_prefix(text)[1]


def address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def via(*gateways: str, metric: int = 0, **more: Any) -> Forwarding:
    v0 = socket.if_nametoindex("v0")
    return Forwarding(hops=tuple(Hop(v0, address(g)) for g in gateways), metric=metric, **more)


BLACKHOLE = Forwarding(RouteKind.BLACKHOLE)
UNREACHABLE = Forwarding(RouteKind.UNREACHABLE)


def many(count: int) -> list[Nlri]:
    return [bytes((24, 20 + (n >> 16), n >> 8 & 255, n & 255)) for n in range(count)]


def wires() -> None:
    """Two links: v0 with addresses of both families, w0 with its own subnet.

    Link-local addresses are not made: they would come some time later, and be news.
    """
    sh("""
        ip link add v0 type veth peer name v1
        ip link add w0 type veth peer name w1
        ip link set v0 addrgenmode none
        ip link set v1 addrgenmode none
        ip link set w0 addrgenmode none
        ip link set w1 addrgenmode none
        ip addr add 10.1.1.1/24 dev v0
        ip addr add 10.1.2.1/24 dev w0
        ip addr add 2001:db8:1::1/64 dev v0 nodad
        ip link set v0 up
        ip link set v1 up
        ip link set w0 up
        ip link set w1 up
    """)


class Running:
    """A started kernel and what it has told."""

    def __init__(self, **options: Any) -> None:
        self.events: list[KernelEvent] = []
        self.kernel = Kernel(on_events=self.events.extend, **options)
        self.snapshot: Snapshot = self.kernel.start()

    def install(self, afi: Afi, *batch: tuple[Forwarding | None, list[str] | list[Nlri]]) -> None:
        self.kernel.install(
            afi,
            [
                (f, [nlri(p) if isinstance(p, str) else p for p in prefixes])
                for f, prefixes in batch
            ],
        )
        self.kernel.wait_drained(60)

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    started = Running(**options)
    try:
        yield started
    finally:
        started.kernel.stop()


def plain(line: str) -> str:
    """Leave out by which object a route leads where it does.

    An IPv6 route by a group of one is shown as one of several hops of which there is one.
    """
    line = " ".join(re.sub(r"nhid \d+|pref medium", "", line).split())
    if line.count("nexthop via") == 1:
        line = re.sub(r"^(\S+) (.*) nexthop (via \S+ dev \S+) weight 1$", r"\1 \3 \2", line)
    return line


def routes(selector: str = "proto bird") -> list[str]:
    lines = sh(f"ip route show {selector}").replace("\n\t", " ")
    return [plain(line) for line in lines.splitlines()]


def routes6(selector: str = "proto bird") -> list[str]:
    lines = sh(f"ip -6 route show {selector}").replace("\n\t", " ")
    return [plain(line) for line in lines.splitlines()]
