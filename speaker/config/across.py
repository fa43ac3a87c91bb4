"""Mistakes that only several documents together make.

Each document is fine by itself: a name that is used twice, two BGPPeers of one scope with one
address, a BGPPeer that makes a node its own peer, pools that overlap, a password that no socket
takes, a key that BFD has no room for. A running speaker isolates such things
(`speaker.config.plan` reports them as conditions); whoever validates files wants to hear of them
before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from speaker.config.annotations import peer_options
from speaker.config.bfd import authentication_of
from speaker.config.keys import PREFIX
from speaker.config.kinds import name_space
from speaker.config.pools import overlapping
from speaker.config.problems import Problem
from speaker.config.report import Report
from speaker.config.resources import (
    BGPConfiguration,
    BGPPeer,
    IPPool,
    Node,
    SecretResource,
)
from speaker.config.secrets import MAX_PASSWORD
from speaker.config.store import duplicate
from speaker.config.zones import peer_address

_BFD_AUTH = f"{PREFIX}bfdAuth"
_TCP_AO = "wren.bgp/tcpAO"


def problems_across(reports: Sequence[Report]) -> dict[int, list[Problem]]:
    """Find what documents do to each other, by the number of the report to blame."""
    found: dict[int, list[Problem]] = {}
    for number, problem in [
        *_names_used_twice(reports),
        *_one_address_twice(reports),
        *_own_addresses(reports),
        *_overlapping_pools(reports),
        *_long_passwords(reports),
        *_long_bfd_keys(reports),
    ]:
        found.setdefault(number, []).append(problem)
    return found


def _names_used_twice(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    first: dict[tuple[str, str], Report] = {}
    found = []
    for number, report in enumerate(reports):
        if not report.name:
            continue
        stays = first.setdefault((name_space(report.kind), report.name), report)
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
        address = peer_address(report.resource)
        scope = (address, spec.node or "", str(spec.node_selector or ""))
        stays = first.setdefault(scope, report)
        if stays is not report and stays.name != report.name:
            message = f"{address} is already the peer of {stays.name} ({stays.file}:{stays.line})"
            found.append((number, report.problem("spec.peerIP", "same-address", message)))
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
                found.append((number, report.problem("spec.peerIP", "own-address", message)))
    return found


def _overlapping_pools(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    numbers = {
        id(item.resource): number
        for number, item in enumerate(reports)
        if isinstance(item.resource, IPPool)
    }
    pools = [item.resource for item in reports if isinstance(item.resource, IPPool)]
    found = []
    for pool, first in overlapping(pools):
        number = numbers[id(pool)]
        message = f"{pool.spec.cidr} overlaps with the pool {first.name}, {first.spec.cidr}"
        found.append((number, reports[number].problem("spec.cidr", "overlap", message)))
    return found


def _long_passwords(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    """Find passwords that no socket takes (RFC 2385 leaves the length to the system)."""
    secrets = {
        item.name: item.resource for item in reports if isinstance(item.resource, SecretResource)
    }
    found = []
    for number, report in enumerate(reports):
        for field, wanted in _passwords(report):
            name, key = wanted
            secret = secrets.get(name)
            value = secret.get(key) if secret else None
            if value is not None and len(value.reveal()) > MAX_PASSWORD:
                message = (
                    f"key {key} of Secret {name} has {len(value.reveal())} bytes; a password has "
                    f"at most {MAX_PASSWORD}"
                )
                found.append((number, report.problem(field, "long-password", message)))
    return found


def _long_bfd_keys(reports: Sequence[Report]) -> list[tuple[int, Problem]]:
    """Find keys of BFD that no packet has room for."""
    secrets = {
        item.name: item.resource for item in reports if isinstance(item.resource, SecretResource)
    }
    found = []
    for number, report in enumerate(reports):
        if not isinstance(report.resource, BGPPeer):
            continue
        spec, texts = report.resource.spec, report.resource.metadata.annotations
        wanted = peer_options(texts, spec.extensions).bfd_auth
        if wanted is None:
            continue
        where = "spec.extensions" if _BFD_AUTH in spec.extensions else "metadata.annotations"
        for place, problem in authentication_of(wanted, secrets)[1].items():
            secret = secrets.get(place.secret)
            if secret is not None and secret.get(place.key) is not None:
                field = f"{where}['{_BFD_AUTH}']"
                found.append((number, report.problem(field, "bfd-key", problem)))
    return found


def _passwords(report: Report) -> Iterator[tuple[str, tuple[str, str]]]:
    """Give the fields that name a value of a Secret, with the Secret and the key."""
    password, field = None, "spec.password"
    if isinstance(report.resource, BGPPeer):
        password = report.resource.spec.password
        annotations, extensions = (
            report.resource.metadata.annotations,
            report.resource.spec.extensions,
        )
        place = "spec.extensions" if _TCP_AO in extensions else "metadata.annotations"
        for each in peer_options(annotations, extensions).tcp_ao or ():
            yield f"{place}['{_TCP_AO}']", (each.secret, each.key)
    elif isinstance(report.resource, BGPConfiguration):
        password, field = report.resource.spec.node_mesh_password, "spec.nodeMeshPassword"
    if password is not None and password.secret_key_ref is not None:
        yield field, (password.secret_key_ref.name, password.secret_key_ref.key)
