"""A running laboratory: everything that a topology describes, up and down again.

`Lab` is the one owner of what it makes. `up` writes down each thing before it makes it
(`lab.state`), so `down` removes all of it whatever happened in between: a crash, a kill, Ctrl-C.
`RunningNode` is the handle on one node: its daemon's life, its answers, commands in its namespace.

A lab outlives the process that made it; `Lab.find` takes one up again by its name.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import ground as grounds
from lab import namespaces, processes, topology_file
from lab.errors import LabError
from lab.ground import Ground
from lab.kinds import DAEMONS, Daemon, Place, Route
from lab.namespaces import Namespaces, namespace_of
from lab.probes import KernelRoute, kernel_routes, wait_until
from lab.processes import MARK, NODE_MARK, ProcessId
from lab.state import Entry, StateDirectory
from lab.topology import Family, Network, Topology

_END = 10.0
"""Seconds that a daemon has to end by itself."""

_REQUESTS = 4
"""How often it is asked to in that time."""


class RunningNode:
    """One node of a lab that is up."""

    def __init__(
        self, topology: Topology, name: str, ground: Ground, state: StateDirectory
    ) -> None:
        self.name = name
        self.node = topology.node(name)
        self.home = state.node(name)
        self._topology = topology
        self._ground = ground
        self._state = state
        self._children: list[subprocess.Popen[bytes]] = []
        kind = DAEMONS.get(self.node.kind)
        self.daemon: Daemon | None = None
        if kind is not None:
            self.daemon = kind(Place(topology, self.node, self.home, self.execute, self.signal))

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Prefix a command so that it runs in this node."""
        return self._ground.inside(namespace_of(self._topology.name, self.name), argv)

    def execute(self, argv: Sequence[str]) -> str:
        """Run a command in this node and give what it prints. Raises `LabError` if it fails."""
        return grounds.run(self.inside(argv), keep=self._state.inherited)

    @property
    def speaks(self) -> Daemon:
        """Its daemon. Raises `LabError` for a host, which has none."""
        if self.daemon is None:
            raise LabError(f"{self.name} is a host and speaks no BGP")
        return self.daemon

    def prepare(self) -> None:
        """Make its directory and write its configuration.

        Raises:
            LabError: its daemon is not installed, or cannot run without root.
        """
        self.home.mkdir(exist_ok=True)
        if self.daemon is None:
            return
        self.daemon.locate()
        if self.daemon.changes_user and not self._ground.has_users:
            raise LabError(
                f"{self.name}: {self.node.kind} changes to a user of its own, which only root"
                " can let it do: run as root"
            )
        self.daemon.configure()

    def start(self, *names: str) -> None:
        """Start its programs and wait until they answer. Raises `LabError` if they never do.

        Args:
            names: of programs, where others of the node run already.
        """
        self.launch(*names)
        self.wait_for_answer()

    def launch(self, *names: str) -> None:
        """Start its programs without waiting. Raises `LabError` if they run already."""
        if self.daemon is None:
            return
        if self._named(names):
            raise LabError(f"{self.name} runs already")
        self._reap_dead()
        for argv in self.daemon.commands():
            if not names or any(Path(word).name in names for word in argv):
                self._spawn(argv)

    def wait_for_answer(self) -> None:
        """Wait until its daemon answers. Raises `LabError` if it never does."""
        if self.daemon is None:
            return
        wait_until(self._answers, f"{self.name} answers", nodes=[self])
        self.daemon.started()

    def _answers(self) -> bool:
        if any(child.poll() is not None for child in self._children):
            said = [line.strip() for line in self.last_words(3).splitlines()]
            raise LabError(f"{self.name} ended at once: {'; '.join(filter(None, said))}")
        return self.speaks.answers()

    @property
    def _marks(self) -> Mapping[str, str]:
        return {MARK: str(self._state.path), NODE_MARK: self.name}

    def _spawn(self, argv: list[str]) -> None:
        program = Path(argv[0]).name
        self._state.record(Entry("process", program, self.name))
        # Every daemon has a /run of its own: several of a kind would share files there.
        wrapped, needs = grounds.privately(argv, self._state.path, self.speaks.covers)
        environment = {
            **os.environ,
            **self.speaks.environment(),
            **self._marks,
            **needs,
            "PATH": grounds.search_path(),
        }
        with (self.home / f"{self.name}.log").open("ab") as log:
            child = subprocess.Popen(
                self.inside(wrapped),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self._children.append(child)
        process = processes.identify(child.pid)
        if process is not None:
            entry = Entry("process", program, self.name, process.pid, process.start)
            self._state.record(entry)

    def programs(self) -> list[ProcessId]:
        """Give the programs that were started here and still run, without their children."""
        started = [entry.process for entry in self._state.processes() if entry.node == self.name]
        return [process for process in started if processes.is_alive(process)]

    def _named(self, names: Sequence[str]) -> list[ProcessId]:
        """Give the programs of these names that run; of no names all."""
        running = self.programs()
        return [each for each in running if not names or processes.name_of(each) in names]

    def signal(self, number: signal.Signals, *, children: bool = False) -> None:
        """Send a signal to its programs, and, if asked, to their children."""
        chosen = processes.find(self._marks) if children else self.programs()
        for process in chosen:
            processes.send(process, number)

    def stop(self) -> None:
        """End its programs as an operator would. Raises `LabError` if they do not end.

        A program may miss one request: ExaBGP drops a signal while it handles another one.
        """
        running = self.programs()
        for _ in range(_REQUESTS):
            for process in reversed(running):
                processes.send(process, signal.SIGTERM)
            running = processes.wait_gone(running, _END / _REQUESTS)
            if not running:
                self._reap()
                return
        raise LabError(f"{self.name} does not end within {_END:g} s: kill it")

    def kill(self, *names: str) -> None:
        """Kill its programs without a warning, children included.

        Args:
            names: of programs, where others of the node go on: ``bgpd`` without ``zebra``.
        """
        if not names:
            processes.end_all(self._marks, recorded=self.programs())
            self._reap()
            return
        chosen = self._named(names)
        for process in chosen:
            processes.send(process, signal.SIGKILL)
        processes.wait_gone(chosen, _END)
        self._reap_dead()

    def _reap(self) -> None:
        for child in self._children:
            child.wait()
        self._children.clear()

    def _reap_dead(self) -> None:
        for child in self._children:
            # Dead to us, it may have threads that are about to be.
            if processes.identify(child.pid) is None:
                child.wait()
        self._children = [child for child in self._children if child.poll() is None]

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def sessions(self) -> dict[str, bool]:
        """Tell of each peer's address whether the session is up; empty if nothing answers."""
        daemon = self.speaks
        return daemon.sessions() if self.programs() else {}

    def routes(self, family: Family = Family.IPV4) -> dict[str, Route]:
        """Tell its daemon's best routes; empty if nothing answers."""
        daemon = self.speaks
        return daemon.routes(family) if self.programs() else {}

    def kernel_routes(self, family: Family = Family.IPV4) -> dict[str, KernelRoute]:
        """Tell the routes of its kernel's main table."""
        return kernel_routes(self, family)

    def announce(self, prefix: Network) -> None:
        """Have its daemon announce a prefix besides."""
        self.speaks.announce(prefix)

    def withdraw(self, prefix: Network) -> None:
        """Have its daemon announce a prefix no more."""
        self.speaks.withdraw(prefix)

    def is_up_with(self, *addresses: str) -> bool:
        """Tell whether the sessions to these addresses, or all of them, are up."""
        sessions = self.sessions()
        wanted = addresses or tuple(sessions)
        return bool(wanted) and all(sessions.get(address, False) for address in wanted)

    def last_words(self, lines: int = 15) -> str:
        """Give the end of its log."""
        try:
            text = (self.home / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


class Lab:
    """A laboratory.

    Args:
        topology: what it is made of.
        root: directory of the labs' state; by default the system's or the user's.
    """

    def __init__(self, topology: Topology, root: Path | None = None) -> None:
        self.topology = topology
        self._state = StateDirectory(topology.name, root)
        self._ground = Ground()
        self.nodes: dict[str, RunningNode] = {}

    @classmethod
    def find(cls, name: str, root: Path | None = None) -> Lab:
        """Take up a lab that is up already.

        Raises:
            LabError: there is none of that name.
        """
        state = StateDirectory(name, root)
        if not state.exists:
            raise LabError(f"lab {name} is not up: wren lab up FILE")
        if not state.topology.exists():
            raise LabError(f"lab {name} was left behind half made: wren lab down {name}")
        found = cls(topology_file.load(state.topology), root)
        ground = grounds.find(state)
        if not ground.is_there:
            raise LabError(f"lab {name} has lost its namespaces: wren lab down {name}")
        found._enter(ground)
        return found

    def _enter(self, ground: Ground) -> None:
        self._ground = ground
        self.nodes = {
            node.name: RunningNode(self.topology, node.name, ground, self._state)
            for node in self.topology.nodes
        }

    def node(self, name: str) -> RunningNode:
        """Give the handle on a node. Raises `LabError` if there is none."""
        self.topology.node(name)
        return self.nodes[name]

    def up(self) -> None:
        """Make everything; what was made is removed again if anything fails.

        Raises:
            LabError: something cannot be had; the text says what to do.
        """
        self._state.create()
        try:
            with self._state.locked():
                self._state.keep(topology_file.dumps(self.topology))
                self._enter(grounds.prepare(self._state))
                for node in self.nodes.values():
                    node.prepare()
                Namespaces(self.topology, self._ground, self._state).make()
                for node in self.nodes.values():
                    node.launch()
                for node in self.nodes.values():
                    node.wait_for_answer()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove everything; nothing is left behind."""
        remove(self._state)
        for node in self.nodes.values():
            node._reap()
        self.nodes = {}

    def wait_established(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until every session of these nodes, or of all, is up."""
        chosen = [self.nodes[name] for name in names] or [
            node for node in self.nodes.values() if node.daemon is not None
        ]
        for node in chosen:
            wait_until(
                node.is_up_with,
                f"all sessions of {node.name} are up",
                seconds=seconds,
                nodes=list(self.nodes.values()),
            )

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()


def remove(state: StateDirectory) -> None:
    """Remove whatever the journal of a lab names: processes, namespaces, files."""
    with state.locked() as there:
        if not there:
            return
        ground = grounds.find(state)
        names = [entry.name for entry in state.entries() if entry.what == "namespace"]
        paths = [ground.path_of(name) for name in names]
        recorded = [entry.process for entry in state.processes()]
        # A holder carries the mark as well, and with it goes everything that was made there.
        processes.end_all({MARK: str(state.path)}, paths, recorded)
        if ground.holder is None:
            namespaces.remove(ground, state)
        else:
            grounds.release(ground)
        state.remove()
