"""What Calico's variables of the environment say to a node, beside its resources.

``CALICO_ROUTER_ID`` is the BGP Identifier, or how it is made; ``CALICO_ADVERTISE_CLUSTER_IPS``
stands for ``serviceClusterIPs``. Commands and the daemon read them alike, so that what a command
says is what the daemon does. ``CALICO_ENDPOINT_STATUS_PATH_PREFIX`` says where Felix writes what
the workloads of the node are, which the daemon alone reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from speaker.config.plan import Plan, resolve
from speaker.config.store import Resources
from speaker.config.workloads import Workload


def endpoint_status_directory() -> Path:
    """Give the directory of the status files of this node's endpoints."""
    prefix = os.environ.get("CALICO_ENDPOINT_STATUS_PATH_PREFIX") or "/var/run/calico"
    return Path(prefix) / "endpoint-status"


def resolve_here(
    resources: Resources,
    node: str,
    workloads: Sequence[Workload] = (),
    *,
    strict_secrets: bool = False,
) -> Plan:
    """Compute the plan of a node in this process's environment.

    Args:
        resources: all of them.
        node: the name of the Node.
        workloads: of the node.
        strict_secrets: as for `resolve`.

    Raises:
        ConfigError: no plan can be made, as `resolve` says.
    """
    return resolve(
        resources,
        node,
        os.environ.get("CALICO_ROUTER_ID"),
        cluster_ips_env=os.environ.get("CALICO_ADVERTISE_CLUSTER_IPS"),
        strict_secrets=strict_secrets,
        workloads=workloads,
    )
