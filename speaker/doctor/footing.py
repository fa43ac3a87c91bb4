"""What the node stands on: the kernel's tables and settings, addresses, ways to peers."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.family import Afi
from policy.prefix import Nlri, show
from speaker.config.plan import Plan
from speaker.doctor.findings import Finding, count, ok, problem, some, warning
from speaker.doctor.machine import KernelView, Machine
from speaker.doctor.order import Order
from speaker.doctor.rights import rights
from speaker.errors import KernelError
from speaker.net.admission import AO_KEY_SIZE, KEY_SIZE
from speaker.net.places import Demands

STRICT = "1"
"""rp_filter: packets are dropped that would not leave by the interface they came from."""


def footing(order: Order, plan: Plan | None, machine: Machine) -> Iterator[Finding]:
    """Look what the node stands on.

    Args:
        order: what is about to be done.
        plan: that would be followed; None where none can be made.
        machine: where.
    """
    yield from rights(order, plan, machine)
    view: KernelView | None = None
    try:
        view = machine.kernel(order.table, order.protocol)
    except KernelError as error:
        yield problem("kernel", error.message, error.hint)
    if order.kernel and view is not None:
        yield from _kernel(order, plan, machine, view)
    if plan is not None:
        if view is not None:
            yield from _addresses(plan, view)
        yield from _peers(plan, machine)
    if order.kernel:
        yield from _settings(plan, machine, view)
    if plan is not None:
        yield from _passwords(plan, machine)
        yield from _tcp_ao(plan, machine)


def _kernel(
    order: Order, plan: Plan | None, machine: Machine, view: KernelView
) -> Iterator[Finding]:
    if machine.sysctl("net.ipv4.nexthop_compat_mode") is not None:
        yield ok("kernel", "it has next-hop objects")
    else:
        yield warning(
            "kernel",
            "it has no next-hop objects",
            "routes will carry their hops, and move one by one when a next hop changes",
        )
    yield from _adoption(order, plan, view)


def _adoption(order: Order, plan: Plan | None, view: KernelView) -> Iterator[Finding]:
    """Say what becomes of the routes that bear our number already."""
    number = sum(map(len, view.own.values()))
    table = f"table {order.table} with protocol number {order.protocol}"
    if not number:
        others = ", ".join(f"{n} of {count}" for n, count in sorted(view.protocols.items()))
        yield ok("routes", f"none in {table} to adopt" + (f" (others: {others})" if others else ""))
        return
    if plan is None:
        yield warning("routes", f"{number} in {table} would be adopted")
        return
    own = _planned(plan)
    kept = {(afi, nlri) for afi, nlris in view.own.items() for nlri in nlris} & own
    left = [show(afi, nlri) for afi, nlris in view.own.items() for nlri in sorted(nlris)]
    known = {show(afi, nlri) for afi, nlri in kept}
    unknown = [text for text in left if text not in known]
    yield ok(
        "routes",
        f"{number} in {table} would be adopted: the node's own, which stay ({len(kept)}), and"
        f" others, which peers have to tell ({len(unknown)})",
    )
    if unknown and not plan.peers and not plan.ranges:
        yield warning(
            "routes",
            f"there is no peer that could tell {some(unknown)}",
            "they go as soon as the daemon has started",
        )
    elif unknown:
        yield ok(
            "routes",
            f"{some(unknown)}: each stays until all peers have told all they have,"
            f" {plan.selection_deferral:.0f} s at the most, and then if one has told it",
        )


def _planned(plan: Plan) -> set[tuple[Afi, Nlri]]:
    """Give the prefixes that the node installs whatever peers tell."""
    return {(route.family.afi, route.nlri) for route in plan.static_routes}


def _addresses(plan: Plan, view: KernelView) -> Iterator[Finding]:
    missing = [each for each in plan.own_addresses if each not in view.addresses]
    if not missing:
        yield ok("addresses", f"{', '.join(plan.own_addresses)}: the node has them")
        return
    what = f"no interface has {', '.join(missing)}, which the Node resource names"
    hint = "correct spec.bgp of the Node, or give the interface its address"
    # To listen on it the address has to be there.
    yield (problem if plan.listen_addresses else warning)("addresses", what, hint)


def _peers(plan: Plan, machine: Machine) -> Iterator[Finding]:
    lost = [
        f"{peer.name} ({peer.address})"
        for peer in plan.peers.values()
        if not machine.has_route(peer.address)
    ]
    if lost:
        yield warning("peers", f"no route leads to {some(lost)}", "their sessions will not come up")
    elif plan.peers:
        yield ok("peers", f"a route leads to every one of them ({len(plan.peers)})")
    elif plan.ranges:
        yield ok("peers", f"whoever connects from {some(list(map(str, plan.ranges.values())))}")
    else:
        yield warning("peers", "the plan has none", "'wren resolve' shows what it has")


def _settings(plan: Plan | None, machine: Machine, view: KernelView | None) -> Iterator[Finding]:
    six = plan is not None and any(":" in address for address in plan.own_addresses)
    forwarding = ("net.ipv4.ip_forward", *(("net.ipv6.conf.all.forwarding",) if six else ()))
    found = [
        warning("settings", f"{name} is 0: packets of others are not forwarded", "set it to 1")
        for name in forwarding
        if machine.sysctl(name) == "0"
    ]
    strict = [
        name
        for name in ("all", *sorted(view.interfaces if view is not None else ()))
        if machine.sysctl(f"net.ipv4.conf.{name}.rp_filter") == STRICT
    ]
    if strict:
        found.append(
            warning(
                "settings",
                f"rp_filter is strict for {some(strict)}",
                "where ways out and back differ packets are dropped; 2 is the loose mode",
            )
        )
    yield from found or [ok("settings", "packets are forwarded, whatever their way back")]


def _passwords(plan: Plan, machine: Machine) -> Iterator[Finding]:
    demands = Demands.of(plan)
    signed, keys = demands.passwords, demands.keys
    room, needed = machine.sysctl("net.core.optmem_max"), signed * KEY_SIZE + keys * AO_KEY_SIZE
    if not needed or room is None:
        return
    what = " and ".join(
        [count(signed, "password")] * bool(signed)
        + [f"{count(keys, 'key')} of TCP-AO"] * bool(keys)
    )
    if needed > int(room):
        yield warning(
            "passwords",
            f"net.core.optmem_max is {room}, which may be too little for {what}",
            f"set it to {needed * 2} or more",
        )
    else:
        yield ok("passwords", f"net.core.optmem_max is {room}, enough for {what}")


def _tcp_ao(plan: Plan, machine: Machine) -> Iterator[Finding]:
    """Look whether the kernel has what peers with keys ask for: they are held down without."""
    asking = [name for name, peer in plan.peers.items() if peer.tcp_ao]
    asking += [
        name for name, each in plan.ranges.items() if any(one.tcp_ao for one in each.templates)
    ]
    if not asking:
        return
    what, _, remedy = machine.lacks_tcp_ao().partition("; ")
    if what:
        yield problem("TCP-AO", f"{what}; held down for it: {some(asking)}", remedy)
    else:
        yield ok("TCP-AO", f"the kernel has it; peers that ask for it: {len(asking)}")
