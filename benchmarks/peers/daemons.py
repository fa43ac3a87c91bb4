"""How each daemon is configured, started and asked: external sessions, no policy, take all.

A `Daemon` gets a `Topology` and says which programs to run in the foreground. `DAEMONS` names those
that are known; any other command line can be measured as `Other`, which finds the topology as JSON.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import dut
from benchmarks.peers.answers import ask_bird, ask_wren

ROOT = Path(__file__).resolve().parents[2]
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
# FRR and OpenBGPD both call theirs bgpd.
_FRR = Path("/usr/lib/frr")


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A session as the daemon sees it.

    Attributes:
        name: of the peer.
        addr: its address.
        asn: its AS.
        local: the daemon's address.
        role: ``send`` or ``recv``.
    """

    name: str
    addr: str
    asn: int
    local: str
    role: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What the daemon is to do.

    Attributes:
        local_as: its AS.
        router_id: its BGP Identifier.
        family: 4 or 6.
        fib: whether routes go into the kernel's main table.
        listen: its addresses.
        neighbors: its peers, all of which connect to it.
        filters: which filters all of them have, that let everything pass.
    """

    local_as: int
    router_id: str
    family: int
    fib: bool
    listen: tuple[str, ...]
    neighbors: tuple[Neighbor, ...]
    filters: str = "none"


class MissingError(Exception):
    """A program is not installed."""


def find(name: str) -> str:
    """Find a program.

    Raises:
        MissingError: there is none.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SBIN))
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingError(f"{name} is not installed")
    return found


class Daemon:
    """A daemon of one kind.

    Args:
        topology: what it is to do.
        directory: for its files.
    """

    has_kernel = True
    """Whether it puts routes into the kernel."""

    has_filters = False
    """Whether `refuse`, and ``filters`` of its topology, do anything."""

    question: Callable[[Path], None] | None = None
    """Asks a daemon with such a directory for its state; None where it is not asked here."""

    def __init__(self, topology: Topology, directory: Path) -> None:
        self.topology = topology
        self.directory = directory

    def commands(self) -> list[list[str]]:
        """Write the configuration; give the programs to start, in order."""
        raise NotImplementedError

    def refuse(self, refused: Mapping[str, tuple[str, ...]]) -> None:
        """Have a running daemon refuse blocks of addresses from or to neighbors of a role.

        Args:
            refused: blocks by role, ``send`` or ``recv``; a role that is missing has no filter.
        """
        raise NotImplementedError

    @classmethod
    def version_command(cls) -> list[str]:
        """Give the command that tells the version."""
        raise NotImplementedError

    @classmethod
    def version(cls) -> str:
        """Ask for the version; empty where there is nothing to ask."""
        command = cls.version_command()
        if not command:
            return ""
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        return found[0] if found else "unknown"

    def _write(self, name: str, lines: Iterable[str]) -> str:
        path = self.directory / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)


class Bird(Daemon):
    """BIRD 2."""

    question = staticmethod(ask_bird)

    def commands(self) -> list[list[str]]:
        topology, here = self.topology, self.directory
        channel = f"ipv{topology.family}"
        lines = [
            "log stderr { warning, error, fatal, bug };",
            f"router id {topology.router_id};",
            "protocol device { scan time 60; }",
        ]
        lines += [
            f"protocol bgp {each.name} {{ local {each.local} as {topology.local_as};"
            f" neighbor {each.addr} as {each.asn}; passive;"
            f" {channel} {{ import all; export all; }}; }}"
            for each in topology.neighbors
        ]
        if topology.fib:
            lines.append(
                f"protocol kernel {{ scan time 3600; {channel} {{ import none; export all; }}; }}"
            )
        config = self._write("bird.conf", lines)
        options = ["-s", str(here / "bird.ctl"), "-P", str(here / "bird.pid")]
        return [[find("bird"), "-f", "-c", config, *options]]

    @classmethod
    def version_command(cls) -> list[str]:
        return [find("bird"), "--version"]


class Frr(Daemon):
    """FRRouting: zebra and bgpd."""

    def commands(self) -> list[list[str]]:
        topology, here = self.topology, str(self.directory)
        lines = [
            "frr defaults traditional",
            "hostname dut",
            f"router bgp {topology.local_as}",
            f" bgp router-id {topology.router_id}",
            " no bgp ebgp-requires-policy",
            " no bgp network import-check",
            " no bgp default ipv4-unicast",
        ]
        for each in topology.neighbors:
            lines.append(f" neighbor {each.addr} remote-as {each.asn}")
            lines.append(f" neighbor {each.addr} passive")
        lines.append(f" address-family ipv{topology.family} unicast")
        lines += [f"  neighbor {each.addr} activate" for each in topology.neighbors]
        lines += [" exit-address-family", "!"]
        # Its programs give up root.
        self.directory.chmod(0o777)
        common = ["-z", f"{here}/zserv.api", "--vty_socket", here, "-P", "0", "--log", "stdout"]
        zebra = self._program("zebra", ["hostname dut"], common)
        bgpd = self._program("bgpd", lines, common)
        return [zebra, bgpd if topology.fib else [*bgpd, "--no_kernel"]]

    def _program(self, name: str, config: Iterable[str], common: Iterable[str]) -> list[str]:
        written = self._write(f"{name}.conf", config)
        return [_frr(name), "-f", written, "-i", str(self.directory / f"{name}.pid"), *common]

    @classmethod
    def version_command(cls) -> list[str]:
        return [_frr("bgpd"), "--version"]


