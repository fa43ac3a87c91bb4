"""How fast the kernel room puts routes into the kernel, and how fast a dead next hop's routes move.

The kernel thread alone, without BGP, in a network namespace of its own::

    python benchmarks/fib.py [--routes 500000] [--plain] [--json]

Printed are seconds, and CPU seconds of the process, for routes that go in, change their next hop
one by one, and go out; then, for both positions of net.ipv4.nexthop_compat_mode, how long after a
next hop of two died the kernel sends no packet to it any more (`moved`, asked for a sample of the
routes), how long until it has told everybody of it (`told`), and what the kernel thread has used of
a processor until then, which is what remains of it where others use the machine too. It needs root.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import Nlri
from speaker.kernel.routes import Forwarding
from speaker.kernel.thread import Kernel

CLONE_NEWNET = 0x40000000
BOTH, OTHER = 1, 2
"""Names of two ways: by both gateways, and by the second alone."""

SLICE = 2000
SAMPLE = 200
LINKS = """
    link set lo up
    link add v0 type veth peer name v1
    link set v0 up
    link set v1 up
    addr add 10.1.1.1/24 dev v0
"""


def prefixes(count: int) -> list[Nlri]:
    """Give as many prefixes, most of them /24, in no order."""
    found: dict[Nlri, None] = {}
    chance = random.Random(4)
    while len(found) < count:
        length = chance.choice((24, 24, 24, 24, 23, 22, 22, 21, 20, 19, 16))
        network = chance.randrange(11 << 24, 223 << 24) >> 32 - length << 32 - length
        found[bytes((length,)) + network.to_bytes(4, "big")[: length + 7 >> 3]] = None
    return list(found)


def via(*gateways: int, way: int = 0) -> Forwarding:
    """Lead through gateways 10.1.1.N."""
    interface = socket.if_nametoindex("v0")
    return Forwarding(hops=tuple(Hop(interface, bytes((10, 1, 1, n))) for n in gateways), way=way)


def timed(act: Callable[[], None]) -> tuple[float, float]:
    """Tell how many seconds, and CPU seconds of this process, something takes."""
    began, cpu = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - cpu


class Bed:
    """A kernel thread and the routes to give it."""

    def __init__(self, routes: list[Nlri], *, objects: bool, compat: bool = True) -> None:
        self.routes = routes
        self.kernel = Kernel(
            on_events=lambda _: None, nexthop_objects=objects, nexthop_compat=compat
        )
        self.kernel.start()

    def install(self, forwarding: Forwarding | None) -> None:
        """Have all routes installed so, in slices as the tables hand them down."""
        for start in range(0, len(self.routes), SLICE):
            self.kernel.install(Afi.IPV4, [(forwarding, self.routes[start : start + SLICE])])
        self.kernel.wait_drained(600)

    def dies(self) -> tuple[float, float, float]:
        """Let the first of two next hops die.

        Returns:
            Seconds until all routes had moved, seconds until all was told, and CPU seconds that the
            kernel thread took for it.
        """
        self.install(via(2, 3, way=BOTH))
        sample = [n for n in random.Random(7).sample(self.routes, SAMPLE) if gateway_of(n) == 2]
        told: list[float] = []
        began = time.perf_counter()
        cpu, asking = time.process_time(), time.thread_time()

        def kill() -> None:
            self.kernel.merge(Afi.IPV4, BOTH, via(3, way=OTHER))
            self.kernel.wait_drained(60)
            told.append(time.perf_counter() - began)

        killer = threading.Thread(target=kill)
        killer.start()
        while any(gateway_of(nlri) == 2 for nlri in sample):
            time.sleep(0)
        moved = time.perf_counter() - began
        killer.join()
        used = time.process_time() - cpu - (time.thread_time() - asking)
        return moved, told[0], used


def gateway_of(nlri: Nlri) -> int:
    """Ask the kernel by which gateway a packet to a prefix would go; give its last octet."""
    address = nlri[1:].ljust(4, b"\0")
    body = (
        struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 0, 0, 0, 0, 0) + struct.pack("=HH", 8, 1) + address
    )
    asker.send(struct.pack("=IHHII", 16 + len(body), 26, 1, 0, 0) + body)
    answer = asker.recv(4096)
    at = 28
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == 5:
            return answer[at + 7]
        at += length + 3 & ~3
    return 0


def rates(routes: list[Nlri], *, objects: bool) -> dict[str, tuple[float, float]]:
    """Measure what goes in, changes and goes out."""
    bed = Bed(routes, objects=objects)
    results = {
        "install": timed(lambda: bed.install(via(2))),
        "replace": timed(lambda: bed.install(via(3))),
        "withdraw": timed(lambda: bed.install(None)),
    }
    bed.kernel.stop(withdraw=True)
    return results


def deaths(routes: list[Nlri]) -> dict[str, tuple[float, float, float]]:
    """Measure the death of a next hop in both positions of the switch."""
    results = {}
    for compat in (True, False):
        bed = Bed(routes, objects=True, compat=compat)
        results[f"compat {int(compat)}"] = bed.dies()
        bed.kernel.stop(withdraw=True)
    return results


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--routes", type=int, default=500_000)
    parser.add_argument("--plain", action="store_true", help="without next-hop objects")
    parser.add_argument("--json", action="store_true")
    wishes = parser.parse_args()
    routes = prefixes(wishes.routes)
    speeds = rates(routes, objects=not wishes.plain)
    dying = {} if wishes.plain else deaths(routes)
    if wishes.json:
        print(json.dumps({"routes": len(routes), "rates": speeds, "deaths": dying}))
        return
    print(f"{len(routes)} routes, {'plain' if wishes.plain else 'naming next-hop objects'}")
    for name, (seconds, cpu) in speeds.items():
        print(f"{name:<10} {seconds:7.3f} s  {cpu:7.3f} s CPU  {len(routes) / seconds:9.0f}/s")
    for name, (moved, told, cpu) in dying.items():
        print(
            f"a next hop dies, {name}: moved {moved * 1000:.1f} ms, told {told * 1000:.1f} ms,"
            f" {cpu * 1000:.1f} ms CPU"
        )


if __name__ == "__main__":
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise SystemExit(f"a network namespace cannot be made: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "-batch", "-"], input=LINKS, text=True, check=True)
    asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    main()
