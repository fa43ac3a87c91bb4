"""The kernel's next-hop objects, kept in step with `speaker.kernel.ways`.

Nothing is decided here: `Ways` says what is to be sent, this sends it, and reads back what the
kernel has. Whether there are objects at all is tried out at the start, by making one that drops
packets and removing it; where the kernel refuses it, or nobody wants objects, routes carry their
hops themselves, and objects of an earlier run go when no route names them any more.

The switch ``net.ipv4.nexthop_compat_mode`` decides what the kernel tells others: at 1, its default,
routes that name an object are shown with their hops as well, and when an object changes, every
route that names it is told again; at 0 only the object is.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fsm.family import Afi
from policy.path import Hop
from policy.resilience import Resilience
from speaker.errors import KernelError
from speaker.kernel.groups import Refusal
from speaker.kernel.netlink import DumpSocket, RouteSocket
from speaker.kernel.nexthops import (
    NextHopObject,
    encode_group,
    encode_probe,
    encode_removal,
    read_object,
)
from speaker.kernel.routes import Forwarding
from speaker.kernel.ways import Ways
from speaker.rib.underlay import RouteKind

COMPAT = Path("/proc/sys/net/ipv4/nexthop_compat_mode")
"""Of the network namespace of the thread that opens it."""


class NextHopObjects:
    """Send and read next-hop objects.

    Args:
        table: our routing table.
        protocol: the number that marks objects as ours.

    Attributes:
        ways: what is wanted, and what the kernel has.
        families: for whose routes objects are used.
        compat: whether the kernel tells others of objects as if they were plain routes; None where
            it does not know objects.
        resilient: whether there can be resilient groups.
    """

    def __init__(self, table: int, protocol: int) -> None:
        self.ways = Ways(table, protocol)
        self.families: frozenset[Afi] = frozenset()
        self.compat: bool | None = None
        self.resilient = False
        self._protocol = protocol
        self._all: dict[int, NextHopObject] = {}

    def open(self, routes: RouteSocket, dumps: DumpSocket, *, wanted: bool, compat: bool) -> None:
        """Find out what the kernel can do, and read what it has.

        Args:
            routes: to send by.
            dumps: to read by.
            wanted: whether routes may name objects.
            compat: leave the switch alone; else it is set to 0.

        Raises:
            KernelError: the switch cannot be set.
        """
        self._routes, self._dumps = routes, dumps
        able = frozenset(afi for afi in (Afi.IPV4, Afi.IPV6) if self._is_able(afi))
        self.families = able if wanted else frozenset()
        self.resilient = bool(self.families) and self._is_able_of_resilience()
        if not compat and able:
            try:
                # It may be so already, and not ours to write.
                if COMPAT.read_text().strip() != "0":
                    COMPAT.write_text("0")
            except OSError as error:
                raise KernelError(
                    f"net.ipv4.nexthop_compat_mode cannot be set: {error.strerror}",
                    "set it by sysctl beforehand, or leave --nexthop-compat at keep",
                ) from error
        with suppress(OSError):
            self.compat = COMPAT.read_text().strip() != "0"
        self.recheck()

    def route_for(self, afi: Afi, forwarding: Forwarding) -> Forwarding:
        """Give what the route for a forwarding looks like: it names an object, or is plain."""
        if forwarding.kind is RouteKind.UNICAST and afi in self.families:
            route = self.ways.route_for(afi, forwarding)
            if route is not None:
                return route
        return replace(forwarding, way=0) if forwarding.way else forwarding

    def shown(self, route: Forwarding) -> Forwarding:
        """Give a route as it was asked for: with the hops that the object leads to."""
        wanted = self.ways.hops_of(route.nexthop) if route.nexthop else None
        if wanted is None:
            return route
        return replace(route, hops=wanted.hops, onlink=wanted.onlink, nexthop=0)

    def flush(self) -> set[int]:
        """Send what is to be sent; return the groups that turn out to have gone with their routes.

        What the kernel does not do as expected is looked at, and sent once more.
        """
        if self._send():
            return set()
        lost = self.recheck()
        self._send()
        return lost

    def recheck(self) -> set[int]:
        """Read all objects; return the groups that have gone, and with them their routes."""
        read = [read_object(data, m.start, m.end) for data, m in self._dumps.nexthops()]
        self._all = {one.number: one for one in read}
        return self.ways.reconcile(read)

    def hops_of(self, number: int) -> tuple[Hop, ...]:
        """Tell where an object of anybody led when last read."""
        found = self._all.get(number)
        if found is None:
            return ()
        if found.single is not None:
            return (Hop(found.single.interface, found.single.gateway),)
        singles = ((self._all.get(one), weight) for one, weight in found.members)
        return tuple(
            Hop(one.single.interface, one.single.gateway, "", weight)
            for one, weight in singles
            if one is not None and one.single is not None
        )

    def refusals_of(self, numbers: set[int]) -> dict[int, Refusal]:
        """Try again to have the objects that are about to be named; give what is not there."""
        refusals = self.ways.refusals
        for number in numbers & refusals.keys():
            self.ways.try_again(number)
        self._send()
        return refusals

    def collect(self, used: set[int]) -> None:
        """Remove the objects of ours that no route names."""
        self._routes.request(self.ways.unused(used))

    def _send(self) -> bool:
        ways = self.ways
        if not ways.pending:
            return True
        fine = True
        for give in (ways.singles, ways.groups):
            requests = give()
            outcome = self._routes.request([request.message for request in requests])
            fine = ways.settle(requests, outcome.errors) and not outcome.lost and fine
        return fine

    def _is_able_of_resilience(self) -> bool:
        """Tell whether the kernel makes a resilient group, of an object that drops packets."""
        drop, group = self.ways.numbers.probe, self.ways.numbers.probe + 1
        members, protocol = ((drop, 1),), self._protocol
        requests = [
            encode_probe(Afi.IPV4, drop, protocol),
            encode_group(
                group, members, protocol, replaces=False, resilience=Resilience(1), sequence=1
            ),
            # The group goes with the last of its members.
            encode_removal(drop, 2),
        ]
        return not self._routes.request(requests).errors

    def _is_able(self, afi: Afi) -> bool:
        number = self.ways.numbers.probe
        if self._routes.request([encode_probe(afi, number, self._protocol)]).errors:
            return False
        return not self._routes.request([encode_removal(number)]).errors
