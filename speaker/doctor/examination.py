"""All questions, in the order in which a start would come upon them.

What the resources say comes first; without a plan there is nothing to ask the machine about but
what runs on it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from speaker.config.conditions import Gravity
from speaker.config.plan import Plan
from speaker.config.store import Resources
from speaker.datastore import sessions_up
from speaker.datastore.directory import load_directory
from speaker.datastore.endpoint_status import EndpointStatus
from speaker.doctor.findings import Finding, count, ok, problem, warning
from speaker.doctor.footing import footing
from speaker.doctor.machine import Machine
from speaker.doctor.neighbours import neighbours
from speaker.doctor.order import Order
from speaker.doctor.witnesses import witnesses
from speaker.environment import endpoint_status_directory, resolve_here
from speaker.errors import ConfigError

EARLIEST = 1_735_689_600.0
"""2025-01-01: no clock that is right shows an earlier time."""


def examine(order: Order, machine: Machine) -> Iterator[Finding]:
    """Ask all questions.

    Args:
        order: what is about to be done.
        machine: where.
    """
    resources = yield from _datastore(order)
    plan = None
    if resources is not None:
        plan = yield from _plan(order, resources)
    yield from _run_dir(order, machine)
    yield _clock(machine)
    yield from neighbours(order, plan, machine)
    yield from witnesses(order, plan, machine)
    yield from footing(order, plan, machine)


def _datastore(order: Order) -> Generator[Finding, None, Resources | None]:
    path = order.datastore
    try:
        loaded = load_directory(path)
    except OSError as error:
        why = error.strerror or str(error)
        yield problem("datastore", f"{path} cannot be read: {why}", "name it with --datastore")
        return None
    if loaded.problems:
        first = loaded.problems[0]
        yield problem(
            "datastore",
            f"{count(len(loaded.problems), 'mistake')} in {path}, at the cost of the resource it"
            f" is in; the first is {first.place}: {first.sentence}",
            f"'wren validate {path}' shows all",
        )
    else:
        yield ok("datastore", f"{path}: {count(len(loaded.reports), 'document')}, all valid")
    return loaded.resources


def _plan(order: Order, resources: Resources) -> Generator[Finding, None, Plan | None]:
    workloads = EndpointStatus(endpoint_status_directory(), lambda *_: None).load()
    try:
        plan = resolve_here(resources, order.node, workloads, strict_secrets=order.strict_secrets)
    except ConfigError as error:
        yield problem("plan", error.message, error.hint)
        return None
    yield ok("plan", f"node {plan.node}, AS {plan.asn}: {count(len(plan.peers), 'peer')}")
    yield from _secrets(order, plan)
    told = [each for each in plan.conditions if each.reason not in _LACKING]
    for condition in told:
        bad = condition.severity is Gravity.ERROR
        yield warning(
            "conditions",
            f"{condition.resource}: {condition.message}",
            "part of it is left out" if bad else "",
        )
    return plan


_LACKING = ("NoPassword", "NoKey")
"""The reasons that are told with the Secrets."""


def _secrets(order: Order, plan: Plan) -> Iterator[Finding]:
    lacking = [each for each in plan.conditions if each.reason in _LACKING]
    for condition in lacking:
        holds = order.strict_secrets or condition.reason == "NoKey"
        say = problem if holds else warning
        yield say(
            "secrets",
            f"{condition.resource}: {condition.message}",
            f"put the Secret into {order.datastore}",
        )
    if not lacking:
        signed = sum(bool(peer.password or peer.tcp_ao) for peer in plan.peers.values())
        yield ok("secrets", f"none is missing; peers with a password: {signed}")


def _run_dir(order: Order, machine: Machine) -> Iterator[Finding]:
    place = order.run_dir
    if machine.may_write(place):
        yield ok("run directory", f"{place} can be written")
    else:
        yield problem(
            "run directory",
            f"{place} cannot be written by this user",
            "name another one with --run-dir, or be the user that is to run the daemon",
        )
    try:
        before = sessions_up.load(place)
    except ConfigError as error:
        yield warning("state", error.message, error.hint)
        return
    if before is None:
        yield ok("state", "no run before has left word of its sessions")
    else:
        yield ok("state", f"peers whose sessions were up in the run before: {len(before)}")


def _clock(machine: Machine) -> Finding:
    now = machine.now()
    if now < EARLIEST:
        return warning(
            "clock", "it shows a time before 2025", "set it: times in logs and reports are wrong"
        )
    return ok("clock", "it shows a time that can be")
