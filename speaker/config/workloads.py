"""Local workloads that want a BGP session with their node.

Felix writes a status file for each endpoint of its node; it names the BGPPeer whose
``localWorkloadSelector`` chose the workload, and the workload's addresses. A `Workload` is what
such a file says, as far as it matters here: one session for the first address of each family.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any


class WorkloadError(ValueError):
    """A status file that cannot be understood."""


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """A workload of this node that a BGPPeer has chosen.

    Attributes:
        peer: the name of the BGPPeer.
        interface: this node's end of the link to it.
        addresses: its own, canonical and without length, at most one for each family.
    """

    peer: str
    interface: str
    addresses: tuple[str, ...]


def parse_workload(text: str) -> Workload | None:
    """Read a status file; None where no BGPPeer has chosen the workload.

    Raises:
        WorkloadError: it is not what Felix writes.
    """
    try:
        status = json.loads(text)
    except ValueError as error:
        raise WorkloadError(f"not JSON: {error}") from None
    if not isinstance(status, dict):
        raise WorkloadError("not a JSON object")
    peer, interface = _text(status, "bgpPeerName"), _text(status, "ifaceName")
    if not peer:
        return None
    return Workload(peer, interface, tuple(_addresses(status)))


def _text(status: dict[str, Any], name: str) -> str:
    value = status.get(name) or ""
    if not isinstance(value, str):
        raise WorkloadError(f"{name} is no text")
    return value


def _addresses(status: dict[str, Any]) -> Iterator[str]:
    """Give the first address of each family; networks that make no sense are passed over."""
    for name, version in (("ipv4Nets", 4), ("ipv6Nets", 6)):
        nets = status.get(name) or []
        if not isinstance(nets, list):
            raise WorkloadError(f"{name} is no list")
        found = (_interface(net) for net in nets)
        first = next((net for net in found if net and net.version == version), None)
        if first is not None:
            yield str(first.ip)


def _interface(net: object) -> IPv4Interface | IPv6Interface | None:
    try:
        return ip_interface(net) if isinstance(net, str) else None
    except ValueError:
        return None
