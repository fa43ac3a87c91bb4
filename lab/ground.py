"""The ground a laboratory stands on: the host for root, a private user namespace for others.

Everything a lab does to the machine is a command. A `Ground` says how the command must be
prefixed so that it may do it. For root the prefix is empty. Without privileges a *holder* process
lives in a user, mount and network namespace of its own, in which its user is root and has a private
``/run``; the prefix enters it by nsenter. When the holder and the lab's other processes end, the
kernel removes everything that was made there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import processes
from lab.errors import LabError
from lab.processes import MARK, ProcessId
from lab.state import Entry, StateDirectory

_NAMES = Path("/run/netns")
_CAPABILITIES = 1 << 12 | 1 << 21  # CAP_NET_ADMIN and CAP_SYS_ADMIN
_COMMAND_TIMEOUT = 60.0

# Covers directories by empty ones that show only the lab's own directory. The latter may itself
# lie under one of them, so it is held open meanwhile.
_PRIVATELY = """\
set -e
exec 9<"$LAB_KEEPS"
for covered in $LAB_COVERS; do mount -t tmpfs -o mode=1777 tmpfs "$covered"; done
mkdir -p /run/netns "$LAB_KEEPS"
mount --no-canonicalize --bind /proc/self/fd/9 "$LAB_KEEPS"
exec 9<&-
"""
_HOLD = _PRIVATELY + "ip link set lo up\necho ready\nexec sleep infinity >/dev/null 2>&1\n"

# linux/nsfs.h: which user namespace owns this namespace?
_NS_GET_USERNS = 0xB701


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the commands of a lab run; `holder` is None on the host itself."""

    holder: ProcessId | None = None

    @property
    def is_there(self) -> bool:
        """Tell whether commands can run here still."""
        return self.holder is None or processes.is_alive(self.holder)

    @property
    def has_users(self) -> bool:
        """Tell whether processes can become other users here; a lone user's namespace has one."""
        if self.holder is not None:
            return False
        spans = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
        return sum(int(span.split()[2]) for span in spans) > 1

    @property
    def prefix(self) -> tuple[str, ...]:
        if self.holder is None:
            return ()
        target = f"--target={self.holder.pid}"
        return ("nsenter", target, "--user", "--mount", "--net", "--preserve-credentials", "--")

    def inside(self, namespace: str, argv: Sequence[str]) -> list[str]:
        """Prefix a command so that it runs in a network namespace of the lab."""
        return [*self.prefix, "nsenter", f"--net={_NAMES / namespace}", "--", *argv]

    def path_of(self, namespace: str) -> Path:
        """Name a namespace's file as this process sees it."""
        if self.holder is None:
            return _NAMES / namespace
        return Path(f"/proc/{self.holder.pid}/root{_NAMES}") / namespace

    def run(
        self, argv: Sequence[str], *, text: str | None = None, keep: tuple[int, ...] = ()
    ) -> str:
        """Run a command on the ground itself and return what it prints.

        Args:
            argv: the command.
            text: what it reads on standard input.
            keep: descriptors it inherits.

        Raises:
            LabError: it failed; the text has its first line of complaint.
        """
        return run([*self.prefix, *argv], text=text, keep=keep)


def run(argv: Sequence[str], *, text: str | None = None, keep: tuple[int, ...] = ()) -> str:
    """Run a command to its end and return its output. Raises `LabError` if it fails."""
    try:
        done = subprocess.run(
            argv,
            input=text if text is not None else "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_TIMEOUT,
            env={**os.environ, "PATH": search_path()},
            pass_fds=keep,
            check=False,
        )
    except FileNotFoundError:
        raise LabError(f"the program {argv[0]} is missing: install it and try again") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)} does not end") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise LabError(f"{' '.join(argv)} failed: {'; '.join(said[:2])}")
    return done.stdout


def privately(
    argv: Sequence[str], keeps: Path, covers: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Wrap a command so that it sees directories empty except for the lab's own.

    Args:
        argv: the command.
        keeps: the lab's directory.
        covers: the directories it has for itself.

    Returns:
        The command, and what its environment needs besides.
    """
    wrapped = ["unshare", "--mount", "--", "sh", "-c", _PRIVATELY + 'exec "$@"', "sh", *argv]
    return wrapped, {"LAB_KEEPS": str(keeps), "LAB_COVERS": " ".join(covers)}


def may_use_the_host() -> bool:
    """Tell whether this process may make namespaces on the host itself."""
    if os.geteuid() != 0 or not os.access("/run", os.W_OK):
        return False
    # Root of a user namespace has power over those namespaces only that were made inside it.
    if not (_is_ours("mnt") and _is_ours("net")):
        return False
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & _CAPABILITIES == _CAPABILITIES
    return False


def _is_ours(kind: str) -> bool:
    """Tell whether a namespace of this process belongs to its user namespace."""
    with Path(f"/proc/self/ns/{kind}").open("rb") as namespace:
        try:
            owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
        except PermissionError:
            return False  # the owner is further out than we may look
    try:
        return os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
    finally:
        os.close(owner)


def prepare(state: StateDirectory) -> Ground:
    """Choose the ground for a new lab, and start a holder if it needs one."""
    for program in ("ip", "nsenter"):
        if shutil.which(program, path=search_path()) is None:
            package = {"ip": "iproute2", "nsenter": "util-linux"}[program]
            raise LabError(f"{program} is missing: apt install {package}")
    return Ground() if may_use_the_host() else Ground(_start_holder(state))


def find(state: StateDirectory) -> Ground:
    """Find the ground an existing lab stands on, by its journal; its holder may have ended."""
    holders = [entry for entry in state.entries() if entry.what == "holder" and entry.pid]
    if not holders:
        return Ground()
    return Ground(holders[-1].process)


def search_path() -> str:
    """List the directories of programs; Debian keeps daemons where users have no PATH to."""
    return os.pathsep.join(["/usr/sbin", "/usr/bin", "/sbin", "/bin", os.environ.get("PATH", "")])


def _start_holder(state: StateDirectory) -> ProcessId:
    state.record(Entry("holder", "sleep"))
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--", "sh", "-c", _HOLD]
    environment = {
        **os.environ,
        MARK: str(state.path),
        "LAB_KEEPS": str(state.path),
        "LAB_COVERS": "/run",
        "PATH": search_path(),
    }
    log = state.path / "holder.log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            unshare,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    assert child.stdout is not None, "it was asked for"
    with child.stdout as answer:
        ready = answer.readline() == b"ready\n"
    process = processes.identify(child.pid)
    if not ready or process is None:
        child.wait()
        raise LabError(_why_no_holder(log))
    state.record(Entry("holder", "sleep", pid=process.pid, start=process.start))
    _CHILDREN.append(child)
    return process


# A holder outlives the call that starts it; its Popen is kept so that it can be reaped.
_CHILDREN: list[subprocess.Popen[bytes]] = []


def release(ground: Ground) -> None:
    """End the holder, and with it all namespaces that were made on this ground."""
    if ground.holder is None:
        return
    processes.send(ground.holder, signal.SIGKILL)
    processes.wait_gone([ground.holder], 5.0)
    for child in [child for child in _CHILDREN if child.pid == ground.holder.pid]:
        child.wait()
        _CHILDREN.remove(child)


def _why_no_holder(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[0] if lines else "unshare said nothing"
    return (
        f"not root, and no user namespace can be made ({said}): run as root, or let users make"
        " them: sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"
        " kernel.apparmor_restrict_unprivileged_userns=0 (those of the three that exist)"
    )