def _frr(name: str) -> str:
    program = _FRR / name
    if not program.exists():
        raise MissingError(f"FRR's {name} is not installed")
    return str(program)


class Gobgp(Daemon):
    """GoBGP, which needs another daemon for the kernel."""

    has_kernel = False

    def commands(self) -> list[list[str]]:
        topology = self.topology
        addresses = ", ".join(f'"{each}"' for each in topology.listen)
        lines = [
            "[global.config]",
            f"  as = {topology.local_as}",
            f'  router-id = "{topology.router_id}"',
            "  port = 179",
            f"  local-address-list = [{addresses}]",
        ]
        for each in topology.neighbors:
            lines += [
                "[[neighbors]]",
                "  [neighbors.config]",
                f'    neighbor-address = "{each.addr}"',
                f"    peer-as = {each.asn}",
                "  [neighbors.transport.config]",
                "    passive-mode = true",
                f'    local-address = "{each.local}"',
                "  [[neighbors.afi-safis]]",
                "    [neighbors.afi-safis.config]",
                f'      afi-safi-name = "ipv{topology.family}-unicast"',
            ]
        config = self._write("gobgpd.conf", lines)
        options = ["--api-hosts", "127.0.0.1:50051", "--pprof-disable", "-l", "error"]
        return [[find("gobgpd"), "-f", config, "-t", "toml", *options]]

    @classmethod
    def version_command(cls) -> list[str]:
        return [find("gobgpd"), "--version"]


class Openbgpd(Daemon):
    """OpenBGPD; its port to Linux has no kernel routing."""

    has_kernel = False

    def commands(self) -> list[list[str]]:
        topology = self.topology
        lines = [
            f"AS {topology.local_as}",
            f"router-id {topology.router_id}",
            *(f"listen on {each}" for each in topology.listen),
            "fib-update no",
            f'socket "{self.directory}/ctl"',
        ]
        for each in topology.neighbors:
            lines += [
                f"neighbor {each.addr} {{",
                f" remote-as {each.asn}",
                " passive",
                f" announce IPv{topology.family} unicast",
                " announce IPv4 none" if topology.family == 6 else "",
                "}",
            ]
        lines += ["allow from any", "allow to any"]
        # Its chroot, which a service unit would make.
        home = Path(pwd.getpwnam("_openbgpd").pw_dir)
        home.mkdir(mode=0o755, exist_ok=True)
        config = self._write("bgpd.conf", lines)
        Path(config).chmod(0o600)
        return [[self._program(), "-d", "-f", config]]

    @staticmethod
    def _program() -> str:
        find("bgpctl")
        return find("bgpd")

    @classmethod
    def version_command(cls) -> list[str]:
        return [cls._program(), "-V"]


class Other(Daemon):
    """Any command line: ``{config}`` in it becomes a file that holds the topology as JSON.

    It stays in the foreground, listens on port 179, and SIGTERM ends it.
    """

    command = ""

    def commands(self) -> list[list[str]]:
        config = self._write("dut.json", [json.dumps(asdict(self.topology), indent=1)])
        return [[word.replace("{config}", config) for word in shlex.split(self.command)]]

    @classmethod
    def version_command(cls) -> list[str]:
        return []


class Wren(Other):
    """Wren, as `benchmarks.dut` configures it."""

    command = f"{sys.executable} {ROOT / 'benchmarks' / 'dut.py'} {{config}}"
    has_filters = True
    question = staticmethod(ask_wren)

    def refuse(self, refused: Mapping[str, tuple[str, ...]]) -> None:
        dut.write(asdict(self.topology) | {"refused": dict(refused)}, self.directory / "wren")

    @classmethod
    def version_command(cls) -> list[str]:
        return [sys.executable, "-m", "speaker", "--version"]


DAEMONS: dict[str, type[Daemon]] = {
    "wren": Wren,
    "bird": Bird,
    "frr": Frr,
    "openbgpd": Openbgpd,
    "gobgp": Gobgp,
}


def kind_of(name: str) -> type[Daemon]:
    """Give the kind of a daemon by its name, or by the command line of another one."""
    if name in DAEMONS:
        return DAEMONS[name]
    return type("Other", (Other,), {"command": name})
