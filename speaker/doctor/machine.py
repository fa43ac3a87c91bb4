"""The narrow door to the machine: everything that the examination reads and the resources are not.

Read-only. A route is looked up by connecting a UDP socket, which sends nothing.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.bfd.door import caller_of
from speaker.errors import KernelError
from speaker.kernel.messages import RouteReader
from speaker.kernel.monitor import Neighbourhood
from speaker.kernel.netlink import DumpSocket
from speaker.kernel.routes import Forwardings
from speaker.net.tcp_ao import lacking
from speaker.privileges import needs
from speaker.privileges.capabilities import Capability, held
from speaker.privileges.users import User

_LISTEN = "0A"
_UNCONNECTED = "07"
_PATIENCE = 2.0

_READABLE = """
import os, sys
for path in sys.argv[1:]:
    if not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
        print(path)
"""


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process.

    Attributes:
        pid: its number; 0 where nobody knows.
        name: what it calls itself; empty where nobody knows.
    """

    pid: int = 0
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})" if self.pid else "a process we may not see"


@dataclass(frozen=True, slots=True)
class Held:
    """Where somebody listens."""

    address: str
    holder: Process


@dataclass(frozen=True, slots=True)
class KernelView:
    """What the kernel has.

    Attributes:
        interfaces: names of all links, and whether each is up.
        addresses: all of the node, canonical text.
        own: prefixes of the routes with our protocol number in our table.
        protocols: how many routes of that table each protocol number has.
    """

    interfaces: dict[str, bool] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    own: dict[Afi, set[Nlri]] = field(default_factory=dict)
    protocols: Counter[int] = field(default_factory=Counter)


class Machine(Protocol):
    """What is asked of a machine."""

    def now(self) -> float:
        """Wall-clock time, seconds since the epoch."""

    def capabilities(self) -> frozenset[Capability]:
        """Those of this process that matter here."""

    def may_bind_device(self) -> bool:
        """Whether a socket may be tied to a link without CAP_NET_RAW."""

    def priority_limit(self) -> int:
        """The real-time priority that needs no capability (RLIMIT_RTPRIO)."""

    def unreadable(self, user: User, paths: Sequence[Path]) -> list[Path]:
        """Those of some paths that a user cannot read, and the interpreter if it cannot run it.

        Raises:
            PermissionError: this process may not become that user to find out.
        """

    def sysctl(self, name: str) -> str | None:
        """The value of a setting, None where there is none; dots between its words."""

    def lacks_tcp_ao(self) -> str:
        """Why the kernel has no TCP-AO, and what to do; empty if it has."""

    def is_there(self, path: str) -> bool:
        """Whether something has this path."""

    def may_write(self, path: Path) -> bool:
        """Whether files can be made in a directory, or in the one it would be made in."""

    def held(self, port: int, *, udp: bool = False) -> list[Held]:
        """Who listens on a TCP port, or on one of UDP, and where."""

    def listener(self, path: Path) -> int | None:
        """The process that listens at a Unix socket; None where none does."""

    def processes(self) -> list[Process]:
        """The processes of this network namespace, as far as that can be seen."""

    def kernel(self, table: int, protocol: int) -> KernelView:
        """What the kernel has.

        Raises:
            KernelError: it does not say.
        """

    def has_route(self, address: str) -> bool:
        """Whether a packet to an address would leave this machine."""


