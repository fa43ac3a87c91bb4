"""Which capability is needed for what: the table that the manual, the doctor and refusals share.

Each row was measured (``tests/netns/test_needs.py``): what it names fails without the capability
and works with it, or works without any.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from speaker.privileges.capabilities import Capability, works_without

BEFORE_PRIVATE: Final = 1024
"""The first port that everybody may listen on, where the kernel does not say another one."""

_FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@dataclass(frozen=True, slots=True)
class Need:
    """One row of the table.

    Attributes:
        key: by which the tests and the doctor name it.
        what: that is done.
        capability: that it needs; None for none.
        unless: when it is not needed; empty for always.
        without: what happens without it.
        lasting: whether it is needed as long as the daemon runs, and not at the start alone.
    """

    key: str
    what: str
    capability: Capability | None
    unless: str = ""
    without: str = ""
    lasting: bool = True


NEEDS: Final = (
    Need(
        "routes",
        "kernel routes and next-hop objects",
        Capability.CAP_NET_ADMIN,
        "`--no-kernel`",
        "`wren run` does not start",
    ),
    Need(
        "compat",
        "`--nexthop-compat off`",
        Capability.CAP_NET_ADMIN,
        "`--nexthop-compat keep`, the default",
        "`wren run` does not start, unless the sysctl is 0 already",
    ),
    Need(
        "buffers",
        "buffers of netlink and of BFD beyond `net.core.rmem_max` and `wmem_max`",
        Capability.CAP_NET_ADMIN,
        "these are 4 MiB or more",
        "they are as large as these allow; a flood of changes costs more scans, and BFD is kept"
        " from reading for less time without loss",
    ),
    Need(
        "leftovers",
        "seeing which passwords a listening socket has that the run before has left",
        Capability.CAP_NET_ADMIN,
        "there is none, or no password has gone meanwhile",
        "a password of a range that went between two runs may shut out who is in it, until that"
        " socket is closed",
    ),
    Need(
        "port",
        "listening on port 179, or another one below `net.ipv4.ip_unprivileged_port_start`",
        Capability.CAP_NET_BIND_SERVICE,
        "`listenPort` of BGPConfiguration from 1024 on, or that sysctl is 0; or the socket is"
        " systemd's",
        "`wren run` does not start",
    ),
    Need(
        "device",
        "BFD of one hop on a link (SO_BINDTODEVICE)",
        Capability.CAP_NET_RAW,
        "Linux 5.7 or later; then it is given up",
        "these sessions stay down, and `wren bfd` says why",
    ),
    Need(
        "priority",
        "real-time priority of the BFD process",
        Capability.CAP_SYS_NICE,
        "RLIMIT_RTPRIO is 2 or more (`LimitRTPRIO=2`)",
        "BFD runs like everybody else, and the log warns; a busy machine needs longer timers",
        lasting=False,
    ),
    Need(
        "user",
        "`--user`",
        Capability.CAP_SETUID,
        "it names who starts it; CAP_SETGID goes with it, CAP_SETPCAP narrows the bounding set",
        "`wren run` does not start",
        lasting=False,
    ),
    Need("md5", "passwords (TCP MD5), also of ranges of addresses", None),
    Need("ttl", "`ttlSecurity` (TTL, least TTL, kept SYNs)", None),
    Need("dscp", "the DSCP of routing traffic (CS6)", None),
    Need("absent", "listening on an address that is not there yet (IP_FREEBIND)", None),
    Need("bfd", "the ports of BFD, 3784 and 4784", None),
    Need("tables", "reading links, addresses and routes", None),
)


def need(key: str) -> Need:
    """Give a row."""
    [found] = [row for row in NEEDS if row.key == key]
    return found


def first_free_port() -> int:
    """Tell the first port that needs no capability in this network namespace."""
    with suppress(OSError, ValueError):
        return int(_FIRST_FREE.read_text(encoding="ascii"))
    return BEFORE_PRIVATE


def may_bind_device() -> bool:
    """Find out whether a socket may be tied to a link without CAP_NET_RAW."""
    return works_without(Capability.CAP_NET_RAW, _bind_device)


def _bind_device() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _any_link())


def _any_link() -> bytes:
    """Name a link; every network namespace has one."""
    return socket.if_indextoname(min(index for index, _ in socket.if_nameindex())).encode()


def lasting(*, kernel: bool) -> frozenset[Capability]:
    """Give the capabilities that a daemon keeps.

    The port stands in the resources, which an edit may change at any time; so the right to listen
    on any goes only where nobody needs it.

    Args:
        kernel: whether it installs routes.
    """
    return frozenset(_lasting(kernel))


def _lasting(kernel: bool) -> Iterator[Capability]:
    if kernel:
        yield Capability.CAP_NET_ADMIN
    if first_free_port() > 1:
        yield Capability.CAP_NET_BIND_SERVICE
    yield from _of_links()


def of_bfd(*, kernel: bool) -> frozenset[Capability]:
    """Give the capabilities that the BFD process begins with.

    CAP_NET_ADMIN is for its buffers, and given up before a packet is read.

    Args:
        kernel: whether the daemon installs routes.
    """
    return frozenset({*_of_links(), *({Capability.CAP_NET_ADMIN} if kernel else ())})


def _of_links() -> Iterator[Capability]:
    if not may_bind_device():
        yield Capability.CAP_NET_RAW


def may_be_hurried(have: frozenset[Capability], limit: int) -> bool:
    """Tell whether the BFD process would get real-time priority.

    Args:
        have: capabilities.
        limit: RLIMIT_RTPRIO.
    """
    wanted = os.sched_get_priority_min(os.SCHED_RR) + 1
    return Capability.CAP_SYS_NICE in have or limit >= wanted
