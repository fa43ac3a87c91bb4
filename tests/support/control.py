"""A control server on a loop of its own, so that blocking clients can be tested against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from speaker.control.protocol import socket_path
from speaker.control.server import ControlServer, Handler


@contextmanager
def serving(
    run_dir: Path, handlers: Mapping[str, Handler], *, fails: bool = False
) -> Iterator[None]:
    """Serve in a thread while the block runs; with *fails*, bugs of handlers are expected."""
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    done = asyncio.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        if fails:
            loop.set_exception_handler(lambda *_: None)
        loops.append(loop)
        async with ControlServer(socket_path(run_dir), handlers):
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join()
