"""What the harness itself can do: a sender and a receiver without a daemon between them.

``python -m benchmarks.peers.ceiling --prefixes 1000000`` prints a line of JSON. The namespace in
the middle only forwards packets. No daemon can be measured faster than this.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.peers.bed import RECEIVERS, SENDERS, Bed, address, daemon_address
from benchmarks.peers.children import Child
from benchmarks.peers.run import RECEIVER_AS, SENDER_AS
from benchmarks.peers.session import Line
from benchmarks.table import blob

LIMIT = 300.0


def measure_ceiling(prefixes: int) -> dict[str, object]:
    """Send a table from end to end.

    Raises:
        TimeoutError: it does not arrive.
    """
    table = blob.ensure(prefixes)
    near, far = address(SENDERS, 0), address(RECEIVERS, 0)
    bed = Bed()
    try:
        bed.lay(1, 1)
        _forward(bed)
        receiver = bed.child(
            RECEIVERS, [Line("r1", far, near, RECEIVER_AS, far, listens=True)], expected=prefixes
        )
        sender = bed.child(
            SENDERS,
            [Line("s1", near, far, SENDER_AS, near, blob=str(table.path), next_hop=near)],
        )
        ends = (sender, receiver)
        _until(ends, lambda: sender.is_up and receiver.is_up)
        sender.tell("send", names=["s1"], what="announce")
        _until(ends, lambda: any(each.reached for each in receiver.tallies.values()))
        reached, begun = receiver.tallies["r1"].reached or 0.0, sender.begun or 0.0
        return {"prefixes": prefixes, "transfer_s": round(reached - begun, 3)}
    finally:
        bed.close()


def _forward(bed: Bed) -> None:
    """Let the middle forward, and each side know the way to the other."""
    enter = ["ip", "netns", "exec", bed.middle]
    subprocess.run([*enter, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"], check=True)
    for side, other in ((SENDERS, RECEIVERS), (RECEIVERS, SENDERS)):
        route = ["route", "add", f"10.{other}.0.0/16", "via", daemon_address(side)]
        subprocess.run(["ip", "-n", bed.sides[side], *route], check=True)


def _until(ends: tuple[Child, ...], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came of it in {LIMIT:.0f} s")
        time.sleep(0.02)
        for each in ends:
            each.listen()


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prefixes", type=int, default=1_000_000)
    options = parser.parse_args()
    if os.geteuid():
        print("network namespaces need root: run it as root", file=sys.stderr)
        return 2
    print(json.dumps(measure_ceiling(options.prefixes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
