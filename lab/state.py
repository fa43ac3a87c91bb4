"""The state directory: the one owner of everything a laboratory makes.

``<root>/<lab>/`` holds the topology, the journal, and a directory for each node with its
configuration, sockets and logs. An `Entry` is written to the journal *before* the thing it names
is made, in one write, so that whoever comes after a crash knows all that may exist. The directory
is removed last.

Whoever builds or tears down holds the lock, which is an flock on the directory. Helper programs
inherit it: if the builder is killed, the lock is free only when its last helper has ended, and
nothing can appear behind the back of the one who cleans up.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.processes import ProcessId

SYSTEM_ROOT = Path("/run/wren-lab")
_LOCK_TIMEOUT = 15.0
_LOCK_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    Args:
        what: ``holder``, ``namespace``, ``interface`` or ``process``.
        name: the thing's name; for a process, the program's.
        node: the node it belongs to.
        pid: of a process that was started; 0 announces that one is about to be.
        start: the start time that belongs to the pid.
    """

    what: str
    name: str
    node: str = ""
    pid: int = 0
    start: int = 0

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.pid, self.start)


class StateDirectory:
    """The files of one lab. Making the object touches nothing."""

    def __init__(self, lab: str, root: Path | None = None) -> None:
        self.lab = lab
        self.root = root or default_root()
        self.path = self.root / lab
        # With a dot, which no node's name has: their directories stand beside.
        self.journal = self.path / "journal.jsonl"
        self.topology = self.path / "topology.yaml"
        self._lock: int | None = None

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def inherited(self) -> tuple[int, ...]:
        """Descriptors that helper programs must inherit while something is built."""
        return () if self._lock is None else (self._lock,)

    def create(self) -> None:
        """Make the directory. Raises `LabError` if the lab exists or nobody may write here."""
        try:
            self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o755)
        except OSError as error:
            if self.exists:
                raise LabError(
                    f"lab {self.lab} is up, or was left behind: wren lab down {self.lab}"
                ) from None
            raise LabError(
                f"cannot write {self.path}: {error.strerror}; give a directory that you own"
                " in XDG_RUNTIME_DIR"
            ) from error

    def node(self, name: str) -> Path:
        """Name a node's directory."""
        return self.path / name

    def keep(self, topology: str) -> None:
        """Write the topology, whole or not at all."""
        fresh = self.path / ".topology.yaml"
        fresh.write_text(topology, encoding="utf-8")
        fresh.rename(self.topology)

    def record(self, entry: Entry) -> None:
        """Append to the journal in one write. Raises `LabError` if there is no room."""
        line = json.dumps(asdict(entry)) + "\n"
        descriptor = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, line.encode())
        except OSError as error:
            raise LabError(f"cannot write {self.journal}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if written < len(line.encode()):
            raise LabError(f"cannot write {self.journal}: no space left on device")

    def entries(self) -> list[Entry]:
        """Read the journal; a lab that has none yet has made nothing.

        A last line without its end announces what was never made.
        """
        try:
            lines = self.journal.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        return [Entry(**json.loads(line)) for line in lines[:-1]]

    def processes(self) -> list[Entry]:
        """Read which processes were started, without the holder."""
        return [entry for entry in self.entries() if entry.what == "process" and entry.pid]

    def remove(self) -> None:
        """Remove the directory with all its files."""
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock. Yields False if the lab disappeared meanwhile.

        Raises:
            LabError: somebody else keeps building or tearing down.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            yield False
            return
        try:
            self._wait_for(descriptor)
            self._lock = descriptor
            yield _same_file(descriptor, self.path)
        finally:
            self._lock = None
            os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"lab {self.lab} is being brought up or down by another process;"
                        " end that one first"
                    ) from None
                time.sleep(_LOCK_POLL)
            else:
                return


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def default_root() -> Path:
    """Choose where labs are kept: /run for root, the user's runtime directory for others."""
    if os.access("/run", os.W_OK):
        return SYSTEM_ROOT
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "wren-lab"
    return _private_temporary()


def _private_temporary() -> Path:
    root = Path(f"/tmp/wren-lab-{os.getuid()}")
    root.mkdir(mode=0o700, exist_ok=True)
    status = root.lstat()
    # Anybody may write in /tmp: a directory that somebody else put there would be his to change.
    if status.st_uid != os.getuid() or root.is_symlink():
        raise LabError(f"{root} belongs to somebody else; set XDG_RUNTIME_DIR")
    return root


def labs(root: Path | None = None) -> list[str]:
    """Name the labs that are up or were left behind."""
    try:
        return sorted(path.name for path in (root or default_root()).iterdir() if path.is_dir())
    except FileNotFoundError:
        return []
