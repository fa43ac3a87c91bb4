"""What runs in a node: one module for each kind of daemon, all with the same face.

A `Daemon` writes its configuration from the topology, says which programs are to be started, and
answers the same questions whatever it is: which sessions are up, which routes it has; and it
announces and withdraws prefixes while it runs.
"""

from __future__ import annotations

from lab.kinds.base import Daemon, Place, Route
from lab.kinds.bird import Bird
from lab.kinds.exabgp import Exabgp
from lab.kinds.frr import Frr
from lab.kinds.gobgp import Gobgp
from lab.kinds.openbgpd import Openbgpd
from lab.kinds.wren import Wren
from lab.topology import Kind

DAEMONS: dict[Kind, type[Daemon]] = {
    Kind.BIRD: Bird,
    Kind.EXABGP: Exabgp,
    Kind.FRR: Frr,
    Kind.GOBGP: Gobgp,
    Kind.OPENBGPD: Openbgpd,
    Kind.WREN: Wren,
}
"""The daemon of each kind; a host runs none."""

__all__ = ["DAEMONS", "Daemon", "Place", "Route"]
