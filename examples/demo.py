"""Bring the rack up, show what runs, ping through it, and take it down again.

Run it by ``make demo``; ``make demo KEEP=1`` leaves the lab up and says how to look around.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from lab import Family, Lab, LabError, RunningNode, load, probes

TOPOLOGY = Path(__file__).parent / "rack" / "topology.yaml"
PINGS = (
    ("node1", "10.65.0.1", "10.65.0.65", "a workload of node1 to a workload of node2"),
    ("node1", "fd00:65::1", "fd00:65::41", "the same over IPv6"),
    ("client", None, "10.65.0.65", "the client behind the switch to a workload of node2"),
)


def main() -> int:
    """Show the lab.

    Returns:
        The exit status: 0 if every ping was answered.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    keep = parser.parse_args().keep
    try:
        return show(keep=keep)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def show(*, keep: bool) -> int:
    """Bring the lab up and print what is to be seen."""
    rack = Lab(load(TOPOLOGY))
    began = time.monotonic()
    print(f"bringing up {TOPOLOGY.parent.name}: {', '.join(n.name for n in rack.topology.nodes)}")
    rack.up()
    try:
        answered = explore(rack, began)
    except BaseException:
        rack.down()
        raise
    if keep:
        print("\nThe lab stays up. Look around:\n")
        print("    .venv/bin/wren lab status")
        print("    .venv/bin/wren lab exec node1 -- ip route")
        print(f"    .venv/bin/wren routes --run-dir {rack.node('node1').home}")
        print(f"    .venv/bin/wren peer --run-dir {rack.node('node1').home}")
        print("    .venv/bin/wren lab down")
    else:
        rack.down()
        print(f"\ntaken down again; the whole took {time.monotonic() - began:.1f} s")
    return 0 if answered else 1


def explore(rack: Lab, began: float) -> bool:
    """Wait for the sessions, then print tables, routes and pings."""
    rack.wait_established()
    probes.wait_until(
        lambda: all(probes.ping(rack.node(name), to, source=at) for name, at, to, _ in PINGS),
        "every ping is answered",
        nodes=list(rack.nodes.values()),
    )
    print(f"all sessions up and all routes there after {time.monotonic() - began:.1f} s")
    for name in ("node1", "node2", "tor"):
        print(f"\n===== {name}: wren node status\n")
        print_status(rack.node(name))
        print(f"===== {name}: routes that Wren put into the kernel\n")
        print_routes(rack.node(name))
    print("\n===== pings\n")
    answers = []
    for name, source, target, words in PINGS:
        answered = probes.ping(rack.node(name), target, source=source, count=3)
        answers.append(answered)
        print(f"{words}: {target} {'answers' if answered else 'DOES NOT ANSWER'}")
    return all(answers)


def print_status(node: RunningNode) -> None:
    """Print the status table as ``wren node status`` does."""
    argv = [sys.executable, "-m", "speaker", "node", "status", "--run-dir", str(node.home)]
    print(node.execute(argv), end="")


def print_routes(node: RunningNode) -> None:
    """Print the kernel's routes of protocol 12."""
    for family in Family:
        print(node.execute(["ip", f"-{family.version}", "route", "show", "proto", "bird"]), end="")


if __name__ == "__main__":
    sys.exit(main())
