"""How many routes a second the kernel takes from Python: the mark for everything that installs.

``python -m benchmarks.peers.kernel_limit --prefixes 1000000`` makes a namespace, stamps all route
messages beforehand and sends them in batches, once with gateway and interface and once with the
number of a next-hop object; then it takes them away again. It prints a line of JSON for each. Only
sending is timed, and the kernel's own count says whether all arrived.

Standards: RFC 3549 §3.1 (route messages).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address

from benchmarks.peers import kernel_table
from benchmarks.peers.bed import SENDERS, Bed, address
from benchmarks.peers.daemons import ROOT
from benchmarks.table import blob
from fsm.family import Afi
from policy.path import Hop
from speaker.kernel.routes import Forwarding
from speaker.kernel.stamps import Stamps, Verb

BATCH = 512
"""Messages in one send."""
OBJECT = 77
INTERFACE = "v0"
_MAIN, _PROTOCOL = 254, 186
_SEND_BUFFER, _RECEIVE_BUFFER = 8 << 20, 64 << 20


def ways() -> Iterator[tuple[str, Forwarding]]:
    """Give what routes can say: where they lead, or which object knows it."""
    gateway = address(SENDERS, 0)
    index = socket.if_nametoindex(INTERFACE)
    yield "gateway", Forwarding(hops=(Hop(index, ip_address(gateway).packed, INTERFACE),))
    made = ["nexthop", "add", "id", str(OBJECT), "via", gateway, "dev", INTERFACE]
    if subprocess.run(["ip", *made], check=False).returncode == 0:
        yield "object", Forwarding(nexthop=OBJECT)


def requests(verb: Verb, forwarding: Forwarding, prefixes: list[bytes]) -> list[bytes]:
    """Stamp the messages, batch by batch."""
    stamp = Stamps(_MAIN, _PROTOCOL).get(verb, Afi.IPV4, forwarding)
    starts = range(0, len(prefixes), BATCH)
    return [bytes(stamp.ink(prefixes[start : start + BATCH])) for start in starts]


def send(netlink: socket.socket, batches: list[bytes]) -> float:
    """Send everything; tell the seconds."""
    begun = time.perf_counter()
    for batch in batches:
        netlink.send(batch)
    return time.perf_counter() - begun


def measure(prefixes: list[bytes]) -> Iterator[dict[str, object]]:
    """Fill and empty the table of the namespace we are in, in each way."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    netlink.bind((0, 0))
    base = kernel_table.count(os.getpid())
    for name, forwarding in ways():
        add, remove = (requests(v, forwarding, prefixes) for v in (Verb.ADD, Verb.REMOVE))
        added = send(netlink, add)
        there = kernel_table.count(os.getpid()) - base
        removed = send(netlink, remove)
        left = kernel_table.count(os.getpid()) - base
        yield {
            "route": name,
            "prefixes": len(prefixes),
            "add_s": round(added, 3),
            "remove_s": round(removed, 3),
            "ok": there == len(prefixes) and not left,
        }
    netlink.close()


def main() -> int:
    """Make a namespace and measure in it, or measure here."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prefixes", type=int, default=200_000)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.geteuid():
        print("network namespaces need root: run it as root", file=sys.stderr)
        return 2
    if options.here:
        found = list(measure(blob.draw(options.prefixes).prefixes))
        print("\n".join(map(json.dumps, found)))
        return 0 if all(each["ok"] for each in found) else 1
    bed = Bed()
    try:
        bed.lay(1, 1)
        command = ["ip", "netns", "exec", bed.middle, sys.executable, "-m", __spec__.name, "--here"]
        return subprocess.run([*command, f"--prefixes={options.prefixes}"], cwd=ROOT).returncode
    finally:
        bed.close()


if __name__ == "__main__":
    sys.exit(main())
