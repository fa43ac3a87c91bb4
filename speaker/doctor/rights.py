"""What the process may do, and what of the plan needs more than that.

The rows are those of `speaker.privileges.needs`. Without some of them there is no start; without
others a part of what is wanted stays out, which is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import speaker
from speaker.config.cluster import BGP_PORT
from speaker.config.plan import Plan
from speaker.doctor.findings import Finding, count, ok, problem, some, warning
from speaker.doctor.machine import Machine
from speaker.doctor.order import Order
from speaker.errors import ConfigError
from speaker.privileges.capabilities import Capability
from speaker.privileges.needs import BEFORE_PRIVATE, may_be_hurried
from speaker.privileges.users import User

_SETTERS = (Capability.CAP_SETUID, Capability.CAP_SETGID)


def rights(order: Order, plan: Plan | None, machine: Machine) -> Iterator[Finding]:
    """Look what the process may do.

    Args:
        order: what is about to be done.
        plan: that would be followed; None where none can be made.
        machine: where.
    """
    have = machine.capabilities()
    lacking = [
        *_for_routes(order, have),
        *_for_port(plan, machine, have),
        *_for_user(order, machine, have),
        *_for_bfd(plan, machine, have),
    ]
    yield from lacking
    if not lacking:
        yield ok("rights", "this process has the capabilities that are needed")


def _lacks(capability: Capability, what: str) -> str:
    return f"this process has no {capability}, which is needed {what}"


def _for_routes(order: Order, have: frozenset[Capability]) -> Iterator[Finding]:
    if order.kernel and Capability.CAP_NET_ADMIN not in have:
        yield problem(
            "rights",
            _lacks(Capability.CAP_NET_ADMIN, "for kernel routes"),
            "run it as root, grant the capability, or leave them out with --no-kernel",
        )


def _for_port(
    plan: Plan | None, machine: Machine, have: frozenset[Capability]
) -> Iterator[Finding]:
    port = BGP_PORT if plan is None else plan.listen_port
    first_free = int(machine.sysctl("net.ipv4.ip_unprivileged_port_start") or BEFORE_PRIVATE)
    if port < first_free and Capability.CAP_NET_BIND_SERVICE not in have:
        yield problem(
            "rights",
            _lacks(Capability.CAP_NET_BIND_SERVICE, f"for port {port}"),
            f"run it as root, grant the capability, listen on {first_free} or above, or set"
            f" net.ipv4.ip_unprivileged_port_start to {port}",
        )


def _for_user(order: Order, machine: Machine, have: frozenset[Capability]) -> Iterator[Finding]:
    if order.user is None:
        return
    try:
        user = User.find(order.user)
    except ConfigError as error:
        yield problem("rights", error.message, error.hint)
        return
    lacking = [each for each in _SETTERS if each not in have and not user.is_this_process]
    for capability in lacking:
        yield problem(
            "rights",
            _lacks(capability, f"to become {user}"),
            "run it as root, or as that user and without --user",
        )
    if not lacking:
        yield from _for_files(order, user, machine)


def _for_files(order: Order, user: User, machine: Machine) -> Iterator[Finding]:
    """Look whether a user can read what the daemon reads."""
    program = Path(speaker.__file__).parent
    try:
        unreadable = machine.unreadable(user, [program, *_files(order.datastore)])
    except OSError as error:
        yield warning("rights", f"what {user} can read is not known: {error.strerror}")
        return
    if unreadable:
        yield problem(
            "rights",
            f"{user} cannot read {some(map(str, unreadable))}",
            "change the group or mode of the datastore; install Wren and its Python where everybody"
            " may read",
        )


def _files(datastore: Path) -> list[Path]:
    return [datastore, *sorted(datastore.rglob("*"))] if datastore.is_dir() else [datastore]


def _for_bfd(plan: Plan | None, machine: Machine, have: frozenset[Capability]) -> Iterator[Finding]:
    watched = [] if plan is None else [each for each in plan.peers.values() if each.bfd]
    if not watched:
        return
    peers = count(len(watched), "peer")
    if Capability.CAP_NET_RAW not in have and not machine.may_bind_device():
        yield warning(
            "rights",
            _lacks(Capability.CAP_NET_RAW, f"for BFD with {peers} on this kernel"),
            "run it as root, or grant the capability; Linux does without it since 5.7",
        )
    if not may_be_hurried(have, machine.priority_limit()):
        yield warning(
            "rights",
            f"this process has no {Capability.CAP_SYS_NICE}: BFD with {peers} runs without"
            " real-time priority",
            "grant the capability or LimitRTPRIO=2, or have longer timers where the machine is"
            " busy",
        )
