"""From the socket's octets to the Adj-RIB-In and the best path."""

from __future__ import annotations

from benchmarks.stops.conftest import Measure
from benchmarks.stops.rooms import PREFIXES, SLICE, House, Peer, learn, take
from fsm.family import Afi
from policy.prefix import split
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.attribute_table import AttributeTable
from speaker.rib.inbound import Inbound
from speaker.wire.attributes import ScanContext, scan
from speaker.wire.framing import Framer
from speaker.wire.update import sections

CHUNK = 1 << 16
"""Octets of one read."""


def bench_framing(measure: Measure) -> None:
    stream = Peer().stream
    chunks = [stream[at : at + CHUNK] for at in range(0, len(stream), CHUNK)]

    def work(framer: Framer) -> None:
        for chunk in chunks:
            framer.feed(chunk)

    measure(len(Peer().bodies), "message", work, Framer)


def bench_sections(measure: Measure) -> None:
    bodies = Peer().bodies

    def work(_: None) -> None:
        for body in bodies:
            sections(body)

    measure(len(bodies), "message", work, lambda: None)


def bench_split(measure: Measure) -> None:
    blocks = [sections(body)[2] for body in Peer().bodies]

    def work(_: None) -> None:
        for block in blocks:
            split(Afi.IPV4, block)

    measure(PREFIXES, "prefix", work, lambda: None)


def bench_scan(measure: Measure) -> None:
    """The long way of an attribute set: everything is looked at (RFC 7606)."""
    sets, context = Peer().sets, ScanContext()

    def work(_: None) -> None:
        for octets in sets:
            scan(octets, context)

    measure(len(sets), "set", work, lambda: None)


def bench_intern_slowly(measure: Measure) -> None:
    """The long way with all that follows: loop checks, next hop, path and rank."""
    sets = Peer().sets

    def work(table: AttributeTable) -> None:
        for octets in sets:
            table.intern_classic(octets)

    measure(len(sets), "set", work, lambda: House().attribute_table(Peer()))


def bench_intern(measure: Measure) -> None:
    """The short way: a usual set, judged at one look."""
    sets = Peer().sets

    def setup() -> AttributeTable:
        table = House().attribute_table(Peer())
        table.intern_classic(sets[0])
        return table

    def work(table: AttributeTable) -> None:
        for octets in sets:
            table.lookup(octets) or table.intern_usual(octets)

    measure(len(sets), "set", work, setup)


def bench_learn(measure: Measure) -> None:
    """UPDATEs of the only source, to the best path."""
    bodies = Peer().bodies
    measure(
        PREFIXES, "prefix", lambda inbound: learn(inbound, bodies), lambda: House().session(Peer())
    )


def bench_learn_again(measure: Measure) -> None:
    """The same UPDATEs once more, as after a refresh: nothing is new."""
    bodies = Peer().bodies

    def setup() -> Inbound:
        inbound = House().session(Peer())
        learn(inbound, bodies)
        return inbound

    measure(PREFIXES, "prefix", lambda inbound: learn(inbound, bodies), setup)


def bench_learn_ipv6(measure: Measure) -> None:
    peer = Peer(family=6)
    bodies = peer.bodies
    measure(
        PREFIXES, "prefix", lambda inbound: learn(inbound, bodies), lambda: House(6).session(peer)
    )


def bench_learn_add_path(measure: Measure) -> None:
    peer = Peer(has_ids=True)
    bodies = peer.bodies
    measure(
        PREFIXES, "prefix", lambda inbound: learn(inbound, bodies), lambda: House().session(peer)
    )


def bench_compete(measure: Measure) -> None:
    """UPDATEs of a second source: each path is compared with the best."""
    second = Peer(2, attribute_seed=1)
    bodies = second.bodies

    def setup() -> Inbound:
        house = House()
        house.heard(Peer())
        return house.session(second)

    measure(PREFIXES, "prefix", lambda inbound: learn(inbound, bodies), setup)


def bench_flap(measure: Measure) -> None:
    """The better of two sources dies: what is best is decided anew."""

    def setup() -> AdjRibIn:
        return House().heard(Peer(), Peer(2))[0]

    def work(rib: AdjRibIn) -> None:
        while rib.clear(SLICE):
            pass

    measure(PREFIXES, "prefix", work, setup)


def bench_take(measure: Measure) -> None:
    """What has changed is handed out, slice by slice."""

    def setup() -> House:
        house = House()
        learn(house.session(Peer()), Peer().bodies)
        return house

    measure(PREFIXES, "prefix", lambda house: take(house.loc_rib), setup)


def bench_withdraw_in(measure: Measure) -> None:
    """UPDATEs of the only source that withdraw everything."""
    bodies = Peer().withdrawals

    def setup() -> Inbound:
        inbound = House().session(Peer())
        learn(inbound, Peer().bodies)
        return inbound

    measure(PREFIXES, "prefix", lambda inbound: learn(inbound, bodies), setup)
