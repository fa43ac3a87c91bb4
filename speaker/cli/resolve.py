"""``wren resolve``: what a node would run with these resources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.datastore import read_resources
from speaker.cli.options import (
    DatastoreOption,
    NodeOption,
    Output,
    OutputOption,
    RunDirOption,
    StrictSecretsOption,
    find_datastore,
)
from speaker.cli.tables import Table, facts, write_json, write_lines, write_table
from speaker.config.peerplan import PeerPlan
from speaker.config.plan import Plan
from speaker.config.views import plan_json
from speaker.environment import resolve_here

PathArgument = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="The resources; by default the datastore.")
]


def resolve(
    node: NodeOption,
    run_dir: RunDirOption,
    directory: PathArgument = None,
    datastore: DatastoreOption = None,
    strict_secrets: StrictSecretsOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the plan of a node: its peers with all defaults filled in, its blocks and routes.

    Documents that are refused are told on stderr and left out, as the daemon would.
    """
    path = find_datastore(directory or datastore, run_dir)
    plan = plan_of(path, node, strict_secrets=strict_secrets)
    if output is Output.JSON:
        write_json(plan_json(plan))
        conditions_aside(plan)
        return
    write_lines(show_node(plan))
    if plan.peers:
        typer.echo("")
        write_table(peer_table(plan))
    write_lines(show_conditions(plan))


def plan_of(directory: Path, node: str, *, strict_secrets: bool = False) -> Plan:
    """Compute the plan as the daemon would."""
    return resolve_here(read_resources(directory), node, strict_secrets=strict_secrets)


def show_node(plan: Plan) -> list[str]:
    """Give what concerns the node as a whole."""
    data = plan_json(plan)
    routes = [
        f"{route['prefix']} via {route['via']}"
        if "via" in route
        else f"{route['prefix']} blackhole"
        for route in data["staticRoutes"]
    ]
    return facts(
        [
            ("node", plan.node),
            ("AS", str(plan.asn)),
            ("router id", data["routerID"]),
            ("policy", plan.mode.value),
            ("listens on", f"port {plan.listen_port} of {_addresses(plan)}"),
            ("blocks", ", ".join(data["blocks"])),
            ("static routes", ", ".join(routes)),
            ("services", ", ".join(data["serviceRanges"])),
            ("peers", str(len(plan.peers))),
            *(("accepts", f"{each} ({each.name})") for each in plan.ranges.values()),
        ]
    )


def _addresses(plan: Plan) -> str:
    return ", ".join(plan.listen_addresses) or "all addresses"


def peer_table(plan: Plan) -> Table:
    """Give a row for each peer."""
    headings = ("NAME", "ADDRESS", "PORT", "LOCAL AS", "PEER AS", "TYPE", "FILTERS", "OPTIONS")
    rows = [
        (
            peer.name,
            peer.address,
            str(peer.port),
            str(peer.local_asn),
            str(peer.peer_asn),
            peer.kind.value,
            ",".join(peer.filters) or "-",
            ", ".join(_options(peer)) or "-",
        )
        for peer in plan.peers.values()
    ]
    return Table(headings, rows, right=frozenset({"PORT", "LOCAL AS", "PEER AS"}))


def _options(peer: PeerPlan) -> list[str]:
    """Name what is not the default of a peer."""
    next_hop = peer.next_hop_mode.value
    said = [
        (peer.passive, "passive"),
        (peer.rr_client, "route reflector client"),
        (peer.password is not None, "password"),
        (bool(peer.tcp_ao), "TCP-AO"),
        (peer.ttl_security, f"ttl security {peer.ttl_security}"),
        (peer.allow_local_as, f"allows own AS {peer.allow_local_as}x"),
        (next_hop != "Auto", f"next hop {next_hop.lower()}"),
        (peer.source_address, f"from {peer.source_address}"),
        (peer.bfd, "BFD over several hops" if peer.bfd_hops else "BFD"),
        (peer.bfd_auth is not None, "BFD keys"),
        (peer.bfd_strict is not None, "waits for BFD"),
    ]
    return [words for holds, words in said if holds]


def show_conditions(plan: Plan) -> list[str]:
    """Give what is wrong in the resources and was worked around."""
    return [
        f"{condition.severity.value}: {condition.resource}: {condition.message}"
        for condition in plan.conditions
    ]


def conditions_aside(plan: Plan) -> None:
    """Tell the conditions on stderr, where they do not mix with JSON."""
    for line in show_conditions(plan):
        typer.echo(line, err=True)
