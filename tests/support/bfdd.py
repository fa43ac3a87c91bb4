"""FRR's bfdd beside another daemon in a lab, and vtysh to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab import RunningNode
from tests.support.pairs import becomes

_DIRECTORY = Path("/usr/lib/frr")


@contextmanager
def running(name: str, place: RunningNode, home: Path, conf: str, *more: str) -> Iterator[None]:
    """Run one of FRR's daemons in a node's namespace, with its sockets in a directory."""
    path = home / f"{name}.conf"
    path.write_text(conf)
    shutil.chown(path, "frr")
    argv = [str(_DIRECTORY / name), "-f", str(path), "-i", str(home / f"{name}.pid")]
    argv += ["-z", str(home / "zserv.api"), "--vty_socket", str(home), "-P", "0"]
    with (home / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            place.inside([*argv, *more, "--log", "stdout"]), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            becomes(f"{name} runs", (home / f"{name}.vty").exists, True)
            yield
        finally:
            process.kill()
            process.wait()
            (home / f"{name}.vty").unlink(missing_ok=True)


@contextmanager
def bfdd(place: RunningNode, conf: str = "", *, home: Path | None = None) -> Iterator[Path]:
    """Run bfdd, and give its control socket.

    Args:
        place: in whose namespace.
        conf: its configuration.
        home: where zebra's socket is, and its own will be; by default the node's home.
    """
    home = home or place.home
    path = home / "bfdd.sock"
    with running("bfdd", place, home, conf, "--bfdctl", str(path)):
        becomes("bfdd listens", path.exists, True)
        yield path
    path.unlink(missing_ok=True)


@contextmanager
def zebra_and_bfdd(place: RunningNode, home: Path) -> Iterator[Path]:
    """Run both where no FRR runs yet; the directory becomes FRR's."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    shutil.chown(home, "frr", "frrvty")
    with ExitStack() as stack:
        stack.enter_context(running("zebra", place, home, ""))
        becomes("zebra listens", (home / "zserv.api").exists, True)
        yield stack.enter_context(bfdd(place, home=home))


def vtysh(place: RunningNode, *commands: str, home: Path | None = None) -> str:
    """Say something to FRR in a node."""
    words = [word for command in commands for word in ("-c", command)]
    return place.execute(["vtysh", "--vty_socket", str(home or place.home), *words])
