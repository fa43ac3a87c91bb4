"""What a router costs that has nothing to do: the daemon itself, its kernel and a hundred peers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import write_documents
from tests.support.netns import needs_namespaces, run_in_namespace
from tests.support.resources import node, peer, settings
from tests.support.scripted_peer import ScriptedPeer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]

PROJECT = Path(__file__).parents[2]
PEERS = 100
HOLD_TIME = 30
SECONDS = 30.0

SHARE = 0.01
"""Of one core."""

MEMORY = 70 << 20
"""Octets, the interpreter and the libraries included."""


def address(number: int) -> str:
    return f"127.1.0.{number + 1}"


@contextmanager
def daemon(home: Path) -> Iterator[int]:
    """Run a router that waits for its peers, and give its process id."""
    peers = [
        peer(f"p{number}", peerIP=address(number), asNumber=65001 + number)
        for number in range(PEERS)
    ]
    own = [node("r1", "127.0.0.1/8", asn=65000), settings(nodeToNodeMeshEnabled=False)]
    datastore = write_documents(home / "etc", [*own, *peers])
    words = ["--datastore", datastore, "--run-dir", home, "--node", "r1", "--table", "1000"]
    # Compiled modules are kept, as they are where it is installed: to compile takes memory.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, "-m", "speaker", "run", *map(str, words)],
        cwd=PROJECT,
        env=environment,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def spent(pid: int) -> float:
    """Give the seconds of processor time that all threads of a process have had."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def resident(pid: int) -> int:
    """Give the octets of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def established(number: int) -> ScriptedPeer:
    """Be a peer that answers keepalives; the router may need a while until it listens."""
    while True:
        try:
            found = await ScriptedPeer.up(
                "127.0.0.1",
                179,
                source=address(number),
                asn=65001 + number,
                hold_time=HOLD_TIME,
            )
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)
        else:
            return found


async def cost(pid: int) -> tuple[float, int, int]:
    """Give the share of a core, the memory and the number of sessions while nothing happens."""
    peers = await asyncio.gather(*map(established, range(PEERS)))
    before = spent(pid)
    await asyncio.sleep(SECONDS)
    share, memory = (spent(pid) - before) / SECONDS, resident(pid)
    standing = sum(one.is_open for one in peers)
    for one in peers:
        one.close()
    return share, memory, standing


@pytest.mark.netns
@needs_namespaces
def test_a_hundred_idle_peers_cost_a_hundredth_of_a_core_and_little_memory(tmp_path: Path) -> None:
    def body() -> tuple[float, int, int]:
        with daemon(tmp_path) as pid:
            return asyncio.run(cost(pid))

    share, memory, standing = run_in_namespace(body)
    assert standing == PEERS
    assert share < SHARE
    assert memory < MEMORY
