"""A daemon in the test's process, with a directory of resources and a control socket."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from speaker.control.client import ask
from speaker.daemon import Daemon
from speaker.run_options import RunOptions
from tests.support.routers import Town, until

Document = Mapping[str, Any]


class House:
    """A directory of resources, a run directory, and who is asked there."""

    def __init__(self, town: Town, place: Path, *, strict_secrets: bool = False) -> None:
        self.town = town
        self._strict_secrets = strict_secrets
        self.datastore = place / "etc"
        self.run_dir = place / "run"
        self.datastore.mkdir()

    def write(self, file: str, *documents: Document) -> None:
        """Replace a file as a whole, as editors do."""
        text = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
        fresh = self.datastore / f".{file}.new"
        fresh.write_text(text)
        fresh.rename(self.datastore / file)

    def furnish(self, *numbers: int, **settings: Any) -> None:
        """Write the node, its settings, and passive peers."""
        self.write("node.json", self.town.node("r1", 1), self.town.settings(**settings))
        self.write("peers.json", *self.peers(*numbers))

    def peers(self, *numbers: int) -> Iterable[dict[str, Any]]:
        for number in numbers:
            yield dict(
                self.town.peer(
                    f"p{number}", number, 65000 + number, node="r1", keys={"passive": "on"}
                )
            )

    async def ask(self, command: str, **args: Any) -> Any:
        return await asyncio.to_thread(ask, self.run_dir, command, **args)

    @property
    def options(self) -> RunOptions:
        return RunOptions(
            self.datastore,
            "r1",
            self.run_dir,
            kernel=False,
            strict_secrets=self._strict_secrets,
        )

    @asynccontextmanager
    async def lived_in(self) -> AsyncIterator[Daemon]:
        """Run the daemon in this process until the block ends."""
        daemon = Daemon(self.options)
        running = asyncio.create_task(daemon.run())
        try:
            await until(lambda: running.done() or self.town.said.of("started"))
            if running.done():
                running.result()
            self.town.routers.append(daemon._router)  # type: ignore[arg-type]
            yield daemon
        finally:
            daemon._stop.set()
            await running
            gc.unfreeze()


async def start(house: House, *more: str) -> asyncio.subprocess.Process:
    """Run the daemon as a process of its own."""
    words = ["run", "--datastore", str(house.datastore), "--node", "r1", "--no-kernel"]
    words += ["--run-dir", str(house.run_dir), "--log", "json", *more]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "speaker",
        *words,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


async def told(process: asyncio.subprocess.Process, event: str) -> list[dict[str, Any]]:
    """Read the log until something is told."""
    lines: list[dict[str, Any]] = []
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while not lines or lines[-1]["event"] != event:
            line = await process.stderr.readline()
            assert line, lines
            lines.append(json.loads(line))
    return lines
