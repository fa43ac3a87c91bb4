"""From the best path to the octets that peers get."""

from __future__ import annotations

from benchmarks.stops.conftest import Measure
from benchmarks.stops.rooms import PREFIXES, House, Peer, apply, learn
from policy.path import Path
from policy.prefix import Nlri
from policy.rewriter import Rewriter
from speaker.rib.export_group import ExportGroup
from speaker.rib.loc_rib import Delta
from speaker.rib.member import Member
from speaker.wire.update import Packer

RECEIVERS = 50


def _runs(house: House) -> dict[Path, list[Nlri]]:
    """Give the best paths with their prefixes."""
    runs: dict[Path, list[Nlri]] = {}
    for nlri, path in house.loc_rib.best.items():
        runs.setdefault(path, []).append(nlri)
    return runs


def bench_rewrite(measure: Measure) -> None:
    """What paths become on their way to another AS."""
    house = House()
    house.heard(Peer())
    paths = list(_runs(house))

    def work(rewriter: Rewriter) -> None:
        for path in paths:
            rewriter(path)

    measure(len(paths), "set", work, lambda: Rewriter(house.key()))


def bench_pack(measure: Measure) -> None:
    """Prefixes behind attributes that are encoded already."""
    house = House()
    house.heard(Peer())
    rewriter = Rewriter(house.key())
    outs = [(rewriter(path), nlris) for path, nlris in _runs(house).items()]

    def work(packer: Packer) -> None:
        for out, nlris in outs:
            packer.pack(out.raw, out.next_hop, nlris)

    measure(PREFIXES, "prefix", work, lambda: Packer(house.family))


def _measure_export(
    measure: Measure, peer: Peer, receivers: int = 1, *, tells_all: bool = False
) -> None:
    """Time how a group follows a table that is new, from rewriting to whole messages."""
    bodies = peer.bodies

    def setup() -> tuple[ExportGroup, list[Delta]]:
        house = House(peer.family)
        group = house.group(receivers, tells_all=tells_all)
        learn(house.session(peer), bodies)
        return group, house.deltas()

    measure(PREFIXES, "prefix", lambda made: apply(*made), setup)


def bench_export(measure: Measure) -> None:
    _measure_export(measure, Peer())


def bench_export_to_50(measure: Measure) -> None:
    _measure_export(measure, Peer(), RECEIVERS)


def bench_export_ipv6(measure: Measure) -> None:
    _measure_export(measure, Peer(family=6))


def bench_export_add_path(measure: Measure) -> None:
    _measure_export(measure, Peer(), tells_all=True)


def bench_join(measure: Measure) -> None:
    """A receiver that comes late is told everything."""

    def setup() -> tuple[ExportGroup, Member]:
        house = House()
        group = house.group()
        learn(house.session(Peer()), Peer().bodies)
        apply(group, house.deltas())
        return group, house.receiver()

    def work(made: tuple[ExportGroup, Member]) -> None:
        group, member = made
        group.join(member)
        while not member.in_step:
            group.pull(member)

    measure(PREFIXES, "prefix", work, setup)


def bench_withdraw_out(measure: Measure) -> None:
    """A group follows when everything is withdrawn."""

    def setup() -> tuple[ExportGroup, list[Delta]]:
        house = House()
        group = house.group()
        inbound = house.session(Peer())
        learn(inbound, Peer().bodies)
        apply(group, house.deltas())
        learn(inbound, Peer().withdrawals)
        return group, house.deltas()

    measure(PREFIXES, "prefix", lambda made: apply(*made), setup)
