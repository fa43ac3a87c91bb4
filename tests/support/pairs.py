"""What is true of a Wren node and another, on the topology of `tests.support.labs.two_nodes`.

`Pair` knows the addresses there, so a test says only what it expects to change. Every
expectation is awaited; when it does not come true the difference is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from lab import Family, Lab, RunningNode
from lab.kinds import Route
from lab.probes import StillNot, kernel_routes, ping, wait_until
from lab.topology import Network

SECONDS = 20.0
"""How long anything may take on a busy machine."""

OWN = {
    Family.IPV4: ("10.1.0.0/24", "172.31.0.1", "10.1.0.1"),
    Family.IPV6: ("fd00:1::/64", "fd31::1", "fd00:1::1"),
}
"""Wren's network, address on the link, and workload address."""

THEIRS = {
    Family.IPV4: ("10.2.0.0/24", "172.31.0.2", "10.2.0.1"),
    Family.IPV6: ("fd00:2::/64", "fd31::2", "fd00:2::1"),
}
"""The same of the other node."""

ONE_MORE = {Family.IPV4: ip_network("10.77.0.0/16"), Family.IPV6: ip_network("fd00:77::/48")}
"""What is announced at run time."""


def becomes(what: str, get: Callable[[], Any], wanted: object, *, seconds: float = SECONDS) -> None:
    """Wait until something has a value; tell the last one if it never does."""
    last: list[Any] = [None]

    def same() -> bool:
        last[0] = get()
        return bool(last[0] == wanted)

    try:
        wait_until(same, what, seconds=seconds)
    except StillNot as error:
        raise AssertionError(f"{error}\nwanted {wanted}\nfound  {last[0]}") from None


def soon(condition: Callable[[], bool]) -> bool:
    """Tell whether a condition comes true within a second."""
    try:
        wait_until(condition, "it", seconds=1.0)
    except StillNot:
        return False
    return True


class Pair:
    """The two nodes of a lab.

    Args:
        lab: that is up.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.wren = lab.node("wren")
        self.other = lab.node("other")
        here, there = self.wren.node.asn, self.other.node.asn
        assert here is not None
        assert there is not None
        self._path = (
            {"wren": (), "other": ()} if here == there else {"wren": (here,), "other": (there,)}
        )

    def sessions_come_up(self) -> None:
        """Both ends tell that both sessions are up."""
        self.lab.wait_established(seconds=SECONDS)

    def wren_learns(self, prefix: str | Network, family: Family) -> None:
        """The other's prefix is in Wren's table and kernel, as the other tells it."""
        self._learns(self.wren, str(prefix), family)

    def other_learns(self, prefix: str | Network, family: Family) -> None:
        """Wren's prefix is in the other's table, and in its kernel if it has a hand in that."""
        self._learns(self.other, str(prefix), family)

    def _learns(self, node: RunningNode, prefix: str, family: Family) -> None:
        teller = self.other if node is self.wren else self.wren
        hop = (THEIRS if node is self.wren else OWN)[family][1]
        beside = link_local_addresses(teller)
        wanted = Route(hop, self._path[teller.name])

        def table() -> Route | None:
            found = node.routes(family).get(prefix)
            is_beside = found is not None and found.next_hop in beside
            return replace(found, next_hop=hop) if found and is_beside else found

        def kernel() -> tuple[str, ...]:
            found = gateways(node, family).get(prefix, ())
            return tuple(hop if gateway in beside else gateway for gateway in found)

        what = f"{node.name} learns {prefix}"
        becomes(what, table, wanted)
        if node.speaks.programs_kernel:
            becomes(f"{what} into its kernel", kernel, (hop,))

    def wren_forgets(self, prefix: str | Network, family: Family) -> None:
        """The prefix leaves Wren's table and kernel."""
        self._forgets(self.wren, str(prefix), family)

    def other_forgets(self, prefix: str | Network, family: Family) -> None:
        """The prefix leaves the other's table and kernel."""
        self._forgets(self.other, str(prefix), family)

    def _forgets(self, node: RunningNode, prefix: str, family: Family) -> None:
        what = f"{node.name} forgets {prefix}"
        becomes(what, lambda: node.routes(family).get(prefix), None)
        if node.speaks.programs_kernel:
            becomes(f"{what} in its kernel", lambda: gateways(node, family).get(prefix), None)

    def wren_keeps(self, prefix: str | Network, family: Family) -> None:
        """The prefix stays in Wren's table and kernel while the other restarts."""
        self._keeps(self.wren, str(prefix), family)

    def other_keeps(self, prefix: str | Network, family: Family) -> None:
        """The prefix stays in the other's table and kernel while Wren restarts."""
        self._keeps(self.other, str(prefix), family)

    def _keeps(self, node: RunningNode, prefix: str, family: Family) -> None:
        down = {str(address): False for address in node.sessions()}
        becomes(f"{node.name} has no session", node.sessions, down)
        assert prefix in node.routes(family)
        if node.speaks.programs_kernel:
            assert prefix in gateways(node, family)

    def agree(self) -> None:
        """Each end has the other's networks, and packets go to and fro where both can."""
        self.sessions_come_up()
        for family in Family:
            self.wren_learns(THEIRS[family][0], family)
            self.other_learns(OWN[family][0], family)
            if self.other.speaks.programs_kernel:
                target, source = THEIRS[family][2], OWN[family][2]
                wait_until(
                    lambda: ping(self.wren, target, source=source),  # noqa: B023 - awaited here
                    f"a ping from {source} to {target} is answered",
                    seconds=SECONDS,
                )

    def come_and_go(self) -> None:
        """Each end in turn announces one prefix more, and withdraws it again."""
        for family, prefix in ONE_MORE.items():
            self.other.announce(prefix)
            self.wren_learns(prefix, family)
            self.other.withdraw(prefix)
            self.wren_forgets(prefix, family)
            self.wren.announce(prefix)
            self.other_learns(prefix, family)
            self.wren.withdraw(prefix)
            self.other_forgets(prefix, family)


def link_local_addresses(node: RunningNode) -> set[str]:
    """Give the addresses that a node may tell beside its global ones (RFC 2545 §3).

    Which of the two is used the other end chooses: FRR takes these, BIRD does within an AS.
    """
    said = node.execute(["ip", "-j", "-6", "address", "show", "scope", "link"])
    found = (address for link in json.loads(said) for address in link.get("addr_info", []))
    return {address["local"] for address in found if address}


def gateways(node: RunningNode, family: Family) -> dict[str, tuple[str, ...]]:
    """Give the gateways of each unicast kernel route of a node."""
    found = kernel_routes(node, family)
    return {p: route.gateways for p, route in found.items() if route.kind == "unicast"}