class ThisMachine:
    """The machine that this process runs on, in its network namespace."""

    def now(self) -> float:
        """See `Machine`."""
        return time.time()

    def capabilities(self) -> frozenset[Capability]:
        """See `Machine`."""
        return held()

    def may_bind_device(self) -> bool:
        """See `Machine`."""
        return needs.may_bind_device()

    def priority_limit(self) -> int:
        """See `Machine`."""
        limit, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
        return limit if limit != resource.RLIM_INFINITY else os.sched_get_priority_max(os.SCHED_RR)

    def unreadable(self, user: User, paths: Sequence[Path]) -> list[Path]:
        """See `Machine`."""
        become: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
        subprocess.run(["/bin/true"], check=True, **become)
        argv = [sys.executable, "-I", "-S", "-c", _READABLE, *map(str, paths)]
        try:
            done = subprocess.run(argv, check=True, capture_output=True, text=True, **become)
        except (PermissionError, subprocess.CalledProcessError):
            return [Path(sys.executable)]
        return [Path(line) for line in done.stdout.splitlines()]

    def sysctl(self, name: str) -> str | None:
        """See `Machine`."""
        try:
            return Path("/proc/sys", *name.split(".")).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None

    def lacks_tcp_ao(self) -> str:
        """See `Machine`."""
        return lacking()

    def is_there(self, path: str) -> bool:
        """See `Machine`."""
        return os.path.exists(path)

    def may_write(self, path: Path) -> bool:
        """See `Machine`."""
        place = path.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        return place.is_dir() and os.access(place, os.W_OK | os.X_OK)

    def held(self, port: int, *, udp: bool = False) -> list[Held]:
        """See `Machine`."""
        found = dict(_listening(port, udp=udp))
        holders = _holders(set(found)) if found else {}
        return [Held(address, holders.get(inode, Process())) for inode, address in found.items()]

    def listener(self, path: Path) -> int | None:
        """See `Machine`."""
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(_PATIENCE)
            try:
                caller.connect(str(path))
            except OSError:
                return None
            return caller_of(caller)[0]

    def processes(self) -> list[Process]:
        """See `Machine`."""
        return sorted(process for process in _processes() if _may_be_near(process.pid))

    def kernel(self, table: int, protocol: int) -> KernelView:
        """See `Machine`."""
        try:
            dumps = DumpSocket()
        except OSError as error:
            raise KernelError(f"netlink cannot be used: {error}") from None
        try:
            return _read(dumps, table, protocol)
        except OSError as error:
            raise KernelError(f"the kernel does not show its tables: {error}") from None
        finally:
            dumps.close()

    def has_route(self, address: str) -> bool:
        """See `Machine`."""
        plain, _, zone = address.partition("%")
        family = socket.AF_INET6 if ":" in plain else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                if family == socket.AF_INET6:
                    probe.connect((plain, 179, 0, socket.if_nametoindex(zone) if zone else 0))
                else:
                    probe.connect((plain, 179))
        except OSError:
            return False
        return True


def _listening(port: int, *, udp: bool) -> Iterator[tuple[int, str]]:
    """Give inode and address of each socket that listens on a port."""
    state = _UNCONNECTED if udp else _LISTEN
    for name in ("udp", "udp6") if udp else ("tcp", "tcp6"):
        try:
            lines = Path("/proc/thread-self/net", name).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines[1:]:
            words = line.split()
            address, _, number = words[1].partition(":")
            if words[3] == state and int(number, 16) == port:
                yield int(words[9]), _address(address)


def _address(words: str) -> str:
    """Read an address as the kernel writes it: 32-bit words in the machine's own order."""
    data = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(words), 8)
    )
    return str(ip_address(data))


def _processes() -> Iterator[Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                name = Path("/proc", entry, "comm").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            yield Process(int(entry), name.strip())


def _may_be_near(pid: int) -> bool:
    """Tell whether a process is in our network namespace, or may be."""
    try:
        theirs = os.stat(f"/proc/{pid}/ns/net")
    except PermissionError:
        return True
    except OSError:
        # It has ended meanwhile.
        return False
    ours = os.stat("/proc/thread-self/ns/net")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _holders(inodes: set[int]) -> dict[int, Process]:
    """Find the processes that have sockets open, as far as we may look."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, Process] = {}
    for process in _processes():
        for target in _open_files(process.pid):
            if target in wanted:
                found.setdefault(wanted[target], process)
    return found


def _open_files(pid: int) -> Iterator[str]:
    place = f"/proc/{pid}/fd"
    try:
        entries = os.listdir(place)
    except OSError:
        return
    for entry in entries:
        try:
            yield os.readlink(f"{place}/{entry}")
        except OSError:
            continue


def _read(dumps: DumpSocket, table: int, protocol: int) -> KernelView:
    around = Neighbourhood()
    around.replace_all(dumps.links(), dumps.addresses())
    reader = RouteReader(Forwardings())
    own: dict[Afi, set[Nlri]] = {}
    protocols: Counter[int] = Counter()
    for afi in (Afi.IPV4, Afi.IPV6):
        mine = own[afi] = set()
        for data, message in dumps.routes(afi, table):
            route = reader.read(data, message.start, message.end)
            if route is None or route[1].table != table:
                continue
            protocols[route[1].protocol] += 1
            if route[1].protocol == protocol:
                mine.add(route[0])
    return KernelView(
        {link.name: link.is_up for link in around.links.values()},
        frozenset(_texts(around)),
        own,
        protocols,
    )


def _texts(around: Neighbourhood) -> Iterable[str]:
    for each in around.addresses:
        yield str(ip_address(each.address))
