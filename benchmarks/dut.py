"""Run Wren as the device under test of a side-by-side benchmark.

The benchmark describes the run in a JSON file (local AS, router id, neighbors with their addresses
and ASes, whether routes go into the kernel); this program writes the same as resources in plain
mode and becomes ``wren run`` on them::

    python3 run.py --dut 'python3 benchmarks/dut.py {config}' --mode relay --prefixes 100000 --check
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NODE = "dut"


def resources(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Say as resources what the benchmark's description says."""
    is_ipv6 = config["family"] == 6
    annotations = {"wren.bgp/policy": "plain"}
    yield _resource(
        "BGPConfiguration",
        "default",
        {"nodeToNodeMeshEnabled": False, "asNumber": config["local_as"]},
        annotations,
    )
    # The router id is the node's IPv4 address; on an IPv6 bench it stands for nothing else.
    bgp = {"ipv4Address": config["router_id"]}
    if is_ipv6:
        bgp["ipv6Address"] = config["listen"][0]
    yield _resource("Node", NODE, {"bgp": bgp})
    for neighbor in config["neighbors"]:
        yield _resource(
            "BGPPeer",
            neighbor["name"],
            {
                "node": NODE,
                "peerIP": neighbor["addr"],
                "asNumber": neighbor["asn"],
                "sourceAddress": "None",
                "extensions": {"wren.bgp/passive": "true"},
            },
        )


def _resource(
    kind: str, name: str, spec: dict[str, Any], annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def main() -> None:
    """Write the resources beside the description, and run on them."""
    description = Path(sys.argv[1]).resolve()
    config = json.loads(description.read_text())
    datastore = description.parent / "wren"
    datastore.mkdir(exist_ok=True)
    (datastore / "resources.json").write_text(
        json.dumps({"kind": "List", "items": list(resources(config))}, indent=1)
    )
    root = Path(__file__).resolve().parent.parent
    python = root / ".venv" / "bin" / "python"
    program = str(python) if python.exists() else sys.executable
    command = [program, "-m", "speaker", "run", "--datastore", str(datastore), "--node", NODE]
    command += ["--run-dir", str(description.parent / "wren-run"), "--log-level", "warning"]
    if not config["fib"]:
        command.append("--no-kernel")
    environment = {**os.environ, "PYTHONPATH": str(root)}
    os.execve(program, [*command, *sys.argv[2:]], environment)


if __name__ == "__main__":
    main()
