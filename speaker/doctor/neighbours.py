"""Who else is there: other BGP speakers, and whoever has our port."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from speaker.config.cluster import BGP_PORT
from speaker.config.plan import Plan
from speaker.control.client import NotRunning, ask
from speaker.control.protocol import ControlError
from speaker.doctor.findings import Finding, ok, problem, some, warning
from speaker.doctor.machine import Held, Machine, Process
from speaker.doctor.order import Order
from speaker.net.listening import Place, places
from speaker.reception import EVERYWHERE

SPEAKERS = {
    "bird": "BIRD",
    "bird6": "BIRD",
    "bgpd": "FRR or OpenBGPD",
    "gobgpd": "GoBGP",
    "exabgp": "ExaBGP",
}
"""Names of processes, and whose they are."""

SOCKETS = {
    "/var/run/calico/bird.ctl": "Calico's BIRD",
    "/var/run/calico/bird6.ctl": "Calico's BIRD for IPv6",
    "/run/bird/bird.ctl": "BIRD",
    "/run/bird.ctl": "BIRD",
    "/run/frr/bgpd.vty": "FRR",
    "/run/bgpd.sock.0": "OpenBGPD",
}
"""Control sockets, and whose they are; one may be left over."""

_BIRDS_PROTOCOL = 12
_ANY = ("0.0.0.0", "::")


def neighbours(order: Order, plan: Plan | None, machine: Machine) -> Iterator[Finding]:
    """Look who else is there.

    Args:
        order: what is about to be done.
        plan: that would be followed; None where none can be made.
        machine: where.
    """
    daemon = yield from _daemon(order)
    yield from _speakers(order, machine)
    port = BGP_PORT if plan is None else plan.listen_port
    addresses = EVERYWHERE if plan is None else plan.listen_addresses or EVERYWHERE
    absent = () if plan is None else plan.workload_addresses
    wanted = places(addresses, port, absent=absent)
    held = [each for each in machine.held(port) if any(_excludes(each, at) for at in wanted)]
    if not held:
        yield ok("port", f"port {port} is free")
    for holder, addresses_held in _by_holder(held).items():
        where = f"port {port} of {some(addresses_held)} is held by {holder}"
        if order.takeover and holder.pid and holder.pid == daemon:
            yield ok("port", f"{where}, which hands it over")
        elif order.takeover:
            yield warning("port", where, "stop that process before the start")
        else:
            yield problem("port", where, "stop that process, or set listenPort in BGPConfiguration")


def _by_holder(held: list[Held]) -> dict[Process, list[str]]:
    found: dict[Process, list[str]] = {}
    for each in sorted(held, key=lambda each: each.address):
        found.setdefault(each.holder, []).append(each.address)
    return found


def _excludes(held: Held, wanted: Place) -> bool:
    """Tell whether a socket that listens there keeps us from listening.

    One for all IPv6 addresses may take IPv4 as well, which cannot be seen from outside.
    """
    address, _ = wanted
    if held.address in (address, "::"):
        return True
    if (":" in held.address) != (":" in address):
        return False
    return held.address in _ANY or address in _ANY


def _daemon(order: Order) -> Generator[Finding, None, int]:
    """Look for a Wren with the same run directory; give its process."""
    try:
        view = ask(order.run_dir, "status")
    except NotRunning:
        yield ok("daemon", f"no Wren runs with the run directory {order.run_dir}")
        return 0
    except ControlError as error:
        yield warning("daemon", error.message, error.hint)
        return 0
    what = f"a Wren runs with the run directory {order.run_dir}: process {view['pid']}"
    if order.takeover:
        yield ok("daemon", f"{what}, version {view['version']}")
    else:
        yield problem("daemon", what, "stop it, or start with --takeover")
    return int(view["pid"])


def _speakers(order: Order, machine: Machine) -> Iterator[Finding]:
    running = [each for each in machine.processes() if each.name in SPEAKERS]
    there = {whose: path for path, whose in SOCKETS.items() if machine.is_there(path)}
    if not running and not there:
        yield ok("other speakers", "none that is known to us runs")
    for process in running:
        what = f"{SPEAKERS[process.name]} runs: {process}"
        fights = order.kernel and process.name.startswith("bird")
        fights = fights and order.protocol == _BIRDS_PROTOCOL
        if order.takeover and fights:
            yield warning(
                "other speakers",
                what,
                "stop it before the start; its kernel routes stay if its kernel protocols say"
                " 'persist', as Calico's do",
            )
        elif fights:
            yield problem(
                "other speakers",
                f"{what}, and its kernel routes have the same protocol number {order.protocol}",
                "stop it, or give --protocol another number",
            )
        else:
            yield warning("other speakers", what, "both may run if they share no port and no table")
    if there and not running:
        yield warning(
            "other speakers",
            f"there is a control socket of {some(there)}: {some(there.values())}",
            "it is left over, or its owner cannot be seen from here",
        )
