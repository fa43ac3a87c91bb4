"""Laboratories of network namespaces: routers, links and faults on one machine.

A `Topology` says what there is (in Python, or in YAML by `load`), a `Lab` brings it up and takes it
down without a rest, `probes` look and `faults` disturb::

    with lab.Lab(lab.load(Path("topology.yaml"))) as rack:
        rack.wait_established()
        with lab.faults.killed(rack.node("tor")):
            ...

The same by the command line: ``wren lab up topology.yaml``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import faults, probes
    from lab.errors import LabError, TopologyError
    from lab.lab import Lab, RunningNode
    from lab.topology import Family, Kind, Link, Node, Peering, Topology
    from lab.topology_file import dumps, load, loads

_HOMES = {
    "Family": "lab.topology",
    "Kind": "lab.topology",
    "Lab": "lab.lab",
    "LabError": "lab.errors",
    "Link": "lab.topology",
    "Node": "lab.topology",
    "Peering": "lab.topology",
    "RunningNode": "lab.lab",
    "Topology": "lab.topology",
    "TopologyError": "lab.errors",
    "dumps": "lab.topology_file",
    "load": "lab.topology_file",
    "loads": "lab.topology_file",
}
_MODULES = ("faults", "probes")

__all__ = [
    "Family",
    "Kind",
    "Lab",
    "LabError",
    "Link",
    "Node",
    "Peering",
    "RunningNode",
    "Topology",
    "TopologyError",
    "dumps",
    "faults",
    "load",
    "loads",
    "probes",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"lab.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
