"""The bed of one run: three namespaces in a row, the daemon in the middle, and nothing left after.

Senders sit on 10.1.0.0/16 and fd00:1::/64, receivers on 10.2.0.0/16 and fd00:2::/64; the daemon has
the first address of each. All addresses live in namespaces that the bed makes and removes, so the
host's own network is not touched. Only processes that it has started are ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from benchmarks.peers import processes
from benchmarks.peers.children import Child
from benchmarks.peers.daemons import Daemon, Topology, kind_of
from benchmarks.peers.session import PORT, Line

SENDERS, RECEIVERS = 1, 2
"""The two sides."""

STARTUP = 60.0
"""Seconds that a daemon may take until it listens."""


class DaemonError(Exception):
    """The daemon did not do what it was measured for; the text ends with the last of its log."""


def address(side: int, index: int, family: int = 4) -> str:
    """Give the address of one peer."""
    if family == 6:
        return f"fd00:{side}::1:{index + 1:x}"
    return f"10.{side}.{1 + index // 200}.{1 + index % 200}"


def daemon_address(side: int, family: int = 4) -> str:
    """Give the daemon's address on one side."""
    return f"fd00:{side}::1" if family == 6 else f"10.{side}.0.1"


class Bed:
    """See the head of the module; leave it by `close`."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wren-bench-run-"))
        self.directory.chmod(0o755)
        self.children: list[Child] = []
        self.programs: list[subprocess.Popen[bytes]] = []
        self.pids: list[int] = []
        self.scanned = 0.0
        tag = f"wb{os.getpid()}"
        self.middle = f"{tag}d"
        self.sides = {SENDERS: f"{tag}s", RECEIVERS: f"{tag}r"}
        self._namespaces: list[str] = []
        self._log: BinaryIO | None = None

    def lay(self, senders: int, receivers: int) -> None:
        """Make namespaces, links and addresses."""
        for name in (self.middle, *self.sides.values()):
            subprocess.run(["ip", "netns", "add", name], check=True)
            self._namespaces.append(name)
            _batch(name, ["link set lo up"])
        for side, peers in ((SENDERS, senders), (RECEIVERS, receivers)):
            here, there = f"v{side}", f"v{side - 1}"
            far = self.sides[side]
            _batch(
                self.middle,
                [
                    f"link add {there} type veth peer name {here} netns {far}",
                    f"addr add {daemon_address(side)}/16 dev {there}",
                    f"addr add {daemon_address(side, 6)}/64 dev {there} nodad",
                    f"link set {there} up",
                ],
            )
            lines = []
            for index in range(max(1, peers)):
                lines.append(f"addr add {address(side, index)}/16 dev {here}")
                lines.append(f"addr add {address(side, index, 6)}/64 dev {here} nodad")
            _batch(far, [*lines, f"link set {here} up"])

    def start(self, name: str, topology: Topology) -> Daemon:
        """Start the daemon, and wait until it listens.

        Raises:
            DaemonError: it ends, or does not listen.
        """
        daemon = kind_of(name)(topology, self.directory)
        self._log = (self.directory / "daemon.log").open("wb")
        for command in daemon.commands():
            self.programs.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", self.middle, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            time.sleep(0.3)
        end = time.monotonic() + STARTUP
        while time.monotonic() < end:
            self.scan()
            self.must_live()
            if self.sockets()[1]:
                return daemon
            time.sleep(0.1)
        raise DaemonError(f"it does not listen on port {PORT}: {self.log_tail()}")

    def must_live(self) -> None:
        """Make sure that the daemon runs.

        Raises:
            DaemonError: it has ended.
        """
        if any(program.poll() is not None for program in self.programs):
            raise DaemonError(f"it has ended: {self.log_tail()}")

    def child(self, side: int, lines: list[Line], **facts: object) -> Child:
        """Start the session ends of one side."""
        order = self.directory / f"side{side}.json"
        child = Child(self.sides[side], lines, order, **facts)
        self.children.append(child)
        return child

    def log_tail(self) -> str:
        """Give the end of the daemon's log."""
        return (self.directory / "daemon.log").read_text(errors="replace")[-1500:]

    @property
    def main_pid(self) -> int:
        """The process that speaks BGP, or has started those that do."""
        return self.programs[-1].pid

    def sockets(self) -> tuple[int, bool]:
        """Tell what lies unread in the daemon's connections, and whether it listens."""
        return processes.sockets(self.main_pid, PORT)

    def scan(self) -> None:
        """See which processes the daemon has now."""
        self.pids = processes.descendants(program.pid for program in self.programs)
        self.scanned = time.monotonic()

    def processor_time(self) -> float:
        """Tell the seconds that the daemon has used."""
        return sum(map(processes.processor_time, self.pids))

    def own_time(self) -> float:
        """Tell the seconds that the harness has used."""
        mine = os.times()
        ends = sum(processes.processor_time(child.process.pid) for child in self.children)
        return ends + mine.user + mine.system

    def peak_memory(self) -> float:
        """Tell the most megabytes that the daemon has had."""
        return round(sum(map(processes.peak_memory, self.pids)), 1)

    def memory(self) -> float:
        """Tell the megabytes that the daemon has now."""
        return round(sum(map(processes.memory, self.pids)), 1)

    def forget_peak(self) -> None:
        """Have the most memory counted from now on."""
        for pid in self.pids:
            processes.forget_peak(pid)

    def close(self) -> None:
        """End everything and leave nothing."""
        self._stop_programs()
        for child in self.children:
            child.stop()
        self.children.clear()
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        self._namespaces.clear()
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _stop_programs(self) -> None:
        family = processes.descendants(program.pid for program in self.programs)
        for program in self.programs:
            program.terminate()
        end = time.monotonic() + 8
        while time.monotonic() < end and any(p.poll() is None for p in self.programs):
            time.sleep(0.05)
        left = family if self.programs else []
        for pid in left:
            # Not the number of a process that was waited for: that one may be another's by now.
            if all(program.pid != pid or program.returncode is None for program in self.programs):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for program in self.programs:
            program.wait()
        self.programs.clear()


def _batch(namespace: str, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input=text.encode(), check=True)
