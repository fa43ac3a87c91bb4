"""Run Wren as the device under test of a side-by-side benchmark.

The benchmark describes the run in a JSON file (local AS, router id, neighbors with their addresses
and ASes, whether routes go into the kernel); this program writes the same as resources in plain
mode and becomes ``wren run`` on them. Where the description names blocks to refuse, by role of the
neighbor, filters of BGPFilter do so; `write` may be called again while the daemon runs. Filters
that let everything pass (`FILTERS`) show what it costs to ask them::

    python3 run.py --dut 'python3 benchmarks/dut.py {config}' --mode relay --prefixes 100000 --check
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any

NODE = "dut"

_Rule = dict[str, Any]
_Chain = Callable[[int], list[list[_Rule]]]


def _no_filters(_: int) -> list[list[_Rule]]:
    return []


def _attribute_filters(_: int) -> list[list[_Rule]]:
    """Three filters of rules about attributes that no route of the table has."""
    marked = [{"communities": {"values": [f"64999:{number}"]}} for number in (1, 2)]
    paths: list[_Rule] = [{"asPathPrefix": [64999, number]} for number in (64998, 64997)]
    adding = [{"addCommunity": {"value": "64999:3"}}]
    return [
        [{"action": "Reject", **each} for each in marked],
        [{"action": "Reject", **each} for each in paths],
        [{"action": "Accept", **marked[0], **each, "operations": adding} for each in paths],
    ]


def _prefix_filters(family: int) -> list[list[_Rule]]:
    """A filter of 200 rules about networks all over the table, of which no route is long enough."""
    rules = []
    for number in range(200):
        length = 8 + number % 9
        if family == 4:
            address: IPv4Address | IPv6Address = IPv4Address((1 + number) << 24 | number * 37 << 16)
        else:
            address, length = IPv6Address((0x2001 << 112) | number * 163 << 96), length + 16
        cidr = ip_network((address, length), strict=False)
        whole = cidr.max_prefixlen
        within = {"cidr": str(cidr), "matchOperator": "In", "prefixLength": {"min": whole}}
        rules.append({"action": "Reject", **within})
    return [rules]


FILTERS: dict[str, _Chain] = {
    "none": _no_filters,
    "attributes": _attribute_filters,
    "prefixes": _prefix_filters,
}
"""Filters that let everything pass, by what their rules ask for; made for a family."""


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
    for role, blocks in config.get("refused", {}).items():
        yield _filter(role, blocks, config["family"])
    family = config["family"]
    chain = FILTERS[config.get("filters", "none")](family)
    for number, rules in enumerate(chain):
        both = {f"importV{family}": rules, f"exportV{family}": rules}
        yield _resource("BGPFilter", f"pass{number}", both)
    passing = [f"pass{number}" for number in range(len(chain))]
    for neighbor in config["neighbors"]:
        spec = {
            "node": NODE,
            "peerIP": neighbor["addr"],
            "asNumber": neighbor["asn"],
            "sourceAddress": "None",
            "extensions": {"wren.bgp/passive": "true"},
            "filters": passing,
        }
        if neighbor["role"] in config.get("refused", {}):
            spec["filters"] = [neighbor["role"], *passing]
        yield _resource("BGPPeer", neighbor["name"], spec)


def _filter(role: str, blocks: list[str], family: int) -> dict[str, Any]:
    """Refuse blocks from those that send, or towards those that receive."""
    direction = "import" if role == "send" else "export"
    rules = [{"action": "Reject", "cidr": each, "matchOperator": "In"} for each in blocks]
    return _resource("BGPFilter", role, {f"{direction}V{family}": rules})


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


def write(config: dict[str, Any], datastore: Path) -> None:
    """Write the resources, all at once for who follows the directory."""
    written = datastore / ".resources"
    written.write_text(json.dumps({"kind": "List", "items": list(resources(config))}, indent=1))
    written.rename(datastore / "resources.json")


def main() -> None:
    """Write the resources beside the description, and run on them."""
    description = Path(sys.argv[1]).resolve()
    config = json.loads(description.read_text())
    datastore = description.parent / "wren"
    datastore.mkdir(exist_ok=True)
    write(config, datastore)
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
