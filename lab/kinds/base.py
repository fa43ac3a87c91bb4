"""The face that all kinds of daemon have.

`Place` is where a daemon lives: its node in the topology, its directory, and how a command is run
in its namespace. `Daemon` is the base of the kinds; it knows nothing of processes, which `lab.lab`
starts and ends.
"""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.errors import LabError
from lab.ground import search_path
from lab.topology import Family, Network, Node, Peer, Topology

Execute = Callable[[Sequence[str]], str]
"""Runs a command in a node and gives what it printed."""

Signal = Callable[[signal.Signals], None]
"""Sends a signal to the programs of a node."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon lives.

    Attributes:
        topology: of the lab.
        node: which it is.
        home: its directory: configuration, sockets, logs.
        execute: runs a command in its namespace.
        signal: sends a signal to its programs.
    """

    topology: Topology
    node: Node
    home: Path
    execute: Execute
    signal: Signal

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Its sessions."""
        return self.topology.peers(self.node.name)

    @property
    def asn(self) -> int:
        """Its AS; the topology saw to it that there is one."""
        assert self.node.asn is not None
        return self.node.asn

    @property
    def router_id(self) -> str:
        """Its BGP identifier."""
        return str(self.topology.router_id(self.node.name))


@dataclass(frozen=True, slots=True)
class Route:
    """A route as a daemon tells it.

    Attributes:
        next_hop: address, or empty for its own.
        as_path: in order; sets are flattened.
    """

    next_hop: str
    as_path: tuple[int, ...] = ()


class Daemon(ABC):
    """One node's daemon.

    Attributes:
        program: what must be there.
        package: the Debian package that has it.
        programs_kernel: whether it puts routes into the kernel.
        changes_user: whether it takes another user's place at its start, which needs root.
        covers: directories that each daemon has for itself.
    """

    program: ClassVar[str]
    package: ClassVar[str]
    programs_kernel: ClassVar[bool] = False
    changes_user: ClassVar[bool] = False
    covers: ClassVar[tuple[str, ...]] = ("/run",)

    def __init__(self, place: Place) -> None:
        self.place = place
        self.networks: list[Network] = list(place.node.networks)

    @property
    def home(self) -> Path:
        """Its directory."""
        return self.place.home

    def locate(self) -> str:
        """Find its program.

        Raises:
            LabError: it is not installed.
        """
        found = shutil.which(self.program, path=search_path())
        if found is None:
            raise LabError(f"{self.program} is missing: apt install {self.package}")
        return found

    @abstractmethod
    def configure(self) -> None:
        """Write the configuration."""

    @abstractmethod
    def commands(self) -> list[list[str]]:
        """Say which programs run, in the order in which they start; each stays in front."""

    def environment(self) -> dict[str, str]:
        """Say what its environment has besides."""
        return {}

    def started(self) -> None:
        """Do what can only be done when it runs; most kinds have everything in a file."""
        return

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it runs so far that it can be asked."""

    @abstractmethod
    def sessions(self) -> dict[str, bool]:
        """Tell of each peer's address whether the session is up; empty while it cannot answer."""

    @abstractmethod
    def routes(self, family: Family) -> dict[str, Route]:
        """Tell its best routes, by prefix."""

    def announce(self, prefix: Network) -> None:
        """Announce a prefix besides, also after the next start."""
        if prefix not in self.networks:
            self.networks.append(prefix)
            self.configure()
            self.follow(prefix)

    def withdraw(self, prefix: Network) -> None:
        """Announce a prefix no more, nor after the next start."""
        if prefix in self.networks:
            self.networks.remove(prefix)
            self.configure()
            self.follow(prefix)

    @abstractmethod
    def follow(self, prefix: Network) -> None:
        """Let the running daemon follow a prefix that came to `networks` or went from there."""

    def networks_of(self, family: Family) -> list[Network]:
        """Pick the networks of a family."""
        return [network for network in self.networks if network.version == family.version]

    def lines_of(self, peer: Peer, family: Family | None = None) -> list[str]:
        """Pick the extra lines of a session, or those that belong to one of its families.

        A line that begins with ``ipv4`` or ``ipv6`` is of that family, and loses the word.
        """
        found = []
        for line in peer.extra.splitlines():
            word, _, rest = line.strip().partition(" ")
            of = next((each for each in Family if each == word), None)
            if of is family and line.strip():
                found.append(rest if of else line.strip())
        return found

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file into its directory."""
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def ask(self, argv: Sequence[str]) -> str:
        """Run its client; empty while the daemon cannot answer."""
        try:
            return self.place.execute(argv)
        except LabError:
            return ""
