"""Labs whose links have link-local addresses alone, and those that the test chose."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from lab import RunningNode

ADDRESSES = ("fe80::1", "fe80::2")
"""The two ends of each link."""

_ADVERTISE = """
import socket, struct
to = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
to.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
to.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
to.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1%eth0", 0))
"""


def keep_only_ours(node: RunningNode) -> None:
    """Remove the link-local addresses that the kernel made, which it would come from."""
    said = node.execute(["ip", "-j", "-6", "address", "show", "scope", "link"])
    for link in json.loads(said):
        for address in filter(None, link.get("addr_info", [])):
            if address["local"] not in ADDRESSES:
                where = [f"{address['local']}/64", "dev", link["ifname"]]
                node.execute(["ip", "-6", "address", "del", *where])


def begin_again(nodes: Iterable[RunningNode]) -> None:
    """Start daemons afresh with these addresses alone.

    What comes from an address that goes meanwhile would wait long for an answer.
    """
    for node in nodes:
        node.stop()
        keep_only_ours(node)
        node.start()


def advertise_router(node: RunningNode) -> None:
    """Send one router advertisement on ``eth0`` (RFC 4861 §4.2): how unnumbered peers are found."""
    node.execute([sys.executable, "-c", _ADVERTISE])
