"""From the best path to netlink's octets; what the kernel itself takes is not in it."""

from __future__ import annotations

from benchmarks.stops.conftest import Measure
from benchmarks.stops.rooms import PREFIXES, House, Peer
from fsm.family import Afi
from policy.path import Hop
from policy.prefix import Nlri
from speaker.kernel.fib import Fib
from speaker.kernel.foreign import ForeignRoutes
from speaker.kernel.requests import Found
from speaker.kernel.routes import Forwarding, Forwardings
from speaker.kernel.stamps import MAX_BATCH, Stamps, Verb

MAIN_TABLE, PROTOCOL = 254, 12
HOP = Forwarding(hops=(Hop(2, bytes((10, 1, 1, 1)), "v0"),))
NAMED = Forwarding(nexthop=77)


def _batches(nlris: list[Nlri]) -> list[list[Nlri]]:
    return [nlris[at : at + MAX_BATCH] for at in range(0, len(nlris), MAX_BATCH)]


def _measure_stamps(measure: Measure, forwarding: Forwarding) -> None:
    batches = _batches(Peer().table.prefixes)

    def work(stamps: Stamps) -> None:
        for batch in batches:
            stamps.get(Verb.ADD, Afi.IPV4, forwarding).ink(batch)

    measure(PREFIXES, "route", work, lambda: Stamps(MAIN_TABLE, PROTOCOL))


def bench_netlink_pack(measure: Measure) -> None:
    """Route messages with a gateway and an interface."""
    _measure_stamps(measure, HOP)


def bench_netlink_pack_object(measure: Measure) -> None:
    """Route messages that name a next-hop object."""
    _measure_stamps(measure, NAMED)


def bench_fib(measure: Measure) -> None:
    """What is wanted against what is installed: from the order to the outcome of requests."""
    house = House()
    house.heard(Peer())
    runs: dict[object, list[Nlri]] = {}
    for nlri, path in house.loc_rib.best.items():
        runs.setdefault(path, []).append(nlri)
    wanted = list(runs.values())

    def setup() -> Fib:
        fib = Fib(Afi.IPV4, MAIN_TABLE, ForeignRoutes(Afi.IPV4), Forwardings())
        fib.adopt(Found())
        return fib

    def work(fib: Fib) -> None:
        for nlris in wanted:
            fib.want([(HOP, nlris)])
        while fib.pending:
            fib.settle(fib.take(MAX_BATCH, 0.0), {}, 0.0)

    measure(PREFIXES, "prefix", work, setup)
