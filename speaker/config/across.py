"""Mistakes that only several documents together make.

Each document is fine by itself: a name that is used twice, two BGPPeers of one scope with one
address, a BGPPeer that makes a node its own peer. A running speaker isolates such things
(`speaker.config.plan` reports them as conditions); whoever validates files wants to hear of them
before.
"""

from __future__ import annotations

from collections.abc import Sequence

from speaker.config.kinds import Kind
from speaker.config.problems import Problem
from speaker.config.report import Report
from speaker.config.resources import BGPPeer, Node
from speaker.config.store import duplicate


def problems_across(reports: Sequence[Report]) -> dict[int, list[Problem]]:
    """Find what documents do to each other, by the number of the report to blame."""
    found: dict[int, list[Problem]] = {}
    for number, problem in [
        *_names_used_twice(reports),
        *_one_address_twice(reports),
        *_own_addresses(reports),
    ]:
        found.setdefault(number, []).append(problem)
    return found


def _names_used_twice(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    first: dict[tuple[str, str], Report] = {}
    found = []
    for number, report in enumerate(reports):
        if not report.name:
            continue
        stays = first.setdefault((report.kind, report.name), report)
        if stays is not report:
            found.append((number, duplicate(stays, report)))
    return found


def _one_address_twice(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    first: dict[tuple[str, ...], Report] = {}
    found = []
    for number, report in enumerate(reports):
        if not isinstance(report.resource, BGPPeer) or report.resource.spec.peer_ip is None:
            continue
        spec = report.resource.spec
        address = report.resource.spec.peer_ip.address
        scope = (address, spec.node or "", str(spec.node_selector or ""))
        stays = first.setdefault(scope, report)
        if stays is not report and stays.name != report.name:
            message = f"{address} is already the peer of {stays.name} ({stays.file}:{stays.line})"
            found.append((number, _problem(report, "same-address", message)))
    return found


def _own_addresses(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    """Find peers of one node whose address is that node's own."""
    addresses: dict[str, set[str]] = {}
    for report in reports:
        if isinstance(report.resource, Node) and report.resource.spec.bgp:
            bgp = report.resource.spec.bgp
            own = (bgp.ipv4_address, bgp.ipv6_address)
            addresses[report.name] = {str(item.ip) for item in own if item}
    found = []
    for number, report in enumerate(reports):
        if isinstance(report.resource, BGPPeer) and report.resource.spec.peer_ip:
            spec = report.resource.spec
            address = report.resource.spec.peer_ip.address
            if address in addresses.get(spec.node or "", ()):
                message = f"{address} is the address of node {spec.node} itself"
                found.append((number, _problem(report, "own-address", message)))
    return found


def _problem(report: Report, rule: str, message: str) -> Problem:
    assert report.kind == Kind.BGP_PEER
    return Problem(report.file, report.line, 1, "spec.peerIP", rule, message)
