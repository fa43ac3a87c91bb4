"""Whether BFD can hear: its UDP ports are free, or held by a process that will be ours.

Nobody else may have them in this network namespace, while another BGP speaker with a port of its
own may run beside us: so a BIRD whose BFD is on keeps ours deaf.
"""

from __future__ import annotations

from collections.abc import Iterator

from speaker.bfd.datagrams import MULTIHOP, SINGLE_HOP
from speaker.bfd.door import NAME
from speaker.bfd.echo import ECHO
from speaker.config.plan import Plan
from speaker.doctor.findings import Finding, ok, some, warning
from speaker.doctor.machine import Machine, Process
from speaker.doctor.order import Order


def witnesses(order: Order, plan: Plan | None, machine: Machine) -> Iterator[Finding]:
    """Look who has the ports of BFD.

    Args:
        order: what is about to be done.
        plan: that would be followed; None where none can be made.
        machine: where.
    """
    ports = [] if plan is None else sorted(_ports(plan))
    holders: dict[Process, list[int]] = {}
    for port in ports:
        for held in machine.held(port, udp=True):
            if port not in holders.setdefault(held.holder, []):
                holders[held.holder].append(port)
    if ports and not holders:
        yield ok("BFD", f"UDP {_named(ports)} free")
    left = machine.listener(order.run_dir / NAME) if holders else None
    for holder, taken in holders.items():
        if holder.pid and holder.pid == left:
            yield ok("BFD", f"UDP {_named(taken)} held by {holder}, which BFD is gone on with")
            continue
        yield warning(
            "BFD",
            f"UDP {_named(taken)} held by {holder}: no packet of BFD is heard",
            "stop that process, or its BFD, before the start",
        )


def _ports(plan: Plan) -> Iterator[int]:
    watched = [peer for peer in plan.peers.values() if peer.bfd]
    if any(not peer.bfd_hops for peer in watched):
        yield SINGLE_HOP
    if any(peer.bfd_hops for peer in watched):
        yield MULTIHOP
    if any(peer.bfd_timers.echo for peer in watched):
        yield ECHO


def _named(ports: list[int]) -> str:
    words = some(map(str, ports))
    return f"port {words} is" if len(ports) == 1 else f"ports {words} are"
